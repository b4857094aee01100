// Makes CUDA C kernel sources compile as C++17 for the CPU. It is included
// ahead of every kernel source.
#pragma once

// The sources are wrapped in an unnamed namespace. So every standard header
// that they may include has to come before.
#include <algorithm>
#include <array>
#include <cassert>
#include <cfloat>
#include <climits>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <tuple>
#include <type_traits>
#include <utility>

#include <assert.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_emulator.h"
#include "cuda_emulator_numbers.h"

#define __CUDACC__ 1
#define __CUDA_ARCH__ 900
#define __CUDACC_VER_MAJOR__ 13
#define __CUDACC_VER_MINOR__ 0
#define __CUDACC_VER_BUILD__ 0
#define CUDA_VERSION 13000
#define CUDART_VERSION 13000

// The scan for kernel names sees marks instead of attributes.
#ifdef CUDA_EMULATOR_SCAN
#define __global__ CUDA_EMULATOR_KERNEL_MARK
#define __launch_bounds__(...) CUDA_EMULATOR_BOUNDS_MARK(__VA_ARGS__)
#else
#define __global__
#define __launch_bounds__(...)
#endif
#define __device__
#define __host__
#define __constant__
#define __managed__
#define __shared__ static thread_local
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __restrict__ __restrict
#define __align__(n) __attribute__((aligned(n)))
#define __grid_constant__

#define threadIdx (::cuda_emulator::current.thread)
#define blockIdx (::cuda_emulator::current.block)
#define blockDim (::cuda_emulator::current.block_dim)
#define gridDim (::cuda_emulator::current.grid_dim)
#define warpSize 32

// ---------------------------------------------------------------- vectors

using dim3 = ::cuda_emulator::Dim3;
using uint3 = ::cuda_emulator::Dim3;

#define CUDA_EMULATOR_VECTORS(NAME, T, ALIGN2, ALIGN4)                             \
    struct __attribute__((aligned(ALIGN2))) NAME##2 { T x, y; };                   \
    struct NAME##3 { T x, y, z; };                                                 \
    struct __attribute__((aligned(ALIGN4))) NAME##4 { T x, y, z, w; };             \
    static inline NAME##2 make_##NAME##2(T x, T y) { return {x, y}; }              \
    static inline NAME##3 make_##NAME##3(T x, T y, T z) { return {x, y, z}; }      \
    static inline NAME##4 make_##NAME##4(T x, T y, T z, T w) { return {x, y, z, w}; }
CUDA_EMULATOR_VECTORS(float, float, 8, 16)
CUDA_EMULATOR_VECTORS(double, double, 16, 16)
CUDA_EMULATOR_VECTORS(int, int, 8, 16)
CUDA_EMULATOR_VECTORS(short, short, 4, 8)
CUDA_EMULATOR_VECTORS(ushort, unsigned short, 4, 8)
CUDA_EMULATOR_VECTORS(char, signed char, 2, 4)
CUDA_EMULATOR_VECTORS(uchar, unsigned char, 2, 4)
CUDA_EMULATOR_VECTORS(longlong, long long, 16, 16)
CUDA_EMULATOR_VECTORS(ulonglong, unsigned long long, 16, 16)
#undef CUDA_EMULATOR_VECTORS
struct __attribute__((aligned(8))) uint2 { unsigned int x, y; };
struct __attribute__((aligned(16))) uint4 { unsigned int x, y, z, w; };
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static inline uint3 make_uint3(unsigned x, unsigned y, unsigned z) { return {x, y, z}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

// ---------------------------------------------------------------- barriers

static inline void __syncthreads() { ::cuda_emulator::sync_threads(0); }
static inline int __syncthreads_count(int p) { return ::cuda_emulator::sync_threads(p).count; }
static inline int __syncthreads_and(int p) { return ::cuda_emulator::sync_threads(p).all; }
static inline int __syncthreads_or(int p) { return ::cuda_emulator::sync_threads(p).any; }
static inline void __syncwarp(unsigned mask = 0xffffffffu) {
    ::cuda_emulator::warp_operation(::cuda_emulator::WarpOp::Sync, mask, 0, 0);
}
static inline void __threadfence() { __sync_synchronize(); }
static inline void __threadfence_block() { __sync_synchronize(); }
static inline void __threadfence_system() { __sync_synchronize(); }
static inline unsigned __activemask() { ::cuda_emulator::fatal("__activemask is not emulated"); }
static inline void __trap() { ::cuda_emulator::fatal("__trap()"); }

// ---------------------------------------------------------------- warp operations

namespace cuda_emulator {

template <class T>
inline T shuffle(uint32_t mask, T value, int source) {
    static_assert(sizeof(T) <= 8, "only values of up to 64 bits can be shuffled");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof(T));
    bits = warp_operation(WarpOp::Shuffle, mask, bits, source);
    memcpy(static_cast<void *>(&value), &bits, sizeof(T));
    return value;
}

inline int lane() { return static_cast<int>(linear_thread() & 31u); }

}  // namespace cuda_emulator

