/* Loads one of NVIDIA's libraries when the program first needs it. stand_ins.rs compiles this once for each library, with
 *
 *   LIBRARY  its name: libcuda
 *   FILES    the files that it may be in, the best one first: "libcublas.so.13", "libcublas.so.12"
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JOIN_EXPANDED(a, b) a##b
#define JOIN(a, b) JOIN_EXPANDED(a, b)
#define QUOTE_EXPANDED(a) #a
#define QUOTE(a) QUOTE_EXPANDED(a)
#define HIDDEN __attribute__((visibility("hidden")))

/* What a stand-in jumps to, and the name of its function. The assembly of stand_ins.rs writes the same layout. */
struct entry {
    void *target;
    char name[];
};

/* Lines for src/cuda/loader.rs: a letter for what the line says, and its value. */
struct report {
    char *text;
    size_t capacity;
    size_t used;
};

static const char *const files[] = {FILES};
static const size_t file_count = sizeof files / sizeof files[0];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *library = NULL;

/* A line that no longer fits is left out. */
static void tell(struct report *report, char kind, const char *value) {
    if (report == NULL || value == NULL) {
        return;
    }
    size_t room = report->capacity - report->used;
    int length = snprintf(report->text + report->used, room, "%c%s\n", kind, value);
    if (length < 0 || (size_t)length >= room) {
        report->text[report->used] = '\0';
    } else {
        report->used += (size_t)length;
    }
}

/* On the system's search path: LD_LIBRARY_PATH and what ldconfig knows. */
static void *open_known(const char *file, struct report *report) {
    void *handle = dlopen(file, RTLD_LAZY | RTLD_LOCAL);
    if (handle == NULL) {
        const char *why = dlerror();
        /* "libx.so.1: cannot open …" says only that it is not there; anything else is about a file that is. */
        size_t length = strlen(file);
        if (why != NULL && (strncmp(why, file, length) != 0 || strstr(why, "No such file") == NULL)) {
            tell(report, 'e', why);
        }
    }
    return handle;
}

static void *open_in(const char *folder, size_t length, const char *file, struct report *report) {
    char path[4096];
    int written = snprintf(path, sizeof path, "%.*s/%s", (int)length, folder, file);
    if (length == 0 || written < 0 || (size_t)written >= sizeof path || access(path, F_OK) != 0) {
        return NULL;
    }
    void *handle = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    if (handle == NULL) {
        tell(report, 'e', dlerror());
    }
    return handle;
}

/* The folders of AFFECT_CUDA_LIBRARIES, which the user named for this program. */
static void *open_named(struct report *report) {
    const char *rest = getenv("AFFECT_CUDA_LIBRARIES");
    while (rest != NULL && *rest != '\0') {
        size_t length = strcspn(rest, ":");
        char folder[4096];
        int written = snprintf(folder, sizeof folder, "%.*s", (int)length, rest);
        if (length > 0 && written > 0) {
            tell(report, 'f', folder);
        }
        for (size_t i = 0; i < file_count; i++) {
            void *handle = open_in(rest, length, files[i], report);
            if (handle != NULL) {
                return handle;
            }
        }
        rest += length;
        rest += *rest == ':';
    }
    return NULL;
}

static void *find(struct report *report) {
    void *handle = open_named(report);
    if (handle != NULL) {
        return handle;
    }
    char folders[3][4096];
    size_t count = 0;
    const char *toolkits[] = {getenv("CUDA_HOME"), getenv("CUDA_PATH"), "/usr/local/cuda"};
    /* The driver is no part of a toolkit. */
    int in_toolkits = strcmp(QUOTE(LIBRARY), "libcuda") != 0;
    for (size_t i = 0; i < 3 && in_toolkits; i++) {
        if (toolkits[i] == NULL || toolkits[i][0] == '\0') {
            continue;
        }
        if (i == 1 && toolkits[0] != NULL && strcmp(toolkits[0], toolkits[1]) == 0) {
            continue;
        }
        int written = snprintf(folders[count], sizeof folders[count], "%s/lib64", toolkits[i]);
        if (written > 0 && (size_t)written < sizeof folders[count]) {
            tell(report, 'f', folders[count]);
            count++;
        }
    }
    for (size_t i = 0; i < file_count; i++) {
        handle = open_known(files[i], report);
        for (size_t j = 0; handle == NULL && j < count; j++) {
            handle = open_in(folders[j], strlen(folders[j]), files[i], report);
        }
        if (handle != NULL) {
            return handle;
        }
    }
    return NULL;
}

/* Once found, a library stays. One that is missing is looked for again: the environment may have changed. */
static void *loaded(struct report *report) {
    pthread_mutex_lock(&lock);
    if (library == NULL) {
        library = find(report);
    }
    void *handle = library;
    pthread_mutex_unlock(&lock);
    return handle;
}

/* Can the library be used? Writes lines into `text`: "p" and the path of the file, or "n" and a name for each file that
 * would do, "f" and a folder that was looked into beside the system's, "e" and the loader's complaint about a
 * file. Returns 1 where it was found. */
HIDDEN int JOIN(affect_load_, LIBRARY)(char *text, size_t capacity) {
    if (text == NULL || capacity == 0) {
        return 0;
    }
    text[0] = '\0';
    struct report report = {text, capacity, 0};
    void *handle = loaded(&report);
    if (handle != NULL) {
        struct link_map *map = NULL;
        report.used = 0;
        text[0] = '\0';
        if (dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && map != NULL) {
            tell(&report, 'p', map->l_name);
        }
        return 1;
    }
    for (size_t i = 0; i < file_count; i++) {
        tell(&report, 'n', files[i]);
    }
    return 0;
}

/* A stand-in was called for the first time. */
HIDDEN void *JOIN(affect_resolve_, LIBRARY)(struct entry *entry) {
    void *handle = loaded(NULL);
    void *target = handle == NULL ? NULL : dlsym(handle, entry->name);
    if (target == NULL) {
        fprintf(stderr, "affect: %s of %s was called, but %s; `affect doctor` says more\n", entry->name, QUOTE(LIBRARY),
                handle == NULL ? "the library is missing" : "the library that was found does not have it");
        abort();
    }
    __atomic_store_n(&entry->target, target, __ATOMIC_RELEASE);
    return target;
}
