//! Multinomial logistic regression on standardised features, as scikit-learn's
//! `make_pipeline(StandardScaler(), LogisticRegression(C=C))`.
//!
//! Minimises C·Σ sᵢ·(−log pᵢ) + ½‖W‖², with the intercepts free. For two classes scikit-learn has one vector of
//! coefficients, the difference of ours, so its penalty amounts to twice ours; the same is done here. Classes that the
//! training split does not hold get probability 0.
//!
//! The features are turned to their principal axes first: there they are uncorrelated, which makes the Hessian easy to
//! approximate, and there are never more of them than examples.

use nalgebra::{DMatrix, SymmetricEigen};

use super::super::EvaluateError;
use super::super::problem::{check_classes, check_length};
use super::softmax_loss::{SoftmaxLoss, softmax};
use super::standardize::Standardizer;

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
    loss: SoftmaxLoss,
    /// Turns weights on the axes into weights of the features, `[features, axes]`; `None`: they are the same.
    axes: Option<DMatrix<f64>>,
    present: Vec<usize>,
    classes: usize,
    examples: usize,
    /// `[axes + 1, classes that occur]`.
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
            loss: SoftmaxLoss::new(inputs, one_hot, weights),
            axes,
            present,
            classes,
            examples: truth.len(),
        })
    }

    pub fn solve(&mut self, c: f64) -> Result<Logistic, EvaluateError> {
        if !(c.is_finite() && c > 0.0) {
            return Err(EvaluateError::Strength { name: "C", value: c });
        }
        let vectors = if self.present.len() == 2 { 2.0 } else { 1.0 };
        let penalty = vectors / (c * self.examples as f64);
        let converged = self.present.len() < 2 || {
            let minimum = self.loss.minimise(&self.solution, penalty);
            self.solution = minimum.solution;
            minimum.converged
        };
        let axes = self.solution.nrows() - 1;
        let on_axes = self.solution.rows(0, axes);
        let weights = match &self.axes {
            Some(axes) => axes * on_axes,
            None => on_axes.into_owned(),
        };
        let features = weights.nrows();
        let mut weights = weights.insert_row(features, 0.0);
        weights.set_row(features, &self.solution.row(axes));
        Ok(Logistic {
            standardizer: self.standardizer.clone(),
            weights,
            present: self.present.clone(),
            classes: self.classes,
            converged,
            single_class: self.present.len() == 1,
        })
    }
}

fn with_ones(x: DMatrix<f64>) -> DMatrix<f64> {
    let columns = x.ncols();
    x.insert_column(columns, 1.0)
}

/// Coordinates of the rows of `x` `[examples, features]` on its principal axes, and the axes `[features, axes]`. The
/// axes are orthonormal, so a penalty on weights is the same there; there are at most as many as examples.
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
    use super::super::softmax_loss::add_penalty;
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
