// cuBLAS: the products and vector operations, with sums in double.
// Matrices are column-major.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "internal.h"

using namespace cuda_emulator;

namespace {

enum Status { OK = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15 };

struct Handle {
    StreamHandle stream = nullptr;
    int math_mode = 0, pointer_mode = 0, atomics_mode = 0;
};

enum Type { F32 = 0, F64 = 1, F16 = 2, BF16 = 14 };

size_t type_size(int type) {
    switch (type) {
        case F32: return 4;
        case F64: return 8;
        case F16: case BF16: return 2;
        default: return 0;
    }
}

double load(const void *p, int type, size_t i) {
    switch (type) {
        case F32: return static_cast<const float *>(p)[i];
        case F64: return static_cast<const double *>(p)[i];
        case F16: return half_bits_to_float(static_cast<const uint16_t *>(p)[i]);
        default: return bfloat16_bits_to_float(static_cast<const uint16_t *>(p)[i]);
    }
}

void store(void *p, int type, size_t i, double v) {
    switch (type) {
        case F32: static_cast<float *>(p)[i] = static_cast<float>(v); break;
        case F64: static_cast<double *>(p)[i] = v; break;
        case F16: static_cast<uint16_t *>(p)[i] = float_to_half_bits(double_to_odd_float(v)); break;
        default: static_cast<uint16_t *>(p)[i] = float_to_bfloat16_bits(double_to_odd_float(v)); break;
    }
}

struct Gemm {
    const char *name;
    bool trans_a, trans_b;
    int64_t m, n, k;
    const void *a, *b;
    void *c;
    int type_a, type_b, type_c;
    int64_t lda, ldb, ldc, stride_a, stride_b, stride_c;
    int batch;
    const void *alpha_at, *beta_at;  // read when executed, in device mode
    bool device_scalars;
    double alpha, beta;
    int scalar_type;
};

void check_matrix(const char *name, const void *p, int type, int64_t rows, int64_t columns, int64_t ld) {
    if (rows && columns) check_range(name, p, static_cast<size_t>((columns - 1) * ld + rows) * type_size(type));
}

void run_gemm(const Gemm &g) {
    double alpha = g.alpha, beta = g.beta;
    if (g.device_scalars) {
        check_range(g.name, g.alpha_at, type_size(g.scalar_type));
        check_range(g.name, g.beta_at, type_size(g.scalar_type));
        alpha = load(g.alpha_at, g.scalar_type, 0);
        beta = load(g.beta_at, g.scalar_type, 0);
    }
    if (!g.m || !g.n) return;
    for (int batch = 0; batch < g.batch; batch++) {
        auto at = [&](const void *p, int type, int64_t stride) {
            return static_cast<const char *>(p) + batch * stride * static_cast<int64_t>(type_size(type));
        };
        const char *a = at(g.a, g.type_a, g.stride_a), *b = at(g.b, g.type_b, g.stride_b);
        char *c = const_cast<char *>(at(g.c, g.type_c, g.stride_c));
        if (alpha != 0) {
            check_matrix(g.name, a, g.type_a, g.trans_a ? g.k : g.m, g.trans_a ? g.m : g.k, g.lda);
            check_matrix(g.name, b, g.type_b, g.trans_b ? g.n : g.k, g.trans_b ? g.k : g.n, g.ldb);
        }
        check_matrix(g.name, c, g.type_c, g.m, g.n, g.ldc);
        size_t m = static_cast<size_t>(g.m), k = alpha != 0 ? static_cast<size_t>(g.k) : 0;
        // op(A) as doubles, column-major without gaps.
        std::vector<double> packed(m * k);
        parallel_for(k, 65536 / m + 1, [&](size_t begin, size_t end) {
            for (size_t p = begin; p < end; p++) {
                for (size_t i = 0; i < m; i++) {
                    packed[p * m + i] = load(a, g.type_a, g.trans_a ? i * g.lda + p : p * g.lda + i);
                }
            }
        });
        parallel_for(static_cast<size_t>(g.n), 32768 / (m * (k + 1)) + 1, [&](size_t begin, size_t end) {
            std::vector<double> sums(m);
            for (size_t j = begin; j < end; j++) {
                std::fill(sums.begin(), sums.end(), 0.0);
                double *s = sums.data();
                for (size_t p = 0; p < k; p++) {
                    double v = load(b, g.type_b, g.trans_b ? p * g.ldb + j : j * g.ldb + p);
                    const double *column = packed.data() + p * m;
                    for (size_t i = 0; i < m; i++) s[i] += column[i] * v;
                }
                for (size_t i = 0; i < m; i++) {
                    size_t where = j * static_cast<size_t>(g.ldc) + i;
                    double r = alpha * s[i];
                    if (beta != 0) r += beta * load(c, g.type_c, where);
                    store(c, g.type_c, where, r);
                }
            }
        });
    }
}

int gemm(Handle *h, const char *name, int ta, int tb, int m, int n, int k, const void *alpha, const void *a, int type_a,
         int lda, long long stride_a, const void *b, int type_b, int ldb, long long stride_b, const void *beta, void *c,
         int type_c, int ldc, long long stride_c, int batch, int scalar_type) {
    if (!h) return NOT_INITIALIZED;
    auto bad = [&](const char *why) {
        warn("%s: %s (op %d %d, m %d, n %d, k %d, lda %d, ldb %d, ldc %d, batch %d)", name, why, ta, tb, m, n, k, lda, ldb, ldc, batch);
        return INVALID_VALUE;
    };
    if (ta < 0 || ta > 2 || tb < 0 || tb > 2) return bad("unknown operation");
    if (m < 0 || n < 0 || k < 0 || batch < 0) return bad("negative size");
    if (lda < (ta ? k : m) || lda < 1) return bad("lda too small");
    if (ldb < (tb ? n : k) || ldb < 1) return bad("ldb too small");
    if (ldc < m || ldc < 1) return bad("ldc too small");
    if (!alpha || !beta) return bad("no alpha or beta");
    Gemm g{name, ta != 0, tb != 0, m, n, k, a, b, c, type_a, type_b, type_c, lda, ldb, ldc, stride_a, stride_b, stride_c,
           batch, alpha, beta, h->pointer_mode == 1, 0, 0, scalar_type};
    if (!g.device_scalars) {
        g.alpha = load(alpha, scalar_type, 0);
        g.beta = load(beta, scalar_type, 0);
    }
    trace("%s: op %d %d, m %d, n %d, k %d, batch %d", name, ta, tb, m, n, k, batch);
    return enqueue(h->stream, name, [g] { run_gemm(g); }) ? EXECUTION_FAILED : OK;
}

// Which types cuBLAS takes together, of those emulated. Gives the type of
// alpha and beta, or -1.
int scalar_type_of(const char *name, int a, int b, int c, int compute) {
    bool small = (a == BF16 && b == BF16 && (c == BF16 || c == F32)) || (a == F16 && b == F16 && (c == F16 || c == F32));
    bool full = a == F32 && b == F32 && c == F32;
    switch (compute) {
        case 68: case 69:  // 32F, pedantic
            if (small || full) return F32;
            break;
        case 74: case 75: case 77:  // 32F with fast 16F, 16BF, TF32: the emulator keeps all bits
            // What candle asks for bf16 matrices, and cuBLAS accepts.
            if (full || (compute == 75 && a == BF16 && b == BF16)) return F32;
            break;
        case 70: case 71:  // 64F
            if (a == F64 && b == F64 && c == F64) return F64;
            break;
    }
    warn("%s: types %d, %d, %d with compute type %d are not emulated", name, a, b, c, compute);
    return -1;
}

template <class F>
int vector_work(Handle *h, const char *name, F f) {
    if (!h) return NOT_INITIALIZED;
    return enqueue(h->stream, name, f) ? EXECUTION_FAILED : OK;
}

size_t at(int i, int n, int increment) {
    return increment >= 0 ? size_t(i) * size_t(increment) : size_t(n - 1 - i) * size_t(-increment);
}

void check_vector(const char *name, const void *p, int n, int increment, size_t size) {
    if (n > 0) check_range(name, p, (size_t(n - 1) * size_t(std::abs(increment)) + 1) * size);
}

// A scalar: read now, or from device memory when executed.
template <class T>
struct Scalar {
    const T *where;
    bool device;
    T value;
    Scalar(Handle *h, const T *p) : where(p), device(h && h->pointer_mode == 1), value(device ? T(0) : *p) {}
    double get(const char *name) const {
        if (!device) return value;
        check_range(name, where, sizeof(T));
        return *where;
    }
};

template <class T>
int gemv(Handle *h, const char *name, int trans, int m, int n, const T *alpha, const T *a, int lda, const T *x, int incx,
         const T *beta, T *y, int incy) {
    if (!h) return NOT_INITIALIZED;
    if (trans < 0 || trans > 2 || m < 0 || n < 0 || lda < m || lda < 1 || !incx || !incy) return INVALID_VALUE;
    Scalar<T> al(h, alpha), be(h, beta);
    return vector_work(h, name, [=] {
        if (!m || !n) return;
        double alpha_value = al.get(name), beta_value = be.get(name);
        int rows = trans ? n : m, columns = trans ? m : n;
        if (alpha_value != 0) {
            check_matrix(name, a, sizeof(T) == 8 ? F64 : F32, m, n, lda);
            check_vector(name, x, columns, incx, sizeof(T));
        }
        check_vector(name, y, rows, incy, sizeof(T));
        for (int i = 0; i < rows; i++) {
            double sum = 0;
            if (alpha_value != 0) {
                for (int j = 0; j < columns; j++) {
                    size_t where = trans ? size_t(i) * lda + j : size_t(j) * lda + i;
                    sum += double(a[where]) * double(x[at(j, columns, incx)]);
                }
            }
            T &out = y[at(i, rows, incy)];
            double r = alpha_value * sum;
            if (beta_value != 0) r += beta_value * double(out);
            out = static_cast<T>(r);
        }
    });
}

template <class T>
int ger(Handle *h, const char *name, int m, int n, const T *alpha, const T *x, int incx, const T *y, int incy, T *a, int lda) {
    if (!h) return NOT_INITIALIZED;
    if (m < 0 || n < 0 || lda < m || lda < 1 || !incx || !incy) return INVALID_VALUE;
    Scalar<T> al(h, alpha);
    return vector_work(h, name, [=] {
        if (!m || !n) return;
        double alpha_value = al.get(name);
        check_vector(name, x, m, incx, sizeof(T));
        check_vector(name, y, n, incy, sizeof(T));
        check_matrix(name, a, sizeof(T) == 8 ? F64 : F32, m, n, lda);
        for (int j = 0; j < n; j++) {
            for (int i = 0; i < m; i++) {
                T &out = a[size_t(j) * lda + i];
                out = static_cast<T>(double(out) + alpha_value * double(x[at(i, m, incx)]) * double(y[at(j, n, incy)]));
            }
        }
    });
}

template <class T>
int axpy(Handle *h, const char *name, int n, const T *alpha, const T *x, int incx, T *y, int incy) {
    if (!h) return NOT_INITIALIZED;
    Scalar<T> al(h, alpha);
    return vector_work(h, name, [=] {
        if (n <= 0) return;
        double alpha_value = al.get(name);
        check_vector(name, x, n, incx, sizeof(T));
        check_vector(name, y, n, incy, sizeof(T));
        for (int i = 0; i < n; i++) {
            T &out = y[at(i, n, incy)];
            out = static_cast<T>(double(out) + alpha_value * double(x[at(i, n, incx)]));
        }
    });
}

template <class T>
int scal(Handle *h, const char *name, int n, const T *alpha, T *x, int incx) {
    if (!h) return NOT_INITIALIZED;
    Scalar<T> al(h, alpha);
    return vector_work(h, name, [=] {
        if (n <= 0 || incx <= 0) return;
        double alpha_value = al.get(name);
        check_vector(name, x, n, incx, sizeof(T));
        for (int i = 0; i < n; i++) x[size_t(i) * incx] = static_cast<T>(alpha_value * double(x[size_t(i) * incx]));
    });
}

// Sums with a result. With host results the stream must not be captured.
template <class T, class F>
int reduce(Handle *h, const char *name, T *result, F sum) {
    if (!h) return NOT_INITIALIZED;
    bool device = h->pointer_mode == 1;
    if (!device && stream_is_captured(h->stream)) {
        warn("%s: a result in host memory while the stream is captured", name);
        return NOT_SUPPORTED;
    }
    return vector_work(h, name, [=] {
        if (device) check_range(name, result, sizeof(T));
        *result = static_cast<T>(sum());
    });
}

template <class T>
int asum(Handle *h, const char *name, int n, const T *x, int incx, T *result) {
    return reduce(h, name, result, [=] {
        double sum = 0;
        if (n <= 0 || incx <= 0) return sum;
        check_vector(name, x, n, incx, sizeof(T));
        for (int i = 0; i < n; i++) sum += std::fabs(double(x[size_t(i) * incx]));
        return sum;
    });
}

template <class T>
int dot(Handle *h, const char *name, int n, const T *x, int incx, const T *y, int incy, T *result) {
    return reduce(h, name, result, [=] {
        double sum = 0;
        if (n <= 0) return sum;
        check_vector(name, x, n, incx, sizeof(T));
        check_vector(name, y, n, incy, sizeof(T));
        for (int i = 0; i < n; i++) sum += double(x[at(i, n, incx)]) * double(y[at(i, n, incy)]);
        return sum;
    });
}

}  // namespace

