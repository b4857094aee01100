// Layer norm, gated recurrent units, and what becomes of frames in the end: mean and deviation, and attention. The formulas are those of
// ../../{layer_norm,gru,figures,attention}.rs.
#include "common.cuh"

// A row for each block of REDUCED threads. `statistics`: mean and 1 / σ of each row.
extern "C" __global__ void layer_norm(const float *input, const float *gain, const float *offset, int width,
                                      double epsilon, float *out, double *statistics) {
    __shared__ double shared[2 * REDUCED];
    size_t row = blockIdx.x;
    const float *values = input + row * width;
    double total = 0.0, nothing = 0.0;
    for (int i = threadIdx.x; i < width; i += REDUCED) total += (double)values[i];
    sum_of_block(total, nothing, shared);
    double mean = total / width, squares = 0.0;
    for (int i = threadIdx.x; i < width; i += REDUCED) {
        double d = (double)values[i] - mean;
        squares += d * d;
    }
    sum_of_block(squares, nothing, shared);
    double inverse = 1.0 / sqrt(squares / width + epsilon);
    for (int i = threadIdx.x; i < width; i += REDUCED) {
        out[row * width + i] = (float)(((double)values[i] - mean) * inverse * (double)gain[i] + (double)offset[i]);
    }
    if (threadIdx.x == 0) {
        statistics[2 * row] = mean;
        statistics[2 * row + 1] = inverse;
    }
}

// With x̂ = (x - mean) / σ and h = g · gain: (h - mean h - x̂ · mean(h · x̂)) / σ.
extern "C" __global__ void layer_norm_gradient(const float *input, const float *gain, const double *statistics,
                                               const float *gradient, int width, float *out) {
    __shared__ double shared[2 * REDUCED];
    size_t row = blockIdx.x;
    const float *values = input + row * width, *gradients = gradient + row * width;
    double mean = statistics[2 * row], inverse = statistics[2 * row + 1];
    double total = 0.0, product = 0.0;
    for (int i = threadIdx.x; i < width; i += REDUCED) {
        double h = (double)gradients[i] * (double)gain[i];
        total += h;
        product += h * (((double)values[i] - mean) * inverse);
    }
    sum_of_block(total, product, shared);
    total /= width;
    product /= width;
    for (int i = threadIdx.x; i < width; i += REDUCED) {
        double h = (double)gradients[i] * (double)gain[i], normal = ((double)values[i] - mean) * inverse;
        out[row * width + i] = (float)((h - total - normal * product) * inverse);
    }
}

// What the rows of a part (blockIdx.y) add to the gradients of gain and offset: a column for each thread.
extern "C" __global__ void layer_norm_columns(const float *input, const double *statistics, const float *gradient,
                                              int rows, int width, int parts, double *of_gain, double *of_offset) {
    int column = blockIdx.x * blockDim.x + threadIdx.x, part = blockIdx.y;
    if (column >= width) return;
    size_t begin = (size_t)rows * part / parts, end = (size_t)rows * (part + 1) / parts;
    double gain = 0.0, offset = 0.0;
    for (size_t row = begin; row < end; row++) {
        double g = (double)gradient[row * width + column];
        gain += g * (((double)input[row * width + column] - statistics[2 * row]) * statistics[2 * row + 1]);
        offset += g;
    }
    of_gain[(size_t)column * parts + part] = gain;
    of_offset[(size_t)column * parts + part] = offset;
}

// The sums of the columns of [rows, width], in parts.
extern "C" __global__ void column_sums(const float *values, int rows, int width, int parts, double *partial) {
    int column = blockIdx.x * blockDim.x + threadIdx.x, part = blockIdx.y;
    if (column >= width) return;
    size_t begin = (size_t)rows * part / parts, end = (size_t)rows * (part + 1) / parts;
    double total = 0.0;
    for (size_t row = begin; row < end; row++) total += (double)values[row * width + column];
    partial[(size_t)column * parts + part] = total;
}

// Adds `row` [width] to every row of `values`, in place.
extern "C" __global__ void add_to_rows(float *values, const float *row, size_t count, size_t width) {
    for (size_t i = first_index(); i < count; i += index_step()) values[i] += row[i % width];
}

extern "C" __global__ void sum_of_columns(const double *partial, int width, int parts, float *out) {
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= width) return;
    double total = 0.0;
    for (int part = 0; part < parts; part++) total += partial[(size_t)column * parts + part];
    out[column] = (float)total;
}

