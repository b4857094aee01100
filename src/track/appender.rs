//! Appending to a file that may refuse for a while.
//!
//! A full disk must not end a training run of a day. What the file does not take is kept, and offered again from exactly
//! the byte where it stopped, so the file never holds a torn record in its middle. A file that refuses for too long is
//! given up, and the reason is kept for the end of the run.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::files;

/// What is kept for a file that refuses, in bytes.
const LIMIT: usize = 32 << 20;

/// An append-only file with patience.
pub(super) struct Appender<W = File> {
    path: PathBuf,
    file: W,
    /// Not yet taken by the file.
    pending: Vec<u8>,
    /// The last refusal, and whether the file was given up.
    trouble: Option<String>,
    given_up: bool,
}

impl Appender {
    pub fn open(path: &Path) -> Result<Self, files::Error> {
        Ok(Self::new(path, files::append(path)?))
    }

    /// Waits until the content is on the disk.
    pub fn sync(&mut self) {
        if let Err(error) = self.file.sync_all() {
            self.trouble = Some(error.to_string());
        }
    }
}

impl<W: Write> Appender<W> {
    fn new(path: &Path, file: W) -> Self {
        Self {
            path: path.to_path_buf(),
            file,
            pending: Vec::new(),
            trouble: None,
            given_up: false,
        }
    }

    /// Queues one whole record.
    pub fn push(&mut self, record: &[u8]) {
        if self.given_up {
            return;
        }
        if self.pending.len() + record.len() > LIMIT {
            self.given_up = true;
            self.pending = Vec::new();
            return;
        }
        self.pending.extend_from_slice(record);
    }

    /// Hands what is queued to the system.
    pub fn flush(&mut self) {
        let mut taken = 0;
        let mut refusal = None;
        while let Some(rest) = self.pending.get(taken..).filter(|rest| !rest.is_empty()) {
            match self.file.write(rest) {
                Ok(0) => refusal = Some("the system takes no more bytes".to_string()),
                Ok(count) => taken += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => refusal = Some(error.to_string()),
            }
            if refusal.is_some() {
                break;
            }
        }
        self.pending.drain(..taken.min(self.pending.len()));
        if !self.given_up {
            self.trouble = refusal;
        }
    }

    /// What is missing from the file, if anything, after a [`flush`](Self::flush).
    pub fn complaint(&self) -> Option<String> {
        let trouble = self.trouble.as_deref();
        (self.given_up || !self.pending.is_empty() || trouble.is_some()).then(|| {
            format!(
                "`{}` is incomplete: {}",
                self.path.display(),
                trouble.unwrap_or("it refused too much")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes three bytes at a time, and none while `full`.
    struct Disk {
        content: Vec<u8>,
        full: bool,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if self.full || self.content.len() == 9 {
                return Err(ErrorKind::StorageFull.into());
            }
            let taken = bytes.len().min(3);
            self.content.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn appender(full: bool) -> Appender<Disk> {
        let disk = Disk {
            content: Vec::new(),
            full,
        };
        Appender::new(Path::new("log.jsonl"), disk)
    }

    #[test]
    fn a_refusal_in_mid_record_is_made_good() {
        let mut appender = appender(false);
        appender.push(b"first\nsecond\n");
        appender.flush();
        assert_eq!(appender.file.content, b"first\nsec");
        assert!(appender.complaint().unwrap().contains("log.jsonl"));
        appender.push(b"third\n");
        appender.file.content.push(b'o');
        appender.pending.drain(..1);
        appender.flush();
        assert_eq!(appender.file.content, b"first\nsecond\nthird\n");
        assert_eq!(appender.complaint(), None);
    }

    #[test]
    fn a_file_that_refuses_for_good_costs_no_memory() {
        let mut appender = appender(true);
        for _ in 0..40 {
            appender.push(&vec![0; 1 << 20]);
            appender.flush();
        }
        assert!(appender.pending.is_empty());
        assert!(appender.complaint().is_some());
        assert!(appender.file.content.is_empty());
    }
}
