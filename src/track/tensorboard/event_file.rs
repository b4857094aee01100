//! One event file: a name that TensorBoard finds, records in its framing, and the mark that takes back what a resumed run
//! does again.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use protobuf::Message;
use tensorboard_proto::event::{Event, SessionLog, SessionLog_SessionStatus};
use tensorboard_proto::summary::Summary;
use tensorboard_rs::record_writer::RecordWriter;

use crate::files;
use crate::track::appender::Appender;

/// Marks a folder's file as one of TensorBoard's.
pub(super) const PREFIX: &str = "events.out.tfevents.";
/// Ends the name of a file that is void once the run goes on.
const VOID_WHEN_RESUMED: &str = ".failed";

/// How long what an event file holds is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lasts {
    ForGood,
    /// See [`remove_void`].
    UntilResumed,
}

/// An event file that is being written.
pub(super) struct EventFile {
    appender: Appender,
}

impl EventFile {
    /// A new event file in `folder`, with the record that every event file begins with. With `purge_from`, the values of that
    /// step and later in older files of the folder are void.
    pub fn begin(folder: &Path, purge_from: Option<u64>, lasts: Lasts) -> Result<Self, files::Error> {
        files::create_folder(folder)?;
        let now = Timestamp::now();
        let wall_time = now.as_duration().as_secs_f64();
        let appender = Appender::open(&new_path(folder, now, lasts))?;
        let mut file = Self { appender };
        let mut event = Event::new();
        event.set_file_version("brain.Event:2".to_string());
        file.push(event, purge_from.unwrap_or(0), wall_time);
        if let Some(step) = purge_from {
            let mut session = SessionLog::new();
            session.set_status(SessionLog_SessionStatus::START);
            let mut event = Event::new();
            event.set_session_log(session);
            file.push(event, step, wall_time);
        }
        Ok(file)
    }

    /// Queues a summary; `wall_time`: seconds since 1970.
    pub fn summary(&mut self, summary: Summary, step: u64, wall_time: f64) {
        let mut event = Event::new();
        event.set_summary(summary);
        self.push(event, step, wall_time);
    }

    fn push(&mut self, mut event: Event, step: u64, wall_time: f64) {
        event.set_step(i64::try_from(step).unwrap_or(i64::MAX));
        event.set_wall_time(wall_time);
        let mut record = Vec::new();
        // Both write to memory: neither can fail.
        let written = event
            .write_to_bytes()
            .is_ok_and(|bytes| RecordWriter::new(&mut record).write(&bytes).is_ok());
        if written {
            self.appender.push(&record);
        }
    }

    /// Hands everything to the system.
    pub fn flush(&mut self) {
        self.appender.flush();
    }

    /// What is missing, for people.
    pub fn complaint(&self) -> Option<String> {
        self.appender.complaint()
    }
}

/// Removes the files of `folder` that were true only until the run went on.
pub(super) fn remove_void(folder: &Path) -> Result<(), files::Error> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(PREFIX) && name.ends_with(VOID_WHEN_RESUMED) {
            std::fs::remove_file(entry.path()).map_err(files::Error::at("remove", &entry.path()))?;
        }
    }
    Ok(())
}

/// A name that no file has: second, host, process, and a number that tells two of the same second apart. TensorBoard
/// reads the files of a folder in the order of their names, so the second comes first. Only one process writes to a run's
/// folder.
fn new_path(folder: &Path, now: Timestamp, lasts: Lasts) -> PathBuf {
    let host: String = gethostname::gethostname()
        .to_string_lossy()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' || c == '.' {
                c
            } else {
                '_'
            }
        })
        .collect();
    let ending = match lasts {
        Lasts::ForGood => "",
        Lasts::UntilResumed => VOID_WHEN_RESUMED,
    };
    let (second, pid) = (now.as_second(), std::process::id());
    let mut number = 0u32;
    loop {
        let path = folder.join(format!("{PREFIX}{second:010}.{host}.{pid}.{number}{ending}"));
        if !path.exists() || number == u32::MAX {
            return path;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lasted_until_the_run_went_on_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        for lasts in [Lasts::ForGood, Lasts::UntilResumed, Lasts::UntilResumed] {
            EventFile::begin(folder.path(), None, lasts).unwrap().flush();
        }
        let count = || std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(count(), 3);
        remove_void(folder.path()).unwrap();
        assert_eq!(count(), 1);
    }
}
