//! What does the network see?
//!
//! A recipe and a manifest in, cached arrays out: [`extract()`] computes what the cache does not hold yet and gives a
//! [`FeatureSet`], which reads the cache's file without copying it.

mod content;
pub mod extract;
pub mod extractor;
pub mod feature_set;
pub mod recipe;
mod store;

pub use extract::{Progress, extract};
pub use extractor::Extractor;
pub use feature_set::FeatureSet;
pub use recipe::{MelRecipe, Normalize, Recipe};

use crate::dataset::Fault;
use crate::{audio, files};

/// Why there are no features.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "the examples differ in length ({shortest} s to {longest} s) or run to the end of their files, and `features.duration` is not set"
    )]
    DurationNeeded { shortest: String, longest: String },
    #[error("the features' settings do not work: {0}")]
    Settings(audio::Error),
    #[error("{}", list(.0))]
    Faults(Vec<Fault>),
    #[error("the audio of all {examples} examples cannot be used; the first: {first}")]
    NothingLeft { examples: usize, first: Box<Fault> },
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
            Self::File(error) => error.hint().map(String::from),
            Self::NothingLeft { .. } => Some("check `dataset.root` and where the audio lies".into()),
            Self::Settings(_) => None,
        }
    }
}

fn list(faults: &[Fault]) -> String {
    const SHOWN: usize = 20;
    let mut text = format!(
        "{} audio file{} cannot be used:",
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
