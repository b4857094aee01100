//! The records as tables for other programs: CSV, which anything reads, and Parquet, which keeps the types.

mod csv;
mod parquet;
mod tables;

use std::path::{Path, PathBuf};

use rusqlite::Rows;

use super::Error;
use super::database::Database;
use crate::files;
use tables::{Column, TABLES};

/// What the tables are written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// With every digit; what there is not (NaN too) is empty.
    Csv,
    /// Numbers, texts and moments as such; what there is not (NaN too) is null. `params` has its numbers in a column of their own
    /// beside the texts.
    Parquet,
}

impl Format {
    fn ending(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }
}

/// Why a table could not be written; the fault of the database comes first.
enum Fault {
    Database(rusqlite::Error),
    File(std::io::Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::File(error)
    }
}

impl Database {
    /// Writes one file for each table into `folder`. `runs`: the ids of those that are wanted; `None`: all. The files that were
    /// written, with their numbers of rows.
    ///
    /// # Errors
    /// A database that cannot be read, files that cannot be written.
    pub fn export(
        &self,
        format: Format,
        folder: &Path,
        runs: Option<&[String]>,
    ) -> Result<Vec<(PathBuf, usize)>, Error> {
        self.correct_the_dead()?;
        files::create_folder(folder)?;
        let mut written = Vec::new();
        for table in &TABLES {
            let (condition, values) = match runs {
                None => ("TRUE".to_owned(), Vec::new()),
                Some(ids) => (
                    format!("{} IN (SELECT value FROM json_each(?1))", table.run),
                    vec![serde_json::json!(ids).to_string()],
                ),
            };
            let path = folder.join(format!("{}.{}", table.name, format.ending()));
            let mut statement = self
                .connection
                .prepare(&table.query(&condition))
                .map_err(self.at("read"))?;
            let mut rows = statement
                .query(rusqlite::params_from_iter(values))
                .map_err(self.at("read"))?;
            let (mut count, mut fault) = (0, None);
            files::write_whole_with(&path, |file| {
                let done = write(format, table.name, table.columns, &mut rows, file);
                match done {
                    Ok(rows) => count = rows,
                    Err(Fault::File(error)) => return Err(error),
                    Err(Fault::Database(error)) => {
                        fault = Some(error);
                        return Err(std::io::ErrorKind::InvalidData.into());
                    }
                }
                Ok(())
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

/// The number of rows.
fn write(
    format: Format,
    table: &str,
    columns: &[Column],
    rows: &mut Rows<'_>,
    file: &mut files::Sink,
) -> Result<usize, Fault> {
    match format {
        Format::Csv => csv::write(columns, rows, file),
        Format::Parquet => parquet::write(table, columns, rows, file),
    }
}
