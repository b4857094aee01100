//! Where MELD's tables and clips lie.
//!
//! The archive of the raw data holds one archive per split, and copies of it differ in whether these were unpacked into folders of
//! their own: `train_splits/` or `train/train_splits/`, with the tables beside, or one level up.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::split_name;
use crate::dataset::folder::{extension, names_in};
use crate::dataset::{Error, Split};

/// Folders under the root that hold everything else.
const BASES: [&str; 3] = ["", "MELD.Raw", "MELD"];
/// The extensions of clips; where an utterance has several files, the first of these counts: it needs the least decoding.
const EXTENSIONS: [&str; 6] = ["wav", "flac", "mp4", "m4a", "mp3", "ogg"];

/// The folders that a split's archive unpacks to.
fn unpacked(split: Split) -> &'static [&'static str] {
    match split {
        Split::Train => &["train_splits", "train_splits_complete"],
        Split::Val => &["dev_splits_complete", "dev_splits"],
        Split::Test => &["output_repeated_splits_test", "test_splits_complete", "test_splits"],
    }
}

/// The table of every split.
///
/// # Errors
/// One is missing.
pub(super) fn tables(root: &Path) -> Result<Vec<(Split, PathBuf)>, Error> {
    Split::ALL
        .into_iter()
        .map(|split| Ok((split, table(root, split)?)))
        .collect()
}

fn table(root: &Path, split: Split) -> Result<PathBuf, Error> {
    let name = split_name(split);
    let file = format!("{name}_sent_emo.csv");
    let mut folders: Vec<PathBuf> = Vec::new();
    for base in BASES.map(|base| root.join(base)) {
        folders.push(base.clone());
        folders.push(base.join(name));
        folders.extend(
            unpacked(split)
                .iter()
                .flat_map(|inner| [base.join(inner), base.join(name).join(inner)]),
        );
    }
    folders.extend(root.parent().map(Path::to_path_buf));
    match folders
        .iter()
        .map(|folder| folder.join(&file))
        .find(|path| path.is_file())
    {
        Some(path) => Ok(path),
        None => Err(Error::NoAnnotations {
            corpus: "MELD's labels",
            wanted: file,
            root: root.into(),
            looked_in: folders.into_iter().filter(|folder| folder.is_dir()).collect(),
        }),
    }
}

/// The clips of a split.
pub(super) struct Clips {
    pub folder: PathBuf,
    /// By dialogue and utterance: rank of the extension, and the file's name.
    pub files: BTreeMap<(u32, u32), (usize, String)>,
    /// AppleDouble files among them.
    pub litter: usize,
}

impl Clips {
    /// Looks into the first folder that holds clips. Where none does, every clip is missing in the first that there is.
    ///
    /// # Errors
    /// A folder is there and cannot be listed.
    pub fn find(root: &Path, split: Split) -> Result<Self, Error> {
        let name = split_name(split);
        let mut folders = Vec::new();
        for base in BASES.map(|base| root.join(base)) {
            for inner in unpacked(split) {
                folders.push(base.join(inner));
                folders.push(base.join(name).join(inner));
            }
            folders.push(base.join(name));
        }
        let mut first = None;
        for folder in folders {
            let clips = Self::list(folder)?;
            if !clips.files.is_empty() {
                return Ok(clips);
            }
            if first.is_none() && clips.folder.is_dir() {
                first = Some(clips);
            }
        }
        Ok(first.unwrap_or_else(|| Self {
            folder: root.join(unpacked(split).first().copied().unwrap_or(name)),
            files: BTreeMap::new(),
            litter: 0,
        }))
    }

    fn list(folder: PathBuf) -> Result<Self, Error> {
        let mut clips = Self {
            files: BTreeMap::new(),
            litter: 0,
            folder,
        };
        for name in names_in(&clips.folder)? {
            if name.starts_with("._") {
                clips.litter += 1;
            } else if let Some((key, rank)) = clip(&name) {
                let found = (rank, name);
                match clips.files.get(&key) {
                    Some(known) if *known <= found => {}
                    _ => {
                        clips.files.insert(key, found);
                    }
                }
            }
        }
        Ok(clips)
    }

