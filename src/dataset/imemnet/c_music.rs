//! `kind = "imemnet-c-music"`: clips of music with the valence and arousal that they express, and captions. Also what it shares
//! with the pictures.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::spec::{ImemnetCMusicSpec, MatchingFiles};
use super::va::{self, Of, Row};
use super::{image_stem, matching, song_of};
use crate::dataset::audio_files::Inspected;
use crate::dataset::folder::files_under;
use crate::dataset::load::{Recordings, check_root, conclude, remark_on_faults};
use crate::dataset::scale::Rescaling;
use crate::dataset::{
    DeamScale, DeamTarget, Details, Error, Example, Manifest, Media, Problems, Split, SplitSpec, Target, Task, Window,
    deam, split,
};

/// What clips are stored as.
const EXTENSIONS: [&str; 5] = ["wav", "mp3", "flac", "m4a", "ogg"];

/// Reads the table and looks for the clips.
pub(in crate::dataset) fn load(spec: &ImemnetCMusicSpec, recordings: Recordings) -> Result<Manifest, Error> {
    deam::check_targets(&spec.targets)?;
    check_root(&spec.root)?;
    let mut table = va::read(&spec.root.join(&spec.file), Of::Music)?;
    let problems = std::mem::take(&mut table.faults);
    let rescaling = Rescaling::new(DeamScale::Unit, spec.scale);
    let mut remarks = vec![rescaling.remark("values")];
    remarks.extend(table.resolve(spec.repeated, "clips"));
    let mut annotation_files = vec![spec.root.join(&spec.file)];
    let sides = splits(
        spec.matching.as_deref(),
        &spec.root,
        Of::Music,
        &spec.split,
        &mut annotation_files,
    )?;
    let folder = spec.root.join(&spec.folder);
    let mut files: HashMap<String, PathBuf> = HashMap::new();
    for path in files_under(&folder, &EXTENSIONS)? {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        files.entry(stem).or_insert(path);
    }
    let rows = table.rows.len();
    let ids = unique_ids(&table.rows);
    let examples: Vec<Example> = (table.rows.into_iter().zip(ids))
        .filter(|(row, _)| sides.as_ref().is_none_or(|sides| sides.contains_key(&row.id)))
        .map(|(row, id)| Example {
            id,
            group: song_of(&row.id).to_owned(),
            media: Media::Audio {
                path: files
                    .get(&row.id)
                    .cloned()
                    .unwrap_or_else(|| folder.join(format!("{}.wav", row.id))),
                window: Window::default(),
            },
            target: Target::Values(values(&row, &spec.targets, rescaling)),
            deviations: Vec::new(),
            split: side(sides.as_ref(), &row.id),
            details: row.caption.map(|caption| {
                Box::new(Details {
                    text: Some(caption),
                    ..Details::default()
                })
            }),
            source: row.source,
        })
        .collect();
    if let Some(remark) = remark_on_matching(sides.as_ref(), examples.len(), rows, "clips") {
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

/// The targets of a row.
pub(super) fn values(row: &Row, targets: &[DeamTarget], rescaling: Rescaling) -> Vec<f32> {
    let values = targets.iter().map(|target| match target {
        DeamTarget::Valence => row.valence,
        DeamTarget::Arousal => row.arousal,
    });
    values.map(|value| rescaling.value(value)).collect()
}

/// The ids, told apart by a number where rows share one.
pub(super) fn unique_ids(rows: &[Row]) -> Vec<String> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let numbered = rows.iter().map(|row| {
        let count = counts.entry(&row.id).or_default();
        *count += 1;
        match *count {
            1 => row.id.clone(),
            count => format!("{}#{count}", row.id),
        }
    });
    numbered.collect()
}

/// The official split of every clip or picture that a matching file names.
pub(super) type Sides = BTreeMap<String, BTreeSet<Split>>;

/// The splits of each id by the raw matching files in `folder`. The files are added to `annotation_files`.
///
/// # Errors
/// Nothing can be read; or the official split is asked for and ids are in several of its files.
pub(super) fn splits(
    folder: Option<&Path>,
    root: &Path,
    of: Of,
    wanted: &SplitSpec,
    annotation_files: &mut Vec<PathBuf>,
) -> Result<Option<Sides>, Error> {
    let Some(folder) = folder else { return Ok(None) };
    let mut sides = Sides::new();
    let mut problems = Vec::new();
    for (split, path) in matching::find(&root.join(folder), MatchingFiles::Raw)? {
        let mut ids: BTreeSet<String> = BTreeSet::new();
        problems.extend(matching::each_line(&path, |line| {
            let id = match of {
                Of::Image => image_stem(line.image),
                Of::Music => line.clip,
            };
            if !ids.contains(id) {
                ids.insert(id.to_owned());
            }
        })?);
        for id in ids {
            sides.entry(id).or_default().insert(split);
        }
        annotation_files.push(path);
    }
    if !problems.is_empty() {
        return Err(Box::new(Problems {
            rows: problems,
            ..Problems::default()
        })
        .into());
    }
    if *wanted == SplitSpec::Official {
        split::no_leaks(sides.iter().map(|(id, sides)| (id.as_str(), sides)))?;
    }
    Ok(Some(sides))
}

/// The first of the official splits of an id.
pub(super) fn side(sides: Option<&Sides>, id: &str) -> Option<Split> {
    sides?.get(id)?.first().copied()
}

/// How many were left out because no pair names them.
pub(super) fn remark_on_matching(sides: Option<&Sides>, used: usize, rows: usize, what: &str) -> Option<String> {
    sides.map(|_| format!("{used} of {rows} {what} are in a pair of the matching files; the others are left out"))
}
