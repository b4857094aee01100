//! Appending records to a store; `store` says what a crash leaves.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;

use super::store::{Key, checksum, hex, last_row};
use crate::files;

/// Appends records.
pub struct Writer {
    data: File,
    data_path: PathBuf,
    index: File,
    index_path: PathBuf,
    notes_path: PathBuf,
    next: u64,
    pending: String,
    pending_bytes: usize,
    pending_notes: String,
}

/// Data that is written before it is synced and named in the index.
const SYNC_EVERY: usize = 64 << 20;

impl Writer {
    /// Behind the last record that the index names.
    pub(super) fn open(
        data_path: PathBuf,
        index_path: PathBuf,
        notes_path: PathBuf,
        record_bytes: u64,
    ) -> Result<Self, files::Error> {
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
        let mut data = files::open_in_place(&data_path)?;
        let bytes = data.metadata().map_err(files::Error::at("read", &data_path))?.len();
        // Behind every record that a line names, be it damaged or not, so that rows never change; but never behind the end.
        let named = last_row(&old).map_or(0, |row| row.saturating_add(1));
        let next = named.min(bytes.div_ceil(record_bytes.max(1)));
        data.seek(SeekFrom::Start(next * record_bytes))
            .map_err(files::Error::at("write", &data_path))?;
        Ok(Self {
            data,
            data_path,
            index,
            index_path,
            notes_path,
            next,
            pending: String::new(),
            pending_bytes: 0,
            pending_notes: String::new(),
        })
    }

    /// Appends one record. It counts once [`Self::sync`] has returned. `note`: what was wrong with the file behind it.
    pub fn append(&mut self, key: &Key, values: &[f32], note: Option<&str>) -> Result<(), files::Error> {
        self.write(values).map_err(files::Error::at("write", &self.data_path))?;
        self.pending
            .push_str(&format!("{} {} {}\n", hex(key), self.next, hex(&checksum(values))));
        if let Some(note) = note {
            self.pending_notes
                .push_str(&format!("{}\n", serde_json::json!([hex(key), note])));
        }
        self.next += 1;
        self.pending_bytes += size_of_val(values);
        if self.pending_bytes >= SYNC_EVERY {
            self.sync()?;
        }
        Ok(())
    }

    fn write(&mut self, values: &[f32]) -> std::io::Result<()> {
        if cfg!(target_endian = "big") {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            return self.data.write_all(&bytes);
        }
        self.data.write_all(bytemuck::cast_slice(values))
    }

    /// Makes everything that was appended count.
    pub fn sync(&mut self) -> Result<(), files::Error> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.data
            .sync_data()
            .map_err(files::Error::at("write", &self.data_path))?;
        if !self.pending_notes.is_empty() {
            files::append(&self.notes_path)?
                .write_all(self.pending_notes.as_bytes())
                .map_err(files::Error::at("write", &self.notes_path))?;
            self.pending_notes.clear();
        }
        self.index
            .write_all(self.pending.as_bytes())
            .and_then(|()| self.index.sync_data())
            .map_err(files::Error::at("write", &self.index_path))?;
        self.pending.clear();
        self.pending_bytes = 0;
        Ok(())
    }
}
