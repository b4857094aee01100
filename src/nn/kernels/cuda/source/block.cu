// What surrounds a convolution's sums: bias, batch norm, rectifier and max pooling, forwards and backwards, for arrays
// [batch, channels, rows, columns]. The formulas are those of ../../conv/{forward,backward}.rs. The sums, and their gradient, are in 16
// bits (`in_16_bits`) where the products are.
#include "common.cuh"
#include "planes.cuh"

// Values that a thread asks for before it uses the first of them: one at a time would leave most of the memory's speed unused.
#define AT_ONCE 4

// The places of a channel's values that one thread of a block of REDUCED visits, from `first` on. One division, not one for each place.
struct Places {
    size_t image;
    int at, plane, images, rest;

    __device__ Places(size_t first, int plane) : plane(plane) {
        image = first / plane;
        at = (int)(first - image * plane);
        images = REDUCED / plane;
        rest = REDUCED % plane;
    }

    __device__ void next() {
        image += images;
        at += rest;
        if (at >= plane) {
            at -= plane;
            image++;
        }
    }
};

// The value of a sum that the norm sees.
__device__ float seen(const void *sums, int in_16_bits, const float *bias, Rectifier first, int channel, size_t at) {
    return first.value(number_at(sums, in_16_bits, at) + (bias ? bias[channel] : 0.0f));
}

// Where the winner of a cell lies in its plane.
__device__ int winner(const Sizes &s, const unsigned char *place, size_t plane, int cell) {
    int row = cell / s.pooled_columns, column = cell % s.pooled_columns;
    int in_window = place ? place[plane * s.pooled_plane() + cell] : 0;
    int window_row = in_window / s.window_columns, window_column = in_window % s.window_columns;
    return (row * s.window_rows + window_row) * s.columns + column * s.window_columns + window_column;
}

// For each channel (blockIdx.x, of which there may be very many) and part (blockIdx.y): the sums of d and d², with d the difference
// from the channel's first value, which keeps the sums small where the mean is large.
extern "C" __global__ void channel_moments(const void *sums, int in_16_bits, const float *bias, Rectifier first, Sizes s,
                                           double *partial) {
    __shared__ double shared[2 * REDUCED];
    int channel = blockIdx.x, part = blockIdx.y, plane = s.plane();
    size_t count = (size_t)s.batch * plane;
    size_t begin = count * part / s.parts, end = count * (part + 1) / s.parts;
    float origin = seen(sums, in_16_bits, bias, first, channel, (size_t)channel * plane);
    double total = 0.0, squares = 0.0;
    Places place(begin + threadIdx.x, plane);
    for (size_t i = begin + threadIdx.x; i < end; i += AT_ONCE * REDUCED) {
        float values[AT_ONCE];
#pragma unroll
        for (int k = 0; k < AT_ONCE; k++, place.next()) {
            size_t at = (place.image * s.channels + channel) * plane + place.at;
            values[k] = i + k * REDUCED < end ? seen(sums, in_16_bits, bias, first, channel, at) : origin;
        }
#pragma unroll
        for (int k = 0; k < AT_ONCE; k++) {
            double d = (double)values[k] - (double)origin;
            total += d;
            squares += d * d;
        }
    }
    sum_of_block(total, squares, shared);
    if (threadIdx.x == 0) {
        partial[2 * ((size_t)channel * s.parts + part)] = total;
        partial[2 * ((size_t)channel * s.parts + part) + 1] = squares;
    }
}

// Of each channel: mean, variance and 1 / σ in `statistics`, and scale and shift, which normalise a value and apply gamma and beta,
// in `affine`, [2, channels].
extern "C" __global__ void channel_statistics(const double *partial, const void *sums, int in_16_bits, const float *bias,
                                              Rectifier first, Sizes s, const float *gamma, const float *beta,
                                              double epsilon, double *statistics, float *affine) {
    int channel = blockIdx.x * blockDim.x + threadIdx.x;
    if (channel >= s.channels) return;
    double total = 0.0, squares = 0.0;
    for (int part = 0; part < s.parts; part++) {
        total += partial[2 * ((size_t)channel * s.parts + part)];
        squares += partial[2 * ((size_t)channel * s.parts + part) + 1];
    }
    double origin = (double)seen(sums, in_16_bits, bias, first, channel, (size_t)channel * s.plane());
    normalize(total, squares, origin, channel, s, gamma, beta, epsilon, statistics, affine);
}

