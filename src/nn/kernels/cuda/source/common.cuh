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
