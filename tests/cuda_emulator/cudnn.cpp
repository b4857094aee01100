// cuDNN: descriptors and convolutions (legacy interface). Every algorithm
// computes the same: plain loops, products in float or double, sums in double.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "internal.h"

using namespace cuda_emulator;

namespace {

enum Status {
    OK = 0,
    NOT_INITIALIZED = 1001,
    BAD_PARAM = 2000,
    BAD_PARAM_NULL_POINTER = 2002,
    NOT_SUPPORTED = 3000,
    EXECUTION_FAILED = 5000,
};

enum DataType { FLOAT = 0, DOUBLE = 1, HALF = 2, BFLOAT16 = 9 };
enum Format { NCHW = 0, NHWC = 1 };
constexpr int MAX_DIMS = 8;
constexpr int FORWARD_ALGOS = 8, DATA_ALGOS = 6, FILTER_ALGOS = 7;

struct Handle {
    StreamHandle stream = nullptr;
};

struct Tensor {
    bool set = false;
    int type = 0, dims = 0;
    int size[MAX_DIMS], stride[MAX_DIMS];
};

struct Filter {
    bool set = false;
    int type = 0, format = 0, dims = 0;
    int size[MAX_DIMS];
};

struct Convolution {
    bool set = false;
    int dims = 0;  // of space
    int pad[MAX_DIMS], stride[MAX_DIMS], dilation[MAX_DIMS];
    int mode = 1, compute = 0, math = 0, groups = 1;
};

struct Performance {
    int algo;
    int status;
    float time;
    size_t memory;
    int determinism;
    int math;
    int reserved[3];
};
static_assert(sizeof(Performance) == 48, "the structure of cuDNN");

Status refuse(Status status, const char *function, const char *why) {
    warn("%s: %s", function, why);
    return status;
}

size_t type_size(int type) { return type == DOUBLE ? 8 : type == FLOAT ? 4 : 2; }

bool known_type(int type) { return type == FLOAT || type == DOUBLE || type == HALF || type == BFLOAT16; }

// The bytes from the first to the last element.
size_t extent(const Tensor &t) {
    size_t last = 0;
    for (int i = 0; i < t.dims; i++) last += size_t(t.size[i] - 1) * size_t(t.stride[i]);
    return (last + 1) * type_size(t.type);
}

size_t elements(const Filter &f) {
    size_t n = 1;
    for (int i = 0; i < f.dims; i++) n *= size_t(f.size[i]);
    return n;
}

void set_strides(Tensor &t, int format) {
    int next = 1;
    if (format == NHWC) {
        t.stride[1] = 1;
        next = t.size[1];
        for (int i = t.dims - 1; i >= 2; i--) {
            t.stride[i] = next;
            next *= t.size[i];
        }
        t.stride[0] = next;
    } else {
        for (int i = t.dims - 1; i >= 0; i--) {
            t.stride[i] = next;
            next *= t.size[i];
        }
    }
}

double load(const void *p, int type, size_t i) {
    switch (type) {
        case FLOAT: return static_cast<const float *>(p)[i];
        case DOUBLE: return static_cast<const double *>(p)[i];
        case HALF: return half_bits_to_float(static_cast<const uint16_t *>(p)[i]);
        default: return bfloat16_bits_to_float(static_cast<const uint16_t *>(p)[i]);
    }
}

void store(void *p, int type, size_t i, double v) {
    switch (type) {
        case FLOAT: static_cast<float *>(p)[i] = static_cast<float>(v); break;
        case DOUBLE: static_cast<double *>(p)[i] = v; break;
        case HALF: static_cast<uint16_t *>(p)[i] = float_to_half_bits(double_to_odd_float(v)); break;
        default: static_cast<uint16_t *>(p)[i] = float_to_bfloat16_bits(double_to_odd_float(v)); break;
    }
}

// A convolution with three dimensions of space: missing ones have size 1.
struct Geometry {
    const char *name;
    Tensor x, y;
    Filter w;
    int type, groups;
    int64_t n, c, k, c_group, k_group;
    int64_t in[3], out[3], window[3], pad[3], stride[3], dilation[3];
    int64_t x_stride[5], y_stride[5], w_stride[5];
    int64_t in_points() const { return in[0] * in[1] * in[2]; }
    int64_t out_points() const { return out[0] * out[1] * out[2]; }
    int64_t window_points() const { return window[0] * window[1] * window[2]; }
};

int output_size(int in, int window, int pad, int stride, int dilation) {
    int span = (window - 1) * dilation + 1;
    int room = in + 2 * pad - span;
    return room < 0 ? 0 : room / stride + 1;
}

// Checks the descriptors against each other, as cuDNN does.
Status make_geometry(const char *name, const Tensor *x, const Filter *w, const Convolution *conv, const Tensor *y, Geometry *g) {
    if (!x || !w || !conv || !y) return refuse(BAD_PARAM_NULL_POINTER, name, "a descriptor is missing");
    if (!x->set || !w->set || !conv->set || !y->set) return refuse(BAD_PARAM, name, "a descriptor has not been set");
    if (conv->mode != 1) return refuse(NOT_SUPPORTED, name, "only cross-correlation is emulated");
    int dims = x->dims;
    if (w->dims != dims || y->dims != dims || conv->dims != dims - 2) {
        return refuse(BAD_PARAM, name, "the descriptors differ in their number of dimensions");
    }
    if (dims < 4 || dims > 5) return refuse(NOT_SUPPORTED, name, "only 4 or 5 dimensions are emulated");
    if (x->type != w->type || x->type != y->type) return refuse(BAD_PARAM, name, "the tensors differ in their types");
    if (x->type != FLOAT && x->type != BFLOAT16 && x->type != DOUBLE && x->type != HALF) return refuse(NOT_SUPPORTED, name, "data type not emulated");
    if (conv->compute != (x->type == DOUBLE ? DOUBLE : FLOAT)) return refuse(NOT_SUPPORTED, name, "compute type not emulated");
    if (conv->groups < 1 || x->size[1] % conv->groups || w->size[0] % conv->groups) {
        return refuse(BAD_PARAM, name, "the channels do not divide into the groups");
    }
    if (w->size[1] != x->size[1] / conv->groups) return refuse(BAD_PARAM, name, "the channels of filter and input differ");
    if (y->size[0] != x->size[0] || y->size[1] != w->size[0]) return refuse(BAD_PARAM, name, "batch or channels of the output are wrong");
    for (int i = 2; i < dims; i++) {
        int expected = output_size(x->size[i], w->size[i], conv->pad[i - 2], conv->stride[i - 2], conv->dilation[i - 2]);
        if (expected < 1 || y->size[i] != expected) {
            warn("%s: dimension %d of the output is %d, and should be %d", name, i, y->size[i], expected);
            return BAD_PARAM;
        }
    }
    if (w->format == NHWC) {
        auto channels_last = [](const Tensor *t) { return t->size[1] == 1 || t->stride[1] == 1; };
        if (!channels_last(x) || !channels_last(y)) {
            return refuse(NOT_SUPPORTED, name, "a filter in NHWC needs tensors in NHWC");
        }
    }
    g->name = name;
    g->x = *x;
    g->y = *y;
    g->w = *w;
    g->type = x->type;
    g->groups = conv->groups;
    g->n = x->size[0];
    g->c = x->size[1];
    g->k = w->size[0];
    g->c_group = g->c / g->groups;
    g->k_group = g->k / g->groups;
    Tensor filter;
    filter.dims = dims;
    memcpy(filter.size, w->size, sizeof filter.size);
    set_strides(filter, w->format);
    int missing = 5 - dims;
    for (int i = 0; i < 3; i++) {
        bool there = i >= missing;
        int j = i - missing;
        g->in[i] = there ? x->size[j + 2] : 1;
        g->out[i] = there ? y->size[j + 2] : 1;
        g->window[i] = there ? w->size[j + 2] : 1;
        g->pad[i] = there ? conv->pad[j] : 0;
        g->stride[i] = there ? conv->stride[j] : 1;
        g->dilation[i] = there ? conv->dilation[j] : 1;
        g->x_stride[i + 2] = there ? x->stride[j + 2] : 0;
        g->y_stride[i + 2] = there ? y->stride[j + 2] : 0;
        g->w_stride[i + 2] = there ? filter.stride[j + 2] : 0;
    }
    for (int i = 0; i < 2; i++) {
        g->x_stride[i] = x->stride[i];
        g->y_stride[i] = y->stride[i];
        g->w_stride[i] = filter.stride[i];
    }
    return OK;
}

// A dense copy, with the last dimension of space innermost.
std::vector<double> pack(const void *p, int type, int64_t a, int64_t b, const int64_t *space, const int64_t *stride) {
    int64_t points = space[0] * space[1] * space[2];
    std::vector<double> out(static_cast<size_t>(a * b * points));
    parallel_for(static_cast<size_t>(a * b), static_cast<size_t>(65536 / points + 1), [&](size_t begin, size_t end) {
        for (size_t ab = begin; ab < end; ab++) {
            double *to = out.data() + ab * static_cast<size_t>(points);
            int64_t base = int64_t(ab) / b * stride[0] + int64_t(ab) % b * stride[1];
            for (int64_t d = 0; d < space[0]; d++) {
                for (int64_t h = 0; h < space[1]; h++) {
                    for (int64_t w = 0; w < space[2]; w++) {
                        *to++ = load(p, type, static_cast<size_t>(base + d * stride[2] + h * stride[3] + w * stride[4]));
                    }
                }
            }
        }
    });
    return out;
}

// out = alpha * result + beta * out, for one plane of space.
void unpack(void *p, int type, int64_t base, const int64_t *space, const int64_t *stride, const double *result, double alpha, double beta) {
    for (int64_t d = 0; d < space[0]; d++) {
        for (int64_t h = 0; h < space[1]; h++) {
            for (int64_t w = 0; w < space[2]; w++) {
                size_t where = static_cast<size_t>(base + d * stride[2] + h * stride[3] + w * stride[4]);
                double v = alpha * *result++;
                if (beta != 0) v += beta * load(p, type, where);
                store(p, type, where, v);
            }
        }
    }
}

// The outputs whose input lies within 0..in, for one position of the window.
void valid_outputs(int64_t in, int64_t out, int64_t stride, int64_t offset, int64_t *first, int64_t *end) {
    // 0 <= o * stride + offset < in
    *first = offset >= 0 ? 0 : (-offset + stride - 1) / stride;
    int64_t limit = in - offset;
    *end = limit <= 0 ? 0 : (limit + stride - 1) / stride;
    if (*end > out) *end = out;
    if (*first > *end) *first = *end;
}

// Calls f(window position, output row, input row, first, end, input offset) for
// each pair of rows that the window joins.
template <class F>
void for_rows(const Geometry &g, F f) {
    int64_t position = 0;
    for (int64_t kd = 0; kd < g.window[0]; kd++) {
        for (int64_t kh = 0; kh < g.window[1]; kh++) {
            for (int64_t kw = 0; kw < g.window[2]; kw++, position++) {
                int64_t off_d = kd * g.dilation[0] - g.pad[0], off_h = kh * g.dilation[1] - g.pad[1];
                int64_t off_w = kw * g.dilation[2] - g.pad[2];
                int64_t d0, d1, h0, h1, w0, w1;
                valid_outputs(g.in[0], g.out[0], g.stride[0], off_d, &d0, &d1);
                valid_outputs(g.in[1], g.out[1], g.stride[1], off_h, &h0, &h1);
                valid_outputs(g.in[2], g.out[2], g.stride[2], off_w, &w0, &w1);
                if (w0 == w1) continue;
                for (int64_t d = d0; d < d1; d++) {
                    for (int64_t h = h0; h < h1; h++) {
                        int64_t out_row = (d * g.out[1] + h) * g.out[2];
                        int64_t in_row = ((d * g.stride[0] + off_d) * g.in[1] + h * g.stride[1] + off_h) * g.in[2];
                        f(position, out_row, in_row + off_w, w0, w1);
                    }
                }
            }
        }
    }
}

void check_tensors(const Geometry &g, const void *x, const void *w, const void *y) {
    check_range(g.name, x, extent(g.x));
    check_range(g.name, w, elements(g.w) * type_size(g.type));
    check_range(g.name, y, extent(g.y));
}

void forward(const Geometry &g, double alpha, const void *x, const void *w, double beta, void *y) {
    check_tensors(g, x, w, y);
    std::vector<double> xs = pack(x, g.type, g.n, g.c, g.in, g.x_stride), ws = pack(w, g.type, g.k, g.c_group, g.window, g.w_stride);
    parallel_for(static_cast<size_t>(g.n * g.k), 1, [&](size_t begin, size_t end) {
        std::vector<double> plane(static_cast<size_t>(g.out_points()));
        for (size_t nk = begin; nk < end; nk++) {
            int64_t n = int64_t(nk) / g.k, k = int64_t(nk) % g.k, group = k / g.k_group;
            std::fill(plane.begin(), plane.end(), 0.0);
            for (int64_t c = 0; c < g.c_group; c++) {
                const double *in = xs.data() + (n * g.c + group * g.c_group + c) * g.in_points();
                const double *window = ws.data() + (k * g.c_group + c) * g.window_points();
                const int64_t step = g.stride[2];
                for_rows(g, [&](int64_t position, int64_t out_row, int64_t in_row, int64_t first, int64_t last) {
                    double v = window[position];
                    double *o = plane.data() + out_row;
                    const double *i = in + in_row;
                    if (step == 1) {
                        for (int64_t q = first; q < last; q++) o[q] += v * i[q];
                    } else {
                        for (int64_t q = first; q < last; q++) o[q] += v * i[q * step];
                    }
                });
            }
            unpack(y, g.type, n * g.y_stride[0] + k * g.y_stride[1], g.out, g.y_stride, plane.data(), alpha, beta);
        }
    });
}

void backward_data(const Geometry &g, double alpha, const void *w, const void *dy, double beta, void *dx) {
    check_tensors(g, dx, w, dy);
    std::vector<double> ys = pack(dy, g.type, g.n, g.k, g.out, g.y_stride), ws = pack(w, g.type, g.k, g.c_group, g.window, g.w_stride);
    parallel_for(static_cast<size_t>(g.n * g.c), 1, [&](size_t begin, size_t end) {
        std::vector<double> plane(static_cast<size_t>(g.in_points()));
        for (size_t nc = begin; nc < end; nc++) {
            int64_t n = int64_t(nc) / g.c, c = int64_t(nc) % g.c, group = c / g.c_group;
            std::fill(plane.begin(), plane.end(), 0.0);
            for (int64_t k = group * g.k_group; k < (group + 1) * g.k_group; k++) {
                const double *out = ys.data() + (n * g.k + k) * g.out_points();
                const double *window = ws.data() + (k * g.c_group + c % g.c_group) * g.window_points();
                const int64_t step = g.stride[2];
                for_rows(g, [&](int64_t position, int64_t out_row, int64_t in_row, int64_t first, int64_t last) {
                    double v = window[position];
                    const double *o = out + out_row;
                    double *i = plane.data() + in_row;
                    if (step == 1) {
                        for (int64_t q = first; q < last; q++) i[q] += v * o[q];
                    } else {
                        for (int64_t q = first; q < last; q++) i[q * step] += v * o[q];
                    }
                });
            }
            unpack(dx, g.type, n * g.x_stride[0] + c * g.x_stride[1], g.in, g.x_stride, plane.data(), alpha, beta);
        }
    });
}

void backward_filter(const Geometry &g, double alpha, const void *x, const void *dy, double beta, void *dw) {
    check_tensors(g, x, dw, dy);
    std::vector<double> xs = pack(x, g.type, g.n, g.c, g.in, g.x_stride), ys = pack(dy, g.type, g.n, g.k, g.out, g.y_stride);
    parallel_for(static_cast<size_t>(g.k * g.c_group), 1, [&](size_t begin, size_t end) {
        std::vector<double> window(static_cast<size_t>(g.window_points()));
        for (size_t kc = begin; kc < end; kc++) {
            int64_t k = int64_t(kc) / g.c_group, c = int64_t(kc) % g.c_group, group = k / g.k_group;
            std::fill(window.begin(), window.end(), 0.0);
            for (int64_t n = 0; n < g.n; n++) {
                const double *in = xs.data() + (n * g.c + group * g.c_group + c) * g.in_points();
                const double *out = ys.data() + (n * g.k + k) * g.out_points();
                const int64_t step = g.stride[2];
                for_rows(g, [&](int64_t position, int64_t out_row, int64_t in_row, int64_t first, int64_t last) {
                    const double *o = out + out_row, *i = in + in_row;
                    double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
                    int64_t q = first;
                    for (; q + 4 <= last; q += 4) {
                        s0 += o[q] * i[q * step];
                        s1 += o[q + 1] * i[(q + 1) * step];
                        s2 += o[q + 2] * i[(q + 2) * step];
                        s3 += o[q + 3] * i[(q + 3) * step];
                    }
                    for (; q < last; q++) s0 += o[q] * i[q * step];
                    window[position] += (s0 + s1) + (s2 + s3);
                });
            }
            unpack(dw, g.type, k * g.w_stride[0] + c * g.w_stride[1], g.window, g.w_stride, window.data(), alpha, beta);
        }
    });
}

// A size that no other algorithm has. It is enough to fail when the caller
// takes the size of another algorithm or of another shape.
size_t workspace_size(const Geometry &g, int algo) {
    size_t work = static_cast<size_t>(g.c_group * g.window_points() + g.out[1] * g.out[2]) * 4;
    return 512 * static_cast<size_t>(algo + 1) + (work + 255) / 256 * 256;
}

bool algo_supported(const Geometry &g, int direction, int algo) {
    if (algo < 0) return false;
    // Those that real cuDNN 9 offers on a recent GPU, less the FFT ones.
    if (direction == 0) {
        if (algo == 6 || algo == 7) {
            return g.window[0] == 1 && g.window[1] == 3 && g.window[2] == 3 && g.stride[1] == 1 && g.stride[2] == 1 &&
                   g.dilation[1] == 1 && g.dilation[2] == 1 && g.groups == 1 && g.type == FLOAT && g.x.dims == 4;
        }
        return algo <= 2;
    }
    if (direction == 1) return algo <= 1;
    return algo == 0 || algo == 1 || algo == 3;
}

bool algo_deterministic(int direction, int algo) {
    if (direction == 0) return true;
    if (direction == 1) return algo != 0;
    return algo != 0 && algo != 3;
}

Status list_algos(const Geometry &g, int direction, int requested, int *returned, Performance *results, bool measured) {
    if (requested < 1 || !returned || !results) return refuse(BAD_PARAM, g.name, "no room for results");
    // The order of a plausible ranking: the fast one is not deterministic where
    // cuDNN has such an algorithm.
    static const int order[3][3] = {{1, 0, 2}, {0, 1, -1}, {0, 1, 3}};
    int count = 0;
    for (int i = 0; i < 3 && count < requested; i++) {
        int algo = order[direction][i];
        if (!algo_supported(g, direction, algo)) continue;
        Performance &p = results[count];
        memset(&p, 0, sizeof p);
        p.algo = algo;
        p.status = OK;
        p.time = measured ? 0.1f * static_cast<float>(count + 1) : -1.0f;
        p.memory = workspace_size(g, algo);
        p.determinism = algo_deterministic(direction, algo);
        p.math = 3;  // CUDNN_FMA_MATH: nothing is rounded to TF32 here
        count++;
    }
    *returned = count;
    return OK;
}

Status check_workspace(const Geometry &g, int direction, int algo, void *workspace, size_t bytes) {
    if (!algo_supported(g, direction, algo)) {
        warn("%s: algorithm %d does not support this convolution", g.name, algo);
        return NOT_SUPPORTED;
    }
    size_t need = workspace_size(g, algo);
    if (bytes < need || !workspace) {
        warn("%s: algorithm %d needs a workspace of %zu bytes, not %zu", g.name, algo, need, workspace ? bytes : size_t(0));
        return BAD_PARAM;
    }
    return OK;
}

// Overwrites the workspace, as the real functions may.
void scribble(const char *name, void *workspace, size_t bytes) {
    check_range(name, workspace, bytes);
    memset(workspace, 0xfd, bytes);
}

double scalar(const void *p, int type) { return type == DOUBLE ? *static_cast<const double *>(p) : *static_cast<const float *>(p); }

bool overlap(const void *a, size_t n, const void *b, size_t m) {
    auto p = static_cast<const char *>(a), q = static_cast<const char *>(b);
    return p < q + m && q < p + n;
}

}  // namespace