// Moves running averages towards the batch; its variance is multiplied by `factor` first.
extern "C" __global__ void follow(float *mean, float *variance, const double *statistics, int channels, double momentum,
                                  double factor) {
    int channel = blockIdx.x * blockDim.x + threadIdx.x;
    if (channel >= channels) return;
    double of_mean = statistics[3 * channel], of_variance = statistics[3 * channel + 1] * factor;
    mean[channel] = (float)((1.0 - momentum) * (double)mean[channel] + momentum * of_mean);
    variance[channel] = (float)((1.0 - momentum) * (double)variance[channel] + momentum * of_variance);
}

// One value of the output for each thread. `affine`: scales, then shifts, or null. `place`: where in its window the winner stood,
// and `won`: its sum (with bias, through the first rectifier), where somebody asks for them.
extern "C" __global__ void block_forward(const void *sums, int in_16_bits, const float *bias, const float *affine, Rectifier first,
                                         Rectifier last, Sizes s, float *out, unsigned char *place, float *won) {
    int planes = s.batch * s.channels, cells = s.pooled_plane();
    int cell = blockIdx.x * blockDim.x + threadIdx.x;
    if (cell >= cells) return;
    int row = cell / s.pooled_columns * s.window_rows, column = cell % s.pooled_columns * s.window_columns;
    for (int plane = blockIdx.y * blockDim.y + threadIdx.y; plane < planes; plane += gridDim.y * blockDim.y) {
        int channel = plane % s.channels;
        float shift_before = bias ? bias[channel] : 0.0f;
        float scale = affine ? affine[channel] : 1.0f, shift = affine ? affine[s.channels + channel] : 0.0f;
        size_t first_sum = (size_t)plane * s.plane();
        Best best;
        for (int r = 0; r < s.window_rows; r++) {
            for (int c = 0; c < s.window_columns; c++) {
                size_t sum = first_sum + (size_t)(row + r) * s.columns + column + c;
                float y = first.value(number_at(sums, in_16_bits, sum) + shift_before);
                best.see(affine ? y * scale + shift : y, y, r * s.window_columns + c);
            }
        }
        size_t at = (size_t)plane * cells + cell;
        out[at] = last.value(best.value);
        if (place) place[at] = (unsigned char)best.place;
        if (won) won[at] = best.sum;
    }
}

// For each channel and part: the sums of g and of g · (y - mean) over the winners y, with g the gradient through the last rectifier.
// `won`: the winners, or null where nothing was pooled and they are the sums.
extern "C" __global__ void block_gradient_sums(const float *gradient, const float *out, const float *won,
                                               const void *sums, int in_16_bits, const float *bias, const double *statistics,
                                               Rectifier first, Rectifier last, Sizes s, double *partial) {
    __shared__ double shared[2 * REDUCED];
    int channel = blockIdx.x, part = blockIdx.y, cells = s.pooled_plane();
    size_t count = (size_t)s.batch * cells;
    size_t begin = count * part / s.parts, end = count * (part + 1) / s.parts;
    double mean = statistics ? statistics[3 * channel] : 0.0;
    double total = 0.0, moment = 0.0;
    Places of_cells(begin + threadIdx.x, cells);
    for (size_t i = begin + threadIdx.x; i < end; i += AT_ONCE * REDUCED) {
        float outs[AT_ONCE], gradients[AT_ONCE], winners[AT_ONCE];
#pragma unroll
        for (int k = 0; k < AT_ONCE; k++, of_cells.next()) {
            size_t at = (of_cells.image * s.channels + channel) * cells + of_cells.at;
            bool is_there = i + k * REDUCED < end;
            outs[k] = is_there ? out[at] : 0.0f;
            gradients[k] = is_there ? gradient[at] : 0.0f;
            winners[k] = 0.0f;
            if (is_there && statistics) winners[k] = won ? won[at] : seen(sums, in_16_bits, bias, first, channel, at);
        }
#pragma unroll
        for (int k = 0; k < AT_ONCE; k++) {
            double g = (double)last.back(outs[k], gradients[k]);
            total += g;
            if (statistics && i + k * REDUCED < end) moment += g * ((double)winners[k] - mean);
        }
    }
    sum_of_block(total, moment, shared);
    if (threadIdx.x == 0) {
        partial[2 * ((size_t)channel * s.parts + part)] = total;
        partial[2 * ((size_t)channel * s.parts + part) + 1] = moment;
    }
}

