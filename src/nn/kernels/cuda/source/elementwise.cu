// Functions of single values, and dropout. The formulas, and what happens to NaN, are those of ../../activation.rs.
#include "common.cuh"

#define RELU 0
#define LEAKY_RELU 1
#define ELU 2
#define GELU 3
#define GELU_TANH 4
#define TANH 5
#define SIGMOID 6

#define SQRT_2_OVER_PI 0.7978845608028654f
#define CUBIC 0.044715f
#define SQRT_HALF 0.7071067811865476f
#define DENSITY 0.3989422804014327f

__device__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

__device__ float normal_distribution(float x) { return 0.5f * (1.0f + erff(x * SQRT_HALF)); }

__device__ float gelu_inner(float x) { return SQRT_2_OVER_PI * (x + CUBIC * x * x * x); }

// `parameter`: the slope of leaky ReLU, alpha of ELU.
extern "C" __global__ void activation(const float *input, float *out, size_t count, int function, float parameter) {
    for (size_t i = first_index(); i < count; i += index_step()) {
        float x = input[i];
        float value = x;
        switch (function) {
        case RELU: value = x < 0.0f ? 0.0f : x; break;
        case LEAKY_RELU: value = x < 0.0f ? parameter * x : x; break;
        case ELU: value = x < 0.0f ? parameter * expm1f(x) : x; break;
        case GELU: value = x * normal_distribution(x); break;
        case GELU_TANH: value = 0.5f * x * (1.0f + tanhf(gelu_inner(x))); break;
        case TANH: value = tanhf(x); break;
        case SIGMOID: value = sigmoid(x); break;
        }
        out[i] = value;
    }
}

// The gradient times the derivative at `input`.
extern "C" __global__ void activation_gradient(const float *input, const float *gradient, float *out, size_t count,
                                               int function, float parameter) {
    for (size_t i = first_index(); i < count; i += index_step()) {
        float x = input[i], g = gradient[i];
        float value = g;
        switch (function) {
        case RELU: value = x > 0.0f ? g : 0.0f; break;
        case LEAKY_RELU: value = x > 0.0f ? g : parameter * g; break;
        case ELU: value = x > 0.0f ? g : parameter * expf(x) * g; break;
        case GELU: {
            float density = expf(-0.5f * x * x) * DENSITY;
            // 0 far out, where x may be infinite.
            value = (normal_distribution(x) + (density > 0.0f ? x * density : 0.0f)) * g;
            break;
        }
        case GELU_TANH: {
            float t = tanhf(gelu_inner(x));
            float rest = 1.0f - t * t;
            float slope = 0.5f * x * rest * SQRT_2_OVER_PI * (1.0f + 3.0f * CUBIC * x * x);
            value = (0.5f * (1.0f + t) + (rest > 0.0f ? slope : 0.0f)) * g;
            break;
        }
        case TANH: {
            float t = tanhf(x);
            value = g * (1.0f - t * t);
            break;
        }
        case SIGMOID: {
            float s = sigmoid(x);
            value = g * (s * (1.0f - s));
            break;
        }
        }
        // As on the CPU: NaN in, NaN out, but for the rectifiers, whose derivative is 0 or the slope there.
        out[i] = value;
    }
}

__device__ unsigned int rotated(unsigned int x, int by) { return (x << by) | (x >> (32 - by)); }

__device__ void quarter_round(unsigned int *s, int a, int b, int c, int d) {
    s[a] += s[b]; s[d] = rotated(s[d] ^ s[a], 16);
    s[c] += s[d]; s[b] = rotated(s[b] ^ s[c], 12);
    s[a] += s[b]; s[d] = rotated(s[d] ^ s[a], 8);
    s[c] += s[d]; s[b] = rotated(s[b] ^ s[c], 7);
}

struct ChaChaKey {
    unsigned int words[8];
};

// value * mask, with the masks that the CPU draws: ChaCha8 (Bernstein 2008) with a 64-bit counter from 0 and the stream of this number
// (where `stream_at` points to one, of that), and of each draw of 64 bits the upper 53 as a number in [0, 1). A thread makes one
// block of the stream: eight draws.
extern "C" __global__ void dropout(const float *input, float *out, size_t count, ChaChaKey key, unsigned long long stream,
                                   const unsigned long long *stream_at, double probability, float keep) {
    size_t blocks = (count + 7) / 8;
    if (stream_at) stream = *stream_at;
    for (size_t block = first_index(); block < blocks; block += index_step()) {
        unsigned int initial[16] = {0x61707865u, 0x3320646eu, 0x79622d32u, 0x6b206574u};
        for (int i = 0; i < 8; i++) initial[4 + i] = key.words[i];
        initial[12] = (unsigned int)block;
        initial[13] = (unsigned int)(block >> 32);
        initial[14] = (unsigned int)stream;
        initial[15] = (unsigned int)(stream >> 32);
        unsigned int s[16];
        for (int i = 0; i < 16; i++) s[i] = initial[i];
        for (int round = 0; round < 4; round++) {
            quarter_round(s, 0, 4, 8, 12);
            quarter_round(s, 1, 5, 9, 13);
            quarter_round(s, 2, 6, 10, 14);
            quarter_round(s, 3, 7, 11, 15);
            quarter_round(s, 0, 5, 10, 15);
            quarter_round(s, 1, 6, 11, 12);
            quarter_round(s, 2, 7, 8, 13);
            quarter_round(s, 3, 4, 9, 14);
        }
        for (int draw = 0; draw < 8; draw++) {
            size_t i = block * 8 + draw;
            if (i >= count) break;
            unsigned long long low = s[2 * draw] + initial[2 * draw];
            unsigned long long high = (unsigned int)(s[2 * draw + 1] + initial[2 * draw + 1]);
            low = (unsigned int)low;
            double uniform = (double)((high << 32 | low) >> 11) * (1.0 / 9007199254740992.0);
            out[i] = input[i] * (uniform < probability ? 0.0f : keep);
        }
    }
}

// Between 32 and 16 bits.
extern "C" __global__ void to_bfloat16(const float *input, unsigned short *out, size_t count) {
    for (size_t i = first_index(); i < count; i += index_step()) out[i] = to_bits16(input[i]);
}

extern "C" __global__ void from_bfloat16(const unsigned short *input, float *out, size_t count) {
    for (size_t i = first_index(); i < count; i += index_step()) out[i] = from_bits16(input[i]);
}
