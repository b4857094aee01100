//! What every corpus is turned into: a list of examples with their targets.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Split;

/// All examples of a corpus, in an order that depends on the annotation files alone (never on the file system's).
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The corpus's folder. What is compared between machines is relative to it.
    pub root: PathBuf,
    /// What is predicted.
    pub task: Task,
    /// The examples, at least one. Their ids are unique.
    pub examples: Vec<Example>,
    /// Every annotation file that was read.
    pub annotation_files: Vec<PathBuf>,
    /// What was wrong with single audio files and was handled as `on_error` says, for the run's record: one per example that
    /// was left out (`skip`) or kept without sound (`zeros`).
    pub faults: Vec<Fault>,
    /// Decisions about the data that a reader of the results must know ("scale 1..9 mapped to -1..1").
    pub remarks: Vec<String>,
}

impl Manifest {
    /// Whether `path` is known to be unusable: the extraction need not try it, nor record it again.
    pub fn is_faulty(&self, path: &Path) -> bool {
        self.faults.iter().any(|fault| fault.path == path)
    }
}

/// What is predicted.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// One number per target, in the order of [`Target::Values`].
    Regression { targets: Vec<String> },
    /// One of the classes, at least two, sorted by name unless the corpus has an order of its own.
    Classification { label: String, classes: Vec<String> },
}

impl Task {
    /// How many outputs a network for this task has: targets, or classes.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Regression { targets } => targets.len(),
            Self::Classification { classes, .. } => classes.len(),
        }
    }
}

/// One recording, or one clip of one, with its target.
#[derive(Debug, Clone)]
pub struct Example {
    /// Unique in the manifest; appears in predictions.csv.
    pub id: String,
    /// What must not straddle a split: song, speaker, dialogue.
    pub group: String,
    /// Where the sound is.
    pub media: Media,
    /// What is true of it.
    pub target: Target,
    /// How far the annotators were apart: the standard deviation of their ratings, one per target and on its scale. Empty where
    /// the corpus does not say.
    pub deviations: Vec<f32>,
    /// The split that the corpus itself declares, where it does.
    pub split: Option<Split>,
    /// The annotation file and line that the example came from, for messages.
    pub source: Source,
}

/// Where the content of an example is found.
#[derive(Debug, Clone, PartialEq)]
pub enum Media {
    /// A window of an audio file.
    Audio { path: PathBuf, window: Window },
}

impl Media {
    /// The file behind it.
    pub fn path(&self) -> &Path {
        match self {
            Self::Audio { path, .. } => path,
        }
    }
}

/// A stretch of a recording, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Window {
    /// Seconds from the beginning; at least 0.
    pub start: f64,
    /// Seconds, above 0; `None`: to the end (the features' `duration` then cuts or pads).
    pub duration: Option<f64>,
}

/// What is true of an example.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// One finite number per target of [`Task::Regression`].
    Values(Vec<f32>),
    /// Index into the classes of [`Task::Classification`].
    Class(u32),
}

/// Where a statement about an example stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    pub file: Arc<Path>,
    /// 1-based; `None` where lines mean nothing.
    pub line: Option<u64>,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file.display()),
            None => write!(f, "{}", self.file.display()),
        }
    }
}

/// Something wrong with one file or row.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// The media file, or the annotation file.
    pub path: PathBuf,
    /// The line in `path`, 1-based, where that means something.
    pub line: Option<u64>,
    /// What is wrong, in a few words: "missing", "no audio stream".
    pub what: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path.display(), self.what),
            None => write!(f, "{}: {}", self.path.display(), self.what),
        }
    }
}