// The gradients of bias, gamma and beta ([3 · channels]; without a norm the bias alone), and with a norm the line of each channel:
// dy = line[0] · g + line[1] · y + line[2].
extern "C" __global__ void block_gradient_lines(const double *partial, const double *statistics, const float *gamma,
                                                Sizes s, float *of_shifts, float *lines) {
    int channel = blockIdx.x * blockDim.x + threadIdx.x;
    if (channel >= s.channels) return;
    double total = 0.0, moment = 0.0;
    for (int part = 0; part < s.parts; part++) {
        total += partial[2 * ((size_t)channel * s.parts + part)];
        moment += partial[2 * ((size_t)channel * s.parts + part) + 1];
    }
    if (!statistics) {
        of_shifts[channel] = (float)total;
        return;
    }
    double mean = statistics[3 * channel], inverse = statistics[3 * channel + 2];
    double count = (double)s.batch * s.plane();
    double scale = (double)gamma[channel] * inverse;
    double slope = -scale * moment * inverse / count * inverse;
    // A norm takes the bias right before it away again; one before a rectifier is written later.
    of_shifts[channel] = 0.0f;
    of_shifts[s.channels + channel] = (float)(moment * inverse);
    of_shifts[2 * s.channels + channel] = (float)total;
    lines[3 * channel] = (float)scale;
    lines[3 * channel + 1] = (float)slope;
    lines[3 * channel + 2] = (float)(-scale * total / count - slope * mean);
}

// The gradient of every sum. `lines`: null without a norm.
extern "C" __global__ void block_gradient(const float *gradient, const float *out, const unsigned char *place,
                                          const void *sums, int in_16_bits, const float *bias, const float *lines, Rectifier first,
                                          Rectifier last, Sizes s, void *of_sums) {
    int planes = s.batch * s.channels, cells = s.pooled_plane();
    int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= s.plane()) return;
    int row = at / s.columns / s.window_rows, column = at % s.columns / s.window_columns;
    bool is_pooled = row < s.pooled_rows && column < s.pooled_columns;
    int cell = row * s.pooled_columns + column;
    for (int plane = blockIdx.y * blockDim.y + threadIdx.y; plane < planes; plane += gridDim.y * blockDim.y) {
        int channel = plane % s.channels;
        size_t place_of_sum = (size_t)plane * s.plane() + at;
        // All is asked for before any of it is looked at.
        float raw = lines ? number_at(sums, in_16_bits, place_of_sum) + (bias ? bias[channel] : 0.0f) : 0.0f;
        float g = 0.0f;
        if (is_pooled) {
            size_t pooled = (size_t)plane * cells + cell;
            float through = last.back(out[pooled], gradient[pooled]);
            if (winner(s, place, plane, cell) == at) g = through;
        }
        if (lines) {
            float y = first.value(raw);
            g = lines[3 * channel] * g + lines[3 * channel + 1] * y + lines[3 * channel + 2];
            g = first.back(raw, g);
        }
        if (in_16_bits) {
            ((unsigned short *)of_sums)[place_of_sum] = to_bits16(g);
        } else {
            ((float *)of_sums)[place_of_sum] = g;
        }
    }
}

// For each channel and part: the sum of the values.
extern "C" __global__ void channel_sums(const void *values, int in_16_bits, Sizes s, double *partial) {
    __shared__ double shared[2 * REDUCED];
    int channel = blockIdx.x, part = blockIdx.y, plane = s.plane();
    size_t count = (size_t)s.batch * plane;
    size_t begin = count * part / s.parts, end = count * (part + 1) / s.parts;
    double total = 0.0, nothing = 0.0;
    Places place(begin + threadIdx.x, plane);
    for (size_t i = begin + threadIdx.x; i < end; i += AT_ONCE * REDUCED) {
        float some[AT_ONCE];
#pragma unroll
        for (int k = 0; k < AT_ONCE; k++, place.next()) {
            size_t at = (place.image * s.channels + channel) * plane + place.at;
            some[k] = i + k * REDUCED < end ? number_at(values, in_16_bits, at) : 0.0f;
        }
#pragma unroll
        for (int k = 0; k < AT_ONCE; k++) total += (double)some[k];
    }
    sum_of_block(total, nothing, shared);
    if (threadIdx.x == 0) partial[(size_t)channel * s.parts + part] = total;
}

extern "C" __global__ void sum_of_parts(const double *partial, int channels, int parts, float *out) {
    int channel = blockIdx.x * blockDim.x + threadIdx.x;
    if (channel >= channels) return;
    double total = 0.0;
    for (int part = 0; part < parts; part++) total += partial[(size_t)channel * parts + part];
    out[channel] = (float)total;
}
