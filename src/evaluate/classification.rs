//! How often the predicted class is the true one.

use super::EvaluateError;
use super::problem::{check_classes, check_length};

/// How often each class was taken for each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    pub classes: usize,
    /// `[truth, predicted]`, row after row: `classes²` counts.
    pub counts: Vec<u64>,
}

/// Metrics of one class against the rest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassMetrics {
    /// Of the examples predicted as this class, the share that is; NaN if none was.
    pub precision: f64,
    /// Of the examples of this class, the share that was found; NaN if there are none.
    pub recall: f64,
    /// Harmonic mean of the two; NaN if the class occurs neither in the truth nor in the predictions.
    pub f1: f64,
    /// Examples of this class.
    pub support: u64,
}

/// Metrics of a classifier. The values of scikit-learn, with `zero_division = nan` for single classes.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassificationMetrics {
    /// Share of the examples that are right (`accuracy_score`).
    pub accuracy: f64,
    /// Unweighted average recall, also called balanced accuracy (`balanced_accuracy_score`): classes without an
    /// example are left out.
    pub uar: f64,
    /// Mean F1 over the classes that occur in the truth or in the predictions (`f1_score(average="macro")`).
    pub macro_f1: f64,
    /// Mean F1 weighted by the number of examples (`f1_score(average="weighted")`).
    pub weighted_f1: f64,
    pub per_class: Vec<ClassMetrics>,
}

impl Confusion {
    /// Counts `[examples]` class indices.
    ///
    /// # Errors
    /// Lengths that differ, or an index that is not below `classes`.
    pub fn of(truth: &[u32], predicted: &[u32], classes: usize) -> Result<Self, EvaluateError> {
        check_length("predicted classes", truth.len(), predicted.len())?;
        check_classes(truth, classes)?;
        check_classes(predicted, classes)?;
        let mut confusion = Self::empty(classes);
        for (&truth, &predicted) in truth.iter().zip(predicted) {
            confusion.add(truth as usize * classes + predicted as usize, 1);
        }
        Ok(confusion)
    }

    pub(super) fn empty(classes: usize) -> Self {
        Self {
            classes,
            counts: vec![0; classes * classes],
        }
    }

    pub(super) fn add(&mut self, cell: usize, count: u64) {
        if let Some(cell) = self.counts.get_mut(cell) {
            *cell += count;
        }
    }

    /// How often `truth` was taken for `predicted`; 0 outside the matrix.
    pub fn count(&self, truth: usize, predicted: usize) -> u64 {
        if truth < self.classes && predicted < self.classes {
            self.counts.get(truth * self.classes + predicted).copied().unwrap_or(0)
        } else {
            0
        }
    }

    /// The figures of this matrix. All are NaN for an empty one.
    pub fn metrics(&self) -> ClassificationMetrics {
        let mut supports = vec![0; self.classes];
        let mut predictions = vec![0; self.classes];
        for (row, support) in self.counts.chunks(self.classes.max(1)).zip(&mut supports) {
            for (&count, predicted) in row.iter().zip(&mut predictions) {
                *support += count;
                *predicted += count;
            }
        }
        let per_class: Vec<ClassMetrics> = (supports.iter().zip(&predictions).enumerate())
            .map(|(class, (&support, &predicted))| {
                let hits = self.count(class, class);
                ClassMetrics {
                    precision: share(hits, predicted),
                    recall: share(hits, support),
                    f1: share(2 * hits, predicted + support),
                    support,
                }
            })
            .collect();
        let total: u64 = supports.iter().sum();
        let hits: u64 = (0..self.classes).map(|class| self.count(class, class)).sum();
        let weighted: f64 = per_class
            .iter()
            .filter(|class| class.support > 0)
            .map(|class| class.f1 * class.support as f64)
            .sum();
        ClassificationMetrics {
            accuracy: share(hits, total),
            uar: mean_of_defined(per_class.iter().map(|class| class.recall)),
            macro_f1: mean_of_defined(per_class.iter().map(|class| class.f1)),
            weighted_f1: weighted / total as f64,
            per_class,
        }
    }
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

fn mean_of_defined(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for value in values.filter(|value| !value.is_nan()) {
        sum += value;
        count += 1.0;
    }
    sum / count
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_worked_example() {
        let confusion = Confusion::of(&[0, 0, 0, 1, 1, 2], &[0, 0, 1, 1, 0, 2], 3).unwrap();
        assert_eq!(confusion.counts, [2, 1, 0, 1, 1, 0, 0, 0, 1]);
        let metrics = confusion.metrics();
        assert!((metrics.accuracy - 4.0 / 6.0).abs() < 1e-15);
        assert!((metrics.uar - (2.0 / 3.0 + 0.5 + 1.0) / 3.0).abs() < 1e-15);
        assert!((metrics.macro_f1 - (2.0 / 3.0 + 0.5 + 1.0) / 3.0).abs() < 1e-15);
        assert!((metrics.weighted_f1 - (3.0 * 2.0 / 3.0 + 2.0 * 0.5 + 1.0) / 6.0).abs() < 1e-15);
        assert_eq!(metrics.per_class[2].support, 1);
    }

    #[test]
    fn absent_classes_are_left_out() {
        // Class 2 is only predicted, class 3 does not occur at all.
        let metrics = Confusion::of(&[0, 0, 1], &[0, 2, 1], 4).unwrap().metrics();
        assert!((metrics.uar - 0.75).abs() < 1e-15);
        assert!((metrics.macro_f1 - (2.0 / 3.0 + 1.0 + 0.0) / 3.0).abs() < 1e-15);
        assert!(metrics.per_class[2].recall.is_nan() && metrics.per_class[2].f1 == 0.0);
        assert!(metrics.per_class[3].f1.is_nan());
    }

    #[test]
    fn nothing_at_all_is_not_a_panic() {
        assert!(Confusion::of(&[], &[], 0).unwrap().metrics().accuracy.is_nan());
        let odd = Confusion {
            classes: 3,
            counts: vec![1],
        };
        assert_eq!(odd.metrics().accuracy, 1.0);
        assert!(Confusion::of(&[0], &[1], 1).is_err());
    }

    proptest! {
        #[test]
        fn the_order_of_examples_does_not_matter(
            pairs in prop::collection::vec((0u32..4, 0u32..4), 1..60),
            seed in any::<u64>(),
        ) {
            let mut shuffled = pairs.clone();
            crate::random::Generator::keyed(seed, "test", &[]).shuffle(&mut shuffled);
            let of = |pairs: &[(u32, u32)]| {
                let (truth, predicted): (Vec<u32>, Vec<u32>) = pairs.iter().copied().unzip();
                Confusion::of(&truth, &predicted, 4).unwrap()
            };
            prop_assert_eq!(of(&pairs), of(&shuffled));
        }
    }
}
