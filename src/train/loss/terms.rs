//! A loss as kernels compute it: sums whose coefficients are known before the network has said anything.
//!
//! Weights of targets, examples and classes, label smoothing, mixtures and the division by the total weight all become one coefficient for each
//! value, in 64 bits, and are rounded once. So the kernels know none of them, and the mean over a batch is a plain sum.

use candle_core::{Result, Tensor};

use super::{Kind, Loss, contrastive};
use crate::train::batches::{Batch, Data, Mixed};
use crate::train::pairs::PairBatch;

/// What a term is a loss of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// The network's outputs, of pairs their scores.
    Outputs,
    /// How alike each picture and each clip of a batch of pairs is, `[pairs, pairs]`.
    Likeness,
    /// Valence and arousal of both sides of pairs, `[pairs, 4]`.
    Emotion,
}

/// How far two numbers are apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Distance {
    Squared,
    Absolute,
    /// `scale` times: x² / (2β) below β, |x| − β / 2 above.
    Smooth {
        beta: f64,
        scale: f64,
    },
}

/// What is summed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TermKind {
    /// coefficient · distance(output − truth). Facts: the truth and the coefficients, both in the shape of the outputs.
    Values(Distance),
    /// weight · (1 − CCC), target by target. Facts: the truth and the examples' shares, both `[batch, targets]`, and the weights.
    Concordance,
    /// a · (−log p_y) + b · (−log p_z) + c · Σ w_k · (−log p_k). Facts: y and z (integers), a, b and c, each `[batch]`, and w.
    Classes,
    /// coefficient · ½ (−log p of the clip among the row's − log p of the picture among the column's). Facts: picture, clip, whether they match
    /// (integers), and coefficient, each `[pairs]`. What is compared are the likenesses divided by `temperature`.
    Contrastive { temperature: f64 },
}

/// One sum, with what is known of the batch in words of 32 bits: floats, or integers where it says so.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    pub kind: TermKind,
    pub of: Of,
    pub facts: Vec<u32>,
}

/// The mean loss of a batch: the sum of all terms.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    pub terms: Vec<Term>,
    /// What the sum was divided by: see [`super::Total`].
    pub weight: f64,
}

fn bits(values: impl IntoIterator<Item = f64>) -> impl Iterator<Item = u32> {
    values.into_iter().map(|value| (value as f32).to_bits())
}

fn floats(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all()?.to_vec1::<f32>()
}

/// x / by, 0 where there is nothing to divide by.
fn share(x: f64, by: f64) -> f64 {
    if by > 0.0 { x / by } else { 0.0 }
}

impl Term {
    /// `coefficients`: of each value of `truth`.
    fn values(distance: Distance, of: Of, truth: &[f32], coefficients: impl Iterator<Item = f64>) -> Self {
        let mut facts: Vec<u32> = truth.iter().map(|value| value.to_bits()).collect();
        facts.extend(bits(coefficients.take(truth.len())));
        Self {
            kind: TermKind::Values(distance),
            of,
            facts,
        }
    }
}

impl Loss {
    /// Those of a batch of examples. `target`, `weights`: as for [`Loss::total`], on the CPU.
    pub fn terms(&self, target: &Tensor, weights: Option<&Tensor>, mixed: Option<&Mixed>) -> Result<Terms> {
        let distance = match &self.kind {
            Kind::Mse => Distance::Squared,
            Kind::Mae => Distance::Absolute,
            Kind::SmoothL1 { beta } => Distance::Smooth {
                beta: *beta,
                scale: 1.0,
            },
            Kind::Huber { delta } => Distance::Smooth {
                beta: *delta,
                scale: *delta,
            },
            Kind::Ccc => return self.concordance(target, weights),
            Kind::CrossEntropy {
                class_weights,
                smoothing,
            } => return classes(target, weights, mixed, class_weights, *smoothing),
            Kind::Contrastive(_) => candle_core::bail!("the loss \"contrastive\" is one of pairs"),
        };
        let truth = floats(target)?;
        let of_values = self.value_weights(truth.len(), weights)?;
        let weight: f64 = of_values.iter().map(|&weight| f64::from(weight)).sum();
        let coefficients = of_values.iter().map(|&of_value| share(f64::from(of_value), weight));
        Ok(Terms {
            terms: vec![Term::values(distance, Of::Outputs, &truth, coefficients)],
            weight,
        })
    }

