//! TensorBoard event files.
//!
//! Layout. TensorBoard calls every folder with an event file a "run" and draws equal tags of several runs into one chart.
//! So the values of a split are written under the split's own folder, with the split left out of the tag:
//! `train/events.out.tfevents…` and `val/events.out.tfevents…` both hold `loss`, and the two curves overlay by default.
//! (Tags `loss/train` and `loss/val` in one file would give two charts in one section.) What belongs to no split, the
//! settings as text, the images and the learning rate, is in the run's folder itself. This is also where TensorBoard's
//! hparams page looks: it takes a run's folder for a session, and `train` and `val` below it for groups of its metrics.
//!
//! Guard. tensorboard-rs's `SummaryWriter` writes from a thread of its own, which panics when the disk is full or the
//! folder cannot be written, and then every later call panics; it cuts off an existing file of the same second and
//! process; and some of its functions are not written yet. So only its parts without those faults are used: the framing
//! of records, and the messages for scalars and images after their arguments were checked. Texts and everything else
//! are made of the protobuf types beneath it. The files are written by an [`Appender`], which never panics: when
//! it fails, TensorBoard misses something, the run does not stop, and the reason is told at its end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use protobuf::{Message, RepeatedField};
use tensorboard_proto::event::{Event, SessionLog, SessionLog_SessionStatus};
use tensorboard_proto::summary::{Summary, Summary_Value, SummaryMetadata, SummaryMetadata_PluginData};
use tensorboard_proto::tensor::TensorProto;
use tensorboard_proto::tensor_shape::{TensorShapeProto, TensorShapeProto_Dim};
use tensorboard_proto::types::DataType;
use tensorboard_rs::record_writer::RecordWriter;

use super::appender::Appender;
use super::rows::MetricRow;
use crate::files;

/// Marks a folder's file as one of TensorBoard's.
const PREFIX: &str = "events.out.tfevents.";
/// The longest side of an image, in pixels.
const LARGEST_IMAGE: u32 = 16_384;

/// The event files of one run.
pub(super) struct TensorBoard {
    folder: PathBuf,
    /// By split; "" is the run's own.
    files: BTreeMap<String, Option<Appender>>,
    /// A resumed run takes back the values from this step on.
    purge_from: Option<u64>,
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
            complaints: Vec::new(),
        };
        board.file("");
        if purge_from.is_some() {
            for split in ["train", "val", "test"] {
                if folder.join(split).is_dir() {
                    board.file(split);
                }
            }
        }
        board
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
            ("", format!("{}/{}", row.split, row.name))
        };
        let summary = tensorboard_rs::summary::scalar(&tag, row.value as f32);
        self.write(split, row.step, row.wall_time, summary);
    }

    /// Markdown.
    pub fn text(&mut self, tag: &str, step: u64, wall_time: f64, markdown: &str) {
        let mut dimension = TensorShapeProto_Dim::new();
        dimension.set_size(1);
        let mut shape = TensorShapeProto::new();
        shape.set_dim(RepeatedField::from_vec(vec![dimension]));
        let mut tensor = TensorProto::new();
        tensor.set_dtype(DataType::DT_STRING);
        tensor.set_tensor_shape(shape);
        tensor.set_string_val(RepeatedField::from_vec(vec![markdown.as_bytes().to_vec()]));

        let mut plugin = SummaryMetadata_PluginData::new();
        plugin.set_plugin_name("text".to_string());
        let mut metadata = SummaryMetadata::new();
        metadata.set_plugin_data(plugin);

        let mut value = Summary_Value::new();
        value.set_tag(tag.to_string());
        value.set_metadata(metadata);
        value.set_tensor(tensor);
        let mut summary = Summary::new();
        summary.set_value(RepeatedField::from_vec(vec![value]));
        self.write("", step, wall_time, summary);
    }

    /// An image, interleaved RGB, rows from the top; `rgb` holds `3 · width · height` bytes.
    pub fn image(&mut self, tag: &str, step: u64, wall_time: f64, (width, height): (u32, u32), rgb: &[u8]) {
        let bytes = 3 * u64::from(width) * u64::from(height);
        let sides = 1..=LARGEST_IMAGE;
        if !sides.contains(&width) || !sides.contains(&height) || rgb.len() as u64 != bytes {
            let given = rgb.len();
            self.complain(format!(
                "image `{tag}` left out: {width}×{height} pixels in {given} bytes"
            ));
            return;
        }
        // What the function calls "CHW" is: 3, width, height. In the message it then takes width for height.
        let mut summary = tensorboard_rs::summary::image(tag, rgb, &[3, width as usize, height as usize]);
        for value in summary.mut_value().iter_mut() {
            let image = value.mut_image();
            image.set_width(i32::try_from(width).unwrap_or_default());
            image.set_height(i32::try_from(height).unwrap_or_default());
        }
        self.write("", step, wall_time, summary);
    }

    /// Hands everything to the system, so that a live run shows.
    pub fn flush(&mut self) {
        self.files.values_mut().flatten().for_each(Appender::flush);
    }

    /// What could not be written, for people; empty if all is well.
    pub fn complaints(&self) -> Vec<String> {
        let files = self.files.values().flatten().filter_map(Appender::complaint);
        self.complaints.iter().cloned().chain(files).collect()
    }

    fn complain(&mut self, complaint: String) {
        if !self.complaints.contains(&complaint) {
            self.complaints.push(complaint);
        }
    }

    fn write(&mut self, split: &str, step: u64, wall_time: f64, summary: Summary) {
        let mut event = Event::new();
        event.set_summary(summary);
        let Some(file) = self.file(split) else { return };
        push(file, event, step, wall_time);
    }

    /// The file of a split, begun where there is none yet.
    fn file(&mut self, split: &str) -> Option<&mut Appender> {
        if !self.files.contains_key(split) {
            let file = match begin(&self.folder.join(split), self.purge_from) {
                Ok(file) => Some(file),
                Err(error) => {
                    self.complain(format!("TensorBoard is off: {error}"));
                    None
                }
            };
            self.files.insert(split.to_string(), file);
        }
        self.files.get_mut(split)?.as_mut()
    }
}

