//! A run that has begun: baselines, training, test, report, each recorded as it comes.

mod baselines;
mod examples;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use jiff::Timestamp;

use crate::cli::failure::Failure;
use crate::cli::media;
use crate::cli::output;
use crate::cli::pipeline::{Prepared, Sides, Unusable};
use crate::cli::profile::Parts;
use crate::cli::progress::Stage;
use crate::cli::recording::{self, Watch, result_rows};
use crate::config::Experiment;
use crate::dataset::Split;
use crate::evaluate::{Baseline, FEW_GROUPS, Problem, TaskKind, higher_is_better, score_with_intervals};
use crate::features::FeatureSet;
use crate::nn::Network;
use crate::report::{self, Output, PageAt, RunReport, Width};
use crate::track::record::REMARKS;
use crate::track::{
    BaselineRow, MetricRow, Outcome, PredictionRow, Predictions, Provenance, Recorder, ResultRow, RunDir, RunHeader,
    Status,
};
use crate::train::{self, Agreement, Begin, Data, Fitted, Labels, Settings, Stop, fit, predict};

/// A run that has begun.
pub struct Work<'a> {
    pub experiment: &'a Experiment,
    pub prepared: &'a Prepared,
    pub features: &'a FeatureSet,
    pub unusable: Unusable,
    pub sides: &'a Sides,
    pub network: &'a Network,
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

/// What it came to.
pub struct Done {
    pub status: Status,
    pub fitted: Fitted,
    pub metrics: Vec<MetricRow>,
    pub results: Vec<ResultRow>,
    pub baselines: Vec<BaselineRow>,
}

