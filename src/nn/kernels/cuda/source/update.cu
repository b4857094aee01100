// The optimisers' updates, all parameters in one launch, and the norm of all gradients. The formulas are those of
// ../../../../train/optimizer/host.rs.
#include "common.cuh"

#define TENSORS 64
#define CHUNK 4096

#define ADAM 0
#define ADAMW 1
#define SGD 2
#define RMSPROP 3

struct Tensors {
    float *parameter[TENSORS];
    const float *gradient[TENSORS];
    float *first[TENSORS];
    float *second[TENSORS];
    float *third[TENSORS];
    unsigned long long length[TENSORS];
    // 1 where weights decay.
    unsigned char decayed[TENSORS];
    // Blocks before those of each; the last one is their sum.
    unsigned int blocks[TENSORS + 1];
    int count;
};

__device__ int tensor_of_block(const Tensors &tensors) {
    int tensor = 0;
    while (tensor + 1 < tensors.count && blockIdx.x >= tensors.blocks[tensor + 1]) tensor++;
    return tensor;
}

// The sum of the squares of each block's numbers, at `partial + from`.
extern "C" __global__ void squares(Tensors tensors, unsigned int from, double *partial) {
    __shared__ double shared[2 * REDUCED];
    int tensor = tensor_of_block(tensors);
    size_t begin = (size_t)(blockIdx.x - tensors.blocks[tensor]) * CHUNK, end = begin + CHUNK;
    if (end > tensors.length[tensor]) end = tensors.length[tensor];
    double total = 0.0, nothing = 0.0;
    for (size_t i = begin + threadIdx.x; i < end; i += REDUCED) {
        double g = (double)tensors.gradient[tensor][i];
        total += g * g;
    }
    sum_of_block(total, nothing, shared);
    if (threadIdx.x == 0) partial[from + blockIdx.x] = total;
}

// The root of their sum, times `factor`.
extern "C" __global__ void root_of_sum(const double *partial, unsigned int count, double factor, double *out) {
    __shared__ double shared[2 * REDUCED];
    double total = 0.0, nothing = 0.0;
    for (unsigned int i = threadIdx.x; i < count; i += REDUCED) total += partial[i];
    sum_of_block(total, nothing, shared);
    if (threadIdx.x == 0) out[0] = sqrt(total) * factor;
}

struct Rule {
    int kind;
    float learning_rate, weight_decay;
    // Adam: beta1, 1 - beta1, beta2, 1 - beta2, epsilon, 1 / √(1 - beta2^t), rate / (1 - beta1^t), 1 - rate · decay.
    // SGD: momentum, 1 for Nesterov's. RMSprop: alpha, 1 - alpha, epsilon, momentum, 1 where centred.
    float constants[8];
    // By which gradients are multiplied first.
    double scale;
    // The norm of the gradients (with `scale` in it) above which they are scaled down to it; 0 for none.
    double clip_norm;
};

// What changes from step to step, on the device, so that recorded launches can be done again.
struct Cell {
    unsigned long long step;
    Rule rule;
};

extern "C" __global__ void set_step(Cell *cell, unsigned long long step) {
    if (threadIdx.x == 0) cell->step = step;
}

extern "C" __global__ void set_rule(Cell *cell, Rule rule) {
    if (threadIdx.x == 0) cell->rule = rule;
}

// `norm`: of all gradients. Where it is no finite number, nothing changes.
extern "C" __global__ void update(Tensors tensors, const Cell *cell, const double *norm) {
    const Rule &rule = cell->rule;
    double total = norm[0];
    if (!(total <= 1.7976931348623157e308)) return;
    double factor = rule.scale;
    if (rule.clip_norm > 0.0) {
        double limit = rule.clip_norm / (total + 1e-6);
        if (limit < 1.0) factor *= limit;
    }
    float scale = (float)factor;
    int tensor = tensor_of_block(tensors);
    size_t begin = (size_t)(blockIdx.x - tensors.blocks[tensor]) * CHUNK, end = begin + CHUNK;
    if (end > tensors.length[tensor]) end = tensors.length[tensor];
    float *parameter = tensors.parameter[tensor];
    const float *gradient = tensors.gradient[tensor];
    float *first = tensors.first[tensor], *second = tensors.second[tensor], *third = tensors.third[tensor];
    float decay = tensors.decayed[tensor] ? rule.weight_decay : 0.0f;
    const float *k = rule.constants;
    for (size_t i = begin + threadIdx.x; i < end; i += blockDim.x) {
        float x = parameter[i], g = gradient[i] * scale;
        if (rule.kind == ADAM || rule.kind == ADAMW) {
            float shrink = 1.0f;
            if (rule.kind == ADAMW) {
                shrink = tensors.decayed[tensor] ? k[7] : 1.0f;
            } else {
                g += x * decay;
            }
            float mean = first[i] * k[0] + g * k[1], square = second[i] * k[2] + g * g * k[3];
            first[i] = mean;
            second[i] = square;
            parameter[i] = x * shrink - mean / (sqrtf(square) * k[5] + k[4]) * k[6];
        } else if (rule.kind == SGD) {
            g += x * decay;
            if (k[0] != 0.0f) {
                float velocity = first[i] * k[0] + g;
                first[i] = velocity;
                g = k[1] != 0.0f ? g + velocity * k[0] : velocity;
            }
            parameter[i] = x - g * rule.learning_rate;
        } else {
            g += x * decay;
            float square = first[i] * k[0] + g * g * k[1];
            first[i] = square;
            float spread = square;
            if (third) {
                float mean = third[i] * k[0] + g * k[1];
                third[i] = mean;
                spread -= mean * mean;
                // Rounding may leave a hair below zero where the gradient does not change.
                if (spread < 0.0f) spread = 0.0f;
            }
            float direction = g / (sqrtf(spread) + k[2]);
            if (k[3] != 0.0f && second) {
                direction = second[i] * k[3] + direction;
                second[i] = direction;
            }
            parameter[i] = x - direction * rule.learning_rate;
        }
    }
}
