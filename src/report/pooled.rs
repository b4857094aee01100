//! The test predictions of several runs, taken together.
//!
//! The folds of one seed test other examples each, so together they are one set; each seed makes a set of its own. Figures are means
//! over the sets.

use std::path::Path;

use super::compare::{flat_truth, problem_of};
use crate::evaluate::{EvaluateError, Score, Truth, score_repeats_with_intervals};
use crate::track::{Error, Predictions};

/// The predictions of the split `split` in `file` of each run's folder, a set for each seed, in the order of the seeds' first runs.
///
/// # Errors
/// A file that is missing or damaged, or that has other targets or classes than those before it.
pub fn of_seeds(runs: &[(u64, &Path)], file: &Path, split: &str) -> Result<Vec<Predictions>, Error> {
    let mut sets: Vec<(u64, Predictions)> = Vec::new();
    for (seed, folder) in runs {
        let path = folder.join(file);
        let mut predictions = Predictions::read(&path)?;
        predictions.rows.retain(|row| row.split == split);
        match sets.iter_mut().find(|(known, _)| known == seed) {
            None => sets.push((*seed, predictions)),
            Some((_, set)) if set.kind == predictions.kind => set.rows.append(&mut predictions.rows),
            Some(_) => {
                return Err(Error::PredictionFile {
                    path,
                    line: 1,
                    what: "it predicts other things than the runs before it".to_owned(),
                });
            }
        }
    }
    Ok(sets.into_iter().map(|(_, set)| set).collect())
}

/// The figures of the sets: means over them, with intervals by the bootstrap over groups.
///
/// # Errors
/// Those of [`score_repeats_with_intervals`].
pub fn score(sets: &[Predictions], seed: u64, resamples: usize) -> Result<Vec<Score>, EvaluateError> {
    let Some(first) = sets.first() else {
        return Ok(Vec::new());
    };
    let problem = problem_of(&first.kind);
    let columns: Vec<_> = sets
        .iter()
        .map(|set| {
            let truth = flat_truth(&set.kind, set.rows.iter().flat_map(|row| row.truth.iter().copied()));
            let predicted: Vec<f32> = set.rows.iter().flat_map(|row| row.predicted.iter().copied()).collect();
            let groups: Vec<String> = set.rows.iter().map(|row| row.group.clone()).collect();
            (truth, predicted, groups)
        })
        .collect();
    let repeats: Vec<(Truth, &[f32], &[String])> = columns
        .iter()
        .map(|(truth, predicted, groups)| (truth.as_truth(), predicted.as_slice(), groups.as_slice()))
        .collect();
    score_repeats_with_intervals(&problem, &repeats, seed, resamples)
}