impl Work<'_> {
    fn data(&self) -> Data<'_> {
        Data {
            features: self.features,
            problem: &self.prepared.problem,
            labels: &self.prepared.labels,
            ids: &self.prepared.ids,
            agreement: self.prepared.deviations.as_deref().map(Agreement::Deviations),
        }
    }

    fn labels(&self, split: Split) -> Labels {
        self.prepared
            .labels
            .select(&self.prepared.problem, self.sides.get(split))
    }

    pub fn carry_out(&self) -> Result<Done, Failure> {
        let mut remarks = self.prepared.manifest.remarks.clone();
        if self.unusable.examples > 0 {
            let how = serde_json::to_value(self.experiment.dataset.on_error()).unwrap_or_default();
            remarks.push(format!(
                "{} with missing or damaged files, handled by on_error = {how}",
                output::count(self.unusable.examples, "example")
            ));
        }
        let faults: Vec<String> = self.unusable.faults.iter().map(ToString::to_string).collect();
        let damaged: Vec<String> = self.features.damaged.iter().map(ToString::to_string).collect();
        if !damaged.is_empty() {
            let files = output::count(damaged.len(), "file");
            remarks.push(format!(
                "{files} damaged in part, used as far as the sound can be decoded"
            ));
        }
        let sizes: Vec<(&str, usize)> = Split::ALL
            .iter()
            .map(|&split| (split.name(), self.sides.get(split).len()))
            .collect();
        self.recorder.event(
            "data",
            serde_json::json!({ "splits": sizes, "unusable_examples": self.unusable.examples, "faults": faults, "damaged": damaged, "remarks": remarks, "feature_shape": self.features.shape() }),
        );

        let mut parts = Parts::since(self.started);
        let (baselines, baseline_remarks) = self.baselines()?;
        parts.add("baselines", None);
        if recording::interrupted() {
            return Err(Failure::Interrupted {
                message: "interrupted before training began".into(),
            });
        }
        remarks.extend(baseline_remarks);
        let (fitted, metrics) = self.train()?;
        parts.add("training", Some(&fitted.profile));
        let status = match fitted.stop {
            Stop::LastEpoch => Status::Completed,
            Stop::EarlyStopping => Status::StoppedEarly,
            Stop::OutOfTime => {
                remarks.push(self.out_of_time(&fitted));
                Status::StoppedEarly
            }
            Stop::Interrupted => {
                let (place, id) = (&fitted.place, self.dir.id());
                let message = match fitted.steps {
                    0 => format!("interrupted before the first update; `affect resume {id}` begins training again"),
                    _ => format!("interrupted after {place}, which are saved; `affect resume {id}` goes on"),
                };
                return Err(Failure::Interrupted { message });
            }
        };
        let (results, predictions) = self.test()?;
        parts.add("test", None);
        self.recorder.results(results.clone(), baselines.clone());
        let done = Done {
            status,
            fitted,
            metrics,
            results,
            baselines,
        };
        let warnings = self.tell_if_no_better_than_nothing(&done);
        for warning in warnings.into_iter().chain(self.tell_if_groups_are_few()) {
            output::warning(&warning);
            remarks.push(warning);
        }
        self.report(&done, predictions, remarks)?;
        parts.add("report", None);
        if self.profile {
            parts.tell(self.dir, self.recorder);
        }
        Ok(done)
    }

    fn outcome(&self) -> Outcome {
        match &self.prepared.problem {
            Problem::Regression { targets } => Outcome::Regression {
                targets: targets.clone(),
            },
            Problem::Classification { classes } => Outcome::Classification {
                classes: classes.clone(),
            },
        }
    }

    /// Where a model that looks at nothing does as well on the test split, that must be said.
    fn tell_if_no_better_than_nothing(&self, done: &Done) -> Vec<String> {
        let task = self.prepared.problem.kind();
        let floor = Baseline::floor(task).name();
        let metrics: &[&str] = match task {
            TaskKind::Regression => &["rmse"],
            TaskKind::Classification => &["accuracy", "uar"],
        };
        let of = |metric: &&str| {
            let result = done
                .results
                .iter()
                .find(|row| row.split == Split::Test.name() && row.name == *metric && row.target.is_empty())?;
            let baseline = done.baselines.iter().find(|row| {
                row.split == Split::Test.name() && row.baseline == floor && row.name == *metric && row.target.is_empty()
            })?;
            let is_better = match higher_is_better(metric) {
                true => result.value > baseline.value,
                false => result.value < baseline.value,
            };
            (!is_better).then(|| {
                format!(
                    "the model is no better than the baseline {floor} on the test split: {metric} {} against {}",
                    output::figure(result.value),
                    output::figure(baseline.value)
                )
            })
        };
        metrics.iter().filter_map(of).collect()
    }

    /// Intervals resample groups, and a handful of them says little.
    fn tell_if_groups_are_few(&self) -> Option<String> {
        let groups: std::collections::BTreeSet<&str> = (self.sides.test.iter())
            .filter_map(|&example| self.prepared.manifest.examples.get(example))
            .map(|example| example.group.as_str())
            .collect();
        let few = groups.len() < FEW_GROUPS && self.experiment.evaluate.bootstrap > 0;
        few.then(|| {
            format!(
                "the test split has {}: confidence intervals over so few say little",
                output::count(groups.len(), "group")
            )
        })
    }

    fn train(&self) -> Result<(Fitted, Vec<MetricRow>), Failure> {
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
        if self.begin == Begin::Fresh {
            self.show_examples()?;
        }
        let mut watch = Watch::start(self.recorder, self.experiment, self.metrics.clone());
        let (data, sides) = (self.data(), self.sides);
        let fitted = fit(self.network, data, &sides.train, &sides.val, &settings, &mut watch)
            .inspect_err(|error| self.record_divergence(error))?;
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
            serde_json::json!({ "stop": fitted.stop.name(), "epochs": fitted.epochs, "steps": fitted.steps, "best_epoch": fitted.best_epoch, "best_step": fitted.best_step }),
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

    /// Predicts every split with the parameters that training left: the best, unless the last are asked for.
    fn test(&self) -> Result<(Vec<ResultRow>, Predictions), Failure> {
        let stage = Stage::start("test");
        let problem = &self.prepared.problem;
        let evaluate = &self.experiment.evaluate;
        let mut results = Vec::new();
        let mut rows = Vec::new();
        for split in Split::ALL {
            let examples = self.sides.get(split);
            let predicted = predict(self.network, self.data(), examples, self.experiment.train.batch_size)?;
            let labels = self.labels(split);
            let groups: Vec<String> = examples
                .iter()
                .map(|&example| self.prepared.manifest.examples[example].group.clone())
                .collect();
            let seed = self.experiment.experiment.seed;
            let scores = score_with_intervals(problem, labels.truth(), &predicted, &groups, seed, evaluate.bootstrap)?;
            results.extend(result_rows(split.name(), &scores));
            rows.extend(self.prediction_rows(split, examples, &labels, &predicted));
        }
        let predictions = Predictions {
            kind: self.outcome(),
            rows,
        };
        predictions.write(&self.dir.file("predictions.csv"))?;
        stage.finish(&output::count(predictions.rows.len(), "prediction"));
        Ok((results, predictions))
    }

    fn prediction_rows(
        &self,
        split: Split,
        examples: &[usize],
        labels: &Labels,
        predicted: &[f32],
    ) -> Vec<PredictionRow> {
        let width = self.prepared.problem.width();
        examples
            .iter()
            .zip(predicted.chunks(width.max(1)))
            .enumerate()
            .map(|(index, (&example, predicted))| {
                let example = &self.prepared.manifest.examples[example];
                PredictionRow {
                    split: split.name().into(),
                    id: example.id.clone(),
                    group: example.group.clone(),
                    truth: match labels {
                        Labels::Values(values) => values[index * width..(index + 1) * width].to_vec(),
                        Labels::Classes(classes) => vec![classes[index] as f32],
                    },
                    predicted: predicted.to_vec(),
                }
            })
            .collect()
    }

    /// Plots, pictures for TensorBoard, and the page.
    fn report(&self, done: &Done, predictions: Predictions, remarks: Vec<String>) -> Result<(), Failure> {
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
        media::write(self.dir, &self.prepared.manifest)?;
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
