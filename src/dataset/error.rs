//! What can be wrong with a corpus, said in one message.
//!
//! Whatever is wrong with single rows and files is collected ([`Problems`]) and reported together: nobody should have to
//! repair a table of 10,000 rows one message at a time.

use std::fmt;
use std::path::PathBuf;

use super::{Fault, synthetic};
use crate::files;

/// How many rows a message lists before it only counts.
const ROWS_SHOWN: usize = 20;
/// How many audio files a message lists before it only counts.
const FILES_SHOWN: usize = 10;

/// Why a corpus could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the dataset's folder `{}` does not exist", path.display())]
    NoRoot { path: PathBuf },

    #[error("the dataset's folder `{}` is not a folder", path.display())]
    RootIsNoFolder { path: PathBuf },

    /// `others`: CSV files in the same folder, the likeliest first.
    #[error("there is no file `{}`", path.display())]
    NoFile { path: PathBuf, others: Vec<String> },

    #[error("`{}` is a folder, but a CSV file is needed", path.display())]
    FileIsFolder { path: PathBuf },

    #[error(transparent)]
    Io(#[from] files::Error),

    /// `looks_like`: another encoding that the first bytes point to.
    #[error("`{}` is not UTF-8 (line {line}){}", path.display(), looks_like.map(|it| format!("; it looks like {it}")).unwrap_or_default())]
    NotUtf8 {
        path: PathBuf,
        line: u64,
        looks_like: Option<&'static str>,
    },

    #[error("`{}` is empty", path.display())]
    NoHeader { path: PathBuf },

    #[error("`{}` has a header but no rows", path.display())]
    NoRows { path: PathBuf },

    /// Settings that contradict each other or say too little.
    #[error("{problem}")]
    Setting { problem: String, hint: &'static str },

    /// `wanted`: the names of the files, without the outer backticks.
    #[error(
        "{corpus} are not in `{}`; looked for `{wanted}` in:{}",
        root.display(),
        looked_in.iter().map(|folder| format!("\n  {}", folder.display())).collect::<String>()
    )]
    NoAnnotations {
        corpus: &'static str,
        wanted: String,
        root: PathBuf,
        looked_in: Vec<PathBuf>,
    },

    /// The annotations are there, but the settings leave nothing of them.
    #[error("{what}")]
    NoExamples { what: String, hint: &'static str },

    /// Rows or audio files that cannot be used.
    #[error(transparent)]
    Faulty(#[from] Box<Problems>),

    #[error("all {} examples were left out, because their {} cannot be used:\n{}", faults.len(), content.word(), Listed(faults, FILES_SHOWN))]
    NothingLeft { content: Content, faults: Vec<Fault> },

    /// What was asked for needs examples with targets.
    #[error("the dataset is pairs of music and pictures, which are no examples of their own")]
    Pairs,

    /// What was asked for needs pairs.
    #[error("the dataset `{kind}` is no pairs of music and pictures")]
    NoPairs { kind: &'static str },

    /// The corpus's own split cannot be used.
    #[error(transparent)]
    Split(#[from] super::split::Error),

    #[error(transparent)]
    Synthetic(#[from] synthetic::Error),

    /// A rendered picture could not be encoded.
    #[error("cannot encode the picture `{}`: {what}", path.display())]
    Picture { path: PathBuf, what: String },
}

impl Error {
    /// What to do about it, where that can be said.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoRoot { .. } | Self::RootIsNoFolder { .. } => {
                Some("put the corpus there, or say where it is: `--set dataset.root=FOLDER`".into())
            }
            Self::NoFile { others, .. } if others.is_empty() => {
                Some("check `dataset.root` and `dataset.file`; the folder holds no CSV file".into())
            }
            Self::NoFile { others, .. } => Some(format!(
                "check `dataset.root` and `dataset.file`; the folder holds {}",
                quoted(others, 5)
            )),
            Self::FileIsFolder { .. } => Some("name the CSV file itself in `dataset.file`".into()),
            Self::Io(error) => error.hint().map(Into::into),
            Self::NotUtf8 { .. } => {
                Some("save the file as UTF-8 (`iconv -f LATIN1 -t UTF-8`, or \"CSV UTF-8\" in a spreadsheet)".into())
            }
            Self::NoHeader { .. } => Some("the first line must name the columns, separated by commas".into()),
            Self::NoRows { .. } => Some("each line after the header is one example".into()),
            Self::Setting { hint, .. } | Self::NoExamples { hint, .. } => Some((*hint).into()),
            Self::NoAnnotations { .. } => Some(
                "`dataset.root` is the folder that the archives were unpacked in; `affect datasets show KIND` prints the expected tree"
                    .into(),
            ),
            Self::Faulty(problems) => problems.hint(),
            Self::NothingLeft { .. } => Some("check `dataset.root` and where the audio lies".into()),
            Self::Pairs => Some(
                "`affect run` and `affect check` take pairs; for this, name an experiment on pictures or on music alone".into(),
            ),
            Self::Split(error) => error.hint(),
            Self::Synthetic(synthetic::Error::Files(error)) => error.hint().map(Into::into),
            Self::NoPairs { .. } => Some("`imemnet` and `synthetic-pairs` are".into()),
            Self::Synthetic(_) | Self::Picture { .. } => None,
        }
    }
}

/// Everything that is wrong with the rows and files of a corpus. At least one list is not empty.
#[derive(Debug, Default)]
pub struct Problems {
    /// Columns and rows of annotation files.
    pub rows: Vec<Fault>,
    /// Audio files, each once.
    pub media: Vec<Fault>,
    /// How many examples the corpus names; to tell "some files are missing" from "all are".
    pub examples: usize,
    /// How many examples need the files of `media`.
    pub examples_without_media: usize,
    /// What the files hold.
    pub content: Content,
}

/// What media files hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Content {
    #[default]
    Sound,
    Pictures,
    /// Some hold the one, some the other.
    Both,
}