__device__ float logistic(float x) { return 1.0f / (1.0f + expf(-x)); }

// The arrays of one or two directions, the number of which is gridDim.y.
template <class T> struct Directions {
    T *first, *second;

    __device__ T *of(int direction) const { return direction ? second : first; }
};

// The input's share of the gates of a unit in one frame.
struct Inputs {
    float reset, update, candidate;

    __device__ Inputs() : reset(0.0f), update(0.0f), candidate(0.0f) {}
    __device__ Inputs(const float *x, int units, int unit)
        : reset(x[unit]), update(x[units + unit]), candidate(x[2 * units + unit]) {}
};

// What a unit was in one frame, and the gradient of its state.
struct Was {
    float reset, update, candidate, hidden, before, gradient;

    __device__ Was() : reset(0.0f), update(0.0f), candidate(0.0f), hidden(0.0f), before(0.0f), gradient(0.0f) {}
    // `width`: from a frame's states to those of the next, and of their gradients.
    __device__ Was(const float *gates, const float *states, const float *gradients, size_t frame, int towards_the_first, bool is_first,
                   int width, int units, int unit) {
        const float *kept = gates + frame * 4 * units;
        reset = kept[unit];
        update = kept[units + unit];
        candidate = kept[2 * units + unit];
        hidden = kept[3 * units + unit];
        before = is_first ? 0.0f : states[(frame + towards_the_first) * width + unit];
        gradient = gradients[frame * width + unit];
    }
};

// An example (blockIdx.x) and a direction (blockIdx.y) for each block; shared memory: 4 · units floats. `transposed`: the
// recurrence's weights as [units, 3 · units], so that neighbouring threads read neighbouring numbers. `backward`: bit d is set
// where direction d walks from the last frame. `out`: [batch, frames, directions · units]. `gates`: r, z, n and h_n as [directions,
// batch, frames, 4, units].
extern "C" __global__ void __launch_bounds__(1024) gru(Directions<const float> all_inputs, Directions<const float> all_transposed,
                                                       Directions<const float> all_biases, int frames, int units, int backward_bits,
                                                       float *out, float *gates) {
    extern __shared__ float memory[];
    float *state = memory, *recurrent = memory + units;
    size_t example = blockIdx.x;
    int direction = blockIdx.y, backward = backward_bits >> direction & 1, width = gridDim.y * units;
    const float *inputs = all_inputs.of(direction), *transposed = all_transposed.of(direction), *bias = all_biases.of(direction);
    out += direction * units;
    gates += (size_t)direction * gridDim.x * frames * 4 * units;
    for (int i = threadIdx.x; i < units; i += blockDim.x) state[i] = 0.0f;
    __syncthreads();
    for (int step = 0; step < frames; step++) {
        size_t frame = example * frames + (backward ? frames - 1 - step : step);
        const float *x = inputs + frame * 3 * units;
        // Asked for before the sums, which take as long as the answer.
        Inputs ahead;
        if (threadIdx.x < units) ahead = Inputs(x, units, threadIdx.x);
        for (int gate = threadIdx.x; gate < 3 * units; gate += blockDim.x) {
            float sum = bias[gate];
            for (int unit = 0; unit < units; unit++) sum += transposed[(size_t)unit * 3 * units + gate] * state[unit];
            recurrent[gate] = sum;
        }
        __syncthreads();
        for (int unit = threadIdx.x; unit < units; unit += blockDim.x) {
            Inputs of = unit == threadIdx.x ? ahead : Inputs(x, units, unit);
            float reset = logistic(of.reset + recurrent[unit]);
            float update = logistic(of.update + recurrent[units + unit]);
            float hidden = recurrent[2 * units + unit];
            float candidate = tanhf(of.candidate + reset * hidden);
            float next = (1.0f - update) * candidate + update * state[unit];
            float *kept = gates + frame * 4 * units;
            kept[unit] = reset;
            kept[units + unit] = update;
            kept[2 * units + unit] = candidate;
            kept[3 * units + unit] = hidden;
            out[frame * width + unit] = next;
            state[unit] = next;
        }
        __syncthreads();
    }
}

