//! The thread that writes a run's records: the log at once, TensorBoard and the database in batches.
//!
//! The log comes first, so that at any moment the database can be made from it. A database that is busy, full or gone
//! is tried again with the next batch; what waits for it is bounded, and beyond the bound (or when the file was replaced
//! meanwhile) the run's rows are made anew from the log. Nothing here stops a training run.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::appender::Appender;
use super::log::{Entry, Finish, Line, Metrics, Results};
use super::process::HEARTBEAT;
use super::rows::Status;
use super::run_dir::RunDir;
use super::store::{self, Replay};
use super::tensorboard::{ImageOf, TensorBoard};
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
        of: ImageOf,
        tag: String,
        step: u64,
        size: (u32, u32),
        rgb: Vec<u8>,
    },
    Tensors(Tensors),
    Finish {
        status: Status,
        error: Option<String>,
    },
}

/// Tensors of one moment, by tag, whose values are to be counted.
pub(super) struct Tensors {
    pub at: Timestamp,
    pub step: u64,
    pub tensors: VecDeque<(String, Vec<f32>)>,
}

/// The three places that records go to.
pub(super) struct Writer {
    dir: RunDir,
    log: Appender,
    board: TensorBoard,
    /// When TensorBoard gets what was written since the last time.
    board_due: Option<Instant>,
    sink: Sink,
    /// Waits until there is nothing else to do: whoever records a figure must not wait for the counting of millions.
    uncounted: Option<Tensors>,
}

impl Writer {
    pub fn new(dir: RunDir, log: Appender, board: TensorBoard, sink: Sink) -> Self {
        Self {
            dir,
            log,
            board,
            board_due: None,
            sink,
            uncounted: None,
        }
    }

    /// Works until the run ends. Returns what could not be recorded, for people.
    pub fn run(mut self, receiver: &Receiver<Message>) -> Vec<String> {
        let interrupted = (Status::Interrupted, None);
        loop {
            let message = match receiver.try_recv() {
                Err(TryRecvError::Empty) => {
                    // Before the thread sleeps, the log has everything.
                    self.log.flush();
                    match self.count_one() {
                        true => receiver.recv_timeout(Duration::ZERO),
                        false => receiver.recv_timeout(self.rest()),
                    }
                }
                Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
                Ok(message) => Ok(message),
            };
            match message {
                Ok(Message::Line(line)) => self.take(line),
                Ok(Message::Settle(done)) => {
                    while self.count_one() {}
                    self.board.flush();
                    self.board_due = None;
                    self.log.flush();
                    // Whoever asked may have given up waiting.
                    let _ = done.try_send(());
                }
                Ok(Message::Image {
                    line,
                    of,
                    tag,
                    step,
                    size,
                    rgb,
                }) => {
                    self.board_mut().image(of, &tag, step, seconds(line.at), size, &rgb);
                    self.take(line);
                }
                Ok(Message::Tensors(tensors)) => {
                    // Two sets would take too much memory.
                    while self.count_one() {}
                    self.uncounted = Some(tensors);
                }
                Ok(Message::Finish { status, error }) => return self.finish(status, error),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.finish(interrupted.0, interrupted.1),
            }
            if self.board_due.is_some_and(|due| due <= Instant::now()) {
                self.board.flush();
                self.board_due = None;
            }
            if self.sink.is_due() {
                self.log.flush();
                self.sink.flush(&self.dir);
            }
        }
    }

    /// How long there is nothing to do.
    fn rest(&self) -> Duration {
        let board = self.board_due.map(|due| due.saturating_duration_since(Instant::now()));
        board.map_or(self.sink.rest(), |board| board.min(self.sink.rest()))
    }

    /// For writing: what is written is flushed in time, however the database is.
    fn board_mut(&mut self) -> &mut TensorBoard {
        self.board_due.get_or_insert_with(|| Instant::now() + GATHER);
        &mut self.board
    }

    /// Counts the values of one tensor; `false`: there is none.
    fn count_one(&mut self) -> bool {
        let Some(uncounted) = &mut self.uncounted else {
            return false;
        };
        let (at, step) = (seconds(uncounted.at), uncounted.step);
        match uncounted.tensors.pop_front() {
            Some((tag, values)) => {
                self.board_mut().histogram(&tag, step, at, &values);
                true
            }
            None => {
                self.uncounted = None;
                false
            }
        }
    }

    fn take(&mut self, line: Line) {
        self.log.push(&line.to_json());
        match &line.entry {
            Entry::Metrics(Metrics { rows }) => {
                let board = self.board_mut();
                rows.iter().for_each(|row| board.scalar(row));
            }
            Entry::Results(Results { results, .. }) => self.board_mut().results(results, seconds(line.at)),
            _ => {}
        }
        self.sink.push(line);
    }

    fn finish(mut self, status: Status, error: Option<String>) -> Vec<String> {
        let mut complaints = Vec::new();
        while self.count_one() {}
        self.board.ended(status, seconds(time::now()));
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

/// Seconds since 1970.
fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
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
