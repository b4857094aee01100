//! How far predicted numbers are from the true ones.

use super::EvaluateError;
use super::ccc::ccc;
use super::moments::Moments;
use super::problem::{check_finite, check_length};

/// Metrics of one target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RegressionMetrics {
    /// Mean squared error (scikit-learn's `mean_squared_error`).
    pub mse: f64,
    /// Its root (`root_mean_squared_error`).
    pub rmse: f64,
    /// Mean absolute error (`mean_absolute_error`).
    pub mae: f64,
    /// Coefficient of determination (`r2_score`), at most 1. For a constant truth 1 if every prediction is right and
    /// 0 if not, as there; NaN for a single example.
    pub r2: f64,
    /// Pearson's r (SciPy's `pearsonr`), from −1 to 1. NaN where either side is constant.
    pub pearson: f64,
    /// Lin's concordance correlation coefficient with population variances, from −1 to 1. 0 where one side is
    /// constant, NaN where both are and agree.
    pub ccc: f64,
}

/// The metrics of one target over `[examples]` values. Sums run in float64, in order.
///
/// # Errors
/// No examples, lengths that differ, or a value that is not finite.
pub fn regression(truth: &[f32], predicted: &[f32]) -> Result<RegressionMetrics, EvaluateError> {
    if truth.is_empty() {
        return Err(EvaluateError::Empty { what: "examples" });
    }
    check_length("predictions", truth.len(), predicted.len())?;
    check_finite("the truth", truth, 1)?;
    check_finite("the prediction", predicted, 1)?;
    let moments = Moments::of(truth.iter().copied().zip(predicted.iter().copied()));
    Ok(RegressionMetrics::of(&moments, ConstantTruth::AsScikitLearn))
}

/// What R² is where the truth does not vary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConstantTruth {
    /// 1 if every prediction is right, 0 if not.
    AsScikitLearn,
    /// NaN. A resample of the bootstrap that happens to have a constant truth must not pull the interval towards 0.
    Undefined,
}

impl RegressionMetrics {
    pub(super) fn of(moments: &Moments, constant: ConstantTruth) -> Self {
        let mse = moments.squared / moments.count;
        let r2 = if moments.count < 2.0 {
            f64::NAN
        } else if moments.spread_truth > 0.0 {
            1.0 - moments.squared / moments.spread_truth
        } else {
            match constant {
                ConstantTruth::Undefined => f64::NAN,
                ConstantTruth::AsScikitLearn if moments.squared == 0.0 => 1.0,
                ConstantTruth::AsScikitLearn => 0.0,
            }
        };
        let pearson = moments.common / (moments.spread_truth.sqrt() * moments.spread_predicted.sqrt());
        Self {
            mse,
            rmse: mse.sqrt(),
            mae: moments.absolute / moments.count,
            r2,
            pearson: pearson.clamp(-1.0, 1.0),
            ccc: ccc(moments),
        }
    }

    /// In the order of [`super::REGRESSION_METRICS`].
    pub(super) fn values(&self) -> [f64; 6] {
        [self.mse, self.rmse, self.mae, self.r2, self.pearson, self.ccc]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_worked_example() {
        let metrics = regression(&[1.0, 2.0, 3.0, 4.0], &[1.0, 3.0, 2.0, 6.0]).unwrap();
        assert_eq!(metrics.mse, 1.5);
        assert_eq!(metrics.rmse, 1.5f64.sqrt());
        assert_eq!(metrics.mae, 1.0);
        // Σe² = 6, Σ(t − 2.5)² = 5.
        assert!((metrics.r2 - (1.0 - 6.0 / 5.0)).abs() < 1e-15);
        // Σ(t − 2.5)(p − 3) = 7, Σ(p − 3)² = 14.
        assert!((metrics.pearson - 7.0 / 70.0f64.sqrt()).abs() < 1e-15);
        // 2·7 / (5 + 14 + 4·0.5²)
        assert!((metrics.ccc - 14.0 / 20.0).abs() < 1e-15);
    }

    #[test]
    fn a_constant_truth() {
        let right = regression(&[2.0; 3], &[2.0; 3]).unwrap();
        assert_eq!(right.r2, 1.0);
        assert!(right.pearson.is_nan() && right.ccc.is_nan());
        let wrong = regression(&[0.1; 3], &[0.1, 0.2, 0.3]).unwrap();
        assert_eq!((wrong.r2, wrong.ccc), (0.0, 0.0));
        assert!(wrong.pearson.is_nan());
    }

    #[test]
    fn one_example() {
        let metrics = regression(&[2.0], &[3.0]).unwrap();
        assert_eq!((metrics.mse, metrics.mae, metrics.ccc), (1.0, 1.0, 0.0));
        assert!(metrics.r2.is_nan() && metrics.pearson.is_nan());
    }

    #[test]
    fn bad_input_is_an_error() {
        assert_eq!(regression(&[], &[]), Err(EvaluateError::Empty { what: "examples" }));
        assert!(matches!(regression(&[1.0], &[]), Err(EvaluateError::Length { .. })));
        assert!(matches!(
            regression(&[1.0], &[f32::INFINITY]),
            Err(EvaluateError::NotFinite { .. })
        ));
    }

    fn close(a: f64, b: f64, tolerance: f64) -> bool {
        (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * a.abs().max(1.0)
    }

    proptest! {
        #[test]
        fn the_order_of_examples_does_not_matter(
            pairs in prop::collection::vec((-9.0f32..9.0, -9.0f32..9.0), 2..60),
            seed in any::<u64>(),
        ) {
            let mut shuffled = pairs.clone();
            crate::random::Generator::keyed(seed, "test", &[]).shuffle(&mut shuffled);
            let of = |pairs: &[(f32, f32)]| {
                let (truth, predicted): (Vec<f32>, Vec<f32>) = pairs.iter().copied().unzip();
                regression(&truth, &predicted).unwrap()
            };
            let (first, second) = (of(&pairs), of(&shuffled));
            // R² and the correlations are quotients: of nearly constant values only the relative error is bounded.
            let wide = |values: Vec<f32>| values.iter().any(|v| (v - values[0]).abs() > 0.1);
            prop_assume!(wide(pairs.iter().map(|p| p.0).collect()) && wide(pairs.iter().map(|p| p.1).collect()));
            for (a, b) in first.values().into_iter().zip(second.values()) {
                prop_assert!(close(a, b, 1e-12), "{first:?} {second:?}");
            }
        }

        #[test]
        fn ccc_never_exceeds_the_correlation(pairs in prop::collection::vec((-9.0f32..9.0, -9.0f32..9.0), 2..60)) {
            let (truth, predicted): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let metrics = regression(&truth, &predicted).unwrap();
            prop_assert!(metrics.pearson.is_nan() || metrics.ccc.abs() <= metrics.pearson.abs() + 1e-12);
            prop_assert!(metrics.mae <= metrics.rmse + 1e-12);
        }
    }
}
