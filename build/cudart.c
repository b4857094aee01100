/* CUDA's runtime without the runtime. Only Candle's kernels for quantised networks and mixtures of experts use it: they
 * register themselves when the program starts, which must not need a library, and are never called. */
#define HIDDEN __attribute__((visibility("hidden")))

HIDDEN void **__cudaRegisterFatBinary(void *binary) {
    static void *handle;
    (void)binary;
    return &handle;
}

HIDDEN void __cudaRegisterFatBinaryEnd(void **handle) { (void)handle; }

HIDDEN void __cudaUnregisterFatBinary(void **handle) { (void)handle; }

HIDDEN char __cudaInitModule(void **handle) {
    (void)handle;
    return 0;
}

HIDDEN void __cudaRegisterFunction(void **handle, const char *host, char *device, const char *name, int limit, void *thread,
                                   void *block, void *block_size, void *grid_size, int *shared) {
    (void)handle, (void)host, (void)device, (void)name, (void)limit, (void)thread, (void)block, (void)block_size;
    (void)grid_size, (void)shared;
}

HIDDEN void __cudaRegisterVar(void **handle, char *host, char *device, const char *name, int external, unsigned long size,
                              int constant, int global) {
    (void)handle, (void)host, (void)device, (void)name, (void)external, (void)size, (void)constant, (void)global;
}
