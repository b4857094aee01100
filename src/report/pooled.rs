//! The test predictions of several runs, taken together.
//!
//! The folds of one seed test other examples each, so together they are one set; each seed makes a set of its own. Figures are means
//! over the sets. The mean of the sets' predictions of each example is an [`ensemble`].

use std::collections::HashMap;
use std::path::Path;

use super::compare::{flat_truth, problem_of};
use crate::evaluate::{EvaluateError, Score, Truth, score_repeats_with_intervals};
use crate::track::{Error, PredictionRow, Predictions};

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

/// The mean prediction of each example over the sets: of the targets' values, or of the classes' probabilities. The rows are in the
/// order of the first set.
///
/// `None` for fewer than two sets, and where they do not hold the same examples with the same truth, each once.
pub fn ensemble(sets: &[Predictions]) -> Option<Predictions> {
    let (first, others) = sets.split_first().filter(|(_, others)| !others.is_empty())?;
    let others: Vec<HashMap<&str, &PredictionRow>> = others
        .iter()
        .filter(|set| set.kind == first.kind && set.rows.len() == first.rows.len())
        .map(|set| set.rows.iter().map(|row| (row.id.as_str(), row)).collect())
        .collect();
    if others.len() + 1 != sets.len() || others.iter().any(|set| set.len() != first.rows.len()) {
        return None;
    }
    let mean = |row: &PredictionRow| {
        let mut sums: Vec<f64> = row.predicted.iter().map(|&value| f64::from(value)).collect();
        for set in &others {
            let other = set
                .get(row.id.as_str())
                .filter(|other| (&other.truth, &other.group) == (&row.truth, &row.group))?;
            for (sum, &value) in sums.iter_mut().zip(&other.predicted) {
                *sum += f64::from(value);
            }
        }
        Some(PredictionRow {
            predicted: sums.into_iter().map(|sum| (sum / sets.len() as f64) as f32).collect(),
            ..row.clone()
        })
    };
    let rows: Option<Vec<PredictionRow>> = first.rows.iter().map(mean).collect();
    Some(Predictions {
        kind: first.kind.clone(),
        rows: rows?,
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::Outcome;

    fn set(rows: &[(&str, f32, [f32; 2])]) -> Predictions {
        let row = |&(id, truth, predicted): &(&str, f32, [f32; 2])| PredictionRow {
            split: "test".to_owned(),
            id: id.to_owned(),
            group: "g".to_owned(),
            truth: vec![truth],
            predicted: predicted.to_vec(),
        };
        Predictions {
            kind: Outcome::Classification {
                classes: vec!["calm".to_owned(), "angry".to_owned()],
            },
            rows: rows.iter().map(row).collect(),
        }
    }

    #[test]
    fn an_ensemble_is_the_mean_of_each_examples_predictions() {
        let one = set(&[("a", 0.0, [0.5, 0.5]), ("b", 1.0, [1.0, 0.0])]);
        let other = set(&[("b", 1.0, [0.25, 0.75]), ("a", 0.0, [0.75, 0.25])]);
        let mean = set(&[("a", 0.0, [0.625, 0.375]), ("b", 1.0, [0.625, 0.375])]);
        assert_eq!(ensemble(&[one, other]), Some(mean));
    }

    #[test]
    fn sets_of_other_examples_make_no_ensemble() {
        let one = set(&[("a", 0.0, [0.5, 0.5]), ("b", 1.0, [1.0, 0.0])]);
        for other in [
            set(&[("a", 0.0, [0.5, 0.5])]),
            set(&[("a", 0.0, [0.5, 0.5]), ("c", 1.0, [1.0, 0.0])]),
            set(&[("a", 0.0, [0.5, 0.5]), ("b", 0.0, [1.0, 0.0])]),
            set(&[("a", 0.0, [0.5, 0.5]), ("a", 0.0, [1.0, 0.0])]),
        ] {
            assert_eq!(ensemble(&[one.clone(), other]), None);
        }
        assert_eq!(ensemble(&[one]), None);
    }
}
