// First layers: convolutions of one channel with kernels of 3 × 3 and stride 1, and what surrounds them as in block.cu. A sum has nine
// terms, all from an image that the caches hold, and the sums of all filters are the largest array of a network. So whoever needs a sum
// computes it anew, as the same chain of multiply-adds each time. (Where a norm is trained and nothing pooled, the sums are what wins, and
// are written as that.)
//
// A block of threads visits a tile of one image's sums, for WARPS · FILTERS filters. A lane has the columns of one window of the pooling and
// goes down their rows; what it needs of the image stays in its registers from row to row. Over a tile sums are in 32 bits, over the
// tiles in 64.
#include "common.cuh"
#include "planes.cuh"

#define SIDE 3
#define TAPS (SIDE * SIDE)
#define LANES 32
#define WARPS (REDUCED / LANES)
// Filters of a warp at a time: the values of the image, read once, serve them all.
#define FILTERS 2
// The most rows of a tile.
#define TILE_ROWS 32

struct Scan {
    int image_rows, image_columns, padding_rows, padding_columns;
    // Rows of a tile, which are whole windows, and the tiles of an image.
    int tile_rows, tiles_down, tiles_across;

    __device__ int tiles(const Sizes &s) const { return s.batch * tiles_down * tiles_across; }

    // A value of an image or of the padding around it.
    __device__ float value(const float *image, int row, int column) const {
        bool is_inside = row >= 0 && row < image_rows && column >= 0 && column < image_columns;
        return is_inside ? image[(size_t)row * image_columns + column] : 0.0f;
    }
};

// The part of an image under a tile of sums. W: columns of a window.
template <int W> struct Tile {
    static constexpr int WIDTH = LANES * W + SIDE - 1;
    static constexpr int SIZE = (TILE_ROWS + SIDE - 1) * WIDTH;
    // Of the tile's first sum.
    int image, row, column;
    // Rows of sums in it.
    int rows;
    float *values;

    __device__ Tile(const Sizes &s, const Scan &scan, const float *images, float *shared) : values(shared) {
        int tile = blockIdx.x;
        column = tile % scan.tiles_across * LANES * W;
        tile /= scan.tiles_across;
        row = tile % scan.tiles_down * scan.tile_rows;
        image = tile / scan.tiles_down;
        rows = min(scan.tile_rows, s.rows - row);
        const float *from = images + (size_t)image * scan.image_rows * scan.image_columns;
        for (int i = threadIdx.x; i < (rows + SIDE - 1) * WIDTH; i += REDUCED) {
            values[i] = scan.value(from, row - scan.padding_rows + i / WIDTH, column - scan.padding_columns + i % WIDTH);
        }
        __syncthreads();
    }
};

// The filters of a warp.
struct Filters {
    int first;
    float taps[FILTERS][TAPS], bias[FILTERS];

    __device__ Filters(const Sizes &s, const float *kernel, const float *biases) {
        first = (blockIdx.y * WARPS + threadIdx.x / LANES) * FILTERS;
#pragma unroll
        for (int f = 0; f < FILTERS; f++) {
            bool is_there = first + f < s.channels;
            bias[f] = is_there ? biases[first + f] : 0.0f;
#pragma unroll
            for (int t = 0; t < TAPS; t++) taps[f][t] = is_there ? kernel[(first + f) * TAPS + t] : 0.0f;
        }
    }
};

