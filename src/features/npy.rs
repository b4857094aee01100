//! `[features] kind = "npy"`: arrays that another tool computed, read where they lie.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::content::{ContentHashes, Stamp};
use super::feature_set::{Arrays, FeatureSet, Row};
use super::layout::{Layout, Place, SameName};
use super::store::Store;
use super::timings::{Clocks, Stage};
use super::{Error, NpyRecipe, Progress, read_at};
use crate::dataset::{Fault, Manifest, OnError, Split};
use crate::files;
use crate::npy_header::{self, Float, shape_text};

/// Why arrays that another tool computed cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NpyError {
    #[error("the folder of the arrays, `{}`, cannot be read: {source}", path.display())]
    Folder { path: PathBuf, source: std::io::Error },
    #[error("`{}` cannot be used: {what}", path.display())]
    File { path: PathBuf, what: String },
    #[error(
        "`{}` has shape {shape}: {rows} arrays, but the split `{}` has {examples} examples",
        path.display(),
        split.name()
    )]
    Count {
        path: PathBuf,
        shape: String,
        rows: u64,
        split: Split,
        examples: u64,
    },
    #[error("`{}` has arrays of shape {found}, `{}` of shape {expected}", path.display(), first.display())]
    Shape {
        path: PathBuf,
        found: String,
        first: PathBuf,
        expected: String,
    },
    #[error("the recording `{song}` has {clips} clips in the dataset, but there is `{}`", path.display())]
    MoreClips { song: String, clips: usize, path: PathBuf },
    #[error("`{}` changed after it was opened", path.display())]
    Changed { path: PathBuf },
    #[error(transparent)]
    SameName(#[from] SameName),
}

impl NpyError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Folder { .. } => Some("`features.folder` names it, relative to where the program runs"),
            Self::File { .. } => Some("write it with `np.save(file, np.ascontiguousarray(array, dtype=\"<f4\"))`"),
            Self::Count { .. } => Some(
                "the arrays must be those of this dataset and this split, one for each example, in the dataset's order",
            ),
            Self::Shape { .. } => Some("a network needs arrays of one shape: cut or pad them"),
            Self::MoreClips { .. } => Some(
                "clips are counted from 0 by their start: with another number of clips, arrays and targets would be paired wrongly",
            ),
            Self::Changed { .. } => Some("run again when nobody writes to it"),
            Self::SameName(_) => Some("use the layout \"meld-arrays\", or rename the files"),
        }
    }
}

/// Open arrays.
pub(super) struct NpyFiles {
    files: Vec<NpyFile>,
    places: Vec<Place>,
}

/// A file whose header was read.
struct NpyFile {
    path: PathBuf,
    stamp: Stamp,
    float: Float,
    offset: u64,
    shape: Vec<u64>,
}

impl NpyFile {
    fn open(path: PathBuf) -> Result<Self, Fault> {
        let read = || {
            let file = File::open(&path).map_err(|error| super::describe(&error))?;
            let metadata = file.metadata().map_err(|error| error.to_string())?;
            if !metadata.is_file() {
                return Err("it is not a file".into());
            }
            let header = npy_header::read(&file, metadata.len())?;
            Ok((Stamp::of_file(&file).map_err(|error| error.to_string())?, header))
        };
        match read() {
            Ok((stamp, header)) => Ok(Self {
                stamp,
                float: header.float,
                offset: header.offset,
                shape: header.shape,
                path,
            }),
            Err(what) => Err(Fault { path, line: None, what }),
        }
    }

    /// The array in `row`. The file is opened each time, which costs a hundredth of reading it: there may be more files than
    /// a process can keep open.
    fn read(&self, row: u64, out: &mut [f32]) -> Result<(), Error> {
        let at = files::Error::at("read", &self.path);
        let mut read = || {
            let file = File::open(&self.path)?;
            if Stamp::of_file(&file)? != self.stamp {
                return Ok(false);
            }
            let offset = self.offset + row * out.len() as u64 * self.float.size();
            match self.float {
                Float::F32 => read_at::floats(&file, offset, out)?,
                Float::F64 => read_at::doubles(&file, offset, out)?,
            }
            Ok(true)
        };
        match read().map_err(at)? {
            true => Ok(()),
            false => Err(NpyError::Changed {
                path: self.path.clone(),
            }
            .into()),
        }
    }
}