// ---------------------------------------------------------------- handles

EXPORT int cudnnCreate(Handle **h) {
    if (!h) return BAD_PARAM_NULL_POINTER;
    if (current_device() < 0) return NOT_INITIALIZED;
    *h = new Handle;
    return OK;
}
EXPORT int cudnnDestroy(Handle *h) {
    if (!h) return NOT_INITIALIZED;
    delete h;
    return OK;
}
EXPORT int cudnnSetStream(Handle *h, StreamHandle stream) {
    if (!h) return BAD_PARAM_NULL_POINTER;
    if (!stream_is_valid(stream)) return refuse(BAD_PARAM, "cudnnSetStream", "not a stream");
    h->stream = stream;
    return OK;
}
EXPORT int cudnnGetStream(Handle *h, StreamHandle *stream) {
    if (!h) return BAD_PARAM_NULL_POINTER;
    *stream = h->stream;
    return OK;
}
EXPORT size_t cudnnGetVersion() { return 91000; }
EXPORT size_t cudnnGetCudartVersion() { return 13000; }
EXPORT const char *cudnnGetErrorString(int status) {
    switch (status) {
        case OK: return "CUDNN_STATUS_SUCCESS";
        case NOT_INITIALIZED: return "CUDNN_STATUS_NOT_INITIALIZED";
        case BAD_PARAM: return "CUDNN_STATUS_BAD_PARAM";
        case BAD_PARAM_NULL_POINTER: return "CUDNN_STATUS_BAD_PARAM_NULL_POINTER";
        case NOT_SUPPORTED: return "CUDNN_STATUS_NOT_SUPPORTED";
        case EXECUTION_FAILED: return "CUDNN_STATUS_EXECUTION_FAILED";
        default: return "unknown cuDNN status";
    }
}
EXPORT void cudnnGetLastErrorString(char *text, size_t size) {
    if (size) snprintf(text, size, "the emulator writes its messages to the standard error output");
}
EXPORT int cudnnGetProperty(int type, int *value) {
    if (type < 0 || type > 2) return BAD_PARAM;
    *value = type == 0 ? 9 : type == 1 ? 10 : 0;
    return OK;
}
EXPORT int cudnnAdvVersionCheck() { return OK; }
EXPORT int cudnnCnnVersionCheck() { return OK; }
EXPORT int cudnnOpsVersionCheck() { return OK; }
EXPORT int cudnnGraphVersionCheck() { return OK; }

