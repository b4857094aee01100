// Losses of a batch, each a scalar, with the gradient of what the network said. The formulas are those of
// ../../../../train/loss/; how much each value counts is in its coefficient, so that a loss is a plain sum. One block does it all: a batch
// has few outputs, and the order of the sums is the same for every GPU.
#include "common.cuh"

#define SQUARED 0
#define ABSOLUTE 1
#define SMOOTH 2

// The distance of two numbers. SMOOTH: scale · x² / (2 beta) below beta, scale · (|x| - beta / 2) above.
struct Distance {
    int kind;
    float beta, scale;
};

// `facts`: the truth, and a coefficient for each value.
extern "C" __global__ void loss_of_values(const float *said, const float *facts, int count, Distance distance, float *loss,
                                          float *gradient) {
    __shared__ double shared[2 * REDUCED];
    const float *truth = facts, *coefficient = facts + count;
    double total = 0.0, nothing = 0.0;
    for (int i = threadIdx.x; i < count; i += REDUCED) {
        double x = (double)said[i] - (double)truth[i], c = (double)coefficient[i];
        double sign = x > 0.0 ? 1.0 : (x < 0.0 ? -1.0 : 0.0), size = x < 0.0 ? -x : x;
        double value, slope;
        if (distance.kind == SQUARED) {
            value = x * x;
            slope = 2.0 * x;
        } else if (distance.kind == ABSOLUTE) {
            value = size;
            slope = sign;
        } else {
            double beta = (double)distance.beta, near = size < beta ? size : beta;
            value = (double)distance.scale * (near * near * 0.5 / beta + (size - near));
            slope = (double)distance.scale * sign * near / beta;
        }
        // What is no number stays so.
        if (x != x) value = slope = x;
        total += c * value;
        gradient[i] = (float)(c * slope);
    }
    sum_of_block(total, nothing, shared);
    if (threadIdx.x == 0) loss[0] = (float)total;
}

#define CONCORDANCE_EPSILON 1e-8

// 1 - the concordance correlation coefficient of each target, times its weight. `facts`: the truth [batch, targets], the examples'
// shares [batch, targets], whose sum over the batch is 1, and the weights of the targets.
extern "C" __global__ void loss_of_concordance(const float *said, const float *facts, int batch, int targets, float *loss,
                                               float *gradient) {
    __shared__ double shared[2 * REDUCED];
    const float *truth = facts, *share = truth + batch * targets, *weight = share + batch * targets;
    double all = 0.0;
    for (int target = 0; target < targets; target++) {
        double x_mean = 0.0, y_mean = 0.0;
        for (int i = threadIdx.x; i < batch; i += REDUCED) {
            int at = i * targets + target;
            x_mean += (double)share[at] * (double)said[at];
            y_mean += (double)share[at] * (double)truth[at];
        }
        sum_of_block(x_mean, y_mean, shared);
        double covariance = 0.0, spread = 0.0;
        for (int i = threadIdx.x; i < batch; i += REDUCED) {
            int at = i * targets + target;
            double x = (double)said[at] - x_mean, y = (double)truth[at] - y_mean, s = (double)share[at];
            covariance += s * x * y;
            spread += s * (x * x + y * y);
        }
        sum_of_block(covariance, spread, shared);
        double apart = x_mean - y_mean, denominator = spread + apart * apart + CONCORDANCE_EPSILON;
        double w = (double)weight[target];
        all += w * (1.0 - 2.0 * covariance / denominator);
        for (int i = threadIdx.x; i < batch; i += REDUCED) {
            int at = i * targets + target;
            double x = (double)said[at] - x_mean, y = (double)truth[at] - y_mean, s = (double)share[at];
            double of_denominator = 2.0 * s * (x + apart);
            gradient[at] = (float)(-2.0 * w * (s * y * denominator - covariance * of_denominator) / (denominator * denominator));
        }
    }
    if (threadIdx.x == 0) loss[0] = (float)all;
}

// Softmax cross-entropy, an example for each thread: a · (-log p of its class) + b · (-log p of its other class) + c · Σ w · (-log p).
// `facts`: the classes [batch] and the other classes [batch] as integers, a, b and c [batch], and w [classes].
extern "C" __global__ void loss_of_classes(const float *said, const float *facts, int batch, int classes, float *loss,
                                           float *gradient) {
    __shared__ double shared[2 * REDUCED];
    const unsigned int *first = (const unsigned int *)facts, *second = first + batch;
    const float *a = facts + 2 * batch, *b = a + batch, *c = b + batch, *w = c + batch;
    double total = 0.0, nothing = 0.0;
    for (int i = threadIdx.x; i < batch; i += REDUCED) {
        const float *logits = said + (size_t)i * classes;
        double largest = (double)logits[0];
        for (int k = 1; k < classes; k++) {
            if ((double)logits[k] > largest) largest = (double)logits[k];
        }
        double sum = 0.0;
        for (int k = 0; k < classes; k++) sum += exp((double)logits[k] - largest);
        double normal = largest + log(sum);
        double of_first = (double)a[i], of_second = (double)b[i], of_all = (double)c[i], count = of_first + of_second;
        for (int k = 0; k < classes; k++) count += of_all * (double)w[k];
        for (int k = 0; k < classes; k++) {
            double likelihood = (double)logits[k] - normal;
            double own = of_all * (double)w[k];
            if (first[i] == (unsigned int)k) own += of_first;
            if (second[i] == (unsigned int)k) own += of_second;
            // A class of probability 0 that does not count is no trouble.
            if (own != 0.0) total -= own * likelihood;
            gradient[(size_t)i * classes + k] = (float)(count * exp(likelihood) - own);
        }
    }
    sum_of_block(total, nothing, shared);
    if (threadIdx.x == 0) loss[0] = (float)total;
}

