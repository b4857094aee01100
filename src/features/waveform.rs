//! `[features] kind = "waveform"`: the samples themselves, `[1, 1, samples]`.
//!
//! One channel of one row, so that a convolution with `kernel = [1, 9]` and `stride = [1, 4]` is one over time.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::extractor::Extracted;
use super::normalize;
use super::recipe::Normalize;
use super::timings::{Clocks, Stage};
use crate::audio::{self, ReadWindow};
use crate::dataset::Window;

/// Changes whenever the numbers change for unchanged settings; part of every cache key.
pub const VERSION: u32 = 1;

/// Mono samples, `[1, 1, duration · sample_rate]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WaveformRecipe {
    /// What the sound is resampled to, in Hz.
    #[schemars(range(min = 1000, max = 192000))]
    pub sample_rate: u32,
    /// Seconds of sound per example: longer examples are cut, shorter ones zero-padded. 50 s at 44.1 kHz are 8.8 MB in the cache.
    #[schemars(range(min = 0.01, max = 3600.0))]
    pub duration: f64,
    pub resampler: audio::Resampler,
    /// Whether an example is cut out of its file before or after the file is resampled.
    pub cut: audio::Cut,
    /// Applied per example (or with the training split's figures).
    pub normalize: Normalize,
}

impl Default for WaveformRecipe {
    fn default() -> Self {
        Self {
            sample_rate: 44_100,
            duration: 50.0,
            resampler: audio::Resampler::default(),
            cut: audio::Cut::default(),
            normalize: Normalize::None,
        }
    }
}

/// What decides the values of a feature set, as its `recipe.json` has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WaveformIdentity {
    pub version: u32,
    pub waveform: WaveformRecipe,
    pub shape: [usize; 3],
}

/// A recipe at work.
pub struct Waveforms {
    recipe: WaveformRecipe,
}

impl Waveforms {
    pub fn new(recipe: &WaveformRecipe) -> Self {
        Self { recipe: recipe.clone() }
    }

    /// `[1, 1, samples]`.
    pub fn shape(&self) -> [usize; 3] {
        let samples = (self.recipe.duration * f64::from(self.recipe.sample_rate)).round() as usize;
        [1, 1, samples.max(1)]
    }

    /// For the cache's key. Normalisation with the training split's figures happens after the cache.
    pub fn identity(&self) -> WaveformIdentity {
        let mut recipe = self.recipe.clone();
        if recipe.normalize == Normalize::TrainStatistics {
            recipe.normalize = Normalize::None;
        }
        WaveformIdentity {
            version: VERSION,
            waveform: recipe,
            shape: self.shape(),
        }
    }

    /// The stretch of the file that an example with this window needs.
    pub fn read_window(&self, window: Window) -> ReadWindow {
        ReadWindow {
            start: window.start,
            duration: Some(
                window
                    .duration
                    .map_or(self.recipe.duration, |it| it.min(self.recipe.duration)),
            ),
        }
    }

    /// The arrays of several windows of one file, in their order; for a window that holds nothing, what is wrong with it.
    ///
    /// # Errors
    /// The file cannot be decoded.
    pub fn extract(&self, path: &Path, windows: &[ReadWindow], clocks: &Clocks) -> Result<Extracted, audio::Error> {
        let WaveformRecipe {
            sample_rate,
            resampler,
            cut,
            ..
        } = self.recipe;
        let read = clocks.time(Stage::Decoding, || {
            audio::read_windows(path, windows, sample_rate, resampler, cut)
        })?;
        let loaded = clocks.time(Stage::Resampling, || read.resample())?;
        let arrays = windows
            .iter()
            .zip(loaded.windows)
            .map(|(window, samples)| self.array(window.start, samples));
        Ok(Extracted {
            arrays: arrays.collect(),
            faults: loaded.faults,
        })
    }

    fn array(&self, start: f64, mut samples: Vec<f32>) -> Result<Vec<f32>, String> {
        if samples.is_empty() {
            return Err(format!("it ends before {start} s, where a clip begins"));
        }
        if samples.iter().any(|sample| !sample.is_finite()) {
            return Err("it has samples that are no finite numbers".into());
        }
        samples.resize(self.shape()[2], 0.0);
        normalize::each(&mut samples, self.recipe.normalize);
        Ok(samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(normalize: Normalize) -> WaveformRecipe {
        WaveformRecipe {
            sample_rate: 1000,
            duration: 0.004,
            normalize,
            ..WaveformRecipe::default()
        }
    }

    #[test]
    fn samples_are_cut_or_padded_and_the_default_is_the_fields() {
        assert_eq!(Waveforms::new(&WaveformRecipe::default()).shape(), [1, 1, 2_205_000]);
        let waveforms = Waveforms::new(&recipe(Normalize::None));
        assert_eq!(waveforms.array(0.0, vec![0.5; 2]).unwrap(), [0.5, 0.5, 0.0, 0.0]);
        assert_eq!(waveforms.array(0.0, vec![0.5; 9]).unwrap(), [0.5; 4]);
        assert!(waveforms.array(1.5, Vec::new()).unwrap_err().contains("1.5 s"));
        assert!(waveforms.array(0.0, vec![f32::NAN]).is_err());
        let standard = Waveforms::new(&recipe(Normalize::Standard));
        assert_eq!(
            standard.array(0.0, vec![1.0, 1.0, -1.0, -1.0]).unwrap(),
            [1.0, 1.0, -1.0, -1.0]
        );
    }

    #[test]
    fn the_training_splits_figures_leave_the_cache_as_it_is() {
        let name = |how| serde_json::to_string(&Waveforms::new(&recipe(how)).identity()).unwrap();
        assert_eq!(name(Normalize::TrainStatistics), name(Normalize::None));
        assert_ne!(name(Normalize::Standard), name(Normalize::None));
    }
}
