//! What the runs of a parent come to together.

use std::path::Path;

use super::plan::{Plan, Variation};
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::recording::{baseline_rows, result_rows};
use crate::evaluate::spread;
use crate::report::pooled;
use crate::report::table::{Comparison, DEVIATION, ENSEMBLE, OUT_OF_FOLD, shown};
use crate::track::{BaselineRow, Predictions, ResultRow};

/// A run that is done.
pub struct DoneRun {
    pub variation: Variation,
    pub id: String,
    pub folder: std::path::PathBuf,
    pub results: Vec<ResultRow>,
    pub baselines: Vec<BaselineRow>,
}

/// What the parent's record gets.
pub struct Together {
    /// Of every split the means over the runs with their intervals, the deviations, the figures of all folds together, and those of the
    /// mean predictions over the seeds.
    pub results: Vec<ResultRow>,
    /// The same without intervals.
    pub baselines: Vec<BaselineRow>,
    /// All test folds in one table, where there is one seed.
    pub predictions: Option<Predictions>,
    /// The mean predictions over the seeds, where they test the same examples.
    pub ensemble: Option<Predictions>,
}

impl Together {
    /// `runs` are all runs of the plan, in its order.
    pub fn of(plan: &Plan, runs: &[DoneRun], seed: u64, resamples: usize) -> Result<Self, Failure> {
        let mut results = mean_results(runs);
        let mut baselines = mean_baselines(runs);
        let places: Vec<(u64, &Path)> = runs
            .iter()
            .map(|run| (run.variation.seed, run.folder.as_path()))
            .collect();
        let file = Path::new("predictions.csv");
        // Means over seeds alone need no predictions, which may be gone.
        let of_model = match plan.has_folds() || runs.iter().all(|run| run.folder.join(file).exists()) {
            true => pooled::of_seeds(&places, file, "test")?,
            false => Vec::new(),
        };
        let ensemble = pooled::ensemble(&of_model);
        if plan.has_folds() {
            let scores = pooled::score(&of_model, seed, resamples)?;
            results.extend(result_rows(OUT_OF_FOLD, &scores));
        }
        if let Some(ensemble) = &ensemble {
            let scores = pooled::score(std::slice::from_ref(ensemble), seed, resamples)?;
            results.extend(result_rows(ENSEMBLE, &scores));
        }
        for name in baseline_names(runs) {
            let file = crate::report::baseline_predictions(name);
            if runs.iter().any(|run| !run.folder.join(&file).exists()) {
                continue;
            }
            let of_baseline = pooled::of_seeds(&places, &file, "test")?;
            if plan.has_folds() {
                let scores = pooled::score(&of_baseline, seed, 0)?;
                baselines.extend(baseline_rows(OUT_OF_FOLD, name, &scores));
            }
            if let Some(of_baseline) = pooled::ensemble(&of_baseline).filter(|_| ensemble.is_some()) {
                let scores = pooled::score(&[of_baseline], seed, 0)?;
                baselines.extend(baseline_rows(ENSEMBLE, name, &scores));
            }
        }
        let predictions = <[Predictions; 1]>::try_from(of_model).ok();
        Ok(Self {
            results,
            baselines,
            predictions: predictions.map(|[only]| only).filter(|_| plan.has_folds()),
            ensemble,
        })
    }

    /// For the terminal.
    pub fn text(&self, plan: &Plan, width: Option<u16>) -> String {
        let mut text = format!(
            "test split, mean over {} (95% CI: Student's t)\n{}",
            plan.describe(),
            self.mean_table()
        );
        if plan.has_folds() {
            let pooled = Comparison::of(&self.results, &self.baselines, OUT_OF_FOLD).of_the_whole();
            text.push_str(&format!(
                "\n\nall test folds together (95% CI: bootstrap over groups)\n{}",
                pooled.text(width)
            ));
        }
        if self.ensemble.is_some() {
            let ensemble = Comparison::of(&self.results, &self.baselines, ENSEMBLE).of_the_whole();
            text.push_str(&format!(
                "\n\nmean prediction over the seeds (95% CI: bootstrap over groups)\n{}",
                ensemble.text(width)
            ));
        }
        text
    }

    fn mean_table(&self) -> String {
        let table = Comparison::of(&self.results, &self.baselines, "test").of_the_whole();
        let deviations = format!("test{DEVIATION}");
        let targets = table.has_targets();
        let mut header = vec!["metric"];
        header.extend(targets.then_some("target"));
        let names = header.len();
        header.extend(["mean", "deviation", "95% CI"]);
        header.extend(table.baselines.iter().map(String::as_str));
        let mut drawn = output::table(&header, names..header.len(), 0);
        for row in &table.rows {
            let deviation = self.results.iter().find(|result| {
                let target = match row.target.as_str() {
                    "average" => "",
                    target => target,
                };
                result.split == deviations && result.name == row.metric && result.target == target
            });
            let mut cells = vec![row.metric_label().to_owned()];
            cells.extend(targets.then(|| row.target.clone()));
            cells.extend([
                shown(row.model),
                shown(deviation.map(|row| row.value)),
                row.interval().unwrap_or_default(),
            ]);
            cells.extend(row.baselines.iter().map(|&value| shown(value)));
            drawn.add_row(cells);
        }
        drawn.to_string()
    }
}

/// Mean, interval and deviation of every figure that all runs have.
fn mean_results(runs: &[DoneRun]) -> Vec<ResultRow> {
    let Some(first) = runs.first() else {
        return Vec::new();
    };
    let mut means = Vec::new();
    let mut deviations = Vec::new();
    for row in &first.results {
        let same =
            |other: &&ResultRow| (&other.split, &other.name, &other.target) == (&row.split, &row.name, &row.target);
        let values: Vec<f64> = runs
            .iter()
            .filter_map(|run| run.results.iter().find(same))
            .map(|row| row.value)
            .collect();
        let spread = spread(&values).filter(|spread| spread.n == runs.len());
        means.push(ResultRow {
            value: spread.map_or(f64::NAN, |spread| spread.mean),
            ci: spread.and_then(|spread| spread.ci),
            ..row.clone()
        });
        if let Some(deviation) = spread.and_then(|spread| spread.deviation) {
            deviations.push(ResultRow {
                split: format!("{}{DEVIATION}", row.split),
                value: deviation,
                ci: None,
                ..row.clone()
            });
        }
    }
    means.extend(deviations);
    means
}

fn mean_baselines(runs: &[DoneRun]) -> Vec<BaselineRow> {
    let Some(first) = runs.first() else {
        return Vec::new();
    };
    let of = |row: &BaselineRow| {
        let same = |other: &&BaselineRow| {
            (&other.split, &other.baseline, &other.name, &other.target)
                == (&row.split, &row.baseline, &row.name, &row.target)
        };
        let values: Vec<f64> = runs
            .iter()
            .filter_map(|run| run.baselines.iter().find(same))
            .map(|row| row.value)
            .collect();
        let spread = spread(&values).filter(|spread| spread.n == runs.len());
        BaselineRow {
            value: spread.map_or(f64::NAN, |spread| spread.mean),
            ..row.clone()
        }
    };
    first.baselines.iter().map(of).collect()
}

fn baseline_names(runs: &[DoneRun]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for row in runs.first().map(|run| run.baselines.as_slice()).unwrap_or_default() {
        if !names.contains(&row.baseline.as_str()) {
            names.push(&row.baseline);
        }
    }
    names
}
