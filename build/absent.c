/* Functions that are linked and must never be called. stand_ins.rs puts `ABSENT(name)` for each of them behind this. */
#include <stdio.h>
#include <stdlib.h>

static void stop(const char *name) {
    fprintf(stderr, "affect: %s was called, which this program leaves out; please report it\n", name);
    abort();
}

#define ABSENT(name)                                              \
    __attribute__((visibility("hidden"))) void name(void);        \
    void name(void) { stop(#name); }