// ---------------------------------------------------------------- handles

EXPORT int cublasCreate_v2(Handle **h) {
    if (!h) return INVALID_VALUE;
    if (current_device() < 0) return NOT_INITIALIZED;
    *h = new Handle;
    return OK;
}
EXPORT int cublasDestroy_v2(Handle *h) {
    if (!h) return NOT_INITIALIZED;
    delete h;
    return OK;
}
EXPORT int cublasSetStream_v2(Handle *h, StreamHandle stream) {
    if (!h) return NOT_INITIALIZED;
    h->stream = stream;
    return OK;
}
EXPORT int cublasGetStream_v2(Handle *h, StreamHandle *stream) {
    if (!h) return NOT_INITIALIZED;
    *stream = h->stream;
    return OK;
}
EXPORT int cublasSetWorkspace_v2(Handle *h, void *workspace, size_t bytes) {
    if (!h) return NOT_INITIALIZED;
    if (bytes) check_range("cublasSetWorkspace", workspace, bytes);
    return OK;
}
EXPORT int cublasSetMathMode(Handle *h, int mode) {
    if (!h) return NOT_INITIALIZED;
    h->math_mode = mode;
    return OK;
}
EXPORT int cublasGetMathMode(Handle *h, int *mode) {
    if (!h) return NOT_INITIALIZED;
    *mode = h->math_mode;
    return OK;
}
EXPORT int cublasSetPointerMode_v2(Handle *h, int mode) {
    if (!h) return NOT_INITIALIZED;
    if (mode != 0 && mode != 1) return INVALID_VALUE;
    h->pointer_mode = mode;
    return OK;
}
EXPORT int cublasGetPointerMode_v2(Handle *h, int *mode) {
    if (!h) return NOT_INITIALIZED;
    *mode = h->pointer_mode;
    return OK;
}
EXPORT int cublasSetAtomicsMode(Handle *h, int mode) {
    if (!h) return NOT_INITIALIZED;
    h->atomics_mode = mode;
    return OK;
}
EXPORT int cublasGetAtomicsMode(Handle *h, int *mode) {
    if (!h) return NOT_INITIALIZED;
    *mode = h->atomics_mode;
    return OK;
}
EXPORT int cublasGetVersion_v2(Handle *, int *version) {
    *version = 130000;
    return OK;
}
// Which: 0 the major version, 1 the minor one, 2 the patch.
EXPORT int cublasGetProperty(int which, int *value) {
    if (which < 0 || which > 2 || !value) return INVALID_VALUE;
    *value = which == 0 ? 13 : 0;
    return OK;
}
EXPORT const char *cublasGetStatusName(int status) {
    switch (status) {
        case OK: return "CUBLAS_STATUS_SUCCESS";
        case NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
        case INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
        case EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
        case NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
        default: return "unknown cuBLAS status";
    }
}
EXPORT const char *cublasGetStatusString(int status) { return cublasGetStatusName(status); }

