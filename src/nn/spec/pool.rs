//! Pooling.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::Pair;

/// Windows of a pooling layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PoolSpec {
    /// Windows side by side.
    Size(Pair),
    Table(PoolTable),
}

/// Windows that may overlap or stand apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolTable {
    pub window: Pair,
    /// Default: the window.
    #[serde(default)]
    pub stride: Option<Pair>,
    /// Rows above and below, columns left and right; at most half of the window. Averages count it as zeros, maxima leave it out.
    #[serde(default)]
    #[schemars(inner(range(max = 65536)))]
    pub padding: [usize; 2],
}

/// Figures of whole channels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GlobalPoolSpec {
    /// What is computed; the outputs stand one after the other.
    #[schemars(length(min = 1))]
    pub statistics: Vec<Statistic>,
    pub over: PoolOver,
}

impl Default for GlobalPoolSpec {
    fn default() -> Self {
        Self {
            statistics: vec![Statistic::Mean, Statistic::Deviation],
            over: PoolOver::Image,
        }
    }
}

/// A figure of many values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Statistic {
    Mean,
    /// √(variance + 1e-5), the variance divided by the number of values.
    Deviation,
}

/// What becomes one figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PoolOver {
    /// A channel, rows and frames; of a sequence, the frames.
    #[default]
    Image,
    /// The frames alone: each row keeps a figure of its own.
    Frames,
}
