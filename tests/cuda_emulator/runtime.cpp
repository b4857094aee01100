// Executes the threads of a launch. Each thread of a block is a fiber. Threads
// that never wait run one after another on one stack. A thread that waits keeps
// its stack, and the next one gets another.
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>
#include <string>
#include <unordered_map>

#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

#if !defined(__x86_64__)
#error "the fibers are written for x86-64"
#endif

namespace cuda_emulator {

__thread Current current;

// ---------------------------------------------------------------- messages

static void message(const char *format, va_list list) {
    char text[2048];
    vsnprintf(text, sizeof text, format, list);
    fprintf(stderr, "cuda emulator: %s\n", text);
    fflush(stderr);
}

void fatal(const char *format, ...) {
    va_list list;
    va_start(list, format);
    message(format, list);
    va_end(list);
    if (current.kernel) {
        fprintf(stderr, "cuda emulator: in kernel %s, block (%u, %u, %u) of (%u, %u, %u), thread (%u, %u, %u) of (%u, %u, %u)\n",
                current.kernel, current.block.x, current.block.y, current.block.z, current.grid_dim.x,
                current.grid_dim.y, current.grid_dim.z, current.thread.x, current.thread.y, current.thread.z,
                current.block_dim.x, current.block_dim.y, current.block_dim.z);
        fflush(stderr);
    }
    abort();
}

void warn(const char *format, ...) {
    va_list list;
    va_start(list, format);
    message(format, list);
    va_end(list);
}

bool tracing() {
    static const bool on = getenv("AFFECT_EMULATOR_TRACE") && atoi(getenv("AFFECT_EMULATOR_TRACE")) != 0;
    return on;
}

void trace(const char *format, ...) {
    if (!tracing()) return;
    va_list list;
    va_start(list, format);
    message(format, list);
    va_end(list);
}

void not_emulated(const char *function) { fatal("%s is not emulated", function); }

// ---------------------------------------------------------------- registry

static const Kernel *&first_kernel() {
    static const Kernel *first = nullptr;
    return first;
}

void register_kernel(Kernel *kernel) {
    kernel->next = first_kernel();
    first_kernel() = kernel;
}

const Kernel *find_kernel(const char *name) {
    static const auto *table = [] {
        auto *t = new std::unordered_map<std::string, const Kernel *>;
        for (const Kernel *k = first_kernel(); k; k = k->next) {
            if (!t->emplace(k->name, k).second) {
                fatal("two kernels have the name %s", k->name);
            }
        }
        return t;
    }();
    auto found = table->find(name);
    return found == table->end() ? nullptr : found->second;
}

// ---------------------------------------------------------------- cores

namespace {

struct Job {
    const std::function<void(size_t, size_t)> *work;
    size_t count, grain;
    std::atomic<size_t> next{0};
    std::atomic<int> helpers{0};
};

struct Pool {
    std::mutex one_job;
    std::mutex lock;
    std::condition_variable wake, done;
    Job *job = nullptr;
    uint64_t number = 0;
    int threads = 0;
};

thread_local bool inside_job = false;

void take_parts(Job &job) {
    for (;;) {
        size_t begin = job.next.fetch_add(job.grain);
        if (begin >= job.count) return;
        size_t end = begin + job.grain < job.count ? begin + job.grain : job.count;
        (*job.work)(begin, end);
    }
}

void help(Pool *pool) {
    uint64_t seen = 0;
    inside_job = true;
    std::unique_lock<std::mutex> guard(pool->lock);
    for (;;) {
        pool->wake.wait(guard, [&] { return pool->job && pool->number != seen; });
        seen = pool->number;
        Job *job = pool->job;
        job->helpers++;
        guard.unlock();
        take_parts(*job);
        guard.lock();
        if (--job->helpers == 0) pool->done.notify_all();
    }
}

Pool *the_pool() {
    // Never destroyed: the helpers wait on it until the process ends.
    static Pool *pool = [] {
        auto *p = new Pool;
        const char *text = getenv("AFFECT_EMULATOR_THREADS");
        int threads = text ? atoi(text) : static_cast<int>(std::thread::hardware_concurrency());
        p->threads = threads < 1 ? 1 : threads > 64 ? 64 : threads;
        for (int i = 1; i < p->threads; i++) std::thread(help, p).detach();
        return p;
    }();
    return pool;
}

}  // namespace

void parallel_for(size_t count, size_t grain, const std::function<void(size_t, size_t)> &f) {
    if (count == 0) return;
    if (grain == 0) grain = 1;
    Pool *pool = the_pool();
    if (inside_job || pool->threads == 1 || count <= grain || !pool->one_job.try_lock()) {
        f(0, count);
        return;
    }
    Job job;
    job.work = &f;
    job.count = count;
    job.grain = grain;
    {
        std::lock_guard<std::mutex> guard(pool->lock);
        pool->job = &job;
        pool->number++;
    }
    pool->wake.notify_all();
    inside_job = true;
    take_parts(job);
    inside_job = false;
    {
        std::unique_lock<std::mutex> guard(pool->lock);
        pool->job = nullptr;
        pool->done.wait(guard, [&] { return job.helpers == 0; });
    }
    pool->one_job.unlock();
}

// ---------------------------------------------------------------- fibers

asm(R"(
.text
.p2align 4
.type cuda_emulator_switch, @function
cuda_emulator_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size cuda_emulator_switch, .-cuda_emulator_switch
)");
extern "C" void cuda_emulator_switch(void **save, void *load) __asm__("cuda_emulator_switch");

namespace {

constexpr size_t STACK = 256 * 1024;
constexpr size_t SHARED = 232448;  // what a block may have: 227 KiB
constexpr size_t PAGE = 4096;

enum State : uint8_t { NEW, RUNS, WAITS_BLOCK, WAITS_WARP, DONE };

struct Fiber {
    void *stack_pointer;
    unsigned thread;
};

struct WarpWait {
    uint64_t value, result;
    uint32_t mask;
    int source;
    WarpOp op;
};

// All that one operating-system thread needs to execute blocks.
struct Worker {
    void *scheduler = nullptr;
    Fiber *active = nullptr;
    std::vector<Fiber *> idle;       // fibers that can start a thread
    std::vector<Fiber *> runnable;   // a queue: from `head` on
    size_t head = 0;
    std::vector<Fiber *> at_barrier;
    uint8_t state[1024];
    Fiber *fiber_of[1024];
    WarpWait warp[1024];
    const Kernel *kernel = nullptr;
    void *const *arguments = nullptr;
    unsigned count = 0, next = 0, live = 0, waiting = 0;
    int barrier_count = 0;
    BarrierResult barrier_result{};
    char *shared_end = nullptr;
    size_t shared_bytes = 0;
};

thread_local Worker *worker = nullptr;

Dim3 thread_index(unsigned t) {
    const Dim3 &d = current.block_dim;
    if (d.x > t) return {t, 0, 0};
    return {t % d.x, t / d.x % d.y, t / (d.x * d.y)};
}

void release_barrier(Worker *w) {
    w->barrier_result = {w->barrier_count, w->barrier_count == static_cast<int>(w->live), w->barrier_count > 0};
    w->barrier_count = 0;
    for (Fiber *f : w->at_barrier) {
        w->state[f->thread] = RUNS;
        w->runnable.push_back(f);
    }
    w->waiting -= static_cast<unsigned>(w->at_barrier.size());
    w->at_barrier.clear();
}

// If all lanes that thread `t` waits for are there, computes their results and
// makes those that wait runnable, except `self`.
bool complete_warp(Worker *w, unsigned t, unsigned self) {
    unsigned first = t & ~31u;
    const WarpWait &mine = w->warp[t];
    for (int lane = 31; lane >= 0; lane--) {
        if (!(mine.mask >> lane & 1)) continue;
        unsigned other = first + static_cast<unsigned>(lane);
        if (other >= w->count || w->state[other] == DONE) continue;
        if (w->state[other] != WAITS_WARP) return false;
        if (w->warp[other].mask != mine.mask || w->warp[other].op != mine.op) return false;
    }
    uint64_t ballot = 0;
    auto there = [&](unsigned other) { return other < w->count && w->state[other] == WAITS_WARP; };
    const uint32_t mask = mine.mask;
    const WarpOp op = mine.op;
    for (unsigned lane = 0; lane < 32; lane++) {
        unsigned other = first + lane;
        if ((mask >> lane & 1) && there(other) && w->warp[other].value) ballot |= uint64_t(1) << lane;
    }
    for (unsigned lane = 0; lane < 32; lane++) {
        unsigned other = first + lane;
        if (!(mask >> lane & 1) || !there(other)) continue;
        WarpWait &wait = w->warp[other];
        if (op == WarpOp::Ballot) {
            wait.result = ballot;
        } else if (op == WarpOp::Shuffle) {
            unsigned source = static_cast<unsigned>(wait.source);
            bool valid = source < 32 && (mask >> source & 1) && there(first + source);
            // What a lane that takes no part gives is undefined: all bits one.
            wait.result = valid ? w->warp[first + source].value : ~uint64_t(0);
        } else if (op == WarpOp::MatchAny) {
            wait.result = 0;
            for (unsigned l = 0; l < 32; l++) {
                if ((mask >> l & 1) && there(first + l) && w->warp[first + l].value == wait.value) {
                    wait.result |= uint64_t(1) << l;
                }
            }
        }
    }
    for (unsigned lane = 0; lane < 32; lane++) {
        unsigned other = first + lane;
        if (!(mask >> lane & 1) || !there(other)) continue;
        w->state[other] = RUNS;
        w->waiting--;
        if (other != self) w->runnable.push_back(w->fiber_of[other]);
    }
    return true;
}

void thread_ended(Worker *w, unsigned t) {
    if (!w->at_barrier.empty() && w->at_barrier.size() == w->live) release_barrier(w);
    unsigned first = t & ~31u;
    for (unsigned other = first; other < first + 32 && other < w->count; other++) {
        if (w->state[other] == WAITS_WARP) complete_warp(w, other, ~0u);
    }
}

void to_scheduler(Worker *w) {
    Fiber *f = w->active;
    Dim3 thread = current.thread;
    cuda_emulator_switch(&f->stack_pointer, w->scheduler);
    current.thread = thread;
}

// Starts threads until one has waited, or none is left. Not inlined: an idle
// fiber may continue on another operating-system thread, so nothing of this
// one's `current` may be kept over the switch in fiber_main.
__attribute__((noinline)) void run_threads(Worker *w) {
    for (;;) {
        Fiber *f = w->active;
        unsigned t = w->next++;
        f->thread = t;
        w->fiber_of[t] = f;
        w->state[t] = RUNS;
        current.thread = thread_index(t);
        w->kernel->run(w->arguments);
        w->state[t] = DONE;
        w->live--;
        if (w->waiting) thread_ended(w, t);
        if (w->head != w->runnable.size() || w->next >= w->count) return;
    }
}

void fiber_main() {
    Worker *w = worker;
    for (;;) {
        run_threads(w);
        Fiber *f = w->active;
        w->idle.push_back(f);
        cuda_emulator_switch(&f->stack_pointer, w->scheduler);
    }
}

Fiber *new_fiber() {
    void *memory = mmap(nullptr, STACK + PAGE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) fatal("no memory for the stack of a kernel thread");
    mprotect(memory, PAGE, PROT_NONE);
    // Stacks that start at different places of a page share the cache better.
    static std::atomic<size_t> number{0};
    char *top = static_cast<char *>(memory) + STACK + PAGE - (number.fetch_add(1) * 5 % 64) * 64;
    // The first switch takes six registers, then returns to fiber_main.
    void **slots = reinterpret_cast<void **>(top) - 8;
    memset(slots, 0, 8 * sizeof(void *));
    slots[6] = reinterpret_cast<void *>(&fiber_main);
    auto *f = new Fiber;
    f->stack_pointer = slots;
    f->thread = 0;
    return f;
}

// Workers of ended threads, with all their stacks.
struct SpareWorkers {
    std::mutex lock;
    std::vector<Worker *> list;
};

SpareWorkers &spare_workers() {
    static SpareWorkers *spare = new SpareWorkers;
    return *spare;
}

struct ReturnWorker {
    bool used = false;
    ~ReturnWorker() {
        if (!used || !worker) return;
        std::lock_guard<std::mutex> guard(spare_workers().lock);
        spare_workers().list.push_back(worker);
        worker = nullptr;
    }
};
thread_local ReturnWorker return_worker;

Worker *this_worker() {
    if (!worker) {
        return_worker.used = true;
        {
            std::lock_guard<std::mutex> guard(spare_workers().lock);
            auto &list = spare_workers().list;
            if (!list.empty()) {
                worker = list.back();
                list.pop_back();
                return worker;
            }
        }
        worker = new Worker;
        char *memory = static_cast<char *>(mmap(nullptr, 64 * PAGE, PROT_READ | PROT_WRITE,
                                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        if (memory == MAP_FAILED) fatal("no memory for shared memory");
        // Reading past the end of dynamic shared memory reaches this page.
        mprotect(memory + 63 * PAGE, PAGE, PROT_NONE);
        worker->shared_end = memory + 63 * PAGE;
    }
    return worker;
}

void run_block(Worker *w) {
    memset(w->state, NEW, w->count);
    w->next = 0;
    w->live = w->count;
    w->waiting = 0;
    w->barrier_count = 0;
    if (w->shared_bytes) memset(w->shared_end - w->shared_bytes, 0xff, w->shared_bytes);
    for (;;) {
        Fiber *f;
        if (w->head < w->runnable.size()) {
            f = w->runnable[w->head++];
            if (w->head == w->runnable.size()) {
                w->runnable.clear();
                w->head = 0;
            }
        } else if (w->next < w->count) {
            if (w->idle.empty()) {
                f = new_fiber();
            } else {
                f = w->idle.back();
                w->idle.pop_back();
            }
        } else if (w->live == 0) {
            return;
        } else {
            size_t barrier = w->at_barrier.size();
            fatal("the threads of a block wait for each other: %zu wait at __syncthreads, %u at warp operations, "
                  "%u have ended", barrier, w->waiting - static_cast<unsigned>(barrier), w->count - w->live);
        }
        w->active = f;
        cuda_emulator_switch(&w->scheduler, f->stack_pointer);
    }
}

}  // namespace

BarrierResult sync_threads(int predicate) {
    Worker *w = worker;
    if (predicate) w->barrier_count++;
    Fiber *f = w->active;
    if (w->at_barrier.size() + 1 == w->live) {
        release_barrier(w);
        return w->barrier_result;
    }
    w->at_barrier.push_back(f);
    w->state[f->thread] = WAITS_BLOCK;
    w->waiting++;
    to_scheduler(w);
    return w->barrier_result;
}

uint64_t warp_operation(WarpOp op, uint32_t mask, uint64_t value, int source) {
    Worker *w = worker;
    unsigned t = w->active->thread;
    if (!(mask >> (t & 31u) & 1u)) fatal("a warp operation with mask 0x%08x by lane %u, which is not in it", mask, t & 31u);
    w->warp[t] = {value, 0, mask, source, op};
    w->state[t] = WAITS_WARP;
    w->waiting++;
    if (!complete_warp(w, t, t)) to_scheduler(w);
    return w->warp[t].result;
}

void *dynamic_shared() {
    Worker *w = worker;
    return w->shared_end - w->shared_bytes;
}

void run_grid(const Kernel *kernel, Dim3 grid, Dim3 block, size_t shared_bytes, void *const *arguments) {
    size_t blocks = size_t(grid.x) * grid.y * grid.z;
    unsigned threads = block.x * block.y * block.z;
    if (threads > 1024 || shared_bytes > SHARED) fatal("launch of %s: block too large", kernel->name);
    shared_bytes = (shared_bytes + 15) & ~size_t(15);
    auto work = [&](size_t begin, size_t end) {
        Worker *w = this_worker();
        w->kernel = kernel;
        w->arguments = arguments;
        w->count = threads;
        w->shared_bytes = shared_bytes;
        current.kernel = kernel->name;
        current.block_dim = block;
        current.grid_dim = grid;
        for (size_t b = begin; b < end; b++) {
            current.block = {static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y),
                             static_cast<unsigned>(b / (size_t(grid.x) * grid.y))};
            run_block(w);
        }
        current.kernel = nullptr;
    };
    // A small launch is not worth waking the other cores.
    if (blocks * threads < 8192) {
        work(0, blocks);
    } else {
        size_t grain = blocks / 64;
        parallel_for(blocks, grain ? grain : 1, work);
    }
}

}  // namespace cuda_emulator

// The kernels are compiled with -fsanitize=alignment, which calls this for an
// access that a GPU would refuse.
extern "C" void __ubsan_handle_type_mismatch_v1_abort(void *, uintptr_t address) {
    cuda_emulator::fatal("access to the misaligned (or null) address 0x%zx", static_cast<size_t>(address));
}
