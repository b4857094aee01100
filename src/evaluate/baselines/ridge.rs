//! Ridge regression on standardised features, as scikit-learn's `make_pipeline(StandardScaler(), Ridge(alpha))`.

use nalgebra::{Cholesky, DMatrix, RowDVector};

use super::super::EvaluateError;
use super::super::problem::check_length;
use super::check_matrix;
use super::standardize::Standardizer;

/// A fitted ridge regression. Minimises ‖y − Xw − b‖² + alpha‖w‖² for each target; the intercept b is not penalised.
#[derive(Debug, Clone, PartialEq)]
pub struct Ridge {
    standardizer: Standardizer,
    /// `[features, targets]`.
    weights: DMatrix<f64>,
    /// `[targets]`.
    intercept: RowDVector<f64>,
}

impl Ridge {
    /// Fits `x` `[examples, features]` to `y` `[examples, targets]`. More features than examples, and features that
    /// depend on each other, are fine.
    ///
    /// # Errors
    /// No examples or features, rows that do not fit, values that are not finite, or an alpha that is not above 0.
    pub fn fit(x: &DMatrix<f64>, y: &DMatrix<f64>, alpha: f64) -> Result<Self, EvaluateError> {
        RidgeEquations::new(x, y)?.solve(alpha)
    }

    /// Predictions `[examples, targets]`.
    ///
    /// # Errors
    /// Another number of features than in training, or values that are not finite.
    pub fn predict(&self, x: &DMatrix<f64>) -> Result<DMatrix<f64>, EvaluateError> {
        let mut predicted = self.standardizer.apply(x)? * &self.weights;
        for mut row in predicted.row_iter_mut() {
            row += &self.intercept;
        }
        Ok(predicted)
    }
}

/// What fits for all alphas share: the products of the features, on the side where there are fewer.
pub(super) struct RidgeEquations {
    standardizer: Standardizer,
    scaled: DMatrix<f64>,
    centred: DMatrix<f64>,
    intercept: RowDVector<f64>,
    products: Products,
}

enum Products {
    /// XᵀX and Xᵀy: the normal equations.
    OfFeatures(DMatrix<f64>, DMatrix<f64>),
    /// XXᵀ: w = Xᵀ(XXᵀ + alpha)⁻¹y, for more features than examples.
    OfExamples(DMatrix<f64>),
}

impl RidgeEquations {
    pub fn new(x: &DMatrix<f64>, y: &DMatrix<f64>) -> Result<Self, EvaluateError> {
        let standardizer = Standardizer::fit(x)?;
        check_length("targets of the training split", x.nrows(), y.nrows())?;
        check_matrix("the target", y)?;
        let scaled = standardizer.apply(x)?;
        let intercept =
            RowDVector::from_iterator(y.ncols(), y.column_iter().map(|column| column.sum() / y.nrows() as f64));
        let mut centred = y.clone();
        for mut row in centred.row_iter_mut() {
            row -= &intercept;
        }
        let products = if scaled.ncols() <= scaled.nrows() {
            Products::OfFeatures(scaled.tr_mul(&scaled), scaled.tr_mul(&centred))
        } else {
            Products::OfExamples(&scaled * scaled.transpose())
        };
        Ok(Self {
            standardizer,
            scaled,
            centred,
            intercept,
            products,
        })
    }

    pub fn solve(&self, alpha: f64) -> Result<Ridge, EvaluateError> {
        if !(alpha.is_finite() && alpha > 0.0) {
            return Err(EvaluateError::Strength {
                name: "alpha",
                value: alpha,
            });
        }
        let factor = |products: &DMatrix<f64>| {
            let mut penalised = products.clone();
            for index in 0..penalised.nrows() {
                penalised[(index, index)] += alpha;
            }
            Cholesky::new(penalised).ok_or(EvaluateError::Unsolvable { alpha })
        };
        let weights = match &self.products {
            Products::OfFeatures(products, right) => factor(products)?.solve(right),
            Products::OfExamples(products) => self.scaled.tr_mul(&factor(products)?.solve(&self.centred)),
        };
        Ok(Ridge {
            standardizer: self.standardizer.clone(),
            weights,
            intercept: self.intercept.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Generator;

    fn random(rows: usize, columns: usize, purpose: &str) -> DMatrix<f64> {
        let mut generator = Generator::keyed(1, purpose, &[]);
        DMatrix::from_fn(rows, columns, |_, _| generator.normal())
    }

    /// The gradient of the objective vanishes at the solution, whichever way it was found.
    fn check(x: &DMatrix<f64>, alpha: f64) {
        let y = random(x.nrows(), 2, "y");
        let equations = RidgeEquations::new(x, &y).unwrap();
        let ridge = equations.solve(alpha).unwrap();
        let gradient = equations
            .scaled
            .tr_mul(&(&equations.centred - &equations.scaled * &ridge.weights))
            - alpha * &ridge.weights;
        let scale = equations.scaled.tr_mul(&equations.centred).amax().max(1.0);
        assert!(gradient.amax() < 1e-10 * scale, "{} {scale}", gradient.amax());
        let off = (ridge.predict(x).unwrap() - &y).row_sum();
        assert!(off.amax() < 1e-9, "residuals do not add up to 0: {off}");
    }

    #[test]
    fn the_solution_is_one() {
        for alpha in [1e-3, 1.0, 1e4] {
            check(&random(30, 6, "tall"), alpha);
            check(&random(8, 40, "wide"), alpha);
            let repeated = random(30, 6, "tall");
            check(
                &DMatrix::from_fn(30, 13, |row, column| match column {
                    12 => 5.0,
                    _ => repeated[(row, column % 6)],
                }),
                alpha,
            );
            check(&random(1, 3, "single"), alpha);
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let (x, y) = (random(4, 2, "x"), random(4, 1, "y"));
        assert!(matches!(
            Ridge::fit(&x, &random(3, 1, "y"), 1.0),
            Err(EvaluateError::Length { .. })
        ));
        for alpha in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(Ridge::fit(&x, &y, alpha), Err(EvaluateError::Strength { .. })));
        }
        let ridge = Ridge::fit(&x, &y, 1.0).unwrap();
        assert!(ridge.predict(&random(4, 3, "x")).is_err());
        assert!(Ridge::fit(&DMatrix::zeros(0, 2), &DMatrix::zeros(0, 1), 1.0).is_err());
        assert_eq!(ridge.predict(&DMatrix::zeros(0, 2)).unwrap().shape(), (0, 1));
    }
}
