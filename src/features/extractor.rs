//! One example's sound to one array.

use serde::{Deserialize, Serialize};

use crate::audio::{self, MelExtractor, ReadWindow, Scratch};
use crate::dataset::{Manifest, Window};

use super::recipe::{MelRecipe, Normalize};
use super::timings::{Clocks, Stage};
use super::{Error, normalize};

/// Changes whenever the numbers change for unchanged settings; part of every cache key.
pub const VERSION: u32 = 1;

/// A recipe fitted to the windows of a dataset: every example becomes an array of one [`Self::shape`].
pub struct Extractor {
    recipe: MelRecipe,
    mel: MelExtractor,
    length: Length,
    frames: usize,
}

/// What decides the values of a feature set, as its `recipe.json` has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    pub version: u32,
    pub mel: MelRecipe,
    pub length: Length,
    pub shape: [usize; 3],
}

/// How many samples of each example are used.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Length {
    /// Cut or zero-padded to this many samples.
    Exact(usize),
    /// Cut at this many samples, not padded: missing columns are added as zeros afterwards (`features.frames`).
    AtMost(Option<usize>),
}

impl Extractor {
    /// Checks the recipe against the windows of the manifest.
    pub fn new(recipe: &MelRecipe, manifest: &Manifest) -> Result<Self, Error> {
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

    /// As the extractor was that `identity` comes from.
    ///
    /// # Errors
    /// [`Error::Settings`] where its recipe does not work; [`Error::OtherVersion`] where another version of this program computed
    /// other values from it.
    pub fn again(identity: &Identity) -> Result<Self, Error> {
        if identity.version != VERSION {
            return Err(Error::OtherVersion {
                version: identity.version,
            });
        }
        Ok(Self {
            mel: MelExtractor::new(&identity.mel.spectrogram()).map_err(Error::Settings)?,
            recipe: identity.mel.clone(),
            length: identity.length,
            frames: identity.shape[2],
        })
    }

    /// What the samples are resampled to, in Hz.
    pub fn sample_rate(&self) -> u32 {
        self.recipe.sample_rate
    }

    /// Samples that are used of an example at most; `None`: all of them.
    pub fn samples(&self) -> Option<usize> {
        match self.length {
            Length::Exact(samples) | Length::AtMost(Some(samples)) => Some(samples),
            Length::AtMost(None) => None,
        }
    }

    /// Samples that the frames of an array stand for, where there is no limit otherwise.
    pub fn samples_of_frames(&self) -> usize {
        self.frames * self.recipe.hop_length
    }

    /// Reads windows of a file, at the recipe's rate and by its resampler and cut.
    ///
    /// # Errors
    /// The file cannot be decoded.
    pub fn load(&self, path: &std::path::Path, windows: &[ReadWindow]) -> Result<audio::Loaded, audio::Error> {
        let MelRecipe {
            sample_rate,
            resampler,
            cut,
            ..
        } = self.recipe;
        audio::load_windows_cut(path, windows, sample_rate, resampler, cut)
    }

    /// `[1, n_mels, frames]`.
    pub fn shape(&self) -> [usize; 3] {
        [1, self.recipe.n_mels, self.frames]
    }

    /// What decides the values, for the cache's key. Normalisation with the training split's figures happens after the cache,
    /// and it does not matter which preset the settings came from.
    pub fn identity(&self) -> Identity {
        let mut recipe = self.recipe.clone();
        recipe.preset = None;
        if recipe.normalize == Normalize::TrainStatistics {
            recipe.normalize = Normalize::None;
        }
        Identity {
            version: VERSION,
            mel: recipe,
            length: self.length,
            shape: self.shape(),
        }
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

    /// The arrays of several windows of one file, in their order; for a window that holds nothing, what is wrong with it.
    pub fn extract(
        &self,
        scratch: &mut Scratch,
        path: &std::path::Path,
        windows: &[ReadWindow],
        clocks: &Clocks,
    ) -> Result<Extracted, audio::Error> {
        let MelRecipe {
            sample_rate,
            resampler,
            cut,
            ..
        } = self.recipe;
        let read = clocks.time(Stage::Decoding, || {
            audio::read_windows(path, windows, sample_rate, resampler, cut)
        })?;
        let loaded = clocks.time(Stage::Resampling, || read.resample())?;
        let arrays = clocks.time(Stage::Spectrograms, || {
            let arrays = windows.iter().zip(loaded.windows).map(|(window, samples)| {
                if samples.is_empty() {
                    return Err(format!("it ends before {} s, where a clip begins", window.start));
                }
                self.array(scratch, samples).map_err(|error| error.reason())
            });
            arrays.collect()
        });
        Ok(Extracted {
            arrays,
            faults: loaded.faults,
        })
    }

    /// Cut or zero-padded as the recipe has it.
    pub fn fit(&self, samples: &mut Vec<f32>) {
        match self.length {
            Length::Exact(length) => samples.resize(length, 0.0),
            Length::AtMost(Some(length)) => samples.truncate(length),
            Length::AtMost(None) => {}
        }
    }

    /// The array of an example, of its samples.
    ///
    /// # Errors
    /// Too few samples for a single frame; samples that are no finite numbers.
    pub fn array(&self, scratch: &mut Scratch, mut samples: Vec<f32>) -> Result<Vec<f32>, audio::Error> {
        self.fit(&mut samples);
        let rows = self.recipe.n_mels;
        let columns = self.mel.frames(samples.len());
        let mut values = vec![0.0; rows * columns];
        self.mel.extract(scratch, &samples, &mut values)?;
        normalize::each(&mut values, self.recipe.normalize);
        if columns == self.frames {
            return Ok(values);
        }
        let mut fitted = vec![0.0; rows * self.frames];
        let kept = columns.min(self.frames);
        for (fitted, row) in fitted.chunks_mut(self.frames.max(1)).zip(values.chunks(columns.max(1))) {
            fitted[..kept].copy_from_slice(&row[..kept]);
        }
        Ok(fitted)
    }
}

/// What a file gave.
pub struct Extracted {
    /// One per window.
    pub arrays: Vec<Result<Vec<f32>, String>>,
    /// What was wrong with the parts that were read and could be used all the same.
    pub faults: Vec<String>,
}

/// The duration that all windows have.
fn common_duration(manifest: &Manifest) -> Result<f64, Error> {
    let mut shortest = f64::INFINITY;
    let mut longest: f64 = 0.0;
    for example in &manifest.examples {
        let duration = example.media.window().duration.unwrap_or(f64::INFINITY);
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
