//! What can be wrong with what is to be evaluated.

use thiserror::Error;

/// Why there is no figure.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum EvaluateError {
    #[error("the repeats were not evaluated on the same groups; pass the predictions of the same examples")]
    OtherGroups,
    #[error("there are no {what} to evaluate; give at least one")]
    Empty { what: &'static str },
    #[error("{what}: expected {expected} values, found {found}; pass one for every example and column")]
    Length {
        what: &'static str,
        expected: usize,
        found: usize,
    },
    #[error(
        "{what} of example {example}, column {column} is {value}; only finite numbers can be evaluated, so look for \
         division by zero or for a training that diverged"
    )]
    NotFinite {
        what: &'static str,
        /// Index, from 0.
        example: usize,
        /// Index, from 0.
        column: usize,
        value: f64,
    },
    #[error("the class of example {example} is {class}, but there are {classes} classes (from 0); check the labels")]
    Class { example: usize, class: u32, classes: usize },
    #[error("the task is {task}, but the truth holds {truth}; pass the truth of the same task")]
    Truth { task: &'static str, truth: &'static str },
    #[error("the baseline `{baseline}` is for {needs}, but the task is {task}; choose one of: {choices}")]
    Baseline {
        baseline: &'static str,
        needs: &'static str,
        task: &'static str,
        choices: String,
    },
    #[error("features of shape {shape:?} should hold {expected} values, found {found}; every axis must be at least 1")]
    Shape {
        shape: Vec<usize>,
        expected: usize,
        found: usize,
    },
    #[error("the baseline needs features, and the training examples have none; pool them over time first")]
    NoFeatures,
    #[error("the values of feature {column} are too large to compute with; scale them to ordinary numbers")]
    TooLarge {
        /// Index, from 0.
        column: usize,
    },
    #[error("{name} is {value}; it must be a finite number above 0")]
    Strength { name: &'static str, value: f64 },
    #[error(
        "the equations of ridge regression with alpha {alpha} have no stable solution: the features are of too \
         different a size; scale them, or take a larger alpha"
    )]
    Unsolvable { alpha: f64 },
}
