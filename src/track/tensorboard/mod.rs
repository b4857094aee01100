//! TensorBoard event files.
//!
//! Layout. TensorBoard calls every folder with an event file a "run" and draws equal tags of several runs into one chart.
//! So the values of a split are written under the split's own folder, with the split left out of the tag:
//! `train/events.out.tfevents…` and `val/events.out.tfevents…` both hold `loss`, and the two curves overlay by default.
//! (Tags `loss/train` and `loss/val` in one file would give two charts in one section.) What belongs to no split, the
//! settings, the histograms, the examples and the learning rate, is in the run's folder itself. This is also where
//! TensorBoard's hparams page looks: it takes a run's folder for a session, and the folders below it for groups of its metrics.
//! `final/` has what the end of a run comes to: the plots, and in `final/val/` and `final/test/` the figures of the best checkpoint.
//!
//! Resuming. A new file in each folder begins with TensorBoard's mark of a restart, which voids what older files hold from a
//! step on: after the checkpoint, and in `final/` everything, because the end comes anew.
//!
//! Guard. tensorboard-rs's `SummaryWriter` writes from a thread of its own, which panics when the disk is full or the
//! folder cannot be written, and then every later call panics; it cuts off an existing file of the same second and
//! process; and some of its functions are not written yet. So only its parts without those faults are used: the framing
//! of records, and the messages for scalars, histograms and images after their arguments were checked. Texts, hparams and
//! everything else are made of the protobuf types beneath it. The files are written by an [`Appender`](super::appender::Appender),
//! which never panics: when it fails, TensorBoard misses something, the run does not stop, and the reason is told at its end.

mod event_file;
mod histogram;
mod hparams;
mod summary;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tensorboard_proto::api::Status as SessionStatus;
use tensorboard_proto::summary::Summary;

use super::rows::{MetricRow, ParamRow, ResultRow, Status};
use event_file::{EventFile, Lasts};
use histogram::Histogram;

/// The folder of a run itself.
const RUN: &str = "";
/// What the end of a run comes to.
const FINAL: &str = "final";
/// The folders that a resumed run must look into.
const FOLDERS: [&str; 6] = ["train", "val", "test", FINAL, "final/val", "final/test"];

/// Where an image belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ImageOf {
    Training,
    End,
}

/// The event files of one run.
pub(super) struct TensorBoard {
    folder: PathBuf,
    /// By folder below the run's.
    files: BTreeMap<String, Option<EventFile>>,
    /// A resumed run takes back the values from this step on.
    purge_from: Option<u64>,
    /// The last step of which a value was written.
    last_step: u64,
    complaints: Vec<String>,
}

impl TensorBoard {
    /// Event files below `folder`, which exists. With `purge_from`, the values of that step and later in older files are
    /// void. Never fails: see [`complaints`](Self::complaints).
    pub fn new(folder: &Path, purge_from: Option<u64>) -> Self {
        let mut board = Self {
            folder: folder.to_path_buf(),
            files: BTreeMap::new(),
            purge_from,
            last_step: purge_from.map_or(0, |step| step.saturating_sub(1)),
            complaints: Vec::new(),
        };
        if purge_from.is_some() {
            if let Err(error) = event_file::remove_void(folder) {
                board.complain(format!("TensorBoard still shows how the run ended before: {error}"));
            }
            for below in FOLDERS {
                if folder.join(below).is_dir() {
                    board.file(below);
                }
            }
        }
        board.file(RUN);
        board
    }

    /// The settings of a run that begins: as a table, as a file, and for the hparams page.
    pub fn settings(&mut self, settings: &[ParamRow], config_toml: &str, wall_time: f64) {
        for summary in [
            hparams::start(settings, wall_time),
            summary::text("settings", &table(settings)),
            summary::text("experiment.toml", &indented(config_toml)),
        ] {
            self.write(RUN, 0, wall_time, summary);
        }
    }

    /// One value; the split chooses the file.
    pub fn scalar(&mut self, row: &MetricRow) {
        // A split that could not name a folder stays in the tag.
        let plain = row
            .split
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        let (split, tag) = if plain {
            (row.split.as_str(), row.name.clone())
        } else {
            (RUN, format!("{}/{}", row.split, row.name))
        };
        self.last_step = self.last_step.max(row.step);
        self.write(split, row.step, row.wall_time, summary::scalar(&tag, row.value));
    }

    /// The distribution of a tensor's values.
    pub fn histogram(&mut self, tag: &str, step: u64, wall_time: f64, values: &[f32]) {
        if let Some(histogram) = Histogram::of(values) {
            self.write(RUN, step, wall_time, histogram.summary(tag));
        }
    }

    /// An image, interleaved RGB, rows from the top; `rgb` holds `3 · width · height` bytes.
    pub fn image(&mut self, of: ImageOf, tag: &str, step: u64, wall_time: f64, size: (u32, u32), rgb: &[u8]) {
        let folder = match of {
            ImageOf::Training => RUN,
            ImageOf::End => FINAL,
        };
        match summary::image(tag, size, rgb) {
            Ok(summary) => self.write(folder, step, wall_time, summary),
            Err(complaint) => self.complain(complaint),
        }
    }

