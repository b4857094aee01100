//! The `[loss]` table.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evaluate::TaskKind;

/// What is minimised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum LossSpec {
    /// Mean of squared differences.
    Mse(PlainLossSpec),
    /// Mean of absolute differences.
    Mae(PlainLossSpec),
    /// Squared below `beta`, absolute above (PyTorch's `SmoothL1Loss`).
    SmoothL1(SmoothL1Spec),
    /// Squared below `delta`, linear above (PyTorch's `HuberLoss`).
    Huber(HuberSpec),
    /// 1 − the concordance correlation coefficient of the batch (Lin 1989), averaged over the targets. Needs batches that are not
    /// tiny: the coefficient of few examples says little.
    Ccc(PlainLossSpec),
    /// Softmax cross-entropy over the classes.
    CrossEntropy(CrossEntropySpec),
    /// Pairs: symmetric cross-entropy over the pairs of a batch, with a temperature (CLIP's, Radford et al. 2021).
    Contrastive(ContrastiveSpec),
}

/// The settings of a loss that has none of its own.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PlainLossSpec {
    /// How much each target counts, in the order of the targets. Default: all alike.
    #[schemars(inner(range(min = 0.0)))]
    pub target_weights: Option<Vec<f64>>,
    pub weighting: Weighting,
}

/// The settings of smooth L1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SmoothL1Spec {
    #[schemars(range(min = 1e-9))]
    pub beta: f64,
    /// How much each target counts, in the order of the targets. Default: all alike.
    #[schemars(inner(range(min = 0.0)))]
    pub target_weights: Option<Vec<f64>>,
    pub weighting: Weighting,
}

impl Default for SmoothL1Spec {
    fn default() -> Self {
        Self {
            beta: 1.0,
            target_weights: None,
            weighting: Weighting::None,
        }
    }
}

/// The settings of the Huber loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HuberSpec {
    #[schemars(range(min = 1e-9))]
    pub delta: f64,
    /// How much each target counts, in the order of the targets. Default: all alike.
    #[schemars(inner(range(min = 0.0)))]
    pub target_weights: Option<Vec<f64>>,
    pub weighting: Weighting,
}

impl Default for HuberSpec {
    fn default() -> Self {
        Self {
            delta: 1.0,
            target_weights: None,
            weighting: Weighting::None,
        }
    }
}

/// The settings of cross-entropy.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CrossEntropySpec {
    pub class_weights: ClassWeights,
    /// The most that a class may weigh.
    #[schemars(range(min = 1e-9))]
    pub class_weight_cap: Option<f64>,
    /// The share of the truth that is spread over all classes (PyTorch's `label_smoothing`).
    #[schemars(range(min = 0.0, max = 1.0))]
    pub label_smoothing: f64,
    pub weighting: Weighting,
}

/// The settings of the contrastive loss. What is compared is the cosine of the branches' embeddings, whatever joins them in `model.head`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ContrastiveSpec {
    /// By which cosines are divided: the smaller, the more the hardest mistakes count.
    #[schemars(range(min = 1e-3, max = 100.0))]
    pub temperature: f64,
    /// Pairs with a lower score are no match: their picture and clip are only told apart from those of others.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_score: f64,
    /// How much each matching pair counts.
    pub weighting: PairWeighting,
    /// By which the squared error of the predicted score is multiplied before it is added: so that the head learns the scores' scale. 0
    /// leaves the head as it began.
    #[schemars(range(min = 0.0))]
    pub score_weight: f64,
}

impl Default for ContrastiveSpec {
    fn default() -> Self {
        Self {
            temperature: 0.07,
            min_score: 0.5,
            weighting: PairWeighting::None,
            score_weight: 1.0,
        }
    }
}

/// How much each matching pair counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PairWeighting {
    /// All alike.
    #[default]
    None,
    /// As much as its score says.
    Score,
}

/// How much each class counts in the loss: `"none"`, `"balanced"`, or a table of weights by class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ClassWeights {
    Named(NamedClassWeights),
    /// Classes that are not named weigh 1.
    Given(BTreeMap<String, f64>),
}

impl Default for ClassWeights {
    fn default() -> Self {
        Self::Named(NamedClassWeights::None)
    }
}

/// Class weights by rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NamedClassWeights {
    /// All alike.
    #[default]
    None,
    /// n / (classes · n of the class), on the training split (scikit-learn's `balanced`).
    Balanced,
}

/// How much each example counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Weighting {
    /// All alike.
    #[default]
    None,
    /// The more the annotators agree, the more: 1 / (σ² + m²) for each target, σ being the annotators' deviation on the example
    /// and m its median over the training split; scaled to a mean of 1. Only for corpora that publish it.
    Agreement,
}

impl LossSpec {
    /// As in the experiment file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mse(_) => "mse",
            Self::Mae(_) => "mae",
            Self::SmoothL1(_) => "smooth-l1",
            Self::Huber(_) => "huber",
            Self::Ccc(_) => "ccc",
            Self::CrossEntropy(_) => "cross-entropy",
            Self::Contrastive(_) => "contrastive",
        }
    }

    /// Whether it is one of pairs only.
    pub fn is_of_pairs(&self) -> bool {
        matches!(self, Self::Contrastive(_))
    }

    /// What it is for.
    pub fn task(&self) -> TaskKind {
        match self {
            Self::Mse(_) | Self::Mae(_) | Self::SmoothL1(_) | Self::Huber(_) | Self::Ccc(_) | Self::Contrastive(_) => {
                TaskKind::Regression
            }
            Self::CrossEntropy(_) => TaskKind::Classification,
        }
    }

    /// The losses for a task, as in the experiment file.
    pub fn names_for(task: TaskKind) -> &'static [&'static str] {
        match task {
            TaskKind::Regression => &["mse", "mae", "smooth-l1", "huber", "ccc"],
            TaskKind::Classification => &["cross-entropy"],
        }
    }

    /// How examples are weighted.
    pub fn weighting(&self) -> Weighting {
        match self {
            Self::Mse(spec) | Self::Mae(spec) | Self::Ccc(spec) => spec.weighting,
            Self::SmoothL1(spec) => spec.weighting,
            Self::Huber(spec) => spec.weighting,
            Self::CrossEntropy(spec) => spec.weighting,
            Self::Contrastive(_) => Weighting::None,
        }
    }

    /// How targets are weighted; `None` for classes, or when nothing is said.
    pub fn target_weights(&self) -> Option<&[f64]> {
        match self {
            Self::Mse(spec) | Self::Mae(spec) | Self::Ccc(spec) => spec.target_weights.as_deref(),
            Self::SmoothL1(spec) => spec.target_weights.as_deref(),
            Self::Huber(spec) => spec.target_weights.as_deref(),
            Self::CrossEntropy(_) | Self::Contrastive(_) => None,
        }
    }
}
