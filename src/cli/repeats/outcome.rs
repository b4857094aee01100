//! What the runs of a parent come to together.

use std::path::Path;

use super::plan::{Plan, Variation};
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::evaluate::{Problem, Score, Truth, score_repeats_with_intervals, spread};
use crate::report::compare::problem_of;
use crate::report::table::Comparison;
use crate::track::{BaselineRow, Predictions, ResultRow};
use crate::train::Labels;

/// The name of the split that all test folds make together.
pub const OUT_OF_FOLD: &str = "out-of-fold";
/// Goes behind the name of a split, for the standard deviations over the runs.
const DEVIATION: &str = "/deviation";

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
    /// Of every split the means over the runs with their intervals, the deviations, and the figures of all folds together.
    pub results: Vec<ResultRow>,
    /// The means over the runs, and the figures of all folds together.
    pub baselines: Vec<BaselineRow>,
    /// All test folds in one table, where there is one seed.
    pub predictions: Option<Predictions>,
}

impl Together {
    /// `runs` are all runs of the plan, in its order.
    pub fn of(plan: &Plan, runs: &[DoneRun], seed: u64, resamples: usize) -> Result<Self, Failure> {
        let mut results = mean_results(runs);
        let mut baselines = mean_baselines(runs);
        let mut predictions = None;
        if plan.has_folds() {
            let of_model = pooled(plan, runs, Path::new("predictions.csv"))?;
            let scores = score_together(&of_model, seed, resamples)?;
            results.extend(crate::cli::recording::result_rows(OUT_OF_FOLD, &scores));
            for name in baseline_names(runs) {
                let file = crate::cli::work::baseline_predictions(name);
                if runs.iter().any(|run| !run.folder.join(&file).exists()) {
                    continue;
                }
                let scores = score_together(&pooled(plan, runs, &file)?, seed, 0)?;
                baselines.extend(crate::cli::recording::baseline_rows(OUT_OF_FOLD, name, &scores));
            }
            predictions = <[Predictions; 1]>::try_from(of_model).ok().map(|[only]| only);
        }
        Ok(Self {
            results,
            baselines,
            predictions,
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
            let figure = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), output::figure);
            let mut cells = vec![row.metric_label().to_owned()];
            cells.extend(targets.then(|| row.target.clone()));
            cells.extend([
                figure(row.model),
                figure(deviation.map(|row| row.value)),
                row.interval().unwrap_or_default(),
            ]);
            cells.extend(row.baselines.iter().map(|&value| figure(value)));
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

/// Of each seed, the predictions of all test folds.
fn pooled(plan: &Plan, runs: &[DoneRun], file: &Path) -> Result<Vec<Predictions>, Failure> {
    let of_seed = |seed: u64| {
        let mut all: Option<Predictions> = None;
        for run in runs.iter().filter(|run| run.variation.seed == seed) {
            let mut predictions = Predictions::read(&run.folder.join(file))?;
            predictions.rows.retain(|row| row.split == "test");
            match &mut all {
                None => all = Some(predictions),
                Some(all) if all.kind == predictions.kind => all.rows.append(&mut predictions.rows),
                Some(_) => {
                    return Err(Failure::request(
                        format!("run {} predicts other things than the runs before it", run.id),
                        "begin the repeats anew with `affect run`".to_owned(),
                    ));
                }
            }
        }
        Ok(all)
    };
    let seeds = plan.seeds().into_iter().map(of_seed);
    Ok(seeds.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

fn score_together(repeats: &[Predictions], seed: u64, resamples: usize) -> Result<Vec<Score>, Failure> {
    let Some(first) = repeats.first() else {
        return Ok(Vec::new());
    };
    let problem = problem_of(&first.kind);
    let columns = |repeat: &Predictions| -> (Labels, Vec<f32>, Vec<String>) {
        let truth = repeat.rows.iter().flat_map(|row| row.truth.iter().copied());
        let labels = match problem {
            Problem::Regression { .. } => Labels::Values(truth.collect()),
            Problem::Classification { .. } => Labels::Classes(truth.map(|class| class as u32).collect()),
        };
        let predicted = repeat.rows.iter().flat_map(|row| row.predicted.iter().copied());
        let groups = repeat.rows.iter().map(|row| row.group.clone());
        (labels, predicted.collect(), groups.collect())
    };
    let columns: Vec<_> = repeats.iter().map(columns).collect();
    let repeats: Vec<(Truth, &[f32], &[String])> = columns
        .iter()
        .map(|(labels, predicted, groups)| (labels.truth(), predicted.as_slice(), groups.as_slice()))
        .collect();
    Ok(score_repeats_with_intervals(&problem, &repeats, seed, resamples)?)
}
