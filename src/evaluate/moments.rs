//! Everything that the regression metrics need to know of a set of examples, in eight numbers.
//!
//! Sets can be combined (Chan, Golub & LeVeque 1979), so that a resample of the bootstrap costs a few additions per
//! group and not a pass over its examples. Deviations are always taken from a mean that is known before, never as a
//! difference of large sums: there is no cancellation.

/// Moments of pairs of truth and prediction for one target.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Moments {
    pub count: f64,
    pub mean_truth: f64,
    pub mean_predicted: f64,
    /// Σ(truth − mean)². Zero exactly where all truths are equal, because sums of equal float32 are exact in float64.
    pub spread_truth: f64,
    /// Σ(predicted − mean)².
    pub spread_predicted: f64,
    /// Σ(truth − mean)(predicted − mean).
    pub common: f64,
    /// Σ|predicted − truth|.
    pub absolute: f64,
    /// Σ(predicted − truth)².
    pub squared: f64,
}

impl Moments {
    /// Of pairs of (truth, predicted), which are walked through twice.
    pub fn of(pairs: impl Iterator<Item = (f32, f32)> + Clone) -> Self {
        let mut moments = Self::default();
        let (mut sum_truth, mut sum_predicted) = (0.0, 0.0);
        for (truth, predicted) in pairs.clone() {
            moments.count += 1.0;
            sum_truth += f64::from(truth);
            sum_predicted += f64::from(predicted);
        }
        if moments.count == 0.0 {
            return moments;
        }
        moments.mean_truth = sum_truth / moments.count;
        moments.mean_predicted = sum_predicted / moments.count;
        for (truth, predicted) in pairs {
            let (truth, predicted) = (f64::from(truth), f64::from(predicted));
            let (from_truth, from_predicted) = (truth - moments.mean_truth, predicted - moments.mean_predicted);
            moments.spread_truth += from_truth * from_truth;
            moments.spread_predicted += from_predicted * from_predicted;
            moments.common += from_truth * from_predicted;
            moments.absolute += (predicted - truth).abs();
            moments.squared += (predicted - truth).powi(2);
        }
        moments
    }

    /// Of sets of which each occurs as often as its weight says.
    pub fn combined<'a>(parts: impl Iterator<Item = (f64, &'a Self)> + Clone) -> Self {
        let mut whole = Self::default();
        let (mut sum_truth, mut sum_predicted) = (0.0, 0.0);
        for (weight, part) in parts.clone() {
            let count = weight * part.count;
            whole.count += count;
            sum_truth += count * part.mean_truth;
            sum_predicted += count * part.mean_predicted;
        }
        if whole.count == 0.0 {
            return whole;
        }
        whole.mean_truth = sum_truth / whole.count;
        whole.mean_predicted = sum_predicted / whole.count;
        for (weight, part) in parts {
            let from_truth = part.mean_truth - whole.mean_truth;
            let from_predicted = part.mean_predicted - whole.mean_predicted;
            whole.spread_truth += weight * (part.spread_truth + part.count * from_truth * from_truth);
            whole.spread_predicted += weight * (part.spread_predicted + part.count * from_predicted * from_predicted);
            whole.common += weight * (part.common + part.count * from_truth * from_predicted);
            whole.absolute += weight * part.absolute;
            whole.squared += weight * part.squared;
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combining_parts_is_the_same_as_taking_all() {
        let pairs: Vec<(f32, f32)> = (0..40u8)
            .map(|i| (1e4 + f32::from(i) * 0.25, f32::from(i % 7) - 3.0))
            .collect();
        let all = Moments::of(pairs.iter().copied().chain(pairs.iter().take(10).copied()));
        let (first, second) = (
            Moments::of(pairs.iter().take(10).copied()),
            Moments::of(pairs.iter().skip(10).copied()),
        );
        let combined = Moments::combined([(2.0, &first), (1.0, &second)].into_iter());
        for (a, b) in [
            (all.count, combined.count),
            (all.mean_truth, combined.mean_truth),
            (all.mean_predicted, combined.mean_predicted),
            (all.spread_truth, combined.spread_truth),
            (all.spread_predicted, combined.spread_predicted),
            (all.common, combined.common),
            (all.absolute, combined.absolute),
            (all.squared, combined.squared),
        ] {
            assert!((a - b).abs() <= 1e-13 * a.abs().max(1.0), "{a} {b}");
        }
    }

    #[test]
    fn equal_truths_have_no_spread_at_all() {
        let part = Moments::of((0..997).map(|i| (0.1, i as f32)));
        assert_eq!(part.spread_truth, 0.0);
        assert_eq!(
            Moments::combined([(3.0, &part), (7.0, &part)].into_iter()).spread_truth,
            0.0
        );
    }
}
