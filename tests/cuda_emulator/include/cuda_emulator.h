// What the kernels and the library share: the threads of a launch, their
// barriers and warp operations, and the registry of kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace cuda_emulator {

struct Dim3 {
    unsigned int x, y, z;
};

// The kernel thread that this operating-system thread executes now.
// `__thread` and not `thread_local`: no wrapper function around each access.
struct Current {
    Dim3 thread, block, block_dim, grid_dim;
    const char *kernel;
};
extern __thread Current current;

[[noreturn]] void fatal(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Waits for all threads of the block that have not returned.
struct BarrierResult {
    int count, all, any;
};
BarrierResult sync_threads(int predicate);

// What a warp operation computes from the values of the lanes in the mask.
enum class WarpOp : uint8_t { Sync, Shuffle, Ballot, MatchAny };

// Waits for all lanes in `mask`. Gives the 64 bits that lane `source` brought
// (Shuffle), or the lanes with a value other than zero (Ballot), or the lanes
// with the caller's value (MatchAny).
uint64_t warp_operation(WarpOp op, uint32_t mask, uint64_t value, int source);

void *dynamic_shared();

inline unsigned int linear_thread() {
    return current.thread.x +
           current.block_dim.x * (current.thread.y + current.block_dim.y * current.thread.z);
}

struct Parameter {
    uint32_t size;
    uint32_t align;
    bool pointer;
};

struct Kernel {
    const char *name;
    void (*run)(void *const *arguments);
    const Parameter *parameters;
    unsigned int parameter_count;
    unsigned int max_threads;  // from __launch_bounds__, 1024 without
    const Kernel *next;
};

void register_kernel(Kernel *kernel);

template <auto F>
struct Entry;

template <class... A, void (*F)(A...)>
struct Entry<F> {
    template <size_t... I>
    static void call(void *const *arguments, std::index_sequence<I...>) {
        (void)arguments;
        F(*static_cast<std::remove_cv_t<A> *>(arguments[I])...);
    }
    static void run(void *const *arguments) {
        call(arguments, std::index_sequence_for<A...>{});
    }
    static const Parameter *parameters() {
        static const Parameter list[] = {
            {uint32_t(sizeof(A)), uint32_t(alignof(A)), std::is_pointer<A>::value}..., {0, 0, false}};
        return list;
    }
    static constexpr unsigned int count = sizeof...(A);
};

template <auto F>
struct Registration {
    Kernel kernel;
    explicit Registration(const char *name, unsigned int max_threads) {
        kernel = {name, Entry<F>::run, Entry<F>::parameters(), Entry<F>::count, max_threads, nullptr};
        register_kernel(&kernel);
    }
};

}  // namespace cuda_emulator
