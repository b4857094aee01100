//! The ceiling that people set: how well one annotator would do, where the corpus says how far its annotators were apart.
//!
//! The truth is the mean over annotators. One of them, drawn at random, is off by the annotators' standard deviation on that
//! example; that the rating is a part of the mean, and that scales end somewhere, is left out of account. So the figures are
//! slightly too bad for people, and a model that reaches them agrees with the mean as well as a person does.

use super::super::EvaluateError;
use super::super::problem::check_length;
use crate::random::Generator;

/// The ratings of one simulated annotator, `[examples, targets]`: truth + a normal draw times the deviation. `deviations` has the shape
/// of `truth`, and the units; where one is unknown (NaN), the root mean square of those known for that target. `split`: 0 train, 1
/// validation, 2 test.
///
/// # Errors
/// Lengths that do not fit, or a target of which no deviation is known.
pub fn one_annotator(
    truth: &[f32],
    deviations: &[f32],
    targets: usize,
    seed: u64,
    split: u64,
) -> Result<Vec<f32>, EvaluateError> {
    check_length("the annotators' deviations", truth.len(), deviations.len())?;
    let width = targets.max(1);
    let usual: Vec<f64> = (0..width)
        .map(|target| {
            let known = deviations
                .iter()
                .skip(target)
                .step_by(width)
                .filter(|value| value.is_finite());
            let (sum, count) = known.fold((0.0, 0usize), |(sum, count), &value| {
                (sum + f64::from(value).powi(2), count + 1)
            });
            match count {
                0 => Err(EvaluateError::Empty {
                    what: "annotators' deviations",
                }),
                count => Ok((sum / count as f64).sqrt()),
            }
        })
        .collect::<Result<_, _>>()?;
    let rows = truth.chunks_exact(width).zip(deviations.chunks_exact(width));
    let rated = rows.enumerate().flat_map(|(example, (truth, deviations))| {
        let mut generator = Generator::keyed(seed, "baseline: human", &[split, example as u64]);
        truth
            .iter()
            .zip(deviations)
            .zip(&usual)
            .map(|((&truth, &deviation), &usual)| {
                let deviation = if deviation.is_finite() {
                    f64::from(deviation)
                } else {
                    usual
                };
                (f64::from(truth) + deviation * generator.normal()) as f32
            })
            .collect::<Vec<f32>>()
    });
    Ok(rated.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_the_deviation() {
        let truth = vec![1.0f32; 20_000];
        let deviations: Vec<f32> = (0..20_000).map(|i| if i % 2 == 0 { 0.5 } else { f32::NAN }).collect();
        let mut deviations_two = deviations.clone();
        deviations_two[1] = 2.0;
        let rated = one_annotator(&truth, &deviations_two, 2, 1, 2).unwrap();
        let error = |target: usize| {
            let squares: Vec<f64> = rated
                .iter()
                .skip(target)
                .step_by(2)
                .map(|&v| f64::from(v - 1.0).powi(2))
                .collect();
            (squares.iter().sum::<f64>() / squares.len() as f64).sqrt()
        };
        assert!(
            (error(0) - 0.5).abs() < 0.02 && (error(1) - 2.0).abs() < 0.06,
            "{} {}",
            error(0),
            error(1)
        );
        assert_eq!(rated, one_annotator(&truth, &deviations_two, 2, 1, 2).unwrap());
        assert!(one_annotator(&truth, &deviations, 2, 1, 2).is_err());
        assert!(one_annotator(&truth, &deviations[1..], 2, 1, 2).is_err());
    }
}
