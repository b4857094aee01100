//! Predicts the training split's mean of each target.

/// The means of `[examples, targets]` values.
pub(super) fn mean(truth: &[f32], targets: usize) -> Vec<f32> {
    let examples = truth.len() / targets.max(1);
    let mut sums = vec![0.0; targets];
    for row in truth.chunks_exact(targets.max(1)) {
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum += f64::from(value);
        }
    }
    sums.into_iter().map(|sum| (sum / examples as f64) as f32).collect()
}
