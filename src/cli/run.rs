use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use super::experiment_args::SettingsArgs;
use super::failure::Failure;
use super::folders::RunsArg;
use super::output;
use super::pipeline::{self, Prepared, Sides};
use super::progress::Stage;
use super::recording::{self, Watch, result_rows};
use crate::config::{self, Experiment, Resolved};
use crate::dataset::Split;
use crate::evaluate::baselines::{Examples, fit_and_predict, pool};
use crate::evaluate::{Baseline, Problem, Truth, score, score_with_intervals};
use crate::features::{FeatureSet, Normalize, Recipe};
use crate::nn::Network;
use crate::report::{self, RunReport};
use crate::track::{
    BaselineRow, Circumstances, Database, MetricRow, Outcome, PredictionRow, Predictions, Provenance, Recorder,
    ResultRow, RunDir, RunHeader, Status,
};
use crate::train::{Data, Fitted, Labels, Settings, Stop, device, fit, predict};

/// Run experiments: features, baselines, training, test, plots.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Names in experiments/, or paths of experiment files.
    #[arg(required = true, value_name = "EXPERIMENT")]
    experiments: Vec<String>,
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    runs: RunsArg,
    /// Print the results as JSON.
    #[arg(long)]
    json: bool,
}

/// What a finished run came to, for `--json`.
#[derive(Debug, Serialize)]
struct Summary {
    run: String,
    folder: String,
    status: Status,
    best_epoch: Option<u32>,
    epochs: u32,
    seconds: f64,
    results: Vec<ResultRow>,
    baselines: Vec<BaselineRow>,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    // All files are checked before the first one runs.
    let resolved: Vec<Resolved> = args
        .experiments
        .iter()
        .map(|name| args.settings.load(name))
        .collect::<Result<_, _>>()?;
    args.settings.start_threads()?;
    recording::listen_for_interrupts();
    let mut summaries = Vec::new();
    for resolved in &resolved {
        summaries.push(one(args, resolved)?);
    }
    if args.json {
        return match summaries.as_slice() {
            [summary] => output::json(summary),
            several => output::json(&several),
        };
    }
    Ok(())
}

fn one(args: &Args, resolved: &Resolved) -> Result<Summary, Failure> {
    let started = Instant::now();
    let experiment = &resolved.experiment;
    let name = &experiment.experiment.name;
    output::note(&format!(
        "{:>10}  {name}: {}",
        "experiment", experiment.experiment.description
    ));
    // A folder that cannot be written is found before any work.
    Database::open(&args.runs.runs)?;
    let device = device::open(experiment.train.device)?;
    let prepared = pipeline::prepare(resolved, &args.settings.cache.cache)?;
    let on_error = experiment.dataset.on_error();
    let mut features = pipeline::extract_features(
        &experiment.features,
        &prepared.manifest,
        on_error,
        &args.settings.cache.cache,
    )?;
    let sides = Sides::of(&prepared.splits, &features)?;
    let Recipe::Mel(recipe) = &experiment.features;
    if recipe.normalize == Normalize::TrainStatistics {
        features.normalize_by(&sides.train);
    }
    output::note(&format!(
        "{:>10}  {} train, {} val, {} test",
        "split",
        sides.train.len(),
        sides.val.len(),
        sides.test.len()
    ));

    let dir = RunDir::create(&args.runs.runs, name)?;
    let network = Network::new(&experiment.model, &prepared.plan, experiment.experiment.seed, &device)?;
    output::note(&format!(
        "{:>10}  {} parameters, {:.1} MFLOP per example",
        "network",
        prepared.plan.parameters(),
        prepared.plan.flops() as f64 / 1e6
    ));
    let provenance = Provenance::collect(Circumstances {
        folder: Path::new("."),
        command_line: std::env::args().collect(),
        seed: experiment.experiment.seed,
        device: device::name(&device).into(),
        threads: rayon::current_num_threads(),
        data_fingerprint: data_fingerprint(&prepared, &features),
        feature_key: features.key().into(),
    });
    let config_toml = config::to_toml(experiment);
    let header = RunHeader {
        config_hash: blake3::hash(config_toml.as_bytes()).to_hex().to_string(),
        config_toml,
        tags: experiment.experiment.tags.clone(),
        parent_id: None,
        provenance,
    };
    let recorder = Recorder::start(dir.clone(), &args.runs.runs, header.clone())?;
    let work = Work {
        experiment,
        prepared: &prepared,
        features: &features,
        sides: &sides,
        network: &network,
        dir: &dir,
        recorder: &recorder,
        header: &header,
        started,
    };
    match work.carry_out() {
        Ok(done) => {
            let finished = recorder
                .finish(done.status, None)
                .map_err(|error| Failure::from(error).in_mid_run())?;
            for complaint in finished.complaints {
                output::warning(&complaint);
            }
            conclude(args, &dir, done, started)
        }
        Err(failure) => {
            let failure = failure.in_mid_run();
            let status = match failure {
                Failure::Interrupted { .. } => Status::Interrupted,
                _ => Status::Failed,
            };
            // The failure itself is what the user must read; that recording it failed too comes second.
            if let Err(error) = recorder.finish(status, Some(failure.message())) {
                output::warning(&error.to_string());
            }
            output::note(&format!("{:>10}  {} ({})", "run", dir.id(), status.name()));
            Err(failure)
        }
    }
}

