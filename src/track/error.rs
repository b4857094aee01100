//! What can go wrong with the records, and what to do about it.

use std::path::{Path, PathBuf};

use crate::files;

/// A record could not be made, found or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Files(#[from] files::Error),

    #[error("cannot {action} the run database `{}`: {source}", path.display())]
    Database {
        /// A verb phrase: "open", "read", "write".
        action: &'static str,
        path: PathBuf,
        source: rusqlite::Error,
    },

    #[error(
        "the run database `{}` was made by a newer version of affect: it has schema {found}, this program knows {known}",
        path.display()
    )]
    NewerSchema { path: PathBuf, found: u32, known: u32 },

    #[error("`{}` is an SQLite database, but not one of affect's", path.display())]
    ForeignDatabase { path: PathBuf },

    #[error("`{name}` cannot name an experiment's folder")]
    ExperimentName { name: String },

    #[error("`{}` is not the folder of a run", path.display())]
    NotARun { path: PathBuf },

    #[error("no free name for a run was found in `{}`", path.display())]
    NoFreeName { path: PathBuf },

    #[error("a run with the id `{id}` is already recorded in `{}`", path.display())]
    AlreadyRecorded { id: String, path: PathBuf },

    #[error("no run is called `{reference}`")]
    UnknownRun {
        reference: String,
        /// The runs whose names come nearest, or the most recent ones.
        nearest: Vec<String>,
    },

    #[error("`{reference}` could be {} runs: {}", candidates.len(), few(candidates))]
    AmbiguousRun { reference: String, candidates: Vec<String> },

    #[error("there are no runs in `{}` yet", runs.display())]
    NoRuns { runs: PathBuf },

    #[error("no run has a setting or figure called `{key}`")]
    UnknownKey {
        key: String,
        /// The names that were probably meant.
        nearest: Vec<String>,
    },

    #[error("`{tag}` cannot be a tag")]
    Tag { tag: String },

    #[error("run {id} is still running")]
    StillRunning { id: String },

    #[error("there is nothing in the trash, `{}`", path.display())]
    EmptyTrash { path: PathBuf },

    #[error("`{condition}` is no condition: {what}")]
    Condition { condition: String, what: String },

    #[error("the settings of the run cannot be read as TOML: {message}")]
    Settings { message: String },

    #[error("cannot write `{}`: {what}", path.display())]
    PredictionTable { path: PathBuf, what: String },

    #[error("`{}`, line {line}: {what}", path.display())]
    PredictionFile { path: PathBuf, line: u64, what: String },

    #[error("cannot start the thread that writes the records: {source}")]
    Thread { source: std::io::Error },

    #[error("the thread that writes the records ended early")]
    Writer,
}

impl Error {
    /// What to do about it, where that can be said.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Files(error) => return Some(error.hint().unwrap_or("name another folder with `--runs`").to_string()),
            Self::Database { source, .. } => return Some(database_hint(source).to_string()),
            Self::NewerSchema { .. } => "update affect, or name another folder with `--runs`",
            Self::ForeignDatabase { .. } => "name another folder with `--runs`, or move that file away",
            Self::ExperimentName { .. } => {
                "use letters, digits, `-`, `_` and `.`, beginning with a letter or a digit, at most 100 characters"
            }
            Self::NotARun { .. } => {
                "a run is the folder `EXPERIMENT/ID` in the runs folder; list them with `affect ls`"
            }
            Self::NoFreeName { .. } => "check the clock and the folder, then try again",
            Self::AlreadyRecorded { .. } => "start the run again: it gets another id",
            Self::UnknownRun { nearest, .. } if nearest.is_empty() => "list the runs with `affect ls`",
            Self::UnknownRun { nearest, .. } => {
                return Some(format!("the nearest: {}; list all with `affect ls`", few(nearest)));
            }
            Self::AmbiguousRun { .. } => "give more characters of the id",
            Self::NoRuns { .. } => "make one with `affect run quickstart`, or name another folder with `--runs`",
            Self::UnknownKey { nearest, .. } if nearest.is_empty() => {
                "name a setting (`optimizer.learning_rate`), a figure (`test/rmse`) or a column (`status`); \
                 `affect show RUN` lists what a run has"
            }
            Self::UnknownKey { nearest, .. } => return Some(format!("did you mean {}?", any_of(nearest))),
            Self::Tag { .. } => "use up to 100 characters without commas",
            Self::StillRunning { .. } => "stop it first (Ctrl-C), or wait for its end",
            Self::EmptyTrash { .. } => "runs that were purged are gone; list those that are there with `affect ls`",
            Self::Condition { .. } => {
                "write a name, a comparison and a value: `optimizer.learning_rate < 1e-3`, `test/rmse < 0.3`, `status = completed`"
            }
            Self::Settings { .. } => "this is a fault of affect: please report it with the experiment file",
            Self::PredictionTable { .. } => "rename the target or the column in the experiment file",
            Self::PredictionFile { .. } => "the file was changed after the run: repeat it with `affect reproduce`",
            Self::Writer => {
                "this is a fault of affect: please report it; `affect ls --rebuild` records what the log has"
            }
            Self::Thread { .. } => {
                "the system refuses more threads: raise the limit (`ulimit -u`) or run fewer at once"
            }
        };
        Some(hint.to_string())
    }

    /// For use with `map_err`: keeps what was tried and on which database.
    pub(super) fn database<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(rusqlite::Error) -> Self + 'a {
        move |source| Self::Database {
            action,
            path: path.to_path_buf(),
            source,
        }
    }
}

fn database_hint(error: &rusqlite::Error) -> &'static str {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "free some space; nothing that was recorded before is lost",
        Some(ErrorCode::SystemIoFailure) => "the disk is full or failing: free some space, then try again",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program holds it: close database browsers that have unsaved changes, then try again"
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "the file is damaged; the run folders hold everything that it held: `affect ls --rebuild` makes it anew"
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            "check the permissions of the runs folder, or name another one with `--runs`"
        }
        _ => "`affect ls --rebuild` makes the database anew from the run folders",
    }
}

/// "`a`, `b` or `c`".
fn any_of(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// The first names of a list, and how many more there are.
fn few(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}
