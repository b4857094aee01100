//! What simple means reach on the same split, before training.

use super::Work;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::progress::Stage;
use crate::cli::recording;
use crate::dataset::Split;
use crate::evaluate::baselines::{Examples, fit_and_predict, one_annotator, pool};
use crate::evaluate::{Baseline, Truth, score};
use crate::files;
use crate::report::baseline_predictions;
use crate::track::{BaselineRow, Predictions};
use crate::train::Labels;

impl Work<'_> {
    /// On every split, with figures of the validation and test splits.
    pub(super) fn baselines(&self) -> Result<(Vec<BaselineRow>, Vec<String>), Failure> {
        let problem = &self.prepared.problem;
        let wanted = match &self.frame.experiment.evaluate.baselines {
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
                self.frame.experiment.experiment.seed,
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
            let seed = self.frame.experiment.experiment.seed;
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
            .frame
            .dir
            .file(&baseline_predictions(baseline.name()).display().to_string());
        if let Some(folder) = path.parent() {
            files::create_folder(folder)?;
        }
        let kind = self.outcome();
        Ok(Predictions { kind, rows }.write(&path)?)
    }

    /// The annotators' deviations on the examples of a split; `None` where the corpus does not say any.
    fn deviations(&self, split: Split) -> Option<Vec<f32>> {
        let width = self.prepared.problem.width();
        let all = self.prepared.deviations.as_deref()?;
        let of = |&example: &usize| all.iter().skip(example * width).take(width).copied();
        Some(self.sides.get(split).iter().flat_map(of).collect())
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
}

fn examples<'a>(features: &'a [Vec<f64>], truth: Truth<'a>) -> Examples<'a> {
    Examples { features, truth }
}