// For each direction the gradients of the inputs and of what the recurrence adds to them, both [batch, frames, 3 · units], and the states
// that these came from, [batch, frames, units]. `weight`: [3 · units, units]. Shared memory: 7 · units floats.
extern "C" __global__ void __launch_bounds__(1024) gru_gradient(Directions<const float> weights, const float *states, const float *gates,
                                                                const float *gradient, int frames, int units, int backward_bits,
                                                                Directions<float> of_all_inputs, Directions<float> of_all_recurrent,
                                                                Directions<float> all_previous) {
    extern __shared__ float memory[];
    float *carried = memory, *to_gates = memory + units, *products = memory + 4 * units;
    size_t example = blockIdx.x;
    int direction = blockIdx.y, backward = backward_bits >> direction & 1, width = gridDim.y * units;
    const float *weight = weights.of(direction);
    float *of_inputs = of_all_inputs.of(direction), *of_recurrent = of_all_recurrent.of(direction);
    float *previous = all_previous.of(direction);
    states += direction * units;
    gradient += direction * units;
    gates += (size_t)direction * gridDim.x * frames * 4 * units;
    for (int i = threadIdx.x; i < units; i += blockDim.x) carried[i] = 0.0f;
    __syncthreads();
    int towards_the_first = backward ? 1 : -1;
    // Always one frame ahead of the sums, which take as long as the answer.
    Was ahead;
    for (int step = frames - 1; step >= 0; step--) {
        size_t frame = example * frames + (backward ? frames - 1 - step : step);
        if (step == frames - 1 && threadIdx.x < units) {
            ahead = Was(gates, states, gradient, frame, towards_the_first, step == 0, width, units, threadIdx.x);
        }
        for (int unit = threadIdx.x; unit < units; unit += blockDim.x) {
            Was was = unit == threadIdx.x ? ahead : Was(gates, states, gradient, frame, towards_the_first, step == 0, width, units, unit);
            float reset = was.reset, update = was.update, candidate = was.candidate;
            float g = was.gradient + carried[unit];
            float to_candidate = g * (1.0f - update) * (1.0f - candidate * candidate);
            float to_update = g * (was.before - candidate) * update * (1.0f - update);
            float to_reset = to_candidate * was.hidden * reset * (1.0f - reset);
            float *x = of_inputs + frame * 3 * units, *h = of_recurrent + frame * 3 * units;
            x[unit] = to_reset;
            x[units + unit] = to_update;
            x[2 * units + unit] = to_candidate;
            h[unit] = to_gates[unit] = to_reset;
            h[units + unit] = to_gates[units + unit] = to_update;
            h[2 * units + unit] = to_gates[2 * units + unit] = to_candidate * reset;
            carried[unit] = g * update;
            previous[frame * units + unit] = was.before;
        }
        if (step > 0 && threadIdx.x < units) {
            ahead = Was(gates, states, gradient, frame + towards_the_first, towards_the_first, step == 1, width, units, threadIdx.x);
        }
        __syncthreads();
        for (int i = threadIdx.x; i < 3 * units; i += blockDim.x) {
            int gate = i / units, unit = i % units;
            float sum = 0.0f;
            for (int other = 0; other < units; other++) {
                sum += weight[((size_t)gate * units + other) * units + unit] * to_gates[gate * units + other];
            }
            products[i] = sum;
        }
        __syncthreads();
        for (int unit = threadIdx.x; unit < units; unit += blockDim.x) {
            carried[unit] += products[unit] + products[units + unit] + products[2 * units + unit];
        }
        __syncthreads();
    }
}

// [rows, columns] → [columns, rows].
extern "C" __global__ void transpose(const float *matrix, int rows, int columns, float *out) {
    size_t count = (size_t)rows * columns;
    for (size_t i = first_index(); i < count; i += index_step()) {
        size_t column = i / rows, row = i % rows;
        out[i] = matrix[row * columns + column];
    }
}

// A row for each block of REDUCED threads: its mean, and the root of its variance plus epsilon, [2, rows].
extern "C" __global__ void figures(const float *input, int width, double epsilon, float *out) {
    __shared__ double shared[2 * REDUCED];
    size_t row = blockIdx.x;
    const float *values = input + row * width;
    double total = 0.0, nothing = 0.0, squares = 0.0;
    for (int i = threadIdx.x; i < width; i += REDUCED) total += (double)values[i];
    sum_of_block(total, nothing, shared);
    double mean = total / width;
    for (int i = threadIdx.x; i < width; i += REDUCED) {
        double d = (double)values[i] - mean;
        squares += d * d;
    }
    sum_of_block(squares, nothing, shared);
    if (threadIdx.x == 0) {
        out[row] = (float)mean;
        out[gridDim.x + row] = (float)sqrt(squares / width + epsilon);
    }
}

