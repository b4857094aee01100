//! How sure the figures of baselines are, from the predictions that a run keeps of them.

use std::path::{Path, PathBuf};

use super::{BaselineInterval, pooled};
use crate::track::BaselineRow;

/// The file of a baseline's predictions in a run's folder.
pub fn baseline_predictions(baseline: &str) -> PathBuf {
    Path::new("baselines").join(format!("{baseline}.csv"))
}

/// Intervals of the figures in `rows` that are of `split`, by the bootstrap over groups; the predictions of that split, or of the test
/// split where it is all folds together, are those that `runs` (seed and folder) keep. A baseline whose predictions are not there, or
/// are damaged, has none.
pub fn of_baselines(
    rows: &[BaselineRow],
    split: &str,
    runs: &[(u64, &Path)],
    seed: u64,
    resamples: usize,
) -> Vec<BaselineInterval> {
    let predicted_split = if split == super::table::OUT_OF_FOLD {
        "test"
    } else {
        split
    };
    let mut names: Vec<&str> = Vec::new();
    for row in rows.iter().filter(|row| row.split == split) {
        if !names.contains(&row.baseline.as_str()) {
            names.push(&row.baseline);
        }
    }
    let mut intervals = Vec::new();
    for name in names {
        let Ok(sets) = pooled::of_seeds(runs, &baseline_predictions(name), predicted_split) else {
            continue;
        };
        let Ok(scores) = pooled::score(&sets, seed, resamples) else {
            continue;
        };
        let of_score = |score: crate::evaluate::Score| {
            Some(BaselineInterval {
                split: split.to_owned(),
                baseline: name.to_owned(),
                name: score.name.to_owned(),
                target: score.target,
                ci: score.ci?,
            })
        };
        intervals.extend(scores.into_iter().filter_map(of_score));
    }
    intervals
}