template <class T>
static inline T __shfl_sync(unsigned mask, T v, int source, int width = 32) {
    int first = ::cuda_emulator::lane() & ~(width - 1);
    return ::cuda_emulator::shuffle(mask, v, first + (source & (width - 1)));
}
template <class T>
static inline T __shfl_up_sync(unsigned mask, T v, unsigned delta, int width = 32) {
    int lane = ::cuda_emulator::lane(), first = lane & ~(width - 1);
    int source = lane - static_cast<int>(delta);
    return ::cuda_emulator::shuffle(mask, v, source < first ? lane : source);
}
template <class T>
static inline T __shfl_down_sync(unsigned mask, T v, unsigned delta, int width = 32) {
    int lane = ::cuda_emulator::lane(), last = lane | (width - 1);
    int source = lane + static_cast<int>(delta);
    return ::cuda_emulator::shuffle(mask, v, source > last ? lane : source);
}
template <class T>
static inline T __shfl_xor_sync(unsigned mask, T v, int lanes, int width = 32) {
    int lane = ::cuda_emulator::lane(), last = lane | (width - 1);
    int source = lane ^ lanes;
    return ::cuda_emulator::shuffle(mask, v, source > last ? lane : source);
}
static inline unsigned __ballot_sync(unsigned mask, int predicate) {
    return static_cast<unsigned>(::cuda_emulator::warp_operation(
        ::cuda_emulator::WarpOp::Ballot, mask, predicate != 0, 0));
}
static inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
static inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, !predicate) == 0; }
template <class T>
static inline unsigned __match_any_sync(unsigned mask, T v) {
    uint64_t bits = 0;
    memcpy(&bits, &v, sizeof(T));
    return static_cast<unsigned>(
        ::cuda_emulator::warp_operation(::cuda_emulator::WarpOp::MatchAny, mask, bits, 0));
}

// ---------------------------------------------------------------- bits

template <class To, class From>
static inline To cuda_emulator_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "sizes differ");
    To to;
    memcpy(static_cast<void *>(&to), &from, sizeof(To));
    return to;
}
static inline unsigned __float_as_uint(float x) { return cuda_emulator_bits<unsigned>(x); }
static inline int __float_as_int(float x) { return cuda_emulator_bits<int>(x); }
static inline float __uint_as_float(unsigned x) { return cuda_emulator_bits<float>(x); }
static inline float __int_as_float(int x) { return cuda_emulator_bits<float>(x); }
static inline long long __double_as_longlong(double x) { return cuda_emulator_bits<long long>(x); }
static inline double __longlong_as_double(long long x) { return cuda_emulator_bits<double>(x); }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
static inline int __clzll(long long x) { return x ? __builtin_clzll(static_cast<unsigned long long>(x)) : 64; }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline int __ffsll(long long x) { return __builtin_ffsll(x); }
static inline unsigned __umulhi(unsigned a, unsigned b) {
    return static_cast<unsigned>((static_cast<uint64_t>(a) * b) >> 32);
}
static inline int __mulhi(int a, int b) {
    return static_cast<int>((static_cast<int64_t>(a) * b) >> 32);
}
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return static_cast<unsigned long long>((static_cast<unsigned __int128>(a) * b) >> 64);
}
static inline unsigned __brev(unsigned x) {
    unsigned y = 0;
    for (int i = 0; i < 32; i++) y |= ((x >> i) & 1u) << (31 - i);
    return y;
}
template <class T>
static inline T __ldg(const T *p) { return *p; }
template <class T>
static inline T __ldcs(const T *p) { return *p; }
template <class T>
static inline T __ldcg(const T *p) { return *p; }
template <class T, class U>
static inline void __stcs(T *p, U v) { *p = v; }

