//! What does the network see?
//!
//! A recipe and a manifest in, arrays out: [`load`] computes what the cache does not hold yet (or opens what another tool
//! computed) and gives a [`FeatureSet`], which reads arrays from disk as they are asked for.

mod content;
pub mod export;
pub mod extract;
pub mod extractor;
pub mod feature_set;
pub mod image;
pub mod layout;
mod media;
mod normalize;
pub mod npy;
mod ordered;
pub mod preset;
mod read_at;
pub mod recipe;
pub mod sets;
mod small_pages;
mod store;
pub mod timings;
mod usage;
pub mod waveform;
mod writer;

use std::path::Path;

pub use extractor::Extractor;
pub use feature_set::FeatureSet;
pub use image::{Fit, ImageNormalize, ImageRecipe};
pub use layout::Layout;
pub use npy::NpyError;
pub use ordered::ordered;
pub use preset::Preset;
pub use recipe::{AudioRecipe, MelRecipe, Normalize, NpyRecipe, PairRecipe, Recipe};
pub use waveform::WaveformRecipe;

use crate::dataset::{Fault, Manifest, OnError, Split};
use crate::{audio, files};
use feature_set::Row;
use image::Pictures;
use media::MediaExtractor;
use waveform::Waveforms;

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Another process computes the same features.
    Waiting,
    /// Files looked at, of all.
    Checking { done: usize, total: usize },
    /// Files decoded, of those that the cache did not hold.
    Computing { done: usize, total: usize },
}

/// The shape `[channels, rows, frames]` that every array will have. Decodes nothing. `splits` has one entry per example.
///
/// # Errors
/// The recipe does not fit the dataset.
pub fn shape(recipe: &Recipe, manifest: &Manifest, splits: &[Split], on_error: OnError) -> Result<[usize; 3], Error> {
    match recipe {
        Recipe::Mel(recipe) => Ok(Extractor::new(recipe, manifest)?.shape()),
        Recipe::Image(recipe) => Ok(Pictures::new(recipe).shape()),
        Recipe::Waveform(recipe) => Ok(Waveforms::new(recipe).shape()),
        Recipe::Pair(_) => Err(Error::Pair),
        Recipe::Npy(recipe) => Ok(npy::open(recipe, manifest, splits, on_error)?.shape),
    }
}

/// The features of every example of `manifest`. `splits` has one entry per example.
///
/// # Errors
/// The recipe does not fit the dataset; files that cannot be used, where `on_error` is [`OnError::Fail`] or nothing else is
/// left; a disk that does not do what it should.
pub fn load(
    recipe: &Recipe,
    manifest: &Manifest,
    splits: &[Split],
    on_error: OnError,
    cache: &Path,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<FeatureSet, Error> {
    match recipe {
        Recipe::Mel(recipe) => {
            let extractor = MediaExtractor::Sound(Box::new(Extractor::new(recipe, manifest)?));
            extract::extract(&extractor, manifest, on_error, cache, progress)
        }
        Recipe::Image(recipe) => {
            let extractor = MediaExtractor::Pictures(Pictures::new(recipe));
            extract::extract(&extractor, manifest, on_error, cache, progress)
        }
        Recipe::Waveform(recipe) => {
            let extractor = MediaExtractor::Waveforms(Waveforms::new(recipe));
            extract::extract(&extractor, manifest, on_error, cache, progress)
        }
        Recipe::Pair(_) => Err(Error::Pair),
        Recipe::Npy(recipe) => {
            let opened = npy::open(recipe, manifest, splits, on_error)?;
            npy::load(recipe, opened, cache, progress)
        }
    }
}

/// Why there are no features.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "the examples differ in length ({shortest} s to {longest} s) or run to the end of their files, and `features.duration` is not set"
    )]
    DurationNeeded { shortest: String, longest: String },
    #[error("features of kind \"pair\" are for datasets of pairs of music and pictures")]
    Pair,
    #[error("the features' settings do not work: {0}")]
    Settings(audio::Error),
    #[error(
        "the features were computed by another version of affect (features {version}, here {})",
        extractor::VERSION
    )]
    OtherVersion { version: u32 },
    #[error("{}", list(.0))]
    Faults(Vec<Fault>),
    #[error("the features of all {examples} examples cannot be used; the first: {first}")]
    NothingLeft { examples: usize, first: Box<Fault> },
    #[error(transparent)]
    Npy(#[from] NpyError),
    #[error("features of shape {shape:?} cannot be written as \"{}\", which has one channel", layout.name())]
    Channels { shape: [usize; 3], layout: Layout },
    #[error(transparent)]
    File(#[from] files::Error),
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::DurationNeeded { .. } => Some(
                "set `features.duration` to the seconds that every example is cut or zero-padded to, or `features.frames`".into(),
            ),
            Self::Faults(_) => Some(
                "repair the files, or set `dataset.on_error` to \"skip\" (leave such examples out) or \"zeros\" (keep their place)".into(),
            ),
            Self::File(error) if error.action == "lock" && error.source.kind() == std::io::ErrorKind::Unsupported => {
                Some("this file system knows no locks: name a folder on another one with `--cache`".into())
            }
            Self::File(error) => error.hint().map(String::from),
            Self::Npy(error) => error.hint().map(String::from),
            Self::NothingLeft { .. } => Some("check `dataset.root` and where the files lie".into()),
            Self::OtherVersion { .. } => Some("use that version, or train again".into()),
            Self::Pair => Some("name a dataset of kind \"imemnet\" or \"synthetic-pairs\"".into()),
            Self::Settings(_) | Self::Channels { .. } => None,
        }
    }
}

fn list(faults: &[Fault]) -> String {
    const SHOWN: usize = 20;
    let mut text = format!(
        "{} file{} cannot be used:",
        faults.len(),
        if faults.len() == 1 { "" } else { "s" }
    );
    for fault in faults.iter().take(SHOWN) {
        text.push_str(&format!("\n  {fault}"));
    }
    if faults.len() > SHOWN {
        text.push_str(&format!("\n  … and {} more", faults.len() - SHOWN));
    }
    text
}

fn describe(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "missing".into(),
        _ => error.to_string(),
    }
}

/// Features of nothing are no features.
fn some_are_left(rows: &[Row], faults: &[Fault]) -> Result<(), Error> {
    match faults.first() {
        Some(first) if !rows.iter().any(|row| matches!(row, Row::Stored(_))) => Err(Error::NothingLeft {
            examples: rows.len(),
            first: Box::new(first.clone()),
        }),
        _ => Ok(()),
    }
}
