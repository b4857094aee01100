//! Splits in files: a paper's, or one that was written by [`write`].
//!
//! A CSV file with the columns `id` and `split` (train, val, test; other columns are passed over), or with `group` and `split`: a row
//! then speaks for all examples of its group.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::declared::no_leaks;
use super::{Error, Split, groups};
use crate::dataset::Manifest;
use crate::dataset::csv_file::CsvFile;

/// The side of every example, as the file says.
pub(super) fn assign(manifest: &Manifest, path: &Path) -> Result<Vec<Split>, Error> {
    let unusable = |what: String| Error::File {
        path: path.into(),
        what,
    };
    let file = CsvFile::read(path).map_err(|error| unusable(error.to_string()))?;
    if let Some(fault) = file.faults.first() {
        return Err(unusable(fault.to_string()));
    }
    let column = |name: &str| file.header.iter().position(|it| it.eq_ignore_ascii_case(name));
    let Some(split) = column("split") else {
        return Err(unusable(format!(
            "it has no column `split`, but {}",
            file.header.join(", ")
        )));
    };
    let (key, of_groups) = match (column("id"), column("group")) {
        (Some(id), _) => (id, false),
        (None, Some(group)) => (group, true),
        (None, None) => {
            return Err(unusable(format!(
                "it has no column `id` or `group`, but {}",
                file.header.join(", ")
            )));
        }
    };
    let mut declared: BTreeMap<&str, Split> = BTreeMap::new();
    for row in &file.rows {
        let Some(side) = Split::named(row.get(split)) else {
            let text = row.get(split);
            return Err(unusable(format!(
                "line {}: split is \"{text}\", not train, val or test",
                row.line
            )));
        };
        let key = row.get(key);
        if declared.insert(key, side).is_some_and(|before| before != side) {
            return Err(unusable(format!(
                "line {}: `{key}` stands twice, on two sides",
                row.line
            )));
        }
    }
    let side = |example: &crate::dataset::Example| {
        let key = if of_groups { &example.group } else { &example.id };
        declared.get(key.as_str()).copied()
    };
    let sides: Vec<Split> = manifest.examples.iter().filter_map(side).collect();
    if sides.len() < manifest.examples.len() {
        let undeclared = manifest.examples.iter().filter(|example| side(example).is_none());
        return Err(Error::Undeclared {
            examples: manifest.examples.len(),
            undeclared: undeclared.map(|example| example.id.clone()).collect(),
            kind: "file",
        });
    }
    let of_groups: Vec<(&str, BTreeSet<Split>)> = (groups(manifest).into_iter())
        .map(|(group, positions)| {
            (
                group,
                positions.iter().filter_map(|&at| sides.get(at).copied()).collect(),
            )
        })
        .collect();
    no_leaks(of_groups.iter().map(|(group, sides)| (*group, sides)))?;
    match Split::ALL.into_iter().find(|side| !sides.contains(side)) {
        Some(side) => Err(Error::EmptySide {
            side,
            left_out: manifest.faults.len(),
        }),
        None => Ok(sides),
    }
}

/// `id,group,split`, a row per example in the manifest's order: what [`SplitSpec::File`](super::SplitSpec::File) reads.
pub fn write(manifest: &Manifest, sides: &[Split]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut writer = csv::Writer::from_writer(&mut text);
    // Writing to memory does not fail, and all rows have one length.
    let _ = writer.write_record(["id", "group", "split"]);
    for (example, side) in manifest.examples.iter().zip(sides) {
        let _ = writer.write_record([&example.id, &example.group, side.name()]);
    }
    let _ = writer.flush();
    drop(writer);
    text
}