    /// The final figures of the validation and the test split, at the last step.
    pub fn results(&mut self, results: &[ResultRow], wall_time: f64) {
        for row in results {
            let folder = match row.split.as_str() {
                "val" => "final/val",
                "test" => "final/test",
                _ => continue,
            };
            let tag = match row.target.as_str() {
                "" => row.name.clone(),
                target => format!("{}/{target}", row.name),
            };
            self.write(folder, self.last_step, wall_time, summary::scalar(&tag, row.value));
        }
    }

    /// How the run ended, for the hparams page. One that was interrupted has not ended; one that failed may go on, and then this
    /// is void.
    pub fn ended(&mut self, status: Status, wall_time: f64) {
        match status {
            Status::Completed | Status::StoppedEarly => {
                let summary = hparams::end(SessionStatus::STATUS_SUCCESS, wall_time);
                self.write(RUN, 0, wall_time, summary);
            }
            Status::Failed => match EventFile::begin(&self.folder, None, Lasts::UntilResumed) {
                Ok(mut file) => {
                    let summary = hparams::end(SessionStatus::STATUS_FAILURE, wall_time);
                    file.summary(summary, 0, wall_time);
                    file.flush();
                    self.complaints.extend(file.complaint());
                }
                Err(error) => self.complain(format!("TensorBoard does not show that the run failed: {error}")),
            },
            Status::Queued | Status::Running | Status::Interrupted => {}
        }
    }

    /// Hands everything to the system, so that a live run shows.
    pub fn flush(&mut self) {
        self.files.values_mut().flatten().for_each(EventFile::flush);
    }

    /// What could not be written, for people; empty if all is well.
    pub fn complaints(&self) -> Vec<String> {
        let files = self.files.values().flatten().filter_map(EventFile::complaint);
        self.complaints.iter().cloned().chain(files).collect()
    }

    fn complain(&mut self, complaint: String) {
        if !self.complaints.contains(&complaint) {
            self.complaints.push(complaint);
        }
    }

    fn write(&mut self, below: &str, step: u64, wall_time: f64, summary: Summary) {
        if let Some(file) = self.file(below) {
            file.summary(summary, step, wall_time);
        }
    }

    /// The file of a folder below the run's, begun where there is none yet.
    fn file(&mut self, below: &str) -> Option<&mut EventFile> {
        if !self.files.contains_key(below) {
            let purge_from = match below.starts_with(FINAL) {
                true => self.purge_from.map(|_| 0),
                false => self.purge_from,
            };
            let file = match EventFile::begin(&self.folder.join(below), purge_from, Lasts::ForGood) {
                Ok(file) => Some(file),
                Err(error) => {
                    self.complain(format!("TensorBoard is off: {error}"));
                    None
                }
            };
            self.files.insert(below.to_string(), file);
        }
        self.files.get_mut(below)?.as_mut()
    }
}

/// Markdown: a table of the settings.
fn table(settings: &[ParamRow]) -> String {
    let mut table = String::from("| setting | value |\n| --- | --- |\n");
    for row in settings {
        let value = match &row.value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let value = value.replace('|', "\\|").replace('\n', " ");
        table.push_str(&format!("| {} | {value} |\n", row.key));
    }
    table
}

/// Markdown: a block of code.
fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::event_file::PREFIX;
    use super::*;

    fn row(split: &str) -> MetricRow {
        MetricRow {
            split: split.to_string(),
            name: "loss".to_string(),
            epoch: 1,
            step: 7,
            value: 0.5,
            wall_time: 1.0,
        }
    }

    fn event_files(folder: &Path) -> usize {
        let entries = std::fs::read_dir(folder).unwrap();
        entries
            .filter(|entry| {
                entry
                    .as_ref()
                    .unwrap()
                    .file_name()
                    .to_string_lossy()
                    .starts_with(PREFIX)
            })
            .count()
    }

    #[test]
    fn splits_have_folders_and_names_are_never_used_twice() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..3 {
            let mut board = TensorBoard::new(folder.path(), None);
            board.scalar(&row("train"));
            board.scalar(&row("../escape"));
            board.flush();
            assert!(board.complaints().is_empty());
        }
        assert_eq!(event_files(folder.path()), 3);
        assert_eq!(event_files(&folder.path().join("train")), 3);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4);
    }

    #[test]
    fn what_cannot_be_written_is_a_complaint_and_no_panic() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut board = TensorBoard::new(&file.path().join("run"), None);
        board.scalar(&row("train"));
        board.settings(&[], "x", 0.0);
        board.ended(Status::Failed, 0.0);
        board.flush();
        assert!(
            board.complaints()[0].contains("TensorBoard is off"),
            "{:?}",
            board.complaints()
        );
    }

    #[test]
    fn an_image_of_the_wrong_size_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let mut board = TensorBoard::new(folder.path(), None);
        board.image(ImageOf::Training, "scatter", 1, 0.0, (2, 3), &[0; 17]);
        board.image(ImageOf::Training, "empty", 1, 0.0, (0, 3), &[]);
        board.image(ImageOf::Training, "good", 1, 0.0, (2, 3), &[0; 18]);
        board.flush();
        assert_eq!(board.complaints().len(), 2, "{:?}", board.complaints());
    }
}
