//! Convolutions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{Activation, Initialization, Pair, Probability, one, three};

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
    /// Distance of the kernel's taps.
    #[serde(default = "one")]
    pub dilation: Pair,
    /// Parts that input and output channels are divided into; each part sees its own only.
    #[serde(default = "one_group")]
    #[schemars(range(min = 1, max = 65536))]
    pub groups: usize,
    /// A bias per channel. Default: only without batch norm, which has one of its own.
    #[serde(default)]
    pub bias: Option<bool>,
    #[serde(default)]
    pub init: Initialization,
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

fn one_group() -> usize {
    1
}

impl Conv2dSpec {
    /// A convolution and nothing else, with the defaults.
    pub fn new(channels: usize) -> Self {
        Self {
            channels,
            kernel: three(),
            stride: one(),
            padding: Padding::default(),
            dilation: one(),
            groups: 1,
            bias: None,
            init: Initialization::Default,
            batch_norm: false,
            activation: None,
            max_pool: None,
            dropout: None,
        }
    }
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

/// Convolution, batch norm, activation, convolution, batch norm; the input is added (through a 1 × 1 convolution with batch norm
/// where the shapes differ); activation. ResNet's basic block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResidualSpec {
    /// Output channels.
    #[schemars(range(min = 1, max = 65536))]
    pub channels: usize,
    /// Height and width of both kernels; odd.
    #[serde(default = "three")]
    pub kernel: Pair,
    /// Of the first convolution.
    #[serde(default = "one")]
    pub stride: Pair,
    #[serde(default = "relu")]
    pub activation: Activation,
    /// Between the convolutions.
    #[serde(default)]
    pub dropout: Option<Probability>,
    #[serde(default)]
    pub init: Initialization,
}

fn relu() -> Activation {
    Activation::Relu
}