// ---------------------------------------------------------------- numbers

template <class A, class B,
          class = std::enable_if_t<std::is_arithmetic<A>::value && std::is_arithmetic<B>::value>>
static inline std::common_type_t<A, B> min(A a, B b) {
    using T = std::common_type_t<A, B>;
    T x = static_cast<T>(a), y = static_cast<T>(b);
    if constexpr (std::is_floating_point<T>::value) return std::fmin(x, y);
    else return y < x ? y : x;
}
template <class A, class B,
          class = std::enable_if_t<std::is_arithmetic<A>::value && std::is_arithmetic<B>::value>>
static inline std::common_type_t<A, B> max(A a, B b) {
    using T = std::common_type_t<A, B>;
    T x = static_cast<T>(a), y = static_cast<T>(b);
    if constexpr (std::is_floating_point<T>::value) return std::fmax(x, y);
    else return x < y ? y : x;
}

static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline double rsqrt(double x) { return 1.0 / sqrt(x); }
static inline float rsqrt(float x) { return rsqrtf(x); }
static inline float rcbrtf(float x) { return 1.0f / cbrtf(x); }
static inline double normcdf(double x) { return 0.5 * erfc(-x * 0.70710678118654752440); }
static inline float normcdff(float x) { return static_cast<float>(normcdf(static_cast<double>(x))); }
static inline float __saturatef(float x) { return fmaxf(0.0f, fminf(1.0f, x)); }
static inline float __fdividef(float a, float b) { return a / b; }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static inline float __frcp_rn(float a) { return 1.0f / a; }
static inline float __fsqrt_rn(float a) { return sqrtf(a); }
static inline float __frsqrt_rn(float a) { return static_cast<float>(1.0 / sqrt(static_cast<double>(a))); }
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
static inline float __int2float_rn(int x) { return static_cast<float>(x); }
static inline float __uint2float_rn(unsigned x) { return static_cast<float>(x); }
static inline float __double2float_rn(double x) { return static_cast<float>(x); }
// The conversions of the GPU saturate.
static inline int cuda_emulator_int(float x) {
    if (x != x) return 0;
    if (x >= 2147483648.0f) return INT_MAX;
    if (x < -2147483648.0f) return INT_MIN;
    return static_cast<int>(x);
}
static inline int __float2int_rn(float x) { return cuda_emulator_int(nearbyintf(x)); }
static inline int __float2int_rz(float x) { return cuda_emulator_int(truncf(x)); }
static inline int __float2int_rd(float x) { return cuda_emulator_int(floorf(x)); }
static inline int __float2int_ru(float x) { return cuda_emulator_int(ceilf(x)); }
// The C library declares functions of some of these names: hence macros.
#define __expf(x) expf(x)
#define __exp10f(x) exp10f(x)
#define __logf(x) logf(x)
#define __log2f(x) log2f(x)
#define __log10f(x) log10f(x)
#define __powf(x, y) powf((x), (y))
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
#define __tanf(x) tanf(x)
#define __tanhf(x) tanhf(x)

// ---------------------------------------------------------------- atomics

