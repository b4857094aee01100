//! The thread that writes a run's records: the log at once, TensorBoard and the database in batches.
//!
//! The log comes first, so that at any moment the database can be made from it. A database that is busy, full or gone
//! is tried again with the next batch; what waits for it is bounded, and beyond the bound (or when the file was replaced
//! meanwhile) the run's rows are made anew from the log. Nothing here stops a training run.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::appender::Appender;
use super::log::{Entry, Finish, Line, Metrics};
use super::process::HEARTBEAT;
use super::rows::Status;
use super::run_dir::RunDir;
use super::store::{self, Replay};
use super::tensorboard::TensorBoard;
use super::{Error, artifacts, connection, time};

/// How long records gather before they are written as one transaction.
const GATHER: Duration = Duration::from_millis(500);
/// One turn at the database waits no longer than this for others, so that the thread keeps emptying its queue.
const TURN: Duration = Duration::from_secs(2);
/// The pause after a failure, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// Rows that wait for the database at most; what is beyond is taken from the log later.
const LARGEST_BACKLOG: usize = 200_000;
/// So many rows are written without waiting for more.
const LARGEST_BATCH: usize = 5_000;
/// How long the end of a run waits for a database that others hold, and for one that fails otherwise.
const LAST_PATIENCE: Duration = Duration::from_secs(30);
const LAST_ATTEMPTS: Duration = Duration::from_secs(2);

/// What the recorder sends.
pub(super) enum Message {
    Line(Line),
    /// Answered once the system has everything that came before.
    Settle(SyncSender<()>),
    Image {
        line: Line,
        tag: String,
        step: u64,
        size: (u32, u32),
        rgb: Vec<u8>,
    },
    Finish {
        status: Status,
        error: Option<String>,
    },
}

/// The three places that records go to.
pub(super) struct Writer {
    pub dir: RunDir,
    pub log: Appender,
    pub board: TensorBoard,
    pub sink: Sink,
}

impl Writer {
    /// Works until the run ends. Returns what could not be recorded, for people.
    pub fn run(mut self, receiver: &Receiver<Message>) -> Vec<String> {
        let interrupted = (Status::Interrupted, None);
        loop {
            let message = match receiver.try_recv() {
                Err(TryRecvError::Empty) => {
                    // Before the thread sleeps, the log has everything.
                    self.log.flush();
                    receiver.recv_timeout(self.sink.rest())
                }
                Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
                Ok(message) => Ok(message),
            };
            match message {
                Ok(Message::Line(line)) => self.take(line),
                Ok(Message::Settle(done)) => {
                    self.log.flush();
                    // Whoever asked may have given up waiting.
                    let _ = done.try_send(());
                }
                Ok(Message::Image {
                    line,
                    tag,
                    step,
                    size,
                    rgb,
                }) => {
                    self.board.image(&tag, step, seconds(&line), size, &rgb);
                    self.take(line);
                }
                Ok(Message::Finish { status, error }) => return self.finish(status, error),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.finish(interrupted.0, interrupted.1),
            }
            if self.sink.is_due() {
                self.log.flush();
                self.board.flush();
                self.sink.flush(&self.dir);
            }
        }
    }

    fn take(&mut self, line: Line) {
        self.log.push(&line.to_json());
        if let Entry::Metrics(Metrics { rows }) = &line.entry {
            rows.iter().for_each(|row| self.board.scalar(row));
        }
        self.sink.push(line);
    }

    fn finish(mut self, status: Status, error: Option<String>) -> Vec<String> {
        let mut complaints = Vec::new();
        self.board.flush();
        let artifacts = artifacts::scan(self.dir.path()).unwrap_or_else(|error| {
            complaints.push(format!("the run's files are not listed: {error}"));
            Vec::new()
        });
        self.take(Line::now(Entry::Finished(Finish {
            status,
            error,
            artifacts,
        })));
        self.log.flush();
        self.log.sync();
        let begin = Instant::now();
        while !self.sink.flush(&self.dir) {
            // A flush that found the database busy keeps its connection.
            let patience = if self.sink.connection.is_some() {
                LAST_PATIENCE
            } else {
                LAST_ATTEMPTS
            };
            if begin.elapsed() > patience {
                break;
            }
            std::thread::sleep(FIRST_PAUSE);
        }
        complaints.extend(self.board.complaints());
        complaints.extend(self.log.complaint());
        complaints.extend(self.sink.complaint());
        complaints
    }
}

/// Seconds since 1970 of a line.
fn seconds(line: &Line) -> f64 {
    line.at.as_duration().as_secs_f64()
}

