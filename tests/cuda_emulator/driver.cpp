// The driver API: devices, contexts, memory, streams, events, modules,
// launches, stream capture and graphs. All work is done when it is asked for.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "internal.h"

namespace cuda_emulator {

enum : CUresult {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NOT_INITIALIZED = 3,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_IMAGE = 200,
    INVALID_CONTEXT = 201,
    FILE_NOT_FOUND = 301,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    NOT_READY = 600,
    PEER_ACCESS_ALREADY_ENABLED = 704,
    NOT_SUPPORTED = 801,
    CAPTURE_UNSUPPORTED = 900,
    CAPTURE_INVALIDATED = 901,
    CAPTURE_MERGE = 902,
    CAPTURE_UNMATCHED = 903,
    CAPTURE_UNJOINED = 904,
    CAPTURE_ISOLATION = 905,
    CAPTURE_IMPLICIT = 906,
    CAPTURED_EVENT = 907,
    CAPTURE_WRONG_THREAD = 908,
};

namespace {

struct ErrorText {
    int code;
    const char *name, *text;
};
const ErrorText errors[] = {
    {SUCCESS, "CUDA_SUCCESS", "no error"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {FILE_NOT_FOUND, "CUDA_ERROR_FILE_NOT_FOUND", "file not found"},
    {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {PEER_ACCESS_ALREADY_ENABLED, "CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED", "peer access is already enabled"},
    {NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
    {CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"},
    {CAPTURE_MERGE, "CUDA_ERROR_STREAM_CAPTURE_MERGE", "operation would result in a merge of separate capture sequences"},
    {CAPTURE_UNMATCHED, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "capture was not ended in the same stream as it began"},
    {CAPTURE_UNJOINED, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "capturing stream has unjoined work"},
    {CAPTURE_ISOLATION, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "dependency created on uncaptured work in another stream"},
    {CAPTURE_IMPLICIT, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT", "operation would make the legacy stream depend on a capturing blocking stream"},
    {CAPTURED_EVENT, "CUDA_ERROR_CAPTURED_EVENT", "operation not permitted on an event last recorded in a capturing stream"},
    {CAPTURE_WRONG_THREAD, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD", "attempt to terminate a thread-local capture sequence from another thread"},
};

// ---------------------------------------------------------------- state

typedef unsigned long long Address;

struct Context {
    int device;
    int retained = 0;
};

struct Operation {
    const char *name;
    std::function<void()> work;
};

// What a capture recorded. It lives as long as the graph or an instance of it.
struct Recording {
    std::vector<Operation> operations;
    std::vector<Address> allocations;
    ~Recording();
};

struct Stream;

struct Capture {
    int mode;
    std::thread::id owner;
    bool invalid = false;
    Stream *origin;
    std::set<Stream *> streams;
    uint64_t position = 0;
    std::shared_ptr<Recording> recording = std::make_shared<Recording>();
};

struct Stream {
    Context *context;
    unsigned flags;
    int priority;
    bool legacy;
    std::shared_ptr<Capture> capture;
    uint64_t last = 0, joined = 0;  // positions in the capture
};

struct Event {
    Context *context;
    unsigned flags;
    bool recorded = false;
    std::chrono::steady_clock::time_point time;
    std::weak_ptr<Capture> capture;
    bool captured = false;
    Stream *stream = nullptr;
    uint64_t position = 0;
};

struct Graph {
    std::shared_ptr<Recording> recording;
};

struct Instance {
    std::shared_ptr<Recording> recording;
    bool free_on_launch;
};

struct Module {
    Context *context;
    bool has_names;
    std::set<std::string> names;
    std::vector<struct Function *> functions;
};

struct Function {
    Module *module;
    const Kernel *kernel;
    int max_dynamic_shared = 49152;
};

enum class Kind { Device, Host, Managed };

struct Allocation {
    size_t size;
    int device;
    Kind kind;
    bool live;             // false: of a graph that has not run, or freed by it
    Recording *recording;  // of a graph
    char *block;           // what the host gave
    size_t block_size;
    bool mapped;
    bool ordered;  // from cuMemAllocAsync
};

struct Pool {
    int device;
    unsigned long long release_threshold = 0;
};

constexpr int MAX_DEVICES = 16;
constexpr size_t MARGIN = 256;
constexpr size_t PAGE = 4096;

struct State {
    std::recursive_mutex lock;
    int devices = 2;
    size_t total_memory = size_t(16) << 30;
    int guard = 0;
    Context contexts[MAX_DEVICES];
    Pool pools[MAX_DEVICES];
    Pool *pool_of[MAX_DEVICES];
    size_t used[MAX_DEVICES] = {};
    size_t peak[MAX_DEVICES] = {};
    Stream legacy[MAX_DEVICES];
    std::map<Address, Allocation> allocations;
    std::deque<std::pair<char *, size_t>> quarantine;
    size_t quarantined = 0;
    std::set<Stream *> streams;
    std::set<Event *> events;
    std::set<Graph *> graphs;
    std::set<Instance *> instances;
    std::set<Module *> modules;
    std::set<Function *> functions;
    std::set<Pool *> own_pools;
    std::set<std::shared_ptr<Capture>> captures;
    std::set<std::pair<int, int>> peers;

    State() {
        if (const char *text = getenv("AFFECT_EMULATED_GPUS")) devices = atoi(text);
        if (devices < 0) devices = 0;
        if (devices > MAX_DEVICES) devices = MAX_DEVICES;
        if (const char *text = getenv("AFFECT_EMULATED_MEMORY_MIB")) total_memory = size_t(atoll(text)) << 20;
        if (const char *text = getenv("AFFECT_EMULATOR_GUARD")) guard = atoi(text);
        for (int i = 0; i < MAX_DEVICES; i++) {
            contexts[i].device = i;
            pools[i].device = i;
            pool_of[i] = &pools[i];
            legacy[i] = Stream{&contexts[i], 0, 0, true, nullptr};
        }
    }
};

State &state() {
    // Never destroyed: other threads may use it until the process ends.
    static State *s = new State;
    return *s;
}

typedef std::lock_guard<std::recursive_mutex> Guard;

bool initialized = false;
thread_local Context *current_context = nullptr;
thread_local std::vector<Context *> context_stack;
thread_local int capture_interaction = 0;  // CU_STREAM_CAPTURE_MODE_GLOBAL

struct ThreadStreams {
    Stream *list[MAX_DEVICES] = {};
};
thread_local ThreadStreams thread_streams;

Stream *resolve(StreamHandle handle) {
    State &s = state();
    if (handle == nullptr || handle == reinterpret_cast<void *>(1)) {
        return current_context ? &s.legacy[current_context->device] : nullptr;
    }
    if (handle == reinterpret_cast<void *>(2)) {
        if (!current_context) return nullptr;
        Stream *&stream = thread_streams.list[current_context->device];
        if (!stream) stream = new Stream{current_context, 0, 0, false, nullptr};
        return stream;
    }
    auto *stream = static_cast<Stream *>(handle);
    return s.streams.count(stream) ? stream : nullptr;
}

CUresult refuse(CUresult code, const char *function, const char *why) {
    warn("%s: %s", function, why);
    return code;
}

// A call that a capture forbids: it also spoils the capture.
CUresult forbidden_in_capture(const char *function) {
    if (capture_interaction == 2) return SUCCESS;
    CUresult result = SUCCESS;
    for (auto &capture : state().captures) {
        bool own = capture->owner == std::this_thread::get_id() && capture->mode != 2;
        bool other = capture_interaction == 0 && capture->mode == 0;
        if (own || other) {
            capture->invalid = true;
            result = CAPTURE_UNSUPPORTED;
        }
    }
    if (result) return refuse(result, function, "not permitted while a stream is captured");
    return result;
}

// ---------------------------------------------------------------- memory

struct sigaction previous_segv;

void on_segv(int number, siginfo_t *info, void *) {
    auto address = reinterpret_cast<Address>(info->si_addr);
    char text[512];
    int n = snprintf(text, sizeof text, "cuda emulator: access to address 0x%llx", address);
    // The table may be changing: this is only a message ahead of the crash.
    auto &table = state().allocations;
    auto next = table.upper_bound(address);
    if (next != table.begin()) {
        auto before = std::prev(next);
        Address end = before->first + before->second.size;
        if (address >= end && address < end + 2 * PAGE) {
            n += snprintf(text + n, sizeof text - n, ", %llu bytes past the end of an allocation of %zu bytes at 0x%llx",
                          address - end, before->second.size, before->first);
        }
    }
    if (current.kernel) {
        n += snprintf(text + n, sizeof text - n, ", in kernel %s, block (%u, %u, %u), thread (%u, %u, %u)", current.kernel,
                      current.block.x, current.block.y, current.block.z, current.thread.x, current.thread.y,
                      current.thread.z);
    }
    n += snprintf(text + n, sizeof text - n, "\n");
    if (write(2, text, n) < 0) {}
    sigaction(number, &previous_segv, nullptr);
}

void watch_for_crashes() {
    static std::once_flag once;
    std::call_once(once, [] {
        struct sigaction action;
        memset(&action, 0, sizeof action);
        action.sa_sigaction = on_segv;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        sigaction(SIGSEGV, &action, &previous_segv);
    });
}

void release_block(char *block, size_t size, bool mapped) {
    if (mapped) munmap(block, size);
    else free(block);
}

CUresult allocate(Address *out, size_t bytes, int device, Kind kind, bool ordered, Recording *recording) {
    State &s = state();
    if (kind != Kind::Host) {
        if (s.used[device] + bytes > s.total_memory) return OUT_OF_MEMORY;
    }
    Allocation a{bytes, device, kind, recording == nullptr, recording, nullptr, 0, false, ordered};
    char *start;
    if (s.guard) {
        // The end lies at an inaccessible page, as near as the alignment
        // allows: 16 bytes, or 4 with AFFECT_EMULATOR_GUARD=2.
        size_t align = s.guard >= 2 ? 4 : 16;
        size_t room = (bytes + align - 1) / align * align;
        size_t pages = (room + PAGE - 1) / PAGE;
        a.block_size = (pages + 2) * PAGE;
        a.mapped = true;
        void *memory = mmap(nullptr, a.block_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) return OUT_OF_MEMORY;
        a.block = static_cast<char *>(memory);
        mprotect(a.block, PAGE, PROT_NONE);
        mprotect(a.block + a.block_size - PAGE, PAGE, PROT_NONE);
        start = a.block + a.block_size - PAGE - room;
        memset(a.block + PAGE, 0xff, pages * PAGE);
    } else {
        a.block_size = (bytes + 3 * MARGIN - 1) / MARGIN * MARGIN;
        a.block = static_cast<char *>(aligned_alloc(MARGIN, a.block_size));
        if (!a.block) return OUT_OF_MEMORY;
        start = a.block + MARGIN;
        memset(a.block, 0xff, a.block_size);
    }
    if (kind != Kind::Host) {
        s.used[device] += bytes;
        if (s.used[device] > s.peak[device]) s.peak[device] = s.used[device];
    }
    *out = reinterpret_cast<Address>(start);
    s.allocations.emplace(*out, a);
    return SUCCESS;
}

// The bytes around an allocation must still be those that allocate() wrote.
void check_margins(Address base, const Allocation &a) {
    const char *start = reinterpret_cast<const char *>(base), *end = start + a.size;
    const char *first = a.mapped ? a.block + PAGE : a.block;
    const char *last = a.mapped ? a.block + a.block_size - PAGE : a.block + a.block_size;
    for (const char *p = first; p < start; p++) {
        if (*p != char(0xff)) fatal("%ld bytes before an allocation of %zu bytes have been written", long(start - p), a.size);
    }
    for (const char *p = end; p < last; p++) {
        if (*p != char(0xff)) fatal("%ld bytes past the end of an allocation of %zu bytes have been written", long(p - end), a.size);
    }
}

void drop_allocation(std::map<Address, Allocation>::iterator found) {
    State &s = state();
    Allocation a = found->second;
    check_margins(found->first, a);
    if (a.kind != Kind::Host) s.used[a.device] -= a.size;
    s.allocations.erase(found);
    if (a.mapped) {
        // Later accesses crash: the address range stays reserved for a while.
        mprotect(a.block, a.block_size, PROT_NONE);
    } else {
        memset(a.block, 0xff, a.block_size);
    }
    s.quarantine.emplace_back(a.block, a.block_size);
    s.quarantined += a.block_size;
    while (s.quarantined > (size_t(64) << 20) || s.quarantine.size() > 4096) {
        auto old = s.quarantine.front();
        s.quarantine.pop_front();
        s.quarantined -= old.second;
        release_block(old.first, old.second, s.guard != 0);
    }
}

std::map<Address, Allocation>::iterator find_allocation(Address p) {
    auto &table = state().allocations;
    auto next = table.upper_bound(p);
    if (next == table.begin()) return table.end();
    auto found = std::prev(next);
    return p <= found->first + found->second.size ? found : table.end();
}

Recording::~Recording() {
    Guard guard(state().lock);
    for (Address p : allocations) {
        auto found = state().allocations.find(p);
        if (found == state().allocations.end() || found->second.recording != this) continue;
        if (found->second.live) found->second.recording = nullptr;
        else drop_allocation(found);
    }
}

bool is_device_memory(Address p) { return find_allocation(p) != state().allocations.end(); }

}  // namespace

void check_range(const char *what, const void *pointer, size_t bytes) {
    if (bytes == 0) return;
    Guard guard(state().lock);
    auto p = reinterpret_cast<Address>(pointer);
    auto found = find_allocation(p);
    if (found == state().allocations.end() || p == found->first + found->second.size) {
        fatal("%s: address %p (%zu bytes) is not in a live allocation", what, pointer, bytes);
    }
    const Allocation &a = found->second;
    if (!a.live) fatal("%s: address %p belongs to a graph that has not allocated it, or has freed it", what, pointer);
    if (p + bytes > found->first + a.size) {
        fatal("%s: %zu bytes from offset %llu of an allocation of %zu bytes", what, bytes, p - found->first, a.size);
    }
}

void check_pointer(const char *what, const void *pointer, int device) {
    if (!pointer) return;
    Guard guard(state().lock);
    auto p = reinterpret_cast<Address>(pointer);
    auto found = find_allocation(p);
    if (found == state().allocations.end()) fatal("%s: the argument %p is not in a live allocation", what, pointer);
    const Allocation &a = found->second;
    if (!a.live) fatal("%s: the argument %p belongs to a graph that has not allocated it, or has freed it", what, pointer);
    if (a.kind == Kind::Device && a.device != device && !state().peers.count({device, a.device})) {
        fatal("%s: the argument %p is memory of device %d, the launch is on device %d", what, pointer, a.device, device);
    }
}

int current_device() { return current_context ? current_context->device : -1; }

bool stream_is_valid(StreamHandle handle) {
    Guard guard(state().lock);
    return resolve(handle) != nullptr;
}

bool stream_is_captured(StreamHandle handle) {
    Guard guard(state().lock);
    Stream *stream = resolve(handle);
    return stream && stream->capture;
}

namespace {

CUresult record(Stream *stream, const char *name, std::function<void()> work) {
    Capture &capture = *stream->capture;
    if (capture.invalid) return CAPTURE_INVALIDATED;
    trace("captured: %s", name);
    capture.recording->operations.push_back({name, std::move(work)});
    stream->last = ++capture.position;
    return SUCCESS;
}

// The legacy stream waits for all blocking streams: not while one is captured.
CUresult check_legacy(Stream *stream, const char *name) {
    if (!stream->legacy) return SUCCESS;
    for (auto &capture : state().captures) {
        for (Stream *captured : capture->streams) {
            if (captured->context == stream->context && !(captured->flags & 1)) {
                capture->invalid = true;
                return refuse(CAPTURE_IMPLICIT, name, "on the legacy stream while a blocking stream is captured");
            }
        }
    }
    return SUCCESS;
}

}  // namespace

CUresult enqueue(StreamHandle handle, const char *name, std::function<void()> work) {
    {
        Guard guard(state().lock);
        Stream *stream = resolve(handle);
        if (!stream) return refuse(INVALID_HANDLE, name, "not a stream");
        if (stream->capture) return record(stream, name, std::move(work));
        CUresult result = check_legacy(stream, name);
        if (result) return result;
    }
    trace("%s", name);
    work();
    return SUCCESS;
}

namespace {

CUresult need_context(const char *function) {
    if (!initialized) return refuse(NOT_INITIALIZED, function, "cuInit has not been called");
    if (!current_context) return refuse(INVALID_CONTEXT, function, "this thread has no current context");
    return SUCCESS;
}

}  // namespace
}  // namespace cuda_emulator

using namespace cuda_emulator;

#define NEED_CONTEXT()                                  \
    do {                                                \
        CUresult r_ = need_context(__func__);           \
        if (r_) return r_;                              \
    } while (0)
#define NEED_NO_CAPTURE()                               \
    do {                                                \
        Guard g_(state().lock);                         \
        CUresult r_ = forbidden_in_capture(__func__);   \
        if (r_) return r_;                              \
    } while (0)

// ---------------------------------------------------------------- errors

EXPORT CUresult cuGetErrorName(CUresult error, const char **text) {
    for (auto &e : errors) {
        if (e.code == error) {
            *text = e.name;
            return SUCCESS;
        }
    }
    *text = nullptr;
    return INVALID_VALUE;
}

EXPORT CUresult cuGetErrorString(CUresult error, const char **text) {
    for (auto &e : errors) {
        if (e.code == error) {
            *text = e.text;
            return SUCCESS;
        }
    }
    *text = nullptr;
    return INVALID_VALUE;
}

// ---------------------------------------------------------------- devices

EXPORT CUresult cuInit(unsigned flags) {
    if (flags) return INVALID_VALUE;
    if (state().devices == 0) return NO_DEVICE;
    watch_for_crashes();
    initialized = true;
    return SUCCESS;
}

EXPORT CUresult cuDriverGetVersion(int *version) {
    *version = 13000;
    return SUCCESS;
}

EXPORT CUresult cuDeviceGetCount(int *count) {
    if (!initialized) return NOT_INITIALIZED;
    *count = state().devices;
    return SUCCESS;
}

static bool is_device(int device) { return device >= 0 && device < state().devices; }

EXPORT CUresult cuDeviceGet(int *device, int ordinal) {
    if (!initialized) return NOT_INITIALIZED;
    if (!is_device(ordinal)) return INVALID_DEVICE;
    *device = ordinal;
    return SUCCESS;
}

EXPORT CUresult cuDeviceGetName(char *name, int length, int device) {
    if (!is_device(device)) return INVALID_DEVICE;
    snprintf(name, static_cast<size_t>(length), "Emulated GPU");
    return SUCCESS;
}

EXPORT CUresult cuDeviceGetUuid_v2(char *uuid, int device) {
    if (!is_device(device)) return INVALID_DEVICE;
    memset(uuid, 0, 16);
    memcpy(uuid, "emulated GPU", 12);
    uuid[15] = static_cast<char>(device);
    return SUCCESS;
}
EXPORT CUresult cuDeviceGetUuid(char *uuid, int device) { return cuDeviceGetUuid_v2(uuid, device); }

EXPORT CUresult cuDeviceTotalMem_v2(size_t *bytes, int device) {
    if (!is_device(device)) return INVALID_DEVICE;
    *bytes = state().total_memory;
    return SUCCESS;
}

EXPORT CUresult cuDeviceComputeCapability(int *major, int *minor, int device) {
    if (!is_device(device)) return INVALID_DEVICE;
    *major = 9;
    *minor = 0;
    return SUCCESS;
}

EXPORT CUresult cuDeviceGetAttribute(int *value, int attribute, int device) {
    if (!is_device(device)) return INVALID_DEVICE;
    switch (attribute) {
        case 1: *value = 1024; break;         // threads per block
        case 2: case 3: *value = 1024; break; // block size in x, y
        case 4: *value = 64; break;           // block size in z
        case 5: *value = 2147483647; break;   // grid size in x
        case 6: case 7: *value = 65535; break;
        case 8: *value = 49152; break;        // shared memory per block
        case 9: *value = 65536; break;        // constant memory
        case 10: *value = 32; break;          // warp size
        case 11: *value = 2147483647; break;  // pitch
        case 12: *value = 65536; break;       // registers per block
        case 13: *value = 1980000; break;     // clock in kHz
        case 14: *value = 512; break;         // texture alignment
        case 15: *value = 1; break;           // overlap
        case 16: *value = 132; break;         // multiprocessors
        case 17: *value = 0; break;           // time limit for kernels
        case 18: *value = 0; break;           // integrated
        case 19: *value = 1; break;           // can map host memory
        case 20: *value = 0; break;           // compute mode
        case 31: *value = 1; break;           // concurrent kernels
        case 32: *value = 1; break;           // ECC
        case 33: *value = device + 1; break;  // PCI bus
        case 34: *value = 0; break;
        case 36: *value = 3201000; break;     // memory clock in kHz
        case 37: *value = 6144; break;        // memory bus width
        case 38: *value = 62914560; break;    // L2 cache
        case 39: *value = 2048; break;        // threads per multiprocessor
        case 40: *value = 3; break;           // copy engines
        case 41: *value = 1; break;           // unified addressing
        case 50: *value = 0; break;           // PCI domain
        case 75: *value = 9; break;           // compute capability
        case 76: *value = 0; break;
        case 78: *value = 1; break;           // stream priorities
        case 81: *value = 233472; break;      // shared memory per multiprocessor
        case 82: *value = 65536; break;       // registers per multiprocessor
        case 83: *value = 1; break;           // managed memory
        case 88: *value = 0; break;           // pageable memory access
        case 89: *value = 1; break;           // concurrent managed access
        case 95: *value = 0; break;           // cooperative launch: not emulated
        case 96: *value = 0; break;
        case 97: *value = 232448; break;      // shared memory per block, opt-in
        case 106: *value = 32; break;         // blocks per multiprocessor
        case 108: *value = 0; break;
        case 109: *value = 0; break;
        case 115: *value = 1; break;          // memory pools
        case 119: *value = 0; break;
        default: return refuse(INVALID_VALUE, "cuDeviceGetAttribute", ("attribute " + std::to_string(attribute) + " is not emulated").c_str());
    }
    return SUCCESS;
}

EXPORT CUresult cuDeviceCanAccessPeer(int *can, int device, int peer) {
    if (!is_device(device) || !is_device(peer)) return INVALID_DEVICE;
    *can = device != peer;
    return SUCCESS;
}

EXPORT CUresult cuCtxEnablePeerAccess(Context *peer, unsigned flags) {
    NEED_CONTEXT();
    if (flags || !peer) return INVALID_VALUE;
    Guard guard(state().lock);
    return state().peers.insert({current_context->device, peer->device}).second ? SUCCESS : PEER_ACCESS_ALREADY_ENABLED;
}

// ---------------------------------------------------------------- contexts

EXPORT CUresult cuDevicePrimaryCtxRetain(Context **context, int device) {
    if (!initialized) return NOT_INITIALIZED;
    if (!is_device(device)) return INVALID_DEVICE;
    Guard guard(state().lock);
    *context = &state().contexts[device];
    (*context)->retained++;
    return SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxRelease_v2(int device) {
    if (!is_device(device)) return INVALID_DEVICE;
    Guard guard(state().lock);
    Context &context = state().contexts[device];
    if (context.retained == 0) return INVALID_CONTEXT;
    context.retained--;
    return SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) {
    if (!is_device(device)) return INVALID_DEVICE;
    *flags = 0;
    *active = state().contexts[device].retained > 0;
    return SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxSetFlags_v2(int device, unsigned) { return is_device(device) ? SUCCESS : INVALID_DEVICE; }

EXPORT CUresult cuCtxGetCurrent(Context **context) {
    *context = current_context;
    return SUCCESS;
}

EXPORT CUresult cuCtxSetCurrent(Context *context) {
    if (context && (context < state().contexts || context >= state().contexts + MAX_DEVICES)) return INVALID_CONTEXT;
    if (context && context->retained == 0) return refuse(INVALID_CONTEXT, "cuCtxSetCurrent", "the context has been released");
    current_context = context;
    return SUCCESS;
}

EXPORT CUresult cuCtxPushCurrent_v2(Context *context) {
    context_stack.push_back(current_context);
    CUresult result = cuCtxSetCurrent(context);
    if (result) context_stack.pop_back();
    return result;
}

EXPORT CUresult cuCtxPopCurrent_v2(Context **context) {
    if (context) *context = current_context;
    if (context_stack.empty()) {
        if (!current_context) return INVALID_CONTEXT;
        current_context = nullptr;
        return SUCCESS;
    }
    current_context = context_stack.back();
    context_stack.pop_back();
    return SUCCESS;
}

EXPORT CUresult cuCtxGetDevice(int *device) {
    NEED_CONTEXT();
    *device = current_context->device;
    return SUCCESS;
}

EXPORT CUresult cuCtxSynchronize() {
    NEED_CONTEXT();
    Guard guard(state().lock);
    for (auto &capture : state().captures) {
        if (capture->origin->context == current_context) {
            capture->invalid = true;
            return refuse(CAPTURE_UNSUPPORTED, "cuCtxSynchronize", "a stream is captured");
        }
    }
    return SUCCESS;
}

EXPORT CUresult cuCtxSetFlags(unsigned) {
    NEED_CONTEXT();
    return SUCCESS;
}

EXPORT CUresult cuCtxGetStreamPriorityRange(int *least, int *greatest) {
    if (least) *least = 0;
    if (greatest) *greatest = -5;
    return SUCCESS;
}

EXPORT CUresult cuCtxGetLimit(size_t *value, int limit) {
    NEED_CONTEXT();
    switch (limit) {
        case 0: *value = 1024; return SUCCESS;
        case 1: *value = 7340032; return SUCCESS;
        case 2: *value = 8388608; return SUCCESS;
        default: return refuse(INVALID_VALUE, "cuCtxGetLimit", "this limit is not emulated");
    }
}

EXPORT CUresult cuCtxCreate_v4(void *, void *, unsigned, int) { not_emulated("cuCtxCreate_v4"); }
EXPORT CUresult cuCtxDestroy_v2(void *) { not_emulated("cuCtxDestroy_v2"); }
EXPORT CUresult cuCtxSetLimit(int, size_t) { not_emulated("cuCtxSetLimit"); }
EXPORT CUresult cuCtxGetCacheConfig(int *) { not_emulated("cuCtxGetCacheConfig"); }
EXPORT CUresult cuCtxSetCacheConfig(int) { not_emulated("cuCtxSetCacheConfig"); }
EXPORT CUresult cuDevicePrimaryCtxReset_v2(int) { not_emulated("cuDevicePrimaryCtxReset_v2"); }
EXPORT CUresult cuProfilerStart() { return SUCCESS; }
EXPORT CUresult cuProfilerStop() { return SUCCESS; }

// ---------------------------------------------------------------- allocation

EXPORT CUresult cuMemGetInfo_v2(size_t *available, size_t *total) {
    NEED_CONTEXT();
    Guard guard(state().lock);
    *total = state().total_memory;
    *available = *total - state().used[current_context->device];
    return SUCCESS;
}

EXPORT CUresult cuMemAlloc_v2(Address *p, size_t bytes) {
    NEED_CONTEXT();
    NEED_NO_CAPTURE();
    if (!p || bytes == 0) return INVALID_VALUE;
    Guard guard(state().lock);
    trace("cuMemAlloc %zu", bytes);
    return allocate(p, bytes, current_context->device, Kind::Device, false, nullptr);
}

EXPORT CUresult cuMemAllocManaged(Address *p, size_t bytes, unsigned) {
    NEED_CONTEXT();
    NEED_NO_CAPTURE();
    if (!p || bytes == 0) return INVALID_VALUE;
    Guard guard(state().lock);
    return allocate(p, bytes, current_context->device, Kind::Managed, false, nullptr);
}

static CUresult allocate_ordered(const char *name, Address *p, size_t bytes, Pool *pool, StreamHandle handle) {
    if (!p) return INVALID_VALUE;
    Guard guard(state().lock);
    Stream *stream = resolve(handle);
    if (!stream) return refuse(INVALID_HANDLE, name, "not a stream");
    int device = pool ? pool->device : stream->context->device;
    if (bytes == 0) {
        *p = 0;
        return SUCCESS;
    }
    if (!stream->capture) {
        CUresult result = check_legacy(stream, name);
        if (result) return result;
        trace("%s %zu", name, bytes);
        return allocate(p, bytes, device, Kind::Device, true, nullptr);
    }
    if (stream->capture->invalid) return CAPTURE_INVALIDATED;
    Recording *recording = stream->capture->recording.get();
    CUresult result = allocate(p, bytes, device, Kind::Device, true, recording);
    if (result) return result;
    recording->allocations.push_back(*p);
    Address address = *p;
    return record(stream, name, [address, bytes] {
        Guard inner(state().lock);
        auto found = state().allocations.find(address);
        if (found == state().allocations.end() || found->second.live) {
            fatal("a graph allocates memory at 0x%llx, which is in use", address);
        }
        found->second.live = true;
        memset(reinterpret_cast<void *>(address), 0xff, bytes);
    });
}

EXPORT CUresult cuMemAllocAsync(Address *p, size_t bytes, StreamHandle stream) {
    NEED_CONTEXT();
    return allocate_ordered("cuMemAllocAsync", p, bytes, nullptr, stream);
}

EXPORT CUresult cuMemAllocFromPoolAsync(Address *p, size_t bytes, Pool *pool, StreamHandle stream) {
    NEED_CONTEXT();
    if (!pool) return INVALID_VALUE;
    return allocate_ordered("cuMemAllocFromPoolAsync", p, bytes, pool, stream);
}

static CUresult release(const char *name, Address p) {
    Guard guard(state().lock);
    if (p == 0) return SUCCESS;
    auto found = state().allocations.find(p);
    if (found == state().allocations.end()) fatal("%s: 0x%llx is not the start of a live allocation", name, p);
    if (found->second.kind == Kind::Host) fatal("%s: 0x%llx is host memory", name, p);
    if (!found->second.live) {
        return refuse(INVALID_VALUE, name, "the memory belongs to a graph that has not allocated it, or has freed it");
    }
    trace("%s %zu", name, found->second.size);
    if (found->second.recording) {
        // The graph keeps the address for its next launch.
        check_margins(p, found->second);
        found->second.live = false;
        memset(reinterpret_cast<void *>(p), 0xff, found->second.size);
    } else {
        drop_allocation(found);
    }
    return SUCCESS;
}

EXPORT CUresult cuMemFree_v2(Address p) {
    NEED_CONTEXT();
    NEED_NO_CAPTURE();
    return release("cuMemFree", p);
}

EXPORT CUresult cuMemFreeAsync(Address p, StreamHandle handle) {
    NEED_CONTEXT();
    Guard guard(state().lock);
    Stream *stream = resolve(handle);
    if (!stream) return refuse(INVALID_HANDLE, "cuMemFreeAsync", "not a stream");
    if (p == 0) return SUCCESS;
    if (!stream->capture) {
        CUresult result = check_legacy(stream, "cuMemFreeAsync");
        return result ? result : release("cuMemFreeAsync", p);
    }
    if (stream->capture->invalid) return CAPTURE_INVALIDATED;
    Recording *recording = stream->capture->recording.get();
    auto found = state().allocations.find(p);
    if (found == state().allocations.end()) fatal("cuMemFreeAsync: 0x%llx is not the start of a live allocation", p);
    if (found->second.recording && found->second.recording != recording) {
        not_emulated("cuMemFreeAsync, in a capture, of memory of another graph");
    }
    if (!found->second.recording) {
        return refuse(INVALID_VALUE, "cuMemFreeAsync", "in a capture only memory that a graph allocates can be freed");
    }
    return record(stream, "cuMemFreeAsync", [p] {
        Guard inner(state().lock);
        auto node = state().allocations.find(p);
        if (node == state().allocations.end() || !node->second.live) fatal("a graph frees memory that is not allocated");
        check_margins(p, node->second);
        node->second.live = false;
        memset(reinterpret_cast<void *>(p), 0xff, node->second.size);
    });
}

EXPORT CUresult cuMemHostAlloc(void **p, size_t bytes, unsigned) {
    NEED_CONTEXT();
    NEED_NO_CAPTURE();
    if (!p || bytes == 0) return INVALID_VALUE;
    Guard guard(state().lock);
    Address address;
    CUresult result = allocate(&address, bytes, current_context->device, Kind::Host, false, nullptr);
    if (!result) *p = reinterpret_cast<void *>(address);
    return result;
}
EXPORT CUresult cuMemAllocHost_v2(void **p, size_t bytes) { return cuMemHostAlloc(p, bytes, 0); }

EXPORT CUresult cuMemFreeHost(void *p) {
    NEED_CONTEXT();
    NEED_NO_CAPTURE();
    Guard guard(state().lock);
    auto found = state().allocations.find(reinterpret_cast<Address>(p));
    if (found == state().allocations.end() || found->second.kind != Kind::Host) {
        return refuse(INVALID_VALUE, "cuMemFreeHost", "not host memory of cuMemHostAlloc");
    }
    drop_allocation(found);
    return SUCCESS;
}

EXPORT CUresult cuMemHostGetDevicePointer_v2(Address *out, void *p, unsigned) {
    if (!is_device_memory(reinterpret_cast<Address>(p))) return INVALID_VALUE;
    *out = reinterpret_cast<Address>(p);
    return SUCCESS;
}

EXPORT CUresult cuMemGetAddressRange_v2(Address *base, size_t *size, Address p) {
    Guard guard(state().lock);
    auto found = find_allocation(p);
    if (found == state().allocations.end() || p == found->first + found->second.size) return NOT_FOUND;
    if (base) *base = found->first;
    if (size) *size = found->second.size;
    return SUCCESS;
}

EXPORT CUresult cuDeviceGetDefaultMemPool(Pool **pool, int device) {
    if (!is_device(device)) return INVALID_DEVICE;
    *pool = &state().pools[device];
    return SUCCESS;
}

EXPORT CUresult cuDeviceGetMemPool(Pool **pool, int device) {
    if (!is_device(device)) return INVALID_DEVICE;
    *pool = state().pool_of[device];
    return SUCCESS;
}

EXPORT CUresult cuDeviceSetMemPool(int device, Pool *pool) {
    if (!is_device(device)) return INVALID_DEVICE;
    if (!pool || pool->device != device) return INVALID_VALUE;
    state().pool_of[device] = pool;
    return SUCCESS;
}

EXPORT CUresult cuDeviceGraphMemTrim(int) { return SUCCESS; }

// All that graphs allocate, at once: more than a driver needs, which uses memory again within a graph.
EXPORT CUresult cuDeviceGetGraphMemAttribute(int device, int attribute, void *value) {
    if (!value || attribute < 0 || attribute > 3) return INVALID_VALUE;
    Guard guard(state().lock);
    uint64_t bytes = 0;
    for (auto &allocation : state().allocations) {
        if (allocation.second.recording && allocation.second.device == device) bytes += allocation.second.size;
    }
    *static_cast<uint64_t *>(value) = bytes;
    return SUCCESS;
}

EXPORT CUresult cuMemPoolTrimTo(Pool *pool, size_t) { return pool ? SUCCESS : INVALID_VALUE; }

EXPORT CUresult cuMemPoolSetAttribute(Pool *pool, int attribute, void *value) {
    if (!pool || !value) return INVALID_VALUE;
    switch (attribute) {
        case 1: case 2: case 3: return SUCCESS;  // how memory is reused: it is not
        case 4: memcpy(&pool->release_threshold, value, 8); return SUCCESS;
        case 6: case 8: {
            Guard guard(state().lock);
            unsigned long long zero;
            memcpy(&zero, value, 8);
            if (zero) return INVALID_VALUE;
            state().peak[pool->device] = state().used[pool->device];
            return SUCCESS;
        }
        default: return INVALID_VALUE;
    }
}

EXPORT CUresult cuMemPoolGetAttribute(Pool *pool, int attribute, void *value) {
    if (!pool || !value) return INVALID_VALUE;
    Guard guard(state().lock);
    unsigned long long v;
    switch (attribute) {
        case 1: case 2: case 3: *static_cast<int *>(value) = 1; return SUCCESS;
        case 4: v = pool->release_threshold; break;
        case 5: case 7: v = state().used[pool->device]; break;
        case 6: case 8: v = state().peak[pool->device]; break;
        default: return INVALID_VALUE;
    }
    memcpy(value, &v, 8);
    return SUCCESS;
}

EXPORT CUresult cuMemPoolCreate(void *, const void *) { not_emulated("cuMemPoolCreate"); }
EXPORT CUresult cuMemPoolDestroy(void *) { not_emulated("cuMemPoolDestroy"); }
EXPORT CUresult cuMemAdvise_v2(Address, size_t, int, ...) { not_emulated("cuMemAdvise_v2"); }
EXPORT CUresult cuMemPrefetchAsync_v2(Address, size_t, ...) { not_emulated("cuMemPrefetchAsync_v2"); }
EXPORT CUresult cuStreamAttachMemAsync(void *, Address, size_t, unsigned) { not_emulated("cuStreamAttachMemAsync"); }
EXPORT CUresult cuImportExternalMemory(void *, const void *) { not_emulated("cuImportExternalMemory"); }
EXPORT CUresult cuDestroyExternalMemory(void *) { not_emulated("cuDestroyExternalMemory"); }
EXPORT CUresult cuExternalMemoryGetMappedBuffer(void *, void *, const void *) { not_emulated("cuExternalMemoryGetMappedBuffer"); }
EXPORT CUresult cuPointerGetAttribute(void *, int, Address) { not_emulated("cuPointerGetAttribute"); }

// ---------------------------------------------------------------- copies

static void warn_of_pageable(const char *name, const void *p, StreamHandle handle) {
    Guard guard(state().lock);
    Stream *stream = resolve(handle);
    if (stream && stream->capture && !is_device_memory(reinterpret_cast<Address>(p))) {
        warn("%s of pageable host memory at %p is captured: every launch of the graph uses that address", name, p);
    }
}

static CUresult copy(const char *name, StreamHandle stream, void *to, const void *from, size_t bytes, bool to_device, bool from_device) {
    return enqueue(stream, name, [=] {
        if (bytes == 0) return;
        if (to_device) check_range(name, to, bytes);
        if (from_device) check_range(name, from, bytes);
        memmove(to, from, bytes);
    });
}

EXPORT CUresult cuMemcpyHtoDAsync_v2(Address to, const void *from, size_t bytes, StreamHandle stream) {
    NEED_CONTEXT();
    warn_of_pageable("cuMemcpyHtoDAsync", from, stream);
    return copy("cuMemcpyHtoDAsync", stream, reinterpret_cast<void *>(to), from, bytes, true, false);
}
EXPORT CUresult cuMemcpyDtoHAsync_v2(void *to, Address from, size_t bytes, StreamHandle stream) {
    NEED_CONTEXT();
    warn_of_pageable("cuMemcpyDtoHAsync", to, stream);
    return copy("cuMemcpyDtoHAsync", stream, to, reinterpret_cast<void *>(from), bytes, false, true);
}
EXPORT CUresult cuMemcpyDtoDAsync_v2(Address to, Address from, size_t bytes, StreamHandle stream) {
    NEED_CONTEXT();
    return copy("cuMemcpyDtoDAsync", stream, reinterpret_cast<void *>(to), reinterpret_cast<void *>(from), bytes, true, true);
}
EXPORT CUresult cuMemcpyPeerAsync(Address to, Context *, Address from, Context *, size_t bytes, StreamHandle stream) {
    NEED_CONTEXT();
    return copy("cuMemcpyPeerAsync", stream, reinterpret_cast<void *>(to), reinterpret_cast<void *>(from), bytes, true, true);
}
EXPORT CUresult cuMemcpyHtoD_v2(Address to, const void *from, size_t bytes) {
    NEED_CONTEXT();
    NEED_NO_CAPTURE();
    return copy("cuMemcpyHtoD", nullptr, reinterpret_cast<void *>(to), from, bytes, true, false);
}
EXPORT CUresult cuMemcpyDtoH_v2(void *to, Address from, size_t bytes) {
    NEED_CONTEXT();
    NEED_NO_CAPTURE();
    return copy("cuMemcpyDtoH", nullptr, to, reinterpret_cast<void *>(from), bytes, false, true);
}
EXPORT CUresult cuMemcpyDtoD_v2(Address to, Address from, size_t bytes) {
    NEED_CONTEXT();
    NEED_NO_CAPTURE();
    return copy("cuMemcpyDtoD", nullptr, reinterpret_cast<void *>(to), reinterpret_cast<void *>(from), bytes, true, true);
}
EXPORT CUresult cuMemcpyPeer(Address to, Context *, Address from, Context *, size_t bytes) {
    NEED_CONTEXT();
    NEED_NO_CAPTURE();
    return copy("cuMemcpyPeer", nullptr, reinterpret_cast<void *>(to), reinterpret_cast<void *>(from), bytes, true, true);
}
EXPORT CUresult cuMemcpyAsync(Address, Address, size_t, StreamHandle) { not_emulated("cuMemcpyAsync"); }

template <class T>
static CUresult fill(const char *name, StreamHandle stream, Address to, T value, size_t count) {
    if (to % sizeof(T)) return INVALID_VALUE;
    return enqueue(stream, name, [=] {
        T *p = reinterpret_cast<T *>(to);
        check_range(name, p, count * sizeof(T));
        for (size_t i = 0; i < count; i++) p[i] = value;
    });
}

#define MEMSET(BITS, T)                                                                              \
    EXPORT CUresult cuMemsetD##BITS##Async(Address to, T value, size_t count, StreamHandle stream) { \
        NEED_CONTEXT();                                                                              \
        return fill<T>("cuMemsetD" #BITS "Async", stream, to, value, count);                         \
    }                                                                                                \
    EXPORT CUresult cuMemsetD##BITS##_v2(Address to, T value, size_t count) {                        \
        NEED_CONTEXT();                                                                              \
        NEED_NO_CAPTURE();                                                                           \
        return fill<T>("cuMemsetD" #BITS, nullptr, to, value, count);                                \
    }
MEMSET(8, unsigned char)
MEMSET(16, unsigned short)
MEMSET(32, unsigned int)

// ---------------------------------------------------------------- streams

EXPORT CUresult cuStreamCreateWithPriority(Stream **stream, unsigned flags, int priority) {
    NEED_CONTEXT();
    if (flags > 1) return INVALID_VALUE;
    Guard guard(state().lock);
    *stream = new Stream{current_context, flags, priority, false, nullptr};
    state().streams.insert(*stream);
    return SUCCESS;
}
EXPORT CUresult cuStreamCreate(Stream **stream, unsigned flags) { return cuStreamCreateWithPriority(stream, flags, 0); }

EXPORT CUresult cuStreamDestroy_v2(Stream *stream) {
    Guard guard(state().lock);
    if (!state().streams.count(stream)) return refuse(INVALID_HANDLE, "cuStreamDestroy", "not a stream");
    if (stream->capture) {
        stream->capture->invalid = true;
        for (Stream *other : stream->capture->streams) {
            if (other != stream) other->capture->streams.erase(stream);
        }
        if (stream->capture->origin == stream) {
            auto capture = stream->capture;
            for (Stream *other : capture->streams) other->capture = nullptr;
            state().captures.erase(capture);
        }
    }
    state().streams.erase(stream);
    delete stream;
    return SUCCESS;
}

static CUresult stream_for(const char *name, StreamHandle handle, Stream **stream) {
    *stream = resolve(handle);
    return *stream ? SUCCESS : refuse(INVALID_HANDLE, name, "not a stream");
}

static CUresult wait_for_stream(const char *name, StreamHandle handle) {
    NEED_CONTEXT();
    Guard guard(state().lock);
    Stream *stream;
    CUresult result = stream_for(name, handle, &stream);
    if (result) return result;
    if (stream->capture) {
        stream->capture->invalid = true;
        return refuse(CAPTURE_UNSUPPORTED, name, "the stream is captured");
    }
    return check_legacy(stream, name);
}
EXPORT CUresult cuStreamSynchronize(StreamHandle stream) { return wait_for_stream("cuStreamSynchronize", stream); }
EXPORT CUresult cuStreamQuery(StreamHandle stream) { return wait_for_stream("cuStreamQuery", stream); }

EXPORT CUresult cuStreamGetCtx(StreamHandle handle, Context **context) {
    Guard guard(state().lock);
    Stream *stream;
    CUresult result = stream_for("cuStreamGetCtx", handle, &stream);
    if (!result) *context = stream->context;
    return result;
}

EXPORT CUresult cuStreamGetPriority(StreamHandle handle, int *priority) {
    Guard guard(state().lock);
    Stream *stream;
    CUresult result = stream_for("cuStreamGetPriority", handle, &stream);
    if (!result) *priority = stream->priority;
    return result;
}

EXPORT CUresult cuStreamGetFlags(StreamHandle handle, unsigned *flags) {
    Guard guard(state().lock);
    Stream *stream;
    CUresult result = stream_for("cuStreamGetFlags", handle, &stream);
    if (!result) *flags = stream->flags;
    return result;
}

EXPORT CUresult cuLaunchHostFunc(StreamHandle stream, void (*f)(void *), void *data) {
    NEED_CONTEXT();
    return enqueue(stream, "cuLaunchHostFunc", [=] { f(data); });
}

// ---------------------------------------------------------------- events

EXPORT CUresult cuEventCreate(Event **event, unsigned flags) {
    NEED_CONTEXT();
    Guard guard(state().lock);
    *event = new Event;
    (*event)->context = current_context;
    (*event)->flags = flags;
    state().events.insert(*event);
    return SUCCESS;
}

EXPORT CUresult cuEventDestroy_v2(Event *event) {
    Guard guard(state().lock);
    if (!state().events.erase(event)) return refuse(INVALID_HANDLE, "cuEventDestroy", "not an event");
    delete event;
    return SUCCESS;
}

EXPORT CUresult cuEventRecord(Event *event, StreamHandle handle) {
    NEED_CONTEXT();
    Guard guard(state().lock);
    if (!state().events.count(event)) return refuse(INVALID_HANDLE, "cuEventRecord", "not an event");
    Stream *stream;
    CUresult result = stream_for("cuEventRecord", handle, &stream);
    if (result) return result;
    if (stream->context != event->context) return refuse(INVALID_HANDLE, "cuEventRecord", "event and stream are of different contexts");
    if (stream->capture) {
        if (stream->capture->invalid) return CAPTURE_INVALIDATED;
        event->captured = true;
        event->capture = stream->capture;
        event->stream = stream;
        event->position = stream->last;
        return SUCCESS;
    }
    result = check_legacy(stream, "cuEventRecord");
    if (result) return result;
    event->captured = false;
    event->recorded = true;
    event->time = std::chrono::steady_clock::now();
    return SUCCESS;
}

EXPORT CUresult cuEventRecordWithFlags(Event *event, StreamHandle stream, unsigned flags) {
    if (flags) not_emulated("cuEventRecordWithFlags with flags");
    return cuEventRecord(event, stream);
}

static CUresult event_done(const char *name, Event *event) {
    NEED_CONTEXT();
    Guard guard(state().lock);
    if (!state().events.count(event)) return refuse(INVALID_HANDLE, name, "not an event");
    CUresult result = forbidden_in_capture(name);
    if (result) return result;
    if (event->captured) return refuse(CAPTURED_EVENT, name, "the event was last recorded in a captured stream");
    return SUCCESS;
}
EXPORT CUresult cuEventQuery(Event *event) { return event_done("cuEventQuery", event); }
EXPORT CUresult cuEventSynchronize(Event *event) { return event_done("cuEventSynchronize", event); }

EXPORT CUresult cuEventElapsedTime_v2(float *milliseconds, Event *start, Event *end) {
    Guard guard(state().lock);
    if (!state().events.count(start) || !state().events.count(end)) return INVALID_HANDLE;
    if (!start->recorded || !end->recorded || ((start->flags | end->flags) & 2)) return INVALID_HANDLE;
    if (start->captured || end->captured) return CAPTURED_EVENT;
    *milliseconds = std::chrono::duration<float, std::milli>(end->time - start->time).count();
    return SUCCESS;
}
EXPORT CUresult cuEventElapsedTime(float *ms, Event *start, Event *end) { return cuEventElapsedTime_v2(ms, start, end); }

EXPORT CUresult cuStreamWaitEvent(StreamHandle handle, Event *event, unsigned) {
    NEED_CONTEXT();
    Guard guard(state().lock);
    if (!state().events.count(event)) return refuse(INVALID_HANDLE, "cuStreamWaitEvent", "not an event");
    Stream *stream;
    CUresult result = stream_for("cuStreamWaitEvent", handle, &stream);
    if (result) return result;
    std::shared_ptr<Capture> capture = event->captured ? event->capture.lock() : nullptr;
    if (event->captured && (!capture || !state().captures.count(capture))) {
        return refuse(INVALID_VALUE, "cuStreamWaitEvent", "the event was recorded in a capture that has ended");
    }
    if (!stream->capture && !capture) return check_legacy(stream, "cuStreamWaitEvent");
    if (stream->capture && stream->capture->invalid) return CAPTURE_INVALIDATED;
    if (!stream->capture) {
        // The stream joins the capture.
        if (stream->legacy) {
            capture->invalid = true;
            return refuse(CAPTURE_IMPLICIT, "cuStreamWaitEvent", "the legacy stream cannot be captured");
        }
        stream->capture = capture;
        stream->last = stream->joined = 0;
        capture->streams.insert(stream);
        return SUCCESS;
    }
    if (!capture) {
        if (!event->recorded) return SUCCESS;
        stream->capture->invalid = true;
        return refuse(CAPTURE_ISOLATION, "cuStreamWaitEvent", "a captured stream waits for an event from outside of the capture");
    }
    if (capture != stream->capture) {
        stream->capture->invalid = true;
        capture->invalid = true;
        return refuse(CAPTURE_MERGE, "cuStreamWaitEvent", "the event is of another capture");
    }
    if (event->stream != stream && state().captures.count(capture)) {
        for (Stream *other : capture->streams) {
            if (other == event->stream && other->joined < event->position) other->joined = event->position;
        }
    }
    return SUCCESS;
}

// ---------------------------------------------------------------- modules

static CUresult load_module(Module **module, const char *image, const char *function) {
    NEED_CONTEXT();
    NEED_NO_CAPTURE();
    if (!image || !module) return INVALID_VALUE;
    if (!memcmp(image, "\x7f" "ELF", 4) || !memcmp(image, "\x50\xed\x55\xba", 4)) {
        return refuse(INVALID_IMAGE, function, "the image is not PTX text");
    }
    Guard guard(state().lock);
    auto *m = new Module;
    m->context = current_context;
    m->has_names = false;
    for (const char *p = image; (p = strstr(p, ".entry")) != nullptr;) {
        p += 6;
        if (*p != ' ' && *p != '\t' && *p != '\n') continue;
        p += strspn(p, " \t\r\n");
        size_t n = strcspn(p, " \t\r\n(");
        m->names.insert(std::string(p, n));
        m->has_names = true;
    }
    state().modules.insert(m);
    *module = m;
    return SUCCESS;
}

EXPORT CUresult cuModuleLoadData(Module **module, const void *image) {
    return load_module(module, static_cast<const char *>(image), "cuModuleLoadData");
}
EXPORT CUresult cuModuleLoadDataEx(Module **module, const void *image, unsigned, int *, void **) {
    return load_module(module, static_cast<const char *>(image), "cuModuleLoadDataEx");
}

EXPORT CUresult cuModuleLoad(Module **module, const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) return refuse(FILE_NOT_FOUND, "cuModuleLoad", path);
    std::string text;
    char part[65536];
    size_t n;
    while ((n = fread(part, 1, sizeof part, file)) > 0) text.append(part, n);
    fclose(file);
    return load_module(module, text.c_str(), "cuModuleLoad");
}

EXPORT CUresult cuModuleUnload(Module *module) {
    Guard guard(state().lock);
    if (!state().modules.erase(module)) return refuse(INVALID_HANDLE, "cuModuleUnload", "not a module");
    for (Function *f : module->functions) {
        state().functions.erase(f);
        delete f;
    }
    delete module;
    return SUCCESS;
}

EXPORT CUresult cuModuleGetFunction(Function **function, Module *module, const char *name) {
    NEED_CONTEXT();
    Guard guard(state().lock);
    if (!state().modules.count(module)) return refuse(INVALID_HANDLE, "cuModuleGetFunction", "not a module");
    if (module->has_names && !module->names.count(name)) {
        warn("cuModuleGetFunction: the PTX of the module has no entry %s", name);
        return NOT_FOUND;
    }
    const Kernel *kernel = find_kernel(name);
    if (!kernel) {
        warn("cuModuleGetFunction: no kernel of the name %s is compiled into the emulator", name);
        return NOT_FOUND;
    }
    for (Function *f : module->functions) {
        if (f->kernel == kernel) {
            *function = f;
            return SUCCESS;
        }
    }
    auto *f = new Function;
    f->module = module;
    f->kernel = kernel;
    module->functions.push_back(f);
    state().functions.insert(f);
    *function = f;
    return SUCCESS;
}

EXPORT CUresult cuModuleGetGlobal_v2(Address *, size_t *, Module *, const char *name) {
    warn("cuModuleGetGlobal: %s: variables of modules are not emulated", name);
    return NOT_FOUND;
}

static bool is_function(Function *f) { return state().functions.count(f) != 0; }

EXPORT CUresult cuFuncGetName(const char **name, Function *f) {
    Guard guard(state().lock);
    if (!is_function(f)) return INVALID_HANDLE;
    *name = f->kernel->name;
    return SUCCESS;
}

EXPORT CUresult cuFuncGetAttribute(int *value, int attribute, Function *f) {
    Guard guard(state().lock);
    if (!is_function(f)) return INVALID_HANDLE;
    switch (attribute) {
        case 0: *value = static_cast<int>(f->kernel->max_threads); break;
        case 1: *value = 0; break;   // static shared memory: unknown here
        case 2: *value = 0; break;   // constant memory
        case 3: *value = 0; break;   // local memory
        case 4: *value = 32; break;  // registers
        case 5: case 6: *value = 90; break;
        case 7: *value = 0; break;
        case 8: *value = f->max_dynamic_shared; break;
        case 9: *value = -1; break;
        default: return refuse(INVALID_VALUE, "cuFuncGetAttribute", "this attribute is not emulated");
    }
    return SUCCESS;
}

EXPORT CUresult cuFuncSetAttribute(Function *f, int attribute, int value) {
    Guard guard(state().lock);
    if (!is_function(f)) return INVALID_HANDLE;
    if (attribute == 8) {
        if (value < 0 || value > 232448) return INVALID_VALUE;
        f->max_dynamic_shared = value;
        return SUCCESS;
    }
    if (attribute == 9) return value >= -1 && value <= 100 ? SUCCESS : INVALID_VALUE;
    return refuse(INVALID_VALUE, "cuFuncSetAttribute", "this attribute is not emulated");
}

EXPORT CUresult cuFuncSetCacheConfig(Function *f, int) {
    Guard guard(state().lock);
    return is_function(f) ? SUCCESS : INVALID_HANDLE;
}

static int blocks_per_multiprocessor(Function *f, int block, size_t dynamic) {
    if (block <= 0 || block > static_cast<int>(f->kernel->max_threads)) return 0;
    int warps = (block + 31) / 32;
    int blocks = 64 / warps;
    if (blocks > 32) blocks = 32;
    size_t each = dynamic + 1024;
    int by_shared = static_cast<int>(233472 / each);
    return blocks < by_shared ? blocks : by_shared;
}

EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, Function *f, int block, size_t dynamic, unsigned) {
    Guard guard(state().lock);
    if (!is_function(f)) return INVALID_HANDLE;
    *blocks = blocks_per_multiprocessor(f, block, dynamic);
    return SUCCESS;
}
EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, Function *f, int block, size_t dynamic) {
    return cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, f, block, dynamic, 0);
}

EXPORT CUresult cuOccupancyMaxPotentialBlockSizeWithFlags(int *grid, int *block, Function *f, size_t (*dynamic_of)(int), size_t dynamic, int limit, unsigned) {
    Guard guard(state().lock);
    if (!is_function(f)) return INVALID_HANDLE;
    int most = static_cast<int>(f->kernel->max_threads);
    if (limit > 0 && limit < most) most = limit;
    int best = 0, best_threads = -1, best_blocks = 0;
    for (int size = (most + 31) / 32 * 32; size > 0; size -= 32) {
        int b = size > most ? most : size;
        int blocks = blocks_per_multiprocessor(f, b, dynamic_of ? dynamic_of(b) : dynamic);
        if (blocks * b > best_threads) {
            best_threads = blocks * b;
            best = b;
            best_blocks = blocks;
        }
    }
    *block = best;
    *grid = best_blocks * 132;
    return SUCCESS;
}
EXPORT CUresult cuOccupancyMaxPotentialBlockSize(int *grid, int *block, Function *f, size_t (*dynamic_of)(int), size_t dynamic, int limit) {
    return cuOccupancyMaxPotentialBlockSizeWithFlags(grid, block, f, dynamic_of, dynamic, limit, 0);
}

EXPORT CUresult cuOccupancyAvailableDynamicSMemPerBlock(size_t *, Function *, int, int) { not_emulated("cuOccupancyAvailableDynamicSMemPerBlock"); }
EXPORT CUresult cuOccupancyMaxActiveClusters(int *, Function *, const void *) { not_emulated("cuOccupancyMaxActiveClusters"); }
EXPORT CUresult cuOccupancyMaxPotentialClusterSize(int *, Function *, const void *) { not_emulated("cuOccupancyMaxPotentialClusterSize"); }

// ---------------------------------------------------------------- launches

EXPORT CUresult cuLaunchKernel(Function *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                               unsigned shared, StreamHandle handle, void **parameters, void **extra) {
    NEED_CONTEXT();
    const Kernel *kernel;
    int device;
    {
        Guard guard(state().lock);
        if (!is_function(f)) return refuse(INVALID_HANDLE, "cuLaunchKernel", "not a function");
        kernel = f->kernel;
        Stream *stream;
        CUresult result = stream_for("cuLaunchKernel", handle, &stream);
        if (result) return result;
        if (stream->context != f->module->context) {
            warn("cuLaunchKernel: %s is of device %d, the stream of device %d", kernel->name, f->module->context->device, stream->context->device);
            return INVALID_HANDLE;
        }
        device = stream->context->device;
        if (extra) not_emulated("cuLaunchKernel with `extra`");
        if (!gx || !gy || !gz || !bx || !by || !bz || gx > 2147483647u || gy > 65535 || gz > 65535 || bx > 1024 ||
            by > 1024 || bz > 64 || uint64_t(bx) * by * bz > kernel->max_threads ||
            shared > static_cast<unsigned>(f->max_dynamic_shared)) {
            warn("cuLaunchKernel: %s: grid (%u, %u, %u), block (%u, %u, %u) of at most %u threads, %u bytes of shared memory of at most %d",
                 kernel->name, gx, gy, gz, bx, by, bz, kernel->max_threads, shared, f->max_dynamic_shared);
            return INVALID_VALUE;
        }
        if (kernel->parameter_count && !parameters) return INVALID_VALUE;
    }
    // The arguments are read now: the caller may change them afterwards.
    std::vector<size_t> offsets;
    size_t total = 0;
    for (unsigned i = 0; i < kernel->parameter_count; i++) {
        size_t align = kernel->parameters[i].align;
        total = (total + align - 1) / align * align;
        offsets.push_back(total);
        total += kernel->parameters[i].size;
    }
    auto values = std::make_shared<std::vector<std::max_align_t>>((total + sizeof(std::max_align_t)) / sizeof(std::max_align_t));
    char *base = reinterpret_cast<char *>(values->data());
    std::vector<void *> pointers;
    for (unsigned i = 0; i < kernel->parameter_count; i++) {
        memcpy(base + offsets[i], parameters[i], kernel->parameters[i].size);
        pointers.push_back(base + offsets[i]);
    }
    trace("launch %s, grid (%u, %u, %u), block (%u, %u, %u), shared %u", kernel->name, gx, gy, gz, bx, by, bz, shared);
    return enqueue(handle, kernel->name, [=] {
        for (unsigned i = 0; i < kernel->parameter_count; i++) {
            if (kernel->parameters[i].pointer) check_pointer(kernel->name, *static_cast<void **>(pointers[i]), device);
        }
        (void)values;
        run_grid(kernel, {gx, gy, gz}, {bx, by, bz}, shared, pointers.data());
    });
}

EXPORT CUresult cuLaunchCooperativeKernel(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **) {
    not_emulated("cuLaunchCooperativeKernel");
}

// ---------------------------------------------------------------- capture and graphs

EXPORT CUresult cuThreadExchangeStreamCaptureMode(int *mode) {
    if (!mode || *mode < 0 || *mode > 2) return INVALID_VALUE;
    std::swap(*mode, capture_interaction);
    return SUCCESS;
}

EXPORT CUresult cuStreamBeginCapture_v2(StreamHandle handle, int mode) {
    NEED_CONTEXT();
    if (mode < 0 || mode > 2) return INVALID_VALUE;
    Guard guard(state().lock);
    Stream *stream;
    CUresult result = stream_for("cuStreamBeginCapture", handle, &stream);
    if (result) return result;
    if (stream->legacy) return refuse(CAPTURE_UNSUPPORTED, "cuStreamBeginCapture", "the legacy stream cannot be captured");
    if (stream->capture) return refuse(INVALID_VALUE, "cuStreamBeginCapture", "the stream is already captured");
    auto capture = std::make_shared<Capture>();
    capture->mode = mode;
    capture->owner = std::this_thread::get_id();
    capture->origin = stream;
    capture->streams.insert(stream);
    stream->capture = capture;
    stream->last = stream->joined = 0;
    state().captures.insert(capture);
    trace("capture begins");
    return SUCCESS;
}

EXPORT CUresult cuStreamIsCapturing(StreamHandle handle, int *status) {
    NEED_CONTEXT();
    Guard guard(state().lock);
    Stream *stream;
    CUresult result = stream_for("cuStreamIsCapturing", handle, &stream);
    if (result) return result;
    *status = !stream->capture ? 0 : stream->capture->invalid ? 2 : 1;
    return stream->legacy ? check_legacy(stream, "cuStreamIsCapturing") : SUCCESS;
}

EXPORT CUresult cuStreamEndCapture(StreamHandle handle, Graph **graph) {
    NEED_CONTEXT();
    Guard guard(state().lock);
    Stream *stream;
    CUresult result = stream_for("cuStreamEndCapture", handle, &stream);
    if (result) return result;
    *graph = nullptr;
    auto capture = stream->capture;
    if (!capture) return refuse(INVALID_VALUE, "cuStreamEndCapture", "the stream is not captured");
    if (capture->mode != 2 && capture->owner != std::this_thread::get_id()) {
        return refuse(CAPTURE_WRONG_THREAD, "cuStreamEndCapture", "another thread began the capture");
    }
    if (capture->origin != stream) {
        capture->invalid = true;
        return refuse(CAPTURE_UNMATCHED, "cuStreamEndCapture", "the capture began on another stream");
    }
    bool unjoined = false;
    for (Stream *other : capture->streams) {
        if (other != stream && other->last > other->joined) unjoined = true;
        other->capture = nullptr;
    }
    state().captures.erase(capture);
    trace("capture ends: %zu operations", capture->recording->operations.size());
    if (capture->invalid) return refuse(CAPTURE_INVALIDATED, "cuStreamEndCapture", "the capture has been spoiled");
    if (unjoined) return refuse(CAPTURE_UNJOINED, "cuStreamEndCapture", "another stream of the capture has not been joined");
    *graph = new Graph{capture->recording};
    state().graphs.insert(*graph);
    return SUCCESS;
}

EXPORT CUresult cuGraphDestroy(Graph *graph) {
    Guard guard(state().lock);
    if (!state().graphs.erase(graph)) return refuse(INVALID_VALUE, "cuGraphDestroy", "not a graph");
    delete graph;
    return SUCCESS;
}

EXPORT CUresult cuGraphGetNodes(Graph *graph, void **nodes, size_t *count) {
    Guard guard(state().lock);
    if (!state().graphs.count(graph) || !count) return INVALID_VALUE;
    auto &operations = graph->recording->operations;
    if (nodes) {
        if (*count > operations.size()) *count = operations.size();
        for (size_t i = 0; i < *count; i++) nodes[i] = &operations[i];
        return SUCCESS;
    }
    *count = operations.size();
    return SUCCESS;
}

// Work of libraries counts as a kernel each.
EXPORT CUresult cuGraphNodeGetType(void *node, int *type) {
    if (!node || !type) return INVALID_VALUE;
    std::string name = static_cast<Operation *>(node)->name;
    auto begins = [&](const char *with) { return name.rfind(with, 0) == 0; };
    *type = begins("cuMemcpy") ? 1 : begins("cuMemset") ? 2 : begins("cuMemAlloc") ? 10 : begins("cuMemFree") ? 11 : 0;
    return SUCCESS;
}

EXPORT CUresult cuGraphInstantiateWithFlags(Instance **instance, Graph *graph, unsigned long long flags) {
    NEED_CONTEXT();
    Guard guard(state().lock);
    if (!state().graphs.count(graph)) return refuse(INVALID_VALUE, "cuGraphInstantiateWithFlags", "not a graph");
    // Freeing on launch (1), upload (2), launch from the device (4), priorities (8).
    if (flags & ~0xfull || ((flags & 1) && (flags & 4))) return INVALID_VALUE;
    if (flags & 4) return refuse(NOT_SUPPORTED, "cuGraphInstantiateWithFlags", "launch from the device is not emulated");
    if (!graph->recording->allocations.empty() && graph->recording.use_count() > 1) {
        return refuse(NOT_SUPPORTED, "cuGraphInstantiateWithFlags", "a second instance of a graph that allocates memory");
    }
    *instance = new Instance{graph->recording, (flags & 1) != 0};
    state().instances.insert(*instance);
    return SUCCESS;
}

EXPORT CUresult cuGraphExecDestroy(Instance *instance) {
    Guard guard(state().lock);
    if (!state().instances.erase(instance)) return refuse(INVALID_VALUE, "cuGraphExecDestroy", "not an instance of a graph");
    delete instance;
    return SUCCESS;
}

EXPORT CUresult cuGraphUpload(Instance *instance, StreamHandle stream) {
    NEED_CONTEXT();
    Guard guard(state().lock);
    if (!state().instances.count(instance)) return refuse(INVALID_VALUE, "cuGraphUpload", "not an instance of a graph");
    return resolve(stream) ? SUCCESS : INVALID_HANDLE;
}

EXPORT CUresult cuGraphLaunch(Instance *instance, StreamHandle handle) {
    NEED_CONTEXT();
    std::shared_ptr<Recording> recording;
    {
        Guard guard(state().lock);
        if (!state().instances.count(instance)) return refuse(INVALID_VALUE, "cuGraphLaunch", "not an instance of a graph");
        Stream *stream;
        CUresult result = stream_for("cuGraphLaunch", handle, &stream);
        if (result) return result;
        if (stream->capture) not_emulated("cuGraphLaunch into a captured stream");
        result = check_legacy(stream, "cuGraphLaunch");
        if (result) return result;
        recording = instance->recording;
        for (Address p : recording->allocations) {
            auto found = state().allocations.find(p);
            if (found == state().allocations.end() || found->second.recording != recording.get() || !found->second.live) continue;
            if (!instance->free_on_launch) {
                return refuse(INVALID_VALUE, "cuGraphLaunch", "memory that the last launch allocated has not been freed");
            }
            found->second.live = false;
        }
    }
    trace("graph launch: %zu operations", recording->operations.size());
    for (auto &operation : recording->operations) {
        trace("replayed: %s", operation.name);
        operation.work();
    }
    return SUCCESS;
}
