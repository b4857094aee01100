//! The `[model]` table of an experiment file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A feed-forward network: layers in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkSpec {
    #[schemars(length(min = 1))]
    pub layers: Vec<LayerSpec>,
}

/// One layer: its name, with its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LayerSpec {
    /// Convolution, then batch norm, activation, max pool and dropout where they are asked for, in this order.
    Conv2d(Conv2dSpec),
    /// Average over a grid of this many cells: `1`, or `[rows, columns]`.
    AdaptiveAvgPool2d(Pair),
    /// `[batch, channels, rows, columns]` to `[batch, channels · rows · columns]`. Write `flatten = {}`.
    Flatten(FlattenSpec),
    /// Zeroes each value with this probability while training and scales the others by 1 / (1 − p).
    Dropout(Probability),
    /// Fully connected; the input is flattened first. `"targets"`, a number of units, or a table.
    Linear(LinearSpec),
}

/// A 2-D convolution block over `[batch, channels, mels, frames]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conv2dSpec {
    /// Output channels.
    #[schemars(range(min = 1, max = 65536))]
    pub channels: usize,
    /// Height and width of the kernel.
    #[serde(default = "three")]
    pub kernel: Pair,
    #[serde(default = "one")]
    pub stride: Pair,
    #[serde(default)]
    pub padding: Padding,
    /// A bias per channel. Default: only without batch norm, which has one of its own.
    #[serde(default)]
    pub bias: Option<bool>,
    #[serde(default)]
    pub batch_norm: bool,
    #[serde(default)]
    pub activation: Option<Activation>,
    /// Max pooling with this window and stride.
    #[serde(default)]
    pub max_pool: Option<Pair>,
    #[serde(default)]
    pub dropout: Option<Probability>,
}

/// The empty table of `flatten = {}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlattenSpec {}

/// A number for both directions, or `[rows, columns]` (mels, frames).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Pair {
    Both(#[schemars(range(min = 1, max = 65536))] usize),
    Each(#[schemars(inner(range(min = 1, max = 65536)))] [usize; 2]),
}

impl Pair {
    /// `(rows, columns)`.
    pub fn get(self) -> (usize, usize) {
        match self {
            Self::Both(size) => (size, size),
            Self::Each([rows, columns]) => (rows, columns),
        }
    }
}

fn three() -> Pair {
    Pair::Both(3)
}

fn one() -> Pair {
    Pair::Both(1)
}

/// Zeros around the input of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Padding {
    Named(NamedPadding),
    Both(#[schemars(range(max = 65536))] usize),
    Each(#[schemars(inner(range(max = 65536)))] [usize; 2]),
}

/// Padding by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NamedPadding {
    /// The output is as large as the input (stride 1, odd kernel).
    Same,
    /// None.
    Valid,
}

impl Default for Padding {
    fn default() -> Self {
        Self::Named(NamedPadding::Same)
    }
}

/// A probability below 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Probability(#[schemars(range(min = 0.0, max = 0.99))] pub f64);

/// What follows a layer, value by value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    Relu,
}

/// A fully connected layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum LinearSpec {
    Size(Units),
    Table(LinearTable),
}

/// A fully connected layer with an activation or dropout after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinearTable {
    pub units: Units,
    #[serde(default)]
    pub activation: Option<Activation>,
    #[serde(default)]
    pub dropout: Option<Probability>,
}

/// How many outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Units {
    Named(NamedUnits),
    Count(#[schemars(range(min = 1, max = 1048576))] usize),
}

/// As many outputs as the task needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NamedUnits {
    /// One per target, or one per class.
    Targets,
}
