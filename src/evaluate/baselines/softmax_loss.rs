//! The loss of multinomial logistic regression, and its minimum by Newton's method.
//!
//! Each step solves H·step = −gradient by conjugate gradients, so that the Hessian H, which couples all classes, is
//! never formed, preconditioned by H's diagonal.

use nalgebra::DMatrix;

/// A step is the last if all that it can gain is this share of the penalty's factor: then no weight is farther than
/// 1e-4 from the optimum before the step, and the step squares that.
const EXACT: f64 = 1e-8;
const NEWTON_STEPS: usize = 100;
const MOST_ITERATIONS: usize = 1000;

/// Σ weightᵢ·(−log pᵢ(true class)) + penalty/2·‖W‖² as a function of W, `[inputs, classes]`.
pub(super) struct SoftmaxLoss {
    /// `[examples, inputs]`. The last input is 1: its weights are the intercepts, which are not penalised.
    inputs: DMatrix<f64>,
    inputs_transposed: DMatrix<f64>,
    /// 1 at the true class, `[examples, classes]`.
    truth: DMatrix<f64>,
    /// `[examples]`; they sum to 1.
    weights: Vec<f64>,
}

/// What [`SoftmaxLoss::minimise`] found.
pub(super) struct Minimum {
    pub solution: DMatrix<f64>,
    /// Whether it is the minimum. If not, it is the best that was found.
    pub converged: bool,
}

impl SoftmaxLoss {
    pub fn new(inputs: DMatrix<f64>, truth: DMatrix<f64>, weights: Vec<f64>) -> Self {
        Self {
            inputs_transposed: inputs.transpose(),
            inputs,
            truth,
            weights,
        }
    }

    /// Goes from `start`, whose rows sum to 0, to the minimum. `penalty` is above 0.
    pub fn minimise(&self, start: &DMatrix<f64>, penalty: f64) -> Minimum {
        let mut point = self.at(start.clone(), penalty);
        let mut converged = false;
        for _ in 0..NEWTON_STEPS {
            let step = Curvature::at(self, &point, penalty).newton_step(&point.gradient);
            let slope = point.gradient.dot(&step.direction);
            converged = step.solved && -slope <= EXACT * penalty;
            match self.search(&point, &step.direction, slope, penalty) {
                Some(next) => point = next,
                None => break,
            }
            if converged {
                break;
            }
        }
        Minimum {
            solution: point.solution,
            converged,
        }
    }

    /// Goes along `step`, half as far until it pays; `None` if it never does.
    fn search(&self, point: &Point, step: &DMatrix<f64>, slope: f64, penalty: f64) -> Option<Point> {
        let mut length = 1.0;
        while length > 1e-10 {
            let next = self.at(&point.solution + step * length, penalty);
            // Near the optimum the loss changes by less than its rounding; there the gradient decides.
            let flat = (next.loss - point.loss).abs() <= 1e-13 * point.loss;
            let smaller = next.gradient.norm_squared() <= point.gradient.norm_squared();
            if next.loss <= point.loss + 1e-4 * length * slope || (flat && smaller) {
                return Some(next);
            }
            length /= 2.0;
        }
        None
    }

    /// Mean loss, penalty included, and its gradient at a solution.
    fn at(&self, solution: DMatrix<f64>, penalty: f64) -> Point {
        let mut logits = &self.inputs * &solution;
        let of_truth = logits.component_mul(&self.truth).column_sum();
        let log_sums = softmax(&mut logits);
        let mut loss = 0.5 * penalty * solution.rows(0, solution.nrows() - 1).norm_squared();
        for ((log_sum, of_truth), weight) in log_sums.iter().zip(of_truth.iter()).zip(&self.weights) {
            loss += weight * (log_sum - of_truth);
        }
        let mut residual = &logits - &self.truth;
        for (mut row, &weight) in residual.row_iter_mut().zip(&self.weights) {
            row *= weight;
        }
        let mut gradient = &self.inputs_transposed * residual;
        add_penalty(&mut gradient, &solution, penalty);
        centre(&mut gradient);
        Point {
            solution,
            loss,
            gradient,
            probabilities: logits,
        }
    }
}

/// A solution and what is known there.
struct Point {
    /// `[axes + 1, classes that occur]`.
    solution: DMatrix<f64>,
    loss: f64,
    gradient: DMatrix<f64>,
    /// `[examples, classes that occur]`.
    probabilities: DMatrix<f64>,
}

