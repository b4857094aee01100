//! Values that several layers know.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The empty table of layers without settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

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

pub(super) fn three() -> Pair {
    Pair::Both(3)
}

pub(super) fn one() -> Pair {
    Pair::Both(1)
}

/// A probability below 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Probability(#[schemars(range(min = 0.0, max = 0.99))] pub f64);

/// What follows a layer, value by value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// max(0, x).
    Relu,
    /// With slope 0.01.
    LeakyRelu,
    /// Gaussian error linear unit.
    Gelu,
    /// GELU by its approximation with tanh.
    GeluTanh,
    /// With alpha 1.
    Elu,
    /// Hyperbolic tangent.
    Tanh,
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
}

/// How the weights of a layer begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Initialization {
    /// PyTorch's: weights and biases uniform in ±1/√fan-in (of a gru ±1/√units).
    #[default]
    Default,
    /// Uniform in ±√(6 / (fan-in + fan-out)); biases 0, here and below. Keras's default (Glorot and Bengio 2010).
    XavierUniform,
    /// Normal with variance 2 / (fan-in + fan-out).
    XavierNormal,
    /// Uniform in ±√(6 / fan-in) (He et al. 2015).
    KaimingUniform,
    /// Normal with variance 2 / fan-in.
    KaimingNormal,
    /// Rows (or columns, whichever are fewer) at right angles to each other, of length 1 (Saxe et al. 2014).
    Orthogonal,
}
