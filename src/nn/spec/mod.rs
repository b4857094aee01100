//! The `[model]` table of an experiment file.

mod conv2d;
mod dense;
mod pair;
mod pool;
mod recurrent;
mod values;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::preset::NetworkPreset;

pub use conv2d::{Conv2dSpec, NamedPadding, Padding, ResidualSpec};
pub use dense::{
    BatchNormSpec, EluSpec, GeluForm, GeluSpec, LayerNormSpec, LeakyReluSpec, LinearSpec, LinearTable, NamedUnits,
    NormOver, Units,
};
pub use pair::{BranchSpec, EmotionSpec, HeadSpec, Join};
pub use pool::{GlobalPoolSpec, PoolOver, PoolSpec, PoolTable, Statistic};
pub use recurrent::{AttentionPoolSpec, GruOutput, GruSpec};
pub use values::{Activation, Empty, Initialization, Pair, Probability};

/// A feed-forward network: layers in order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkSpec {
    /// The network to begin with: a preset's layers, unless `layers` gives others. Single settings of its layers can be changed
    /// with `--set model.layers[0].conv2d.channels=32`.
    #[serde(default)]
    pub preset: Option<NetworkPreset>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1))]
    pub layers: Vec<LayerSpec>,
    /// For pairs: from the picture to its embedding.
    #[serde(default)]
    pub image: Option<BranchSpec>,
    /// For pairs: from the clip to its embedding.
    #[serde(default)]
    pub audio: Option<BranchSpec>,
    /// For pairs: from the two embeddings to the score.
    #[serde(default)]
    pub head: Option<HeadSpec>,
    /// For pairs: valence and arousal of both sides are learned too. Write `[model.emotion]`.
    #[serde(default)]
    pub emotion: Option<EmotionSpec>,
}

impl NetworkSpec {
    /// Whether it is for pairs of a picture and a clip.
    pub fn is_pair(&self) -> bool {
        self.image.is_some() || self.audio.is_some() || self.head.is_some() || self.emotion.is_some()
    }
}

/// One layer: its name, with its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LayerSpec {
    /// Convolution, then batch norm, activation, max pool and dropout where they are asked for, in this order.
    Conv2d(Conv2dSpec),
    /// Two convolutions with batch norm and a way around them (He et al. 2016).
    Residual(ResidualSpec),
    /// Batch norm over the channels of an image, or over each number of a vector or frame. Write `batch_norm = {}`.
    BatchNorm(BatchNormSpec),
    /// Layer norm. Write `layer_norm = {}`.
    LayerNorm(LayerNormSpec),
    /// max(0, x). Write `relu = {}`.
    Relu(Empty),
    /// x above 0, `slope`·x below. Write `leaky_relu = {}`.
    LeakyRelu(LeakyReluSpec),
    /// Gaussian error linear unit. Write `gelu = {}`.
    Gelu(GeluSpec),
    /// x above 0, `alpha`·(eˣ − 1) below. Write `elu = {}`.
    Elu(EluSpec),
    /// Write `tanh = {}`.
    Tanh(Empty),
    /// Write `sigmoid = {}`.
    Sigmoid(Empty),
    /// The largest value of each window: `2`, `[rows, columns]`, or a table.
    #[serde(rename = "max_pool2d")]
    MaxPool2d(PoolSpec),
    /// The average of each window: `2`, `[rows, columns]`, or a table.
    #[serde(rename = "avg_pool2d")]
    AvgPool2d(PoolSpec),
    /// Average over a grid of this many cells: `1`, or `[rows, columns]`.
    #[serde(rename = "adaptive_avg_pool2d")]
    AdaptiveAvgPool2d(Pair),
    /// Maximum over a grid of this many cells: `1`, or `[rows, columns]`.
    #[serde(rename = "adaptive_max_pool2d")]
    AdaptiveMaxPool2d(Pair),
    /// Mean and deviation of each channel (or of each number of a sequence). Write `global_pool = {}`.
    GlobalPool(GlobalPoolSpec),
    /// `[batch, channels, rows, columns]` to `[batch, channels · rows · columns]`. Write `flatten = {}`.
    Flatten(Empty),
    /// Zeroes each value with this probability while training and scales the others by 1 / (1 − p).
    Dropout(Probability),
    /// Fully connected; the input is flattened first. `"targets"`, a number of units, or a table.
    Linear(LinearSpec),
    /// Gated recurrent units over the frames; of an image, each frame is its channels × rows.
    Gru(GruSpec),
    /// The frames' mean, weighted by what a small network makes of each (Bahdanau et al. 2015). Write `attention_pool = {}`.
    AttentionPool(AttentionPoolSpec),
}
