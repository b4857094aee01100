//! The arrays of a dataset's examples, as training reads them.

use super::npy::NpyFiles;
use super::store::Store;
use super::timings::Timings;
use super::{Error, Normalize, normalize};
use crate::dataset::{Fault, OnError};

pub use super::normalize::Statistics;

/// One array per example of a manifest. Arrays are read from disk when they are asked for; none is kept.
pub struct FeatureSet {
    pub(super) shape: [usize; 3],
    pub(super) key: String,
    pub(super) content: String,
    pub(super) rows: Vec<Row>,
    pub(super) arrays: Arrays,
    /// Applied to each array as it is read.
    pub(super) normalize: Normalize,
    pub(super) statistics: Option<Statistics>,
    /// Files that could not be read; the examples behind them are [`Row::Missing`] or [`Row::Zeros`].
    pub faults: Vec<Fault>,
    /// Files that are damaged in part, and whose sound is used.
    pub damaged: Vec<Fault>,
    /// Examples that were computed just now; the others came from the cache.
    pub computed: usize,
    /// Where the time went.
    pub timings: Timings,
}

/// Where the arrays are.
pub(super) enum Arrays {
    Cache(Store),
    Npy(NpyFiles),
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

impl Row {
    /// Of an example that has no array.
    pub(super) fn without_array(on_error: OnError) -> Self {
        match on_error {
            OnError::Zeros => Self::Zeros,
            OnError::Fail | OnError::Skip => Self::Missing,
        }
    }
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

    /// Examples that have an array of their own: all but those whose file cannot be used.
    pub fn stored(&self) -> usize {
        self.rows.iter().filter(|row| matches!(row, Row::Stored(_))).count()
    }

    /// The name of the feature set: its recipe, in hexadecimal.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// A fingerprint of the content behind all examples: equal files and windows give equal text, wherever they lie.
    pub fn content(&self) -> &str {
        &self.content
    }

    /// Whether the example can be used.
    pub fn is_available(&self, example: usize) -> bool {
        self.rows.get(example).is_some_and(|&row| row != Row::Missing)
    }

    /// Copies the array of an example into `out` (of [`Self::array_len`] floats), normalised where statistics are set. An
    /// example without an array gives zeros.
    ///
    /// # Errors
    /// The file cannot be read any more, or is not the one that was opened.
    pub fn read(&self, example: usize, out: &mut [f32]) -> Result<(), Error> {
        if self.read_plain(example, out)?
            && let Some(statistics) = &self.statistics
        {
            statistics.apply(out, self.shape[2]);
        }
        Ok(())
    }

    /// As [`Self::read`], before statistics are applied. Whether the example has an array of its own.
    fn read_plain(&self, example: usize, out: &mut [f32]) -> Result<bool, Error> {
        let Some(&Row::Stored(row)) = self.rows.get(example) else {
            out.fill(0.0);
            return Ok(false);
        };
        match &self.arrays {
            Arrays::Cache(store) => store.read(row, out)?,
            Arrays::Npy(files) => files.read(row, out)?,
        }
        normalize::each(out, self.normalize);
        Ok(true)
    }

    /// The figures that arrays are normalised with, where `features.normalize` asks for the training split's.
    pub fn statistics(&self) -> Option<&Statistics> {
        self.statistics.as_ref()
    }

    /// From now on arrays are normalised with the mean and deviation of each row over `examples`, those without an array of
    /// their own apart (a constant row is only shifted).
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn normalize_by(&mut self, examples: &[usize]) -> Result<(), Error> {
        self.statistics = None;
        let rows = self.shape[0] * self.shape[1];
        let read = |example: usize, array: &mut [f32]| self.read_plain(example, array);
        self.statistics = Some(Statistics::of(examples, rows, self.shape[2], read)?);
        Ok(())
    }
}
