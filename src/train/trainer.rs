//! One step: a batch, its loss, its gradients and, when there are enough of them, an update.

use candle_core::{DType, Tensor};

use super::Error;
use super::batches::{Batch, Data};
use super::divergence::{Divergence, GoodStep, Symptom};
use super::fit::{Settings, Tensors};
use super::gradients::{Gradients, values};
use super::loss::{ExampleWeights, Loss, Total};
use super::optimizer::Optimizer;
use super::pairs::Outputs;
use super::profile::{Phase, Stopwatch};
use super::schedule::Schedule;
use crate::nn::{Mode, Network};

/// What changes while a network is trained, and what it is trained with.
pub struct Trainer<'a> {
    pub network: &'a Network,
    pub data: Data<'a>,
    pub settings: &'a Settings<'a>,
    pub loss: Loss,
    pub weights: Option<ExampleWeights>,
    pub optimizer: Optimizer,
    pub schedule: Schedule,
    /// Batches done, in all epochs.
    pub batches: u64,
    pub pending: Pending,
    /// Whether the next update keeps the values of its gradients.
    pub keep_gradients: bool,
    pub kept_gradients: Vec<(String, Vec<f32>)>,
    pub last_good: Option<GoodStep>,
    pub stopwatch: Stopwatch,
}

/// What a batch came to.
pub struct Learned {
    /// Mean.
    pub loss: f64,
    pub weight: f64,
    pub outputs: Tensor,
}

/// Whether an update may wait for more batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    WithinEpoch,
    /// No update reaches beyond the end of an epoch.
    EndOfEpoch,
}

/// The gradients of the batches of one update. The gradient of batch `b` is that of `sum_b / weight_b`; the update wants that of
/// `Σ sum_b / Σ weight_b`.
#[derive(Default)]
pub struct Pending {
    gradients: Option<Gradients>,
    weight: f64,
    batches: usize,
    examples: Vec<usize>,
}

impl Pending {
    /// Whether the last batch was followed by an update.
    pub fn is_empty(&self) -> bool {
        self.batches == 0
    }

    fn add(&mut self, mut gradients: Gradients, weight: f64, alone: bool) -> candle_core::Result<()> {
        if !alone {
            gradients.scale(weight);
        }
        match &mut self.gradients {
            Some(sum) => sum.add(gradients)?,
            None => self.gradients = Some(gradients),
        }
        self.weight += weight;
        self.batches += 1;
        Ok(())
    }

    fn take(&mut self, alone: bool) -> candle_core::Result<Option<Gradients>> {
        let pending = std::mem::take(self);
        let Some(mut gradients) = pending.gradients else {
            return Ok(None);
        };
        if !alone && pending.weight > 0.0 {
            gradients.scale(1.0 / pending.weight);
        }
        Ok(Some(gradients))
    }
}