/// The way into the database.
pub(super) struct Sink {
    runs: PathBuf,
    connection: Option<Connection>,
    /// The file behind it.
    file: Option<(u64, u64)>,
    /// In order; not yet in the database.
    pending: Vec<Line>,
    /// How many rows `pending` stands for.
    rows: usize,
    /// The database misses something that is no longer in `pending`.
    behind: bool,
    /// The run is over: no heartbeat any more.
    ended: bool,
    due: Instant,
    heartbeat_due: Instant,
    pause: Duration,
    trouble: Option<String>,
}

impl Sink {
    /// A way into the database of `runs`, through `connection` if there is one already. The run's row is there, or will
    /// be made from `pending`.
    pub fn new(runs: &Path, connection: Option<Connection>, pending: Vec<Line>) -> Self {
        let now = Instant::now();
        if let Some(connection) = &connection {
            // Shorter turns than the opening had; if this fails, the longer ones stay.
            drop(connection.busy_timeout(TURN));
        }
        Self {
            runs: runs.to_path_buf(),
            file: connection::identity(&connection::path(runs)),
            connection,
            rows: pending.len(),
            pending,
            behind: false,
            ended: false,
            due: now + GATHER,
            heartbeat_due: now + HEARTBEAT,
            pause: FIRST_PAUSE,
            trouble: None,
        }
    }

    fn push(&mut self, line: Line) {
        self.ended |= matches!(line.entry, Entry::Finished(_));
        if matches!(line.entry, Entry::Other { .. }) {
            return;
        }
        if self.pending.is_empty() && self.trouble.is_none() {
            self.due = Instant::now() + GATHER;
        }
        self.rows += match &line.entry {
            Entry::Metrics(metrics) => metrics.rows.len(),
            _ => 1,
        };
        self.pending.push(line);
        if self.rows > LARGEST_BACKLOG {
            self.forget();
            self.behind = true;
        }
    }

    fn forget(&mut self) {
        self.pending = Vec::new();
        self.rows = 0;
    }

    /// How long there is nothing to do.
    fn rest(&self) -> Duration {
        let next = if self.has_work() { self.due } else { self.heartbeat_due };
        next.saturating_duration_since(Instant::now())
    }

    fn is_due(&self) -> bool {
        let now = Instant::now();
        let full = self.rows >= LARGEST_BATCH && self.trouble.is_none();
        (self.has_work() && (full || now >= self.due)) || (self.trouble.is_none() && now >= self.heartbeat_due)
    }

    fn has_work(&self) -> bool {
        self.behind || !self.pending.is_empty()
    }

    /// Writes what is pending; whether the database now has everything.
    fn flush(&mut self, dir: &RunDir) -> bool {
        let result = self.transact(dir);
        let now = Instant::now();
        self.heartbeat_due = now + HEARTBEAT;
        match result {
            Ok(()) => {
                self.forget();
                self.behind = false;
                self.trouble = None;
                self.pause = FIRST_PAUSE;
                self.due = now + GATHER;
            }
            Err(error) => {
                if !connection::is_busy(&error) {
                    self.connection = None;
                }
                self.trouble = Some(error.to_string());
                self.due = now + self.pause;
                self.heartbeat_due = self.heartbeat_due.max(self.due);
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            }
        }
        self.trouble.is_none()
    }

    fn transact(&mut self, dir: &RunDir) -> Result<(), Error> {
        let path = connection::path(&self.runs);
        let file = connection::identity(&path);
        if self.connection.is_some() && self.file != file {
            // It was deleted or replaced: what is written to the old one nobody reads.
            self.connection = None;
            self.behind = true;
        }
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                let opened = connection::open(&self.runs, TURN)?;
                self.file = connection::identity(&path);
                none.insert(opened)
            }
        };
        let mut write = || -> rusqlite::Result<()> {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let recorded = transaction
                .prepare_cached("SELECT 1 FROM runs WHERE id = ?1")?
                .query_row([dir.id()], |_| Ok(()))
                .optional()?
                .is_some();
            let begins = matches!(
                self.pending.first(),
                Some(Line {
                    entry: Entry::Started(_),
                    ..
                })
            );
            let replayed = (self.behind || (!recorded && !begins))
                && matches!(store::replay(&transaction, dir)?, Replay::Done { .. });
            if !replayed {
                self.pending
                    .iter()
                    .try_for_each(|line| store::apply(&transaction, dir.id(), line))?;
            }
            if !self.ended {
                store::heartbeat(&transaction, dir.id(), time::now())?;
            }
            transaction.commit()
        };
        write().map_err(Error::database("write", &path))
    }

    fn complaint(&self) -> Option<String> {
        let trouble = self.trouble.as_deref()?;
        Some(format!(
            "the run database is incomplete, `affect ls --rebuild` puts it right from the log: {trouble}"
        ))
    }
}
