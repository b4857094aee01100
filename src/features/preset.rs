//! The recipes that the field uses, by name.
//!
//! Each is complete: a later change of a default changes no preset.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::recipe::{MelRecipe, Normalize};
use crate::audio::{Cut, DbReference, MelNorm, MelScale, PadMode, Power, Resampler, Scale, WindowFunction};

/// A recipe to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Clips of 5 s at 44.1 kHz, 128 mel bands up to 8 kHz, decibels below the maximum: [1, 128, 431]. For DEAM's dynamic
    /// annotations; which clips of a song there are is the dataset's to say.
    DeamDynamic,
    /// 30 s at 22.05 kHz (cut or zero-padded), 64 mel bands, decibels, each example to mean 0 and deviation 1: [1, 64, 1292].
    /// For DEAM's song-level annotations, after Music2Emotion.
    Music2emotion,
    /// The first 3 s at 16 kHz, 128 mel bands, decibels, each example to 0..1, then zero columns up to 128: [1, 128, 128].
    /// For MELD's utterances; with `dataset.on_error = "zeros"` unreadable clips keep their place.
    #[serde(rename = "meld-128")]
    Meld128,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::DeamDynamic, Self::Music2emotion, Self::Meld128];

    /// The word that an experiment file has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::DeamDynamic => "deam-dynamic",
            Self::Music2emotion => "music2emotion",
            Self::Meld128 => "meld-128",
        }
    }

    /// The preset of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// Its settings, none left to a default.
    pub fn recipe(self) -> MelRecipe {
        let common = MelRecipe {
            preset: Some(self),
            sample_rate: 22_050,
            duration: None,
            resampler: Resampler::SoxrHq,
            cut: Cut::AfterResampling,
            n_fft: 2048,
            hop_length: 512,
            win_length: None,
            window: WindowFunction::Hann,
            center: true,
            pad_mode: PadMode::Constant,
            power: Power::Power,
            n_mels: 128,
            fmin: 0.0,
            fmax: None,
            mel_scale: MelScale::Slaney,
            mel_norm: MelNorm::Slaney,
            scale: Scale::Db {
                reference: DbReference::Max,
                top_db: 80.0,
                amin: 1e-10,
            },
            normalize: Normalize::None,
            frames: None,
        };
        match self {
            Self::DeamDynamic => MelRecipe {
                sample_rate: 44_100,
                duration: Some(5.0),
                fmax: Some(8000.0),
                ..common
            },
            Self::Music2emotion => MelRecipe {
                duration: Some(30.0),
                n_mels: 64,
                normalize: Normalize::Standard,
                ..common
            },
            Self::Meld128 => MelRecipe {
                sample_rate: 16_000,
                duration: Some(3.0),
                cut: Cut::BeforeResampling,
                normalize: Normalize::MinMax,
                frames: Some(128),
                ..common
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_files() {
        for preset in Preset::ALL {
            assert_eq!(serde_json::to_value(preset).unwrap(), preset.name());
            assert_eq!(Preset::named(preset.name()), Some(preset));
            assert_eq!(preset.recipe().preset, Some(preset));
            preset.recipe().spectrogram().check().unwrap();
        }
        assert_eq!(Preset::named("meld128"), None);
    }
}
