//! Which column is what.

use crate::dataset::csv_file::CsvFile;
use crate::dataset::{Fault, TableSpec};

/// A column that was asked for and is there.
pub(super) struct Column {
    pub index: usize,
    pub name: String,
}

/// The columns that the settings name. One that is missing has become a fault, and is `None`.
pub(super) struct Columns {
    pub audio: Option<Column>,
    pub targets: Vec<Column>,
    pub label: Option<Column>,
    pub id: Option<Column>,
    pub group: Option<Column>,
    pub split: Option<Column>,
    pub start: Option<Column>,
    pub end: Option<Column>,
}

impl Columns {
    /// Finds them in `file`'s header; adds every missing one to `problems`.
    pub fn find(file: &CsvFile, spec: &TableSpec, problems: &mut Vec<Fault>) -> Self {
        let mut find = |name: &str, setting: &str| match file.column(name, setting) {
            Ok(index) => Some(Column {
                index,
                name: name.trim().to_owned(),
            }),
            Err(fault) => {
                problems.push(fault);
                None
            }
        };
        Self {
            audio: find(&spec.audio, "dataset.audio"),
            targets: (spec.targets.iter())
                .filter_map(|name| find(name, "dataset.targets"))
                .collect(),
            label: spec.label.as_ref().and_then(|name| find(name, "dataset.label")),
            id: spec.id.as_ref().and_then(|name| find(name, "dataset.id")),
            group: spec.group.as_ref().and_then(|name| find(name, "dataset.group")),
            split: spec
                .split_column
                .as_ref()
                .and_then(|name| find(name, "dataset.split_column")),
            start: spec.start.as_ref().and_then(|name| find(name, "dataset.start")),
            end: spec.end.as_ref().and_then(|name| find(name, "dataset.end")),
        }
    }
}