// The contrastive loss of pairs. `logits`: pictures by clips, [pairs, pairs]. `facts`: the pictures' and the clips' numbers and whether the
// pair is a match, as integers, and a coefficient for each pair.
struct Pairs {
    const unsigned int *image, *clip, *matches;
    const float *coefficient;
    int count;

    __device__ Pairs(const float *facts, int pairs) {
        image = (const unsigned int *)facts;
        clip = image + pairs;
        matches = clip + pairs;
        coefficient = facts + 3 * pairs;
        count = pairs;
    }

    // The picture of `row` and the clip of `column` are known to match although they are not one pair here.
    __device__ bool is_left_out(int row, int column) const {
        if (row == column) return false;
        return (image[row] == image[column] && matches[column]) || (clip[row] == clip[column] && matches[row]);
    }
};

// The logarithm of the sum of the exponentials of each row (blockIdx.y 0) and each column (1): [2, pairs]. A block for each.
extern "C" __global__ void contrastive_normals(const float *logits, const float *facts, int count, double *normals) {
    __shared__ double shared[2 * REDUCED];
    Pairs pairs(facts, count);
    int own = blockIdx.x;
    bool is_row = blockIdx.y == 0;
    double largest = -1.7976931348623157e308;
    for (int i = threadIdx.x; i < count; i += REDUCED) {
        int row = is_row ? own : i, column = is_row ? i : own;
        double x = (double)logits[(size_t)row * count + column];
        if (!pairs.is_left_out(row, column) && x > largest) largest = x;
    }
    shared[threadIdx.x] = largest;
    __syncthreads();
    for (int half = REDUCED / 2; half > 0; half /= 2) {
        if (threadIdx.x < half && shared[threadIdx.x + half] > shared[threadIdx.x]) {
            shared[threadIdx.x] = shared[threadIdx.x + half];
        }
        __syncthreads();
    }
    largest = shared[0];
    __syncthreads();
    double sum = 0.0, nothing = 0.0;
    for (int i = threadIdx.x; i < count; i += REDUCED) {
        int row = is_row ? own : i, column = is_row ? i : own;
        if (!pairs.is_left_out(row, column)) sum += exp((double)logits[(size_t)row * count + column] - largest);
    }
    sum_of_block(sum, nothing, shared);
    if (threadIdx.x == 0) normals[blockIdx.y * count + own] = largest + log(sum);
}

extern "C" __global__ void contrastive_loss(const float *logits, const float *facts, const double *normals, int count, float *loss) {
    __shared__ double shared[2 * REDUCED];
    Pairs pairs(facts, count);
    double total = 0.0, nothing = 0.0;
    for (int i = threadIdx.x; i < count; i += REDUCED) {
        double own = (double)logits[(size_t)i * count + i];
        total += 0.5 * (double)pairs.coefficient[i] * (normals[i] - own + normals[count + i] - own);
    }
    sum_of_block(total, nothing, shared);
    if (threadIdx.x == 0) loss[0] = (float)total;
}

extern "C" __global__ void contrastive_gradient(const float *logits, const float *facts, const double *normals, int count,
                                                float *gradient) {
    Pairs pairs(facts, count);
    size_t cells = (size_t)count * count;
    for (size_t i = first_index(); i < cells; i += index_step()) {
        int row = (int)(i / count), column = (int)(i % count);
        double x = (double)logits[i], of_row = 0.5 * (double)pairs.coefficient[row];
        double of_column = 0.5 * (double)pairs.coefficient[column], value = 0.0;
        if (!pairs.is_left_out(row, column)) {
            value = of_row * exp(x - normals[row]) + of_column * exp(x - normals[count + column]);
            if (row == column) value -= of_row + of_column;
        }
        gradient[i] = (float)value;
    }
}

// What was kept, times a number that lies on the device.
extern "C" __global__ void scaled(const float *values, const float *factor, float *out, size_t count) {
    float by = factor[0];
    for (size_t i = first_index(); i < count; i += index_step()) out[i] = values[i] * by;
}
