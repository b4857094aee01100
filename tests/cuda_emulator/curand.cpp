// cuRAND: uniform and normal numbers, the same for the same seed, but not the
// numbers of the real library. NVRTC: its version only.
#include <cmath>
#include <cstring>
#include <mutex>

#include "internal.h"

using namespace cuda_emulator;

namespace {

enum Status { OK = 0, NOT_INITIALIZED = 101, TYPE_ERROR = 103, OUT_OF_RANGE = 104, LENGTH_NOT_MULTIPLE = 105, LAUNCH_FAILURE = 201 };

struct Generator {
    StreamHandle stream = nullptr;
    uint64_t seed = 0, position = 0;
};

// A well-mixed number for each position of each seed.
uint64_t number_at(uint64_t seed, uint64_t position) {
    auto mix = [](uint64_t z) {
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        return z ^ (z >> 31);
    };
    return mix(mix(seed + 0x9e3779b97f4a7c15ull) + 0x9e3779b97f4a7c15ull * (position + 1));
}

// In (0, 1], as cuRAND gives.
float uniform(uint64_t bits, float) { return static_cast<float>((bits >> 40) + 1) * 0x1p-24f; }
double uniform(uint64_t bits, double) { return static_cast<double>((bits >> 11) + 1) * 0x1p-53; }

template <class T>
int generate_uniform(Generator *g, const char *name, T *out, size_t n) {
    if (!g) return NOT_INITIALIZED;
    return enqueue(g->stream, name, [=] {
        check_range(name, out, n * sizeof(T));
        for (size_t i = 0; i < n; i++) out[i] = uniform(number_at(g->seed, g->position + i), T());
        g->position += n;
    }) ? LAUNCH_FAILURE : OK;
}

template <class T>
int generate_normal(Generator *g, const char *name, T *out, size_t n, T mean, T deviation) {
    if (!g) return NOT_INITIALIZED;
    if (n % 2) return LENGTH_NOT_MULTIPLE;
    return enqueue(g->stream, name, [=] {
        check_range(name, out, n * sizeof(T));
        for (size_t i = 0; i < n; i += 2) {
            double u = uniform(number_at(g->seed, g->position + i), double());
            double v = uniform(number_at(g->seed, g->position + i + 1), double());
            double radius = std::sqrt(-2.0 * std::log(u)), angle = 6.283185307179586477 * v;
            out[i] = static_cast<T>(double(mean) + double(deviation) * radius * std::cos(angle));
            out[i + 1] = static_cast<T>(double(mean) + double(deviation) * radius * std::sin(angle));
        }
        g->position += n;
    }) ? LAUNCH_FAILURE : OK;
}

}  // namespace

EXPORT int curandCreateGenerator(Generator **g, int type) {
    if (type < 100 || type >= 200) {
        warn("curandCreateGenerator: only pseudo-random generators are emulated");
        return TYPE_ERROR;
    }
    if (current_device() < 0) return NOT_INITIALIZED;
    *g = new Generator;
    return OK;
}
EXPORT int curandDestroyGenerator(Generator *g) {
    if (!g) return NOT_INITIALIZED;
    delete g;
    return OK;
}
EXPORT int curandSetStream(Generator *g, StreamHandle stream) {
    if (!g) return NOT_INITIALIZED;
    g->stream = stream;
    return OK;
}
EXPORT int curandSetPseudoRandomGeneratorSeed(Generator *g, unsigned long long seed) {
    if (!g) return NOT_INITIALIZED;
    g->seed = seed;
    g->position = 0;
    return OK;
}
EXPORT int curandSetGeneratorOffset(Generator *g, unsigned long long offset) {
    if (!g) return NOT_INITIALIZED;
    g->position = offset;
    return OK;
}
EXPORT int curandGetVersion(int *version) {
    *version = 10400;
    return OK;
}
EXPORT int curandGenerateUniform(Generator *g, float *out, size_t n) { return generate_uniform(g, "curandGenerateUniform", out, n); }
EXPORT int curandGenerateUniformDouble(Generator *g, double *out, size_t n) { return generate_uniform(g, "curandGenerateUniformDouble", out, n); }
EXPORT int curandGenerateNormal(Generator *g, float *out, size_t n, float mean, float deviation) {
    return generate_normal(g, "curandGenerateNormal", out, n, mean, deviation);
}
EXPORT int curandGenerateNormalDouble(Generator *g, double *out, size_t n, double mean, double deviation) {
    return generate_normal(g, "curandGenerateNormalDouble", out, n, mean, deviation);
}
EXPORT int curandGenerate(Generator *g, unsigned *out, size_t n) {
    if (!g) return NOT_INITIALIZED;
    return enqueue(g->stream, "curandGenerate", [=] {
        check_range("curandGenerate", out, n * sizeof(unsigned));
        for (size_t i = 0; i < n; i++) out[i] = static_cast<unsigned>(number_at(g->seed, g->position + i) >> 32);
        g->position += n;
    }) ? LAUNCH_FAILURE : OK;
}
#define NOT_EMULATED(NAME) EXPORT int NAME() { not_emulated(#NAME); }
NOT_EMULATED(curandGenerateLongLong)
NOT_EMULATED(curandGenerateLogNormal)
NOT_EMULATED(curandGenerateLogNormalDouble)
NOT_EMULATED(curandGeneratePoisson)

// ---------------------------------------------------------------- NVRTC

EXPORT int nvrtcVersion(int *major, int *minor) {
    *major = 13;
    *minor = 0;
    return 0;
}
EXPORT const char *nvrtcGetErrorString(int) { return "NVRTC is not emulated"; }
NOT_EMULATED(nvrtcCreateProgram)
NOT_EMULATED(nvrtcCompileProgram)
NOT_EMULATED(nvrtcDestroyProgram)
NOT_EMULATED(nvrtcGetPTX)
NOT_EMULATED(nvrtcGetPTXSize)
NOT_EMULATED(nvrtcGetProgramLog)
NOT_EMULATED(nvrtcGetProgramLogSize)
