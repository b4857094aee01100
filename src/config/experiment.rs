//! The whole experiment file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dataset::DatasetSpec;
use crate::evaluate::EvaluateSpec;
use crate::features::Recipe;
use crate::nn::NetworkSpec;
use crate::track::RecordSpec;
use crate::train::{AugmentSpec, LossSpec, OptimizerSpec, ScheduleSpec, TrainSpec};

/// A declared experiment, complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    #[serde(default)]
    pub experiment: About,
    pub dataset: DatasetSpec,
    #[serde(default)]
    pub features: Recipe,
    pub model: NetworkSpec,
    pub loss: LossSpec,
    pub optimizer: OptimizerSpec,
    #[serde(default)]
    pub schedule: ScheduleSpec,
    #[serde(default)]
    pub train: TrainSpec,
    #[serde(default)]
    pub augment: AugmentSpec,
    #[serde(default)]
    pub evaluate: EvaluateSpec,
    #[serde(default, skip_serializing_if = "RecordSpec::is_default")]
    pub record: RecordSpec,
}

/// The `[experiment]` table: what people call it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct About {
    /// Letters, digits, `-`, `_` and `.`, a letter or digit first. Default: the file's stem.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"))]
    pub name: String,
    pub description: String,
    pub tags: Vec<String>,
    /// The seed of everything random.
    pub seed: u64,
}

impl Default for About {
    fn default() -> Self {
        Self {
            name: String::new(),
            description: String::new(),
            tags: Vec::new(),
            seed: 42,
        }
    }
}
