//! Layers over the frames.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{Initialization, Probability};

/// Gated recurrent units (Cho et al. 2014), as PyTorch's `GRU`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GruSpec {
    /// In each direction.
    #[schemars(range(min = 1, max = 65536))]
    pub units: usize,
    #[serde(default = "one_layer")]
    #[schemars(range(min = 1, max = 64))]
    pub layers: usize,
    /// A second row of units walks from the last frame to the first.
    #[serde(default)]
    pub bidirectional: bool,
    #[serde(default)]
    pub output: GruOutput,
    /// Between the layers.
    #[serde(default)]
    pub dropout: Option<Probability>,
    #[serde(default)]
    pub init: Initialization,
}

fn one_layer() -> usize {
    1
}

/// What a gru hands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GruOutput {
    /// The state after each frame.
    #[default]
    Sequence,
    /// The state at the end of the walk (of each direction).
    Last,
}

/// Attention over frames: softmax over the frames of v·tanh(W·h + b), and the mean of the frames h under these weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AttentionPoolSpec {
    /// Rows of W.
    #[schemars(range(min = 1, max = 65536))]
    pub units: usize,
    pub init: Initialization,
}

impl Default for AttentionPoolSpec {
    fn default() -> Self {
        Self {
            units: 64,
            init: Initialization::Default,
        }
    }
}