    /// Those of a batch of pairs, but for valence and arousal. `target`: as for [`Loss::of_pairs`].
    pub fn terms_of_pairs(&self, batch: &PairBatch, target: &Tensor) -> Result<Terms> {
        let Kind::Contrastive(spec) = &self.kind else {
            return self.terms(target, None, None);
        };
        let mut terms = vec![contrastive::term(batch, spec)];
        if spec.score_weight > 0.0 {
            let truth = floats(target)?;
            let coefficients = std::iter::repeat(share(spec.score_weight, truth.len() as f64));
            terms.push(Term::values(Distance::Squared, Of::Outputs, &truth, coefficients));
        }
        Ok(Terms {
            terms,
            weight: batch.pairs.len() as f64,
        })
    }

    /// The weights of targets and examples multiplied, for `count` values.
    fn value_weights(&self, count: usize, weights: Option<&Tensor>) -> Result<Vec<f32>> {
        let of_targets = self.targets.iter().cycle().take(count).copied();
        Ok(match weights {
            None => of_targets.collect(),
            Some(weights) => of_targets.zip(floats(weights)?).map(|(a, b)| a * b).collect(),
        })
    }

    fn concordance(&self, target: &Tensor, weights: Option<&Tensor>) -> Result<Terms> {
        let (batch, targets) = target.dims2()?;
        let truth = floats(target)?;
        let of_values = match weights {
            Some(weights) => floats(weights)?,
            None => vec![1.0; truth.len()],
        };
        let of_target = |target: usize| of_values.iter().skip(target).step_by(targets.max(1));
        let sums: Vec<f64> = (0..targets)
            .map(|target| of_target(target).map(|&weight| f64::from(weight)).sum())
            .collect();
        let shares = of_values.iter().zip(sums.iter().cycle());
        let all: f64 = self.targets.iter().map(|&weight| f64::from(weight)).sum();
        let mut facts: Vec<u32> = truth.iter().map(|value| value.to_bits()).collect();
        facts.extend(bits(shares.map(|(&weight, &sum)| share(f64::from(weight), sum))));
        facts.extend(bits(self.targets.iter().map(|&weight| share(f64::from(weight), all))));
        Ok(Terms {
            terms: vec![Term {
                kind: TermKind::Concordance,
                of: Of::Outputs,
                facts,
            }],
            weight: batch as f64,
        })
    }
}

fn classes(
    target: &Tensor,
    weights: Option<&Tensor>,
    mixed: Option<&Mixed>,
    class_weights: &[f32],
    smoothing: f64,
) -> Result<Terms> {
    let labels = target.to_vec1::<u32>()?;
    let of_examples = |weights: Option<&Tensor>| match weights {
        Some(weights) => floats(weights),
        None => Ok(vec![1.0; labels.len()]),
    };
    let of_truth = |labels: &[u32], of_examples: &[f32]| -> Vec<f32> {
        let weight = |class: u32| class_weights.get(class as usize).copied().unwrap_or(0.0);
        let examples = labels.iter().zip(of_examples);
        examples.map(|(&class, example)| weight(class) * example).collect()
    };
    let sum = |weights: &[f32]| weights.iter().map(|&weight| f64::from(weight)).sum::<f64>();
    let own = of_examples(weights)?;
    let own_truth = of_truth(&labels, &own);
    // Without a mixture the other one counts nothing.
    let (part, others, other, other_truth) = match mixed {
        None => (1.0, labels.clone(), vec![0.0; labels.len()], vec![0.0; labels.len()]),
        Some(mixed) => {
            let others = mixed.targets.to_vec1::<u32>()?;
            let other = of_examples(mixed.weights.as_ref())?;
            let other_truth = of_truth(&others, &other);
            (mixed.share, others, other, other_truth)
        }
    };
    let weight = part * sum(&own_truth) + (1.0 - part) * sum(&other_truth);
    let of_classes = smoothing / class_weights.len().max(1) as f64;
    let coefficients = |truth: &[f32], part: f64| -> Vec<f64> {
        let counted = truth.iter().map(|&of| part * (1.0 - smoothing) * f64::from(of));
        counted.map(|counted| share(counted, weight)).collect()
    };
    let mut facts = labels.clone();
    facts.extend(&others);
    facts.extend(bits(coefficients(&own_truth, part)));
    facts.extend(bits(coefficients(&other_truth, 1.0 - part)));
    let spread = own.iter().zip(&other).map(|(&own, &other)| {
        let counted = part * f64::from(own) + (1.0 - part) * f64::from(other);
        share(counted * of_classes, weight)
    });
    facts.extend(bits(spread));
    facts.extend(class_weights.iter().map(|weight| weight.to_bits()));
    Ok(Terms {
        terms: vec![Term {
            kind: TermKind::Classes,
            of: Of::Outputs,
            facts,
        }],
        weight,
    })
}

