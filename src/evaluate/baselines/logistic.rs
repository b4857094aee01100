//! Multinomial logistic regression on standardised features, as scikit-learn's
//! `make_pipeline(StandardScaler(), LogisticRegression(C=C))`.
//!
//! Minimises C·Σ sᵢ·(−log pᵢ) + ½‖W‖², with the intercepts free. For two classes scikit-learn has one vector of
//! coefficients, the difference of ours, so its penalty amounts to twice ours; the same is done here. Classes that the
//! training split does not hold get probability 0.
//!
//! Newton's method; each step is solved by conjugate gradients with the Hessian's diagonal as preconditioner, so that
//! the Hessian is never formed. The features are turned to their principal axes first: there they are uncorrelated,
//! the Hessian is close to its diagonal, and there are never more of them than examples.

use nalgebra::{DMatrix, SymmetricEigen};

use super::super::EvaluateError;
use super::super::problem::{check_classes, check_length};
use super::standardize::Standardizer;

/// The decrease of the mean loss that a further step could bring, in units of the loss, at which the solution is exact.
const EXACT: f64 = 1e-20;
/// The same, where rounding allows no further step.
const NEARLY_EXACT: f64 = 1e-12;
const NEWTON_STEPS: usize = 100;
/// Beyond this many axes turning costs more than it saves.
const MOST_AXES: usize = 1024;

/// How much each training example counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClassWeight {
    /// All alike.
    None,
    /// Inversely to how frequent its class is: examples / (classes · examples of the class).
    Balanced,
}

/// A fitted logistic regression.
#[derive(Debug, Clone, PartialEq)]
pub struct Logistic {
    standardizer: Standardizer,
    /// `[features + 1, classes that occur]`; the intercepts last.
    weights: DMatrix<f64>,
    /// The classes that occur in training.
    present: Vec<usize>,
    classes: usize,
    /// Whether the optimum was reached. If not, this is the best that was found.
    pub converged: bool,
    /// Whether training held one class only, which is then certain.
    pub single_class: bool,
}

impl Logistic {
    /// Fits `x` `[examples, features]` to `truth` `[examples]`, indices below `classes`.
    ///
    /// # Errors
    /// No examples or features, rows that do not fit, values that are not finite, or a C that is not above 0.
    pub fn fit(
        x: &DMatrix<f64>,
        truth: &[u32],
        classes: usize,
        c: f64,
        weight: ClassWeight,
    ) -> Result<Self, EvaluateError> {
        LogisticProblem::new(x, truth, classes, weight)?.solve(c)
    }

    /// Probabilities `[examples, classes]`; each row sums to 1.
    ///
    /// # Errors
    /// Another number of features than in training, or values that are not finite.
    pub fn predict(&self, x: &DMatrix<f64>) -> Result<DMatrix<f64>, EvaluateError> {
        let mut logits = with_ones(self.standardizer.apply(x)?) * &self.weights;
        softmax(&mut logits);
        let mut probabilities = DMatrix::zeros(x.nrows(), self.classes);
        for (column, &class) in logits.column_iter().zip(&self.present) {
            probabilities.set_column(class, &column);
        }
        Ok(probabilities)
    }
}

/// What fits for all C share, and the last solution, from which the next fit starts.
pub(super) struct LogisticProblem {
    standardizer: Standardizer,
    /// Features on their principal axes and a column of ones, `[examples, axes + 1]`.
    inputs: DMatrix<f64>,
    inputs_transposed: DMatrix<f64>,
    /// Turns weights on the axes into weights of the features, `[features, axes]`; `None`: they are the same.
    axes: Option<DMatrix<f64>>,
    /// 1 at the true class, `[examples, classes that occur]`.
    truth: DMatrix<f64>,
    /// `[examples]`; they sum to 1.
    weights: Vec<f64>,
    present: Vec<usize>,
    classes: usize,
    solution: DMatrix<f64>,
}

impl LogisticProblem {
    pub fn new(x: &DMatrix<f64>, truth: &[u32], classes: usize, weight: ClassWeight) -> Result<Self, EvaluateError> {
        let standardizer = Standardizer::fit(x)?;
        check_length("classes of the training split", x.nrows(), truth.len())?;
        check_classes(truth, classes)?;
        let mut counts = vec![0usize; classes];
        for &class in truth {
            if let Some(count) = counts.get_mut(class as usize) {
                *count += 1;
            }
        }
        let present: Vec<usize> = (0..classes).filter(|&class| counts.get(class) > Some(&0)).collect();
        let one_hot = DMatrix::from_fn(truth.len(), present.len(), |example, column| {
            let is_true = truth.get(example).map(|&class| class as usize) == present.get(column).copied();
            f64::from(u8::from(is_true))
        });
        let weights = truth
            .iter()
            .map(|&class| match weight {
                ClassWeight::None => 1.0 / truth.len() as f64,
                ClassWeight::Balanced => {
                    let count = counts.get(class as usize).copied().unwrap_or(1);
                    1.0 / (present.len() * count) as f64
                }
            })
            .collect();
        let (inputs, axes) = principal_axes(standardizer.apply(x)?);
        let inputs = with_ones(inputs);
        Ok(Self {
            solution: DMatrix::zeros(inputs.ncols(), present.len()),
            standardizer,
            inputs_transposed: inputs.transpose(),
            inputs,
            axes,
            truth: one_hot,
            weights,
            present,
            classes,
        })
    }

