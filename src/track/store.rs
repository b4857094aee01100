//! Log entries become database rows.
//!
//! Every statement can be repeated: a row that is there already is replaced by its equal. So the writer may retry, and
//! [`replay`] makes a run's rows anew from its folder, whatever of them is in the database.

use jiff::Timestamp;
use rusqlite::types::{ToSqlOutput, Value as SqlValue};
use rusqlite::{Connection, Result, ToSql, params};
use serde_json::Value;

use super::log::{self, Entry, Finish, Line, Metrics, Note, Results, Start, Tags};
use super::params;
use super::rows::{ArtifactRow, BaselineRow, MetricRow, ParamRow, ResultRow, Status};
use super::run_dir::RunDir;
use super::time;

/// The file with the resolved settings in the run's folder.
pub(super) const SETTINGS: &str = "experiment.toml";

/// Writes one entry of the run `id`. Within a transaction of the caller's.
pub(super) fn apply(connection: &Connection, id: &str, line: &Line) -> Result<()> {
    match &line.entry {
        Entry::Started(start) => started(connection, start, line.at),
        Entry::Metrics(Metrics { rows }) => metrics(connection, id, rows),
        Entry::Results(Results { results, baselines }) => {
            results.iter().try_for_each(|row| result(connection, id, row))?;
            baselines.iter().try_for_each(|row| baseline(connection, id, row))
        }
        Entry::Finished(finish) => finished(connection, id, finish, line.at),
        Entry::Tags(change) => tags(connection, id, change),
        Entry::Note(text) => note(connection, id, text, line.at),
        Entry::Other { .. } => Ok(()),
    }
}

/// What [`replay`] found.
pub(super) enum Replay {
    /// The rows are made. The moment is that of the last line.
    Done { last: Timestamp },
    /// The folder holds no log that could be read, or one without a beginning.
    NoLog,
}

/// Makes the rows of a run from its folder, in place of those that the database has. Notes are kept, and tags that were
/// added later too. Within a transaction of the caller's.
pub(super) fn replay(connection: &Connection, dir: &RunDir) -> Result<Replay> {
    let Ok(lines) = log::read(&dir.file(log::FILE)) else {
        return Ok(Replay::NoLog);
    };
    let begins = lines
        .iter()
        .any(|line| matches!(&line.entry, Entry::Started(start) if start.id == dir.id()));
    let (true, Some(last)) = (begins, lines.last().map(|line| line.at)) else {
        return Ok(Replay::NoLog);
    };
    let config_toml = std::fs::read_to_string(dir.file(SETTINGS)).unwrap_or_default();
    for table in ["params", "metrics", "results", "baselines", "artifacts"] {
        connection.execute(&format!("DELETE FROM {table} WHERE run_id = ?1"), [dir.id()])?;
    }
    connection.execute("UPDATE runs SET epoch = 0 WHERE id = ?1", [dir.id()])?;
    for mut line in lines {
        if let Entry::Started(start) = &mut line.entry {
            start.config_toml.clone_from(&config_toml);
            // The folder may have been renamed since.
            start.experiment = dir.experiment().to_string();
        }
        apply(connection, dir.id(), &line)?;
    }
    connection.execute(
        "UPDATE runs SET heartbeat_at = max(coalesce(heartbeat_at, ''), ?2) WHERE id = ?1",
        params![dir.id(), time::text(last)],
    )?;
    Ok(Replay::Done { last })
}

fn started(connection: &Connection, start: &Start, at: Timestamp) -> Result<()> {
    let process = &start.process;
    connection
        .prepare_cached(
            "INSERT INTO runs (id, experiment, status, seed, device, created_at, started_at, heartbeat_at, pid,
                 pid_started, pid_namespace, boot_id, host, git_commit, config_toml, config_hash, data_fingerprint,
                 feature_key, parent_id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)
             ON CONFLICT (id) DO UPDATE SET
                 experiment = excluded.experiment, status = excluded.status, seed = excluded.seed,
                 device = excluded.device, created_at = excluded.created_at, heartbeat_at = excluded.heartbeat_at,
                 started_at = min(coalesce(runs.started_at, excluded.started_at), excluded.started_at),
                 finished_at = NULL, error = NULL, pid = excluded.pid, pid_started = excluded.pid_started,
                 pid_namespace = excluded.pid_namespace, boot_id = excluded.boot_id, host = excluded.host,
                 git_commit = excluded.git_commit, config_toml = excluded.config_toml,
                 config_hash = excluded.config_hash, data_fingerprint = excluded.data_fingerprint,
                 feature_key = excluded.feature_key, parent_id = excluded.parent_id",
        )?
        .execute(params![
            start.id,
            start.experiment,
            Status::Running.name(),
            start.seed.cast_signed(),
            start.device,
            time::text(start.created_at),
            time::text(at),
            process.pid,
            process.pid_started.map(integer),
            process.pid_namespace,
            process.boot_id,
            process.host,
            start.git_commit,
            start.config_toml,
            start.config_hash,
            start.data_fingerprint,
            start.feature_key,
            start.parent_id,
        ])?;
    // Settings that are no TOML leave no rows: the recorder refuses them before a run starts.
    for row in params::flatten(&start.config_toml).unwrap_or_default() {
        param(connection, &start.id, &row)?;
    }
    for tag in &start.tags {
        connection
            .prepare_cached("INSERT OR IGNORE INTO tags (run_id, tag) VALUES (?1, ?2)")?
            .execute([&start.id, tag])?;
    }
    if let Some(step) = start.resumed_after_step {
        connection
            .prepare_cached("DELETE FROM metrics WHERE run_id = ?1 AND step > ?2")?
            .execute(params![start.id, integer(step)])?;
    }
    Ok(())
}

