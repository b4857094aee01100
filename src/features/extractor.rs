//! One example's sound to one array.

use crate::audio::{self, MelExtractor, ReadWindow, Scratch};
use crate::dataset::{Manifest, Media, Window};

use super::Error;
use super::recipe::{MelRecipe, Normalize, Recipe};

/// Changes whenever the numbers change for unchanged settings; part of every cache key.
pub const VERSION: u32 = 1;

/// A recipe fitted to the windows of a dataset: every example becomes an array of one [`Self::shape`].
pub struct Extractor {
    recipe: MelRecipe,
    mel: MelExtractor,
    length: Length,
    frames: usize,
}

/// How many samples of each example are used.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Length {
    /// Cut or zero-padded to this many samples.
    Exact(usize),
    /// Cut at this many samples, not padded: missing columns are added as zeros afterwards (`features.frames`).
    AtMost(Option<usize>),
}

impl Extractor {
    /// Checks the recipe against the windows of the manifest.
    pub fn new(recipe: &Recipe, manifest: &Manifest) -> Result<Self, Error> {
        let Recipe::Mel(recipe) = recipe;
        let mel = MelExtractor::new(&recipe.spectrogram()).map_err(Error::Settings)?;
        let samples = |seconds: f64| (seconds * f64::from(recipe.sample_rate)).round() as usize;
        let length = match (recipe.frames, recipe.duration) {
            (Some(_), duration) => Length::AtMost(duration.map(samples)),
            (None, Some(duration)) => Length::Exact(samples(duration)),
            (None, None) => Length::Exact(samples(common_duration(manifest)?)),
        };
        let frames = match (recipe.frames, length) {
            (None, Length::Exact(samples)) => mel.frames(samples),
            (frames, _) => frames.unwrap_or(1),
        };
        Ok(Self {
            recipe: recipe.clone(),
            mel,
            length,
            frames,
        })
    }

    /// `[1, n_mels, frames]`.
    pub fn shape(&self) -> [usize; 3] {
        [1, self.recipe.n_mels, self.frames]
    }

    /// The settings that decide the values, as text for the cache's key. Normalisation with the training split's figures
    /// happens after the cache, so it is not part of it.
    pub fn identity(&self) -> String {
        let mut recipe = self.recipe.clone();
        if recipe.normalize == Normalize::TrainStatistics {
            recipe.normalize = Normalize::None;
        }
        serde_json::json!({ "version": VERSION, "mel": recipe, "length": format!("{:?}", self.length), "shape": self.shape() })
            .to_string()
    }

    /// The stretch of the file that an example with this window needs.
    pub fn read_window(&self, window: Window) -> ReadWindow {
        let limit = match self.length {
            Length::Exact(samples) | Length::AtMost(Some(samples)) => {
                Some(samples as f64 / f64::from(self.recipe.sample_rate))
            }
            Length::AtMost(None) => None,
        };
        ReadWindow {
            start: window.start,
            duration: match (window.duration, limit) {
                (Some(window), Some(limit)) => Some(window.min(limit)),
                (window, limit) => window.or(limit),
            },
        }
    }

    /// The arrays of several windows of one file, in their order.
    pub fn extract(
        &self,
        scratch: &mut Scratch,
        path: &std::path::Path,
        windows: &[ReadWindow],
    ) -> Result<Vec<Vec<f32>>, audio::Error> {
        let loaded = audio::load_windows(path, windows, self.recipe.sample_rate, self.recipe.resampler)?;
        loaded
            .windows
            .into_iter()
            .map(|samples| self.array(scratch, samples))
            .collect()
    }

    fn array(&self, scratch: &mut Scratch, mut samples: Vec<f32>) -> Result<Vec<f32>, audio::Error> {
        match self.length {
            Length::Exact(length) => samples.resize(length, 0.0),
            Length::AtMost(Some(length)) => samples.truncate(length),
            Length::AtMost(None) => {}
        }
        let rows = self.recipe.n_mels;
        let columns = self.mel.frames(samples.len());
        let mut values = vec![0.0; rows * columns];
        self.mel.extract(scratch, &samples, &mut values)?;
        normalize(&mut values, self.recipe.normalize);
        if columns == self.frames {
            return Ok(values);
        }
        let mut fitted = vec![0.0; rows * self.frames];
        let kept = columns.min(self.frames);
        for (fitted, row) in fitted.chunks_mut(self.frames).zip(values.chunks(columns.max(1))) {
            fitted[..kept].copy_from_slice(&row[..kept]);
        }
        Ok(fitted)
    }
}

/// The duration that all windows have.
fn common_duration(manifest: &Manifest) -> Result<f64, Error> {
    let mut shortest = f64::INFINITY;
    let mut longest: f64 = 0.0;
    for example in &manifest.examples {
        let Media::Audio { window, .. } = &example.media;
        let duration = window.duration.unwrap_or(f64::INFINITY);
        shortest = shortest.min(duration);
        longest = longest.max(duration);
    }
    if longest.is_finite() && longest - shortest < 1e-6 && longest > 0.0 {
        return Ok(longest);
    }
    let text = |seconds: f64| match seconds.is_finite() {
        true => format!("{seconds}"),
        false => "unknown".into(),
    };
    Err(Error::DurationNeeded {
        shortest: text(shortest),
        longest: text(longest),
    })
}

fn normalize(values: &mut [f32], how: Normalize) {
    match how {
        Normalize::None | Normalize::TrainStatistics => {}
        Normalize::Standard => {
            let count = values.len() as f64;
            let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
            let variance = values
                .iter()
                .map(|&value| (f64::from(value) - mean).powi(2))
                .sum::<f64>()
                / count;
            scale(values, mean, variance.sqrt());
        }
        Normalize::MinMax => {
            let low = values.iter().copied().fold(f32::INFINITY, f32::min);
            let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            scale(values, f64::from(low), f64::from(high) - f64::from(low));
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalisation_of_values_and_of_silence() {
        let mut values = [1.0, 2.0, 3.0, 6.0];
        normalize(&mut values, Normalize::MinMax);
        assert_eq!(values, [0.0, 0.2, 0.4, 1.0]);
        normalize(&mut values, Normalize::Standard);
        assert!(values.iter().sum::<f32>().abs() < 1e-6);
        assert!((values.iter().map(|value| value * value).sum::<f32>() / 4.0 - 1.0).abs() < 1e-6);
        for how in [Normalize::MinMax, Normalize::Standard] {
            let mut silence = [-80.0; 3];
            normalize(&mut silence, how);
            assert_eq!(silence, [0.0; 3]);
        }
    }
}