// ---------------------------------------------------------------- descriptors

EXPORT int cudnnCreateTensorDescriptor(Tensor **t) {
    *t = new Tensor;
    return OK;
}
EXPORT int cudnnDestroyTensorDescriptor(Tensor *t) {
    delete t;
    return OK;
}
EXPORT int cudnnCreateFilterDescriptor(Filter **f) {
    *f = new Filter;
    return OK;
}
EXPORT int cudnnDestroyFilterDescriptor(Filter *f) {
    delete f;
    return OK;
}
EXPORT int cudnnCreateConvolutionDescriptor(Convolution **c) {
    *c = new Convolution;
    return OK;
}
EXPORT int cudnnDestroyConvolutionDescriptor(Convolution *c) {
    delete c;
    return OK;
}

EXPORT int cudnnSetTensorNdDescriptor(Tensor *t, int type, int dims, const int *size, const int *stride) {
    const char *name = "cudnnSetTensorNdDescriptor";
    if (!t || !size || !stride) return BAD_PARAM_NULL_POINTER;
    if (dims < 3 || dims > MAX_DIMS) return refuse(dims > MAX_DIMS ? NOT_SUPPORTED : BAD_PARAM, name, "number of dimensions");
    if (!known_type(type)) return refuse(NOT_SUPPORTED, name, "data type not emulated");
    for (int i = 0; i < dims; i++) {
        if (size[i] < 1 || stride[i] < 1) return refuse(BAD_PARAM, name, "sizes and strides must be positive");
    }
    t->type = type;
    t->dims = dims;
    for (int i = 0; i < dims; i++) {
        t->size[i] = size[i];
        t->stride[i] = stride[i];
    }
    t->set = true;
    return OK;
}

