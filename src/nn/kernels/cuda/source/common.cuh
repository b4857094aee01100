// What the kernels share. Every reduction has a fixed partition and a fixed order, so that one GPU gives one result.
#pragma once

// Loops over all elements: `for (size_t i = first_index(); i < count; i += index_step())`.
__device__ inline size_t first_index() { return (size_t)blockIdx.x * blockDim.x + threadIdx.x; }
__device__ inline size_t index_step() { return (size_t)gridDim.x * blockDim.x; }

// x above 0; `below` times x, or 0 where `is_zero_below` (also for infinite x), elsewhere. NaN stays.
struct Rectifier {
    float below;
    int is_zero_below;

    __device__ float value(float x) const { return x < 0.0f ? (is_zero_below ? 0.0f : below * x) : x; }

    // `gradient` times the derivative where the function's value, or its argument, is x.
    __device__ float back(float x, float gradient) const {
        return x > 0.0f ? gradient : (is_zero_below ? 0.0f : below * gradient);
    }
};

// Numbers in 16 bits (bfloat16): the upper half of a float, rounded to nearest, ties to even.
__device__ inline unsigned short to_bits16(float x) {
    unsigned int bits = __float_as_uint(x);
    bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
    unsigned int rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
    return is_nan ? (unsigned short)((bits >> 16) | 0x40u) : (unsigned short)(rounded >> 16);
}

__device__ inline float from_bits16(unsigned short bits) { return __uint_as_float((unsigned int)bits << 16); }

// One of an array of numbers, in 16 bits or in 32.
__device__ inline float number_at(const void *numbers, int in_16_bits, size_t at) {
    return in_16_bits ? from_bits16(((const unsigned short *)numbers)[at]) : ((const float *)numbers)[at];
}

#define REDUCED 256

// The sums of two numbers over all REDUCED threads of a block, in thread 0. `shared`: 2 · REDUCED places.
__device__ inline void sum_of_block(double &a, double &b, double *shared) {
    int thread = threadIdx.x;
    shared[thread] = a;
    shared[REDUCED + thread] = b;
    __syncthreads();
    for (int half = REDUCED / 2; half > 0; half /= 2) {
        if (thread < half) {
            shared[thread] += shared[thread + half];
            shared[REDUCED + thread] += shared[REDUCED + thread + half];
        }
        __syncthreads();
    }
    a = shared[0];
    b = shared[REDUCED];
    __syncthreads();
}
