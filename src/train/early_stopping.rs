//! Which validation was best, and when is it enough?

use serde::{Deserialize, Serialize};

use super::Error;
use super::spec::{EarlyStoppingSpec, Monitor};
use crate::evaluate::{Problem, TaskKind, higher_is_better};

/// What early stopping remembers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EarlyStopping {
    pub best_epoch: Option<u32>,
    /// The updates that had been done then.
    pub best_step: Option<u64>,
    #[serde(with = "super::exact")]
    pub best_value: Option<f64>,
    without_improvement: usize,
}

/// What a validation showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The best so far.
    Best,
    /// Not better.
    Worse,
    /// Not better for the last time.
    Stop,
}

impl EarlyStopping {
    /// Judges a validation in `epoch`, after `step` updates. NaN is never better.
    pub fn judge(&mut self, spec: &EarlyStoppingSpec, epoch: u32, step: u64, value: f64) -> Verdict {
        let better = match self.best_value {
            None => !value.is_nan(),
            Some(best) if spec.monitor.maximize() => value > best + spec.min_delta,
            Some(best) => value < best - spec.min_delta,
        };
        if better {
            self.best_epoch = Some(epoch);
            self.best_step = Some(step);
            self.best_value = Some(value);
            self.without_improvement = 0;
            return Verdict::Best;
        }
        self.without_improvement += 1;
        match self.is_over(spec) {
            true => Verdict::Stop,
            false => Verdict::Worse,
        }
    }

    /// Whether the last validation judged was not better for the last time.
    pub fn is_over(&self, spec: &EarlyStoppingSpec) -> bool {
        self.without_improvement >= spec.patience.max(1)
    }
}

impl Monitor {
    /// "loss", or the metric's name.
    pub fn metric(self) -> &'static str {
        self.name().trim_start_matches("val/")
    }

    /// As in the experiment file: "val/loss".
    pub fn name(self) -> &'static str {
        match self {
            Self::Loss => "val/loss",
            Self::Mse => "val/mse",
            Self::Mae => "val/mae",
            Self::Ccc => "val/ccc",
            Self::Pearson => "val/pearson",
            Self::Accuracy => "val/accuracy",
            Self::Uar => "val/uar",
            Self::MacroF1 => "val/macro-f1",
        }
    }

    /// Whether larger is better.
    pub fn maximize(self) -> bool {
        higher_is_better(self.metric())
    }

    /// The task that has such a value; `None`: each has.
    pub fn task(self) -> Option<TaskKind> {
        match self {
            Self::Loss => None,
            Self::Mse | Self::Mae | Self::Ccc | Self::Pearson => Some(TaskKind::Regression),
            Self::Accuracy | Self::Uar | Self::MacroF1 => Some(TaskKind::Classification),
        }
    }

    /// Those of a task, as in the experiment file.
    pub fn names_for(task: TaskKind) -> Vec<&'static str> {
        let fits = |monitor: &Self| monitor.task().is_none_or(|of| of == task);
        Self::ALL.into_iter().filter(fits).map(Self::name).collect()
    }

    const ALL: [Self; 8] = [
        Self::Loss,
        Self::Mse,
        Self::Mae,
        Self::Ccc,
        Self::Pearson,
        Self::Accuracy,
        Self::Uar,
        Self::MacroF1,
    ];

    /// Whether the task has such a value.
    pub fn check(self, problem: &Problem) -> Result<(), Error> {
        match self.task().is_none_or(|task| task == problem.kind()) {
            true => Ok(()),
            false => Err(Error::MonitorDoesNotFit {
                monitor: self.name(),
                task: problem.kind(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(monitor: Monitor, min_delta: f64, values: &[f64]) -> Vec<Verdict> {
        let spec = EarlyStoppingSpec {
            monitor,
            patience: 2,
            min_delta,
            ..EarlyStoppingSpec::default()
        };
        let mut stopping = EarlyStopping::default();
        values
            .iter()
            .enumerate()
            .map(|(epoch, &value)| stopping.judge(&spec, epoch as u32 + 1, epoch as u64, value))
            .collect()
    }

    #[test]
    fn it_stops_after_patience_validations_without_improvement() {
        use Verdict::{Best, Stop, Worse};
        assert_eq!(
            verdicts(Monitor::Loss, 0.0, &[1.0, 0.9, 0.9, 0.8, 0.9, f64::NAN]),
            [Best, Best, Worse, Best, Worse, Stop]
        );
        assert_eq!(verdicts(Monitor::Loss, 0.2, &[1.0, 0.9, 0.85]), [Best, Worse, Stop]);
        assert_eq!(verdicts(Monitor::Uar, 0.0, &[0.3, 0.2, 0.4]), [Best, Worse, Best]);
    }
}