impl NpyFiles {
    /// The array that [`Row::Stored`] has the number of.
    pub fn read(&self, row: u64, out: &mut [f32]) -> Result<(), Error> {
        let place = usize::try_from(row).ok().and_then(|row| self.places.get(row));
        match place.and_then(|place| Some((place.row, self.files.get(place.file)?))) {
            Some((row, file)) => file.read(row, out),
            None => {
                out.fill(0.0);
                Ok(())
            }
        }
    }
}

/// Files with their headers checked, and where each example is.
pub(super) struct Opened {
    files: NpyFiles,
    pub shape: [usize; 3],
    rows: Vec<Row>,
    faults: Vec<Fault>,
}

/// Opens the files of a recipe. `splits` has one entry per example.
pub(super) fn open(
    recipe: &NpyRecipe,
    manifest: &Manifest,
    splits: &[Split],
    on_error: OnError,
) -> Result<Opened, Error> {
    let places = recipe
        .layout
        .places(manifest, splits, |_| true)
        .map_err(NpyError::from)?;
    if recipe.layout == Layout::SongSeg {
        refuse_more_clips(recipe, &places.files)?;
    }
    let wanted = |file: usize| places.of.iter().flatten().any(|place| place.file == file);
    let results: Vec<Option<Result<NpyFile, Fault>>> = places
        .files
        .par_iter()
        .enumerate()
        .map(|(index, name)| {
            // A split without examples needs no file.
            let is_wanted = recipe.layout == Layout::SongSeg || wanted(index);
            is_wanted.then(|| NpyFile::open(recipe.folder.join(name)))
        })
        .collect();
    let mut faults = Vec::new();
    let mut files = Vec::new();
    let mut position = HashMap::new();
    let mut common: Option<([usize; 3], PathBuf)> = None;
    for (index, result) in results.into_iter().enumerate() {
        let checked = match result {
            None => continue,
            Some(Err(fault)) => Err(fault),
            Some(Ok(file)) => match array_shape(recipe.layout, &file.shape) {
                Ok(shape) => Ok((file, shape)),
                Err(what) => Err(Fault {
                    path: file.path,
                    line: None,
                    what,
                }),
            },
        };
        match checked {
            Ok((file, shape)) => {
                let (expected, first) = common.get_or_insert_with(|| (shape, file.path.clone()));
                if *expected != shape {
                    return Err(NpyError::Shape {
                        path: file.path,
                        found: mels_and_frames(shape),
                        first: first.clone(),
                        expected: mels_and_frames(*expected),
                    }
                    .into());
                }
                position.insert(index, files.len());
                files.push(file);
            }
            Err(fault) if recipe.layout == Layout::SongSeg => faults.push(fault),
            Err(Fault { path, what, .. }) => return Err(NpyError::File { path, what }.into()),
        }
    }
    if recipe.layout == Layout::MeldArrays {
        check_counts(&files, splits)?;
    }
    let mut kept = Vec::new();
    let rows: Vec<Row> = places
        .of
        .iter()
        .map(|place| {
            let place = place.and_then(|place| {
                Some(Place {
                    file: *position.get(&place.file)?,
                    row: place.row,
                })
            });
            match place {
                Some(place) => {
                    kept.push(place);
                    Row::Stored(kept.len() as u64 - 1)
                }
                None => Row::without_array(on_error),
            }
        })
        .collect();
    if on_error == OnError::Fail && !faults.is_empty() {
        return Err(Error::Faults(faults));
    }
    super::some_are_left(&rows, &faults)?;
    Ok(Opened {
        files: NpyFiles { files, places: kept },
        shape: common.map_or([1, 0, 0], |(shape, _)| shape),
        rows,
        faults,
    })
}

/// `[channels, rows, frames]` of one array.
fn array_shape(layout: Layout, shape: &[u64]) -> Result<[usize; 3], String> {
    let (found, wanted) = match (layout, shape) {
        (Layout::SongSeg, [mels, frames]) => (Some((*mels, *frames)), "(mels, frames)"),
        (Layout::SongSeg, _) => (None, "(mels, frames)"),
        (Layout::MeldArrays, [_, mels, frames, 1] | [_, mels, frames]) => (Some((*mels, *frames)), ""),
        (Layout::MeldArrays, _) => (None, "(examples, mels, frames, 1)"),
    };
    let Some((mels, frames)) = found else {
        return Err(format!("its shape is {}; expected {wanted}", shape_text(shape)));
    };
    match (usize::try_from(mels), usize::try_from(frames)) {
        (Ok(mels @ 1..), Ok(frames @ 1..)) => Ok([1, mels, frames]),
        _ => Err(format!("its shape is {}: there are no values in it", shape_text(shape))),
    }
}

