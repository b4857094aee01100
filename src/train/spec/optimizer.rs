//! The `[optimizer]` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the parameters move.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum OptimizerSpec {
    /// Kingma and Ba 2015; weight decay is added to the gradient (PyTorch's `Adam`).
    Adam(AdamSpec),
    /// Loshchilov and Hutter 2019; weight decay is decoupled (PyTorch's `AdamW`).
    Adamw(AdamSpec),
    /// Stochastic gradient descent, with momentum where it is asked for (PyTorch's `SGD`).
    Sgd(SgdSpec),
    /// Tieleman and Hinton 2012 (PyTorch's `RMSprop`).
    Rmsprop(RmspropSpec),
}

impl OptimizerSpec {
    /// The rate that schedules start from.
    pub fn learning_rate(&self) -> f64 {
        match self {
            Self::Adam(spec) | Self::Adamw(spec) => spec.learning_rate,
            Self::Sgd(spec) => spec.learning_rate,
            Self::Rmsprop(spec) => spec.learning_rate,
        }
    }
}

/// The settings of Adam and AdamW.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdamSpec {
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub learning_rate: f64,
    #[schemars(range(min = 0.0, max = 0.999999))]
    pub beta1: f64,
    #[schemars(range(min = 0.0, max = 0.999999))]
    pub beta2: f64,
    #[schemars(range(min = 0.0))]
    pub epsilon: f64,
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    pub decay_on: DecayOn,
}

impl Default for AdamSpec {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            decay_on: DecayOn::All,
        }
    }
}

/// The settings of SGD.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SgdSpec {
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub learning_rate: f64,
    #[schemars(range(min = 0.0, max = 0.999999))]
    pub momentum: f64,
    /// Nesterov's form of the momentum.
    pub nesterov: bool,
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    pub decay_on: DecayOn,
}

impl Default for SgdSpec {
    fn default() -> Self {
        Self {
            learning_rate: 1e-2,
            momentum: 0.0,
            nesterov: false,
            weight_decay: 0.0,
            decay_on: DecayOn::All,
        }
    }
}

/// The settings of RMSprop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RmspropSpec {
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub learning_rate: f64,
    /// Weight of the past in the running mean of the squared gradient.
    #[schemars(range(min = 0.0, max = 0.999999))]
    pub alpha: f64,
    #[schemars(range(min = 0.0))]
    pub epsilon: f64,
    #[schemars(range(min = 0.0, max = 0.999999))]
    pub momentum: f64,
    /// Divide by the deviation of the gradient instead of its root mean square.
    pub centered: bool,
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    pub decay_on: DecayOn,
}

impl Default for RmspropSpec {
    fn default() -> Self {
        Self {
            learning_rate: 1e-2,
            alpha: 0.99,
            epsilon: 1e-8,
            momentum: 0.0,
            centered: false,
            weight_decay: 0.0,
            decay_on: DecayOn::All,
        }
    }
}

/// Which parameters the weight decay concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DecayOn {
    #[default]
    All,
    /// Not the biases, and not the gains and offsets of norms.
    Weights,
}