EXPORT int cudnnSetTensorNdDescriptorEx(Tensor *t, int format, int type, int dims, const int *size) {
    if (!t || !size) return BAD_PARAM_NULL_POINTER;
    if (dims < 3 || dims > MAX_DIMS) return BAD_PARAM;
    if (format != NCHW && format != NHWC) return refuse(NOT_SUPPORTED, "cudnnSetTensorNdDescriptorEx", "format not emulated");
    Tensor made;
    made.dims = dims;
    for (int i = 0; i < dims; i++) {
        if (size[i] < 1) return BAD_PARAM;
        made.size[i] = size[i];
    }
    set_strides(made, format);
    return cudnnSetTensorNdDescriptor(t, type, dims, size, made.stride);
}

EXPORT int cudnnSetTensor4dDescriptorEx(Tensor *t, int type, int n, int c, int h, int w, int sn, int sc, int sh, int sw) {
    int size[] = {n, c, h, w}, stride[] = {sn, sc, sh, sw};
    return cudnnSetTensorNdDescriptor(t, type, 4, size, stride);
}

EXPORT int cudnnSetTensor4dDescriptor(Tensor *t, int format, int type, int n, int c, int h, int w) {
    int size[] = {n, c, h, w};
    return cudnnSetTensorNdDescriptorEx(t, format, type, 4, size);
}

