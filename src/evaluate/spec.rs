//! The `[evaluate]` table of an experiment file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the model is compared with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluateSpec {
    /// Default: those that fit the task (mean and ridge, or majority and logistic), and human where the corpus says how far its
    /// annotators were apart.
    pub baselines: Option<Vec<Baseline>>,
    /// Resamples of the bootstrap behind the 95 % confidence intervals; 0: none.
    #[schemars(range(max = 100000))]
    pub bootstrap: usize,
}

impl Default for EvaluateSpec {
    fn default() -> Self {
        Self {
            baselines: None,
            bootstrap: 1000,
        }
    }
}

/// A model that needs no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Baseline {
    /// Regression: the training split's mean.
    Mean,
    /// Regression: the training split's median.
    Median,
    /// Regression: ridge regression on features pooled over time.
    Ridge,
    /// Classification: the training split's most frequent class.
    Majority,
    /// Classification: guesses with the classes' shares in the training split.
    Stratified,
    /// Classification: logistic regression on features pooled over time.
    Logistic,
    /// The mean truth of the nearest training examples, by features pooled over time.
    Knn,
    /// Regression: one annotator, where the corpus says how far its annotators were apart.
    Human,
}
