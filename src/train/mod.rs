//! How does the network learn?
//!
//! [`fit`] is the loop (`session.rs`): steps (`trainer.rs`), validations, schedule, early stopping, checkpoints. It tells an
//! [`Observer`] what happens and prints nothing. Given equal settings and data it gives equal bits, on any number of threads,
//! interrupted or not.

pub mod augment;
mod batches;
pub mod checkpoint;
mod clock;
pub mod device;
pub mod divergence;
pub mod early_stopping;
mod exact;
mod fit;
#[cfg(feature = "cuda")]
pub mod gpu;
pub mod gradients;
pub mod launches;
pub mod loss;
pub mod optimizer;
pub mod pairs;
mod predict;
pub mod profile;
mod running;
pub mod schedule;
mod session;
pub mod spec;
mod trainer;
mod validation;

pub use batches::{Data, Labels, Mixed};
pub use divergence::Divergence;
pub use fit::{BatchSummary, Begin, Fitted, Observer, Settings, Stop, Tensors, ValidationSummary, fit};
pub use loss::Agreement;
pub use pairs::{Emotions, PairOf, Pairs};
pub use predict::predict;
pub use profile::{Phase, Profile};
pub use spec::{AugmentSpec, LossSpec, OptimizerSpec, ScheduleSpec, TrainSpec};

use crate::evaluate::TaskKind;
use crate::{evaluate, files};

/// Why training ended without a result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Diverged(Box<Divergence>),
    #[error("the network predicts {value} for `{id}`")]
    Prediction { id: String, value: f64 },
    #[error("the network makes {value} of a picture or clip, which is no number")]
    Embedding { value: f64 },
    #[error("the loss \"{loss}\" does not fit {task}")]
    LossDoesNotFit { loss: &'static str, task: TaskKind },
    #[error("`loss.target_weights` needs a weight for each target ({targets}), not all of them 0; it has {found}")]
    TargetWeights { found: usize, targets: usize },
    #[error(
        "`loss.class_weights` gives {class} the weight {weight}; the classes are {classes}, and weights are at least 0"
    )]
    ClassWeight {
        class: String,
        weight: f64,
        classes: String,
    },
    #[error("`loss.weighting` is \"agreement\", but the dataset does not say how far the annotators agreed")]
    NoAgreement,
    #[error("`train.early_stopping.monitor` is {monitor}, which {task} does not have")]
    MonitorDoesNotFit { monitor: &'static str, task: TaskKind },
    #[error("`train.device` asks for {device}, but {why}")]
    Device {
        device: spec::DeviceSpec,
        why: String,
        hint: String,
    },
    #[error("`train.precision` is \"{precision}\", which the CPU does not have")]
    Precision { precision: &'static str },
    #[error("the checkpoint `{}` cannot be used: {why}", path.display())]
    Checkpoint { path: std::path::PathBuf, why: String },
    #[error(transparent)]
    Evaluate(#[from] evaluate::EvaluateError),
    #[error(transparent)]
    File(#[from] files::Error),
    #[error("a tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Diverged(_) => {
                Some("try a smaller `optimizer.learning_rate`, `train.clip_norm`, or normalised features".into())
            }
            Self::Prediction { .. } => {
                Some("try a smaller `optimizer.learning_rate`, or look at that example's features".into())
            }
            Self::LossDoesNotFit { task, .. } => {
                let names: Vec<String> = LossSpec::names_for(*task)
                    .iter()
                    .map(|name| format!("\"{name}\""))
                    .collect();
                Some(format!("for {}: {}", task.predicts(), names.join(", ")))
            }
            Self::NoAgreement => Some("leave `loss.weighting` out".into()),
            Self::MonitorDoesNotFit { .. } => Some("`val/loss` works for every task".into()),
            Self::Precision { .. } => {
                Some("on the CPU it is \"float32\"; for the others, `train.device` must be a GPU".into())
            }
            Self::Device { hint, .. } => Some(hint.clone()),
            // Candle and cuDNN say it in words of their own, but all of them name it.
            Self::Tensor(error) if error.to_string().contains("OUT_OF_MEMORY") => Some(
                "the GPU's memory is full: try a smaller `train.batch_size`, or see with `nvidia-smi` who else uses it"
                    .into(),
            ),
            Self::File(error) => error.hint().map(String::from),
            _ => None,
        }
    }

    /// The setting that it is about.
    pub fn path(&self) -> Option<&'static str> {
        match self {
            Self::LossDoesNotFit { .. } => Some("loss.kind"),
            Self::TargetWeights { .. } => Some("loss.target_weights"),
            Self::ClassWeight { .. } => Some("loss.class_weights"),
            Self::NoAgreement => Some("loss.weighting"),
            Self::MonitorDoesNotFit { .. } => Some("train.early_stopping.monitor"),
            Self::Device { .. } => Some("train.device"),
            Self::Precision { .. } => Some("train.precision"),
            _ => None,
        }
    }

    /// Whether the request was wrong, rather than the work.
    pub fn is_request(&self) -> bool {
        self.path().is_some()
    }
}

impl From<Divergence> for Error {
    fn from(divergence: Divergence) -> Self {
        Self::Diverged(Box::new(divergence))
    }
}
