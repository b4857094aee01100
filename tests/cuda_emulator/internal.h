// What the parts of the library share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "cuda_emulator.h"
#include "cuda_emulator_numbers.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace cuda_emulator {

typedef int CUresult;
typedef void *StreamHandle;

// ---- runtime.cpp
const Kernel *find_kernel(const char *name);
void run_grid(const Kernel *kernel, Dim3 grid, Dim3 block, size_t shared_bytes, void *const *arguments);
// Calls f(begin, end) for parts of 0..count, on all cores. `grain` is the
// smallest part.
void parallel_for(size_t count, size_t grain, const std::function<void(size_t, size_t)> &f);
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool tracing();
void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));

// ---- driver.cpp
// Aborts unless the bytes lie within one live allocation.
void check_range(const char *what, const void *pointer, size_t bytes);
// Aborts unless the pointer is null or points to a live allocation (or to its end).
void check_pointer(const char *what, const void *pointer, int device);
int current_device();  // -1 without context
// Does the work now, or records it when the stream is captured.
CUresult enqueue(StreamHandle stream, const char *name, std::function<void()> work);
bool stream_is_valid(StreamHandle stream);
bool stream_is_captured(StreamHandle stream);

[[noreturn]] void not_emulated(const char *function);

}  // namespace cuda_emulator
