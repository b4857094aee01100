//! The `[schedule]` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the learning rate changes. Each kind may begin with a warm-up; its own course begins after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ScheduleSpec {
    /// It does not.
    Constant(ConstantSpec),
    /// Multiplied by `factor` when the monitored value has not improved for `patience` epochs (PyTorch's
    /// `ReduceLROnPlateau`). The value is that of `train.early_stopping.monitor`.
    Plateau(PlateauSpec),
    /// Multiplied by `factor` after every so many epochs (PyTorch's `StepLR`).
    Step(StepSpec),
    /// Multiplied by `factor` after every epoch (PyTorch's `ExponentialLR`).
    Exponential(ExponentialSpec),
    /// Half a cosine, from the learning rate down to `min_learning_rate` at the end of training (Loshchilov and Hutter 2017, without
    /// restarts; PyTorch's `CosineAnnealingLR`).
    Cosine(CosineSpec),
    /// Up to the learning rate and down again to nearly nothing, once over the training, in steps of one update (Smith and Topin
    /// 2018; PyTorch's `OneCycleLR` without its cycling of momenta).
    OneCycle(OneCycleSpec),
}

impl Default for ScheduleSpec {
    fn default() -> Self {
        Self::Constant(ConstantSpec::default())
    }
}

impl ScheduleSpec {
    pub fn warmup(&self) -> Option<&Warmup> {
        match self {
            Self::Constant(spec) => spec.warmup.as_ref(),
            Self::Plateau(spec) => spec.warmup.as_ref(),
            Self::Step(spec) => spec.warmup.as_ref(),
            Self::Exponential(spec) => spec.warmup.as_ref(),
            Self::Cosine(spec) => spec.warmup.as_ref(),
            Self::OneCycle(spec) => spec.warmup.as_ref(),
        }
    }
}

/// The learning rate grows from `from` times itself in equal amounts, update by update (PyTorch's `LinearLR`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Warmup {
    /// How long, in epochs; fractions are allowed.
    #[schemars(range(min = 0.0, max = 1000000.0))]
    pub epochs: f64,
    /// How long, in updates, in addition to `epochs`.
    #[schemars(range(max = 1000000000))]
    pub steps: u64,
    /// The share of the learning rate that the first update has.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub from: f64,
}

impl Default for Warmup {
    fn default() -> Self {
        Self {
            epochs: 0.0,
            steps: 0,
            from: 0.1,
        }
    }
}

/// No settings but the warm-up.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConstantSpec {
    pub warmup: Option<Warmup>,
}

/// The settings of the plateau schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PlateauSpec {
    #[schemars(range(min = 1e-6, max = 0.999999))]
    pub factor: f64,
    pub patience: usize,
    /// Relative improvement that counts.
    #[schemars(range(min = 0.0))]
    pub threshold: f64,
    /// Epochs after a change in which nothing is counted.
    pub cooldown: usize,
    #[schemars(range(min = 0.0))]
    pub min_learning_rate: f64,
    pub warmup: Option<Warmup>,
}

impl Default for PlateauSpec {
    fn default() -> Self {
        Self {
            factor: 0.5,
            patience: 4,
            threshold: 1e-4,
            cooldown: 0,
            min_learning_rate: 0.0,
            warmup: None,
        }
    }
}

/// The settings of the step schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StepSpec {
    /// Epochs from one change to the next.
    #[schemars(range(min = 1, max = 1000000))]
    pub every: u64,
    #[schemars(range(min = 1e-6, max = 1.0))]
    pub factor: f64,
    pub warmup: Option<Warmup>,
}

impl Default for StepSpec {
    fn default() -> Self {
        Self {
            every: 10,
            factor: 0.1,
            warmup: None,
        }
    }
}

/// The settings of the exponential schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExponentialSpec {
    #[schemars(range(min = 1e-6, max = 1.0))]
    pub factor: f64,
    pub warmup: Option<Warmup>,
}

impl Default for ExponentialSpec {
    fn default() -> Self {
        Self {
            factor: 0.95,
            warmup: None,
        }
    }
}

/// The settings of the cosine schedule.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CosineSpec {
    #[schemars(range(min = 0.0))]
    pub min_learning_rate: f64,
    pub pace: Pace,
    pub warmup: Option<Warmup>,
}

/// When a schedule that is a curve moves on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pace {
    /// After every update.
    #[default]
    Update,
    /// After every epoch.
    Epoch,
}

/// The settings of the one-cycle schedule. The optimiser's learning rate is the highest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OneCycleSpec {
    /// The share of the training in which the rate grows.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub rising: f64,
    /// The first rate is the highest divided by this.
    #[schemars(range(min = 1.0))]
    pub start_divisor: f64,
    /// The last rate is the first one divided by this.
    #[schemars(range(min = 1.0))]
    pub end_divisor: f64,
    pub curve: Curve,
    pub warmup: Option<Warmup>,
}

impl Default for OneCycleSpec {
    fn default() -> Self {
        Self {
            rising: 0.3,
            start_divisor: 25.0,
            end_divisor: 1e4,
            curve: Curve::Cosine,
            warmup: None,
        }
    }
}

/// How one-cycle goes from one rate to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Curve {
    #[default]
    Cosine,
    Linear,
}