EXPORT int cudnnGetTensorNdDescriptor(const Tensor *t, int requested, int *type, int *dims, int *size, int *stride) {
    if (!t || !t->set) return BAD_PARAM;
    *type = t->type;
    *dims = t->dims;
    for (int i = 0; i < t->dims && i < requested; i++) {
        size[i] = t->size[i];
        stride[i] = t->stride[i];
    }
    return OK;
}

EXPORT int cudnnGetTensor4dDescriptor(const Tensor *t, int *type, int *n, int *c, int *h, int *w, int *sn, int *sc, int *sh, int *sw) {
    if (!t || !t->set || t->dims != 4) return BAD_PARAM;
    *type = t->type;
    *n = t->size[0]; *c = t->size[1]; *h = t->size[2]; *w = t->size[3];
    *sn = t->stride[0]; *sc = t->stride[1]; *sh = t->stride[2]; *sw = t->stride[3];
    return OK;
}

EXPORT int cudnnGetTensorSizeInBytes(const Tensor *t, size_t *bytes) {
    if (!t || !t->set) return BAD_PARAM;
    *bytes = extent(*t);
    return OK;
}

EXPORT int cudnnSetFilterNdDescriptor(Filter *f, int type, int format, int dims, const int *size) {
    const char *name = "cudnnSetFilterNdDescriptor";
    if (!f || !size) return BAD_PARAM_NULL_POINTER;
    if (dims < 3 || dims > MAX_DIMS) return refuse(BAD_PARAM, name, "number of dimensions");
    if (!known_type(type) || (format != NCHW && format != NHWC)) return refuse(NOT_SUPPORTED, name, "type or format not emulated");
    for (int i = 0; i < dims; i++) {
        if (size[i] < 1) return refuse(BAD_PARAM, name, "sizes must be positive");
        f->size[i] = size[i];
    }
    f->type = type;
    f->format = format;
    f->dims = dims;
    f->set = true;
    return OK;
}

EXPORT int cudnnSetFilter4dDescriptor(Filter *f, int type, int format, int k, int c, int h, int w) {
    int size[] = {k, c, h, w};
    return cudnnSetFilterNdDescriptor(f, type, format, 4, size);
}

EXPORT int cudnnGetFilterNdDescriptor(const Filter *f, int requested, int *type, int *format, int *dims, int *size) {
    if (!f || !f->set) return BAD_PARAM;
    *type = f->type;
    *format = f->format;
    *dims = f->dims;
    for (int i = 0; i < f->dims && i < requested; i++) size[i] = f->size[i];
    return OK;
}

