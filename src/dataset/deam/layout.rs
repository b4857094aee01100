//! Where DEAM's files lie.
//!
//! The archives unpack to `annotations/annotations averaged per song/song_level/` and `MEMD_audio/`; mirrors put them into
//! `DEAM_Annotations/` and `DEAM_audio/`, with or without the inner folders. All of these are found.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::dataset::Error;
use crate::dataset::folder::names_in;

/// Folders that hold `annotations averaged per song/`, or what is in it.
const ANNOTATIONS: [&str; 4] = ["annotations", "DEAM_Annotations/annotations", "DEAM_Annotations", "."];
/// The way from there to the song-level files.
const SONG_LEVEL: [&str; 3] = ["annotations averaged per song/song_level", "song_level", "."];
const SONG_LEVEL_PREFIX: &str = "static_annotations_averaged_songs_";
/// The way from there to the files by half seconds.
const DYNAMIC: [&str; 4] = [
    "annotations averaged per song/dynamic (per second annotations)",
    "dynamic (per second annotations)",
    "dynamic",
    ".",
];

/// Folders that hold the songs, the most specific first.
const AUDIO: [&str; 6] = [
    "MEMD_audio",
    "DEAM_audio/MEMD_audio",
    "DEAM_audio",
    "audio/MEMD_audio",
    "DEAM_Audio",
    "audio",
];
/// The extensions of songs; where a song has several files, the first of these counts.
const EXTENSIONS: [&str; 6] = ["mp3", "wav", "flac", "ogg", "m4a", "mp4"];

/// The song-level files under `root`, sorted by name; at least one.
pub(super) fn song_level_files(root: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut looked_in = Vec::new();
    for annotations in ANNOTATIONS {
        for inner in SONG_LEVEL {
            let folder = joined(&joined(root, annotations), inner);
            let mut names: Vec<String> = names_in(&folder)?
                .into_iter()
                .filter(|name| name.starts_with(SONG_LEVEL_PREFIX) && name.to_lowercase().ends_with(".csv"))
                .collect();
            if !names.is_empty() {
                names.sort();
                return Ok(names.into_iter().map(|name| folder.join(name)).collect());
            }
            looked_in.push(folder);
        }
    }
    Err(Error::NoAnnotations {
        corpus: "DEAM's song-level annotations",
        wanted: format!("{SONG_LEVEL_PREFIX}*.csv"),
        root: root.into(),
        looked_in,
    })
}

/// The folder with `valence.csv` or `arousal.csv`.
pub(super) fn dynamic_folder(root: &Path) -> Result<PathBuf, Error> {
    let mut looked_in = Vec::new();
    for annotations in ANNOTATIONS {
        for inner in DYNAMIC {
            let folder = joined(&joined(root, annotations), inner);
            if ["valence.csv", "arousal.csv"]
                .iter()
                .any(|name| folder.join(name).is_file())
            {
                return Ok(folder);
            }
            looked_in.push(folder);
        }
    }
    Err(Error::NoAnnotations {
        corpus: "DEAM's dynamic annotations",
        wanted: "valence.csv` and `arousal.csv".into(),
        root: root.into(),
        looked_in,
    })
}

fn joined(folder: &Path, inner: &str) -> PathBuf {
    if inner == "." {
        folder.into()
    } else {
        folder.join(inner)
    }
}

/// The folder with one file per song, named after the song's id.
pub(super) struct AudioFolder {
    folder: PathBuf,
    /// By id: rank of the extension, and the file's name.
    songs: BTreeMap<u64, (usize, String)>,
}

impl AudioFolder {
    /// Finds it under `root`. Where there is none, every song is missing in `MEMD_audio/`.
    ///
    /// # Errors
    /// The folder is there and cannot be listed.
    pub fn find(root: &Path) -> Result<Self, Error> {
        let folder = AUDIO
            .iter()
            .map(|name| root.join(name))
            .find(|folder| folder.is_dir())
            .unwrap_or_else(|| root.join(AUDIO[0]));
        let mut songs: BTreeMap<u64, (usize, String)> = BTreeMap::new();
        for name in names_in(&folder)? {
            let Some((id, rank)) = song_of(&name) else {
                continue;
            };
            let found = (rank, name);
            match songs.get(&id) {
                Some(known) if *known <= found => {}
                _ => {
                    songs.insert(id, found);
                }
            }
        }
        Ok(Self { folder, songs })
    }

    /// The file of the song `id`; the place where it should be when it is missing.
    pub fn file(&self, id: u64) -> PathBuf {
        match self.songs.get(&id) {
            Some((_, name)) => self.folder.join(name),
            None => self.folder.join(format!("{id}.{}", EXTENSIONS[0])),
        }
    }
}

/// "12.mp3": song 12, extension 0.
fn song_of(name: &str) -> Option<(u64, usize)> {
    let (stem, extension) = name.rsplit_once('.')?;
    let extension = extension.to_lowercase();
    let rank = EXTENSIONS.iter().position(|it| *it == extension)?;
    Some((song_id(stem)?, rank))
}

/// Digits alone, without leading zeros: an id and its file's name are the same text.
pub(super) fn song_id(text: &str) -> Option<u64> {
    let id = text.parse().ok()?;
    (u64::to_string(&id) == text).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    fn corpus(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            files::create_folder(path.parent().unwrap()).unwrap();
            files::write_whole(&path, b"x").unwrap();
        }
        root
    }

    #[test]
    fn the_usual_layouts_are_found() {
        let layouts = [
            ("annotations/annotations averaged per song/song_level/", "MEMD_audio/"),
            (
                "DEAM_Annotations/annotations/annotations averaged per song/song_level/",
                "DEAM_audio/MEMD_audio/",
            ),
            (
                "DEAM_Annotations/annotations averaged per song/song_level/",
                "DEAM_audio/",
            ),
            ("annotations averaged per song/song_level/", "audio/"),
            ("song_level/", "MEMD_audio/"),
            ("", "MEMD_audio/"),
        ];
        for (annotations, audio) in layouts {
            let names =
                ["2000_2058", "1_2000"].map(|it| format!("{annotations}static_annotations_averaged_songs_{it}.csv"));
            let litter = format!("{annotations}._static_annotations_averaged_songs_1_2000.csv");
            let song = format!("{audio}2.mp3");
            let root = corpus(&[&names[0], &names[1], &litter, &song]);
            let found = song_level_files(root.path()).unwrap();
            assert_eq!(found, [root.path().join(&names[1]), root.path().join(&names[0])]);
            let folder = AudioFolder::find(root.path()).unwrap();
            assert_eq!(folder.file(2), root.path().join(&song));
            assert_eq!(folder.file(3), root.path().join(format!("{audio}3.mp3")));
        }
    }

    #[test]
    fn a_song_is_found_under_any_extension_and_mp3_wins() {
        let root = corpus(&[
            "MEMD_audio/2.wav",
            "MEMD_audio/3.FLAC",
            "MEMD_audio/4.wav",
            "MEMD_audio/4.MP3",
            "MEMD_audio/._5.mp3",
        ]);
        let folder = AudioFolder::find(root.path()).unwrap();
        let name = |id| folder.file(id).file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!([2, 3, 4, 5].map(name), ["2.wav", "3.FLAC", "4.MP3", "5.mp3"]);
    }

    #[test]
    fn without_annotations_the_places_are_named() {
        let root = corpus(&["MEMD_audio/2.mp3"]);
        let message = song_level_files(root.path()).unwrap_err().to_string();
        assert!(
            message.contains("annotations averaged per song/song_level"),
            "{message}"
        );
    }
}
