//! The `[evaluate]` table of an experiment file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the model is compared with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluateSpec {
    /// Default: those that fit the task (mean and ridge; majority and logistic; for pairs mean, chance and va-distance), and human where the corpus says how far its
    /// annotators were apart.
    pub baselines: Option<Vec<Baseline>>,
    /// Resamples of the bootstrap behind the 95 % confidence intervals; 0: none.
    #[schemars(range(max = 100000))]
    pub bootstrap: usize,
    /// Pairs: the least true score of a candidate that counts as found. The field cuts at 0.5.
    #[schemars(range(min = 0.0, max = 1.0))]
    #[serde(skip_serializing_if = "is_usual")]
    pub relevant_score: f64,
}

/// What is not set need not stand in the record of experiments that have no pairs.
fn is_usual(score: &f64) -> bool {
    *score == RELEVANT_SCORE
}

const RELEVANT_SCORE: f64 = 0.5;

impl Default for EvaluateSpec {
    fn default() -> Self {
        Self {
            baselines: None,
            bootstrap: 1000,
            relevant_score: RELEVANT_SCORE,
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
    /// Pairs: what a random order of the candidates gives, on average over all orders. Retrieval only.
    Chance,
    /// Pairs: the distance between the valence and arousal of picture and clip, each predicted by ridge regression on its own pooled
    /// features; the score is a line over that distance, fitted on the training pairs. Needs `dataset.image_va` and `dataset.music_va`.
    VaDistance,
    /// Regression: one annotator, where the corpus says how far its annotators were apart.
    Human,
}
