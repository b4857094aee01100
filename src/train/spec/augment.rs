//! The `[augment]` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is done to the examples of training batches, anew in every epoch; never to those of validation and test. In the order
/// of the keys. All of it sees the features as the network would: after `scale` and `normalize`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AugmentSpec {
    pub time_shift: Option<TimeShiftSpec>,
    pub gain: Option<GainSpec>,
    pub spec_augment: Option<SpecAugmentSpec>,
    pub mixup: Option<MixupSpec>,
}

/// Moves an example along the frames by a uniform draw of −`frames` … `frames`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeShiftSpec {
    #[schemars(range(min = 1, max = 1000000))]
    pub frames: usize,
    #[serde(default)]
    pub fill: ShiftFill,
}

/// What comes in where an example moved away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ShiftFill {
    /// What went out at the other end.
    #[default]
    Wrap,
    /// The smallest value of the example (for log-mel features: its silence).
    Minimum,
}

/// Adds the same number to all values of an example: a uniform draw of `low` … `high`. For features in decibels that is a change of
/// loudness by as many decibels; for normalised ones, choose the range in their units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GainSpec {
    pub low: f64,
    pub high: f64,
}

/// Masks of frames and of mel bands (Park et al. 2019, without time warping). Each width is a uniform draw of 0 … the width given,
/// each place uniform.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SpecAugmentSpec {
    #[schemars(range(max = 1000))]
    pub time_masks: usize,
    /// The most frames in one mask.
    #[schemars(range(max = 1000000))]
    pub time_width: usize,
    /// The largest share of the frames in one mask, whatever `time_width` says.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub time_share: f64,
    #[schemars(range(max = 1000))]
    pub frequency_masks: usize,
    /// The most bands in one mask.
    #[schemars(range(max = 65536))]
    pub frequency_width: usize,
    pub fill: MaskFill,
}

impl Default for SpecAugmentSpec {
    fn default() -> Self {
        Self {
            time_masks: 2,
            time_width: 30,
            time_share: 1.0,
            frequency_masks: 2,
            frequency_width: 10,
            fill: MaskFill::Mean,
        }
    }
}

/// What a mask leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MaskFill {
    /// The mean of the example.
    #[default]
    Mean,
    Zero,
    /// The smallest value of the example.
    Minimum,
}

/// Mixes each example with another of its batch (Zhang et al. 2018): λ·x + (1 − λ)·x′ with λ from Beta(`alpha`, `alpha`), one λ for a
/// batch, the larger share being the example's own. Targets are mixed alike; of classes, the losses are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MixupSpec {
    #[schemars(range(min = 1e-3, max = 1000.0))]
    pub alpha: f64,
}
