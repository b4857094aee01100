//! The last step before the network: values of one scale.

use rayon::prelude::*;

use super::Normalize;

/// Normalises one example by its own figures. [`Normalize::TrainStatistics`] needs those of others and does nothing here.
pub fn each(values: &mut [f32], how: Normalize) {
    match how {
        Normalize::None | Normalize::TrainStatistics => {}
        Normalize::Standard => {
            let (mean, squares) = mean_and_squares(values);
            let deviation = (squares / values.len().max(1) as f64).sqrt();
            scale(values, mean, if vanishes(deviation, mean) { 0.0 } else { deviation });
        }
        Normalize::MinMax => {
            let low = values.iter().copied().fold(f32::INFINITY, f32::min);
            let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            scale(values, f64::from(low), f64::from(high) - f64::from(low));
        }
    }
}

/// The mean, and the sum of squared distances from it.
fn mean_and_squares(values: &[f32]) -> (f64, f64) {
    let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len().max(1) as f64;
    let squares = values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum();
    (mean, squares)
}

/// Whether a deviation is what rounding leaves of a constant.
fn vanishes(deviation: f64, mean: f64) -> bool {
    deviation <= f64::from(f32::EPSILON) * mean.abs()
}

/// (value − offset) / width; zeros where the width vanishes (silence).
fn scale(values: &mut [f32], offset: f64, width: f64) {
    for value in values {
        *value = if width > 0.0 {
            ((f64::from(*value) - offset) / width) as f32
        } else {
            0.0
        };
    }
}

/// Mean and standard deviation per channel and row (mel band), over examples and frames.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    pub mean: Vec<f32>,
    /// 1 for a row that is constant.
    pub deviation: Vec<f32>,
}

/// Arrays that are in memory at once while figures are gathered.
const AT_ONCE: usize = 64;

impl Statistics {
    /// Of the arrays `[rows, frames]` of `examples`. `read` fills one and says whether it counts.
    ///
    /// The figures of each row of each array are merged in the order of `examples` (Chan, Golub and LeVeque 1983), so they do
    /// not depend on the number of threads.
    ///
    /// # Errors
    /// The first of `read`'s.
    pub fn of<E: Send>(
        examples: &[usize],
        rows: usize,
        frames: usize,
        read: impl Fn(usize, &mut [f32]) -> Result<bool, E> + Sync,
    ) -> Result<Self, E> {
        let mut merged = vec![(0.0f64, 0.0f64); rows];
        let mut count = 0.0;
        let added = frames as f64;
        for some in examples.chunks(AT_ONCE) {
            let figures = some.par_iter().map_init(
                || vec![0.0; rows * frames],
                |array, &example| {
                    Ok(read(example, array)?
                        .then(|| array.chunks(frames.max(1)).map(mean_and_squares).collect::<Vec<_>>()))
                },
            );
            for figures in figures.collect::<Result<Vec<_>, E>>()?.into_iter().flatten() {
                for ((mean, squares), (new_mean, new_squares)) in merged.iter_mut().zip(figures) {
                    let distance = new_mean - *mean;
                    *mean += distance * added / (count + added);
                    *squares += new_squares + distance * distance * count * added / (count + added);
                }
                count += added;
            }
        }
        Ok(Self {
            mean: merged.iter().map(|(mean, _)| *mean as f32).collect(),
            deviation: merged
                .iter()
                .map(|(mean, squares)| match (squares / count).sqrt() {
                    deviation if vanishes(deviation, *mean) => 1.0,
                    deviation => deviation as f32,
                })
                .collect(),
        })
    }

    /// (value − mean) / deviation, row by row of `frames`.
    pub fn apply(&self, array: &mut [f32], frames: usize) {
        let figures = self.mean.iter().zip(&self.deviation);
        for (row, (&mean, &deviation)) in array.chunks_mut(frames.max(1)).zip(figures) {
            for value in row {
                *value = (*value - mean) / deviation;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalisation_of_values_and_of_silence() {
        let mut values = [1.0, 2.0, 3.0, 6.0];
        each(&mut values, Normalize::MinMax);
        assert_eq!(values, [0.0, 0.2, 0.4, 1.0]);
        each(&mut values, Normalize::Standard);
        assert!(values.iter().sum::<f32>().abs() < 1e-6);
        assert!((values.iter().map(|value| value * value).sum::<f32>() / 4.0 - 1.0).abs() < 1e-6);
        for how in [Normalize::MinMax, Normalize::Standard] {
            let mut silence = [-80.0; 3];
            each(&mut silence, how);
            assert_eq!(silence, [0.0; 3]);
            let mut constant = vec![0.1; 1000];
            each(&mut constant, how);
            assert!(constant.iter().all(|&value| value == 0.0));
            each(&mut [], how);
        }
    }

    #[test]
    fn statistics_are_those_of_all_values_of_a_row() {
        let value = |example: usize, place: usize| (example * 7 + place * 3) as f32 % 11.0 + 1e4;
        let read = |example: usize, array: &mut [f32]| {
            for (place, out) in array.iter_mut().enumerate() {
                *out = if place < 3 { value(example, place) } else { 5.0 };
            }
            Ok::<bool, ()>(example != 13)
        };
        let examples: Vec<usize> = (0..150).collect();
        let statistics = Statistics::of(&examples, 2, 3, read).unwrap();
        let all: Vec<f64> = (0..150)
            .filter(|&example| example != 13)
            .flat_map(|example| (0..3).map(move |place| f64::from(value(example, place))))
            .collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let deviation = (all.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / all.len() as f64).sqrt();
        assert!((f64::from(statistics.mean[0]) - mean).abs() < 1e-3);
        assert!((f64::from(statistics.deviation[0]) - deviation).abs() < 1e-5);
        assert_eq!((statistics.mean[1], statistics.deviation[1]), (5.0, 1.0));
        let mut array = [mean as f32, 0.0, 0.0, 5.0, 6.0, 7.0];
        statistics.apply(&mut array, 3);
        assert!(array[0].abs() < 1e-3);
        assert_eq!(array[3..], [0.0, 1.0, 2.0]);
    }
}
