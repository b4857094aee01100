//! Slopes of features over time, by Savitzky–Golay filters.
//!
//! The numbers are those of `librosa.feature.delta(…, mode="interp")`, which is
//! `scipy.signal.savgol_filter(deriv=order, polyorder=order)`.

use super::Error;

/// Derivatives of this order and above are refused: they would be rounding noise.
const MAX_ORDER: usize = 8;

/// The derivative of `order` (1: slope, 2: its change) of each row of `values`, `[rows, frames]`, by the polynomial of
/// that degree that fits best to `width` frames around each frame. At the ends, where there are fewer frames around, the
/// polynomial of the first or last `width` frames stands for all of them.
///
/// Source: Savitzky and Golay, Analytical Chemistry 36 (1964). A polynomial's coefficient of the highest degree is the
/// projection on the orthogonal polynomial of that degree, so one row of weights suffices, and the derivative is the same
/// in the whole window.
///
/// # Errors
/// [`Error::Setting`] where `width` is even or below 3, or `order` not in `1..width`; [`Error::TooFewFrames`] where a row
/// has fewer than `width` values; [`Error::Shape`] where `values` is not a multiple of `frames` long.
pub fn delta(values: &[f32], frames: usize, width: usize, order: usize) -> Result<Vec<f32>, Error> {
    if width < 3 || width.is_multiple_of(2) {
        return Err(Error::Setting {
            name: "width",
            value: width.to_string(),
            expected: "an odd number of frames, 3 or more".into(),
        });
    }
    if !(1..=MAX_ORDER.min(width - 1)).contains(&order) {
        return Err(Error::Setting {
            name: "order",
            value: order.to_string(),
            expected: format!("1 to {} (below width)", MAX_ORDER.min(width - 1)),
        });
    }
    if frames < width {
        return Err(Error::TooFewFrames { frames, needed: width });
    }
    if !values.len().is_multiple_of(frames) {
        return Err(Error::Shape {
            got: values.len(),
            expected: values.len() / frames * frames,
        });
    }
    let weights = weights(width, order);
    let half = width / 2;
    let mut out = vec![0.0; values.len()];
    let mut sums = vec![0.0_f64; frames + 1 - width];
    for (row, out) in values.chunks_exact(frames).zip(out.chunks_exact_mut(frames)) {
        sums.fill(0.0);
        for (offset, weight) in weights.iter().enumerate() {
            for (sum, &value) in sums.iter_mut().zip(&row[offset..]) {
                *sum += weight * f64::from(value);
            }
        }
        let (before, rest) = out.split_at_mut(half);
        let (inside, after) = rest.split_at_mut(sums.len());
        for (to, sum) in inside.iter_mut().zip(&sums) {
            *to = *sum as f32;
        }
        before.fill(inside.first().copied().unwrap_or(0.0));
        after.fill(inside.last().copied().unwrap_or(0.0));
    }
    Ok(out)
}

/// Weights of the `width` values around a frame, whose sum is the derivative of `order`.
fn weights(width: usize, order: usize) -> Vec<f64> {
    // Orthogonal polynomials over places −half…half, with leading coefficient 1, by their recurrence. (Places are
    // symmetric, so it has two terms.)
    let half = (width / 2) as f64;
    let square = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>();
    let mut before = vec![0.0; width];
    let mut current = vec![1.0; width];
    let mut factorial = 1.0;
    for degree in 1..=order {
        let ratio = if degree == 1 {
            0.0
        } else {
            square(&current) / square(&before)
        };
        let next = (0..width)
            .map(|i| (i as f64 - half) * current[i] - ratio * before[i])
            .collect();
        before = std::mem::replace(&mut current, next);
        factorial *= degree as f64;
    }
    let scale = factorial / square(&current);
    current.iter().map(|value| value * scale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_have_their_derivatives() {
        let line: Vec<f32> = (0..12).map(|i| 3.0 * i as f32 - 5.0).collect();
        let parabola: Vec<f32> = (0..12).map(|i| 0.5 * (i * i) as f32).collect();
        let rows = [line, parabola].concat();
        let slopes = delta(&rows, 12, 9, 1).unwrap();
        assert!(
            slopes[..12].iter().all(|slope| (slope - 3.0).abs() < 1e-5),
            "{slopes:?}"
        );
        // The parabola's slope at frame i is i.
        assert!((slopes[12 + 5] - 5.0).abs() < 1e-5);
        let changes = delta(&rows, 12, 5, 2).unwrap();
        for (change, expected) in changes.iter().zip([0.0; 12].into_iter().chain([1.0; 12])) {
            assert!((change - expected).abs() < 1e-4, "{changes:?}");
        }
    }

    #[test]
    fn weights_are_scipys() {
        // scipy.signal.savgol_coeffs(5, 2, deriv=2, use="dot")
        for (got, expected) in weights(5, 2)
            .iter()
            .zip([2.0 / 7.0, -1.0 / 7.0, -2.0 / 7.0, -1.0 / 7.0, 2.0 / 7.0])
        {
            assert!((got - expected).abs() < 1e-15);
        }
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        for (width, order) in [(0, 1), (1, 1), (8, 1), (9, 0), (9, 9), (3, 3)] {
            assert!(
                matches!(delta(&[0.0; 20], 20, width, order), Err(Error::Setting { .. })),
                "{width} {order}"
            );
        }
        assert!(matches!(
            delta(&[0.0; 8], 8, 9, 1),
            Err(Error::TooFewFrames { frames: 8, needed: 9 })
        ));
        assert!(matches!(delta(&[], 0, 9, 1), Err(Error::TooFewFrames { .. })));
        assert!(matches!(delta(&[0.0; 21], 20, 9, 1), Err(Error::Shape { .. })));
    }
}
