//! Which runs are the same but for chance?

use std::path::Path;

use serde_json::Value;

use crate::track::{Database, Error, Outcome, ParamRow, Predictions, ResultRow, RunSummary};

/// The file with a run's predictions.
const PREDICTIONS: &str = "predictions.csv";
/// Settings that make no difference to what is trained, or only by chance: name, texts, seed, and which fold is tested.
const BY_CHANCE: [&str; 2] = ["experiment.", "dataset.split.fold"];

/// A finished run with its figures.
#[derive(Debug, Clone)]
pub struct RunRecord {
    pub summary: RunSummary,
    pub params: Vec<ParamRow>,
    pub results: Vec<ResultRow>,
    /// The names of its baselines.
    pub baselines: Vec<String>,
    /// What was predicted, or why that is not known.
    pub predictions: Result<Predictions, String>,
}

/// Runs that are taken together.
#[derive(Debug, Clone)]
pub struct Group {
    /// Different from the other groups' names.
    pub name: String,
    /// Oldest first.
    pub runs: Vec<RunRecord>,
}

/// What makes runs a group.
#[derive(Debug, Clone, PartialEq)]
pub enum Grouping {
    /// All settings but the seed and the fold.
    Settings,
    /// Equal values of these names (a setting, a figure or a column, as `affect ls` has them), one list for each run.
    Values(Vec<Vec<Value>>),
}

impl RunRecord {
    pub fn read(database: &Database, summary: RunSummary) -> Result<Self, Error> {
        let predictions = match Path::new(&summary.path).join(PREDICTIONS) {
            path if path.exists() => Predictions::read(&path).map_err(|error| error.to_string()),
            path => Err(format!("`{}` is missing", path.display())),
        };
        let mut baselines: Vec<String> = Vec::new();
        for row in database.baselines(&summary.id)? {
            if !baselines.contains(&row.baseline) {
                baselines.push(row.baseline);
            }
        }
        let mut results = database.results(&summary.id)?;
        // The index has an order of its own; the predictions have that of the data.
        if let Ok(predictions) = &predictions {
            let (Outcome::Regression { targets: names } | Outcome::Classification { classes: names }) =
                &predictions.kind;
            results.sort_by_key(|row| names.iter().position(|name| *name == row.target));
        }
        Ok(Self {
            baselines,
            params: database.params(&summary.id)?,
            results,
            predictions,
            summary,
        })
    }

    /// The setting as a text; `None` where the run has none.
    pub(super) fn setting(&self, key: &str) -> Option<String> {
        self.params
            .iter()
            .find(|row| row.key == key)
            .map(|row| text(&row.value))
    }
}

/// A value in words: texts without quotes.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Whether a setting is part of what a group is.
pub(super) fn matters(key: &str) -> bool {
    !BY_CHANCE.iter().any(|chance| key.starts_with(chance))
}

/// Puts the runs into groups, in the order of their first runs.
pub fn group(runs: Vec<RunRecord>, grouping: &Grouping) -> Vec<Group> {
    let mut groups: Vec<(Vec<String>, Group)> = Vec::new();
    for (index, run) in runs.into_iter().enumerate() {
        let key: Vec<String> = match grouping {
            Grouping::Settings => {
                let mut settings: Vec<String> = (run.params.iter())
                    .filter(|row| matters(&row.key))
                    .map(|row| format!("{} = {}", row.key, row.value))
                    .collect();
                settings.sort();
                settings.push(run.summary.data_fingerprint.clone());
                settings
            }
            Grouping::Values(values) => values.get(index).into_iter().flatten().map(text).collect(),
        };
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.runs.push(run),
            None => groups.push((
                key,
                Group {
                    name: String::new(),
                    runs: vec![run],
                },
            )),
        }
    }
    let keys: Vec<String> = groups.iter().map(|(key, _)| key.join(", ")).collect();
    let mut groups: Vec<Group> = groups.into_iter().map(|(_, group)| group).collect();
    for group in &mut groups {
        group
            .runs
            .sort_by(|a, b| (a.summary.created_at, &a.summary.id).cmp(&(b.summary.created_at, &b.summary.id)));
    }
    let names = match grouping {
        Grouping::Values(_) => keys,
        Grouping::Settings => names(&groups),
    };
    for (group, name) in groups.iter_mut().zip(names) {
        group.name = name;
    }
    groups
}

/// The run by whose id a group is called: the parent, where the runs are the repeats of one, else the first.
fn called_by(group: &Group) -> &str {
    let mut parents = group.runs.iter().map(|run| run.summary.parent_id.as_deref());
    match parents.next().flatten() {
        Some(parent) if group.runs.len() > 1 && parents.all(|other| other == Some(parent)) => parent,
        _ => group.runs.first().map_or("", |run| run.summary.id.as_str()),
    }
}

/// The experiment's name, with the random part of an id where that is not enough.
fn names(groups: &[Group]) -> Vec<String> {
    let experiments: Vec<&str> = groups
        .iter()
        .map(|group| group.runs.first().map_or("", |run| run.summary.experiment.as_str()))
        .collect();
    let name = |(group, experiment): (&Group, &&str)| {
        let id = called_by(group);
        match experiments.iter().filter(|other| *other == experiment).count() {
            1 => (*experiment).to_owned(),
            _ => format!("{experiment} {}", id.rsplit('-').next().unwrap_or(id)),
        }
    };
    groups.iter().zip(&experiments).map(name).collect()
}