// The mean's gradient, and the deviation's times (x - mean) / deviation, each shared by all values of the row.
extern "C" __global__ void figures_gradient(const float *input, const float *figures, const float *gradient, int width, float *out) {
    size_t row = blockIdx.x, rows = gridDim.x;
    double mean = (double)figures[row];
    double of_mean = (double)gradient[row] / width;
    double slope = (double)gradient[rows + row] / ((double)figures[rows + row] * width);
    // Nobody asks for the gradient of a deviation without an epsilon where all values are equal.
    if (gradient[rows + row] == 0.0f) slope = 0.0;
    for (int i = threadIdx.x; i < width; i += REDUCED) {
        out[row * width + i] = (float)(of_mean + slope * ((double)input[row * width + i] - mean));
    }
}

// The greatest number over all threads of a block, in each of them; NaN where there is one. `shared`: REDUCED places.
__device__ inline float greatest_of_block(float value, double *shared) {
    int thread = threadIdx.x;
    shared[thread] = (double)value;
    __syncthreads();
    for (int half = REDUCED / 2; half > 0; half /= 2) {
        if (thread < half) {
            double other = shared[thread + half];
            if (other > shared[thread] || other != other) shared[thread] = other;
        }
        __syncthreads();
    }
    value = (float)shared[0];
    __syncthreads();
    return value;
}

// An example for each block: `weights` is the softmax of its scores, `out` the sum of its frames by these weights.
extern "C" __global__ void attention(const float *frames, const float *scores, int count, int numbers, float *out, float *weights) {
    __shared__ double shared[2 * REDUCED];
    size_t example = blockIdx.x;
    frames += example * count * numbers;
    scores += example * count;
    weights += example * count;
    float greatest = __int_as_float(0xff800000);  // below all others
    for (int t = threadIdx.x; t < count; t += REDUCED) {
        if (scores[t] > greatest || scores[t] != scores[t]) greatest = scores[t];
    }
    greatest = greatest_of_block(greatest, shared);
    double total = 0.0, nothing = 0.0;
    for (int t = threadIdx.x; t < count; t += REDUCED) total += exp((double)scores[t] - (double)greatest);
    sum_of_block(total, nothing, shared);
    for (int t = threadIdx.x; t < count; t += REDUCED) weights[t] = (float)(exp((double)scores[t] - (double)greatest) / total);
    __syncthreads();
    for (int n = threadIdx.x; n < numbers; n += REDUCED) {
        double sum = 0.0;
        for (int t = 0; t < count; t++) sum += (double)weights[t] * (double)frames[(size_t)t * numbers + n];
        out[example * numbers + n] = (float)sum;
    }
}

// With w the weights and d the products of the gradient with each frame: w · gradient for a frame, w · (d - Σ w · d) for its score.
extern "C" __global__ void attention_gradient(const float *frames, const float *weights, const float *gradient, int count,
                                              int numbers, float *of_frames, float *of_scores) {
    __shared__ double shared[2 * REDUCED];
    size_t example = blockIdx.x;
    frames += example * count * numbers;
    weights += example * count;
    gradient += example * numbers;
    of_frames += example * count * numbers;
    of_scores += example * count;
    double total = 0.0, nothing = 0.0;
    // A frame for each warp, which reads it side by side.
    int lane = threadIdx.x % 32;
    for (int t = threadIdx.x / 32; t < count; t += REDUCED / 32) {
        double product = 0.0;
        for (int n = lane; n < numbers; n += 32) product += (double)gradient[n] * (double)frames[(size_t)t * numbers + n];
        for (int lanes = 16; lanes > 0; lanes /= 2) product += __shfl_xor_sync(0xffffffffu, product, lanes);
        if (lane == 0) {
            of_scores[t] = (float)product;
            total += (double)weights[t] * product;
        }
    }
    sum_of_block(total, nothing, shared);
    for (int t = threadIdx.x; t < count; t += REDUCED) {
        of_scores[t] = (float)((double)weights[t] * ((double)of_scores[t] - total));
    }
    for (int i = threadIdx.x; i < count * numbers; i += REDUCED) of_frames[i] = weights[i / numbers] * gradient[i % numbers];
}
