//! The tables `[loss]`, `[optimizer]`, `[schedule]`, `[augment]` and `[train]` of an experiment file.

pub mod augment;
pub mod device;
pub mod loss;
pub mod optimizer;
pub mod schedule;

pub use augment::AugmentSpec;
pub use device::{CudaGraphSpec, DeviceSpec, PrecisionSpec};
pub use loss::{ClassWeights, ContrastiveSpec, LossSpec, PairWeighting, Weighting};
pub use optimizer::{AdamSpec, DecayOn, OptimizerSpec, RmspropSpec, SgdSpec};
pub use schedule::{Pace, ScheduleSpec, Warmup};

use std::num::NonZeroU64;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrainSpec {
    /// The most epochs.
    #[schemars(range(min = 1, max = 1000000))]
    pub epochs: usize,
    #[schemars(range(min = 1, max = 65536))]
    pub batch_size: usize,
    /// Batches whose gradients make one update: the gradient is that of the mean over all of their examples.
    #[schemars(range(min = 1, max = 65536))]
    pub accumulate: usize,
    /// Gradients longer than this (their norm over all parameters) are scaled down to it, after `clip_value`.
    #[schemars(range(min = 1e-9))]
    pub clip_norm: Option<f64>,
    /// Every number of a gradient is kept within ± this.
    #[schemars(range(min = 1e-9))]
    pub clip_value: Option<f64>,
    pub device: DeviceSpec,
    pub precision: PrecisionSpec,
    /// Whether a GPU gives the same bits every time: it then takes only algorithms that do, chosen without measuring. The CPU always
    /// does.
    pub deterministic: bool,
    pub cuda_graph: CudaGraphSpec,
    /// When the validation split is looked at: `"epoch"` (after each), or `{ updates = 200 }`, also in the middle of an epoch. Early
    /// stopping and a plateau count validations, and the training figures of each are those since the one before.
    pub validate_every: ValidateEvery,
    pub early_stopping: EarlyStoppingSpec,
    /// Training ends after so many minutes (those before an interruption count too) with the best network so far, which is then
    /// tested. Where it ends depends on the machine: a run that met its limit cannot be repeated bit for bit.
    #[schemars(range(min = 0.001))]
    pub max_minutes: Option<f64>,
    /// How many of the last checkpoints are kept, beside the best one: each is as large as network and optimiser together.
    #[schemars(range(min = 1, max = 1000))]
    pub keep_last: usize,
    /// A checkpoint is written at every validation, and between them when the last one is so many minutes old. Changes no result.
    #[schemars(range(min = 0.0))]
    pub checkpoint_minutes: f64,
}

impl Default for TrainSpec {
    fn default() -> Self {
        Self {
            epochs: 30,
            batch_size: 32,
            accumulate: 1,
            clip_norm: None,
            clip_value: None,
            device: DeviceSpec::default(),
            precision: PrecisionSpec::default(),
            deterministic: true,
            cuda_graph: CudaGraphSpec::default(),
            validate_every: ValidateEvery::default(),
            early_stopping: EarlyStoppingSpec::default(),
            max_minutes: None,
            keep_last: 2,
            checkpoint_minutes: 10.0,
        }
    }
}

/// When the validation split is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ValidateEvery {
    /// After every epoch.
    #[default]
    Epoch,
    /// After so many updates, and at the end.
    Updates(NonZeroU64),
}

/// When training stops before its last epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EarlyStoppingSpec {
    /// The value that decides which validation is best: `val/loss`, or a metric of the validation split such as `val/mae`
    /// or `val/uar`.
    pub monitor: Monitor,
    /// Validations (epochs, where `train.validate_every` says nothing else) without improvement until it stops.
    #[schemars(range(min = 1))]
    pub patience: usize,
    /// What counts as improvement.
    #[schemars(range(min = 0.0))]
    pub min_delta: f64,
    /// Whether the network of the best validation is tested; else the last one, as where a schedule has brought the learning rate to
    /// its end.
    pub restore_best: bool,
}

impl Default for EarlyStoppingSpec {
    fn default() -> Self {
        Self {
            monitor: Monitor::default(),
            patience: 8,
            min_delta: 0.0,
            restore_best: true,
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
    #[serde(rename = "val/pearson")]
    Pearson,
    #[serde(rename = "val/accuracy")]
    Accuracy,
    #[serde(rename = "val/uar")]
    Uar,
    #[serde(rename = "val/macro-f1")]
    MacroF1,
}
