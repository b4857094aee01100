//! The tables `[loss]`, `[optimizer]`, `[schedule]` and `[train]` of an experiment file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is minimised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LossSpec {
    /// Mean of squared differences.
    Mse,
    /// Squared below `beta`, absolute above (PyTorch's `SmoothL1Loss`).
    SmoothL1 {
        #[serde(default = "one")]
        #[schemars(range(min = 1e-9))]
        beta: f64,
    },
    /// Softmax cross-entropy over the classes.
    CrossEntropy {
        #[serde(default)]
        class_weights: ClassWeights,
        /// The most that a class counts, where the weights are balanced: a class of a hundredth of the examples would else weigh
        /// as much as all others.
        #[serde(default)]
        #[schemars(range(min = 0.001))]
        class_weight_cap: Option<f64>,
    },
}

/// How much each class counts in the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeights {
    /// All alike.
    #[default]
    None,
    /// n / (classes · n of the class), on the training split (scikit-learn's `balanced`).
    Balanced,
}

/// How the parameters move.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum OptimizerSpec {
    /// Kingma and Ba 2015; weight decay is added to the gradient (PyTorch's `Adam`).
    Adam(AdamSpec),
    /// Loshchilov and Hutter 2019; weight decay is decoupled (PyTorch's `AdamW`).
    Adamw(AdamSpec),
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
}

impl Default for AdamSpec {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
        }
    }
}

/// How the learning rate changes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ScheduleSpec {
    /// It does not.
    #[default]
    Constant,
    /// Multiplied by `factor` when the monitored value has not improved for `patience` epochs (PyTorch's
    /// `ReduceLROnPlateau`).
    Plateau {
        #[serde(default = "half")]
        #[schemars(range(min = 1e-6, max = 0.999999))]
        factor: f64,
        #[serde(default = "plateau_patience")]
        patience: usize,
        /// Relative improvement that counts.
        #[serde(default = "plateau_threshold")]
        #[schemars(range(min = 0.0))]
        threshold: f64,
        #[serde(default)]
        #[schemars(range(min = 0.0))]
        min_learning_rate: f64,
    },
}

/// The loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrainSpec {
    /// The most epochs.
    #[schemars(range(min = 1, max = 1000000))]
    pub epochs: usize,
    #[schemars(range(min = 1, max = 65536))]
    pub batch_size: usize,
    pub device: DeviceSpec,
    pub early_stopping: EarlyStoppingSpec,
}

impl Default for TrainSpec {
    fn default() -> Self {
        Self {
            epochs: 30,
            batch_size: 32,
            device: DeviceSpec::default(),
            early_stopping: EarlyStoppingSpec::default(),
        }
    }
}

/// Where the network runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceSpec {
    /// The fastest that this build and this machine offer.
    #[default]
    Auto,
    Cpu,
}

/// When training stops before its last epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EarlyStoppingSpec {
    /// The value that decides which epoch is best: `val/loss`, or a metric of the validation split such as `val/mae`
    /// or `val/uar`.
    pub monitor: Monitor,
    /// Epochs without improvement until it stops.
    #[schemars(range(min = 1))]
    pub patience: usize,
    /// What counts as improvement.
    #[schemars(range(min = 0.0))]
    pub min_delta: f64,
}

impl Default for EarlyStoppingSpec {
    fn default() -> Self {
        Self {
            monitor: Monitor::default(),
            patience: 8,
            min_delta: 0.0,
        }
    }
}

/// A value of the validation split that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Monitor {
    #[default]
    #[serde(rename = "val/loss")]
    Loss,
    #[serde(rename = "val/mse")]
    Mse,
    #[serde(rename = "val/mae")]
    Mae,
    #[serde(rename = "val/ccc")]
    Ccc,
    #[serde(rename = "val/accuracy")]
    Accuracy,
    #[serde(rename = "val/uar")]
    Uar,
    #[serde(rename = "val/macro-f1")]
    MacroF1,
}

fn one() -> f64 {
    1.0
}

fn half() -> f64 {
    0.5
}

fn plateau_patience() -> usize {
    4
}

fn plateau_threshold() -> f64 {
    1e-4
}