EXPORT int cudnnGetFilterSizeInBytes(const Filter *f, size_t *bytes) {
    if (!f || !f->set) return BAD_PARAM;
    *bytes = elements(*f) * type_size(f->type);
    return OK;
}

EXPORT int cudnnSetConvolutionNdDescriptor(Convolution *c, int dims, const int *pad, const int *stride, const int *dilation, int mode, int compute) {
    const char *name = "cudnnSetConvolutionNdDescriptor";
    if (!c || !pad || !stride || !dilation) return BAD_PARAM_NULL_POINTER;
    if (dims < 1 || dims > 6) return refuse(BAD_PARAM, name, "number of dimensions");
    if (mode != 0 && mode != 1) return refuse(BAD_PARAM, name, "mode");
    if (!known_type(compute)) return refuse(NOT_SUPPORTED, name, "compute type not emulated");
    for (int i = 0; i < dims; i++) {
        if (pad[i] < 0 || stride[i] < 1 || dilation[i] < 1) return refuse(BAD_PARAM, name, "padding, stride or dilation");
        c->pad[i] = pad[i];
        c->stride[i] = stride[i];
        c->dilation[i] = dilation[i];
    }
    c->dims = dims;
    c->mode = mode;
    c->compute = compute;
    c->set = true;
    return OK;
}

EXPORT int cudnnSetConvolution2dDescriptor(Convolution *c, int ph, int pw, int sh, int sw, int dh, int dw, int mode, int compute) {
    int pad[] = {ph, pw}, stride[] = {sh, sw}, dilation[] = {dh, dw};
    return cudnnSetConvolutionNdDescriptor(c, 2, pad, stride, dilation, mode, compute);
}

EXPORT int cudnnSetConvolutionMathType(Convolution *c, int math) {
    if (!c) return BAD_PARAM_NULL_POINTER;
    if (math < 0 || math > 3) return BAD_PARAM;
    c->math = math;
    return OK;
}
EXPORT int cudnnGetConvolutionMathType(const Convolution *c, int *math) {
    if (!c || !math) return BAD_PARAM_NULL_POINTER;
    *math = c->math;
    return OK;
}
EXPORT int cudnnSetConvolutionGroupCount(Convolution *c, int groups) {
    if (!c) return BAD_PARAM_NULL_POINTER;
    if (groups < 1) return BAD_PARAM;
    c->groups = groups;
    return OK;
}
EXPORT int cudnnGetConvolutionGroupCount(const Convolution *c, int *groups) {
    if (!c || !groups) return BAD_PARAM_NULL_POINTER;
    *groups = c->groups;
    return OK;
}

EXPORT int cudnnGetConvolutionNdForwardOutputDim(const Convolution *c, const Tensor *x, const Filter *w, int dims, int *size) {
    const char *name = "cudnnGetConvolutionNdForwardOutputDim";
    if (!c || !x || !w || !size) return BAD_PARAM_NULL_POINTER;
    if (!c->set || !x->set || !w->set || x->dims != dims || w->dims != dims || c->dims != dims - 2) {
        return refuse(BAD_PARAM, name, "the descriptors do not fit together");
    }
    if (x->size[1] != w->size[1] * c->groups) return refuse(BAD_PARAM, name, "the channels of filter and input differ");
    size[0] = x->size[0];
    size[1] = w->size[0];
    for (int i = 2; i < dims; i++) {
        size[i] = output_size(x->size[i], w->size[i], c->pad[i - 2], c->stride[i - 2], c->dilation[i - 2]);
        if (size[i] < 1) return refuse(BAD_PARAM, name, "the window is larger than the input");
    }
    return OK;
}

EXPORT int cudnnGetConvolution2dForwardOutputDim(const Convolution *c, const Tensor *x, const Filter *w, int *n, int *k, int *h, int *width) {
    int size[4];
    int status = cudnnGetConvolutionNdForwardOutputDim(c, x, w, 4, size);
    if (status) return status;
    *n = size[0]; *k = size[1]; *h = size[2]; *width = size[3];
    return OK;
}

// ---------------------------------------------------------------- algorithms

#define GEOMETRY(X, W, CONV, Y)                                             \
    Geometry g;                                                             \
    if (!h) return refuse(BAD_PARAM_NULL_POINTER, __func__, "no handle");   \
    if (Status status = make_geometry(__func__, X, W, CONV, Y, &g)) return status;

EXPORT int cudnnGetConvolutionForwardAlgorithmMaxCount(Handle *, int *count) {
    *count = FORWARD_ALGOS;
    return OK;
}
EXPORT int cudnnGetConvolutionBackwardDataAlgorithmMaxCount(Handle *, int *count) {
    *count = DATA_ALGOS;
    return OK;
}
EXPORT int cudnnGetConvolutionBackwardFilterAlgorithmMaxCount(Handle *, int *count) {
    *count = FILTER_ALGOS;
    return OK;
}

EXPORT int cudnnGetConvolutionForwardAlgorithm_v7(Handle *h, const Tensor *x, const Filter *w, const Convolution *c, const Tensor *y, int requested, int *returned, Performance *results) {
    GEOMETRY(x, w, c, y)
    return list_algos(g, 0, requested, returned, results, false);
}
EXPORT int cudnnGetConvolutionBackwardDataAlgorithm_v7(Handle *h, const Filter *w, const Tensor *dy, const Convolution *c, const Tensor *dx, int requested, int *returned, Performance *results) {
    GEOMETRY(dx, w, c, dy)
    return list_algos(g, 1, requested, returned, results, false);
}
EXPORT int cudnnGetConvolutionBackwardFilterAlgorithm_v7(Handle *h, const Tensor *x, const Tensor *dy, const Convolution *c, const Filter *dw, int requested, int *returned, Performance *results) {
    GEOMETRY(x, dw, c, dy)
    return list_algos(g, 2, requested, returned, results, false);
}

