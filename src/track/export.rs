//! The records as tables for other programs.

use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;

use super::Error;
use super::database::Database;
use crate::files;

/// File and query; a run's settings stand in `params`, so the runs need no texts of whole files.
const TABLES: [(&str, &str); 7] = [
    (
        "runs",
        "SELECT id, experiment, status, seed, device, created_at, started_at, finished_at, host, git_commit, config_hash,
             data_fingerprint, feature_key, parent_id, epoch, error
         FROM runs WHERE {} ORDER BY created_at, id",
    ),
    ("params", "SELECT run_id, key, value FROM params WHERE {} ORDER BY run_id, key"),
    (
        "metrics",
        "SELECT run_id, split, name, epoch, step, value, wall_time FROM metrics WHERE {} ORDER BY run_id, split, name, step",
    ),
    (
        "results",
        "SELECT run_id, split, name, target, value, ci_low, ci_high FROM results WHERE {} ORDER BY run_id, split, name, target",
    ),
    (
        "baselines",
        "SELECT run_id, split, baseline, name, target, value FROM baselines WHERE {}
         ORDER BY run_id, split, baseline, name, target",
    ),
    ("tags", "SELECT run_id, tag FROM tags WHERE {} ORDER BY run_id, tag"),
    ("notes", "SELECT run_id, at, text FROM notes WHERE {} ORDER BY run_id, at"),
];

impl Database {
    /// Writes one CSV file for each table into `folder`, with every digit; what there is not (NaN too) is empty. `runs`: the ids
    /// of those that are wanted; `None`: all. The files that were written, with their numbers of rows.
    pub fn export_csv(&self, folder: &Path, runs: Option<&[String]>) -> Result<Vec<(PathBuf, usize)>, Error> {
        self.correct_the_dead()?;
        files::create_folder(folder)?;
        let mut written = Vec::new();
        for (name, query) in TABLES {
            let column = if name == "runs" { "id" } else { "run_id" };
            let (condition, values) = match runs {
                None => ("TRUE".to_owned(), Vec::new()),
                Some(ids) => (
                    format!("{column} IN (SELECT value FROM json_each(?1))"),
                    vec![serde_json::json!(ids).to_string()],
                ),
            };
            let path = folder.join(format!("{name}.csv"));
            let mut statement = self
                .connection
                .prepare(&query.replace("{}", &condition))
                .map_err(self.at("read"))?;
            let columns: Vec<String> = statement.column_names().map(String::from).collect();
            let mut rows = statement
                .query(rusqlite::params_from_iter(values))
                .map_err(self.at("read"))?;
            let (mut count, mut fault) = (0, None);
            files::write_whole_with(&path, |file| {
                let mut writer = csv::Writer::from_writer(file);
                writer.write_record(&columns)?;
                loop {
                    let row = match rows.next() {
                        Ok(Some(row)) => row,
                        Ok(None) => break,
                        Err(error) => {
                            fault = Some(error);
                            return Err(std::io::ErrorKind::InvalidData.into());
                        }
                    };
                    let is_seed = |index: usize| columns.get(index).is_some_and(|column| column == "seed");
                    let fields = (0..columns.len()).map(|index| match row.get_ref(index) {
                        // A seed beyond 2^63 is stored as the negative number of the same bits.
                        Ok(ValueRef::Integer(whole)) if is_seed(index) => whole.cast_unsigned().to_string(),
                        Ok(ValueRef::Integer(whole)) => whole.to_string(),
                        Ok(ValueRef::Real(real)) => real.to_string(),
                        Ok(ValueRef::Text(text)) => String::from_utf8_lossy(text).into_owned(),
                        Ok(ValueRef::Null | ValueRef::Blob(_)) | Err(_) => String::new(),
                    });
                    writer.write_record(fields)?;
                    count += 1;
                }
                writer.flush()
            })
            .map_err(|error| match fault.take() {
                Some(fault) => self.at("read")(fault),
                None => error.into(),
            })?;
            written.push((path, count));
        }
        Ok(written)
    }
}
