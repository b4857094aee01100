//! Predicts the training split's median of each target: the constant of the least absolute error.

/// The medians of `[examples, targets]` values; of an even number, the mean of the two in the middle.
pub(super) fn median(truth: &[f32], targets: usize) -> Vec<f32> {
    let width = targets.max(1);
    (0..targets)
        .map(|target| {
            let mut values: Vec<f32> = truth.iter().skip(target).step_by(width).copied().collect();
            values.sort_by(f32::total_cmp);
            let half = values.len() / 2;
            let upper = values.get(half).copied().unwrap_or(0.0);
            match values.len() % 2 {
                0 => {
                    let lower = values.get(half.saturating_sub(1)).copied().unwrap_or(upper);
                    ((f64::from(lower) + f64::from(upper)) / 2.0) as f32
                }
                _ => upper,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_odd_and_even_numbers() {
        assert_eq!(median(&[1.0, 9.0, 5.0, 8.0, 2.0, 7.0], 2), [2.0, 8.0]);
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0], 1), [3.0]);
        assert_eq!(median(&[4.0], 1), [4.0]);
    }
}