// A search runs the algorithms: it overwrites the output and the workspace, and
// leaves out what needs more workspace than there is.
static int find_algos(Handle *h, const Geometry &g, int direction, void *output, size_t bytes, int requested, int *returned, Performance *results, void *workspace, size_t workspace_bytes) {
    if (stream_is_captured(h->stream)) return refuse(NOT_SUPPORTED, g.name, "not while the stream is captured");
    Performance all[4];
    int count = 0;
    int status = list_algos(g, direction, 4, &count, all, true);
    if (status) return status;
    if (requested < 1 || !returned || !results) return BAD_PARAM;
    int kept = 0;
    for (int i = 0; i < count && kept < requested; i++) {
        if (all[i].memory <= workspace_bytes) results[kept++] = all[i];
    }
    *returned = kept;
    const char *name = g.name;
    return enqueue(h->stream, name, [=] {
        check_range(name, output, bytes);
        memset(output, 0xfd, bytes);
        if (workspace_bytes) scribble(name, workspace, workspace_bytes);
    }) ? EXECUTION_FAILED : OK;
}

EXPORT int cudnnFindConvolutionForwardAlgorithmEx(Handle *h, const Tensor *xd, const void *x, const Filter *wd, const void *w, const Convolution *c, const Tensor *yd, void *y, int requested, int *returned, Performance *results, void *workspace, size_t bytes) {
    GEOMETRY(xd, wd, c, yd)
    check_tensors(g, x, w, y);
    return find_algos(h, g, 0, y, extent(*yd), requested, returned, results, workspace, bytes);
}
EXPORT int cudnnFindConvolutionBackwardDataAlgorithmEx(Handle *h, const Filter *wd, const void *w, const Tensor *dyd, const void *dy, const Convolution *c, const Tensor *dxd, void *dx, int requested, int *returned, Performance *results, void *workspace, size_t bytes) {
    GEOMETRY(dxd, wd, c, dyd)
    check_tensors(g, dx, w, dy);
    return find_algos(h, g, 1, dx, extent(*dxd), requested, returned, results, workspace, bytes);
}
EXPORT int cudnnFindConvolutionBackwardFilterAlgorithmEx(Handle *h, const Tensor *xd, const void *x, const Tensor *dyd, const void *dy, const Convolution *c, const Filter *dwd, void *dw, int requested, int *returned, Performance *results, void *workspace, size_t bytes) {
    GEOMETRY(xd, dwd, c, dyd)
    check_tensors(g, x, dw, dy);
    return find_algos(h, g, 2, dw, elements(*dwd) * type_size(dwd->type), requested, returned, results, workspace, bytes);
}

#define WORKSPACE(DIRECTION)                                                       \
    if (!bytes) return BAD_PARAM_NULL_POINTER;                                     \
    if (!algo_supported(g, DIRECTION, algo)) {                                     \
        warn("%s: algorithm %d does not support this convolution", g.name, algo);  \
        return NOT_SUPPORTED;                                                      \
    }                                                                              \
    *bytes = workspace_size(g, algo);                                              \
    return OK;

EXPORT int cudnnGetConvolutionForwardWorkspaceSize(Handle *h, const Tensor *x, const Filter *w, const Convolution *c, const Tensor *y, int algo, size_t *bytes) {
    GEOMETRY(x, w, c, y)
    WORKSPACE(0)
}
EXPORT int cudnnGetConvolutionBackwardDataWorkspaceSize(Handle *h, const Filter *w, const Tensor *dy, const Convolution *c, const Tensor *dx, int algo, size_t *bytes) {
    GEOMETRY(dx, w, c, dy)
    WORKSPACE(1)
}
EXPORT int cudnnGetConvolutionBackwardFilterWorkspaceSize(Handle *h, const Tensor *x, const Tensor *dy, const Convolution *c, const Filter *dw, int algo, size_t *bytes) {
    GEOMETRY(x, dw, c, dy)
    WORKSPACE(2)
}

// ---------------------------------------------------------------- convolutions

static int convolve(Handle *h, const Geometry &g, int direction, const void *alpha, const void *beta, const void *x, const void *w, const void *y, int algo, void *workspace, size_t bytes) {
    if (!alpha || !beta || !x || !w || !y) return refuse(BAD_PARAM_NULL_POINTER, g.name, "a pointer is missing");
    Status status = check_workspace(g, direction, algo, workspace, bytes);
    if (status) return status;
    double a = scalar(alpha, g.type), b = scalar(beta, g.type);
    size_t used = workspace_size(g, algo);
    trace("%s: n %ld, c %ld, k %ld, groups %d, in %ldx%ldx%ld, window %ldx%ldx%ld, algorithm %d, type %d", g.name, long(g.n), long(g.c), long(g.k),
          g.groups, long(g.in[0]), long(g.in[1]), long(g.in[2]), long(g.window[0]), long(g.window[1]), long(g.window[2]), algo, g.type);
    return enqueue(h->stream, g.name, [=] {
        size_t xs = extent(g.x), ys = extent(g.y), ws = elements(g.w) * type_size(g.type);
        const void *out = direction == 0 ? y : direction == 1 ? x : w;
        size_t out_bytes = direction == 0 ? ys : direction == 1 ? xs : ws;
        struct { const void *p; size_t n; } inputs[] = {{x, xs}, {w, ws}, {y, ys}};
        for (auto &in : inputs) {
            if (in.p != out && overlap(in.p, in.n, out, out_bytes)) fatal("%s: the output overlaps an input", g.name);
            if (overlap(in.p, in.n, workspace, used)) fatal("%s: the workspace overlaps a tensor", g.name);
        }
        scribble(g.name, workspace, bytes);
        if (direction == 0) forward(g, a, x, w, b, const_cast<void *>(y));
        else if (direction == 1) backward_data(g, a, w, y, b, const_cast<void *>(x));
        else backward_filter(g, a, x, y, b, const_cast<void *>(w));
    }) ? EXECUTION_FAILED : OK;
}

