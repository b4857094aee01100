//! Is the sound there? By the file system's word alone: what is inside the files is for the extraction to find out.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::path::Path;

use super::{Example, Fault, OnError};

/// Examples after a look at their audio files.
pub(super) struct Inspected {
    /// Those that stay. For `skip`: the ones with a usable file; otherwise all.
    pub examples: Vec<Example>,
    /// One per example whose file cannot be used.
    pub faults: Vec<Fault>,
}

/// Looks at the audio file of every example.
pub(super) fn inspect(examples: Vec<Example>, on_error: OnError) -> Inspected {
    let mut known: BTreeMap<std::path::PathBuf, Option<String>> = BTreeMap::new();
    let mut inspected = Inspected {
        examples: Vec::with_capacity(examples.len()),
        faults: Vec::new(),
    };
    for example in examples {
        let path = example.media.path();
        let problem = match known.entry(path.to_path_buf()) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(unknown) => unknown.insert(problem_with(path)).clone(),
        };
        let usable = problem.is_none();
        if let Some(problem) = problem {
            inspected.faults.push(Fault {
                path: path.to_path_buf(),
                line: None,
                what: format!("{problem} (named in {})", example.source),
            });
        }
        if usable || on_error != OnError::Skip {
            inspected.examples.push(example);
        }
    }
    inspected
}

/// Faults of examples to faults of files: each file once, the first mention in full.
pub(super) fn by_file(faults: &[Fault]) -> Vec<Fault> {
    let mut positions: BTreeMap<&Path, usize> = BTreeMap::new();
    let mut files: Vec<(Fault, usize)> = Vec::new();
    for fault in faults {
        match positions.entry(&fault.path) {
            Entry::Occupied(position) => {
                if let Some((_, more)) = files.get_mut(*position.get()) {
                    *more += 1;
                }
            }
            Entry::Vacant(position) => {
                position.insert(files.len());
                files.push((fault.clone(), 0));
            }
        }
    }
    files
        .into_iter()
        .map(|(mut fault, more)| {
            if more > 0 {
                let rows = if more == 1 { "row" } else { "rows" };
                fault.what = format!("{} and {more} more {rows}", fault.what);
            }
            fault
        })
        .collect()
}

/// What the file system says against `path`, if anything.
fn problem_with(path: &Path) -> Option<String> {
    if path
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"._"))
    {
        return Some("an AppleDouble file: macOS's notes about a file, not sound".into());
    }
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Some("a folder, not an audio file".into()),
        Ok(metadata) if !metadata.is_file() => Some("not a regular file".into()),
        Ok(metadata) if metadata.len() == 0 => Some("empty (0 bytes)".into()),
        Ok(_) => None,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            let backslashes = path.as_os_str().as_encoded_bytes().contains(&b'\\');
            Some(
                if backslashes && cfg!(unix) {
                    "missing; write `/` for `\\`"
                } else {
                    "missing"
                }
                .into(),
            )
        }
        Err(error) => Some(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Media, Source, Target, Window};
    use crate::files;

    fn example(path: &Path, line: u64) -> Example {
        Example {
            id: format!("{}@{line}", path.display()),
            group: "g".into(),
            media: Media::Audio {
                path: path.into(),
                window: Window::default(),
            },
            target: Target::Class(0),
            deviations: Vec::new(),
            split: None,
            source: Source {
                file: Path::new("labels.csv").into(),
                line: Some(line),
            },
        }
    }

    #[test]
    fn each_way_of_being_unusable_has_its_words() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        files::write_whole(&at("good.wav"), b"RIFF").unwrap();
        files::write_whole(&at("._good.wav"), b"\0\x05\x16\x07").unwrap();
        files::write_whole(&at("empty.wav"), b"").unwrap();
        files::create_folder(&at("folder.wav")).unwrap();
        assert_eq!(problem_with(&at("good.wav")), None);
        let says = |name: &str, what: &str| {
            let problem = problem_with(&at(name)).unwrap();
            assert!(problem.contains(what), "{name}: {problem}");
        };
        says("._good.wav", "AppleDouble");
        says("empty.wav", "0 bytes");
        says("folder.wav", "a folder");
        says("none.wav", "missing");
        says("good.wav/x.wav", "missing");
        #[cfg(unix)]
        says("wav\\a.wav", "write `/`");
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(at("nowhere"), at("dangling.wav")).unwrap();
            says("dangling.wav", "missing");
        }
    }

    #[test]
    fn skip_leaves_out_and_zeros_keeps_and_both_count_examples() {
        let folder = tempfile::tempdir().unwrap();
        let (good, none) = (folder.path().join("good.wav"), folder.path().join("none.wav"));
        files::write_whole(&good, b"RIFF").unwrap();
        let examples = || {
            vec![
                example(&good, 2),
                example(&none, 3),
                example(&none, 4),
                example(&none, 5),
            ]
        };
        let skipped = inspect(examples(), OnError::Skip);
        assert_eq!((skipped.examples.len(), skipped.faults.len()), (1, 3));
        let kept = inspect(examples(), OnError::Zeros);
        assert_eq!((kept.examples.len(), kept.faults.len()), (4, 3));
        let files = by_file(&kept.faults);
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].what, "missing (named in labels.csv:3) and 2 more rows");
    }
}
