//! Between the training loop and the record: rows, epoch lines, Ctrl-C.

use std::io::Read as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::output;
use super::progress::Stage;
use crate::evaluate::Score;
use crate::track::{BaselineRow, MetricRow, Recorder, ResultRow};
use crate::train::{EpochSummary, Observer};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// Whether there is a run whose state can be saved, and somebody looks at [`INTERRUPTED`].
static GRACEFUL: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C (and SIGTERM) asks a run that has begun to stop; a second one ends the program at once, and so does the
/// first where there is nothing to save.
pub fn listen_for_interrupts() {
    let listening = ctrlc::set_handler(|| {
        if !ask_to_stop() {
            end_at_once();
        }
        output::note("\nstopping as soon as the state is saved; press Ctrl-C again to stop at once");
    });
    if let Err(error) = listening {
        output::warning(&format!("Ctrl-C will not be handled: {error}"));
    }
}

/// From now on the end of standard input asks as Ctrl-C does: a parent that runs this process stops it so, and wants it to stop when the
/// parent is gone itself.
pub fn stop_when_stdin_ends() {
    std::thread::spawn(|| {
        let mut buffer = [0; 64];
        while std::io::stdin().read(&mut buffer).is_ok_and(|read| read > 0) {}
        if !INTERRUPTED.load(Ordering::SeqCst) && !ask_to_stop() {
            end_at_once();
        }
    });
}

/// `false`: there is nothing to wait for.
fn ask_to_stop() -> bool {
    if INTERRUPTED.swap(true, Ordering::SeqCst) {
        return false;
    }
    let graceful = GRACEFUL.load(Ordering::SeqCst);
    if !graceful {
        output::note("\ninterrupted; what was computed so far is in the cache");
    }
    graceful
}

/// Whether somebody asked to stop.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// While it lives, Ctrl-C lets the work save its state.
pub struct Graceful(());

impl Graceful {
    pub fn begin() -> Self {
        GRACEFUL.store(true, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Graceful {
    fn drop(&mut self) {
        GRACEFUL.store(false, Ordering::SeqCst);
    }
}

#[allow(clippy::disallowed_methods)] // the user wants it to end
fn end_at_once() -> ! {
    std::process::exit(130)
}

/// Records every epoch and shows it.
pub struct Watch<'a> {
    pub recorder: &'a Recorder,
    pub stage: Stage,
    pub started: Instant,
    /// The most there will be.
    pub epochs: u32,
    /// Of the epoch before.
    pub learning_rate: Option<f64>,
    /// What was recorded so far.
    pub rows: Vec<MetricRow>,
}

impl Observer for Watch<'_> {
    fn batch(&mut self, epoch: u32, done: usize, total: usize, loss: f64) {
        let elapsed = self.started.elapsed().as_secs_f64();
        let share = (f64::from(epoch - 1) + done as f64 / total.max(1) as f64) / f64::from(self.epochs.max(1));
        let left = elapsed / share.max(f64::MIN_POSITIVE) * (1.0 - share);
        let text = format!(
            "batches, epoch {epoch}/{}, loss {}, at most {} left",
            self.epochs,
            output::figure(loss),
            output::seconds(left)
        );
        self.stage.update(&text, done, total);
    }

    fn epoch(&mut self, summary: &EpochSummary) {
        let rows = metric_rows(summary);
        self.recorder.metrics(rows.clone());
        self.recorder.settle();
        self.rows.extend(rows);
        let before = self.learning_rate.replace(summary.learning_rate);
        if before.is_some_and(|before| before != summary.learning_rate) {
            let text = format!(
                "learning rate {:.2e} from epoch {} on",
                summary.learning_rate, summary.epoch
            );
            self.stage.line("", &text);
        }
        self.stage.line("epoch", &epoch_line(summary));
    }

    fn interrupted(&self) -> bool {
        interrupted()
    }
}

fn metric_rows(summary: &EpochSummary) -> Vec<MetricRow> {
    let wall_time = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64();
    let row = |split: &str, name: String, value: f64| MetricRow {
        split: split.into(),
        name,
        epoch: summary.epoch,
        step: summary.step,
        value,
        wall_time,
    };
    let mut rows = vec![row("", "learning_rate".into(), summary.learning_rate)];
    for (split, loss, scores) in [
        ("train", summary.train_loss, &summary.train_scores),
        ("val", summary.val_loss, &summary.val_scores),
    ] {
        rows.push(row(split, "loss".into(), loss));
        rows.extend(scores.iter().map(|score| row(split, score_name(score), score.value)));
    }
    rows
}

/// "mae", or "mae/valence".
fn score_name(score: &Score) -> String {
    match score.target.as_str() {
        "" => score.name.into(),
        target => format!("{}/{target}", score.name),
    }
}

/// Fits into 80 columns in ordinary cases.
fn epoch_line(summary: &EpochSummary) -> String {
    let value = |name: &str| {
        summary
            .val_scores
            .iter()
            .find(|score| score.name == name && score.target.is_empty())
            .map(|score| format!("  {name} {}", output::figure(score.value)))
    };
    format!(
        "{:>3}/{}  train loss {}  val loss {}{}  {}{}",
        summary.epoch,
        summary.epochs,
        output::figure(summary.train_loss),
        output::figure(summary.val_loss),
        value("mae").or_else(|| value("uar")).unwrap_or_default(),
        output::seconds(summary.seconds),
        if summary.is_best { "  best" } else { "" },
    )
}

/// Final figures as rows.
pub fn result_rows(split: &str, scores: &[Score]) -> Vec<ResultRow> {
    scores
        .iter()
        .map(|score| ResultRow {
            split: split.into(),
            name: score.name.into(),
            target: score.target.clone(),
            value: score.value,
            ci: score.ci,
        })
        .collect()
}

/// A baseline's figures as rows.
pub fn baseline_rows(split: &str, baseline: &str, scores: &[Score]) -> Vec<BaselineRow> {
    scores
        .iter()
        .map(|score| BaselineRow {
            split: split.into(),
            baseline: baseline.into(),
            name: score.name.into(),
            target: score.target.clone(),
            value: score.value,
        })
        .collect()
}