/// A new event file in `folder`, with the record that every event file begins with.
fn begin(folder: &Path, purge_from: Option<u64>) -> Result<Appender, files::Error> {
    files::create_folder(folder)?;
    let now = Timestamp::now();
    let wall_time = now.as_duration().as_secs_f64();
    let mut file = Appender::open(&new_path(folder, now))?;
    let mut event = Event::new();
    event.set_file_version("brain.Event:2".to_string());
    push(&mut file, event, purge_from.unwrap_or(0), wall_time);
    if let Some(step) = purge_from {
        let mut session = SessionLog::new();
        session.set_status(SessionLog_SessionStatus::START);
        let mut event = Event::new();
        event.set_session_log(session);
        push(&mut file, event, step, wall_time);
    }
    Ok(file)
}

/// A name that no file has: second, host, process, and a number that tells two of the same second apart. TensorBoard
/// reads the files of a folder in the order of their names, so the second comes first. Only one process writes to a run's
/// folder.
fn new_path(folder: &Path, now: Timestamp) -> PathBuf {
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
    let (second, pid) = (now.as_second(), std::process::id());
    let mut number = 0u32;
    loop {
        let path = folder.join(format!("{PREFIX}{second:010}.{host}.{pid}.{number}"));
        if !path.exists() || number == u32::MAX {
            return path;
        }
        number += 1;
    }
}

fn push(file: &mut Appender, mut event: Event, step: u64, wall_time: f64) {
    event.set_step(i64::try_from(step).unwrap_or(i64::MAX));
    event.set_wall_time(wall_time);
    let mut record = Vec::new();
    // Both write to memory: neither can fail.
    let written = event
        .write_to_bytes()
        .is_ok_and(|bytes| RecordWriter::new(&mut record).write(&bytes).is_ok());
    if written {
        file.push(&record);
    }
}

#[cfg(test)]
mod tests {
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
        board.text("settings", 0, 0.0, "x");
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
        board.image("scatter", 1, 0.0, (2, 3), &[0; 17]);
        board.image("empty", 1, 0.0, (0, 3), &[]);
        board.image("good", 1, 0.0, (2, 3), &[0; 18]);
        board.flush();
        assert_eq!(board.complaints().len(), 2, "{:?}", board.complaints());
    }
}
