//! `kind = "imemnet-c-image"`: pictures with the valence and arousal that they express.

use std::collections::HashMap;
use std::path::PathBuf;

use super::arrays::ArrayNames;
use super::c_music;
use super::spec::{ImemnetCImageSpec, Pictures};
use super::va::{self, Of, Row};
use crate::dataset::audio_files::Inspected;
use crate::dataset::folder::files_under;
use crate::dataset::load::{Recordings, check_root, conclude, remark_on_faults};
use crate::dataset::scale::Rescaling;
use crate::dataset::{DeamScale, Error, Example, Manifest, Media, Target, Task, deam};

/// What pictures are stored as.
const EXTENSIONS: [&str; 3] = ["jpg", "jpeg", "png"];

/// Reads the table and looks for the pictures.
pub(in crate::dataset) fn load(spec: &ImemnetCImageSpec, recordings: Recordings) -> Result<Manifest, Error> {
    deam::check_targets(&spec.targets)?;
    check_root(&spec.root)?;
    let mut table = va::read(&spec.root.join(&spec.file), Of::Image)?;
    let problems = std::mem::take(&mut table.faults);
    let rescaling = Rescaling::new(DeamScale::Unit, spec.scale);
    let mut remarks = vec![rescaling.remark("values")];
    remarks.extend(table.resolve(spec.repeated, "pictures"));
    let mut annotation_files = vec![spec.root.join(&spec.file)];
    let place = Place::of(spec)?;
    if let Place::Arrays(arrays) = &place {
        annotation_files.extend(arrays.manifests.iter().cloned());
    }
    let sides = c_music::splits(
        spec.matching.as_deref(),
        &spec.root,
        Of::Image,
        &spec.split,
        &mut annotation_files,
    )?;
    let rows = table.rows.len();
    let ids = c_music::unique_ids(&table.rows);
    let examples: Vec<Example> = (table.rows.into_iter().zip(ids))
        .filter(|(row, _)| sides.as_ref().is_none_or(|sides| sides.contains_key(&row.id)))
        .map(|(row, id)| Example {
            id,
            media: Media::Image { path: place.path(&row) },
            target: Target::Values(c_music::values(&row, &spec.targets, rescaling)),
            deviations: Vec::new(),
            split: c_music::side(sides.as_ref(), &row.id),
            details: None,
            source: row.source,
            group: row.id,
        })
        .collect();
    if let Some(remark) = c_music::remark_on_matching(sides.as_ref(), examples.len(), rows, "pictures") {
        remarks.push(remark);
    }
    let Inspected { examples, faults } = conclude(examples, problems, spec.on_error, recordings)?;
    remarks.extend(remark_on_faults(&faults, &examples, spec.on_error));
    Ok(Manifest {
        root: spec.root.clone(),
        task: Task::Regression {
            targets: spec
                .targets
                .iter()
                .map(|target| deam::name(*target).to_owned())
                .collect(),
        },
        examples,
        annotation_files,
        faults,
        remarks,
    })
}

/// Where pictures are found.
enum Place {
    Files {
        folder: PathBuf,
        /// By the name without extension.
        files: HashMap<String, PathBuf>,
    },
    Arrays(ArrayNames),
}

impl Place {
    fn of(spec: &ImemnetCImageSpec) -> Result<Self, Error> {
        let folder = spec.root.join(&spec.folder);
        if spec.pictures == Pictures::Arrays {
            return Ok(Self::Arrays(ArrayNames::read(&folder)?));
        }
        let mut files: HashMap<String, PathBuf> = HashMap::new();
        for path in files_under(&folder, &EXTENSIONS)? {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            // Sorted by path, so the same one wins on every system.
            files.entry(stem).or_insert(path);
        }
        Ok(Self::Files { folder, files })
    }

    /// The picture of a row; the place where it should be when it is missing.
    fn path(&self, row: &Row) -> PathBuf {
        match self {
            Self::Files { folder, files } => match files.get(&row.id) {
                Some(path) => path.clone(),
                None => folder.join(format!("{}.jpg", row.id)),
            },
            Self::Arrays(arrays) => match arrays.array(&row.id) {
                Some(name) => arrays.folder.join(name),
                None => arrays.folder.join(format!("(no array of {}).npy", row.id)),
            },
        }
    }
}
