//! How other tools lay out arrays on disk: which file and which row of it belongs to which example.
//!
//! Writing and reading share these rules, so what is exported is found again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dataset::{Example, Manifest, Media, Split};

/// The files of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// `song_{id}_seg_{j}.npy`, a file a clip, [mels, frames]. The id is the name of the recording's file without its ending, j
    /// counts the clips of the recording from 0 by their start.
    SongSeg,
    /// `X_audio_train.npy`, `X_audio_val.npy` and `X_audio_test.npy`, each [examples, mels, frames, 1], in the order of the
    /// dataset.
    MeldArrays,
}

/// Where an example's array is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Index into [`Places::files`].
    pub file: usize,
    /// 0 where the file holds one array.
    pub row: u64,
}

/// Where the arrays of all examples are.
#[derive(Debug, Clone, PartialEq)]
pub struct Places {
    /// File names.
    pub files: Vec<String>,
    /// For each example; `None` for those that are left out.
    pub of: Vec<Option<Place>>,
}

/// Two recordings whose arrays would be one file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` and `{}` have one name: their arrays would both be `song_{id}_seg_….npy`",
    first.display(),
    second.display()
)]
pub struct SameName {
    id: String,
    first: PathBuf,
    second: PathBuf,
}

impl Layout {
    pub const ALL: [Self; 2] = [Self::SongSeg, Self::MeldArrays];

    /// The word for it in experiment files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::SongSeg => "song-seg",
            Self::MeldArrays => "meld-arrays",
        }
    }

    /// The layout of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layout| layout.name() == name)
    }

    /// The place of every example that `is_wanted`. `splits` has one entry per example.
    ///
    /// # Errors
    /// Recordings in different folders that have one name cannot be told apart in [`Self::SongSeg`].
    pub fn places(
        self,
        manifest: &Manifest,
        splits: &[Split],
        is_wanted: impl Fn(usize) -> bool,
    ) -> Result<Places, SameName> {
        match self {
            Self::SongSeg => song_seg(manifest, is_wanted),
            Self::MeldArrays => Ok(meld_arrays(splits, is_wanted)),
        }
    }
}

fn song_seg(manifest: &Manifest, is_wanted: impl Fn(usize) -> bool) -> Result<Places, SameName> {
    let mut songs: Vec<(&Path, Vec<usize>)> = Vec::new();
    let mut by_id: HashMap<String, usize> = HashMap::new();
    for (index, example) in manifest.examples.iter().enumerate() {
        let path = example.media.path();
        let song = *by_id.entry(song_id(path)).or_insert_with(|| {
            songs.push((path, Vec::new()));
            songs.len() - 1
        });
        let (first, clips) = &mut songs[song];
        if *first != path {
            return Err(SameName {
                id: song_id(path),
                first: first.to_path_buf(),
                second: path.into(),
            });
        }
        clips.push(index);
    }
    let mut places = Places {
        files: Vec::new(),
        of: vec![None; manifest.examples.len()],
    };
    for (path, mut clips) in songs {
        // Stable: clips of one start stay in the order of the dataset.
        clips.sort_by(|&a, &b| start(&manifest.examples[a]).total_cmp(&start(&manifest.examples[b])));
        for (number, clip) in clips.into_iter().enumerate() {
            if is_wanted(clip) {
                places.of[clip] = Some(Place {
                    file: places.files.len(),
                    row: 0,
                });
                places.files.push(song_seg_name(&song_id(path), number));
            }
        }
    }
    Ok(places)
}

/// The part of a recording's path that stands for it.
pub(super) fn song_id(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

pub(super) fn song_seg_name(id: &str, clip: usize) -> String {
    format!("song_{id}_seg_{clip}.npy")
}

fn start(example: &Example) -> f64 {
    match &example.media {
        Media::Audio { window, .. } => window.start,
    }
}

fn meld_arrays(splits: &[Split], is_wanted: impl Fn(usize) -> bool) -> Places {
    let mut next = [0; Split::ALL.len()];
    let mut of = Vec::with_capacity(splits.len());
    for (index, split) in splits.iter().enumerate() {
        of.push(is_wanted(index).then(|| {
            let file = Split::ALL.iter().position(|other| other == split).unwrap_or_default();
            let row = next[file];
            next[file] += 1;
            Place { file, row }
        }));
    }
    Places {
        files: Split::ALL
            .iter()
            .map(|split| format!("X_audio_{}.npy", split.name()))
            .collect(),
        of,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Source, Target, Task, Window};

    fn manifest(clips: &[(&str, f64)]) -> Manifest {
        let example = |(index, (path, start)): (usize, &(&str, f64))| Example {
            id: index.to_string(),
            group: "g".into(),
            media: Media::Audio {
                path: path.into(),
                window: Window {
                    start: *start,
                    duration: Some(5.0),
                },
            },
            target: Target::Values(vec![0.0]),
            deviations: Vec::new(),
            split: None,
            source: Source {
                file: Path::new("labels.csv").into(),
                line: None,
            },
        };
        Manifest {
            root: "root".into(),
            task: Task::Regression {
                targets: vec!["valence".into()],
            },
            examples: clips.iter().enumerate().map(example).collect(),
            annotation_files: Vec::new(),
            faults: Vec::new(),
            remarks: Vec::new(),
        }
    }

    #[test]
    fn clips_are_counted_by_their_start_within_their_song() {
        let manifest = manifest(&[
            ("a/7.mp3", 20.0),
            ("a/12.mp3", 15.0),
            ("a/7.mp3", 15.0),
            ("a/7.mp3", 25.0),
        ]);
        let places = Layout::SongSeg
            .places(&manifest, &[Split::Train; 4], |example| example != 0)
            .unwrap();
        let name = |example: usize| places.of[example].map(|place| places.files[place.file].as_str());
        assert_eq!(
            [name(0), name(1), name(2), name(3)],
            [
                None,
                Some("song_12_seg_0.npy"),
                Some("song_7_seg_0.npy"),
                Some("song_7_seg_2.npy")
            ]
        );
    }

    #[test]
    fn songs_of_one_name_in_two_folders_are_refused() {
        let manifest = manifest(&[("a/7.mp3", 0.0), ("b/7.mp3", 0.0)]);
        let error = Layout::SongSeg
            .places(&manifest, &[Split::Train; 2], |_| true)
            .unwrap_err();
        assert!(error.to_string().contains("`a/7.mp3` and `b/7.mp3`"), "{error}");
    }

    #[test]
    fn rows_are_counted_within_each_split() {
        let manifest = manifest(&[("a", 0.0), ("b", 0.0), ("c", 0.0), ("d", 0.0)]);
        let splits = [Split::Test, Split::Train, Split::Test, Split::Test];
        let places = Layout::MeldArrays
            .places(&manifest, &splits, |example| example != 2)
            .unwrap();
        assert_eq!(
            places.files,
            ["X_audio_train.npy", "X_audio_val.npy", "X_audio_test.npy"]
        );
        let place = |file, row| Some(Place { file, row });
        assert_eq!(places.of, [place(2, 0), place(0, 0), None, place(2, 1)]);
    }
}