EXPORT int cudnnConvolutionForward(Handle *h, const void *alpha, const Tensor *xd, const void *x, const Filter *wd, const void *w, const Convolution *c, int algo, void *workspace, size_t bytes, const void *beta, const Tensor *yd, void *y) {
    GEOMETRY(xd, wd, c, yd)
    return convolve(h, g, 0, alpha, beta, x, w, y, algo, workspace, bytes);
}
EXPORT int cudnnConvolutionBackwardData(Handle *h, const void *alpha, const Filter *wd, const void *w, const Tensor *dyd, const void *dy, const Convolution *c, int algo, void *workspace, size_t bytes, const void *beta, const Tensor *dxd, void *dx) {
    GEOMETRY(dxd, wd, c, dyd)
    return convolve(h, g, 1, alpha, beta, dx, w, dy, algo, workspace, bytes);
}
EXPORT int cudnnConvolutionBackwardFilter(Handle *h, const void *alpha, const Tensor *xd, const void *x, const Tensor *dyd, const void *dy, const Convolution *c, int algo, void *workspace, size_t bytes, const void *beta, const Filter *dwd, void *dw) {
    GEOMETRY(xd, dwd, c, dyd)
    return convolve(h, g, 2, alpha, beta, x, dw, dy, algo, workspace, bytes);
}

EXPORT int cudnnConvolutionBackwardBias(Handle *h, const void *alpha, const Tensor *dyd, const void *dy, const void *beta, const Tensor *dbd, void *db) {
    const char *name = "cudnnConvolutionBackwardBias";
    if (!h || !alpha || !beta || !dyd || !dbd || !dy || !db) return refuse(BAD_PARAM_NULL_POINTER, name, "a pointer is missing");
    if (!dyd->set || !dbd->set || dyd->type != dbd->type || dyd->dims != dbd->dims || dbd->size[1] != dyd->size[1]) {
        return refuse(BAD_PARAM, name, "the descriptors do not fit together");
    }
    for (int i = 0; i < dbd->dims; i++) {
        if (i != 1 && dbd->size[i] != 1) return refuse(BAD_PARAM, name, "the result must have one number for each channel");
    }
    Tensor in = *dyd, out = *dbd;
    double a = scalar(alpha, in.type), b = scalar(beta, in.type);
    return enqueue(h->stream, name, [=] {
        check_range(name, dy, extent(in));
        check_range(name, db, extent(out));
        for (int c = 0; c < in.size[1]; c++) {
            double sum = 0;
            int at[MAX_DIMS] = {};
            at[1] = c;
            for (bool more = true; more;) {
                size_t where = 0;
                for (int i = 0; i < in.dims; i++) where += size_t(at[i]) * size_t(in.stride[i]);
                sum += load(dy, in.type, where);
                more = false;
                for (int i = in.dims - 1; i >= 0; i--) {
                    if (i == 1) continue;
                    if (++at[i] < in.size[i]) {
                        more = true;
                        break;
                    }
                    at[i] = 0;
                }
            }
            size_t where = size_t(c) * size_t(out.stride[1]);
            double v = a * sum;
            if (b != 0) v += b * load(db, out.type, where);
            store(db, out.type, where, v);
        }
    }) ? EXECUTION_FAILED : OK;
}

// ---------------------------------------------------------------- the rest

#define NOT_EMULATED(NAME) EXPORT int NAME() { not_emulated(#NAME); }
NOT_EMULATED(cudnnFindConvolutionForwardAlgorithm)
NOT_EMULATED(cudnnFindConvolutionBackwardDataAlgorithm)
NOT_EMULATED(cudnnFindConvolutionBackwardFilterAlgorithm)
NOT_EMULATED(cudnnConvolutionBiasActivationForward)
NOT_EMULATED(cudnnCreateActivationDescriptor)
NOT_EMULATED(cudnnSetActivationDescriptor)
NOT_EMULATED(cudnnDestroyActivationDescriptor)
NOT_EMULATED(cudnnActivationForward)
NOT_EMULATED(cudnnActivationBackward)
NOT_EMULATED(cudnnCreatePoolingDescriptor)
NOT_EMULATED(cudnnSetPoolingNdDescriptor)
NOT_EMULATED(cudnnSetPooling2dDescriptor)
NOT_EMULATED(cudnnDestroyPoolingDescriptor)
NOT_EMULATED(cudnnPoolingForward)
NOT_EMULATED(cudnnPoolingBackward)
NOT_EMULATED(cudnnSoftmaxForward)
NOT_EMULATED(cudnnSoftmaxBackward)
NOT_EMULATED(cudnnCreateReduceTensorDescriptor)
NOT_EMULATED(cudnnSetReduceTensorDescriptor)
NOT_EMULATED(cudnnDestroyReduceTensorDescriptor)
NOT_EMULATED(cudnnGetReductionIndicesSize)
NOT_EMULATED(cudnnGetReductionWorkspaceSize)
NOT_EMULATED(cudnnReduceTensor)
NOT_EMULATED(cudnnAddTensor)
NOT_EMULATED(cudnnScaleTensor)
NOT_EMULATED(cudnnSetTensor)
NOT_EMULATED(cudnnTransformTensor)
NOT_EMULATED(cudnnBatchNormalizationForwardTraining)
NOT_EMULATED(cudnnBatchNormalizationForwardInference)
NOT_EMULATED(cudnnBatchNormalizationBackward)
NOT_EMULATED(cudnnBackendCreateDescriptor)