fn param(connection: &Connection, id: &str, row: &ParamRow) -> Result<()> {
    let value = match &row.value {
        Value::Null => SqlValue::Null,
        Value::String(text) => SqlValue::Text(text.clone()),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => SqlValue::Integer(whole),
            None => number.as_f64().map_or(SqlValue::Null, SqlValue::Real),
        },
        other => SqlValue::Text(other.to_string()),
    };
    connection
        .prepare_cached("INSERT OR REPLACE INTO params (run_id, key, value) VALUES (?1, ?2, ?3)")?
        .execute(params![id, row.key, value])?;
    Ok(())
}

fn metrics(connection: &Connection, id: &str, rows: &[MetricRow]) -> Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO metrics (run_id, split, name, epoch, step, value, wall_time)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for row in rows {
        let (step, value, wall_time) = (integer(row.step), row.value, finite(row.wall_time));
        insert.execute(params![id, row.split, row.name, row.epoch, step, value, wall_time])?;
    }
    let Some(epoch) = rows.iter().map(|row| row.epoch).max() else {
        return Ok(());
    };
    connection
        .prepare_cached("UPDATE runs SET epoch = max(epoch, ?2) WHERE id = ?1")?
        .execute(params![id, epoch])?;
    Ok(())
}

fn result(connection: &Connection, id: &str, row: &ResultRow) -> Result<()> {
    let ends = (row.ci.map(|ci| ci.0), row.ci.map(|ci| ci.1));
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO results (run_id, split, name, target, value, ci_low, ci_high)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![id, row.split, row.name, row.target, row.value, ends.0, ends.1])?;
    Ok(())
}

fn baseline(connection: &Connection, id: &str, row: &BaselineRow) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO baselines (run_id, split, baseline, name, target, value)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![id, row.split, row.baseline, row.name, row.target, row.value])?;
    Ok(())
}

fn finished(connection: &Connection, id: &str, finish: &Finish, at: Timestamp) -> Result<()> {
    connection
        .prepare_cached("UPDATE runs SET status = ?2, finished_at = ?3, heartbeat_at = ?3, error = ?4 WHERE id = ?1")?
        .execute(params![id, finish.status.name(), time::text(at), finish.error])?;
    connection.execute("DELETE FROM artifacts WHERE run_id = ?1", [id])?;
    finish
        .artifacts
        .iter()
        .try_for_each(|row| artifact(connection, id, row))
}

fn artifact(connection: &Connection, id: &str, row: &ArtifactRow) -> Result<()> {
    connection
        .prepare_cached("INSERT INTO artifacts (run_id, path, sha256, bytes) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![id, row.path, row.sha256, integer(row.bytes)])?;
    Ok(())
}

fn tags(connection: &Connection, id: &str, change: &Tags) -> Result<()> {
    for tag in &change.added {
        connection.execute("INSERT OR IGNORE INTO tags (run_id, tag) VALUES (?1, ?2)", [id, tag])?;
    }
    for tag in &change.removed {
        connection.execute("DELETE FROM tags WHERE run_id = ?1 AND tag = ?2", [id, tag])?;
    }
    Ok(())
}

fn note(connection: &Connection, id: &str, note: &Note, at: Timestamp) -> Result<()> {
    connection.execute(
        "INSERT INTO notes (run_id, at, text) SELECT ?1, ?2, ?3
         WHERE NOT EXISTS (SELECT 1 FROM notes WHERE run_id = ?1 AND at = ?2 AND text = ?3)",
        params![id, time::text(at), note.text],
    )?;
    Ok(())
}

/// Says that the run lives, also against a reader on another machine that has given it up.
pub(super) fn heartbeat(connection: &Connection, id: &str, at: Timestamp) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE runs SET heartbeat_at = ?2, status = ?3, finished_at = NULL, error = NULL WHERE id = ?1",
        )?
        .execute(params![id, time::text(at), Status::Running.name()])?;
    Ok(())
}

/// SQLite's integers are signed; what does not fit is far beyond any count here.
fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// SQLite keeps NaN as NULL, which `wall_time` does not take.
fn finite(value: f64) -> impl ToSql {
    ToSqlOutput::from(if value.is_nan() { 0.0 } else { value })
}
