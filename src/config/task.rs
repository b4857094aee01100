//! What is predicted decides what fits: a loss, a monitored value and a baseline are for numbers or for classes.

use crate::dataset::DatasetSpec;
use crate::evaluate::{Baseline, EvaluateSpec, TaskKind};
use crate::train::spec::Monitor;
use crate::train::{LossSpec, TrainSpec};

use super::check::{At, Finding};
use super::path::KeyPath;
use super::rules::name;
use super::shape::one_of;

/// What is predicted, as far as the settings tell.
fn of_dataset(dataset: &DatasetSpec) -> Option<TaskKind> {
    match dataset {
        DatasetSpec::Table(table) => match (table.targets.is_empty(), &table.label) {
            (false, None) => Some(TaskKind::Regression),
            (true, Some(_)) => Some(TaskKind::Classification),
            _ => None,
        },
        DatasetSpec::Meld(_) => Some(TaskKind::Classification),
        DatasetSpec::DeamStatic(_)
        | DatasetSpec::DeamDynamic(_)
        | DatasetSpec::ImemnetCImage(_)
        | DatasetSpec::ImemnetCMusic(_)
        | DatasetSpec::Synthetic(_)
        // The score of a pair is a number.
        | DatasetSpec::Imemnet(_)
        | DatasetSpec::SyntheticPairs(_) => Some(TaskKind::Regression),
    }
}

/// What does not fit the dataset.
pub(super) fn check(
    dataset: &DatasetSpec,
    loss: Option<&LossSpec>,
    train: Option<&TrainSpec>,
    evaluate: Option<&EvaluateSpec>,
) -> Vec<Finding> {
    let Some(task) = of_dataset(dataset) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut compare = |path: &str, what: String, of: Option<TaskKind>| {
        if let Some(of) = of.filter(|of| *of != task) {
            let message = format!(
                "{what} is for {}, but the dataset gives {}",
                of.predicts(),
                task.predicts()
            );
            let finding = Finding::new(KeyPath::parse(path), At::Value, message);
            found.push(
                finding
                    .label(format!("not for {}", task.predicts()))
                    .help(fitting(path, task)),
            );
        }
    };
    if let Some(loss) = loss {
        compare("loss.kind", format!("the loss \"{}\"", name(loss)), Some(loss.task()));
    }
    if let Some(train) = train {
        let monitor = train.early_stopping.monitor;
        let what = format!("the monitored value \"{}\"", name(&monitor));
        compare("train.early_stopping.monitor", what, monitor.task());
    }
    for (index, baseline) in evaluate
        .and_then(|evaluate| evaluate.baselines.as_ref())
        .into_iter()
        .flatten()
        .enumerate()
    {
        let what = format!("the baseline \"{}\"", name(baseline));
        compare(&format!("evaluate.baselines[{index}]"), what, baseline.task());
    }
    found
}

/// What can be written instead.
fn fitting(path: &str, task: TaskKind) -> Option<String> {
    let names = match path {
        "loss.kind" => LossSpec::names_for(task).to_vec(),
        "train.early_stopping.monitor" => Monitor::names_for(task),
        _ => Baseline::names_for(task),
    };
    let quoted = names.iter().map(|name| format!("\"{name}\""));
    Some(format!("for {}: {}", task.predicts(), one_of(quoted)))
}
