//! Features in the layouts of other tools.
//!
//! Every file is written whole or not at all. Beside the arrays stands `examples.csv`: which file and row belongs to which
//! example, with its split and what is true of it. Values are those that the network would see.

use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;

use super::layout::{Layout, Place, Places};
use super::{Error, FeatureSet};
use crate::dataset::{Manifest, Split, Target, Task};
use crate::{files, npy_header};

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// Files with arrays.
    pub files: usize,
    pub arrays: usize,
    /// Of all arrays, without headers.
    pub bytes: u64,
    /// `.npy` files in the folder that were there before and are not among these.
    pub others: usize,
}

/// The list of examples beside the arrays.
const EXAMPLES: &str = "examples.csv";

/// Writes the arrays of all examples that are available into `folder`. `splits` has one entry per example.
///
/// # Errors
/// The features do not fit the layout; the cache cannot be read or the folder not written.
pub fn export(
    features: &FeatureSet,
    manifest: &Manifest,
    splits: &[Split],
    layout: Layout,
    folder: &Path,
) -> Result<Exported, Error> {
    let shape = features.shape();
    let [1, mels, frames] = shape else {
        return Err(Error::Channels { shape, layout });
    };
    let places = layout
        .places(manifest, splits, |example| features.is_available(example))
        .map_err(super::NpyError::from)?;
    files::create_folder(folder)?;
    let array = [mels as u64, frames as u64];
    match layout {
        Layout::SongSeg => one_each(features, &places, array, folder)?,
        Layout::MeldArrays => several_each(features, &places, array, folder)?,
    }
    files::write_whole(&folder.join(EXAMPLES), &examples(manifest, splits, &places))?;
    let arrays = places.of.iter().flatten().count();
    Ok(Exported {
        files: places.files.len(),
        arrays,
        bytes: (arrays * features.array_len() * 4) as u64,
        others: others(folder, &places)?,
    })
}

/// A file for each example.
fn one_each(features: &FeatureSet, places: &Places, array: [u64; 2], folder: &Path) -> Result<(), Error> {
    places
        .of
        .par_iter()
        .enumerate()
        .try_for_each_init(Vec::new, |values, (example, place)| {
            let Some(name) = place.and_then(|place| places.files.get(place.file)) else {
                return Ok(());
            };
            values.resize(features.array_len(), 0.0);
            features.read(example, values)?;
            files::write_whole_with(&folder.join(name), |writer| {
                npy_header::write(writer, &array)?;
                write(writer, values)
            })?;
            Ok(())
        })
}

/// A file for many examples, in the order of the dataset.
fn several_each(features: &FeatureSet, places: &Places, array: [u64; 2], folder: &Path) -> Result<(), Error> {
    let mut values = vec![0.0; features.array_len()];
    for (index, name) in places.files.iter().enumerate() {
        let of_file = |place: &Option<Place>| place.is_some_and(|place| place.file == index);
        let examples: Vec<usize> = (0..places.of.len())
            .filter(|&example| of_file(&places.of[example]))
            .collect();
        let mut unreadable = None;
        let written = files::write_whole_with(&folder.join(name), |writer| {
            npy_header::write(writer, &[examples.len() as u64, array[0], array[1], 1])?;
            for &example in &examples {
                if let Err(error) = features.read(example, &mut values) {
                    let text = error.to_string();
                    unreadable = Some(error);
                    return Err(std::io::Error::other(text));
                }
                write(writer, &values)?;
            }
            Ok(())
        });
        match unreadable {
            Some(error) => return Err(error),
            None => written?,
        }
    }
    Ok(())
}

fn write(writer: &mut dyn std::io::Write, values: &[f32]) -> std::io::Result<()> {
    if cfg!(target_endian = "big") {
        return values
            .iter()
            .try_for_each(|value| writer.write_all(&value.to_le_bytes()));
    }
    writer.write_all(bytemuck::cast_slice(values))
}

/// `file,row,id,group,split` and the targets, or the label.
fn examples(manifest: &Manifest, splits: &[Split], places: &Places) -> Vec<u8> {
    let mut header: Vec<&str> = vec!["file", "row", "id", "group", "split"];
    match &manifest.task {
        Task::Regression { targets } => header.extend(targets.iter().map(String::as_str)),
        Task::Classification { label, .. } => header.push(label),
    }
    let mut text = Vec::new();
    let mut writer = csv::Writer::from_writer(&mut text);
    let mut rows: Vec<(Place, usize)> = places
        .of
        .iter()
        .enumerate()
        .filter_map(|(example, place)| Some(((*place)?, example)))
        .collect();
    rows.sort_by_key(|(place, example)| (place.file, place.row, *example));
    let records = rows.into_iter().map(|(place, example)| {
        let Some((example, split)) = manifest.examples.get(example).zip(splits.get(example)) else {
            return Vec::new();
        };
        let mut record = vec![
            places.files.get(place.file).cloned().unwrap_or_default(),
            place.row.to_string(),
            example.id.clone(),
            example.group.clone(),
            split.name().into(),
        ];
        match (&example.target, &manifest.task) {
            (Target::Values(values), _) => record.extend(values.iter().map(f32::to_string)),
            (Target::Class(class), Task::Classification { classes, .. }) => {
                record.push(classes.get(*class as usize).cloned().unwrap_or_default());
            }
            (Target::Class(class), Task::Regression { .. }) => record.push(class.to_string()),
        }
        record
    });
    // Writing to memory does not fail, and all rows have one length.
    let _ = writer.write_record(&header);
    for record in records {
        let _ = writer.write_record(&record);
    }
    let _ = writer.flush();
    drop(writer);
    text
}

/// Counts arrays of which nobody could say that they are not of this export.
fn others(folder: &Path, places: &Places) -> Result<usize, files::Error> {
    let ours: std::collections::HashSet<&str> = places.files.iter().map(String::as_str).collect();
    let entries = std::fs::read_dir(folder).map_err(files::Error::at("read", folder))?;
    let is_other = |name: &std::ffi::OsStr| {
        Path::new(name).extension().is_some_and(|extension| extension == "npy")
            && name.to_str().is_none_or(|name| !ours.contains(name))
    };
    Ok(entries.flatten().filter(|entry| is_other(&entry.file_name())).count())
}
