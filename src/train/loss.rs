//! What is minimised.

use candle_core::{DType, Device, Result, Tensor};

use super::Error;
use super::batches::Labels;
use super::spec::{ClassWeights, LossSpec};
use crate::evaluate::Problem;

/// A loss, fitted to the task.
pub enum Loss {
    Mse,
    SmoothL1 { beta: f64 },
    CrossEntropy { weights: Vec<f32> },
}

/// A loss over a batch as a sum and what it is divided by, so that batches can be combined exactly.
pub struct Total {
    /// Scalar.
    pub sum: Tensor,
    /// Values (regression) or weights of the examples' classes (classification).
    pub weight: f64,
}

impl Total {
    /// The mean, which is what PyTorch's losses give.
    pub fn mean(&self) -> Result<Tensor> {
        self.sum.affine(1.0 / self.weight, 0.0)
    }
}

impl Loss {
    /// `train`: the examples of the training split, whose class frequencies `class_weights = "balanced"` uses.
    pub fn new(
        spec: &LossSpec,
        problem: &Problem,
        labels: &Labels,
        train: &[usize],
    ) -> std::result::Result<Self, Error> {
        match (spec, problem) {
            (LossSpec::Mse, Problem::Regression { .. }) => Ok(Self::Mse),
            (LossSpec::SmoothL1 { beta }, Problem::Regression { .. }) => Ok(Self::SmoothL1 { beta: *beta }),
            (
                LossSpec::CrossEntropy {
                    class_weights,
                    class_weight_cap,
                },
                Problem::Classification { classes },
            ) => {
                let mut weights = match class_weights {
                    ClassWeights::None => vec![1.0; classes.len()],
                    ClassWeights::Balanced => balanced(classes.len(), labels, train),
                };
                if let Some(most) = class_weight_cap {
                    weights.iter_mut().for_each(|weight| *weight = weight.min(*most as f32));
                }
                Ok(Self::CrossEntropy { weights })
            }
            (spec, Problem::Regression { .. }) => Err(Error::LossDoesNotFit {
                loss: spec.name(),
                task: "a regression task",
            }),
            (spec, Problem::Classification { .. }) => Err(Error::LossDoesNotFit {
                loss: spec.name(),
                task: "a classification task",
            }),
        }
    }

    /// `predicted` `[batch, outputs]`; `target` `[batch, targets]` floats, or `[batch]` class indices (u32).
    pub fn total(&self, predicted: &Tensor, target: &Tensor) -> Result<Total> {
        match self {
            Self::Mse => {
                let sum = (predicted - target)?.sqr()?.sum_all()?;
                Ok(Total {
                    sum,
                    weight: predicted.elem_count() as f64,
                })
            }
            Self::SmoothL1 { beta } => {
                // With d = |difference| and q = min(d, beta): q²/(2·beta) + (d − q).
                let distance = (predicted - target)?.abs()?;
                let near = distance.minimum(&distance.full_like_value(*beta)?)?;
                let sum = (near.sqr()?.affine(0.5 / beta, 0.0)? + (distance - near)?)?.sum_all()?;
                Ok(Total {
                    sum,
                    weight: predicted.elem_count() as f64,
                })
            }
            Self::CrossEntropy { weights } => cross_entropy(predicted, target, weights),
        }
    }
}

trait FullLike {
    fn full_like_value(&self, value: f64) -> Result<Tensor>;
}

impl FullLike for Tensor {
    fn full_like_value(&self, value: f64) -> Result<Tensor> {
        Tensor::full(value as f32, self.shape(), self.device())?.to_dtype(self.dtype())
    }
}

/// Σ wᵧ · −log softmax(x)ᵧ, to be divided by Σ wᵧ.
fn cross_entropy(logits: &Tensor, classes: &Tensor, weights: &[f32]) -> Result<Total> {
    let labels = classes.to_vec1::<u32>()?;
    let per_example: Vec<f32> = labels
        .iter()
        .map(|&class| weights.get(class as usize).copied().unwrap_or(0.0))
        .collect();
    let weight: f64 = per_example.iter().map(|&weight| f64::from(weight)).sum();
    let log_probability = candle_nn::ops::log_softmax(logits, 1)?
        .gather(&classes.unsqueeze(1)?, 1)?
        .squeeze(1)?;
    let per_example = Tensor::from_vec(per_example, labels.len(), logits.device())?.to_dtype(logits.dtype())?;
    Ok(Total {
        sum: (log_probability * per_example)?.sum_all()?.neg()?,
        weight,
    })
}

