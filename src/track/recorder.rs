//! What the training loop and the command line record a run with.
//!
//! The methods only hand things to a thread (see [`writer`](super::writer)); none of them fails, and none waits long. What
//! could not be recorded is told once, at the end.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use serde_json::json;

use super::appender::Appender;
use super::log::{self, Entry, Line, Metrics, Results, Start};
use super::process::Process;
use super::provenance::{self, Provenance};
use super::rows::{BaselineRow, MetricRow, ResultRow, Status};
use super::run_dir::RunDir;
use super::store;
use super::tensorboard::{ImageOf, TensorBoard};
use super::writer::{Message, Sink, Tensors, Writer};
use super::{Error, connection, params, time};
use crate::files;

/// Calls that may wait for the thread.
const QUEUE: usize = 1024;
/// How long a call waits when the queue is full.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long the start of a run waits for a database that others write to.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// What is known of a run when it starts.
#[derive(Debug, Clone, PartialEq)]
pub struct RunHeader {
    /// The resolved settings, enough to run again. Becomes experiment.toml and, flattened, the params.
    pub config_toml: String,
    /// Equal for equal settings; what goes into it is the caller's choice.
    pub config_hash: String,
    pub tags: Vec<String>,
    /// The run that this one goes back to.
    pub parent_id: Option<String>,
    /// Seed, device, data and program. Becomes provenance.json.
    pub provenance: Provenance,
}

/// A run that is being recorded.
///
/// Dropping it without [`finish`](Self::finish) marks the run: failed when the thread panics, else interrupted.
pub struct Recorder {
    dir: RunDir,
    sender: SyncSender<Message>,
    thread: Option<JoinHandle<Vec<String>>>,
    /// Messages that found the queue full for too long.
    lost: AtomicU64,
    stuck: AtomicBool,
}

/// A run that was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    pub dir: RunDir,
    pub status: Status,
    /// What could not be recorded, one sentence each; empty if all is well. For the user, as a warning.
    pub complaints: Vec<String>,
}

/// Where recording sets in.
enum Begin {
    New,
    /// After an interruption; what was recorded of later steps is void.
    After(u64),
}

impl Recorder {
    /// Begins the record of a new run: experiment.toml, provenance.json, log.jsonl, the event files, and the run's row in
    /// the database of `runs`.
    ///
    /// # Errors
    /// A folder or database that cannot be written, settings that are no TOML. A database that is merely busy is
    /// no error: the row follows.
    pub fn start(dir: RunDir, runs: &Path, header: RunHeader) -> Result<Self, Error> {
        Self::begin(dir, runs, &header, &Begin::New)
    }

