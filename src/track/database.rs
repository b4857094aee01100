//! runs/affect.sqlite: the index of all runs, for reading.
//!
//! What it answers is true at the moment of the answer: a run that says "running" and whose process is gone is corrected
//! before it is shown, from its own log. The file can be made anew from the run folders ([`Database::rebuild`]).

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::Value;

use super::rows::{ArtifactRow, BaselineRow, MetricRow, NoteRow, ParamRow, ResultRow};
use super::runs::RunSummary;
use super::{Error, connection, resolve};

/// How long a command waits for a database that others write to.
const PATIENCE: Duration = Duration::from_secs(20);

/// The index of all runs.
pub struct Database {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    pub(super) runs: PathBuf,
}

impl Database {
    /// Opens the index of `runs`; an empty one is made where there is none.
    pub fn open(runs: &Path) -> Result<Self, Error> {
        Ok(Self {
            connection: connection::open(runs, PATIENCE)?,
            path: connection::path(runs),
            runs: runs.to_path_buf(),
        })
    }

    /// As [`open`](Self::open), for commands that only look: where there is no index, none is made.
    pub fn open_existing(runs: &Path) -> Result<Self, Error> {
        if runs.exists() && !runs.is_dir() {
            let error = std::io::Error::from(std::io::ErrorKind::NotADirectory);
            return Err(crate::files::Error::at("look into", runs)(error).into());
        }
        if !connection::path(runs).exists() {
            return Err(Error::NoRuns {
                runs: runs.to_path_buf(),
            });
        }
        Self::open(runs)
    }

    /// The run that `reference` means: an id, the beginning of one or of its random suffix, the path of a run's folder,
    /// or `latest`.
    pub fn resolve(&self, reference: &str) -> Result<RunSummary, Error> {
        let mut ids = self
            .connection
            // A parent is newer to its user than the children that it made.
            .prepare("SELECT id FROM runs ORDER BY parent_id IS NOT NULL, created_at DESC, id DESC")
            .map_err(self.at("read"))?;
        let ids: Vec<String> = ids
            .query_map([], |row| row.get(0))
            .and_then(Iterator::collect)
            .map_err(self.at("read"))?;
        if ids.is_empty() {
            return Err(Error::NoRuns {
                runs: self.runs.clone(),
            });
        }
        let id = resolve::resolve(reference, &ids)?;
        self.correct_the_dead()?;
        let found = self.summaries("id = ?1", &[&id])?;
        found.into_iter().next().ok_or_else(|| Error::UnknownRun {
            reference: reference.to_string(),
            nearest: Vec::new(),
        })
    }

    /// Every value of the run's training, by split, name and step.
    pub fn metrics(&self, run: &str) -> Result<Vec<MetricRow>, Error> {
        self.rows(
            "SELECT split, name, epoch, step, value, wall_time FROM metrics WHERE run_id = ?1
             ORDER BY split, name, step, epoch",
            run,
            |row| {
                Ok(MetricRow {
                    split: row.get(0)?,
                    name: row.get(1)?,
                    epoch: row.get(2)?,
                    step: count(row, 3)?,
                    value: number(row, 4)?,
                    wall_time: row.get(5)?,
                })
            },
        )
    }

    /// The run's final figures, by split, name and target.
    pub fn results(&self, run: &str) -> Result<Vec<ResultRow>, Error> {
        self.rows(
            "SELECT split, name, target, value, ci_low, ci_high FROM results WHERE run_id = ?1
             ORDER BY split, name, target",
            run,
            |row| result(row, 0),
        )
    }

    /// The figures of the run's baselines, by split, baseline, name and target.
    pub fn baselines(&self, run: &str) -> Result<Vec<BaselineRow>, Error> {
        self.rows(
            "SELECT split, baseline, name, target, value FROM baselines WHERE run_id = ?1
             ORDER BY split, baseline, name, target",
            run,
            |row| {
                Ok(BaselineRow {
                    split: row.get(0)?,
                    baseline: row.get(1)?,
                    name: row.get(2)?,
                    target: row.get(3)?,
                    value: number(row, 4)?,
                })
            },
        )
    }

