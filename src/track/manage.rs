//! What people do to runs afterwards: tags, notes, throwing away and bringing back.
//!
//! Tags and notes go into the run's log first, so that they survive the index. A run is thrown away by moving its folder to
//! `.trash` in the runs folder, from which it comes back whole; only purging deletes. Folders move before the index changes: after
//! a crash in between, `affect ls --rebuild` makes the index agree with the folders.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use rusqlite::{Transaction, TransactionBehavior};

use super::database::Database;
use super::log::{self, Entry, Line, Note, Tags};
use super::run_dir::{RunDir, run_folders};
use super::runs::RunSummary;
use super::store::{self, Replay};
use super::{Error, resolve};
use crate::files;

/// The folder of runs that were thrown away, in the runs folder. No experiment can have this name.
const TRASH: &str = ".trash";
/// Room for a word or two.
const LONGEST_TAG: usize = 100;

/// What becomes of the folder of a run that is thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It can come back.
    Trash,
    /// It is deleted.
    Purge,
}

impl Database {
    /// Adds and removes tags; those that are there, or are not, are passed over.
    ///
    /// # Errors
    /// [`Error::Tag`] for a tag that is empty, long or holds commas or control characters.
    pub fn tag(&self, run: &RunSummary, add: &[String], remove: &[String]) -> Result<(), Error> {
        for tag in add {
            if tag.is_empty() || tag.chars().count() > LONGEST_TAG || tag.chars().any(|c| c.is_control() || c == ',') {
                return Err(Error::Tag { tag: tag.clone() });
            }
        }
        self.record(
            run,
            Entry::Tags(Tags {
                added: add.to_vec(),
                removed: remove.to_vec(),
            }),
        )
    }

    /// Keeps a text with the run.
    pub fn note(&self, run: &RunSummary, text: &str) -> Result<(), Error> {
        self.record(run, Entry::Note(Note { text: text.to_owned() }))
    }

    /// To the log, then to the index.
    fn record(&self, run: &RunSummary, entry: Entry) -> Result<(), Error> {
        let line = Line::now(entry);
        let path = run.path.join(log::FILE);
        let bytes = [log::gap(&path)?, &line.to_json()].concat();
        let written = files::append(&path)?.write_all(&bytes);
        written.map_err(files::Error::at("write", &path))?;
        let transaction = self.transaction()?;
        store::apply(&transaction, &run.id, &line).map_err(self.at("write"))?;
        transaction.commit().map_err(self.at("write"))
    }

    /// Throws runs away, each with the runs that go back to it; the ids of all, children before their parents.
    ///
    /// # Errors
    /// [`Error::StillRunning`], before anything is moved, where one of them is still running.
    pub fn remove(&self, runs: &[RunSummary], removal: Removal) -> Result<Vec<String>, Error> {
        let mut all: Vec<RunSummary> = Vec::new();
        for run in runs {
            self.with_descendants(run, &mut all)?;
        }
        if let Some(run) = all.iter().find(|run| !run.status.is_final()) {
            return Err(Error::StillRunning { id: run.id.clone() });
        }
        for run in &all {
            let trashed = self.trash().join(&run.experiment).join(&run.id);
            if run.path.exists() {
                files::move_folder(&run.path, &trashed)?;
            }
            if removal == Removal::Purge {
                files::remove_folder(&trashed)?;
            }
            let transaction = self.transaction()?;
            transaction
                .execute("DELETE FROM runs WHERE id = ?1", [&run.id])
                .map_err(self.at("write"))?;
            transaction.commit().map_err(self.at("write"))?;
        }
        Ok(all.into_iter().map(|run| run.id).collect())
    }

    /// Each run once, after its children.
    fn with_descendants(&self, run: &RunSummary, all: &mut Vec<RunSummary>) -> Result<(), Error> {
        let mut next = vec![run.clone()];
        let mut found: Vec<RunSummary> = Vec::new();
        while let Some(run) = next.pop() {
            if all.iter().chain(&found).any(|known| known.id == run.id) {
                continue;
            }
            next.extend(self.children(&run.id)?);
            found.push(run);
        }
        all.extend(found.into_iter().rev());
        Ok(())
    }

    fn trash(&self) -> PathBuf {
        self.runs.join(TRASH)
    }

    fn transaction(&self) -> Result<Transaction<'_>, Error> {
        Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate).map_err(self.at("write"))
    }

    /// The runs that were thrown away, newest first.
    pub fn trashed(&self) -> Result<Vec<RunDir>, Error> {
        let trash = self.trash();
        let mut found = match trash.exists() {
            true => run_folders(&trash)?,
            false => Vec::new(),
        };
        found.sort_by(|a, b| b.id().cmp(a.id()));
        Ok(found)
    }

    /// The run in the trash that `reference` means.
    pub fn resolve_trashed(&self, reference: &str) -> Result<RunDir, Error> {
        let trashed = self.trashed()?;
        let ids: Vec<String> = trashed.iter().map(|dir| dir.id().to_owned()).collect();
        if ids.is_empty() {
            return Err(Error::EmptyTrash { path: self.trash() });
        }
        let id = resolve::resolve(reference, &ids)?;
        let found = trashed.into_iter().find(|dir| dir.id() == id);
        found.ok_or_else(|| Error::UnknownRun {
            reference: reference.to_owned(),
            nearest: Vec::new(),
        })
    }

    /// Brings a run back from the trash, with the runs that go back to it; the ids of all.
    pub fn restore(&self, dir: &RunDir) -> Result<Vec<String>, Error> {
        let mut back = vec![dir.clone()];
        let trashed: Vec<(RunDir, Option<String>)> = (self.trashed()?.into_iter())
            .map(|dir| {
                let parent = parent(&dir);
                (dir, parent)
            })
            .collect();
        let mut place = 0;
        while let Some(parent) = back.get(place).map(|dir| dir.id().to_owned()) {
            for (child, of) in &trashed {
                if of.as_deref() == Some(parent.as_str()) && !back.contains(child) {
                    back.push(child.clone());
                }
            }
            place += 1;
        }
        for dir in &back {
            let home = self.runs.join(dir.experiment()).join(dir.id());
            files::move_folder(dir.path(), &home)?;
            let home = RunDir::open(&home)?;
            let transaction = self.transaction()?;
            let replayed = store::replay(&transaction, &home).map_err(self.at("write"))?;
            transaction.commit().map_err(self.at("write"))?;
            if matches!(replayed, Replay::NoLog) {
                return Err(Error::NotARun {
                    path: home.path().to_path_buf(),
                });
            }
        }
        self.correct_the_dead()?;
        Ok(back.into_iter().map(|dir| dir.id().to_owned()).collect())
    }

    /// Deletes a run in the trash.
    pub fn purge(&self, dir: &RunDir) -> Result<(), Error> {
        Ok(files::remove_folder(dir.path())?)
    }
}

/// The run that the one in this folder goes back to.
fn parent(dir: &RunDir) -> Option<String> {
    let lines = log::read(Path::new(&dir.file(log::FILE))).ok()?;
    lines.into_iter().find_map(|line| match line.entry {
        Entry::Started(start) => start.parent_id,
        _ => None,
    })
}