    /// Goes on with the record of an interrupted run from the checkpoint made after `step` optimiser steps. What was
    /// recorded of later steps is taken back, in the database and in TensorBoard. experiment.toml and provenance.json
    /// stay as they were; the new provenance goes into the log.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn resume(dir: RunDir, runs: &Path, header: RunHeader, step: u64) -> Result<Self, Error> {
        Self::begin(dir, runs, &header, &Begin::After(step))
    }

    fn begin(dir: RunDir, runs: &Path, header: &RunHeader, from: &Begin) -> Result<Self, Error> {
        let settings = params::flatten(&header.config_toml)?;
        // Before anything is written: is there a database to write to?
        let mut connection = match connection::open(runs, START_PATIENCE) {
            Ok(connection) => Some(connection),
            Err(error) if connection::is_busy(&error) => None,
            Err(error) => return Err(error),
        };
        let now = time::now();
        let mut start = start_entry(&dir, header, now);
        let (begun, board) = match from {
            Begin::New => {
                refuse_known(connection.as_ref(), runs, dir.id())?;
                files::write_whole(&dir.file(store::SETTINGS), header.config_toml.as_bytes())?;
                files::write_whole(&dir.file(provenance::FILE), header.provenance.to_json().as_bytes())?;
                (None, TensorBoard::new(dir.path(), None))
            }
            Begin::After(step) => {
                start.resumed_after_step = Some(*step);
                let first = log::read(&dir.file(log::FILE))?
                    .into_iter()
                    .find_map(|line| match line.entry {
                        Entry::Started(start) => Some(start.created_at),
                        _ => None,
                    });
                start.created_at = first.unwrap_or(now);
                let provenance = Entry::Other {
                    what: "provenance".to_string(),
                    details: json!({ "provenance": header.provenance }),
                };
                let board = TensorBoard::new(dir.path(), Some(step.saturating_add(1)));
                (Some(Line::now(provenance)), board)
            }
        };
        let first = Line {
            at: now,
            entry: Entry::Started(Box::new(start)),
        };
        let log = begin_log(&dir, &[Some(&first), begun.as_ref()])?;
        let pending = match &mut connection {
            Some(connection) => record_start(connection, runs, &dir, first)?,
            None => vec![first],
        };
        let mut board = board;
        if matches!(from, Begin::New) {
            let wall_time = now.as_duration().as_secs_f64();
            board.settings(&settings, &header.config_toml, wall_time);
        }
        board.flush();
        let writer = Writer::new(dir.clone(), log, board, Sink::new(runs, connection, pending));
        let (sender, receiver) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("records".to_string())
            .spawn(move || writer.run(&receiver))
            .map_err(|source| Error::Thread { source })?;
        Ok(Self {
            dir,
            sender,
            thread: Some(thread),
            lost: AtomicU64::new(0),
            stuck: AtomicBool::new(false),
        })
    }

    /// The run's folder.
    pub fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// Values of one moment of training: to the log, TensorBoard and the database. A value with the split, name, epoch and
    /// step of an earlier one takes its place in the database.
    pub fn metrics(&self, rows: Vec<MetricRow>) {
        if !rows.is_empty() {
            self.send(Message::Line(Line::now(Entry::Metrics(Metrics { rows }))));
        }
    }

    /// Waits until a killed process would leave everything that was recorded so far, a few seconds at most.
    pub fn settle(&self) {
        let (done, settled) = sync_channel(1);
        self.send(Message::Settle(done));
        // A disk that takes nothing must not stop training; what is lost is told at the end.
        let _ = settled.recv_timeout(LONGEST_WAIT);
    }

    /// Something that happened, for the log. `what` is a word or two: "epoch", "checkpoint".
    pub fn event(&self, what: &str, details: serde_json::Value) {
        self.send(Message::Line(Line::now(other(what, details))));
    }

    /// An image for TensorBoard: interleaved RGB, rows from the top, `3 · width · height` bytes.
    pub fn image(&self, tag: &str, step: u64, size: (u32, u32), rgb: Vec<u8>) {
        self.send_image(ImageOf::Training, tag, step, size, rgb);
    }

    /// A plot of the whole run, at its end; the image is as for [`image`](Self::image). A resumed run takes all of them back.
    pub fn plot(&self, tag: &str, step: u64, size: (u32, u32), rgb: Vec<u8>) {
        self.send_image(ImageOf::End, tag, step, size, rgb);
    }

    fn send_image(&self, of: ImageOf, tag: &str, step: u64, size: (u32, u32), rgb: Vec<u8>) {
        let details = json!({ "tag": tag, "step": step, "width": size.0, "height": size.1 });
        self.send(Message::Image {
            line: Line::now(other("image", details)),
            of,
            tag: tag.to_string(),
            step,
            size,
            rgb,
        });
    }

    /// How the values of named tensors are distributed after `step` updates, for TensorBoard. Counted when there is nothing else to
    /// record.
    pub fn histograms(&self, step: u64, tensors: Vec<(String, Vec<f32>)>) {
        self.send(Message::Tensors(Tensors {
            at: time::now(),
            step,
            tensors: tensors.into(),
        }));
    }

    /// The final figures of the model and of its baselines.
    pub fn results(&self, results: Vec<ResultRow>, baselines: Vec<BaselineRow>) {
        self.send(Message::Line(Line::now(Entry::Results(Results { results, baselines }))));
    }

    /// Ends the run: lists its files, writes everything out and closes. Whatever belongs to the run (predictions,
    /// plots) is in its folder before this.
    ///
    /// # Errors
    /// [`Error::Writer`] when the thread is gone; the run's folder then tells what was reached.
    pub fn finish(mut self, status: Status, error: Option<String>) -> Result<Finished, Error> {
        let complaints = self.end(status, error)?;
        Ok(Finished {
            dir: self.dir.clone(),
            status,
            complaints,
        })
    }

    fn end(&mut self, status: Status, error: Option<String>) -> Result<Vec<String>, Error> {
        let Some(thread) = self.thread.take() else {
            return Ok(Vec::new());
        };
        // The thread always empties its queue, so this waits for a bounded time. If it is gone, joining says so.
        drop(self.sender.send(Message::Finish { status, error }));
        let mut complaints = thread.join().map_err(|_| Error::Writer)?;
        let lost = self.lost.load(Ordering::Relaxed);
        if lost > 0 {
            complaints.push(format!("{lost} records are lost: the disk was too slow for too long"));
        }
        Ok(complaints)
    }

    /// Waits at most [`LONGEST_WAIT`] where the thread cannot follow, and does not wait again before it has caught up.
    fn send(&self, message: Message) {
        let mut message = message;
        let begin = Instant::now();
        loop {
            message = match self.sender.try_send(message) {
                Ok(()) => {
                    self.stuck.store(false, Ordering::Relaxed);
                    return;
                }
                Err(TrySendError::Full(message)) => message,
                Err(TrySendError::Disconnected(_)) => break,
            };
            if self.stuck.load(Ordering::Relaxed) || begin.elapsed() > LONGEST_WAIT {
                self.stuck.store(true, Ordering::Relaxed);
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.lost.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let (status, error) = if std::thread::panicking() {
            (
                Status::Failed,
                Some("the program ended with an internal error".to_string()),
            )
        } else {
            (Status::Interrupted, None)
        };
        // There is nobody left to tell.
        drop(self.end(status, error));
    }
}

fn other(what: &str, details: serde_json::Value) -> Entry {
    Entry::Other {
        what: what.to_string(),
        details,
    }
}

fn start_entry(dir: &RunDir, header: &RunHeader, now: jiff::Timestamp) -> Start {
    let provenance = &header.provenance;
    Start {
        id: dir.id().to_string(),
        experiment: dir.experiment().to_string(),
        seed: provenance.seed,
        device: provenance.device.clone(),
        created_at: now,
        resumed_after_step: None,
        process: Process::current(),
        git_commit: provenance.git.as_ref().map(|git| git.commit.clone()),
        config_hash: header.config_hash.clone(),
        data_fingerprint: provenance.data_fingerprint.clone(),
        feature_key: provenance.feature_key.clone(),
        parent_id: header.parent_id.clone(),
        tags: header.tags.clone(),
        config_toml: header.config_toml.clone(),
    }
}

/// An id that the database knows already belongs to a folder that was removed by hand.
fn refuse_known(connection: Option<&Connection>, runs: &Path, id: &str) -> Result<(), Error> {
    let path = connection::path(runs);
    let Some(connection) = connection else { return Ok(()) };
    let known = connection
        .query_row("SELECT 1 FROM runs WHERE id = ?1", [id], |_| Ok(()))
        .optional()
        .map_err(Error::database("read", &path))?;
    match known {
        Some(()) => Err(Error::AlreadyRecorded {
            id: id.to_string(),
            path,
        }),
        None => Ok(()),
    }
}

/// Opens the log and writes its first lines; here a disk that takes nothing is an error.
fn begin_log(dir: &RunDir, lines: &[Option<&Line>]) -> Result<Appender, Error> {
    let path = dir.file(log::FILE);
    let gap = log::gap(&path)?;
    let mut log = Appender::open(&path)?;
    log.push(gap);
    lines.iter().flatten().for_each(|line| log.push(&line.to_json()));
    log.flush();
    match log.complaint() {
        Some(complaint) => Err(files::Error::at("write", &path)(std::io::Error::other(complaint)).into()),
        None => Ok(log),
    }
}

/// The run's row. Returns what must be tried again later.
fn record_start(connection: &mut Connection, runs: &Path, dir: &RunDir, first: Line) -> Result<Vec<Line>, Error> {
    let path = connection::path(runs);
    let mut write = || -> rusqlite::Result<()> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        store::apply(&transaction, dir.id(), &first)?;
        transaction.commit()
    };
    match write().map_err(Error::database("write", &path)) {
        Ok(()) => Ok(Vec::new()),
        Err(error) if connection::is_busy(&error) => Ok(vec![first]),
        Err(error) => Err(error),
    }
}