    /// The run's settings, by key. Lists and truth values come as texts (`[1,2]`, `true`).
    pub fn params(&self, run: &str) -> Result<Vec<ParamRow>, Error> {
        self.rows(
            "SELECT key, value FROM params WHERE run_id = ?1 ORDER BY key",
            run,
            |row| {
                let value: rusqlite::types::Value = row.get(1)?;
                Ok(ParamRow {
                    key: row.get(0)?,
                    value: match value {
                        rusqlite::types::Value::Integer(whole) => whole.into(),
                        rusqlite::types::Value::Real(real) => real.into(),
                        rusqlite::types::Value::Text(text) => text.into(),
                        rusqlite::types::Value::Null | rusqlite::types::Value::Blob(_) => Value::Null,
                    },
                })
            },
        )
    }

    /// The files that the run left, by path.
    pub fn artifacts(&self, run: &str) -> Result<Vec<ArtifactRow>, Error> {
        self.rows(
            "SELECT path, sha256, bytes FROM artifacts WHERE run_id = ?1 ORDER BY path",
            run,
            |row| {
                Ok(ArtifactRow {
                    path: row.get(0)?,
                    sha256: row.get(1)?,
                    bytes: count(row, 2)?,
                })
            },
        )
    }

    /// What people wrote about the run, oldest first.
    pub fn notes(&self, run: &str) -> Result<Vec<NoteRow>, Error> {
        self.rows(
            "SELECT at, text FROM notes WHERE run_id = ?1 ORDER BY at, rowid",
            run,
            |row| {
                Ok(NoteRow {
                    at: moment(row, 0)?.ok_or_else(|| unreadable(0, "no time".to_string()))?,
                    text: row.get(1)?,
                })
            },
        )
    }

    /// The run's resolved settings, as TOML.
    pub fn config_toml(&self, run: &str) -> Result<String, Error> {
        self.connection
            .query_row("SELECT config_toml FROM runs WHERE id = ?1", [run], |row| row.get(0))
            .optional()
            .map_err(self.at("read"))?
            .ok_or_else(|| Error::UnknownRun {
                reference: run.to_string(),
                nearest: Vec::new(),
            })
    }

    pub(super) fn rows<T>(
        &self,
        query: &str,
        run: &str,
        read: fn(&Row) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let mut query = self.connection.prepare_cached(query).map_err(self.at("read"))?;
        query
            .query_map([run], read)
            .and_then(Iterator::collect)
            .map_err(self.at("read"))
    }

    pub(super) fn at(&self, action: &'static str) -> impl FnOnce(rusqlite::Error) -> Error + '_ {
        Error::database(action, &self.path)
    }
}

pub(super) fn result(row: &Row, first: usize) -> rusqlite::Result<ResultRow> {
    let low: Option<f64> = row.get(first + 4)?;
    let high: Option<f64> = row.get(first + 5)?;
    Ok(ResultRow {
        split: row.get(first)?,
        name: row.get(first + 1)?,
        target: row.get(first + 2)?,
        value: number(row, first + 3)?,
        ci: low.zip(high),
    })
}

/// SQLite keeps NaN as NULL.
fn number(row: &Row, column: usize) -> rusqlite::Result<f64> {
    Ok(row.get::<_, Option<f64>>(column)?.unwrap_or(f64::NAN))
}

fn count(row: &Row, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| unreadable(column, format!("{value} is no count")))
}

pub(super) fn moment(row: &Row, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| {
        text.parse()
            .map_err(|error: jiff::Error| unreadable(column, error.to_string()))
    })
    .transpose()
}

pub(super) fn unreadable(column: usize, what: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, what.into())
}