// ---------------------------------------------------------------- products

#define GEMM(LETTER, T, TYPE)                                                                                     \
    EXPORT int cublas##LETTER##gemm_v2(Handle *h, int ta, int tb, int m, int n, int k, const T *alpha, const T *a, \
                                       int lda, const T *b, int ldb, const T *beta, T *c, int ldc) {              \
        return gemm(h, "cublas" #LETTER "gemm", ta, tb, m, n, k, alpha, a, TYPE, lda, 0, b, TYPE, ldb, 0, beta, c, \
                    TYPE, ldc, 0, 1, TYPE);                                                                       \
    }                                                                                                             \
    EXPORT int cublas##LETTER##gemmStridedBatched(Handle *h, int ta, int tb, int m, int n, int k, const T *alpha, \
                                                  const T *a, int lda, long long sa, const T *b, int ldb,         \
                                                  long long sb, const T *beta, T *c, int ldc, long long sc,       \
                                                  int batch) {                                                    \
        return gemm(h, "cublas" #LETTER "gemmStridedBatched", ta, tb, m, n, k, alpha, a, TYPE, lda, sa, b, TYPE,  \
                    ldb, sb, beta, c, TYPE, ldc, sc, batch, TYPE);                                                \
    }                                                                                                             \
    EXPORT int cublas##LETTER##gemv_v2(Handle *h, int t, int m, int n, const T *alpha, const T *a, int lda,       \
                                       const T *x, int incx, const T *beta, T *y, int incy) {                     \
        return gemv<T>(h, "cublas" #LETTER "gemv", t, m, n, alpha, a, lda, x, incx, beta, y, incy);               \
    }                                                                                                             \
    EXPORT int cublas##LETTER##ger_v2(Handle *h, int m, int n, const T *alpha, const T *x, int incx, const T *y,  \
                                      int incy, T *a, int lda) {                                                  \
        return ger<T>(h, "cublas" #LETTER "ger", m, n, alpha, x, incx, y, incy, a, lda);                          \
    }                                                                                                             \
    EXPORT int cublas##LETTER##axpy_v2(Handle *h, int n, const T *alpha, const T *x, int incx, T *y, int incy) {  \
        return axpy<T>(h, "cublas" #LETTER "axpy", n, alpha, x, incx, y, incy);                                   \
    }                                                                                                             \
    EXPORT int cublas##LETTER##scal_v2(Handle *h, int n, const T *alpha, T *x, int incx) {                        \
        return scal<T>(h, "cublas" #LETTER "scal", n, alpha, x, incx);                                            \
    }                                                                                                             \
    EXPORT int cublas##LETTER##asum_v2(Handle *h, int n, const T *x, int incx, T *result) {                       \
        return asum<T>(h, "cublas" #LETTER "asum", n, x, incx, result);                                           \
    }                                                                                                             \
    EXPORT int cublas##LETTER##dot_v2(Handle *h, int n, const T *x, int incx, const T *y, int incy, T *result) {  \
        return dot<T>(h, "cublas" #LETTER "dot", n, x, incx, y, incy, result);                                    \
    }
GEMM(S, float, F32)
GEMM(D, double, F64)

EXPORT int cublasGemmStridedBatchedEx(Handle *h, int ta, int tb, int m, int n, int k, const void *alpha, const void *a,
                                      int type_a, int lda, long long sa, const void *b, int type_b, int ldb, long long sb,
                                      const void *beta, void *c, int type_c, int ldc, long long sc, int batch,
                                      int compute, int) {
    int scalar = scalar_type_of("cublasGemmStridedBatchedEx", type_a, type_b, type_c, compute);
    if (scalar < 0) return NOT_SUPPORTED;
    return gemm(h, "cublasGemmStridedBatchedEx", ta, tb, m, n, k, alpha, a, type_a, lda, sa, b, type_b, ldb, sb, beta, c,
                type_c, ldc, sc, batch, scalar);
}

EXPORT int cublasGemmEx(Handle *h, int ta, int tb, int m, int n, int k, const void *alpha, const void *a, int type_a,
                        int lda, const void *b, int type_b, int ldb, const void *beta, void *c, int type_c, int ldc,
                        int compute, int) {
    int scalar = scalar_type_of("cublasGemmEx", type_a, type_b, type_c, compute);
    if (scalar < 0) return NOT_SUPPORTED;
    return gemm(h, "cublasGemmEx", ta, tb, m, n, k, alpha, a, type_a, lda, 0, b, type_b, ldb, 0, beta, c, type_c, ldc, 0, 1, scalar);
}

EXPORT int cublasGemmGroupedBatchedEx() { not_emulated("cublasGemmGroupedBatchedEx"); }
EXPORT int cublasGemmBatchedEx() { not_emulated("cublasGemmBatchedEx"); }
EXPORT int cublasHgemm() { not_emulated("cublasHgemm"); }
EXPORT int cublasHgemmStridedBatched() { not_emulated("cublasHgemmStridedBatched"); }

// ---------------------------------------------------------------- cuBLASLt

EXPORT int cublasLtCreate(int **handle) {
    *handle = new int(0);
    return OK;
}
EXPORT int cublasLtDestroy(int *handle) {
    delete handle;
    return OK;
}
EXPORT size_t cublasLtGetVersion() { return 130000; }
#define NOT_EMULATED(NAME) EXPORT int NAME() { not_emulated(#NAME); }
NOT_EMULATED(cublasLtMatmul)
NOT_EMULATED(cublasLtMatmulAlgoGetHeuristic)
NOT_EMULATED(cublasLtMatmulDescCreate)
NOT_EMULATED(cublasLtMatmulDescDestroy)
NOT_EMULATED(cublasLtMatmulDescSetAttribute)
NOT_EMULATED(cublasLtMatmulPreferenceCreate)
NOT_EMULATED(cublasLtMatmulPreferenceDestroy)
NOT_EMULATED(cublasLtMatmulPreferenceSetAttribute)
NOT_EMULATED(cublasLtMatrixLayoutCreate)
NOT_EMULATED(cublasLtMatrixLayoutDestroy)
NOT_EMULATED(cublasLtMatrixLayoutSetAttribute)