// The values of the image that the sums of one lane in one row are made of.
template <int W> struct Rows {
    float at[SIDE][W + SIDE - 1];
    const float *next;

    __device__ Rows(const Tile<W> &tile) : next(tile.values + threadIdx.x % LANES * W) {
#pragma unroll
        for (int r = 1; r < SIDE; r++) step();
    }

    // Goes down to the next row of sums, which is the first one after the beginning.
    __device__ void step() {
#pragma unroll
        for (int c = 0; c < W + SIDE - 1; c++) {
#pragma unroll
            for (int r = 1; r < SIDE; r++) at[r - 1][c] = at[r][c];
        }
        if (W % 2 == 0) {
            // Two at a time: else lanes would wait for each other's banks.
#pragma unroll
            for (int c = 0; c < W + SIDE - 1; c += 2) {
                float2 both = *(const float2 *)(next + c);
                at[SIDE - 1][c] = both.x;
                at[SIDE - 1][c + 1] = both.y;
            }
        } else {
#pragma unroll
            for (int c = 0; c < W + SIDE - 1; c++) at[SIDE - 1][c] = next[c];
        }
        next += Tile<W>::WIDTH;
    }

    __device__ float sum(const float *taps, int column) const {
        float total = 0.0f;
#pragma unroll
        for (int r = 0; r < SIDE; r++) {
#pragma unroll
            for (int c = 0; c < SIDE; c++) total = fmaf(at[r][column + c], taps[r * SIDE + c], total);
        }
        return total;
    }
};

// The sum over all lanes of a warp, in each of them.
__device__ inline float sum_of_warp(float value) {
    for (int lanes = LANES / 2; lanes > 0; lanes /= 2) value += __shfl_xor_sync(0xffffffffu, value, lanes);
    return value;
}

// What the moments of a filter are measured from: its value in the middle of the first image.
__device__ inline float origin(const Sizes &s, const Scan &scan, const float *images, const float *taps, float bias, Rectifier first) {
    int row = s.rows / 2 - scan.padding_rows, column = s.columns / 2 - scan.padding_columns;
    float total = 0.0f;
    for (int t = 0; t < TAPS; t++) total = fmaf(scan.value(images, row + t / SIDE, column + t % SIDE), taps[t], total);
    return first.value(total + bias);
}

// `partial` [channels, 2, tiles]: the sums of d and d² of each tile, with d the difference from the filter's origin.
template <int W> __device__ void moments(const float *images, const float *kernel, const float *bias, Rectifier first, Sizes s,
                                         Scan scan, float *shared, float *partial) {
    Tile<W> tile(s, scan, images, shared);
    Filters filters(s, kernel, bias);
    if (filters.first >= s.channels) return;
    float origins[FILTERS], totals[FILTERS], squares[FILTERS];
#pragma unroll
    for (int f = 0; f < FILTERS; f++) {
        origins[f] = origin(s, scan, images, filters.taps[f], filters.bias[f], first);
        totals[f] = squares[f] = 0.0f;
    }
    int column = tile.column + threadIdx.x % LANES * W;
    Rows<W> rows(tile);
    for (int r = 0; r < tile.rows; r++) {
        rows.step();
#pragma unroll
        for (int c = 0; c < W; c++) {
            bool is_there = column + c < s.columns;
#pragma unroll
            for (int f = 0; f < FILTERS; f++) {
                float d = first.value(rows.sum(filters.taps[f], c) + filters.bias[f]) - origins[f];
                d = is_there ? d : 0.0f;
                totals[f] += d;
                squares[f] = fmaf(d, d, squares[f]);
            }
        }
    }
#pragma unroll
    for (int f = 0; f < FILTERS; f++) {
        float total = sum_of_warp(totals[f]), of_squares = sum_of_warp(squares[f]);
        if (threadIdx.x % LANES == 0 && filters.first + f < s.channels) {
            float *to = partial + (size_t)(filters.first + f) * 2 * gridDim.x + blockIdx.x;
            to[0] = total;
            to[gridDim.x] = of_squares;
        }
    }
}

// Mean, variance, 1 / σ, scale and shift of the filter blockIdx.x.
extern "C" __global__ void first_layer_statistics(const float *partial, const float *images, const float *kernel, const float *bias,
                                                  Rectifier first, Sizes s, Scan scan, const float *gamma, const float *beta,
                                                  double epsilon, double *statistics, float *affine) {
    __shared__ double shared[2 * REDUCED];
    int channel = blockIdx.x, tiles = scan.tiles(s);
    const float *from = partial + (size_t)channel * 2 * tiles;
    double total = 0.0, squares = 0.0;
    for (int tile = threadIdx.x; tile < tiles; tile += REDUCED) {
        total += (double)from[tile];
        squares += (double)from[tiles + tile];
    }
    sum_of_block(total, squares, shared);
    if (threadIdx.x == 0) {
        float from_where = origin(s, scan, images, kernel + channel * TAPS, bias[channel], first);
        normalize(total, squares, (double)from_where, channel, s, gamma, beta, epsilon, statistics, affine);
    }
}

