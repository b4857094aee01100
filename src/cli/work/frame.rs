//! What every run has, whatever it learns from: its settings, its folder, its record; training and the report.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use jiff::Timestamp;

use super::Done;
use crate::cli::failure::Failure;
use crate::cli::media;
use crate::cli::output;
use crate::cli::progress::Stage;
use crate::cli::recording::Watch;
use crate::config::Experiment;
use crate::dataset::Split;
use crate::nn::Network;
use crate::report::{self, Output, PageAt, RunReport, Width};
use crate::track::record::REMARKS;
use crate::track::{MetricRow, Predictions, Provenance, Recorder, RunDir, RunHeader, Status};
use crate::train::{self, Begin, Data, Fitted, Settings, Stop, fit};

/// A run's settings, folder and record.
pub struct Frame<'a> {
    pub experiment: &'a Experiment,
    pub dir: &'a RunDir,
    pub recorder: &'a Recorder,
    pub header: &'a RunHeader,
    pub started: Instant,
    pub begin: Begin,
    /// What was recorded before an interruption.
    pub metrics: Vec<MetricRow>,
    /// Whether to tell where the time went.
    pub profile: bool,
}

impl Frame<'_> {
    /// Trains, and records and shows every validation.
    pub fn train(
        &self,
        network: &Network,
        data: Data,
        train: &[usize],
        val: &[usize],
    ) -> Result<(Fitted, Vec<MetricRow>), Failure> {
        let checkpoints = self.dir.file("checkpoints");
        let settings = Settings {
            loss: &self.experiment.loss,
            optimizer: &self.experiment.optimizer,
            schedule: &self.experiment.schedule,
            augment: &self.experiment.augment,
            train: &self.experiment.train,
            seed: self.experiment.experiment.seed,
            checkpoints: &checkpoints,
            begin: self.begin,
        };
        let mut watch = Watch::start(self.recorder, self.experiment, self.metrics.clone());
        let fitted =
            fit(network, data, train, val, &settings, &mut watch).inspect_err(|error| self.record_divergence(error))?;
        let best = match (fitted.best_epoch, fitted.best_value) {
            (Some(epoch), Some(value)) => {
                let monitor = self.experiment.train.early_stopping.monitor.name();
                let tested = match self.experiment.train.early_stopping.restore_best {
                    true => "",
                    false => "; the last one is tested",
                };
                format!(
                    ", best was epoch {epoch} with {monitor} {}{tested}",
                    output::figure(value)
                )
            }
            _ => String::new(),
        };
        watch.stage.finish(&format!("{}{best}", fitted.place));
        self.recorder.event(
            "trained",
            serde_json::json!({ "stop": fitted.stop.name(), "epochs": fitted.epochs, "steps": fitted.steps, "best_epoch": fitted.best_epoch, "best_step": fitted.best_step, "launches": fitted.launches }),
        );
        Ok((fitted, watch.rows))
    }

    /// All that is known of it; the message names some of the examples only.
    fn record_divergence(&self, error: &train::Error) {
        let train::Error::Diverged(divergence) = error else {
            return;
        };
        // JSON has no NaN.
        let figure = |value: f64| value.to_string();
        let good = divergence.last_good.as_ref();
        self.recorder.event(
            "diverged",
            serde_json::json!({
                "what": divergence.symptom.to_string(),
                "value": figure(divergence.value),
                "epoch": divergence.epoch,
                "step": divergence.step,
                "ids": divergence.ids,
                "loss": divergence.loss.map(figure),
                "gradient_norm": divergence.gradient_norm.map(figure),
                "last_good": good.map(|good| serde_json::json!({ "step": good.step, "loss": good.loss, "gradient_norm": good.gradient_norm })),
                "checkpoint": divergence.checkpoint.as_ref().map(|(path, place)| serde_json::json!({ "path": path, "after": place })),
            }),
        );
    }

    /// Says that training met its limit.
    fn out_of_time(&self, fitted: &Fitted) -> String {
        let minutes = self.experiment.train.max_minutes.unwrap_or_default();
        let text = format!(
            "training ended after {}, because `train.max_minutes` ({minutes}) were over: where it ends depends on the machine",
            fitted.place
        );
        output::item("", &text);
        text
    }

    /// What the run's status is, by how training ended.
    ///
    /// # Errors
    /// It was interrupted.
    pub fn ended(&self, fitted: &Fitted, remarks: &mut Vec<String>) -> Result<Status, Failure> {
        match fitted.stop {
            Stop::LastEpoch => Ok(Status::Completed),
            Stop::EarlyStopping => Ok(Status::StoppedEarly),
            Stop::OutOfTime => {
                remarks.push(self.out_of_time(fitted));
                Ok(Status::StoppedEarly)
            }
            Stop::Interrupted => {
                let (place, id) = (&fitted.place, self.dir.id());
                let message = match fitted.steps {
                    0 => format!("interrupted before the first update; `affect resume {id}` begins training again"),
                    _ => format!("interrupted after {place}, which are saved; `affect resume {id}` goes on"),
                };
                Err(Failure::Interrupted { message })
            }
        }
    }

    /// Plots, pictures for TensorBoard, and the page.
    /// Where the content of the examples is has been written before (`media.csv`).
    pub fn report(&self, done: &Done, predictions: Predictions, remarks: Vec<String>) -> Result<(), Failure> {
        let stage = Stage::start("report");
        let folder = self.dir.path();
        let page = PageAt {
            folder,
            runs: folder.parent().and_then(Path::parent).unwrap_or(folder),
        };
        let seed = self.experiment.experiment.seed;
        // Of a resumed run, how it was begun.
        let provenance = Provenance::read(self.dir).unwrap_or_else(|_| self.header.provenance.clone());
        self.recorder.event(REMARKS, serde_json::json!({ "remarks": remarks }));
        let mut report = RunReport {
            id: self.dir.id().into(),
            experiment: self.experiment.experiment.name.clone(),
            description: self.experiment.experiment.description.clone(),
            status: done.status,
            started_at: report::moment(provenance.started_at),
            seconds: Timestamp::now().duration_since(provenance.started_at).as_secs_f64(),
            seed,
            device: provenance.device.clone(),
            best_epoch: done.fitted.best_epoch,
            best_step: done.fitted.best_step,
            monitor: self.experiment.train.early_stopping.monitor.name().into(),
            metrics: done.metrics.clone(),
            results: done.results.clone(),
            baselines: done.baselines.clone(),
            baseline_intervals: report::baseline_intervals(
                &done.baselines,
                Split::Test.name(),
                &[(seed, folder)],
                seed,
                self.experiment.evaluate.bootstrap,
            ),
            predictions: Some(predictions),
            prediction_seeds: Vec::new(),
            repeats: String::new(),
            members: Vec::new(),
            settings_toml: self.header.config_toml.clone(),
            provenance: serde_json::to_value(&provenance).unwrap_or_default(),
            remarks,
            media: BTreeMap::new(),
            commands: report::commands(self.dir.id(), page),
            width: Width::default(),
        };
        media::add_to(&mut report, &[folder.to_path_buf()], folder);
        let drawn = Output::of_run(&report)?;
        for figure in &drawn.figures {
            let (width, height, rgb) = figure.rgb(1000)?;
            self.recorder
                .plot(&figure.name, done.fitted.steps, (width, height), rgb);
        }
        drawn.write(folder)?;
        stage.finish(&format!(
            "{} and {}",
            output::count(drawn.figures.len(), "plot"),
            report::PAGE
        ));
        Ok(())
    }
}
