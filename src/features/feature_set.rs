//! The arrays of a dataset's examples, as training reads them.

use super::store::Store;
use crate::dataset::Fault;

/// One array per example of a manifest, read from the cache's mapped file.
pub struct FeatureSet {
    pub(super) shape: [usize; 3],
    pub(super) key: String,
    pub(super) content: String,
    pub(super) rows: Vec<Row>,
    pub(super) store: Store,
    pub(super) statistics: Option<Statistics>,
    /// Files that could not be read; the examples behind them are [`Row::Missing`] or [`Row::Zeros`].
    pub faults: Vec<Fault>,
    /// Examples that were computed just now; the others came from the cache.
    pub computed: usize,
}

/// Where an example's array is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    Stored(u64),
    /// The file could not be read and the example keeps its place.
    Zeros,
    /// The file could not be read and the example is left out.
    Missing,
}

/// Mean and standard deviation per channel and row (mel band), over examples and frames.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    pub mean: Vec<f32>,
    pub deviation: Vec<f32>,
}

impl FeatureSet {
    /// `[channels, rows, frames]` of every array.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Floats in one array.
    pub fn array_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Examples, the missing ones included.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no examples.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Examples whose array is in the cache: all but those whose file cannot be used.
    pub fn stored(&self) -> usize {
        self.rows.iter().filter(|row| matches!(row, Row::Stored(_))).count()
    }

    /// The name of the feature set: its recipe, in hexadecimal.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// A fingerprint of the sound behind all examples: equal files and windows give equal text, wherever they lie.
    pub fn content(&self) -> &str {
        &self.content
    }

    /// Whether the example can be used.
    pub fn is_available(&self, example: usize) -> bool {
        self.rows.get(example).is_some_and(|&row| row != Row::Missing)
    }

    /// Copies the array of an example into `out` (of [`Self::array_len`] floats), normalised where statistics are set.
    pub fn read(&self, example: usize, out: &mut [f32]) {
        match self.rows.get(example) {
            Some(&Row::Stored(row)) => self.store.read(row, out),
            _ => {
                out.fill(0.0);
                return;
            }
        }
        if let Some(statistics) = &self.statistics {
            let frames = self.shape[2].max(1);
            for (row, (&mean, &deviation)) in out
                .chunks_mut(frames)
                .zip(statistics.mean.iter().zip(&statistics.deviation))
            {
                for value in row {
                    *value = (*value - mean) / deviation;
                }
            }
        }
    }

    /// The figures that arrays are normalised with, where `features.normalize` asks for the training split's.
    pub fn statistics(&self) -> Option<&Statistics> {
        self.statistics.as_ref()
    }

    /// From now on arrays are normalised with the mean and deviation of each row over `examples` (a constant row is only
    /// shifted).
    pub fn normalize_by(&mut self, examples: &[usize]) {
        self.statistics = None;
        let rows = self.shape[0] * self.shape[1];
        let frames = self.shape[2].max(1);
        let mut array = vec![0.0f32; self.array_len()];
        let mut sums = vec![(0.0f64, 0.0f64); rows];
        let count = (examples.len() * frames).max(1) as f64;
        for &example in examples {
            self.read(example, &mut array);
            for (sum, row) in sums.iter_mut().zip(array.chunks(frames)) {
                sum.0 += row.iter().map(|&value| f64::from(value)).sum::<f64>();
            }
        }
        for sum in &mut sums {
            sum.0 /= count;
        }
        for &example in examples {
            self.read(example, &mut array);
            for (sum, row) in sums.iter_mut().zip(array.chunks(frames)) {
                sum.1 += row.iter().map(|&value| (f64::from(value) - sum.0).powi(2)).sum::<f64>();
            }
        }
        self.statistics = Some(Statistics {
            mean: sums.iter().map(|sum| sum.0 as f32).collect(),
            deviation: sums
                .iter()
                .map(|sum| match (sum.1 / count).sqrt() as f32 {
                    deviation if deviation > 0.0 => deviation,
                    _ => 1.0,
                })
                .collect(),
        });
    }
}
