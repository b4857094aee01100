//! The `[features]` table of an experiment file.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::image::ImageRecipe;
use super::layout::Layout;
use super::preset::Preset;
use super::waveform::WaveformRecipe;
use crate::audio;

/// How an example becomes an array. `kind` decides which keys there are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Recipe {
    Mel(MelRecipe),
    Image(ImageRecipe),
    Waveform(WaveformRecipe),
    Npy(NpyRecipe),
    Pair(PairRecipe),
}

impl Recipe {
    /// What is done to the values before the network sees them.
    pub fn normalize(&self) -> Normalize {
        match self {
            Self::Mel(recipe) => recipe.normalize,
            // Has its own, which is done by the time that arrays are in the cache.
            Self::Image(_) => Normalize::None,
            Self::Waveform(recipe) => recipe.normalize,
            Self::Npy(recipe) => recipe.normalize,
            Self::Pair(recipe) => recipe.audio.normalize(),
        }
    }

    /// Whether the dataset's own recordings are read.
    pub fn reads_media(&self) -> bool {
        match self {
            Self::Mel(_) | Self::Image(_) | Self::Waveform(_) | Self::Pair(_) => true,
            Self::Npy(_) => false,
        }
    }
}

impl Default for Recipe {
    fn default() -> Self {
        Self::Mel(MelRecipe::default())
    }
}

/// A picture and a clip of music, for datasets of pairs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PairRecipe {
    /// How a picture becomes an array.
    pub image: ImageRecipe,
    /// How a clip becomes an array.
    pub audio: AudioRecipe,
}

/// How the sound of a pair becomes an array. `kind` decides which keys there are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum AudioRecipe {
    Mel(MelRecipe),
    Waveform(WaveformRecipe),
}

impl AudioRecipe {
    /// What is done to the values before the network sees them.
    pub fn normalize(&self) -> Normalize {
        match self {
            Self::Mel(recipe) => recipe.normalize,
            Self::Waveform(recipe) => recipe.normalize,
        }
    }

    /// As features of their own.
    pub fn recipe(&self) -> Recipe {
        match self {
            Self::Mel(recipe) => Recipe::Mel(recipe.clone()),
            Self::Waveform(recipe) => Recipe::Waveform(recipe.clone()),
        }
    }
}

impl Default for AudioRecipe {
    fn default() -> Self {
        Self::Mel(MelRecipe::default())
    }
}

/// A mel spectrogram, `[1, n_mels, frames]`. Names and definitions are librosa's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MelRecipe {
    /// The recipe to begin with; the keys beside it change it. Naming another preset than a weaker layer does begins the
    /// table anew.
    pub preset: Option<Preset>,
    /// What the sound is resampled to, in Hz.
    #[schemars(range(min = 1000, max = 192000))]
    pub sample_rate: u32,
    /// Seconds of sound per example: longer examples are cut, shorter ones zero-padded. Default: what the dataset's
    /// windows say; needed where they differ in length or run to the end of the file.
    #[schemars(range(min = 0.01, max = 3600.0))]
    pub duration: Option<f64>,
    pub resampler: audio::Resampler,
    /// Whether an example is cut out of its file after the whole was resampled, as `librosa.load(file)` and slicing do, or
    /// before, as `librosa.load(file, offset, duration)` does. They differ in the last two frames.
    pub cut: audio::Cut,
    /// Length of the Fourier transform in samples.
    #[schemars(range(min = 16, max = 65536))]
    pub n_fft: usize,
    /// Samples from one frame to the next.
    #[schemars(range(min = 1, max = 65536))]
    pub hop_length: usize,
    /// Length of the window in samples, centred in the frame. Default: `n_fft`.
    #[schemars(range(min = 1, max = 65536))]
    pub win_length: Option<usize>,
    pub window: audio::WindowFunction,
    /// Frames are centred on their time stamp: `n_fft / 2` samples are added on each side, as `pad_mode` says.
    pub center: bool,
    pub pad_mode: audio::PadMode,
    /// 2: power, 1: magnitude.
    pub power: audio::Power,
    #[schemars(range(min = 1, max = 1024))]
    pub n_mels: usize,
    /// Lower edge of the filterbank in Hz.
    #[schemars(range(min = 0.0))]
    pub fmin: f64,
    /// Upper edge of the filterbank in Hz. Default: half of the sample rate.
    pub fmax: Option<f64>,
    pub mel_scale: audio::MelScale,
    pub mel_norm: audio::MelNorm,
    /// How power becomes what the network sees.
    pub scale: audio::Scale,
    /// Applied per example (or with the training split's figures), after `scale`.
    pub normalize: Normalize,
    /// The number of columns, after `normalize`: zero columns are added on the right, or it is cut. Default: what the
    /// duration gives.
    #[schemars(range(min = 1))]
    pub frames: Option<usize>,
}

impl Default for MelRecipe {
    fn default() -> Self {
        Self {
            preset: None,
            sample_rate: 22_050,
            duration: None,
            resampler: audio::Resampler::default(),
            cut: audio::Cut::default(),
            n_fft: 2048,
            hop_length: 512,
            win_length: None,
            window: audio::WindowFunction::default(),
            center: true,
            pad_mode: audio::PadMode::default(),
            power: audio::Power::default(),
            n_mels: 128,
            fmin: 0.0,
            fmax: None,
            mel_scale: audio::MelScale::default(),
            mel_norm: audio::MelNorm::default(),
            scale: audio::Scale::default(),
            normalize: Normalize::default(),
            frames: None,
        }
    }
}

impl MelRecipe {
    /// The part that `audio` needs.
    pub fn spectrogram(&self) -> audio::MelSpec {
        audio::MelSpec {
            sample_rate: self.sample_rate,
            n_fft: self.n_fft,
            hop_length: self.hop_length,
            win_length: self.win_length.unwrap_or(self.n_fft),
            window: self.window,
            center: self.center,
            pad_mode: self.pad_mode,
            power: self.power,
            n_mels: self.n_mels,
            fmin: self.fmin,
            fmax: self.fmax.unwrap_or(f64::from(self.sample_rate) / 2.0),
            mel_scale: self.mel_scale,
            mel_norm: self.mel_norm,
            scale: self.scale.clone(),
        }
    }
}

/// Arrays that another tool computed, as `.npy` files (float32 or float64, little-endian, C order). They are read where they
/// lie, a batch at a time; the recordings themselves need not be there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NpyRecipe {
    /// The folder that the files are in.
    pub folder: PathBuf,
    /// Which files there are, and which example each row belongs to.
    pub layout: Layout,
    /// Applied to the arrays as they are read.
    #[serde(default)]
    pub normalize: Normalize,
}

/// What is done to the values of an array before the network sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Normalize {
    /// Nothing.
    #[default]
    None,
    /// Per example: mean 0, standard deviation 1 (a constant example becomes zeros).
    Standard,
    /// Per example: minimum 0, maximum 1 (a constant example becomes zeros).
    MinMax,
    /// Mean 0 and deviation 1 per mel band, with the figures of the training split.
    TrainStatistics,
}
