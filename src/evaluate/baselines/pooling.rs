//! Features of an example without their time axis: what the linear baselines look at.

use super::EvaluateError;

/// Mean and standard deviation (population) over the last axis, time.
///
/// `shape` is usually `[channels, rows, frames]`; any number of axes goes, the last being time. The result holds first
/// the means and then the deviations, `2·channels·rows` values, channels outermost.
///
/// # Errors
/// A shape that does not fit or has an axis of 0, or a feature that is not finite (the message counts each row of
/// `frames` as an example).
pub fn pool(features: &[f32], shape: &[usize]) -> Result<Vec<f64>, EvaluateError> {
    let expected = shape
        .iter()
        .try_fold(1usize, |product, &axis| product.checked_mul(axis));
    let frames = match (shape.last(), expected) {
        (Some(&frames), Some(expected)) if expected > 0 && expected == features.len() => frames,
        _ => {
            return Err(EvaluateError::Shape {
                shape: shape.to_vec(),
                expected: expected.unwrap_or(usize::MAX),
                found: features.len(),
            });
        }
    };
    super::super::problem::check_finite("the feature", features, frames)?;
    let (means, deviations): (Vec<f64>, Vec<f64>) = features
        .chunks_exact(frames)
        .map(|row| {
            let mean = row.iter().map(|&value| f64::from(value)).sum::<f64>() / frames as f64;
            let squares: f64 = row.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum();
            (mean, (squares / frames as f64).sqrt())
        })
        .unzip();
    Ok([means, deviations].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_come_first() {
        let features = [1.0, 3.0, 5.0, 5.0, 0.0, 4.0, -1.0, 1.0];
        assert_eq!(
            pool(&features, &[2, 2, 2]).unwrap(),
            [2.0, 5.0, 2.0, 0.0, 1.0, 0.0, 2.0, 1.0]
        );
        assert_eq!(pool(&[7.0], &[1]).unwrap(), [7.0, 0.0]);
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        for shape in [&[2, 2][..], &[3, 0], &[], &[usize::MAX, 2, 3]] {
            assert!(
                matches!(pool(&[1.0; 3], shape), Err(EvaluateError::Shape { .. })),
                "{shape:?}"
            );
        }
        assert!(matches!(
            pool(&[1.0, f32::NAN], &[1, 2]),
            Err(EvaluateError::NotFinite { .. })
        ));
    }
}
