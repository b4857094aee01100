//! The predictions that are held against each other.

use std::collections::{BTreeMap, HashSet};

use super::group::Group;
use crate::evaluate::{Problem, Truth};
use crate::report::baseline_predictions;
use crate::track::{Outcome, PredictionRow, Predictions};

/// A group's predictions of its test examples, one set for each repeat; the folds of one seed are one set.
pub(super) struct Tested {
    pub kind: Outcome,
    /// Sorted by id.
    pub ids: Vec<String>,
    pub groups: Vec<String>,
    /// `[examples][targets]`.
    pub truth: Vec<Vec<f32>>,
    /// Per repeat `[examples, targets]` or `[examples, classes]`.
    pub repeats: Vec<Vec<f32>>,
}

/// Whose predictions.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of<'a> {
    Model,
    Baseline(&'a str),
}

impl Tested {
    /// # Errors
    /// A sentence on what stands in the way.
    pub fn of(group: &Group, of: Of<'_>, split: &str) -> Result<Self, String> {
        let read = group.runs.iter().map(|run| {
            let baseline = match of {
                Of::Model => return run.predictions.clone(),
                Of::Baseline(name) => baseline_predictions(name),
            };
            Predictions::read(&run.summary.path.join(baseline)).map_err(|error| error.to_string())
        });
        let read: Vec<Result<Predictions, String>> = read.collect();

        let mut kind: Option<&Outcome> = None;
        let mut sets: Vec<(u64, BTreeMap<&str, &PredictionRow>)> = Vec::new();
        for (run, predictions) in group.runs.iter().zip(&read) {
            let id = &run.summary.id;
            let predictions = predictions
                .as_ref()
                .map_err(|error| format!("the predictions of {id} are not known: {error}"))?;
            match kind {
                None => kind = Some(&predictions.kind),
                Some(kind) if *kind != predictions.kind => {
                    return Err(format!("the runs of {} predict different things", group.name));
                }
                Some(_) => {}
            }
            let rows: BTreeMap<&str, &PredictionRow> = (predictions.rows.iter())
                .filter(|row| row.split == split)
                .map(|row| (row.id.as_str(), row))
                .collect();
            let seed = run.summary.seed;
            // Folds of one seed test other examples each.
            let same = |(other, set): &&mut (u64, BTreeMap<&str, &PredictionRow>)| {
                *other == seed && rows.keys().all(|id| !set.contains_key(id))
            };
            match sets.iter_mut().find(same) {
                Some((_, set)) => set.extend(rows),
                None => sets.push((seed, rows)),
            }
        }
        let (Some(kind), Some((_, first))) = (kind, sets.first()) else {
            return Err(format!("{} has no runs", group.name));
        };
        if first.is_empty() {
            return Err(format!("{} has no predictions of the {split} split", group.name));
        }
        for (_, set) in &sets {
            refuse_others(first, set).map_err(|what| format!("the runs of {} {what}", group.name))?;
        }
        Ok(Self {
            kind: kind.clone(),
            ids: first.keys().map(|id| (*id).to_owned()).collect(),
            groups: first.values().map(|row| row.group.clone()).collect(),
            truth: first.values().map(|row| row.truth.clone()).collect(),
            repeats: sets
                .iter()
                .map(|(_, set)| set.values().flat_map(|row| row.predicted.iter().copied()).collect())
                .collect(),
        })
    }

    /// Why the two cannot be compared example by example.
    pub fn misfit(&self, other: &Self) -> Option<String> {
        if self.kind != other.kind {
            return Some("predict different things".to_owned());
        }
        if self.ids != other.ids {
            let ids: HashSet<&String> = self.ids.iter().collect();
            let common = other.ids.iter().filter(|id| ids.contains(id)).count();
            return Some(format!(
                "were tested on other examples: {} and {}, of which {common} are the same",
                self.ids.len(),
                other.ids.len()
            ));
        }
        let changed = self.truth.iter().zip(&other.truth).filter(|(a, b)| a != b).count();
        if changed > 0 {
            return Some(format!(
                "have other truths for {changed} of {} test examples",
                self.ids.len()
            ));
        }
        (self.groups != other.groups).then(|| "put the test examples into other groups".to_owned())
    }

    pub fn problem(&self) -> Problem {
        problem_of(&self.kind)
    }

    /// Row after row.
    pub fn flat_truth(&self) -> FlatTruth {
        flat_truth(&self.kind, self.truth.iter().flatten().copied())
    }
}

/// The task whose predictions are of this kind.
pub fn problem_of(kind: &Outcome) -> Problem {
    match kind {
        Outcome::Regression { targets } => Problem::Regression {
            targets: targets.clone(),
        },
        Outcome::Classification { classes } => Problem::Classification {
            classes: classes.clone(),
        },
    }
}

/// The truths of examples, one after the other.
pub fn flat_truth(kind: &Outcome, values: impl Iterator<Item = f32>) -> FlatTruth {
    match kind {
        Outcome::Regression { .. } => FlatTruth::Values(values.collect()),
        Outcome::Classification { .. } => FlatTruth::Classes(values.map(|class| class as u32).collect()),
    }
}

/// Truths that own their memory.
pub enum FlatTruth {
    Values(Vec<f32>),
    Classes(Vec<u32>),
}

impl FlatTruth {
    pub fn as_truth(&self) -> Truth<'_> {
        match self {
            Self::Values(values) => Truth::Values(values),
            Self::Classes(classes) => Truth::Classes(classes),
        }
    }
}

fn refuse_others(first: &BTreeMap<&str, &PredictionRow>, other: &BTreeMap<&str, &PredictionRow>) -> Result<(), String> {
    if !first.keys().eq(other.keys()) {
        return Err("were not all tested on the same examples".to_owned());
    }
    let same = first
        .values()
        .zip(other.values())
        .all(|(a, b)| a.truth == b.truth && a.group == b.group);
    match same {
        true => Ok(()),
        false => Err("do not agree on the truth of their test examples".to_owned()),
    }
}
