//! What is predicted decides what fits: a loss, a monitored value and a baseline are for numbers or for classes.

use crate::dataset::DatasetSpec;
use crate::evaluate::EvaluateSpec;
use crate::evaluate::spec::Baseline;
use crate::train::spec::Monitor;
use crate::train::{LossSpec, TrainSpec};

use super::check::{At, Finding};
use super::path::KeyPath;
use super::rules::name;

/// What is predicted, as far as the settings tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Regression,
    Classification,
}

impl Task {
    fn of_dataset(dataset: &DatasetSpec) -> Option<Self> {
        match dataset {
            DatasetSpec::Table(table) => match (table.targets.is_empty(), &table.label) {
                (false, None) => Some(Self::Regression),
                (true, Some(_)) => Some(Self::Classification),
                _ => None,
            },
            DatasetSpec::Meld(_) => Some(Self::Classification),
            // Pairs to match are neither.
            DatasetSpec::Imemnet(_) => None,
            DatasetSpec::DeamStatic(_)
            | DatasetSpec::DeamDynamic(_)
            | DatasetSpec::ImemnetCImage(_)
            | DatasetSpec::ImemnetCMusic(_)
            | DatasetSpec::Synthetic(_) => Some(Self::Regression),
        }
    }

    fn of_loss(loss: &LossSpec) -> Self {
        match loss {
            LossSpec::Mse | LossSpec::SmoothL1 { .. } => Self::Regression,
            LossSpec::CrossEntropy { .. } => Self::Classification,
        }
    }

    /// `None`: fits both.
    fn of_monitor(monitor: Monitor) -> Option<Self> {
        match monitor {
            Monitor::Loss => None,
            Monitor::Mse | Monitor::Mae | Monitor::Ccc => Some(Self::Regression),
            Monitor::Accuracy | Monitor::Uar | Monitor::MacroF1 => Some(Self::Classification),
        }
    }

    fn of_baseline(baseline: Baseline) -> Self {
        match baseline {
            Baseline::Mean | Baseline::Ridge => Self::Regression,
            Baseline::Majority | Baseline::Logistic => Self::Classification,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Regression => "numbers",
            Self::Classification => "classes",
        }
    }
}

/// What does not fit the dataset.
pub(super) fn check(
    dataset: &DatasetSpec,
    loss: Option<&LossSpec>,
    train: Option<&TrainSpec>,
    evaluate: Option<&EvaluateSpec>,
) -> Vec<Finding> {
    let Some(task) = Task::of_dataset(dataset) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut compare = |path: &str, what: String, of: Option<Task>| {
        if let Some(of) = of.filter(|of| *of != task) {
            let message = format!("{what} is for {}, but the dataset gives {}", of.name(), task.name());
            let finding = Finding::new(KeyPath::parse(path), At::Value, message);
            found.push(
                finding
                    .label(format!("not for {}", task.name()))
                    .help(fitting(path, task)),
            );
        }
    };
    if let Some(loss) = loss {
        compare(
            "loss.kind",
            format!("the loss \"{}\"", name(loss)),
            Some(Task::of_loss(loss)),
        );
    }
    if let Some(train) = train {
        let monitor = train.early_stopping.monitor;
        let what = format!("the monitored value \"{}\"", name(&monitor));
        compare("train.early_stopping.monitor", what, Task::of_monitor(monitor));
    }
    for (index, baseline) in evaluate
        .and_then(|evaluate| evaluate.baselines.as_ref())
        .into_iter()
        .flatten()
        .enumerate()
    {
        let what = format!("the baseline \"{}\"", name(baseline));
        compare(
            &format!("evaluate.baselines[{index}]"),
            what,
            Some(Task::of_baseline(*baseline)),
        );
    }
    found
}

/// What can be written instead.
fn fitting(path: &str, task: Task) -> Option<String> {
    let names = match (path, task) {
        ("loss.kind", Task::Regression) => r#""mse" or "smooth-l1""#,
        ("loss.kind", Task::Classification) => r#""cross-entropy""#,
        ("train.early_stopping.monitor", Task::Regression) => r#""val/loss", "val/mse", "val/mae" or "val/ccc""#,
        ("train.early_stopping.monitor", Task::Classification) => {
            r#""val/loss", "val/accuracy", "val/uar" or "val/macro-f1""#
        }
        (_, Task::Regression) => r#""mean" or "ridge""#,
        (_, Task::Classification) => r#""majority" or "logistic""#,
    };
    Some(format!("for {}: {names}", task.name()))
}
