//! Between the training loop and the record: rows, epoch lines, Ctrl-C.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::output;
use super::progress::Stage;
use crate::evaluate::Score;
use crate::track::{BaselineRow, MetricRow, Recorder, ResultRow};
use crate::train::{EpochSummary, Observer};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C (and SIGTERM) asks the loop to stop; a second one ends the program at once.
pub fn listen_for_interrupts() {
    let listening = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            end_at_once();
        }
        output::note("\nstopping after this batch; press Ctrl-C again to stop at once");
    });
    if let Err(error) = listening {
        output::warning(&format!("Ctrl-C will not be handled: {error}"));
    }
}

#[allow(clippy::disallowed_methods)] // the user asked twice
fn end_at_once() -> ! {
    std::process::exit(130)
}

/// Records every epoch and shows it.
pub struct Watch<'a> {
    pub recorder: &'a Recorder,
    pub stage: Stage,
    pub started: Instant,
    /// What was recorded so far.
    pub rows: Vec<MetricRow>,
}

impl Observer for Watch<'_> {
    fn batch(&mut self, epoch: u32, done: usize, total: usize, loss: f64) {
        self.stage.message(format!("batches of epoch {epoch}, loss {loss:.4}"));
        self.stage.update(done, total);
    }

    fn epoch(&mut self, summary: &EpochSummary) {
        let rows = metric_rows(summary);
        self.recorder.metrics(rows.clone());
        self.rows.extend(rows);
        self.stage
            .line(&epoch_line(summary, self.started.elapsed().as_secs_f64()));
    }

    fn interrupted(&self) -> bool {
        INTERRUPTED.load(Ordering::SeqCst)
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

fn epoch_line(summary: &EpochSummary, elapsed: f64) -> String {
    let value = |name: &str| {
        summary
            .val_scores
            .iter()
            .find(|score| score.name == name && score.target.is_empty())
            .map(|score| format!("  val {name} {:.4}", score.value))
    };
    let metric = value("mae").or_else(|| value("uar")).unwrap_or_default();
    let left = elapsed / f64::from(summary.epoch) * f64::from(summary.epochs - summary.epoch);
    format!(
        "{:>10}  {:>3}/{}  train loss {:.4}  val loss {:.4}{metric}  lr {:.1e}  {}  at most {} left{}",
        "epoch",
        summary.epoch,
        summary.epochs,
        summary.train_loss,
        summary.val_loss,
        summary.learning_rate,
        output::seconds(summary.seconds),
        output::seconds(left),
        if summary.is_best { "  * best" } else { "" },
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
