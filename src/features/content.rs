//! The content hashes of files, remembered by path, size and times.
//!
//! The memory is `files.jsonl` in the cache folder: appended to, never needed. A torn line is ignored, a lost file costs one
//! reading of each media file.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::files;

/// A file may change twice within the clock's grain without showing it; younger files are hashed anew each time.
const SETTLED: Duration = Duration::from_secs(2);

/// What is said of a file that is written to while the program reads it.
pub const CHANGED: &str = "the file changed while it was read; run again when it is complete";

/// Size and times of a file: when all are as before, so is the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    bytes: u64,
    /// Of the content, in nanoseconds since 1970. Programs can set it, and copying tools do.
    modified: u128,
    /// Of the file in any way, its name included, where the system knows that: it shows when one file took another's place.
    changed: Option<u128>,
}

impl Stamp {
    /// The stamp of the file as it is now.
    pub fn of(path: &Path) -> std::io::Result<Self> {
        Self::from_metadata(&std::fs::metadata(path)?)
    }

    /// The stamp of an open file.
    pub fn of_file(file: &std::fs::File) -> std::io::Result<Self> {
        Self::from_metadata(&file.metadata()?)
    }

    fn from_metadata(metadata: &std::fs::Metadata) -> std::io::Result<Self> {
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self {
            bytes: metadata.len(),
            modified: modified.as_nanos(),
            changed: changed(metadata),
        })
    }

    fn is_settled(&self) -> bool {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos();
        let latest = self.changed.unwrap_or_default().max(self.modified);
        now.saturating_sub(latest) > SETTLED.as_nanos()
    }
}

#[cfg(unix)]
fn changed(metadata: &std::fs::Metadata) -> Option<u128> {
    use std::os::unix::fs::MetadataExt as _;
    let nanoseconds = i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec());
    u128::try_from(nanoseconds).ok()
}

#[cfg(not(unix))]
fn changed(_: &std::fs::Metadata) -> Option<u128> {
    None
}

#[derive(Serialize, Deserialize)]
struct Line {
    path: PathBuf,
    stamp: Stamp,
    blake3: String,
}

/// All hashes known so far.
pub struct ContentHashes {
    known: HashMap<PathBuf, (Stamp, String)>,
    fresh: Mutex<Vec<Line>>,
    journal: PathBuf,
    /// Lines that the journal has.
    lines: usize,
}

/// The journal is written anew when it has more than this many lines for each file that it knows.
const LINES_PER_FILE: usize = 3;

impl ContentHashes {
    /// Reads the memory in `cache`; what cannot be read is forgotten.
    pub fn open(cache: &Path) -> Self {
        let journal = cache.join("files.jsonl");
        let text = std::fs::read_to_string(&journal).unwrap_or_default();
        let known = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Line>(line).ok())
            .map(|line| (line.path, (line.stamp, line.blake3)))
            .collect();
        Self {
            known,
            fresh: Mutex::default(),
            journal,
            lines: text.lines().count(),
        }
    }

    /// The BLAKE3 of the file's content, and the stamp that it had.
    pub fn hash(&self, path: &Path) -> std::io::Result<(Stamp, String)> {
        let stamp = Stamp::of(path)?;
        let absolute = std::path::absolute(path)?;
        if let Some((known, hash)) = self.known.get(&absolute)
            && *known == stamp
        {
            return Ok((stamp, hash.clone()));
        }
        let mut hasher = blake3::Hasher::new();
        let file = std::fs::File::open(path)?;
        hasher.update_reader(&file)?;
        if Stamp::of_file(&file)? != stamp {
            return Err(std::io::Error::other(CHANGED));
        }
        let hash = hasher.finalize().to_hex().to_string();
        if stamp.is_settled()
            && let Ok(mut fresh) = self.fresh.lock()
        {
            fresh.push(Line {
                path: absolute,
                stamp,
                blake3: hash.clone(),
            });
        }
        Ok((stamp, hash))
    }

    /// Writes down what is new. Where that fails nothing but time is lost.
    pub fn save(mut self) {
        let mut fresh = std::mem::take(&mut self.fresh).into_inner().unwrap_or_default();
        if fresh.is_empty() {
            return;
        }
        let text = |lines: &[Line]| -> String {
            let lines = lines.iter().filter_map(|line| serde_json::to_string(line).ok());
            lines.map(|line| line + "\n").collect()
        };
        if self.lines + fresh.len() > LINES_PER_FILE * (self.known.len() + fresh.len()) {
            for line in &fresh {
                self.known.remove(&line.path);
            }
            fresh.extend(
                self.known
                    .into_iter()
                    .map(|(path, (stamp, blake3))| Line { path, stamp, blake3 }),
            );
            let _ = files::write_whole(&self.journal, text(&fresh).as_bytes());
        } else if let Ok(mut journal) = files::append(&self.journal) {
            let _ = journal.write_all(text(&fresh).as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old(path: &Path, content: &[u8]) {
        files::write_whole(path, content).unwrap();
        let file = files::open_in_place(path).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000)).unwrap();
    }

    #[test]
    fn a_file_that_took_the_place_of_another_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        old(&path, b"one");
        let first = Stamp::of(&path).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        old(&path, b"two"); // of the same size and time of modification
        let second = Stamp::of(&path).unwrap();
        assert_eq!((first.bytes, first.modified), (second.bytes, second.modified));
        #[cfg(unix)]
        assert_ne!(first, second);
    }

    #[test]
    fn hashes_are_remembered_and_the_journal_stays_short() {
        let cache = tempfile::tempdir().unwrap();
        let path = cache.path().join("a.wav");
        old(&path, b"one");
        let stamp = Stamp::of(&path).unwrap();
        let line = |text: &str| Line {
            path: path.clone(),
            stamp,
            blake3: text.into(),
        };
        let hashes = ContentHashes::open(cache.path());
        assert_eq!(hashes.hash(&path).unwrap().1, blake3::hash(b"one").to_hex().to_string());
        for round in 0..20 {
            let hashes = ContentHashes::open(cache.path());
            if round > 0 {
                assert_eq!(hashes.hash(&path).unwrap(), (stamp, (round - 1).to_string()));
            }
            hashes.fresh.lock().unwrap().push(line(&round.to_string()));
            hashes.save();
        }
        let journal = std::fs::read_to_string(cache.path().join("files.jsonl")).unwrap();
        assert!(journal.lines().count() <= 6, "{journal}");
    }
}
