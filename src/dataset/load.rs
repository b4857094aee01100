//! From a `[dataset]` table to a manifest.

use std::path::Path;

use super::audio_files::{self, Inspected};
use super::error::Content;
use super::{
    DatasetSpec, Error, Example, Fault, Manifest, OnError, PairCorpus, Problems, deam, imemnet, meld, synthetic,
    synthetic_pairs, table,
};

/// What loading needs besides the settings.
pub struct LoadContext<'a> {
    /// The folder that generated corpora live in.
    pub cache: &'a Path,
    /// Called with (done, total) while a synthetic corpus is rendered.
    pub progress: &'a (dyn Fn(usize, usize) + Sync),
}

/// Whether anybody is going to read the recordings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recordings {
    Needed,
    NotNeeded,
}

impl DatasetSpec {
    /// Reads the annotations and looks for the audio files. A synthetic corpus is rendered first where it is missing.
    ///
    /// # Errors
    /// Everything that is wrong with the corpus, found in one pass and reported together.
    pub fn load(&self, context: &LoadContext) -> Result<Manifest, Error> {
        self.load_with(context, Recordings::Needed)
    }

    /// As [`Self::load`], for work that has its features from elsewhere: recordings may be missing.
    ///
    /// # Errors
    /// Everything that is wrong with the annotations.
    pub fn load_annotations(&self, context: &LoadContext) -> Result<Manifest, Error> {
        self.load_with(context, Recordings::NotNeeded)
    }

    /// The pairs of a corpus of pairs, with their files. A synthetic corpus is rendered first where it is missing.
    ///
    /// # Errors
    /// As [`Self::load`]; [`Error::NoPairs`] for a corpus of examples.
    pub fn load_pairs(&self, context: &LoadContext) -> Result<PairCorpus, Error> {
        match self {
            Self::Imemnet(spec) => imemnet::load_pairs(spec),
            Self::SyntheticPairs(spec) => {
                let root = synthetic_pairs::prepare(spec, context.cache, context.progress)?;
                imemnet::load_pairs(&spec.corpus(root))
            }
            _ => Err(Error::NoPairs { kind: self.kind() }),
        }
    }

    fn load_with(&self, context: &LoadContext, recordings: Recordings) -> Result<Manifest, Error> {
        match self {
            Self::Table(spec) => table::load(spec, recordings),
            Self::DeamStatic(spec) => deam::load_static(spec, recordings),
            Self::DeamDynamic(spec) => deam::load_dynamic(spec, recordings),
            Self::Meld(spec) => meld::load(spec, recordings),
            Self::Imemnet(_) | Self::SyntheticPairs(_) => Err(Error::Pairs),
            Self::ImemnetCImage(spec) => imemnet::load_image(spec, recordings),
            Self::ImemnetCMusic(spec) => imemnet::load_music(spec, recordings),
            Self::Synthetic(spec) => {
                let root = synthetic::prepare(spec, context.cache, context.progress)?;
                deam::load_synthetic(spec, root)
            }
        }
    }
}

/// The corpus's folder must be there before anything is looked for in it.
pub(super) fn check_root(root: &Path) -> Result<(), Error> {
    match std::fs::metadata(root) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(Error::RootIsNoFolder { path: root.into() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Error::NoRoot { path: root.into() }),
        Err(error) => Err(crate::files::Error::at("look into", root)(error).into()),
    }
}

/// The end of every load: looks at the audio of `examples`, where it is needed, and reports what is wrong with it together with `rows`.
/// The examples that stay, and the faults to record.
pub(super) fn conclude(
    examples: Vec<Example>,
    rows: Vec<Fault>,
    on_error: OnError,
    recordings: Recordings,
) -> Result<Inspected, Error> {
    let named = examples.len();
    let content = Content::of(&examples);
    let inspected = match recordings {
        Recordings::Needed => audio_files::inspect(examples, on_error),
        Recordings::NotNeeded => Inspected {
            examples,
            faults: Vec::new(),
        },
    };
    let media_fails = on_error == OnError::Fail && !inspected.faults.is_empty();
    if !rows.is_empty() || media_fails {
        return Err(Box::new(Problems {
            rows,
            media: if media_fails {
                audio_files::by_file(&inspected.faults)
            } else {
                Vec::new()
            },
            examples: named,
            examples_without_media: inspected.faults.len(),
            content,
        })
        .into());
    }
    if inspected.examples.is_empty() {
        return Err(Error::NothingLeft {
            content,
            faults: inspected.faults,
        });
    }
    Ok(inspected)
}

/// The remark for the run's record where audio could not be used.
pub(super) fn remark_on_faults(faults: &[Fault], examples: &[Example], on_error: OnError) -> Option<String> {
    let what = Content::of(examples).word();
    let (faults, examples) = (faults.len(), examples.len());
    if faults == 0 {
        return None;
    }
    let noun = if faults == 1 { "example" } else { "examples" };
    match on_error {
        OnError::Fail => None,
        OnError::Skip => Some(format!(
            "{faults} {noun} of {} left out, because the {what} cannot be used (on_error = \"skip\")",
            faults + examples
        )),
        OnError::Zeros => Some(format!(
            "{faults} {noun} of {examples} kept as zeros, because the {what} cannot be used (on_error = \"zeros\")"
        )),
    }
}