    /// The clip of an utterance; the place where it should be when it is missing.
    pub fn file(&self, dialogue: u32, utterance: u32) -> PathBuf {
        match self.files.get(&(dialogue, utterance)) {
            Some((_, name)) => self.folder.join(name),
            None => self.folder.join(format!("dia{dialogue}_utt{utterance}.mp4")),
        }
    }
}

/// "dia12_utt3.mp4": (12, 3) and the rank of the extension.
fn clip(name: &str) -> Option<((u32, u32), usize)> {
    let extension = extension(name)?;
    let rank = EXTENSIONS.iter().position(|it| *it == extension)?;
    let stem = name.get(..name.len().checked_sub(extension.len() + 1)?)?;
    Some((super::ids::dialogue_and_utterance(stem)?, rank))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    fn corpus(names: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for name in names {
            let path = root.path().join(name);
            files::create_folder(path.parent().unwrap()).unwrap();
            files::write_whole(&path, b"x").unwrap();
        }
        root
    }

    #[test]
    fn both_nestings_are_found_with_the_tables_beside_or_one_level_up() {
        let folders = [
            ["", "", ""],
            ["train/", "dev/", "test/"],
            ["MELD.Raw/train/", "MELD.Raw/dev/", "MELD.Raw/test/"],
        ];
        for [train, dev, test] in folders {
            let clips = [
                format!("{train}train_splits/dia0_utt1.mp4"),
                format!("{dev}dev_splits_complete/dia0_utt1.wav"),
                format!("{test}output_repeated_splits_test/dia0_utt1.mp4"),
            ];
            for beside in [true, false] {
                let names = ["train", "dev", "test"].map(|it| format!("{it}_sent_emo.csv"));
                let base = if train.starts_with("MELD") { "MELD.Raw/" } else { "" };
                let tables = match beside {
                    true => [
                        format!("{train}{}", names[0]),
                        format!("{dev}{}", names[1]),
                        format!("{test}{}", names[2]),
                    ],
                    false => names.map(|name| format!("{base}{name}")),
                };
                let all: Vec<&str> = clips.iter().chain(&tables).map(String::as_str).collect();
                let root = corpus(&all);
                let found = super::tables(root.path()).unwrap();
                for (((split, path), table), clip) in found.iter().zip(&tables).zip(&clips) {
                    assert_eq!(*path, root.path().join(table));
                    let clips = Clips::find(root.path(), *split).unwrap();
                    assert_eq!(clips.file(0, 1), root.path().join(clip));
                }
            }
        }
    }

    #[test]
    fn tables_above_the_root_are_found_and_missing_ones_are_named() {
        let folder = corpus(&[
            "train_sent_emo.csv",
            "dev_sent_emo.csv",
            "test_sent_emo.csv",
            "clips/train_splits/dia0_utt0.mp4",
        ]);
        assert_eq!(tables(&folder.path().join("clips")).unwrap().len(), 3);
        let error = tables(&corpus(&["train_sent_emo.csv"]).path().join(".")).unwrap_err();
        assert!(error.to_string().contains("`dev_sent_emo.csv`"), "{error}");
    }

    #[test]
    fn clips_are_told_from_litter_and_wav_goes_before_mp4() {
        let root = corpus(&[
            "train_splits/dia0_utt0.mp4",
            "train_splits/dia0_utt0.WAV",
            "train_splits/._dia0_utt1.mp4",
            "train_splits/final_videos_testdia0_utt2.mp4",
            "train_splits/.DS_Store",
        ]);
        let clips = Clips::find(root.path(), Split::Train).unwrap();
        assert_eq!(clips.file(0, 0), root.path().join("train_splits/dia0_utt0.WAV"));
        assert_eq!(clips.file(0, 1), root.path().join("train_splits/dia0_utt1.mp4"));
        assert_eq!((clips.files.len(), clips.litter), (1, 1));
    }
}
