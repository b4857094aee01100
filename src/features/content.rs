//! The content hashes of media files, remembered by path, size and time of change.
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

/// Size and time of change: when both are as before, so is the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    bytes: u64,
    nanoseconds: u128,
}

impl Stamp {
    /// The stamp of the file as it is now.
    pub fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self {
            bytes: metadata.len(),
            nanoseconds: modified.as_nanos(),
        })
    }

    fn is_settled(&self) -> bool {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos();
        now.saturating_sub(self.nanoseconds) > SETTLED.as_nanos()
    }
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
}

impl ContentHashes {
    /// Reads the memory in `cache`; what cannot be read is forgotten.
    pub fn open(cache: &Path) -> Self {
        let journal = cache.join("files.jsonl");
        let known = std::fs::read_to_string(&journal)
            .unwrap_or_default()
            .lines()
            .filter_map(|line| serde_json::from_str::<Line>(line).ok())
            .map(|line| (line.path, (line.stamp, line.blake3)))
            .collect();
        Self {
            known,
            fresh: Mutex::default(),
            journal,
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
        hasher.update_reader(std::fs::File::open(path)?)?;
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

    /// Writes down what is new.
    pub fn save(&self) -> Result<(), files::Error> {
        let Ok(mut fresh) = self.fresh.lock() else {
            return Ok(());
        };
        let text: String = fresh
            .drain(..)
            .filter_map(|line| serde_json::to_string(&line).ok())
            .map(|line| line + "\n")
            .collect();
        if text.is_empty() {
            return Ok(());
        }
        files::append(&self.journal)?
            .write_all(text.as_bytes())
            .map_err(files::Error::at("write", &self.journal))
    }
}
