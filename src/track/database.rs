//! runs/affect.sqlite: the index of all runs, for reading.
//!
//! What it answers is true at the moment of the answer: a run that says "running" and whose process is gone is corrected
//! before it is shown, from its own log. The file can be made anew from the run folders ([`Database::rebuild`]).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, ToSql};
use serde::Serialize;
use serde_json::Value;

use super::rows::{ArtifactRow, BaselineRow, MetricRow, ParamRow, ResultRow, Status};
use super::{Error, connection, resolve, time};

/// How long a command waits for a database that others write to.
const PATIENCE: Duration = Duration::from_secs(20);

/// The index of all runs.
pub struct Database {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    pub(super) runs: PathBuf,
}

/// Which runs are asked for. The default is all of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunFilter {
    pub experiment: Option<String>,
    pub status: Option<Status>,
    pub tag: Option<String>,
    /// Only runs made at or after this moment.
    pub since: Option<Timestamp>,
    /// At most so many, the newest.
    pub limit: Option<usize>,
}

/// One run, in the words of the `runs` table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunSummary {
    pub id: String,
    pub experiment: String,
    pub status: Status,
    pub seed: u64,
    pub device: String,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub heartbeat_at: Option<Timestamp>,
    pub pid: Option<u32>,
    pub host: Option<String>,
    pub git_commit: Option<String>,
    pub config_hash: String,
    pub data_fingerprint: String,
    pub feature_key: String,
    /// The run that this one goes back to.
    pub parent_id: Option<String>,
    /// The last epoch that was recorded; 0: none.
    pub epoch: u32,
    pub error: Option<String>,
    /// Sorted.
    pub tags: Vec<String>,
    /// The figures of the test split over all targets (`target` is ""), by name.
    pub headline: Vec<ResultRow>,
    /// The run's folder.
    pub path: PathBuf,
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

    /// The runs that `filter` lets through, newest first.
    pub fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, Error> {
        self.correct_the_dead()?;
        let mut conditions = Vec::new();
        let mut values: Vec<Box<dyn ToSql>> = Vec::new();
        let mut condition = |text: &str, value: Box<dyn ToSql>| {
            values.push(value);
            conditions.push(text.replace('?', &format!("?{}", values.len())));
        };
        if let Some(experiment) = &filter.experiment {
            condition("experiment = ?", Box::new(experiment.clone()));
        }
        if let Some(status) = filter.status {
            condition("status = ?", Box::new(status.name()));
        }
        if let Some(tag) = &filter.tag {
            condition(
                "EXISTS (SELECT 1 FROM tags WHERE run_id = runs.id AND tag = ?)",
                Box::new(tag.clone()),
            );
        }
        if let Some(since) = filter.since {
            condition("created_at >= ?", Box::new(time::text(since)));
        }
        let limit = filter.limit.and_then(|limit| i64::try_from(limit).ok()).unwrap_or(-1);
        let all = "TRUE".to_string();
        let conditions = if conditions.is_empty() {
            all
        } else {
            conditions.join(" AND ")
        };
        let values: Vec<&dyn ToSql> = values.iter().map(AsRef::as_ref).collect();
        self.summaries(
            &format!("{conditions} ORDER BY created_at DESC, id DESC LIMIT {limit}"),
            &values,
        )
    }

    /// The runs that go back to the run `parent`, newest first.
    pub fn children(&self, parent: &str) -> Result<Vec<RunSummary>, Error> {
        self.correct_the_dead()?;
        self.summaries("parent_id = ?1 ORDER BY created_at DESC, id DESC", &[&parent])
    }

    /// The run that `reference` means: an id, the beginning of one or of its random suffix, the path of a run's folder,
    /// or `latest`.
    pub fn resolve(&self, reference: &str) -> Result<RunSummary, Error> {
        let mut ids = self
            .connection
            .prepare("SELECT id FROM runs ORDER BY created_at DESC, id DESC")
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

    fn summaries(&self, conditions: &str, values: &[&dyn ToSql]) -> Result<Vec<RunSummary>, Error> {
        let read = || -> rusqlite::Result<Vec<RunSummary>> {
            let mut runs = self.connection.prepare(&format!(
                "SELECT id, experiment, status, seed, device, created_at, started_at, finished_at, heartbeat_at, pid,
                     host, git_commit, config_hash, data_fingerprint, feature_key, parent_id, epoch, error
                 FROM runs WHERE {conditions}"
            ))?;
            let mut runs = runs
                .query_map(values, |row| self.summary(row))?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            // Two queries for all runs are faster than two for each, unless there are very few.
            let (only, one) = match runs.as_slice() {
                [run] => ("run_id = ?1", vec![run.id.clone()]),
                _ => ("TRUE", Vec::new()),
            };
            let mut tags: BTreeMap<String, Vec<String>> = BTreeMap::new();
            let mut query = self.connection.prepare(&format!(
                "SELECT run_id, tag FROM tags WHERE {only} ORDER BY run_id, tag"
            ))?;
            let mut rows = query.query(rusqlite::params_from_iter(&one))?;
            while let Some(row) = rows.next()? {
                tags.entry(row.get(0)?).or_default().push(row.get(1)?);
            }
            let mut headlines: BTreeMap<String, Vec<ResultRow>> = BTreeMap::new();
            let mut query = self.connection.prepare(&format!(
                "SELECT run_id, split, name, target, value, ci_low, ci_high FROM results
                 WHERE split = 'test' AND target = '' AND {only} ORDER BY run_id, name"
            ))?;
            let mut rows = query.query(rusqlite::params_from_iter(&one))?;
            while let Some(row) = rows.next()? {
                headlines.entry(row.get(0)?).or_default().push(result(row, 1)?);
            }
            for run in &mut runs {
                run.tags = tags.remove(&run.id).unwrap_or_default();
                run.headline = headlines.remove(&run.id).unwrap_or_default();
            }
            Ok(runs)
        };
        read().map_err(self.at("read"))
    }

    fn summary(&self, row: &Row) -> rusqlite::Result<RunSummary> {
        let (id, experiment): (String, String) = (row.get(0)?, row.get(1)?);
        let status: String = row.get(2)?;
        Ok(RunSummary {
            path: self.runs.join(&experiment).join(&id),
            status: Status::from_name(&status).ok_or_else(|| unreadable(2, format!("unknown status `{status}`")))?,
            id,
            experiment,
            seed: row.get::<_, i64>(3)?.cast_unsigned(),
            device: row.get(4)?,
            created_at: moment(row, 5)?.ok_or_else(|| unreadable(5, "no time".to_string()))?,
            started_at: moment(row, 6)?,
            finished_at: moment(row, 7)?,
            heartbeat_at: moment(row, 8)?,
            pid: row.get(9)?,
            host: row.get(10)?,
            git_commit: row.get(11)?,
            config_hash: row.get(12)?,
            data_fingerprint: row.get(13)?,
            feature_key: row.get(14)?,
            parent_id: row.get(15)?,
            epoch: row.get(16)?,
            error: row.get(17)?,
            tags: Vec::new(),
            headline: Vec::new(),
        })
    }

    fn rows<T>(&self, query: &str, run: &str, read: fn(&Row) -> rusqlite::Result<T>) -> Result<Vec<T>, Error> {
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

fn result(row: &Row, first: usize) -> rusqlite::Result<ResultRow> {
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

fn unreadable(column: usize, what: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, what.into())
}