/// n / (classes · n of the class); classes that the training split lacks get weight 0.
fn balanced(classes: usize, labels: &Labels, train: &[usize]) -> Vec<f32> {
    let Labels::Classes(labels) = labels else {
        return vec![1.0; classes];
    };
    let mut counts = vec![0usize; classes];
    for &example in train {
        if let Some(count) = labels.get(example).and_then(|&class| counts.get_mut(class as usize)) {
            *count += 1;
        }
    }
    let weight = |count: usize| match count {
        0 => 0.0,
        _ => train.len() as f32 / (classes as f32 * count as f32),
    };
    counts.into_iter().map(weight).collect()
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

impl LossSpec {
    /// As in the experiment file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mse => "mse",
            Self::SmoothL1 { .. } => "smooth-l1",
            Self::CrossEntropy { .. } => "cross-entropy",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::kernels::gradient_check::{check_gradients, random};

    fn mean(loss: &Loss, predicted: &Tensor, target: &Tensor) -> f64 {
        let mean = loss.total(predicted, target).unwrap().mean().unwrap();
        mean.to_dtype(DType::F64).unwrap().to_scalar::<f64>().unwrap()
    }

    #[test]
    fn values_by_hand() {
        let device = &Device::Cpu;
        let predicted = Tensor::new(&[[1.0f32, 2.0], [0.0, -3.0]], device).unwrap();
        let target = Tensor::new(&[[1.5f32, 2.0], [2.0, -3.0]], device).unwrap();
        assert!((mean(&Loss::Mse, &predicted, &target) - 4.25 / 4.0).abs() < 1e-6);
        // |0.5| < 1: 0.125; |2| ≥ 1: 1.5
        assert!((mean(&Loss::SmoothL1 { beta: 1.0 }, &predicted, &target) - 1.625 / 4.0).abs() < 1e-6);
        let classes = Tensor::new(&[1u32, 0], device).unwrap();
        let log_softmax = |chosen: f64, other: f64| chosen - (chosen.exp() + other.exp()).ln();
        let (first, second) = (-log_softmax(2.0, 1.0), -log_softmax(0.0, -3.0));
        let weighted = Loss::CrossEntropy {
            weights: vec![3.0, 1.0],
        };
        assert!((mean(&weighted, &predicted, &classes) - (first + 3.0 * second) / 4.0).abs() < 1e-6);
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let target = random(&[5, 3], 8);
        for loss in [Loss::Mse, Loss::SmoothL1 { beta: 0.7 }] {
            check_gradients(&[random(&[5, 3], 1)], |inputs| loss.total(&inputs[0], &target)?.mean());
        }
        let classes = Tensor::new(&[0u32, 2, 1, 2, 2], &Device::Cpu).unwrap();
        let loss = Loss::CrossEntropy {
            weights: vec![1.0, 0.5, 2.0],
        };
        check_gradients(&[random(&[5, 3], 1)], |inputs| loss.total(&inputs[0], &classes)?.mean());
    }

    #[test]
    fn cross_entropy_stands_extreme_logits() {
        let logits = Tensor::new(&[[1000.0f32, -1000.0]], &Device::Cpu).unwrap();
        let loss = Loss::CrossEntropy {
            weights: vec![1.0, 1.0],
        };
        assert_eq!(
            mean(&loss, &logits, &Tensor::new(&[1u32], &Device::Cpu).unwrap()),
            2000.0
        );
    }

    #[test]
    fn balanced_weights_are_those_of_scikit_learn() {
        let labels = Labels::Classes(vec![0, 0, 0, 1, 2]);
        assert_eq!(balanced(3, &labels, &[0, 1, 2, 3]), [4.0 / 9.0, 4.0 / 3.0, 0.0]);
    }
}
