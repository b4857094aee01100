//! Which runs are there?
//!
//! Lists of runs, by what [`RunFilter`] asks for. A run that others go back to (repeats, folds) is their parent; lists can
//! leave its children out.

use std::collections::HashMap;
use std::path::PathBuf;

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Row, ToSql};
use serde::Serialize;

use super::database::{Database, moment, result, unreadable};
use super::query::{Condition, Key, KeyError};
use super::rows::{ResultRow, Status};
use super::{Error, time};

/// Up to here runs are looked up one by one; beyond, reading all is faster.
const FEW: usize = 50;

/// Which runs are asked for, and in which order. The default is all of them, newest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunFilter {
    pub experiment: Option<String>,
    pub status: Option<Status>,
    pub tag: Option<String>,
    /// Only runs made at or after this moment.
    pub since: Option<Timestamp>,
    /// All of them hold.
    pub conditions: Vec<Condition>,
    pub family: Family,
    pub order: Order,
    /// At most so many, the first.
    pub limit: Option<usize>,
}

/// Whether runs that go back to another are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Family {
    #[default]
    All,
    /// Not those whose parent is in the index.
    WithoutChildren,
}

/// What comes first.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Order {
    #[default]
    NewestFirst,
    /// By the value of this name, the lowest first; runs without one come last, and of equal ones the newest first.
    Ascending(String),
    /// As `Ascending`, the highest first.
    Descending(String),
    OldestFirst,
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
    /// How many runs go back to this one.
    pub children: u32,
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
    /// The runs that `filter` lets through.
    ///
    /// # Errors
    /// A name that no run knows, with those that were probably meant; a database that cannot be read.
    pub fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, Error> {
        self.correct_the_dead()?;
        let mut conditions = vec!["TRUE".to_owned()];
        let mut values: Vec<Value> = Vec::new();
        let mut condition = |text: &str, value: &str| {
            conditions.push(text.to_owned());
            values.push(value.to_owned().into());
        };
        if let Some(experiment) = &filter.experiment {
            condition("experiment = ?", experiment);
        }
        if let Some(status) = filter.status {
            condition("status = ?", status.name());
        }
        if let Some(tag) = &filter.tag {
            condition("EXISTS (SELECT 1 FROM tags WHERE run_id = runs.id AND tag = ?)", tag);
        }
        if let Some(since) = filter.since {
            condition("created_at >= ?", &time::text(since));
        }
        for condition in &filter.conditions {
            let sql = condition.sql(&self.key(condition.key())?);
            conditions.push(sql.text);
            values.extend(sql.values);
        }
        if filter.family == Family::WithoutChildren {
            conditions
                .push("(parent_id IS NULL OR parent_id NOT IN (SELECT parent.id FROM runs AS parent))".to_owned());
        }
        let order = match &filter.order {
            Order::NewestFirst => "created_at DESC, id DESC".to_owned(),
            Order::OldestFirst => "created_at, id".to_owned(),
            Order::Ascending(name) | Order::Descending(name) => {
                let sql = self.key(name)?.sql();
                values.extend(sql.values);
                let direction = match filter.order {
                    Order::Descending(_) => "DESC",
                    _ => "ASC",
                };
                format!("{} {direction} NULLS LAST, created_at DESC, id DESC", sql.text)
            }
        };
        let limit = filter.limit.and_then(|limit| i64::try_from(limit).ok()).unwrap_or(-1);
        let values: Vec<&dyn ToSql> = values.iter().map(|value| value as &dyn ToSql).collect();
        let conditions = conditions.join(" AND ");
        self.summaries(&format!("{conditions} ORDER BY {order} LIMIT {limit}"), &values)
    }

    /// The runs that go back to the run `parent`, newest first.
    pub fn children(&self, parent: &str) -> Result<Vec<RunSummary>, Error> {
        self.correct_the_dead()?;
        self.summaries("parent_id = ?1 ORDER BY created_at DESC, id DESC", &[&parent])
    }

    /// The value of `key` for each of `runs`: null where a run has none.
    pub fn values(&self, key: &Key, runs: &[RunSummary]) -> Result<Vec<serde_json::Value>, Error> {
        let sql = key.sql();
        let one = match runs.len() {
            0..=FEW => " WHERE runs.id = ?",
            _ => "",
        };
        let read = || -> rusqlite::Result<Vec<serde_json::Value>> {
            let mut query = self
                .connection
                .prepare(&format!("SELECT runs.id, {} FROM runs{one}", sql.text))?;
            let mut found: HashMap<String, serde_json::Value> = HashMap::with_capacity(runs.len());
            let mut ask = |values: Vec<Value>| -> rusqlite::Result<()> {
                let mut rows = query.query(rusqlite::params_from_iter(values))?;
                while let Some(row) = rows.next()? {
                    found.insert(row.get(0)?, json(row.get(1)?));
                }
                Ok(())
            };
            if one.is_empty() {
                ask(sql.values)?;
            } else {
                for run in runs {
                    ask(sql.values.iter().cloned().chain([run.id.clone().into()]).collect())?;
                }
            }
            Ok(runs
                .iter()
                .map(|run| found.remove(&run.id).unwrap_or(serde_json::Value::Null))
                .collect())
        };
        read().map_err(self.at("read"))
    }

    /// What `name` means: a column, a setting or a figure.
    ///
    /// # Errors
    /// [`Error::UnknownKey`], with the names that were probably meant.
    pub fn key(&self, name: &str) -> Result<Key, Error> {
        Key::resolve(&self.connection, name).map_err(|error| match error {
            KeyError::Unknown(error) => error,
            KeyError::Database(error) => self.at("read")(error),
        })
    }

    pub(super) fn summaries(&self, conditions: &str, values: &[&dyn ToSql]) -> Result<Vec<RunSummary>, Error> {
        let read = || -> rusqlite::Result<Vec<RunSummary>> {
            let mut runs = self.connection.prepare(&format!(
                "SELECT id, experiment, status, seed, device, created_at, started_at, finished_at, heartbeat_at, pid,
                     host, git_commit, config_hash, data_fingerprint, feature_key, parent_id, epoch, error
                 FROM runs WHERE {conditions}"
            ))?;
            let mut runs = runs
                .query_map(values, |row| self.summary(row))?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            let (only, which) = match runs.len() {
                0..=FEW => {
                    let ids: Vec<&str> = runs.iter().map(|run| run.id.as_str()).collect();
                    (
                        "IN (SELECT value FROM json_each(?1))",
                        vec![serde_json::json!(ids).to_string()],
                    )
                }
                _ => ("IS NOT NULL", Vec::new()),
            };
            let places: HashMap<String, usize> = (runs.iter().enumerate())
                .map(|(place, run)| (run.id.clone(), place))
                .collect();
            let mut for_each = |query: &str, then: &dyn Fn(&mut RunSummary, &Row) -> rusqlite::Result<()>| {
                let mut query = self.connection.prepare(query)?;
                let mut rows = query.query(rusqlite::params_from_iter(&which))?;
                while let Some(row) = rows.next()? {
                    let id = row.get_ref(0)?.as_str()?;
                    if let Some(run) = places.get(id).and_then(|&place| runs.get_mut(place)) {
                        then(run, row)?;
                    }
                }
                Ok::<(), rusqlite::Error>(())
            };
            for_each(
                &format!("SELECT run_id, tag FROM tags WHERE run_id {only} ORDER BY run_id, tag"),
                &|run, row| {
                    run.tags.push(row.get(1)?);
                    Ok(())
                },
            )?;
            for_each(
                &format!(
                    "SELECT run_id, split, name, target, value, ci_low, ci_high FROM results
                     WHERE split = 'test' AND target = '' AND run_id {only} ORDER BY run_id, name"
                ),
                &|run, row| {
                    run.headline.push(result(row, 1)?);
                    Ok(())
                },
            )?;
            for_each(
                &format!("SELECT parent_id, count(*) FROM runs WHERE parent_id {only} GROUP BY parent_id"),
                &|run, row| {
                    run.children = row.get(1)?;
                    Ok(())
                },
            )?;
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
            children: 0,
            epoch: row.get(16)?,
            error: row.get(17)?,
            tags: Vec::new(),
            headline: Vec::new(),
        })
    }
}

/// SQLite keeps NaN as NULL; infinities are texts, as in the log.
fn json(value: Value) -> serde_json::Value {
    match value {
        Value::Integer(whole) => whole.into(),
        Value::Real(real) if real.is_infinite() => if real > 0.0 { "inf" } else { "-inf" }.into(),
        Value::Real(real) => real.into(),
        Value::Text(text) => text.into(),
        Value::Null | Value::Blob(_) => serde_json::Value::Null,
    }
}
