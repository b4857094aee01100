//! What is minimised.
//!
//! A loss over a batch is a weighted sum and the weight that it is divided by, so that batches combine exactly: over an epoch, over
//! the batches of one update, and in the mixtures of mixup. The concordance loss belongs to a batch as a whole, and
//! so does the contrastive one, which is nevertheless averaged over batches: over thousands of pairs at once it would be another loss.
//!
//! Candle's elementwise operations, `log_softmax` and `gather` are used as they are, but for `abs`, whose gradient at 0 is 1 in
//! Candle and 0 in PyTorch.

mod ccc;
mod contrastive;
mod cross_entropy;
mod regression;
pub mod terms;
mod weights;

use candle_core::{DType, Device, Result, Tensor};

pub use terms::Terms;
pub use weights::{Agreement, ExampleWeights};

use super::Error;
use super::batches::Labels;
use super::pairs::PairBatch;
use super::spec::LossSpec;
use super::spec::loss::ContrastiveSpec;
use crate::evaluate::{Problem, TaskKind};
use crate::nn::PairOutputs;

/// A loss, fitted to the task.
pub struct Loss {
    kind: Kind,
    /// How much each target counts; mean 1.
    targets: Vec<f32>,
}

enum Kind {
    Mse,
    Mae,
    SmoothL1 { beta: f64 },
    Huber { delta: f64 },
    Ccc,
    Contrastive(ContrastiveSpec),
    CrossEntropy { class_weights: Vec<f32>, smoothing: f64 },
}

/// A loss over a batch as a sum and what it is divided by.
pub struct Total {
    /// Scalar.
    pub sum: Tensor,
    /// Weights of the values (regression), of the examples' classes (classification), or examples (ccc).
    pub weight: f64,
}

impl Total {
    /// The mean, which is what PyTorch's losses give. 0 for a batch of no weight.
    pub fn mean(&self) -> Result<Tensor> {
        let factor = if self.weight > 0.0 { 1.0 / self.weight } else { 0.0 };
        self.sum.affine(factor, 0.0)
    }

    /// `share` of this one and the rest of another.
    pub fn mixed(&self, share: f64, other: &Self) -> Result<Self> {
        Ok(Self {
            sum: (self.sum.affine(share, 0.0)? + other.sum.affine(1.0 - share, 0.0)?)?,
            weight: share * self.weight + (1.0 - share) * other.weight,
        })
    }
}

impl Loss {
    /// `train`: the examples of the training split, whose class frequencies `class_weights = "balanced"` uses.
    ///
    /// # Errors
    /// A loss for the other task; weights of targets or classes that there are not.
    pub fn new(
        spec: &LossSpec,
        problem: &Problem,
        labels: &Labels,
        train: &[usize],
    ) -> std::result::Result<Self, Error> {
        if spec.task() != problem.kind() {
            return Err(Error::LossDoesNotFit {
                loss: spec.name(),
                task: problem.kind(),
            });
        }
        let kind = match spec {
            LossSpec::Mse(_) => Kind::Mse,
            LossSpec::Mae(_) => Kind::Mae,
            LossSpec::SmoothL1(spec) => Kind::SmoothL1 { beta: spec.beta },
            LossSpec::Huber(spec) => Kind::Huber { delta: spec.delta },
            LossSpec::Ccc(_) => Kind::Ccc,
            LossSpec::Contrastive(spec) => Kind::Contrastive(spec.clone()),
            LossSpec::CrossEntropy(spec) => {
                let classes = match problem {
                    Problem::Classification { classes } => classes.as_slice(),
                    Problem::Regression { .. } => &[],
                };
                Kind::CrossEntropy {
                    class_weights: weights::of_classes(spec, classes, labels, train)?,
                    smoothing: spec.label_smoothing,
                }
            }
        };
        let targets = match problem.kind() {
            TaskKind::Regression => weights::of_targets(spec.target_weights(), problem.width())?,
            TaskKind::Classification => Vec::new(),
        };
        Ok(Self { kind, targets })
    }

    /// Whether the loss of many batches is not the weighted mean of theirs.
    pub fn is_of_whole_batch(&self) -> bool {
        matches!(self.kind, Kind::Ccc)
    }

    /// Of pairs: the loss of their scores, or that of their embeddings. `target`: the true scores, `[batch, 1]`.
    pub fn of_pairs(&self, outputs: &PairOutputs, batch: &PairBatch, target: &Tensor) -> Result<Total> {
        match &self.kind {
            Kind::Contrastive(spec) => contrastive::total(outputs, batch, target, spec),
            _ => self.total(&outputs.score, target, None),
        }
    }

    /// `predicted` `[batch, outputs]`; `target` `[batch, targets]` floats, or `[batch]` class indices (u32); `weights` of the
    /// examples, `[batch, targets]` or `[batch]`.
    pub fn total(&self, predicted: &Tensor, target: &Tensor, weights: Option<&Tensor>) -> Result<Total> {
        let truth = target;
        let regression = |distance: Tensor| regression::total(&distance, &self.targets, weights);
        match &self.kind {
            Kind::Mse => regression((predicted - truth)?.sqr()?),
            Kind::Mae => regression(regression::absolute(&(predicted - truth)?)?),
            Kind::SmoothL1 { beta } => regression(regression::smooth_l1(&(predicted - truth)?, *beta)?),
            // Huber's is δ times the other.
            Kind::Huber { delta } => {
                regression(regression::smooth_l1(&(predicted - truth)?, *delta)?.affine(*delta, 0.0)?)
            }
            Kind::Contrastive(_) => candle_core::bail!("the loss \"contrastive\" is one of pairs"),
            Kind::Ccc => ccc::total(predicted, truth, &self.targets, weights),
            Kind::CrossEntropy {
                class_weights,
                smoothing,
            } => cross_entropy::total(predicted, target, class_weights, *smoothing, weights),
        }
    }
}

/// Class probabilities (softmax over the outputs) for classification; the outputs themselves for regression.
pub fn predictions(problem: &Problem, outputs: &Tensor) -> Result<Vec<f32>> {
    let outputs = match problem {
        Problem::Regression { .. } => outputs.clone(),
        Problem::Classification { .. } => candle_nn::ops::softmax(outputs, 1)?,
    };
    outputs
        .to_dtype(DType::F32)?
        .to_device(&Device::Cpu)?
        .flatten_all()?
        .to_vec1::<f32>()
}

#[cfg(test)]
mod tests;
