// Maxima and averages of cells that may overlap, for arrays [planes, rows, columns]. The cells are those of ../../cells.rs.
#include "common.cuh"

// Cells along one side of a plane. A grid has size 0.
struct Side {
    int length, cells, size, stride, padding;

    // What cell i covers: from `begin` up to `end`.
    __device__ int begin(int i) const {
        if (size == 0) return (int)((long long)i * length / cells);
        int start = i * stride - padding;
        return start < 0 ? 0 : start;
    }
    __device__ int end(int i) const {
        if (size == 0) return (int)(((long long)(i + 1) * length + cells - 1) / cells);
        int stop = i * stride - padding + size;
        return stop > length ? length : (stop < 0 ? 0 : stop);
    }
    // The cells that cover a place: from `first_cell` up to and with `last_cell`.
    __device__ int first_cell(int place) const {
        if (size == 0) return (int)((long long)place * cells / length);
        int before = place + padding - size;
        return before < 0 ? 0 : before / stride + 1;
    }
    __device__ int last_cell(int place) const {
        int last = size == 0 ? (int)(((long long)(place + 1) * cells - 1) / length) : (place + padding) / stride;
        return last < cells ? last : cells - 1;
    }
};

extern "C" __global__ void max_pool(const float *input, Side rows, Side columns, size_t planes, float *out,
                                    unsigned int *winners) {
    size_t count = planes * rows.cells * columns.cells;
    for (size_t i = first_index(); i < count; i += index_step()) {
        int cell = (int)(i % ((size_t)rows.cells * columns.cells));
        const float *plane = input + i / ((size_t)rows.cells * columns.cells) * rows.length * columns.length;
        int row = cell / columns.cells, column = cell % columns.cells;
        int left = columns.begin(column), right = columns.end(column);
        int best_place = rows.begin(row) * columns.length + left;
        float best = plane[best_place];
        for (int r = rows.begin(row); r < rows.end(row); r++) {
            for (int c = left; c < right; c++) {
                float value = plane[r * columns.length + c];
                if (value > best || (value != value && best == best)) {
                    best = value;
                    best_place = r * columns.length + c;
                }
            }
        }
        out[i] = best;
        winners[i] = (unsigned int)best_place;
    }
}

// Each place gathers from the cells that it won, so that no two threads write to one place.
extern "C" __global__ void max_pool_gradient(const float *gradient, const unsigned int *winners, Side rows,
                                             Side columns, size_t planes, float *out) {
    size_t length = (size_t)rows.length * columns.length, count = planes * length;
    for (size_t i = first_index(); i < count; i += index_step()) {
        size_t first = i / length * rows.cells * columns.cells;
        int place = (int)(i % length), row = place / columns.length, column = place % columns.length;
        float sum = 0.0f;
        for (int r = rows.first_cell(row); r <= rows.last_cell(row); r++) {
            for (int c = columns.first_cell(column); c <= columns.last_cell(column); c++) {
                size_t cell = first + (size_t)r * columns.cells + c;
                if (winners[cell] == (unsigned int)place) sum += gradient[cell];
            }
        }
        out[i] = sum;
    }
}

// A cell's sum is made by `lanes` neighbouring threads, a power of two up to 32. Windows divide by their whole size, padding
// included; the cells of a grid by what they cover.
extern "C" __global__ void average_pool(const float *input, Side rows, Side columns, size_t planes, int lanes,
                                        float *out) {
    size_t cells = (size_t)rows.cells * columns.cells, count = planes * cells;
    size_t thread = first_index(), i = thread / lanes;
    int lane = (int)(thread % lanes);
    double sum = 0.0;
    int divisor = 1;
    if (i < count) {
        int cell = (int)(i % cells);
        const float *plane = input + i / cells * rows.length * columns.length;
        int top = rows.begin(cell / columns.cells), left = columns.begin(cell % columns.cells);
        int height = rows.end(cell / columns.cells) - top, width = columns.end(cell % columns.cells) - left;
        divisor = rows.size == 0 ? height * width : rows.size * columns.size;
        for (int at = lane; at < height * width; at += lanes) {
            sum += (double)plane[(size_t)(top + at / width) * columns.length + left + at % width];
        }
    }
    for (int half = lanes / 2; half > 0; half /= 2) sum += __shfl_down_sync(0xffffffffu, sum, half, lanes);
    if (i < count && lane == 0) out[i] = (float)(sum / (double)divisor);
}

extern "C" __global__ void average_pool_gradient(const float *gradient, Side rows, Side columns, size_t planes,
                                                 float *out) {
    size_t length = (size_t)rows.length * columns.length, count = planes * length;
    for (size_t i = first_index(); i < count; i += index_step()) {
        size_t first = i / length * rows.cells * columns.cells;
        int place = (int)(i % length), row = place / columns.length, column = place % columns.length;
        float sum = 0.0f;
        for (int r = rows.first_cell(row); r <= rows.last_cell(row); r++) {
            int height = rows.end(r) - rows.begin(r);
            for (int c = columns.first_cell(column); c <= columns.last_cell(column); c++) {
                int width = columns.end(c) - columns.begin(c);
                int divisor = rows.size == 0 ? height * width : rows.size * columns.size;
                sum += (float)((double)gradient[first + (size_t)r * columns.cells + c] / (double)divisor);
            }
        }
        out[i] = sum;
    }
}