namespace cuda_emulator {

template <class T>
struct BitsOf {
    using Type = std::conditional_t<sizeof(T) == 8, uint64_t,
                 std::conditional_t<sizeof(T) == 4, uint32_t, uint16_t>>;
};

// Replaces *p by f(*p) and gives the old value.
template <class T, class F>
inline T atomic_update(T *p, F f) {
    using B = typename BitsOf<T>::Type;
    static_assert(sizeof(B) == sizeof(T), "no atomic operations for this size");
    B *q = reinterpret_cast<B *>(p);
    B old = __atomic_load_n(q, __ATOMIC_RELAXED);
    for (;;) {
        T value = cuda_emulator_bits<T>(old);
        B changed = cuda_emulator_bits<B>(static_cast<T>(f(value)));
        if (__atomic_compare_exchange_n(q, &old, changed, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
            return value;
        }
    }
}

// The type of the second argument follows the first.
template <class T>
struct Same { using Type = T; };

}  // namespace cuda_emulator

#define CUDA_EMULATOR_ATOMIC(NAME, EXPRESSION)                                              \
    template <class T>                                                                      \
    static inline T NAME(T *p, typename ::cuda_emulator::Same<T>::Type v) {                 \
        return ::cuda_emulator::atomic_update(p, [v](T old) -> T { return EXPRESSION; });   \
    }
CUDA_EMULATOR_ATOMIC(atomicAdd, old + v)
CUDA_EMULATOR_ATOMIC(atomicSub, old - v)
CUDA_EMULATOR_ATOMIC(atomicMax, v > old ? v : old)
CUDA_EMULATOR_ATOMIC(atomicMin, v < old ? v : old)
CUDA_EMULATOR_ATOMIC(atomicAnd, old & v)
CUDA_EMULATOR_ATOMIC(atomicOr, old | v)
CUDA_EMULATOR_ATOMIC(atomicXor, old ^ v)
CUDA_EMULATOR_ATOMIC(atomicExch, ((void)old, v))
CUDA_EMULATOR_ATOMIC(atomicInc, old >= v ? 0 : old + 1)
CUDA_EMULATOR_ATOMIC(atomicDec, (old == 0 || old > v) ? v : old - 1)
#undef CUDA_EMULATOR_ATOMIC
template <class T>
static inline T atomicCAS(T *p, typename ::cuda_emulator::Same<T>::Type expected,
                          typename ::cuda_emulator::Same<T>::Type v) {
    return ::cuda_emulator::atomic_update(p, [=](T old) -> T { return old == expected ? v : old; });
}

// ---------------------------------------------------------------- small floats

// Arithmetic happens in float and is rounded once, which gives the same as
// arithmetic in the small format.
#define CUDA_EMULATOR_SMALL_FLOAT(NAME, BITS, FROM_FLOAT, TO_FLOAT)                          \
    struct NAME {                                                                            \
        BITS __x;                                                                            \
        NAME() = default;                                                                    \
        template <class A, class = std::enable_if_t<std::is_arithmetic<A>::value>>           \
        NAME(A a) {                                                                          \
            if constexpr (std::is_same<A, float>::value) __x = FROM_FLOAT(a);                \
            else __x = FROM_FLOAT(::cuda_emulator::double_to_odd_float(static_cast<double>(a))); \
        }                                                                                    \
        operator float() const { return TO_FLOAT(__x); }                                     \
        NAME &operator+=(NAME o) { return *this = NAME(float(*this) + float(o)); }           \
        NAME &operator-=(NAME o) { return *this = NAME(float(*this) - float(o)); }           \
        NAME &operator*=(NAME o) { return *this = NAME(float(*this) * float(o)); }           \
        NAME &operator/=(NAME o) { return *this = NAME(float(*this) / float(o)); }           \
    };

CUDA_EMULATOR_SMALL_FLOAT(__half, unsigned short, ::cuda_emulator::float_to_half_bits,
                          ::cuda_emulator::half_bits_to_float)
CUDA_EMULATOR_SMALL_FLOAT(__nv_bfloat16, unsigned short, ::cuda_emulator::float_to_bfloat16_bits,
                          ::cuda_emulator::bfloat16_bits_to_float)

#define CUDA_EMULATOR_SMALL_OPERATORS(NAME)                                                  \
    static inline NAME operator+(NAME a, NAME b) { return NAME(float(a) + float(b)); }       \
    static inline NAME operator-(NAME a, NAME b) { return NAME(float(a) - float(b)); }       \
    static inline NAME operator*(NAME a, NAME b) { return NAME(float(a) * float(b)); }       \
    static inline NAME operator/(NAME a, NAME b) { return NAME(float(a) / float(b)); }       \
    static inline NAME operator-(NAME a) { a.__x ^= 0x8000; return a; }                      \
    static inline NAME operator+(NAME a) { return a; }                                       \
    static inline bool operator<(NAME a, NAME b) { return float(a) < float(b); }             \
    static inline bool operator>(NAME a, NAME b) { return float(a) > float(b); }             \
    static inline bool operator<=(NAME a, NAME b) { return float(a) <= float(b); }           \
    static inline bool operator>=(NAME a, NAME b) { return float(a) >= float(b); }           \
    static inline bool operator==(NAME a, NAME b) { return float(a) == float(b); }           \
    static inline bool operator!=(NAME a, NAME b) { return float(a) != float(b); }           \
    static inline bool __hisnan(NAME a) { return isnan(float(a)); }                          \
    static inline bool __hisinf(NAME a) { return isinf(float(a)); }                          \
    static inline NAME __habs(NAME a) { a.__x &= 0x7fff; return a; }                         \
    static inline NAME __hneg(NAME a) { return -a; }                                         \
    static inline NAME __hadd(NAME a, NAME b) { return a + b; }                              \
    static inline NAME __hsub(NAME a, NAME b) { return a - b; }                              \
    static inline NAME __hmul(NAME a, NAME b) { return a * b; }                              \
    static inline NAME __hdiv(NAME a, NAME b) { return a / b; }                              \
    static inline NAME __hfma(NAME a, NAME b, NAME c) {                                      \
        return NAME(double(float(a)) * double(float(b)) + double(float(c)));                 \
    }                                                                                        \
    static inline bool __hgt(NAME a, NAME b) { return a > b; }                               \
    static inline bool __hlt(NAME a, NAME b) { return a < b; }                               \
    static inline bool __heq(NAME a, NAME b) { return a == b; }                              \
    static inline NAME __hmax(NAME a, NAME b) { return NAME(fmaxf(a, b)); }                  \
    static inline NAME __hmin(NAME a, NAME b) { return NAME(fminf(a, b)); }                  \
    static inline NAME __hmax_nan(NAME a, NAME b) { return __hisnan(a) ? a : __hisnan(b) ? b : __hmax(a, b); } \
    static inline NAME __hmin_nan(NAME a, NAME b) { return __hisnan(a) ? a : __hisnan(b) ? b : __hmin(a, b); } \
    static inline NAME hsqrt(NAME a) { return NAME(sqrtf(a)); }                              \
    static inline NAME hrsqrt(NAME a) { return NAME(rsqrtf(a)); }                            \
    static inline NAME hcos(NAME a) { return NAME(cosf(a)); }                                \
    static inline NAME hsin(NAME a) { return NAME(sinf(a)); }                                \
    static inline NAME hlog(NAME a) { return NAME(logf(a)); }                                \
    static inline NAME hexp(NAME a) { return NAME(expf(a)); }                                \
    static inline NAME hceil(NAME a) { return NAME(ceilf(a)); }                              \
    static inline NAME hfloor(NAME a) { return NAME(floorf(a)); }
CUDA_EMULATOR_SMALL_OPERATORS(__half)
CUDA_EMULATOR_SMALL_OPERATORS(__nv_bfloat16)
#undef CUDA_EMULATOR_SMALL_OPERATORS

using half = __half;
using __half_raw = __half;
using nv_bfloat16 = __nv_bfloat16;

static inline __half __float2half(float x) { return __half(x); }
static inline __half __float2half_rn(float x) { return __half(x); }
static inline float __half2float(__half x) { return float(x); }
static inline unsigned short __half_as_ushort(__half x) { return x.__x; }
static inline __half __ushort_as_half(unsigned short b) {
    __half x;
    x.__x = b;
    return x;
}
static inline __nv_bfloat16 __float2bfloat16(float x) { return __nv_bfloat16(x); }
static inline __nv_bfloat16 __float2bfloat16_rn(float x) { return __nv_bfloat16(x); }
static inline __nv_bfloat16 __double2bfloat16(double x) { return __nv_bfloat16(x); }
static inline float __bfloat162float(__nv_bfloat16 x) { return float(x); }
static inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 x) { return x.__x; }
static inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short b) {
    __nv_bfloat16 x;
    x.__x = b;
    return x;
}