// As block_forward in block.cu.
template <int W> __device__ void forward(const float *images, const float *kernel, const float *bias, const float *affine,
                                         Rectifier first, Rectifier last, Sizes s, Scan scan, float *shared, float *out,
                                         unsigned char *place, float *won) {
    Tile<W> tile(s, scan, images, shared);
    Filters filters(s, kernel, bias);
    if (filters.first >= s.channels) return;
    float scale[FILTERS], shift[FILTERS];
#pragma unroll
    for (int f = 0; f < FILTERS; f++) {
        bool is_there = affine && filters.first + f < s.channels;
        scale[f] = is_there ? affine[filters.first + f] : 1.0f;
        shift[f] = is_there ? affine[s.channels + filters.first + f] : 0.0f;
    }
    int cell_column = tile.column / W + threadIdx.x % LANES;
    Rows<W> rows(tile);
    for (int cell_row = tile.row / s.window_rows; cell_row < min(s.pooled_rows, (tile.row + tile.rows) / s.window_rows); cell_row++) {
        Best best[FILTERS];
        for (int r = 0; r < s.window_rows; r++) {
            rows.step();
#pragma unroll
            for (int c = 0; c < W; c++) {
#pragma unroll
                for (int f = 0; f < FILTERS; f++) {
                    float y = first.value(rows.sum(filters.taps[f], c) + filters.bias[f]);
                    best[f].see(affine ? y * scale[f] + shift[f] : y, y, r * W + c);
                }
            }
        }
        if (cell_column >= s.pooled_columns) continue;
#pragma unroll
        for (int f = 0; f < FILTERS; f++) {
            if (filters.first + f >= s.channels) continue;
            size_t plane = (size_t)tile.image * s.channels + filters.first + f;
            size_t at = plane * s.pooled_plane() + (size_t)cell_row * s.pooled_columns + cell_column;
            out[at] = last.value(best[f].value);
            if (place) place[at] = (unsigned char)best[f].place;
            if (won) won[at] = best[f].sum;
        }
    }
}

// `partial` [channels, TAPS + 1, tiles]: of each tile the gradient of the kernel's taps, and the sum of the gradients of the sums,
// which are those of block_gradient in block.cu.
template <int W> __device__ void gradient(const float *images, const float *kernel, const float *bias, const float *of_out,
                                          const float *out, const unsigned char *place, const float *lines, Rectifier first,
                                          Rectifier last, Sizes s, Scan scan, float *shared, float *partial) {
    Tile<W> tile(s, scan, images, shared);
    Filters filters(s, kernel, bias);
    if (filters.first >= s.channels) return;
    float line[FILTERS][3], totals[FILTERS][TAPS + 1];
#pragma unroll
    for (int f = 0; f < FILTERS; f++) {
        bool is_there = lines && filters.first + f < s.channels;
#pragma unroll
        for (int i = 0; i < 3; i++) line[f][i] = is_there ? lines[3 * (filters.first + f) + i] : 0.0f;
#pragma unroll
        for (int t = 0; t < TAPS + 1; t++) totals[f][t] = 0.0f;
    }
    int column = tile.column + threadIdx.x % LANES * W, cell_column = column / W;
    Rows<W> rows(tile);
    for (int begin = 0; begin < tile.rows; begin += s.window_rows) {
        int cell_row = (tile.row + begin) / s.window_rows;
        bool is_pooled = cell_row < s.pooled_rows && cell_column < s.pooled_columns;
        float through[FILTERS];
        int winner[FILTERS];
#pragma unroll
        for (int f = 0; f < FILTERS; f++) {
            through[f] = 0.0f;
            winner[f] = -1;
            if (is_pooled && filters.first + f < s.channels) {
                size_t plane = (size_t)tile.image * s.channels + filters.first + f;
                size_t at = plane * s.pooled_plane() + (size_t)cell_row * s.pooled_columns + cell_column;
                through[f] = last.back(out[at], of_out[at]);
                winner[f] = place ? place[at] : 0;
            }
        }
        int end = min(s.window_rows, tile.rows - begin);
        for (int r = 0; r < end; r++) {
            rows.step();
#pragma unroll
            for (int c = 0; c < W; c++) {
                bool is_there = column + c < s.columns;
#pragma unroll
                for (int f = 0; f < FILTERS; f++) {
                    float g = winner[f] == r * W + c ? through[f] : 0.0f;
                    if (lines) {
                        float raw = rows.sum(filters.taps[f], c) + filters.bias[f];
                        g = line[f][0] * g + line[f][1] * first.value(raw) + line[f][2];
                        g = first.back(raw, g);
                    }
                    g = is_there ? g : 0.0f;
#pragma unroll
                    for (int t = 0; t < TAPS; t++) {
                        totals[f][t] = fmaf(rows.at[t / SIDE][c + t % SIDE], g, totals[f][t]);
                    }
                    totals[f][TAPS] += g;
                }
            }
        }
    }
#pragma unroll
    for (int f = 0; f < FILTERS; f++) {
#pragma unroll
        for (int t = 0; t < TAPS + 1; t++) {
            float total = sum_of_warp(totals[f][t]);
            if (threadIdx.x % LANES == 0 && filters.first + f < s.channels) {
                partial[((size_t)(filters.first + f) * (TAPS + 1) + t) * gridDim.x + blockIdx.x] = total;
            }
        }
    }
}

