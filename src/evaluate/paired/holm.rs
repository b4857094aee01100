//! Many tests at once find something by chance alone.

/// The p-values corrected after Holm (1979, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
/// Statistics 6, 65–70), in the order of the input; statsmodels' `multipletests(method="holm")`. The chance that any of the
/// true null hypotheses is rejected stays below the level. NaN stays NaN and does not count as a test.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len())
        .filter(|&index| p_values.get(index).is_some_and(|p| !p.is_nan()))
        .collect();
    let p = |index: usize| p_values.get(index).copied().unwrap_or(f64::NAN);
    order.sort_by(|&a, &b| p(a).total_cmp(&p(b)));
    let tests = order.len();
    let mut corrected = vec![f64::NAN; p_values.len()];
    let mut largest = 0.0f64;
    for (place, &index) in order.iter().enumerate() {
        largest = largest.max((p(index) * (tests - place) as f64).min(1.0));
        if let Some(slot) = corrected.get_mut(index) {
            *slot = largest;
        }
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worked_example() {
        // Holm's steps: 4 · 0.005, 3 · 0.01, 2 · 0.03, 1 · 0.04, never falling.
        assert_eq!(holm(&[0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02]);
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        assert_eq!(holm(&[0.02]), [0.02]);
        assert!(holm(&[]).is_empty());
    }

    #[test]
    fn what_was_not_tested_does_not_count() {
        let corrected = holm(&[0.01, f64::NAN, 0.02]);
        assert_eq!((corrected[0], corrected[2]), (0.02, 0.02));
        assert!(corrected[1].is_nan());
    }
}