#define CUDA_EMULATOR_SMALL_PAIR(PAIR, NAME)                                                 \
    struct __attribute__((aligned(4))) PAIR { NAME x, y; };                                  \
    static inline PAIR __hadd2(PAIR a, PAIR b) { return {a.x + b.x, a.y + b.y}; }            \
    static inline PAIR __hsub2(PAIR a, PAIR b) { return {a.x - b.x, a.y - b.y}; }            \
    static inline PAIR __hmul2(PAIR a, PAIR b) { return {a.x * b.x, a.y * b.y}; }            \
    static inline NAME __low2##PAIR(PAIR a) { return a.x; }
CUDA_EMULATOR_SMALL_PAIR(__half2, __half)
CUDA_EMULATOR_SMALL_PAIR(__nv_bfloat162, __nv_bfloat16)
#undef CUDA_EMULATOR_SMALL_PAIR
using half2 = __half2;
using nv_bfloat162 = __nv_bfloat162;
static inline float2 __bfloat1622float2(__nv_bfloat162 v) { return {float(v.x), float(v.y)}; }
static inline __nv_bfloat162 __float22bfloat162_rn(float2 v) { return {__nv_bfloat16(v.x), __nv_bfloat16(v.y)}; }
static inline __nv_bfloat162 __floats2bfloat162_rn(float a, float b) { return {__nv_bfloat16(a), __nv_bfloat16(b)}; }
static inline __nv_bfloat162 __halves2bfloat162(__nv_bfloat16 a, __nv_bfloat16 b) { return {a, b}; }