    pub fn solve(&mut self, c: f64) -> Result<Logistic, EvaluateError> {
        if !(c.is_finite() && c > 0.0) {
            return Err(EvaluateError::Strength { name: "C", value: c });
        }
        let vectors = if self.present.len() == 2 { 2.0 } else { 1.0 };
        let penalty = vectors / (c * self.inputs.nrows() as f64);
        let converged = self.present.len() < 2 || self.newton(penalty);
        let on_axes = self.solution.rows(0, self.inputs.ncols() - 1);
        let mut weights = match &self.axes {
            Some(axes) => axes * on_axes,
            None => on_axes.into_owned(),
        };
        let features = weights.nrows();
        weights = weights.insert_row(features, 0.0);
        weights.set_row(features, &self.solution.row(self.inputs.ncols() - 1));
        Ok(Logistic {
            standardizer: self.standardizer.clone(),
            weights,
            present: self.present.clone(),
            classes: self.classes,
            converged,
            single_class: self.present.len() == 1,
        })
    }

    /// Improves the solution until it is exact; says whether it is.
    fn newton(&mut self, penalty: f64) -> bool {
        let mut point = self.at(self.solution.clone(), penalty);
        let mut exact = false;
        for _ in 0..NEWTON_STEPS {
            let step = Curvature::at(self, &point, penalty).newton_step(&point.gradient);
            let slope = point.gradient.dot(&step);
            exact = -slope <= EXACT;
            let Some(next) = self.search(&point, &step, slope, penalty) else {
                exact |= -slope <= NEARLY_EXACT;
                break;
            };
            point = next;
            if exact {
                break;
            }
        }
        self.solution = point.solution;
        exact
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
        centre_intercepts(&mut gradient);
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

/// The Hessian of the mean loss at a point, as an operator.
struct Curvature<'a> {
    problem: &'a LogisticProblem,
    probabilities: &'a DMatrix<f64>,
    penalty: f64,
    diagonal: DMatrix<f64>,
}

impl<'a> Curvature<'a> {
    fn at(problem: &'a LogisticProblem, point: &'a Point, penalty: f64) -> Self {
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
        centre_intercepts(&mut product);
        product
    }

