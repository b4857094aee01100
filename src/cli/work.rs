//! A run that has begun: baselines, training, test, report, each recorded as it comes.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::failure::Failure;
use super::output;
use super::pipeline::{Prepared, Sides, Unusable};
use super::profile::Parts;
use super::progress::Stage;
use super::recording::{self, Watch, result_rows};
use crate::config::Experiment;
use crate::dataset::Split;
use crate::evaluate::baselines::{Examples, fit_and_predict, one_annotator, pool};
use crate::evaluate::{Baseline, FEW_GROUPS, Problem, TaskKind, Truth, higher_is_better, score, score_with_intervals};
use crate::features::FeatureSet;
use crate::nn::Network;
use crate::report::{self, RunReport};
use crate::track::{
    BaselineRow, MetricRow, Outcome, PredictionRow, Predictions, Recorder, ResultRow, RunDir, RunHeader, Status,
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

    /// The annotators' deviations on the examples of a split; `None` where the corpus does not say any.
    fn deviations(&self, split: Split) -> Option<Vec<f32>> {
        let width = self.prepared.problem.width();
        let all = self.prepared.deviations.as_deref()?;
        let of = |&example: &usize| all.iter().skip(example * width).take(width).copied();
        Some(self.sides.get(split).iter().flat_map(of).collect())
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

    /// On every split, with figures of the validation and test splits.
    fn baselines(&self) -> Result<(Vec<BaselineRow>, Vec<String>), Failure> {
        let problem = &self.prepared.problem;
        let wanted = match &self.experiment.evaluate.baselines {
            Some(baselines) => baselines.clone(),
            None => {
                let human = self.prepared.deviations.as_ref().map(|_| Baseline::Human);
                Baseline::for_problem(problem).iter().copied().chain(human).collect()
            }
        };
        let stage = Stage::start("baselines");
        let pooled = match wanted.iter().any(|baseline| baseline.needs_features()) {
            true => self.pooled()?,
            false => Default::default(),
        };
        let [train_features, val_features, test_features] = &pooled;
        let labels = Split::ALL.map(|split| self.labels(split));
        let [train_labels, val_labels, test_labels] = &labels;
        let mut rows = Vec::new();
        let mut remarks = Vec::new();
        let names: Vec<&str> = wanted.iter().map(|baseline| baseline.name()).collect();
        for baseline in wanted {
            if baseline == Baseline::Human {
                rows.extend(self.human()?);
                continue;
            }
            let empty = |count: usize| vec![Vec::new(); count];
            let (train_empty, val_empty, test_empty) = (
                empty(self.sides.train.len()),
                empty(self.sides.val.len()),
                empty(self.sides.test.len()),
            );
            let (train_x, val_x, test_x) = match baseline.needs_features() {
                true => (train_features, val_features, test_features),
                false => (&train_empty, &val_empty, &test_empty),
            };
            let output = fit_and_predict(
                baseline,
                problem,
                examples(train_x, train_labels.truth()),
                examples(val_x, val_labels.truth()),
                test_x,
                self.experiment.experiment.seed,
            )?;
            let name = baseline.name();
            for (split, labels, predicted) in [
                (Split::Val, val_labels, &output.validation),
                (Split::Test, test_labels, &output.test),
            ] {
                let scores = score(problem, labels.truth(), predicted)?;
                rows.extend(recording::baseline_rows(split.name(), name, &scores));
            }
            self.write_baseline(baseline, [&output.validation, &output.test])?;
            if !output.remark.is_empty() {
                remarks.push(format!("Baseline {name}: {}", output.remark));
            }
        }
        stage.finish(&names.join(", "));
        for remark in &remarks {
            output::item("", remark.trim_start_matches("Baseline "));
        }
        Ok((rows, remarks))
    }

    /// How well one annotator does.
    fn human(&self) -> Result<Vec<BaselineRow>, Failure> {
        let problem = &self.prepared.problem;
        let mut rows = Vec::new();
        let mut predicted = Vec::new();
        for (split, number) in [(Split::Val, 1), (Split::Test, 2)] {
            let (Labels::Values(truth), Some(deviations)) = (self.labels(split), self.deviations(split)) else {
                continue;
            };
            let seed = self.experiment.experiment.seed;
            let rated = one_annotator(&truth, &deviations, problem.width(), seed, number)?;
            let scores = score(problem, Truth::Values(&truth), &rated)?;
            rows.extend(recording::baseline_rows(split.name(), Baseline::Human.name(), &scores));
            predicted.push(rated);
        }
        if let [val, test] = predicted.as_slice() {
            self.write_baseline(Baseline::Human, [val, test])?;
        }
        Ok(rows)
    }

    /// What a baseline predicts for the validation and test splits, beside what the model will predict.
    fn write_baseline(&self, baseline: Baseline, predicted: [&[f32]; 2]) -> Result<(), Failure> {
        let rows = [Split::Val, Split::Test]
            .into_iter()
            .zip(predicted)
            .flat_map(|(split, predicted)| {
                self.prediction_rows(split, self.sides.get(split), &self.labels(split), predicted)
            })
            .collect();
        let path = self
            .dir
            .file(&baseline_predictions(baseline.name()).display().to_string());
        if let Some(folder) = path.parent() {
            crate::files::create_folder(folder)?;
        }
        let kind = self.outcome();
        Ok(Predictions { kind, rows }.write(&path)?)
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

    /// Mean and deviation over time of every example, by split.
    fn pooled(&self) -> Result<[Vec<Vec<f64>>; 3], Failure> {
        let mut array = vec![0.0; self.features.array_len()];
        let mut pooled: [Vec<Vec<f64>>; 3] = Default::default();
        for (split, rows) in Split::ALL.into_iter().zip(&mut pooled) {
            for &example in self.sides.get(split) {
                self.features.read(example, &mut array)?;
                rows.push(pool(&array, &self.features.shape())?);
            }
        }
        Ok(pooled)
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
        let train = &self.experiment.train;
        let mut watch = Watch::start(self.recorder, train, self.metrics.clone());
        let (data, sides) = (self.data(), self.sides);
        let fitted = fit(self.network, data, &sides.train, &sides.val, &settings, &mut watch)
            .inspect_err(|error| self.record_divergence(error))?;
        let best = match (fitted.best_epoch, fitted.best_value) {
            (Some(epoch), Some(value)) => {
                let monitor = self.experiment.train.early_stopping.monitor.name();
                format!(", best was epoch {epoch} with {monitor} {}", output::figure(value))
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

    /// Predicts every split with the best parameters.
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
        let report = RunReport {
            id: self.dir.id().into(),
            experiment: self.experiment.experiment.name.clone(),
            description: self.experiment.experiment.description.clone(),
            status: done.status,
            started_at: self
                .header
                .provenance
                .started_at
                .strftime("%Y-%m-%d %H:%M:%S UTC")
                .to_string(),
            seconds: self.started.elapsed().as_secs_f64(),
            seed: self.experiment.experiment.seed,
            device: self.header.provenance.device.clone(),
            best_epoch: done.fitted.best_epoch,
            monitor: self.experiment.train.early_stopping.monitor.name().into(),
            metrics: done.metrics.clone(),
            results: done.results.clone(),
            baselines: done.baselines.clone(),
            predictions: Some(predictions),
            settings_toml: self.header.config_toml.clone(),
            provenance: serde_json::to_value(&self.header.provenance).unwrap_or_default(),
            remarks,
            reproduce: format!("affect run {}", self.dir.file("experiment.toml").display()),
        };
        let figures = report::plots(&report)?;
        let plots = self.dir.file("plots");
        crate::files::create_folder(&plots)?;
        for figure in &figures {
            figure.write(&plots)?;
            let (width, height, rgb) = figure.rgb(1000)?;
            self.recorder.image(&figure.name, done.fitted.steps, width, height, rgb);
        }
        crate::files::write_whole(
            &self.dir.file("report.html"),
            report::html(&report, &figures).as_bytes(),
        )?;
        stage.finish(&format!("{} and report.html", output::count(figures.len(), "plot")));
        Ok(())
    }
}

/// The file of a baseline's predictions in a run's folder.
pub fn baseline_predictions(baseline: &str) -> PathBuf {
    Path::new("baselines").join(format!("{baseline}.csv"))
}

fn examples<'a>(features: &'a [Vec<f64>], truth: Truth<'a>) -> Examples<'a> {
    Examples { features, truth }
}
