//! Lists of utterances: a CSV file, an array of NumPy's, or the pickle `text_emotion.pkl`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Key, npy_ids, pickle};
use crate::dataset::csv_file::CsvFile;
use crate::dataset::folder::extension;
use crate::dataset::{Error, Fault, IdLists, Problems, Source, Split};

/// What the files name.
pub(super) struct Lists {
    /// In the order of the files.
    pub keys: Vec<(Key, Source)>,
    pub paths: Vec<PathBuf>,
}

/// An id before its split is known.
pub(super) struct Id {
    /// Where the file says it.
    pub split: Option<Split>,
    pub dialogue: u32,
    pub utterance: u32,
    /// Where it stands.
    pub line: Option<u64>,
}

/// Reads all lists; `root` is the folder that their paths are relative to.
///
/// # Errors
/// A file cannot be read, is of an unknown kind, or names no ids.
pub(super) fn read(root: &Path, lists: &IdLists) -> Result<Lists, Error> {
    let files: Vec<(PathBuf, Option<Split>)> = match lists {
        IdLists::One(path) => vec![(root.join(path), None)],
        IdLists::Each(each) => [&each.train, &each.val, &each.test]
            .into_iter()
            .zip(Split::ALL)
            .filter_map(|(path, split)| Some((root.join(path.as_ref()?), Some(split))))
            .collect(),
    };
    let mut read = Lists {
        keys: Vec::new(),
        paths: Vec::new(),
    };
    let mut rows = Vec::new();
    for (path, of_file) in files {
        let file: Arc<Path> = path.as_path().into();
        for id in read_file(&path)? {
            match of_file.or(id.split) {
                Some(split) => {
                    let source = Source {
                        file: Arc::clone(&file),
                        line: id.line,
                    };
                    read.keys.push(((split, id.dialogue, id.utterance), source));
                }
                None => rows.push(Fault {
                    path: path.clone(),
                    line: id.line,
                    what: format!(
                        "dia{}_utt{} is without a split: ids restart in every split; add a column `split`, write `train/dia0_utt0`, or give a \
                         file for each split",
                        id.dialogue, id.utterance
                    ),
                }),
            }
        }
        read.paths.push(path);
    }
    if !rows.is_empty() {
        return Err(Box::new(Problems {
            rows,
            ..Problems::default()
        })
        .into());
    }
    Ok(read)
}

fn read_file(path: &Path) -> Result<Vec<Id>, Error> {
    let name = path.to_string_lossy();
    match extension(&name).as_deref() {
        Some("csv") => csv(path),
        Some("npy") => npy_ids::read(path),
        Some("pkl" | "pickle") => pickle::read(path),
        _ => Err(Error::Setting {
            problem: format!("`{name}`, which `dataset.ids` names, is no list of ids"),
            hint: "name a .csv, .npy or .pkl file",
        }),
    }
}

/// Columns `split`, `dialogue`, `utterance` (or MELD's own names), or `id`.
fn csv(path: &Path) -> Result<Vec<Id>, Error> {
    let file = CsvFile::read(path)?;
    let mut rows = file.faults.clone();
    let column = |names: &[&str]| {
        let is_one = |header: &String| names.contains(&header.to_lowercase().as_str());
        file.header.iter().position(is_one)
    };
    let split = column(&["split"]);
    let id = column(&["id", "utterance_key", "file", "filename"]);
    let numbers = column(&["dialogue", "dialogue_id"]).zip(column(&["utterance", "utterance_id"]));
    let mut ids = Vec::new();
    for row in &file.rows {
        let read = match (numbers, id) {
            (Some((dialogue, utterance)), _) => {
                let number = |column| row.get(column).parse().ok();
                number(dialogue)
                    .zip(number(utterance))
                    .map(|(dialogue, utterance)| (None, dialogue, utterance))
                    .ok_or_else(|| "dialogue and utterance are not whole numbers".to_owned())
            }
            (None, Some(id)) => parse(row.get(id)).ok_or_else(|| no_id(row.get(id))),
            (None, None) => {
                rows.push(file.fault(1, "no columns `dialogue` and `utterance`, and no column `id`".into()));
                break;
            }
        };
        let declared = match split.map(|column| row.get(column)) {
            Some(text) => match split_of(text) {
                Some(split) => Some(split),
                None => {
                    rows.push(file.fault(row.line, format!("split is \"{text}\", not train, val (dev) or test")));
                    continue;
                }
            },
            None => None,
        };
        match read {
            Ok((split, dialogue, utterance)) => ids.push(Id {
                split: declared.or(split),
                dialogue,
                utterance,
                line: Some(row.line),
            }),
            Err(what) => rows.push(file.fault(row.line, what)),
        }
    }
    if rows.is_empty() {
        return Ok(ids);
    }
    Err(Box::new(Problems {
        rows,
        ..Problems::default()
    })
    .into())
}

/// What is said of text that is no id.
pub(super) fn no_id(text: &str) -> String {
    format!("\"{text}\" is no id such as `train/dia0_utt0`")
}

/// `train/dia0_utt0`, `dia0_utt0`, with or without an extension.
pub(super) fn parse(text: &str) -> Option<(Option<Split>, u32, u32)> {
    let (split, name) = match text.trim().rsplit_once(['/', '\\', ':']) {
        Some((split, name)) => (Some(split_of(split)?), name),
        None => (None, text.trim()),
    };
    let name = name.split_once('.').map_or(name, |(stem, _)| stem);
    let (dialogue, utterance) = dialogue_and_utterance(name)?;
    Some((split, dialogue, utterance))
}

fn split_of(text: &str) -> Option<Split> {
    match text.to_lowercase().as_str() {
        "train" => Some(Split::Train),
        "val" | "dev" | "valid" | "validation" => Some(Split::Val),
        "test" => Some(Split::Test),
        _ => None,
    }
}

/// "dia12_utt3": (12, 3).
pub(super) fn dialogue_and_utterance(stem: &str) -> Option<(u32, u32)> {
    let (dialogue, utterance) = stem.strip_prefix("dia")?.split_once("_utt")?;
    let number = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse().ok())?
    };
    Some((number(dialogue)?, number(utterance)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_with_and_without_their_split() {
        assert_eq!(parse("train/dia0_utt12"), Some((Some(Split::Train), 0, 12)));
        assert_eq!(parse(" dev/dia3_utt0.mp4 "), Some((Some(Split::Val), 3, 0)));
        assert_eq!(parse("dia3_utt0"), Some((None, 3, 0)));
        for text in [
            "",
            "dia_utt",
            "dia+1_utt2",
            "3_0",
            "holdout/dia0_utt0",
            "dia99999999999_utt0",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
