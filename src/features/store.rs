//! The arrays of one recipe on disk.
//!
//! A folder `features/<key>/` in the cache:
//!
//! * `recipe.json` – the settings behind the key, for people.
//! * `data.f32` – records of one size, little-endian floats, only ever appended.
//! * `index` – a line a record: its key, its row in `data.f32` and its checksum; only ever appended.
//! * `notes` – a line (JSON) for each record of a file that was damaged in part: its key, and what was wrong.
//! * `lock` – held by the one process that writes.
//! * `in-use` – held by all that read; see [`super::usage`].
//!
//! A record's line is written after its data was synced. So after a crash at any point every complete line of `index` names
//! data that is there; a torn last line and data behind the last line are overwritten by the next writer. A record whose
//! checksum does not fit is not used: it is computed again and appended, and the later line wins. No row with data
//! that a line names is ever written again, so whoever has verified a record can go on reading it while others append.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::read_at;
use super::usage::InUse;
use super::writer::Writer;
use crate::files;

/// A record's key: what the array was computed from.
pub type Key = [u8; 16];

/// Where a record is, and what it must hash to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    row: u64,
    checksum: Key,
    /// Whether this process has read it and found that it fits.
    verified: bool,
}

/// The records of one recipe.
pub struct Store {
    folder: PathBuf,
    record: usize,
    entries: HashMap<Key, Entry>,
    notes: HashMap<Key, String>,
    data: Option<File>,
    _in_use: InUse,
}

pub(super) fn digest(bytes: &[u8]) -> Key {
    let mut key = [0; 16];
    key.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
    key
}

/// The key of a record.
pub fn key(content: &str, start: f64, duration: Option<f64>) -> Key {
    let bits = |value: f64| format!("{:016x}", value.to_bits());
    digest(
        format!(
            "{content} {} {}",
            bits(start),
            duration.map_or_else(|| "end".into(), bits)
        )
        .as_bytes(),
    )
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Key> {
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    let mut key = [0; 16];
    for (index, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(key)
}

/// The folder of all feature sets in a cache.
pub fn sets_folder(cache: &Path) -> PathBuf {
    cache.join("features")
}

/// The name of the file with the settings.
pub(super) const RECIPE: &str = "recipe.json";
/// The name of the file with the records.
pub(super) const DATA: &str = "data.f32";
/// The name of the file with a line a record.
pub(super) const INDEX: &str = "index";

/// One line of the index.
struct Line {
    key: Key,
    row: u64,
    checksum: Key,
}

/// The complete lines of an index; what is no line of ours is left out.
fn lines(index: &[u8]) -> impl Iterator<Item = Line> + '_ {
    let complete = index.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
    index[..complete].split(|&byte| byte == b'\n').filter_map(|line| {
        let mut fields = std::str::from_utf8(line).ok()?.split(' ');
        let line = Line {
            key: unhex(fields.next()?)?,
            row: fields.next()?.parse().ok()?,
            checksum: unhex(fields.next()?)?,
        };
        fields.next().is_none().then_some(line)
    })
}

/// How many records an index names.
pub(super) fn count(index: &[u8]) -> usize {
    lines(index)
        .map(|line| line.key)
        .collect::<std::collections::HashSet<_>>()
        .len()
}

impl Store {
    /// The folder's name for a recipe.
    pub fn name(identity: &str) -> String {
        hex(&digest(identity.as_bytes()))
    }

    /// Opens (or begins) the store for arrays of `record` floats.
    pub fn open(cache: &Path, identity: &str, record: usize) -> Result<Self, files::Error> {
        let sets = sets_folder(cache);
        let name = Self::name(identity);
        let in_use = InUse::begin(&sets, &name)?;
        let folder = sets.join(name);
        let description = folder.join(RECIPE);
        if !description.exists() {
            files::write_whole(&description, identity.as_bytes())?;
        }
        let mut store = Self {
            folder,
            record,
            entries: HashMap::new(),
            notes: HashMap::new(),
            data: None,
            _in_use: in_use,
        };
        store.refresh()?;
        Ok(store)
    }

    pub(super) fn data_path(&self) -> PathBuf {
        self.folder.join(DATA)
    }

    pub(super) fn index_path(&self) -> PathBuf {
        self.folder.join(INDEX)
    }

    fn notes_path(&self) -> PathBuf {
        self.folder.join("notes")
    }

    fn record_bytes(&self) -> u64 {
        self.record as u64 * 4
    }

    /// Reads the index and opens the data as they are now. What was verified stays so.
    pub fn refresh(&mut self) -> Result<(), files::Error> {
        let before = std::mem::take(&mut self.entries);
        self.data = None;
        let path = self.data_path();
        let Ok(data) = File::open(&path) else { return Ok(()) };
        let bytes = data.metadata().map_err(files::Error::at("read", &path))?.len();
        self.data = Some(data);
        let index = std::fs::read(self.index_path()).unwrap_or_default();
        for Line { key, row, checksum } in lines(&index) {
            let end = row
                .checked_add(1)
                .and_then(|rows| rows.checked_mul(self.record_bytes()));
            if end.is_none_or(|end| end > bytes) {
                continue;
            }
            let known = before
                .get(&key)
                .filter(|old| old.row == row && old.checksum == checksum);
            let verified = known.is_some_and(|old| old.verified);
            self.entries.insert(
                key,
                Entry {
                    row,
                    checksum,
                    verified,
                },
            );
        }
        let notes = std::fs::read_to_string(self.notes_path()).unwrap_or_default();
        let parsed = notes.lines().filter_map(|line| {
            let (key, note) = serde_json::from_str::<(String, String)>(line).ok()?;
            Some((unhex(&key)?, note))
        });
        self.notes = parsed.collect();
        Ok(())
    }

    /// Whether all of the keys have a sound record; damaged ones are forgotten.
    pub fn verify(&mut self, keys: &[Key]) -> bool {
        let sound: Vec<bool> = keys
            .par_iter()
            .map_init(
                || vec![0.0; self.record],
                |buffer, key| {
                    self.entries
                        .get(key)
                        .is_some_and(|entry| entry.verified || self.fits(entry, buffer))
                },
            )
            .collect();
        for (key, &sound) in keys.iter().zip(&sound) {
            match self.entries.get_mut(key) {
                Some(entry) if sound => entry.verified = true,
                _ => {
                    self.entries.remove(key);
                }
            }
        }
        !sound.contains(&false)
    }

    fn fits(&self, entry: &Entry, buffer: &mut [f32]) -> bool {
        self.read(entry.row, buffer).is_ok() && checksum(buffer) == entry.checksum
    }

    /// The row of a record.
    pub fn row(&self, key: &Key) -> Option<u64> {
        self.entries.get(key).map(|entry| entry.row)
    }

    /// What was wrong with the file behind a record.
    pub fn note(&self, key: &Key) -> Option<&str> {
        self.notes.get(key).map(String::as_str)
    }

    /// The floats of a row.
    pub fn read(&self, row: u64, out: &mut [f32]) -> Result<(), files::Error> {
        let path = self.data_path();
        match &self.data {
            Some(data) => read_at::floats(data, row.saturating_mul(self.record_bytes()), out),
            None => Err(ErrorKind::NotFound.into()),
        }
        .map_err(files::Error::at("read", &path))
    }

    /// The lock of the one writer. Waits while another process holds it, after calling `waiting`.
    pub fn lock(&self, waiting: impl FnOnce()) -> Result<File, files::Error> {
        let path = self.folder.join("lock");
        let file = files::open_in_place(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                waiting();
                file.lock().map_err(files::Error::at("lock", &path))?;
            }
            Err(TryLockError::Error(error)) => return Err(files::Error::at("lock", &path)(error)),
        }
        Ok(file)
    }

    /// For the holder of the lock: a writer that appends behind the last indexed record.
    pub fn writer(&self) -> Result<Writer, files::Error> {
        Writer::open(
            self.data_path(),
            self.index_path(),
            self.notes_path(),
            self.record_bytes(),
        )
    }
}