typedef unsigned char __nv_fp8_storage_t;
enum __nv_fp8_interpretation_t { __NV_E4M3, __NV_E5M2 };
struct __nv_fp8_e4m3 {
    __nv_fp8_storage_t __x;
    __nv_fp8_e4m3() = default;
    template <class A, class = std::enable_if_t<std::is_arithmetic<A>::value ||
                                                std::is_same<A, __half>::value ||
                                                std::is_same<A, __nv_bfloat16>::value>>
    explicit __nv_fp8_e4m3(A a)
        : __x(::cuda_emulator::float_to_e4m3_bits(
              ::cuda_emulator::double_to_odd_float(static_cast<double>(static_cast<
                  std::conditional_t<std::is_arithmetic<A>::value, A, float>>(a))))) {}
    explicit operator float() const { return ::cuda_emulator::e4m3_bits_to_float(__x); }
};
static inline __half __nv_cvt_fp8_to_halfraw(__nv_fp8_storage_t x, __nv_fp8_interpretation_t kind) {
    if (kind != __NV_E4M3) ::cuda_emulator::fatal("only the format E4M3 is emulated");
    return __half(::cuda_emulator::e4m3_bits_to_float(x));
}

#undef CUDA_EMULATOR_SMALL_FLOAT

namespace cuda {
namespace std {
template <class T>
using numeric_limits = ::std::numeric_limits<T>;
}
}  // namespace cuda