impl Content {
    /// Of these examples.
    pub(super) fn of(examples: &[super::Example]) -> Self {
        match examples.first().map(|example| &example.media) {
            Some(super::Media::Image { .. }) => Self::Pictures,
            _ => Self::Sound,
        }
    }

    /// "audio", "picture": before "file".
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Sound => "audio",
            Self::Pictures => "picture",
            Self::Both => "picture or audio",
        }
    }
}

impl Problems {
    /// What to do about the most likely cause.
    pub fn hint(&self) -> Option<String> {
        if self.media.is_empty() {
            None
        } else if self.examples_without_media == self.examples {
            let word = self.content.word();
            Some(format!(
                "none of the {word} was found: check `dataset.root` and the folder that the {word} paths are relative to; \
                 `dataset.on_error` is for single files"
            ))
        } else {
            Some(
                "`dataset.on_error = \"skip\"` leaves such examples out, `\"zeros\"` keeps them without sound; the run \
                 records how many"
                    .into(),
            )
        }
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.rows.is_empty() {
            let count = self.rows.len();
            let noun = if count == 1 { "problem" } else { "problems" };
            write!(
                f,
                "{count} {noun} in the annotations:\n{}",
                Listed(&self.rows, ROWS_SHOWN)
            )?;
        }
        if !self.rows.is_empty() && !self.media.is_empty() {
            writeln!(f)?;
        }
        if !self.media.is_empty() {
            let count = self.media.len();
            let noun = if count == 1 { "file" } else { "files" };
            write!(
                f,
                "{count} {} {noun} cannot be used:\n{}",
                self.content.word(),
                Listed(&self.media, FILES_SHOWN)
            )?;
        }
        Ok(())
    }
}

/// Faults one per line, the first of them in full.
struct Listed<'a>(&'a [Fault], usize);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, fault) in self.0.iter().take(self.1).enumerate() {
            write!(f, "{}  {fault}", if position == 0 { "" } else { "\n" })?;
        }
        match self.0.len().saturating_sub(self.1) {
            0 => Ok(()),
            more => write!(f, "\n  … and {more} more"),
        }
    }
}

/// "`a`, `b`, `c` and 4 more".
pub(super) fn quoted<T: AsRef<str>>(names: &[T], limit: usize) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(limit)
        .map(|name| format!("`{}`", name.as_ref()))
        .collect();
    match names.len().saturating_sub(limit) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(line: u64) -> Fault {
        Fault {
            path: "labels.csv".into(),
            line: Some(line),
            what: "target `valence` is empty".into(),
        }
    }

    #[test]
    fn twenty_rows_are_listed_and_the_rest_counted() {
        let problems = Problems {
            rows: (2..59).map(fault).collect(),
            ..Problems::default()
        };
        let message = problems.to_string();
        assert!(
            message.starts_with("57 problems in the annotations:\n  labels.csv:2: target"),
            "{message}"
        );
        assert!(message.ends_with("\n  … and 37 more"), "{message}");
        assert_eq!(message.lines().count(), 22);
    }

    #[test]
    fn rows_and_files_are_reported_together() {
        let problems = Problems {
            rows: vec![fault(3)],
            media: (0..12)
                .map(|number| Fault {
                    path: format!("{number}.wav").into(),
                    line: None,
                    what: "missing".into(),
                })
                .collect(),
            examples: 20,
            examples_without_media: 12,
            ..Problems::default()
        };
        let message = Error::from(Box::new(problems)).to_string();
        assert!(message.contains("labels.csv:3"), "{message}");
        assert!(
            message.contains("12 audio files cannot be used:\n  0.wav: missing\n"),
            "{message}"
        );
        assert!(message.ends_with("  9.wav: missing\n  … and 2 more"), "{message}");
    }

    #[test]
    fn lists_of_names_are_cut() {
        assert_eq!(quoted(&["a", "b", "c"], 2), "`a`, `b` and 1 more");
        assert_eq!(quoted(&["a"], 2), "`a`");
    }
}
