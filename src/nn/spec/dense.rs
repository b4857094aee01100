//! Fully connected layers, norms and activations.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{Activation, Initialization, Probability};

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
    /// The same layer for each frame, in place of one over all of them; the input becomes a sequence.
    #[serde(default)]
    pub per_frame: bool,
    #[serde(default)]
    pub activation: Option<Activation>,
    #[serde(default)]
    pub dropout: Option<Probability>,
    #[serde(default)]
    pub init: Initialization,
}

impl LinearSpec {
    /// The long form.
    pub fn table(&self) -> LinearTable {
        match self {
            Self::Table(table) => table.clone(),
            Self::Size(units) => LinearTable {
                units: *units,
                per_frame: false,
                activation: None,
                dropout: None,
                init: Initialization::Default,
            },
        }
    }
}

/// How many outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Units {
    Named(NamedUnits),
    Count(#[schemars(range(min = 1, max = 1048576))] usize),
}

impl Units {
    /// `outputs`: of the task.
    pub fn count(self, outputs: usize) -> usize {
        match self {
            Self::Named(NamedUnits::Targets) => outputs,
            Self::Count(count) => count,
        }
    }
}

/// As many outputs as the task needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NamedUnits {
    /// One per target, or one per class.
    Targets,
}

/// Batch norm (Ioffe and Szegedy 2015).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BatchNormSpec {
    /// Weight of a batch in the running averages.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub momentum: f64,
    /// Added to the variance.
    #[schemars(range(min = 0.0))]
    pub epsilon: f64,
}

impl Default for BatchNormSpec {
    fn default() -> Self {
        Self {
            momentum: 0.1,
            epsilon: 1e-5,
        }
    }
}

/// Layer norm (Ba et al. 2016).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LayerNormSpec {
    pub over: NormOver,
    /// Added to the variance.
    #[schemars(range(min = 0.0))]
    pub epsilon: f64,
}

impl Default for LayerNormSpec {
    fn default() -> Self {
        Self {
            over: NormOver::Example,
            epsilon: 1e-5,
        }
    }
}

/// What shares one mean and deviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NormOver {
    /// All numbers of an example.
    #[default]
    Example,
    /// The numbers along the last axis: of a sequence, those of one frame.
    Last,
}

/// Leaky ReLU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LeakyReluSpec {
    #[schemars(range(min = 0.0, max = 1.0))]
    pub slope: f64,
}

impl Default for LeakyReluSpec {
    fn default() -> Self {
        Self { slope: 0.01 }
    }
}

/// ELU (Clevert et al. 2016).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EluSpec {
    #[schemars(range(min = 0.0))]
    pub alpha: f64,
}

impl Default for EluSpec {
    fn default() -> Self {
        Self { alpha: 1.0 }
    }
}

/// GELU (Hendrycks and Gimpel 2016).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GeluSpec {
    pub form: GeluForm,
}

/// How GELU is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GeluForm {
    /// With the error function.
    #[default]
    Exact,
    /// With its approximation by tanh.
    Tanh,
}
