//! The tables of a network with two branches: `[model.image]`, `[model.audio]`, `[model.head]` and `[model.emotion]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LayerSpec, LinearSpec, NamedUnits, Units};

/// One branch: layers from the picture or the clip to a vector, its embedding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BranchSpec {
    #[schemars(length(min = 1))]
    pub layers: Vec<LayerSpec>,
}

/// What becomes of the two embeddings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeadSpec {
    pub join: Join,
    /// For `join = "bilinear"`: how many numbers come out.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 4096))]
    pub units: usize,
    /// Behind the join; they end with `linear = "targets"`, which is the default.
    #[serde(default = "just_targets")]
    #[schemars(length(min = 1))]
    pub layers: Vec<LayerSpec>,
}

/// How two embeddings u and v become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Join {
    /// u and v one behind the other.
    Concat,
    /// u · v number by number; both of one size.
    Product,
    /// The cosine of the angle between u and v, a single number; both of one size. What the loss "contrastive" is for.
    Cosine,
    /// uᵀWv + b with `units` matrices W, trained (PyTorch's `Bilinear`).
    Bilinear,
}

/// Valence and arousal of both sides are learned beside the score (multi-task), each by a linear layer on its branch's embedding. Needs
/// `dataset.image_va` and `dataset.music_va`; where a value is not known, nothing is learned from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EmotionSpec {
    /// By which their mean squared error (of values from 0 to 1) is multiplied before it is added to the loss.
    #[schemars(range(min = 0.0))]
    pub weight: f64,
}

impl Default for EmotionSpec {
    fn default() -> Self {
        Self { weight: 1.0 }
    }
}

/// Default: the score by `linear = "targets"`.
pub fn just_targets() -> Vec<LayerSpec> {
    vec![LayerSpec::Linear(LinearSpec::Size(Units::Named(NamedUnits::Targets)))]
}

fn one() -> usize {
    1
}