/// The checksum of a record, of its bytes as they lie on disk.
pub(super) fn checksum(values: &[f32]) -> Key {
    if cfg!(target_endian = "big") {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        return digest(&bytes);
    }
    digest(bytemuck::cast_slice(values))
}

/// The largest row that a line of the index names, be the record sound or not.
pub(super) fn last_row(index: &[u8]) -> Option<u64> {
    lines(index).map(|line| line.row).max()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    fn record(value: f32) -> Vec<f32> {
        vec![value; 3]
    }

    fn write(store: &mut Store, values: &[f32]) {
        let mut writer = store.writer().unwrap();
        for &value in values {
            writer
                .append(&key(&value.to_string(), 0.0, None), &record(value), None)
                .unwrap();
        }
        writer.sync().unwrap();
        store.refresh().unwrap();
    }

    fn read(store: &mut Store, value: f32) -> Option<Vec<f32>> {
        let key = key(&value.to_string(), 0.0, None);
        store.verify(&[key]);
        let mut out = vec![0.0; 3];
        store.read(store.row(&key)?, &mut out).unwrap();
        Some(out)
    }

    #[test]
    fn records_come_back_and_more_can_be_appended() {
        let cache = tempfile::tempdir().unwrap();
        let mut store = Store::open(cache.path(), "recipe", 3).unwrap();
        assert_eq!(read(&mut store, 1.0), None);
        write(&mut store, &[1.0, 2.0]);
        let mut store = Store::open(cache.path(), "recipe", 3).unwrap();
        write(&mut store, &[3.0]);
        for value in [1.0, 2.0, 3.0] {
            assert_eq!(read(&mut store, value), Some(record(value)));
        }
    }

    #[test]
    fn a_torn_index_and_data_behind_it_are_overwritten() {
        let cache = tempfile::tempdir().unwrap();
        let mut store = Store::open(cache.path(), "recipe", 3).unwrap();
        write(&mut store, &[1.0, 2.0]);
        let index = std::fs::read(store.index_path()).unwrap();
        std::fs::write(store.index_path(), &index[..index.len() - 5]).unwrap();
        let mut store = Store::open(cache.path(), "recipe", 3).unwrap();
        assert_eq!(read(&mut store, 2.0), None);
        write(&mut store, &[2.0]);
        assert_eq!(std::fs::read(store.index_path()).unwrap(), index);
        assert_eq!(std::fs::metadata(store.data_path()).unwrap().len(), 24);
        assert_eq!(read(&mut store, 2.0), Some(record(2.0)));
    }

    #[test]
    fn a_flipped_bit_or_a_truncated_file_is_found_and_repaired() {
        let cache = tempfile::tempdir().unwrap();
        let mut store = Store::open(cache.path(), "recipe", 3).unwrap();
        write(&mut store, &[1.0, 2.0, 3.0]);
        let mut data = std::fs::read(store.data_path()).unwrap();
        data[13] ^= 1;
        data.truncate(30);
        std::fs::write(store.data_path(), data).unwrap();
        let mut store = Store::open(cache.path(), "recipe", 3).unwrap();
        assert_eq!(read(&mut store, 1.0), Some(record(1.0)));
        assert_eq!(read(&mut store, 2.0), None);
        assert_eq!(read(&mut store, 3.0), None);
        write(&mut store, &[2.0, 3.0]);
        for value in [1.0, 2.0, 3.0] {
            assert_eq!(read(&mut store, value), Some(record(value)));
        }
    }
}
