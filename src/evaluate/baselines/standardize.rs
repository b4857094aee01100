//! Puts every feature on the same scale, as scikit-learn's `StandardScaler`.

use nalgebra::{DMatrix, RowDVector};

use super::super::EvaluateError;
use super::super::problem::check_length;
use super::check_matrix;

/// Means and scales of the columns of the training features.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Standardizer {
    mean: RowDVector<f64>,
    /// Population standard deviation; 1 for a column that is constant up to rounding.
    scale: RowDVector<f64>,
}

impl Standardizer {
    /// From features `[examples, features]`.
    pub fn fit(x: &DMatrix<f64>) -> Result<Self, EvaluateError> {
        if x.nrows() == 0 {
            return Err(EvaluateError::Empty {
                what: "training examples",
            });
        }
        if x.ncols() == 0 {
            return Err(EvaluateError::NoFeatures);
        }
        check_matrix("the training feature", x)?;
        let examples = x.nrows() as f64;
        let mean = RowDVector::from_iterator(x.ncols(), x.column_iter().map(|column| column.sum() / examples));
        let scale = RowDVector::from_iterator(
            x.ncols(),
            x.column_iter().zip(mean.iter()).map(|(column, mean)| {
                let variance = column.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / examples;
                // scikit-learn's `_is_constant_feature`: the error that the variance of constant values can have.
                let rounding = examples * f64::EPSILON * variance + (examples * mean * f64::EPSILON).powi(2);
                if variance <= rounding && rounding.is_finite() {
                    1.0
                } else {
                    variance.sqrt()
                }
            }),
        );
        match mean
            .iter()
            .zip(scale.iter())
            .position(|(mean, scale)| !(mean * scale).is_finite())
        {
            Some(column) => Err(EvaluateError::TooLarge { column }),
            None => Ok(Self { mean, scale }),
        }
    }

    /// Scales features of any split. The result is finite.
    pub fn apply(&self, x: &DMatrix<f64>) -> Result<DMatrix<f64>, EvaluateError> {
        check_length("features of an example", self.mean.len(), x.ncols())?;
        check_matrix("the feature", x)?;
        let mut scaled = x.clone();
        for (mut column, (mean, scale)) in scaled.column_iter_mut().zip(self.mean.iter().zip(self.scale.iter())) {
            column.apply(|value| *value = (*value - mean) / scale);
        }
        check_matrix("the scaled feature", &scaled)?;
        Ok(scaled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_get_mean_zero_and_deviation_one() {
        let x = DMatrix::from_row_slice(3, 2, &[1.0, 5.0, 2.0, 5.0, 3.0, 5.0]);
        let scaled = Standardizer::fit(&x).unwrap().apply(&x).unwrap();
        let edge = 1.5f64.sqrt();
        let expected = [-edge, 0.0, edge, 0.0, 0.0, 0.0];
        assert!(
            scaled.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15),
            "{scaled}"
        );
    }

    #[test]
    fn constant_up_to_rounding_is_constant() {
        let x = DMatrix::from_element(1000, 1, 0.1);
        let standardizer = Standardizer::fit(&x).unwrap();
        assert_eq!(standardizer.scale[0], 1.0);
    }

    #[test]
    fn what_is_not_finite_is_named() {
        let x = DMatrix::from_row_slice(2, 2, &[1.0, 2.0, 3.0, f64::NAN]);
        insta::assert_snapshot!(
            Standardizer::fit(&x).unwrap_err(),
            @"the training feature of example 1, column 1 is NaN; only finite numbers can be evaluated, so look for division by zero or for a training that diverged"
        );
        let huge = DMatrix::from_row_slice(2, 1, &[1e300, -1e300]);
        assert_eq!(Standardizer::fit(&huge), Err(EvaluateError::TooLarge { column: 0 }));
    }
}
