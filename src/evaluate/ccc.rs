//! Lin's concordance correlation coefficient.

use super::moments::Moments;

/// CCC = 2·cov / (var_truth + var_predicted + (mean_truth − mean_predicted)²), with population variances (Lin 1989,
/// "A concordance correlation coefficient to evaluate reproducibility", Biometrics 45, 255–268).
///
/// From −1 to 1. 0 where one side is constant; NaN where both are constant and equal: agreement then says nothing.
pub(super) fn ccc(moments: &Moments) -> f64 {
    let shift = moments.mean_truth - moments.mean_predicted;
    2.0 * moments.common / (moments.spread_truth + moments.spread_predicted + moments.count * shift * shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(f32, f32)]) -> f64 {
        ccc(&Moments::of(pairs.iter().copied()))
    }

    #[test]
    fn agreement_not_mere_correlation_counts() {
        assert_eq!(of(&[(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]), 1.0);
        // cov 2/3, variances 2/3 each, shift 1: (4/3) / (4/3 + 1).
        assert!((of(&[(1.0, 2.0), (2.0, 3.0), (3.0, 4.0)]) - 4.0 / 7.0).abs() < 1e-15);
        assert_eq!(of(&[(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)]), -1.0);
    }

    #[test]
    fn constants() {
        assert_eq!(of(&[(1.0, 1.0), (1.0, 2.0)]), 0.0);
        assert!(of(&[(1.0, 1.0), (1.0, 1.0)]).is_nan());
    }
}
