//! How good is it, and how sure is that?
//!
//! Metrics, baselines and confidence intervals. Knows no sibling: plain slices in, figures out. The formulas are
//! scikit-learn's (Pearson's r: SciPy's; CCC: Lin's) and are tested against their values. Sums run in float64 in the
//! order of the examples, so equal input gives equal figures, bit for bit, on any number of threads.

pub mod baselines;
pub mod bootstrap;
mod ccc;
pub mod classification;
mod error;
mod moments;
pub mod paired;
mod problem;
pub mod regression;
pub mod retrieval;
pub mod scores;
pub mod spec;
pub mod spread;

pub use baselines::{BaselineOutput, Choice, Examples, fit_and_predict, pool};
pub use bootstrap::{FEW_GROUPS, score_repeats_with_intervals, score_with_intervals};
pub use classification::{ClassMetrics, ClassificationMetrics, Confusion};
pub use error::EvaluateError;
pub use problem::{Problem, TaskKind, Truth};
pub use regression::{RegressionMetrics, regression};
pub use retrieval::{Answers, RETRIEVAL_METRICS, answer, retrieval};
pub use scores::{
    CLASSIFICATION_METRICS, EMOTION_METRICS, REGRESSION_METRICS, Score, higher_is_better, is_of_the_whole, score,
};
pub use spec::{Baseline, EvaluateSpec};
pub use spread::{Spread, spread};
