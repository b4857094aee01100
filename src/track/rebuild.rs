//! The database, made anew from the run folders.
//!
//! Everything but notes, and tags that were added after a run, is in the folders' logs; those two are kept from the
//! old database where it can be read. Runs whose folder is gone leave the index. A damaged database is set aside under
//! another name first (`affect.sqlite.damaged`, with a number where there is one already), never deleted.

use std::path::{Path, PathBuf};

use rusqlite::{ErrorCode, TransactionBehavior};

use super::database::Database;
use super::run_dir::{RunDir, run_folders};
use super::store::{self, Replay};
use super::{Error, connection};
use crate::files;

/// What [`Database::rebuild`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Runs that are in the index now.
    pub runs: usize,
    /// Folders that look like runs and hold no log that can be read: runs that died before they began.
    pub without_log: Vec<PathBuf>,
    /// Ids that the index had and whose folder is gone.
    pub removed: Vec<String>,
    /// Where the damaged database was put.
    pub set_aside: Option<PathBuf>,
}

impl Database {
    /// Makes the index of `runs` anew from the run folders. Runs that are going on are not disturbed.
    pub fn rebuild(runs: &Path) -> Result<Rebuilt, Error> {
        let folders = run_folders(runs)?;
        let (database, set_aside) = match Self::open(runs) {
            Err(error) if is_damaged(&error) => {
                let aside = set_aside(&connection::path(runs))?;
                (Self::open(runs)?, Some(aside))
            }
            result => (result?, None),
        };
        match database.refill(&folders) {
            Ok(rebuilt) => Ok(Rebuilt { set_aside, ..rebuilt }),
            // Damage can hide in a page that opening does not read.
            Err(error) if is_damaged(&error) && set_aside.is_none() => {
                drop(database);
                let aside = self::set_aside(&connection::path(runs))?;
                let rebuilt = Self::open(runs)?.refill(&folders)?;
                Ok(Rebuilt {
                    set_aside: Some(aside),
                    ..rebuilt
                })
            }
            Err(error) => Err(error),
        }
    }

    /// One transaction: a reader sees the old index or the new one.
    fn refill(&self, folders: &[RunDir]) -> Result<Rebuilt, Error> {
        let mut rebuilt = Rebuilt::default();
        let transaction = rusqlite::Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)
            .map_err(self.at("write"))?;
        let mut known: Vec<String> = transaction
            .prepare("SELECT id FROM runs ORDER BY id")
            .and_then(|mut query| query.query_map([], |row| row.get(0))?.collect())
            .map_err(self.at("read"))?;
        for dir in folders {
            match store::replay(&transaction, dir).map_err(self.at("write"))? {
                Replay::Done { .. } => rebuilt.runs += 1,
                Replay::NoLog => {
                    rebuilt.without_log.push(dir.path().to_path_buf());
                    continue;
                }
            }
            known.retain(|id| id != dir.id());
        }
        for id in &known {
            transaction
                .execute("DELETE FROM runs WHERE id = ?1", [id])
                .map_err(self.at("write"))?;
        }
        transaction.commit().map_err(self.at("write"))?;
        rebuilt.removed = known;
        Ok(rebuilt)
    }
}

fn is_damaged(error: &Error) -> bool {
    matches!(error, Error::Database { source, .. } if matches!(
        source.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    ))
}

/// Copies the damaged file (it may hold notes that can still be saved) and removes it with its journals.
fn set_aside(path: &Path) -> Result<PathBuf, Error> {
    let named = |ending: &str| {
        let mut name = path.as_os_str().to_os_string();
        name.push(ending);
        PathBuf::from(name)
    };
    let aside = std::iter::once(named(".damaged"))
        .chain((2u32..).map(|number| named(&format!(".damaged-{number}"))))
        .find(|aside| !aside.exists())
        .unwrap_or_else(|| named(".damaged"));
    let mut from = std::fs::File::open(path).map_err(files::Error::at("read", path))?;
    files::write_whole_with(&aside, |to| std::io::copy(&mut from, to).map(drop))?;
    for ending in ["", "-wal", "-shm", "-journal"] {
        let file = named(ending);
        if file.exists() {
            std::fs::remove_file(&file).map_err(files::Error::at("remove", &file))?;
        }
    }
    Ok(aside)
}