/// Those of any batch.
#[cfg_attr(not(feature = "cuda"), allow(dead_code, reason = "a GPU asks for them"))]
pub(in crate::train) fn of_batch(loss: &Loss, batch: &Batch, data: Data) -> Result<Terms> {
    let Some(pair) = &batch.pair else {
        return loss.terms(&batch.targets, batch.weights.as_ref(), batch.mixed.as_ref());
    };
    let mut terms = loss.terms_of_pairs(pair, &batch.targets)?;
    let weight = data.pairs.and_then(|pairs| pairs.emotions).map(|(_, weight)| weight);
    if let (Some(weight), Some((truth, known))) = (weight, &pair.emotions) {
        let (truth, known) = (floats(truth)?, floats(known)?);
        let count = known.iter().map(|&known| f64::from(known)).sum::<f64>().max(1.0);
        let coefficients = known.iter().map(|&known| weight * f64::from(known) / count);
        terms
            .terms
            .push(Term::values(Distance::Squared, Of::Emotion, &truth, coefficients));
    }
    Ok(terms)
}

#[cfg(feature = "cuda")]
mod on_gpu {
    use candle_core::{Result, Tensor};

    use super::{Distance, Of, TermKind, Terms};
    use crate::nn::PairOutputs;
    use crate::nn::kernels::{cuda, product};
    use crate::nn::pair::normalized;

    impl Terms {
        /// The facts of all terms, one behind the other.
        pub fn words(&self) -> Vec<u32> {
            self.terms.iter().flat_map(|term| term.facts.iter().copied()).collect()
        }

        /// The mean loss, a scalar. `facts`: where [`Self::words`] are.
        pub fn mean_on_gpu(&self, outputs: &Tensor, pair: Option<&PairOutputs>, facts: &cuda::Facts) -> Result<Tensor> {
            let (mut mean, mut begin) = (None, 0);
            for term in &self.terms {
                let of = match (term.of, pair, pair.and_then(|pair| pair.emotion.as_ref())) {
                    (Of::Outputs, ..) => outputs.clone(),
                    (Of::Emotion, _, Some(emotion)) => emotion.clone(),
                    (Of::Likeness, Some(pair), _) => {
                        product(&normalized(&pair.image)?, &normalized(&pair.audio)?.t()?)?
                    }
                    (of, ..) => candle_core::bail!("the network has no {of:?}"),
                };
                let (of, kind) = match term.kind {
                    TermKind::Values(distance) => (of, cuda::LossKind::Values(distance_on_gpu(distance))),
                    TermKind::Concordance => (of, cuda::LossKind::Concordance),
                    TermKind::Classes => (of, cuda::LossKind::Classes),
                    TermKind::Contrastive { temperature } => {
                        (of.affine(1.0 / temperature, 0.0)?, cuda::LossKind::Contrastive)
                    }
                };
                let loss = cuda::loss(&of, kind, facts.at(begin, term.facts.len())?)?;
                begin += term.facts.len();
                mean = Some(match mean {
                    None => loss,
                    Some(mean) => (mean + loss)?,
                });
            }
            match mean {
                Some(mean) => Ok(mean),
                None => candle_core::bail!("a loss without terms"),
            }
        }
    }

    fn distance_on_gpu(distance: Distance) -> cuda::Distance {
        match distance {
            Distance::Squared => cuda::Distance::SQUARED,
            Distance::Absolute => cuda::Distance::ABSOLUTE,
            Distance::Smooth { beta, scale } => cuda::Distance::smooth(beta as f32, scale as f32),
        }
    }
}

#[cfg(test)]
mod tests;
