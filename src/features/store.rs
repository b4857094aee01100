//! The arrays of one recipe on disk.
//!
//! A folder `features/<key>/` in the cache:
//!
//! * `recipe.json` – the settings behind the key, for people.
//! * `data.f32` – records of one size, little-endian floats, only ever appended.
//! * `index` – a line a record: its key, its row in `data.f32` and its checksum; only ever appended.
//! * `lock` – held by the one process that writes.
//!
//! A record's line is written after its data was synced. So after a crash at any point every complete line of `index` names
//! data that is there; a torn last line and data behind the last line are overwritten by the next writer. A record whose
//! checksum does not fit is not used: it is computed again and appended, and the later line wins.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use rayon::prelude::*;

use crate::files;

/// A record's key: what the array was computed from.
pub type Key = [u8; 16];

/// Where a record is, and what it must hash to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    row: u64,
    checksum: Key,
}

/// The records of one recipe.
pub struct Store {
    folder: PathBuf,
    record: usize,
    entries: HashMap<Key, Entry>,
    map: Option<Mmap>,
}

fn digest(bytes: &[u8]) -> Key {
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

fn hex(bytes: &[u8]) -> String {
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

impl Store {
    /// The folder's name for a recipe.
    pub fn name(identity: &str) -> String {
        hex(&digest(identity.as_bytes()))
    }

    /// Opens (or begins) the store for arrays of `record` floats.
    pub fn open(cache: &Path, identity: &str, record: usize) -> Result<Self, files::Error> {
        let folder = cache.join("features").join(Self::name(identity));
        files::create_folder(&folder)?;
        let description = folder.join("recipe.json");
        if !description.exists() {
            files::write_whole(&description, identity.as_bytes())?;
        }
        let mut store = Self {
            folder,
            record,
            entries: HashMap::new(),
            map: None,
        };
        store.refresh()?;
        Ok(store)
    }

    fn data_path(&self) -> PathBuf {
        self.folder.join("data.f32")
    }

    fn index_path(&self) -> PathBuf {
        self.folder.join("index")
    }

    fn record_bytes(&self) -> u64 {
        self.record as u64 * 4
    }

    /// Reads the index and maps the data as they are now.
    #[allow(unsafe_code)]
    pub fn refresh(&mut self) -> Result<(), files::Error> {
        self.map = None;
        self.entries.clear();
        let path = self.data_path();
        let Ok(file) = File::open(&path) else { return Ok(()) };
        let bytes = file.metadata().map_err(files::Error::at("read", &path))?.len();
        if bytes > 0 {
            // SAFETY: the file is only ever appended to while a store is open (by the holder of `lock`), and records are
            // read only where the index says so, within the length at the time of mapping. If somebody truncates the file
            // from outside the program is stopped by the system, as with any mapped file.
            let map = unsafe { Mmap::map(&file) }.map_err(files::Error::at("map", &path))?;
            self.map = Some(map);
        }
        let index = std::fs::read(self.index_path()).unwrap_or_default();
        for line in String::from_utf8_lossy(&index).split_inclusive('\n') {
            let Some(line) = line.strip_suffix('\n') else { break };
            let mut fields = line.split(' ');
            let (Some(key), Some(row), Some(checksum), None) = (
                fields.next().and_then(unhex),
                fields.next().and_then(|row| row.parse::<u64>().ok()),
                fields.next().and_then(unhex),
                fields.next(),
            ) else {
                continue;
            };
            let inside = row
                .checked_add(1)
                .and_then(|rows| rows.checked_mul(self.record_bytes()))
                .is_some_and(|end| end <= bytes);
            if inside {
                self.entries.insert(key, Entry { row, checksum });
            }
        }
        Ok(())
    }

    /// Which of the keys have a sound record; damaged ones are forgotten.
    pub fn verify(&mut self, keys: &[Key]) -> Vec<bool> {
        let sound: Vec<bool> = keys
            .par_iter()
            .map(|key| {
                let entry = self.entries.get(key);
                entry.is_some_and(|entry| {
                    self.bytes(entry.row)
                        .is_some_and(|bytes| digest(bytes) == entry.checksum)
                })
            })
            .collect();
        for (key, sound) in keys.iter().zip(&sound) {
            if !sound {
                self.entries.remove(key);
            }
        }
        sound
    }

    /// The row of a record.
    pub fn row(&self, key: &Key) -> Option<u64> {
        self.entries.get(key).map(|entry| entry.row)
    }

    fn bytes(&self, row: u64) -> Option<&[u8]> {
        let start = usize::try_from(row.checked_mul(self.record_bytes())?).ok()?;
        self.map.as_ref()?.get(start..start.checked_add(self.record * 4)?)
    }

    /// The floats of a row.
    pub fn read(&self, row: u64, out: &mut [f32]) {
        let Some(bytes) = self.bytes(row) else {
            out.fill(0.0);
            return;
        };
        for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *out = f32::from_le_bytes(*bytes);
        }
    }

    /// The lock of the one writer. Waits while another process holds it, after calling `waiting`.
    pub fn lock(&self, waiting: impl FnOnce()) -> Result<File, files::Error> {
        let path = self.folder.join("lock");
        let file = files::open_in_place(&path)?;
        if file.try_lock().is_err() {
            waiting();
            file.lock().map_err(files::Error::at("lock", &path))?;
        }
        Ok(file)
    }

    /// For the holder of the lock: a writer that appends behind the last indexed record.
    pub fn writer(&self) -> Result<Writer, files::Error> {
        let index_path = self.index_path();
        let mut index = files::open_in_place(&index_path)?;
        let mut old = Vec::new();
        index
            .read_to_end(&mut old)
            .map_err(files::Error::at("read", &index_path))?;
        let complete = old.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        index
            .set_len(complete as u64)
            .and_then(|()| index.seek(SeekFrom::End(0)))
            .map_err(files::Error::at("write", &index_path))?;
        let data_path = self.data_path();
        let mut data = files::open_in_place(&data_path)?;
        let bytes = data.metadata().map_err(files::Error::at("read", &data_path))?.len();
        // Behind every record that a line names, be it damaged or not, so that rows never change.
        let named = String::from_utf8_lossy(&old[..complete])
            .lines()
            .filter_map(|line| line.split(' ').nth(1)?.parse::<u64>().ok())
            .max()
            .map_or(0, |row| row + 1);
        let next = named.min(bytes.div_ceil(self.record_bytes().max(1)));
        data.seek(SeekFrom::Start(next * self.record_bytes()))
            .map_err(files::Error::at("write", &data_path))?;
        Ok(Writer {
            data,
            data_path,
            index,
            index_path,
            next,
            pending: String::new(),
            pending_bytes: 0,
        })
    }
}

/// Appends records.
pub struct Writer {
    data: File,
    data_path: PathBuf,
    index: File,
    index_path: PathBuf,
    next: u64,
    pending: String,
    pending_bytes: usize,
}

/// Data that is written before it is synced and named in the index.
const SYNC_EVERY: usize = 64 << 20;

impl Writer {
    /// Appends one record. It counts once [`Self::sync`] has returned.
    pub fn append(&mut self, key: &Key, values: &[f32]) -> Result<(), files::Error> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.data
            .write_all(&bytes)
            .map_err(files::Error::at("write", &self.data_path))?;
        self.pending
            .push_str(&format!("{} {} {}\n", hex(key), self.next, hex(&digest(&bytes))));
        self.next += 1;
        self.pending_bytes += bytes.len();
        if self.pending_bytes >= SYNC_EVERY {
            self.sync()?;
        }
        Ok(())
    }

    /// Makes everything that was appended count.
    pub fn sync(&mut self) -> Result<(), files::Error> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.data
            .sync_data()
            .map_err(files::Error::at("write", &self.data_path))?;
        self.index
            .write_all(self.pending.as_bytes())
            .and_then(|()| self.index.sync_data())
            .map_err(files::Error::at("write", &self.index_path))?;
        self.pending.clear();
        self.pending_bytes = 0;
        Ok(())
    }
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
                .append(&key(&value.to_string(), 0.0, None), &record(value))
                .unwrap();
        }
        writer.sync().unwrap();
        store.refresh().unwrap();
    }

    fn read(store: &mut Store, value: f32) -> Option<Vec<f32>> {
        let key = key(&value.to_string(), 0.0, None);
        store.verify(&[key]);
        let mut out = vec![0.0; 3];
        store.read(store.row(&key)?, &mut out);
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