// Adds up what the tiles gave: of the filter blockIdx.x, number blockIdx.y of its TAPS + 1. `of_bias` may be null.
extern "C" __global__ void first_layer_gradient_sums(const float *partial, int tiles, float *of_kernel, float *of_bias) {
    __shared__ double shared[2 * REDUCED];
    int channel = blockIdx.x, number = blockIdx.y;
    const float *from = partial + ((size_t)channel * (TAPS + 1) + number) * tiles;
    double total = 0.0, nothing = 0.0;
    for (int tile = threadIdx.x; tile < tiles; tile += REDUCED) total += (double)from[tile];
    sum_of_block(total, nothing, shared);
    if (threadIdx.x != 0) return;
    if (number < TAPS) of_kernel[channel * TAPS + number] = (float)total;
    else if (of_bias) of_bias[channel] = (float)total;
}

// The kernels for windows of W columns.
#define FIRST_LAYER(W)                                                                                                               \
    extern "C" __global__ void __launch_bounds__(REDUCED)                                                                            \
        first_layer_moments_##W(const float *images, const float *kernel, const float *bias, Rectifier first, Sizes s, Scan scan,    \
                                float *partial) {                                                                                    \
        __shared__ __align__(8) float shared[Tile<W>::SIZE];                                                                         \
        moments<W>(images, kernel, bias, first, s, scan, shared, partial);                                                           \
    }                                                                                                                                \
    extern "C" __global__ void __launch_bounds__(REDUCED)                                                                            \
        first_layer_forward_##W(const float *images, const float *kernel, const float *bias, const float *affine, Rectifier first,   \
                                Rectifier last, Sizes s, Scan scan, float *out, unsigned char *place, float *won) {                  \
        __shared__ __align__(8) float shared[Tile<W>::SIZE];                                                                         \
        forward<W>(images, kernel, bias, affine, first, last, s, scan, shared, out, place, won);                                     \
    }                                                                                                                                \
    extern "C" __global__ void __launch_bounds__(REDUCED)                                                                            \
        first_layer_gradient_##W(const float *images, const float *kernel, const float *bias, const float *of_out, const float *out, \
                                 const unsigned char *place, const float *lines, Rectifier first, Rectifier last, Sizes s,           \
                                 Scan scan, float *partial) {                                                                        \
        __shared__ __align__(8) float shared[Tile<W>::SIZE];                                                                         \
        gradient<W>(images, kernel, bias, of_out, out, place, lines, first, last, s, scan, shared, partial);                         \
    }

FIRST_LAYER(1)
FIRST_LAYER(2)
FIRST_LAYER(3)
FIRST_LAYER(4)
