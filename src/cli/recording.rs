//! Between the training loop and the record: rows, the lines of the epochs, Ctrl-C.

use std::io::Read as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::output;
use super::progress::Stage;
use crate::config::Experiment;
use crate::evaluate::Score;
use crate::track::spec::Histograms;
use crate::track::{BaselineRow, MetricRow, Recorder, ResultRow};
use crate::train::spec::ValidateEvery;
use crate::train::{BatchSummary, Observer, Tensors, ValidationSummary};

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

/// Records every validation and shows it.
pub struct Watch<'a> {
    recorder: &'a Recorder,
    histograms: Histograms,
    pub stage: Stage,
    validate_every: ValidateEvery,
    epochs: u32,
    begun: Instant,
    /// Batches of this training that were done before this process, with its first one.
    before: Option<u64>,
    /// Of the validation before.
    learning_rate: Option<f64>,
    left: f64,
    header_is_shown: bool,
    /// What was recorded so far.
    pub rows: Vec<MetricRow>,
}

impl<'a> Watch<'a> {
    /// `rows`: what was recorded before an interruption.
    pub fn start(recorder: &'a Recorder, experiment: &Experiment, rows: Vec<MetricRow>) -> Self {
        let train = &experiment.train;
        Self {
            recorder,
            histograms: experiment.record.histograms,
            stage: Stage::start("training"),
            validate_every: train.validate_every,
            epochs: u32::try_from(train.epochs).unwrap_or(u32::MAX),
            begun: Instant::now(),
            before: None,
            learning_rate: None,
            left: 0.0,
            header_is_shown: false,
            rows,
        }
    }

    /// Seconds to the end of the last epoch, at the pace so far.
    fn seconds_left(&mut self, batch: &BatchSummary) -> f64 {
        let total = batch.total as u64;
        let done = u64::from(batch.epoch - 1) * total + batch.done as u64;
        let before = *self.before.get_or_insert(done - 1);
        let each = self.begun.elapsed().as_secs_f64() / (done - before) as f64;
        each * (u64::from(self.epochs) * total).saturating_sub(done) as f64
    }
}

impl Observer for Watch<'_> {
    fn batch(&mut self, batch: &BatchSummary) {
        self.left = self.seconds_left(batch);
        let text = format!(
            "of epoch {}/{}, loss {}, {}/s, {} left",
            batch.epoch,
            self.epochs,
            output::figure(batch.loss),
            per_second(batch.pace),
            output::seconds(self.left)
        );
        self.stage.update(&text, batch.done, batch.total);
    }

    fn validated(&mut self, summary: &ValidationSummary) {
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
        let (heading, place) = match self.validate_every {
            ValidateEvery::Epoch => ("epoch", format!("{}/{}", summary.epoch, summary.epochs)),
            ValidateEvery::Updates(_) => ("update", format!("{}/{}", summary.step, summary.steps)),
        };
        if !std::mem::replace(&mut self.header_is_shown, true) {
            let metric = headline(summary).map_or("", |score| score.name);
            self.stage.line(
                heading,
                &columns(["loss", "val loss", metric, "", "time", "ex./s", "left"]),
            );
        }
        self.stage.line(&place, &figures(summary, self.left));
    }

    fn wants_tensors(&self, epoch: u32) -> bool {
        self.histograms.after(epoch)
    }

    fn tensors(&mut self, tensors: Tensors) {
        let tagged = |kind: &'static str, values: Vec<(String, Vec<f32>)>| {
            let tag = move |(name, values)| (format!("{kind}/{name}"), values);
            values.into_iter().map(tag)
        };
        let weights = tagged("weights", tensors.parameters);
        let gradients = tagged("gradients", tensors.gradients);
        self.recorder
            .histograms(tensors.step, weights.chain(gradients).collect());
    }

    fn interrupted(&self) -> bool {
        interrupted()
    }
}

/// "1520", "17.2".
fn per_second(pace: f64) -> String {
    match pace {
        100.0.. => format!("{pace:.0}"),
        _ => format!("{pace:.1}"),
    }
}

/// The metric that a line has room for.
fn headline(summary: &ValidationSummary) -> Option<&Score> {
    let find = |name: &str| {
        let mut scores = summary.val_scores.iter();
        scores.find(|score| score.name == name && score.target.is_empty())
    };
    find("mae").or_else(|| find("uar"))
}

/// `left`: seconds, at most.
fn figures(summary: &ValidationSummary, left: f64) -> String {
    columns([
        &output::figure(summary.train_loss),
        &output::figure(summary.val_loss),
        &headline(summary).map_or_else(String::new, |score| output::figure(score.value)),
        if summary.is_best { "best" } else { "" },
        &output::seconds(summary.seconds),
        &per_second(summary.examples as f64 / summary.train_seconds.max(f64::MIN_POSITIVE)),
        &output::seconds(left),
    ])
}

/// With the heading it fits into 80 columns.
fn columns([loss, val, metric, mark, time, pace, left]: [&str; 7]) -> String {
    format!("{loss:>9}  {val:>9}  {metric:>9}  {mark:4} {time:>10} {pace:>6} {left:>10}")
}

fn metric_rows(summary: &ValidationSummary) -> Vec<MetricRow> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_and_its_header_fit_into_80_columns() {
        let score = |name, value| Score {
            name,
            target: String::new(),
            value,
            ci: None,
            undefined_resamples: 0,
        };
        let mut summary = ValidationSummary {
            epoch: 3,
            epochs: 40,
            step: 300,
            steps: 4000,
            learning_rate: 1e-3,
            train_loss: 0.401_12,
            train_scores: Vec::new(),
            val_loss: 0.5,
            val_scores: vec![score("mse", 1.0), score("mae", 0.402)],
            is_best: true,
            seconds: 2.13,
            train_seconds: 2.0,
            examples: 3040,
        };
        let header = columns(["loss", "val loss", "mae", "", "time", "ex./s", "left"]);
        let line = figures(&summary, 78.4);
        assert_eq!(
            [header, line.clone()].join("\n"),
            "     loss   val loss        mae             time  ex./s       left\n   \
             0.4011     0.5000     0.4020  best      2.1 s   1520 1 min 18 s"
        );
        // At a terminal of 80 columns there is room for 67 characters beside the heading.
        assert!(line.len() <= 67, "{}", line.len());
        summary.val_loss = -1.5e-300;
        summary.is_best = false;
        (summary.examples, summary.train_seconds) = (30, 0.61);
        assert_eq!(
            figures(&summary, 0.0),
            "   0.4011  -1.500e-300     0.4020            2.1 s   49.2      0.0 s"
        );
    }
}
