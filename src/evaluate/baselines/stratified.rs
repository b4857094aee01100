//! Guesses: every example gets a class drawn with the classes' shares in the training split. scikit-learn's
//! `DummyClassifier("stratified")`, but drawn from a generator of ours.

use crate::random::Generator;

/// One-hot rows `[examples, classes]`. `split`: 0 train, 1 validation, 2 test.
pub(super) fn guesses(shares: &[f32], examples: usize, seed: u64, split: u64) -> Vec<f32> {
    let mut predicted = vec![0.0; examples * shares.len()];
    for (example, row) in predicted.chunks_exact_mut(shares.len().max(1)).enumerate() {
        let mut generator = Generator::keyed(seed, "baseline: stratified", &[split, example as u64]);
        let draw = generator.uniform();
        let mut sum = 0.0;
        // Where rounding leaves the shares a hair below 1, the last class that occurs.
        let mut class = shares.iter().rposition(|&share| share > 0.0).unwrap_or(0);
        for (candidate, &share) in shares.iter().enumerate() {
            sum += f64::from(share);
            if draw < sum {
                class = candidate;
                break;
            }
        }
        if let Some(value) = row.get_mut(class) {
            *value = 1.0;
        }
    }
    predicted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_drawn_by_their_shares() {
        let guesses = guesses(&[0.2, 0.0, 0.8], 5000, 1, 2);
        let counts = [0, 1, 2].map(|class| guesses.iter().skip(class).step_by(3).sum::<f32>());
        assert_eq!(counts.iter().sum::<f32>(), 5000.0);
        assert!((900.0..1100.0).contains(&counts[0]) && counts[1] == 0.0, "{counts:?}");
        assert_eq!(guesses, super::guesses(&[0.2, 0.0, 0.8], 5000, 1, 2));
        assert_ne!(guesses, super::guesses(&[0.2, 0.0, 0.8], 5000, 1, 1));
    }
}