    /// Solves H·step = −gradient by conjugate gradients, the more exactly the smaller the gradient.
    fn newton_step(&self, gradient: &DMatrix<f64>) -> DMatrix<f64> {
        let mut step = DMatrix::zeros(gradient.nrows(), gradient.ncols());
        let mut residual = -gradient;
        let precondition = |residual: &DMatrix<f64>| {
            let mut scaled = residual.component_div(&self.diagonal);
            centre_intercepts(&mut scaled);
            scaled
        };
        let mut scaled = precondition(&residual);
        let mut direction = scaled.clone();
        let mut size = residual.dot(&scaled);
        let goal = size * size.clamp(1e-16, 1e-2);
        for _ in 0..gradient.len().clamp(50, 2000) {
            if size <= goal {
                break;
            }
            let product = self.times(&direction);
            let curvature = direction.dot(&product);
            if !(curvature.is_finite() && curvature > 0.0) {
                break;
            }
            let length = size / curvature;
            step += &direction * length;
            residual -= product * length;
            scaled = precondition(&residual);
            let next = residual.dot(&scaled);
            direction = &scaled + direction * (next / size);
            size = next;
        }
        step
    }
}

/// Adds the penalty's part of gradient or curvature: nothing for the intercepts, in the last row.
fn add_penalty(sum: &mut DMatrix<f64>, weights: &DMatrix<f64>, penalty: f64) {
    for (mut sum, weights) in sum.column_iter_mut().zip(weights.column_iter()) {
        let penalised = weights.len().saturating_sub(1);
        for (sum, weight) in sum.iter_mut().zip(weights.iter()).take(penalised) {
            *sum += penalty * weight;
        }
    }
}

/// A constant added to all intercepts changes no probability: the loss is flat there. Gradients and steps have no part in
/// that direction; this removes what rounding puts there.
fn centre_intercepts(values: &mut DMatrix<f64>) {
    if let Some(last) = values.nrows().checked_sub(1) {
        let mut intercepts = values.row_mut(last);
        let mean = intercepts.mean();
        intercepts.add_scalar_mut(-mean);
    }
}

/// Turns each row of logits into probabilities; gives the logarithms of the sums of exponentials.
fn softmax(logits: &mut DMatrix<f64>) -> Vec<f64> {
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

fn with_ones(x: DMatrix<f64>) -> DMatrix<f64> {
    let columns = x.ncols();
    x.insert_column(columns, 1.0)
}

/// Coordinates of the rows of `x` `[examples, features]` on its principal axes, and the axes `[features, axes]`. The axes
/// are orthonormal, so a penalty on weights is the same there; there are at most as many as examples.
fn principal_axes(x: DMatrix<f64>) -> (DMatrix<f64>, Option<DMatrix<f64>>) {
    let (examples, features) = x.shape();
    if examples.min(features) > MOST_AXES {
        return (x, None);
    }
    let (reduced, basis) = if features > examples {
        let basis = x.transpose().qr().q();
        (&x * &basis, Some(basis))
    } else {
        (x, None)
    };
    let products = reduced.transpose() * &reduced;
    match (SymmetricEigen::try_new(products, f64::EPSILON, 10_000), basis) {
        (Some(eigen), Some(basis)) => (&reduced * &eigen.eigenvectors, Some(basis * eigen.eigenvectors)),
        (Some(eigen), None) => (&reduced * &eigen.eigenvectors, Some(eigen.eigenvectors)),
        (None, basis) => (reduced, basis),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Generator;

    fn random(rows: usize, columns: usize) -> DMatrix<f64> {
        let mut generator = Generator::keyed(1, "test", &[]);
        DMatrix::from_fn(rows, columns, |_, _| generator.normal())
    }

    /// Classes that depend on the first feature and on chance.
    fn labels(x: &DMatrix<f64>, classes: u32) -> Vec<u32> {
        let mut generator = Generator::keyed(2, "test", &[]);
        (0..x.nrows())
            .map(|row| ((x[(row, 0)] + generator.normal() + 2.0).clamp(0.0, 3.99) * f64::from(classes) / 4.0) as u32)
            .collect()
    }

    /// At the optimum the gradient of the objective vanishes, here written out in the plain features.
    fn check(x: &DMatrix<f64>, truth: &[u32], classes: usize, c: f64) {
        let logistic = Logistic::fit(x, truth, classes, c, ClassWeight::None).unwrap();
        assert!(logistic.converged);
        let inputs = with_ones(logistic.standardizer.apply(x).unwrap());
        let probabilities = logistic.predict(x).unwrap();
        let residual = DMatrix::from_fn(x.nrows(), logistic.present.len(), |row, column| {
            let class = logistic.present[column];
            probabilities[(row, class)] - f64::from(u8::from(truth[row] as usize == class))
        });
        let mut gradient = inputs.transpose() * residual * c;
        let vectors = if logistic.present.len() == 2 { 2.0 } else { 1.0 };
        add_penalty(&mut gradient, &logistic.weights, vectors);
        assert!(
            gradient.amax() < 1e-7 * c.max(1.0) * x.nrows() as f64,
            "C {c}: {}",
            gradient.amax()
        );
        for row in probabilities.row_iter() {
            assert!((row.sum() - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn the_solution_is_an_optimum() {
        let (tall, wide) = (random(60, 5), random(12, 40));
        for c in [1e-3, 1.0, 1e4] {
            check(&tall, &labels(&tall, 4), 4, c);
            check(&tall, &labels(&tall, 2), 2, c);
            check(&wide, &labels(&wide, 4), 4, c);
        }
    }

    #[test]
    fn perfectly_separated_classes() {
        let x = DMatrix::from_fn(20, 2, |row, column| if column == 0 { row as f64 } else { 1.0 });
        let truth: Vec<u32> = (0..20).map(|row| u32::from(row >= 10)).collect();
        check(&x, &truth, 2, 1e4);
        let probabilities = Logistic::fit(&x, &truth, 2, 1e4, ClassWeight::None)
            .unwrap()
            .predict(&x)
            .unwrap();
        assert!(probabilities[(0, 0)] > 0.99 && probabilities[(19, 1)] > 0.99);
    }

    #[test]
    fn one_class_only_is_certain() {
        let x = random(5, 3);
        let logistic = Logistic::fit(&x, &[2; 5], 4, 1.0, ClassWeight::Balanced).unwrap();
        assert!(logistic.converged && logistic.single_class);
        assert!(logistic.predict(&x).unwrap().column(2).iter().all(|&p| p == 1.0));
    }

    #[test]
    fn balanced_weights_move_the_rare_class_up() {
        let x = random(80, 3);
        let truth: Vec<u32> = (0..80).map(|row| u32::from(row % 10 == 0)).collect();
        let mean = |weight| {
            let logistic = Logistic::fit(&x, &truth, 2, 1e-3, weight).unwrap();
            logistic.predict(&x).unwrap().column(1).mean()
        };
        assert!((mean(ClassWeight::None) - 0.1).abs() < 0.01);
        assert!((mean(ClassWeight::Balanced) - 0.5).abs() < 0.05);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let x = random(4, 2);
        let fit = |truth: &[u32], c| Logistic::fit(&x, truth, 2, c, ClassWeight::None);
        assert!(matches!(fit(&[0, 1], 1.0), Err(EvaluateError::Length { .. })));
        assert!(matches!(fit(&[0, 1, 2, 0], 1.0), Err(EvaluateError::Class { .. })));
        assert!(matches!(fit(&[0, 1, 1, 0], -1.0), Err(EvaluateError::Strength { .. })));
    }
}
