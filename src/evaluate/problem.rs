//! What is predicted, what is true, and whether the two fit together.

use super::EvaluateError;

/// Numbers or classes?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskKind {
    Regression,
    Classification,
}

impl TaskKind {
    /// What such a task predicts.
    pub fn predicts(self) -> &'static str {
        match self {
            Self::Regression => "numbers",
            Self::Classification => "classes",
        }
    }
}

impl std::fmt::Display for TaskKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Regression => "a regression task",
            Self::Classification => "a classification task",
        })
    }
}

/// The task, with the names that its figures get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// One number per target.
    Regression { targets: Vec<String> },
    /// One of the classes.
    Classification { classes: Vec<String> },
}

impl Problem {
    /// Numbers in one prediction: targets, or classes (a probability for each).
    pub fn width(&self) -> usize {
        match self {
            Self::Regression { targets } => targets.len(),
            Self::Classification { classes } => classes.len(),
        }
    }

    pub fn kind(&self) -> TaskKind {
        match self {
            Self::Regression { .. } => TaskKind::Regression,
            Self::Classification { .. } => TaskKind::Classification,
        }
    }

    pub(super) fn task(&self) -> &'static str {
        match self {
            Self::Regression { .. } => "regression",
            Self::Classification { .. } => "classification",
        }
    }

    /// Says how many examples there are, once `truth` is known to fit.
    pub(super) fn check_truth(&self, truth: Truth) -> Result<usize, EvaluateError> {
        let width = self.width();
        if width == 0 {
            let what = match self {
                Self::Regression { .. } => "targets",
                Self::Classification { .. } => "classes",
            };
            return Err(EvaluateError::Empty { what });
        }
        let examples = match (self, truth) {
            (Self::Regression { .. }, Truth::Values(values)) => {
                let examples = values.len() / width;
                check_length("truth", examples * width, values.len())?;
                check_finite("the truth", values, width)?;
                examples
            }
            (Self::Classification { .. }, Truth::Classes(classes)) => {
                check_classes(classes, width)?;
                classes.len()
            }
            (_, truth) => {
                return Err(EvaluateError::Truth {
                    task: self.task(),
                    truth: truth.holds(),
                });
            }
        };
        if examples == 0 {
            return Err(EvaluateError::Empty { what: "examples" });
        }
        Ok(examples)
    }

    /// Says how many examples there are, once truth and predictions are known to fit.
    pub(super) fn check(&self, truth: Truth, predicted: &[f32]) -> Result<usize, EvaluateError> {
        let examples = self.check_truth(truth)?;
        check_length("predictions", examples * self.width(), predicted.len())?;
        check_finite("the prediction", predicted, self.width())?;
        Ok(examples)
    }
}

/// What is true of the examples of one split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Truth<'a> {
    /// Regression: `[examples, targets]`, row after row.
    Values(&'a [f32]),
    /// Classification: `[examples]`, indices into [`Problem::Classification`]'s classes.
    Classes(&'a [u32]),
}

impl Truth<'_> {
    fn holds(self) -> &'static str {
        match self {
            Self::Values(_) => "numbers",
            Self::Classes(_) => "classes",
        }
    }
}

/// The most probable class of each row of `[examples, classes]`; of equal ones the first.
pub(super) fn most_probable(probabilities: &[f32], classes: usize) -> Vec<u32> {
    probabilities
        .chunks_exact(classes.max(1))
        .map(|row| {
            let mut best = (0, f32::NEG_INFINITY);
            for (class, &probability) in (0..).zip(row) {
                if probability > best.1 {
                    best = (class, probability);
                }
            }
            best.0
        })
        .collect()
}

pub(super) fn check_length(what: &'static str, expected: usize, found: usize) -> Result<(), EvaluateError> {
    if expected == found {
        Ok(())
    } else {
        Err(EvaluateError::Length { what, expected, found })
    }
}

pub(super) fn check_classes(truth: &[u32], classes: usize) -> Result<(), EvaluateError> {
    match truth.iter().position(|&class| class as usize >= classes) {
        None => Ok(()),
        Some(example) => Err(EvaluateError::Class {
            example,
            class: truth.get(example).copied().unwrap_or_default(),
            classes,
        }),
    }
}

pub(super) fn check_finite(what: &'static str, values: &[f32], width: usize) -> Result<(), EvaluateError> {
    match values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some((index, &value)) => Err(EvaluateError::NotFinite {
            what,
            example: index / width.max(1),
            column: index % width.max(1),
            value: f64::from(value),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_targets() -> Problem {
        Problem::Regression {
            targets: vec!["valence".into(), "arousal".into()],
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let problem = two_targets();
        let message = |truth, predicted: &[f32]| problem.check(truth, predicted).unwrap_err().to_string();
        insta::assert_snapshot!(message(Truth::Values(&[]), &[]), @"there are no examples to evaluate; give at least one");
        insta::assert_snapshot!(message(Truth::Values(&[1.0, 2.0]), &[1.0]), @"predictions: expected 2 values, found 1; pass one for every example and column");
        insta::assert_snapshot!(message(Truth::Classes(&[1]), &[1.0]), @"the task is regression, but the truth holds classes; pass the truth of the same task");
        insta::assert_snapshot!(
            message(Truth::Values(&[1.0, 2.0, 3.0, 4.0]), &[1.0, 2.0, 3.0, f32::NAN]),
            @"the prediction of example 1, column 1 is NaN; only finite numbers can be evaluated, so look for division by zero or for a training that diverged"
        );
        assert_eq!(problem.check(Truth::Values(&[1.0, 2.0]), &[0.0, 0.0]), Ok(1));
    }

    #[test]
    fn a_class_out_of_range_is_refused() {
        assert_eq!(
            check_classes(&[0, 3, 1], 3),
            Err(EvaluateError::Class {
                example: 1,
                class: 3,
                classes: 3
            })
        );
    }

    #[test]
    fn of_equal_probabilities_the_first_wins() {
        assert_eq!(most_probable(&[0.5, 0.5, 0.0, 0.2, 0.4, 0.4], 3), [0, 1]);
    }
}
