// The planes of a block's values: its sums, [batch, channels, rows, columns], and what is left of them after pooling.
#pragma once

struct Sizes {
    int batch, channels, rows, columns;
    // Of the pooled planes, and of a window.
    int pooled_rows, pooled_columns, window_rows, window_columns;
    // Into how many parts the values of a channel are divided for a sum.
    int parts;

    __device__ int plane() const { return rows * columns; }
    __device__ int pooled_plane() const { return pooled_rows * pooled_columns; }
};

// What a batch norm needs of a channel. `total` and `squares`: the sums of d and d² over its values, with d the difference from `origin`.
// Writes mean, variance and 1 / σ to `statistics`, and scale and shift, which normalise a value and apply gamma and beta, to
// `affine`, [2, channels].
__device__ inline void normalize(double total, double squares, double origin, int channel, const Sizes &s, const float *gamma,
                                 const float *beta, double epsilon, double *statistics, float *affine) {
    double count = (double)s.batch * s.plane();
    double mean = total / count;
    double variance = squares / count - mean * mean;
    // Rounding may leave a hair below 0. NaN stays.
    variance = variance < 0.0 ? 0.0 : variance;
    mean += origin;
    double inverse = 1.0 / sqrt(variance + epsilon);
    statistics[3 * channel] = mean;
    statistics[3 * channel + 1] = variance;
    statistics[3 * channel + 2] = inverse;
    double scale = (double)gamma[channel] * inverse;
    affine[channel] = (float)scale;
    affine[s.channels + channel] = (float)((double)beta[channel] - mean * scale);
}

// The best of a window's values so far. The first of equal values wins, and the first NaN before all others.
struct Best {
    float value, sum;
    int place;

    __device__ Best() : value(0.0f), sum(0.0f), place(-1) {}

    __device__ void see(float candidate, float of_sum, int at) {
        if (place < 0 || candidate > value || (candidate != candidate && value == value)) {
            value = candidate;
            sum = of_sum;
            place = at;
        }
    }
};
