//! A corpus without a download: music rendered by the program from known valence and arousal.
//!
//! It lets a newcomer run the whole way (features, baselines, training, report) on real audio files within a minute, and
//! gives tests a task whose answer is known. It promises three things: the cues that carry emotion follow the findings of
//! music psychology ([`emotion`] names the sources); what says nothing about emotion (key, instruments, accompaniment,
//! room, level, noise) varies freely; and equal settings give equal bytes, on any number of threads.
//!
//! Much of the emotion lies in tempo, articulation, timing, melodic direction and harmony: in patterns of the
//! spectrogram, not in its averages over time. With the default settings, 320 songs to train on and log-mel spectrograms
//! of 64 bands, the squared error over the target's variance (mean of both targets, songs 401 to 800) was 0.67 for ridge
//! regression on each band's mean and deviation, 0.40 for a network of three convolutions, and 0.13 for a linear model
//! of the true cues. The corpus is no substitute for recordings that people have rated.
//!
//! A song takes this way: `emotion` (affect to cues) and `style` (the rest) → `harmony`, `melody`, `accompaniment` (a
//! score, played as `perform` says) → `timbre` and `voices` (samples) → `recording` → `corpus` (files), with the ratings
//! of `annotate`.

mod accompaniment;
pub(super) mod annotate;
pub(super) mod corpus;
pub mod emotion;
mod harmony;
mod melody;
mod perform;
mod recording;
mod score;
pub(super) mod song;
mod style;
mod texts;
mod timbre;
mod voices;

use std::path::PathBuf;

pub use corpus::prepare;

use super::spec::SyntheticSpec;
use crate::files;

/// The corpus could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be written or locked.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// A song could not be encoded.
    #[error("cannot encode `{}`: {source}", path.display())]
    Wav {
        /// The file it was meant for.
        path: PathBuf,
        /// The encoder's answer.
        source: hound::Error,
    },
    /// A setting that no corpus can be made from.
    #[error("`dataset.{setting}` is {value}; give a value from {least} to {most}")]
    OutOfRange {
        /// The key in the experiment file.
        setting: &'static str,
        value: f64,
        least: f64,
        most: f64,
    },
}

/// The ranges that [`SyntheticSpec`]'s schema states.
fn check(spec: &SyntheticSpec) -> Result<(), Error> {
    let settings = [
        ("songs", spec.songs as f64, 10.0, 5000.0),
        ("seconds", spec.seconds, 1.0, 60.0),
        ("sample_rate", f64::from(spec.sample_rate), 8000.0, 48_000.0),
        ("annotators", spec.annotators as f64, 1.0, 100.0),
        ("annotator_deviation", spec.annotator_deviation, 0.0, 4.0),
    ];
    for (setting, value, least, most) in settings {
        if !(least..=most).contains(&value) {
            return Err(Error::OutOfRange {
                setting,
                value,
                least,
                most,
            });
        }
    }
    Ok(())
}