/// A step downhill.
struct Step {
    direction: DMatrix<f64>,
    /// Whether it is as good as Newton's, or only what was found in the time.
    solved: bool,
}

/// The Hessian of the mean loss at a point, as an operator.
struct Curvature<'a> {
    problem: &'a SoftmaxLoss,
    probabilities: &'a DMatrix<f64>,
    penalty: f64,
    diagonal: DMatrix<f64>,
}

impl<'a> Curvature<'a> {
    fn at(problem: &'a SoftmaxLoss, point: &'a Point, penalty: f64) -> Self {
        let mut variance = point.probabilities.map(|p| p * (1.0 - p));
        for (mut row, &weight) in variance.row_iter_mut().zip(&problem.weights) {
            row *= weight;
        }
        let mut diagonal = problem.inputs_transposed.map(|value| value * value) * variance;
        let penalties = DMatrix::from_element(diagonal.nrows(), diagonal.ncols(), 1.0);
        add_penalty(&mut diagonal, &penalties, penalty);
        Self {
            problem,
            probabilities: &point.probabilities,
            penalty,
            diagonal: diagonal.map(|value| value.max(f64::MIN_POSITIVE)),
        }
    }

    fn times(&self, direction: &DMatrix<f64>) -> DMatrix<f64> {
        let mut logits = &self.problem.inputs * direction;
        let means = logits.component_mul(self.probabilities).column_sum();
        let rows = logits.row_iter_mut().zip(means.iter()).zip(&self.problem.weights);
        for ((mut row, &mean), &weight) in rows {
            row.apply(|value| *value = (*value - mean) * weight);
        }
        let mut product = &self.problem.inputs_transposed * logits.component_mul(self.probabilities);
        add_penalty(&mut product, direction, self.penalty);
        centre(&mut product);
        product
    }

    /// Solves H·step = −gradient, the more exactly the smaller the gradient.
    fn newton_step(&self, gradient: &DMatrix<f64>) -> Step {
        let mut step = DMatrix::zeros(gradient.nrows(), gradient.ncols());
        let mut residual = -gradient;
        let precondition = |residual: &DMatrix<f64>| {
            let mut scaled = residual.component_div(&self.diagonal);
            centre(&mut scaled);
            scaled
        };
        let mut scaled = precondition(&residual);
        let mut direction = scaled.clone();
        let mut size = residual.dot(&scaled);
        let goal = size * size.clamp(1e-16, 1e-2);
        for _ in 0..MOST_ITERATIONS {
            let product = self.times(&direction);
            let curvature = direction.dot(&product);
            // Not above 0: rounding is all that is left.
            if size <= goal || !(curvature.is_finite() && curvature > 0.0) {
                return Step {
                    direction: step,
                    solved: true,
                };
            }
            let length = size / curvature;
            step += &direction * length;
            residual -= product * length;
            scaled = precondition(&residual);
            let next = residual.dot(&scaled);
            direction = &scaled + direction * (next / size);
            size = next;
        }
        Step {
            direction: step,
            solved: false,
        }
    }
}

/// Adds the penalty's part of gradient or curvature: nothing for the intercepts, in the last row.
pub(super) fn add_penalty(sum: &mut DMatrix<f64>, weights: &DMatrix<f64>, penalty: f64) {
    for (mut sum, weights) in sum.column_iter_mut().zip(weights.column_iter()) {
        let penalised = weights.len().saturating_sub(1);
        for (sum, weight) in sum.iter_mut().zip(weights.iter()).take(penalised) {
            *sum += penalty * weight;
        }
    }
}

/// What is added to the weights of all classes alike changes no probability, and at the minimum it is 0. The loss is
/// flat in that direction, or all but flat: a search that strays there takes ten times as long.
fn centre(values: &mut DMatrix<f64>) {
    for mut row in values.row_iter_mut() {
        let mean = row.mean();
        row.add_scalar_mut(-mean);
    }
}

/// Turns each row of logits into probabilities; gives the logarithms of the sums of exponentials.
pub(super) fn softmax(logits: &mut DMatrix<f64>) -> Vec<f64> {
    logits
        .row_iter_mut()
        .map(|mut row| {
            let largest = row.max();
            row.apply(|value| *value = (*value - largest).exp());
            let sum = row.sum();
            row /= sum;
            largest + sum.ln()
        })
        .collect()
}
