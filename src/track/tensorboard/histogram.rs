//! The distribution of a tensor's values in buckets of equal width, as TensorBoard's own writers count them.

use tensorboard_proto::summary::Summary;

/// TensorFlow 2 has 30; the page draws fewer or more from them.
const BUCKETS: usize = 64;

/// How the finite values of a tensor are distributed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Histogram {
    min: f64,
    max: f64,
    sum: f64,
    sum_of_squares: f64,
    /// The right ends of the buckets; the first one begins at `min`, the last one ends at `max`.
    limits: Vec<f64>,
    counts: Vec<f64>,
}

impl Histogram {
    /// `None` where no value is finite.
    pub fn of(values: &[f32]) -> Option<Self> {
        let finite = || values.iter().copied().map(f64::from).filter(|value| value.is_finite());
        let min = finite().reduce(f64::min)?;
        let max = finite().reduce(f64::max)?;
        let (mut sum, mut sum_of_squares) = (0.0, 0.0);
        let buckets = if min < max { BUCKETS } else { 1 };
        let mut counts = vec![0.0; buckets];
        let per_unit = buckets as f64 / (max - min).max(f64::MIN_POSITIVE);
        for value in finite() {
            sum += value;
            sum_of_squares += value * value;
            // The largest value belongs to the last bucket.
            let bucket = (((value - min) * per_unit) as usize).min(buckets - 1);
            if let Some(count) = counts.get_mut(bucket) {
                *count += 1.0;
            }
        }
        let right_end = |bucket: usize| match bucket == buckets {
            true => max,
            false => min + (max - min) * bucket as f64 / buckets as f64,
        };
        Some(Self {
            min,
            max,
            sum,
            sum_of_squares,
            limits: (1..=buckets).map(right_end).collect(),
            counts,
        })
    }

    pub fn summary(&self, tag: &str) -> Summary {
        let count = self.counts.iter().sum();
        tensorboard_rs::summary::histogram_raw(
            tag,
            self.min,
            self.max,
            count,
            self.sum,
            self.sum_of_squares,
            &self.limits,
            &self.counts,
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn equal_values_are_one_bucket_and_nothing_is_none() {
        let one = Histogram::of(&[2.0, 2.0, f32::NAN]).unwrap();
        assert_eq!((one.limits.as_slice(), one.counts.as_slice()), (&[2.0][..], &[2.0][..]));
        assert_eq!((one.sum, one.sum_of_squares), (4.0, 8.0));
        assert_eq!(Histogram::of(&[f32::NAN, f32::INFINITY]), None);
    }

    #[test]
    fn values_lie_in_the_buckets_that_count_them() {
        let values: Vec<f32> = (0..=640).map(|value| value as f32).collect();
        let histogram = Histogram::of(&values).unwrap();
        assert_eq!(histogram.limits.first(), Some(&10.0));
        assert_eq!(histogram.limits.last(), Some(&640.0));
        assert_eq!(histogram.counts.first(), Some(&10.0));
        assert_eq!(histogram.counts.last(), Some(&11.0));
    }

    proptest! {
        #[test]
        fn every_finite_value_is_counted_once(values in prop::collection::vec(any::<f32>(), 1..100)) {
            let finite = values.iter().filter(|value| value.is_finite()).count();
            match Histogram::of(&values) {
                None => prop_assert_eq!(finite, 0),
                Some(histogram) => {
                    prop_assert_eq!(histogram.counts.iter().sum::<f64>(), finite as f64);
                    prop_assert!(histogram.limits.is_sorted());
                    prop_assert_eq!(histogram.limits.last(), Some(&histogram.max));
                }
            }
        }
    }
}