/// Equal for equal annotations and equal media.
fn data_fingerprint(prepared: &Prepared, features: &FeatureSet) -> String {
    blake3::hash(format!("{} {}", prepared.manifest.fingerprint(), features.content()).as_bytes())
        .to_hex()
        .to_string()
}

/// A run that has begun.
struct Work<'a> {
    experiment: &'a Experiment,
    prepared: &'a Prepared,
    features: &'a FeatureSet,
    sides: &'a Sides,
    network: &'a Network,
    dir: &'a RunDir,
    recorder: &'a Recorder,
    header: &'a RunHeader,
    started: Instant,
}

/// What it came to.
struct Done {
    status: Status,
    fitted: Fitted,
    metrics: Vec<MetricRow>,
    results: Vec<ResultRow>,
    baselines: Vec<BaselineRow>,
}

impl Work<'_> {
    fn data(&self) -> Data<'_> {
        Data {
            features: self.features,
            problem: &self.prepared.problem,
            labels: &self.prepared.labels,
            ids: &self.prepared.ids,
        }
    }

    fn labels(&self, split: Split) -> Labels {
        self.prepared
            .labels
            .select(&self.prepared.problem, self.sides.get(split))
    }

    fn carry_out(&self) -> Result<Done, Failure> {
        let mut remarks = self.prepared.manifest.remarks.clone();
        let faults = self.prepared.manifest.faults.len() + self.features.faults.len();
        if faults > 0 {
            let how = serde_json::to_value(self.experiment.dataset.on_error()).unwrap_or_default();
            remarks.push(format!(
                "{} with missing or damaged files, handled by on_error = {how}",
                output::count(faults, "example")
            ));
        }
        let faults: Vec<String> = self
            .prepared
            .manifest
            .faults
            .iter()
            .chain(&self.features.faults)
            .map(ToString::to_string)
            .collect();
        let sizes: Vec<(&str, usize)> = Split::ALL
            .iter()
            .map(|&split| (split.name(), self.sides.get(split).len()))
            .collect();
        self.recorder.event(
            "data",
            serde_json::json!({ "splits": sizes, "faults": faults, "remarks": remarks, "feature_shape": self.features.shape() }),
        );

        let (baselines, baseline_remarks) = self.baselines()?;
        remarks.extend(baseline_remarks);
        let (fitted, metrics) = self.train()?;
        let status = match fitted.stop {
            Stop::LastEpoch => Status::Completed,
            Stop::EarlyStopping => Status::StoppedEarly,
            Stop::Interrupted => {
                return Err(Failure::Interrupted {
                    message: format!(
                        "interrupted after {}; the checkpoints are in {}",
                        output::count(fitted.epochs as usize, "epoch"),
                        self.dir.file("checkpoints").display()
                    ),
                });
            }
        };
        let (results, predictions) = self.test()?;
        self.recorder.results(results.clone(), baselines.clone());
        let done = Done {
            status,
            fitted,
            metrics,
            results,
            baselines,
        };
        self.report(&done, predictions, remarks)?;
        Ok(done)
    }

    /// On every split, with figures of the validation and test splits.
    fn baselines(&self) -> Result<(Vec<BaselineRow>, Vec<String>), Failure> {
        let problem = &self.prepared.problem;
        let wanted = match &self.experiment.evaluate.baselines {
            Some(baselines) => baselines.clone(),
            None => Baseline::for_problem(problem).to_vec(),
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
        for baseline in wanted {
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
            )?;
            let name = baseline.name();
            for (split, labels, predicted) in [
                (Split::Val, val_labels, &output.validation),
                (Split::Test, test_labels, &output.test),
            ] {
                let scores = score(problem, labels.truth(), predicted)?;
                rows.extend(recording::baseline_rows(split.name(), name, &scores));
            }
            if !output.remark.is_empty() {
                remarks.push(format!("Baseline {name}: {}", output.remark));
            }
        }
        stage.finish(
            &remarks
                .iter()
                .map(|remark| remark.replace("Baseline ", ""))
                .collect::<Vec<_>>()
                .join("; "),
        );
        Ok((rows, remarks))
    }

    /// Mean and deviation over time of every example, by split.
    fn pooled(&self) -> Result<[Vec<Vec<f64>>; 3], Failure> {
        let mut array = vec![0.0; self.features.array_len()];
        let mut pooled: [Vec<Vec<f64>>; 3] = Default::default();
        for (split, rows) in Split::ALL.into_iter().zip(&mut pooled) {
            for &example in self.sides.get(split) {
                self.features.read(example, &mut array);
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
            train: &self.experiment.train,
            seed: self.experiment.experiment.seed,
            checkpoints: &checkpoints,
        };
        let mut watch = Watch {
            recorder: self.recorder,
            stage: Stage::start("training"),
            started: Instant::now(),
            rows: Vec::new(),
        };
        let fitted = fit(
            self.network,
            self.data(),
            &self.sides.train,
            &self.sides.val,
            &settings,
            &mut watch,
        )?;
        let best = match (fitted.best_epoch, fitted.best_value) {
            (Some(epoch), Some(value)) => {
                let monitor = self.experiment.train.early_stopping.monitor.name();
                format!(", best was epoch {epoch} with {monitor} {value:.4}")
            }
            _ => String::new(),
        };
        let epochs = output::count(fitted.epochs as usize, "epoch");
        watch.stage.finish(&format!("{epochs}{best}"));
        Ok((fitted, watch.rows))
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
            kind: match problem {
                Problem::Regression { targets } => Outcome::Regression {
                    targets: targets.clone(),
                },
                Problem::Classification { classes } => Outcome::Classification {
                    classes: classes.clone(),
                },
            },
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

fn examples<'a>(features: &'a [Vec<f64>], truth: Truth<'a>) -> Examples<'a> {
    Examples { features, truth }
}

/// The metrics of the table that ends a run; those of single classes are in the report.
const HEADLINE: [&str; 10] = [
    "mse",
    "rmse",
    "mae",
    "r2",
    "pearson",
    "ccc",
    "accuracy",
    "uar",
    "macro-f1",
    "weighted-f1",
];

/// The table that ends a run, and what to type next.
fn conclude(args: &Args, dir: &RunDir, done: Done, started: Instant) -> Result<Summary, Failure> {
    let seconds = started.elapsed().as_secs_f64();
    if !args.json {
        let comparison = report::table::Comparison::of_reported_split(&done.results, &done.baselines).only(&HEADLINE);
        let width = output::width().and_then(|width| u16::try_from(width).ok());
        output::result(&comparison.text(width))?;
        output::result(&format!(
            "run {} ({}, {})",
            output::bold(dir.id()),
            done.status.name(),
            output::seconds(seconds)
        ))?;
        output::result(&format!(
            "next: open {} or type `tensorboard --logdir {}`",
            dir.file("report.html").display(),
            args.runs.runs.display()
        ))?;
    }
    Ok(Summary {
        run: dir.id().into(),
        folder: dir.path().display().to_string(),
        status: done.status,
        best_epoch: done.fitted.best_epoch,
        epochs: done.fitted.epochs,
        seconds,
        results: done.results,
        baselines: done.baselines,
    })
}