impl Trainer<'_> {
    /// Learns from a batch of `epoch`.
    pub fn learn(&mut self, batch: &Batch, epoch: u32, place: Place) -> Result<Learned, Error> {
        let mode = Mode::Train {
            seed: self.settings.seed,
            step: self.batches,
        };
        let outputs = Outputs::of(self.network, batch, mode)?;
        let total = self.total(&outputs, batch)?;
        let mean = total.mean()?;
        let loss = f64::from(mean.to_dtype(DType::F32)?.to_scalar::<f32>()?);
        self.stopwatch.spent_on(Phase::Forward);
        let gradients = Gradients::take(&mut mean.backward()?, self.network.parameters());
        if !loss.is_finite() {
            let norm = gradients.norm()?;
            return Err(self.diverged(Symptom::Loss, loss, epoch, &batch.examples, (loss, norm)));
        }
        let accumulate = self.settings.train.accumulate.max(1);
        self.pending.add(gradients, total.weight, accumulate == 1)?;
        self.pending.examples.extend(&batch.examples);
        self.batches += 1;
        self.stopwatch.spent_on(Phase::Backward);
        if self.pending.batches == accumulate || place == Place::EndOfEpoch {
            self.update(epoch, loss, accumulate == 1)?;
            self.stopwatch.spent_on(Phase::Update);
        }
        Ok(Learned {
            loss,
            weight: total.weight,
            outputs: outputs.predicted.detach(),
        })
    }

    fn total(&self, outputs: &Outputs, batch: &Batch) -> candle_core::Result<Total> {
        let total = outputs.total(&self.loss, batch, self.data)?;
        match &batch.mixed {
            Some(mixed) => {
                let other = self
                    .loss
                    .total(&outputs.predicted, &mixed.targets, mixed.weights.as_ref())?;
                total.mixed(mixed.share, &other)
            }
            None => Ok(total),
        }
    }

    fn update(&mut self, epoch: u32, loss: f64, alone: bool) -> Result<(), Error> {
        let examples = std::mem::take(&mut self.pending.examples);
        let Some(mut gradients) = self.pending.take(alone)? else {
            return Ok(());
        };
        let gradient_norm = gradients.norm()?;
        if !gradient_norm.is_finite() {
            let step = (loss, gradient_norm);
            return Err(self.diverged(Symptom::GradientNorm, gradient_norm, epoch, &examples, step));
        }
        if self.keep_gradients {
            self.kept_gradients = gradients.values(self.network.parameters())?;
        }
        let settings = self.settings.train;
        let mut norm = gradient_norm;
        if let Some(limit) = settings.clip_value {
            gradients.clip_value(limit)?;
            norm = gradients.norm()?;
        }
        if let Some(limit) = settings.clip_norm {
            gradients.clip_norm(norm, limit);
            norm = norm.min(limit);
        }
        if norm * norm > f64::from(f32::MAX) {
            let step = (loss, gradient_norm);
            return Err(self.diverged(Symptom::GradientNorm, gradient_norm, epoch, &examples, step));
        }
        let rate = self.schedule.rate(self.optimizer.updates());
        self.optimizer.set_learning_rate(rate);
        self.optimizer.step(&gradients)?;
        self.last_good = Some(GoodStep {
            step: self.optimizer.updates(),
            loss,
            gradient_norm,
        });
        Ok(())
    }

    /// The network after the update whose gradients were kept.
    pub fn tensors(&mut self) -> Result<Tensors, Error> {
        let parameters = self.network.parameters().iter();
        let parameters = parameters.map(|(name, var)| Ok((name.clone(), values(var)?)));
        Ok(Tensors {
            step: self.optimizer.updates(),
            parameters: parameters.collect::<candle_core::Result<_>>()?,
            gradients: std::mem::take(&mut self.kept_gradients),
        })
    }

    /// `step`: its loss and gradient norm.
    fn diverged(&self, symptom: Symptom, value: f64, epoch: u32, examples: &[usize], step: (f64, f64)) -> Error {
        let number = self.optimizer.updates() + 1;
        Error::from(Divergence {
            loss: Some(step.0),
            gradient_norm: Some(step.1),
            ..Divergence::new(symptom, value, epoch, number, self.data.names(examples))
        })
    }

    /// An error where a parameter or a running average is no number: such a network must not take the place of a good one.
    pub fn check_network(&self, epoch: u32) -> Result<(), Error> {
        for (name, var) in self.network.parameters().iter().chain(self.network.buffers()) {
            // A sum of finite numbers in f64 is finite, and any other is not.
            let sum = var.to_dtype(DType::F64)?.sum_all()?.to_scalar::<f64>()?;
            if !sum.is_finite() {
                let step = self.optimizer.updates();
                let divergence = Divergence::new(Symptom::Parameter(name.clone()), sum, epoch, step, Vec::new());
                return Err(divergence.into());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::evaluate::Problem;
    use crate::random::Generator;
    use crate::train::batches::Labels;

    /// The gradient of a linear model's weighted squared error, with the batches of one update ending where told.
    fn gradient(ends: &[usize]) -> Vec<f32> {
        let problem = Problem::Regression {
            targets: vec!["a".into()],
        };
        let spec = toml::from_str("kind = \"mse\"").unwrap();
        let loss = Loss::new(&spec, &problem, &Labels::Values(Vec::new()), &[]).unwrap();
        let mut generator = Generator::keyed(1, "test", &[]);
        let mut draw = |columns: usize| {
            let values: Vec<f32> = (0..6 * columns).map(|_| generator.normal() as f32).collect();
            Tensor::from_vec(values, (6, columns), &Device::Cpu).unwrap()
        };
        let (x, y, weights) = (draw(3), draw(1), draw(1).abs().unwrap());
        let parameter = Var::from_tensor(&Tensor::ones((3, 1), DType::F32, &Device::Cpu).unwrap()).unwrap();
        let parameters = [("w".to_owned(), parameter.clone())];
        let alone = ends.len() == 1;
        let mut pending = Pending::default();
        for (&start, &end) in [0].iter().chain(ends).zip(ends) {
            let rows = |tensor: &Tensor| tensor.narrow(0, start, end - start).unwrap();
            let predicted = rows(&x).matmul(&parameter).unwrap();
            let total = loss.total(&predicted, &rows(&y), Some(&rows(&weights))).unwrap();
            let mut store = total.mean().unwrap().backward().unwrap();
            pending
                .add(Gradients::take(&mut store, &parameters), total.weight, alone)
                .unwrap();
        }
        let gradients = pending.take(alone).unwrap().unwrap();
        assert!(pending.take(alone).unwrap().is_none());
        gradients.values(&parameters).unwrap().remove(0).1
    }

    #[test]
    fn accumulated_batches_are_one_large_batch() {
        let whole = gradient(&[6]);
        for parts in [vec![3, 6], vec![4, 6], vec![1, 2, 6]] {
            for (got, want) in gradient(&parts).iter().zip(&whole) {
                assert!((got - want).abs() < 1e-5, "{parts:?}: {got} {want}");
            }
        }
    }
}