fn mels_and_frames([_, mels, frames]: [usize; 3]) -> String {
    format!("({mels}, {frames})")
}

fn check_counts(files: &[NpyFile], splits: &[Split]) -> Result<(), NpyError> {
    for split in Split::ALL {
        let examples = splits.iter().filter(|&&other| other == split).count() as u64;
        let name = format!("X_audio_{}.npy", split.name());
        let file = files.iter().find(|file| file.path.ends_with(&name));
        if let Some(file) = file
            && file.shape.first() != Some(&examples)
        {
            return Err(NpyError::Count {
                path: file.path.clone(),
                shape: shape_text(&file.shape),
                rows: file.shape.first().copied().unwrap_or_default(),
                split,
                examples,
            });
        }
    }
    Ok(())
}

/// A file that is one clip too many of a recording means that clips were counted in another way.
fn refuse_more_clips(recipe: &NpyRecipe, names: &[String]) -> Result<(), NpyError> {
    let mut clips: HashMap<&str, usize> = HashMap::new();
    for name in names {
        if let Some((song, _)) = parsed(name) {
            *clips.entry(song).or_default() += 1;
        }
    }
    let folder = |source| NpyError::Folder {
        path: recipe.folder.clone(),
        source,
    };
    let mut found: Vec<(String, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(&recipe.folder).map_err(folder)? {
        let name = entry.map_err(folder)?.file_name();
        let Some((song, number)) = name.to_str().and_then(parsed) else {
            continue;
        };
        if clips.get(song).is_some_and(|&clips| number >= clips) {
            found.push((song.to_owned(), recipe.folder.join(&name)));
        }
    }
    found.sort();
    match found.into_iter().next() {
        Some((song, path)) => Err(NpyError::MoreClips {
            clips: clips.get(song.as_str()).copied().unwrap_or_default(),
            song,
            path,
        }),
        None => Ok(()),
    }
}

/// The song and the number in `song_{id}_seg_{j}.npy`.
fn parsed(name: &str) -> Option<(&str, usize)> {
    let (song, number) = name.strip_prefix("song_")?.strip_suffix(".npy")?.rsplit_once("_seg_")?;
    Some((song, number.parse().ok()?))
}

/// A feature set of opened files; their content is hashed for the run's record.
pub(super) fn load(
    recipe: &NpyRecipe,
    opened: Opened,
    cache: &Path,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<FeatureSet, Error> {
    let clocks = Clocks::default();
    let content = content(&opened, cache, &clocks, progress)?;
    let identity = serde_json::json!({ "npy": recipe.layout, "normalize": recipe.normalize, "shape": opened.shape });
    Ok(FeatureSet {
        shape: opened.shape,
        key: Store::name(&identity.to_string()),
        content,
        rows: opened.rows,
        arrays: Arrays::Npy(opened.files),
        normalize: recipe.normalize,
        statistics: None,
        faults: opened.faults,
        damaged: Vec::new(),
        computed: 0,
        timings: clocks.read(),
    })
}

/// Of all arrays, in the order of the examples.
fn content(
    opened: &Opened,
    cache: &Path,
    clocks: &Clocks,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<String, Error> {
    let hashes = ContentHashes::open(cache);
    let (done, total) = (AtomicUsize::new(0), opened.files.files.len());
    let of_files: Vec<String> = opened
        .files
        .files
        .par_iter()
        .map(|file| {
            let hashed = clocks.time(Stage::Hashing, || hashes.hash(&file.path));
            progress(Progress::Checking {
                done: done.fetch_add(1, Ordering::Relaxed) + 1,
                total,
            });
            match hashed.map_err(files::Error::at("read", &file.path))? {
                (stamp, hash) if stamp == file.stamp => Ok(hash),
                _ => Err(NpyError::Changed {
                    path: file.path.clone(),
                }
                .into()),
            }
        })
        .collect::<Result<_, Error>>()?;
    if files::create_folder(cache).is_ok() {
        hashes.save();
    }
    let mut content = blake3::Hasher::new();
    for row in &opened.rows {
        let place = match row {
            Row::Stored(row) => usize::try_from(*row).ok().and_then(|row| opened.files.places.get(row)),
            Row::Zeros | Row::Missing => None,
        };
        let text = match place {
            Some(place) => format!(
                "{} {}\n",
                of_files.get(place.file).map_or("", String::as_str),
                place.row
            ),
            None => "\n".into(),
        };
        content.update(text.as_bytes());
    }
    Ok(content.finalize().to_hex().to_string())
}
