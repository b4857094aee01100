//! Predicts the training split's most frequent class, of equally frequent ones the first.
//!
//! The probabilities are the classes' shares in the training split: scikit-learn's `DummyClassifier("prior")`. Their
//! largest is the most frequent class.

/// The share of each class.
pub(super) fn shares(truth: &[u32], classes: usize) -> Vec<f32> {
    counts(truth, classes)
        .into_iter()
        .map(|count| (count as f64 / truth.len() as f64) as f32)
        .collect()
}

/// Names the class.
pub(super) fn remark(truth: &[u32], classes: &[String]) -> String {
    let counts = counts(truth, classes.len());
    let most = counts.iter().copied().max().unwrap_or(0);
    match counts.iter().zip(classes).find(|(count, _)| **count == most) {
        Some((count, class)) => format!("always `{class}`: {count} of {} training examples", truth.len()),
        None => String::new(),
    }
}

fn counts(truth: &[u32], classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes];
    for &class in truth {
        if let Some(count) = counts.get_mut(class as usize) {
            *count += 1;
        }
    }
    counts
}
