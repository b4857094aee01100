//! A run that has begun: baselines, training, test, report, each recorded as it comes.

mod baselines;
mod examples;
mod frame;

use crate::cli::failure::Failure;
use crate::cli::media;
use crate::cli::output;
use crate::cli::pipeline::{Prepared, Sides, Unusable};
use crate::cli::profile::Parts;
use crate::cli::progress::Stage;
use crate::cli::recording::{self, result_rows};
use crate::dataset::Split;
use crate::evaluate::{Baseline, FEW_GROUPS, Problem, TaskKind, higher_is_better, score_with_intervals};
use crate::features::FeatureSet;
use crate::nn::Network;
use crate::track::{BaselineRow, MetricRow, Outcome, PredictionRow, Predictions, ResultRow, Status};
use crate::train::{Agreement, Begin, Data, Fitted, Labels, predict};

pub use frame::Frame;

/// A run that has begun.
pub struct Work<'a> {
    pub frame: Frame<'a>,
    pub prepared: &'a Prepared,
    pub features: &'a FeatureSet,
    pub unusable: Unusable,
    pub sides: &'a Sides,
    pub network: &'a Network,
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
            pairs: None,
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
            let how = serde_json::to_value(self.frame.experiment.dataset.on_error()).unwrap_or_default();
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
        self.frame.recorder.event(
            "data",
            serde_json::json!({ "splits": sizes, "unusable_examples": self.unusable.examples, "faults": faults, "damaged": damaged, "remarks": remarks, "feature_shape": self.features.shape() }),
        );

        let mut parts = Parts::since(self.frame.started);
        let (baselines, baseline_remarks) = self.baselines()?;
        parts.add("baselines", None);
        if recording::interrupted() {
            return Err(Failure::Interrupted {
                message: "interrupted before training began".into(),
            });
        }
        remarks.extend(baseline_remarks);
        if self.frame.begin == Begin::Fresh {
            self.show_examples()?;
        }
        let (fitted, metrics) = self
            .frame
            .train(self.network, self.data(), &self.sides.train, &self.sides.val)?;
        parts.add("training", Some(&fitted.profile));
        parts.remark(fitted.launches.clone());
        let status = self.frame.ended(&fitted, &mut remarks)?;
        let (results, predictions) = self.test()?;
        parts.add("test", None);
        self.frame.recorder.results(results.clone(), baselines.clone());
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
        media::write(self.frame.dir, &self.prepared.manifest)?;
        self.frame.report(&done, predictions, remarks)?;
        parts.add("report", None);
        if self.frame.profile {
            parts.tell(self.frame.dir, self.frame.recorder);
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
        let few = groups.len() < FEW_GROUPS && self.frame.experiment.evaluate.bootstrap > 0;
        few.then(|| {
            format!(
                "the test split has {}: confidence intervals over so few say little",
                output::count(groups.len(), "group")
            )
        })
    }

    /// Predicts every split with the parameters that training left: the best, unless the last are asked for.
    fn test(&self) -> Result<(Vec<ResultRow>, Predictions), Failure> {
        let stage = Stage::start("test");
        let problem = &self.prepared.problem;
        let evaluate = &self.frame.experiment.evaluate;
        let mut results = Vec::new();
        let mut rows = Vec::new();
        for split in Split::ALL {
            let examples = self.sides.get(split);
            let predicted = predict(
                self.network,
                self.data(),
                examples,
                self.frame.experiment.train.batch_size,
            )?;
            let labels = self.labels(split);
            let groups: Vec<String> = examples
                .iter()
                .map(|&example| self.prepared.manifest.examples[example].group.clone())
                .collect();
            let seed = self.frame.experiment.experiment.seed;
            let scores = score_with_intervals(problem, labels.truth(), &predicted, &groups, seed, evaluate.bootstrap)?;
            results.extend(result_rows(split.name(), &scores));
            rows.extend(self.prediction_rows(split, examples, &labels, &predicted));
        }
        let predictions = Predictions {
            kind: self.outcome(),
            rows,
        };
        predictions.write(&self.frame.dir.file("predictions.csv"))?;
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
}
