//! Which files are meant: names, folders and patterns.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What is taken for a recording in a folder, by the end of its name.
pub const EXTENSIONS: [&str; 11] = [
    "wav", "mp3", "flac", "ogg", "oga", "m4a", "mp4", "aac", "aiff", "aif", "opus",
];

/// What is taken for a picture.
pub const PICTURES: [&str; 4] = ["jpg", "jpeg", "png", "npy"];

/// A word that stands for no file, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmatched {
    pub word: String,
    pub why: String,
}

/// The files behind `words`, each once: in the order of the words, and by name within a folder or pattern. Folders are searched to the
/// bottom for [`EXTENSIONS`]; what begins with `._` is macOS's notes. A word that names no file is given back, unless a file is
/// called so.
pub fn find(words: &[String]) -> (Vec<PathBuf>, Vec<Unmatched>) {
    find_those(words, &EXTENSIONS, "recording")
}

/// As [`find`], for files that end so in folders; `what` they are called.
pub fn find_those(words: &[String], extensions: &[&str], what: &str) -> (Vec<PathBuf>, Vec<Unmatched>) {
    let mut files = Vec::new();
    let mut unmatched = Vec::new();
    let mut known = BTreeSet::new();
    for word in words {
        match behind(word, extensions, what) {
            Ok(found) => files.extend(found.into_iter().filter(|path| known.insert(path.clone()))),
            Err(why) => unmatched.push(Unmatched {
                word: word.clone(),
                why,
            }),
        }
    }
    (files, unmatched)
}

fn behind(word: &str, extensions: &[&str], what: &str) -> Result<Vec<PathBuf>, String> {
    let path = Path::new(word);
    if path.is_dir() {
        let mut found = Vec::new();
        search(path, extensions, &mut found).map_err(|error| error.to_string())?;
        found.sort();
        return match found.is_empty() {
            true => Err(format!(
                "no {what}s in this folder (looked for {})",
                extensions.join(", ")
            )),
            false => Ok(found),
        };
    }
    // A file, or something at a file's place that will be told of when it is read.
    if path.symlink_metadata().is_ok() {
        return Ok(vec![path.to_path_buf()]);
    }
    if !word.contains(['*', '?', '[']) {
        return Err("there is no such file".into());
    }
    let pattern = glob::glob(word).map_err(|error| format!("not a pattern: {error}"))?;
    let mut found: Vec<PathBuf> = pattern
        .flatten()
        .filter(|path| !path.is_dir() && !is_note(path))
        .collect();
    found.sort();
    match found.is_empty() {
        true => Err("no file matches".into()),
        false => Ok(found),
    }
}

/// Links to folders are not followed: they could lead round in circles.
fn search(folder: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            search(&path, extensions, found)?;
        } else if is_one(&path, extensions) {
            found.push(path);
        }
    }
    Ok(())
}

/// macOS's notes about a file.
fn is_note(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"._"))
}

fn is_one(path: &Path, extensions: &[&str]) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    !is_note(path) && extension.is_some_and(|it| extensions.iter().any(|known| it.eq_ignore_ascii_case(known)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    #[test]
    fn folders_patterns_and_names() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        files::create_folder(&folder.path().join("deep/empty")).unwrap();
        for name in ["b.wav", "a.MP3", "deep/c.flac", "notes.txt", "._b.wav"] {
            files::write_whole(Path::new(&at(name)), b"x").unwrap();
        }
        let words = |words: &[&str]| words.iter().map(|word| at(word)).collect::<Vec<_>>();
        let names = |found: Vec<PathBuf>| {
            let strip = |path: PathBuf| path.strip_prefix(folder.path()).unwrap().display().to_string();
            found.into_iter().map(strip).collect::<Vec<_>>()
        };
        let (found, unmatched) = find(&words(&["notes.txt", "", "*.wav"]));
        assert_eq!(names(found), ["notes.txt", "a.MP3", "b.wav", "deep/c.flac"]);
        assert!(unmatched.is_empty());
        let (found, unmatched) = find(&words(&["d*/*.flac", "none.wav", "*.ogg", "deep/empty", "[.wav"]));
        assert_eq!(names(found), ["deep/c.flac"]);
        let whys: Vec<&str> = unmatched.iter().map(|it| it.why.as_str()).collect();
        assert_eq!(&whys[..2], ["there is no such file", "no file matches"]);
        assert!(whys[2].contains("no recordings"), "{whys:?}");
        assert!(whys[3].contains("not a pattern"), "{whys:?}");
    }
}
