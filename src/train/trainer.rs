//! One step: a batch, its loss, its gradients and, when there are enough of them, an update.

#[cfg(feature = "cuda")]
mod on_gpu;

use std::time::{Duration, Instant};

use candle_core::{DType, Device, Tensor};

use super::Error;
use super::batches::{Batch, Data};
use super::divergence::{Divergence, GoodStep, Symptom};
use super::fit::{Settings, Tensors};
#[cfg(feature = "cuda")]
use super::gpu;
use super::gradients::{Gradients, values};
use super::loss::{ExampleWeights, Loss, Total, predictions};
use super::optimizer::Optimizer;
use super::pairs::Outputs;
use super::profile::{Phase, Stopwatch};
use super::schedule::Schedule;
use crate::nn::{Mode, Network, Step};

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
    /// Batches whose loss nobody has looked at yet.
    pub unread: Vec<Unread>,
    pub stopwatch: Stopwatch,
    /// Where the network is on one.
    #[cfg(feature = "cuda")]
    pub gpu: Option<gpu::Steps>,
    /// When the first batch came that nobody has looked at yet, and how long batches had been waited for until then.
    pub busy_since: Option<(Instant, Duration)>,
}

/// What a batch came to.
pub struct Learned {
    /// Mean.
    pub loss: f64,
    pub weight: f64,
    /// What the network said of the batch's examples, for scoring: see [`predictions`].
    pub predicted: Vec<f32>,
}

/// The same where the device may still be at it. What follows on the device waits for none of it.
pub struct Unread {
    mean: Tensor,
    weight: f64,
    outputs: Tensor,
    epoch: u32,
    examples: Vec<usize>,
    /// Of the update after this batch, where there was one.
    update: Option<UnreadUpdate>,
}

struct UnreadUpdate {
    /// 1-based.
    step: u64,
    /// Of the gradients, before clipping.
    norm: Number,
    /// Of all of its batches.
    examples: Vec<usize>,
}

/// Known, or a scalar in 64 bits on the device.
enum Number {
    Here(f64),
    #[cfg(feature = "cuda")]
    There(Tensor),
}

/// How many batches a device may be ahead of the one that reads what they came to.
pub fn read_every(device: &Device) -> usize {
    if device.is_cpu() { 1 } else { 16 }
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
    /// Learns from a batch of `epoch`. What it came to is given by [`Self::read`].
    pub fn learn(&mut self, batch: &Batch, epoch: u32, place: Place) -> Result<(), Error> {
        let waited = self.stopwatch.profile().get(Phase::Data);
        self.busy_since.get_or_insert_with(|| (Instant::now(), waited));
        match self.network.device().is_cpu() {
            true => self.learn_here(batch, epoch, place),
            false => self.learn_there(batch, epoch, place),
        }
    }

    fn learn_here(&mut self, batch: &Batch, epoch: u32, place: Place) -> Result<(), Error> {
        let mode = Mode::Train {
            seed: self.settings.seed,
            step: Step::Known(self.batches),
        };
        let outputs = Outputs::of(self.network, batch, mode)?;
        let total = self.total(&outputs, batch)?;
        let mean = total.mean()?;
        let loss = f64::from(mean.to_dtype(DType::F32)?.to_scalar::<f32>()?);
        self.stopwatch.spent_on(Phase::Forward);
        let gradients = Gradients::take(&mut mean.backward()?, self.network.parameters());
        if !loss.is_finite() {
            let norm = gradients.norm()?;
            let step = self.optimizer.updates() + 1;
            return Err(self.diverged((Symptom::Loss, loss), (epoch, step), &batch.examples, (loss, norm)));
        }
        let alone = self.take_in(gradients, total.weight, batch)?;
        self.stopwatch.spent_on(Phase::Backward);
        let update = match self.update_is_due(place) {
            true => self.update(epoch, loss, alone)?,
            false => None,
        };
        self.stopwatch.spent_on(Phase::Update);
        self.leave_unread(
            batch,
            epoch,
            total.weight,
            (mean.detach(), outputs.predicted.detach()),
            update,
        );
        Ok(())
    }

    /// Adds the gradients of a batch to the pending ones. Gives whether an update is of one batch.
    fn take_in(&mut self, gradients: Gradients, weight: f64, batch: &Batch) -> candle_core::Result<bool> {
        let alone = self.settings.train.accumulate <= 1;
        self.pending.add(gradients, weight, alone)?;
        self.pending.examples.extend(&batch.examples);
        self.batches += 1;
        Ok(alone)
    }

    fn update_is_due(&self, place: Place) -> bool {
        self.pending.batches == self.settings.train.accumulate.max(1) || place == Place::EndOfEpoch
    }

    fn leave_unread(
        &mut self,
        batch: &Batch,
        epoch: u32,
        weight: f64,
        (mean, outputs): (Tensor, Tensor),
        update: Option<UnreadUpdate>,
    ) {
        self.unread.push(Unread {
            mean,
            weight,
            outputs,
            epoch,
            examples: batch.examples.clone(),
            update,
        });
    }

    /// What the batches came to that nobody has looked at yet, in their order. Waits for the device.
    ///
    /// # Errors
    /// The first of them whose loss or gradients are no numbers.
    pub fn read(&mut self) -> Result<Vec<Learned>, Error> {
        let unread = std::mem::take(&mut self.unread);
        let busy_since = self.busy_since.take();
        if unread.is_empty() {
            return Ok(Vec::new());
        }
        // All of them at once: each copy from a GPU takes as long as a small one.
        let means: Vec<&Tensor> = unread.iter().map(|batch| &batch.mean).collect();
        let losses = Tensor::stack(&means, 0)?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
        let norms = norms(&unread)?;
        let mut learned = Vec::with_capacity(unread.len());
        for ((batch, loss), norm) in unread.iter().zip(losses).zip(norms) {
            let loss = f64::from(loss);
            let step = batch
                .update
                .as_ref()
                .map_or(self.optimizer.updates() + 1, |update| update.step);
            let place = (batch.epoch, step);
            if !loss.is_finite() {
                let figures = (loss, norm.unwrap_or(f64::NAN));
                return Err(self.diverged((Symptom::Loss, loss), place, &batch.examples, figures));
            }
            if let (Some(update), Some(norm)) = (&batch.update, norm) {
                if !self.can_be_squared(norm) {
                    let symptom = (Symptom::GradientNorm, norm);
                    return Err(self.diverged(symptom, place, &update.examples, (loss, norm)));
                }
                self.last_good = Some(GoodStep {
                    step,
                    loss,
                    gradient_norm: norm,
                });
            }
            learned.push(Learned {
                loss,
                weight: batch.weight,
                predicted: Vec::new(),
            });
        }
        let outputs: Vec<&Tensor> = unread.iter().map(|batch| &batch.outputs).collect();
        let predicted = predictions(self.data.problem, &Tensor::cat(&outputs, 0)?)?;
        self.has_waited(busy_since);
        let mut rest = predicted.as_slice();
        for (learned, batch) in learned.iter_mut().zip(&unread) {
            let (of_batch, others) = rest.split_at(batch.outputs.elem_count().min(rest.len()));
            learned.predicted = of_batch.to_vec();
            rest = others;
        }
        Ok(learned)
    }

    /// Whether a gradient of this norm, after clipping, has a square in 32 bits.
    fn can_be_squared(&self, norm: f64) -> bool {
        let clipped = match (self.settings.train.clip_norm, self.settings.train.clip_value) {
            // What it is after that is not known here: no more than before.
            (_, Some(_)) => return norm.is_finite(),
            (Some(limit), None) => norm.min(limit),
            (None, None) => norm,
        };
        norm.is_finite() && clipped * clipped <= f64::from(f32::MAX)
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

    /// What the time between two readings says about the ways to launch a step.
    #[cfg_attr(not(feature = "cuda"), allow(clippy::unused_self, unused_variables))]
    fn has_waited(&mut self, busy_since: Option<(Instant, Duration)>) {
        #[cfg(feature = "cuda")]
        if let (Some(gpu), Some((since, waited))) = (&mut self.gpu, busy_since) {
            let for_data = self.stopwatch.profile().get(Phase::Data).saturating_sub(waited);
            gpu.waited(since.elapsed().saturating_sub(for_data));
        }
    }

    /// How steps are launched on a GPU, for people.
    #[cfg_attr(not(feature = "cuda"), allow(clippy::unused_self))]
    pub fn launches(&self) -> Option<String> {
        #[cfg(feature = "cuda")]
        return self.gpu.as_ref().and_then(gpu::Steps::summary);
        #[cfg(not(feature = "cuda"))]
        None
    }

    fn update(&mut self, epoch: u32, loss: f64, alone: bool) -> Result<Option<UnreadUpdate>, Error> {
        let examples = std::mem::take(&mut self.pending.examples);
        let Some(mut gradients) = self.pending.take(alone)? else {
            return Ok(None);
        };
        let step = self.optimizer.updates() + 1;
        let norm = Number::Here(self.update_here(&mut gradients, (epoch, step), loss, &examples)?);
        Ok(Some(UnreadUpdate { step, norm, examples }))
    }

    fn set_rate(&mut self) {
        let rate = self.schedule.rate(self.optimizer.updates());
        self.optimizer.set_learning_rate(rate);
    }

    fn keep(&mut self, gradients: &Gradients) -> Result<(), Error> {
        if self.keep_gradients {
            self.kept_gradients = gradients.values(self.network.parameters())?;
        }
        Ok(())
    }

    /// On the CPU: gives the norm of the gradients.
    fn update_here(
        &mut self,
        gradients: &mut Gradients,
        place: (u32, u64),
        loss: f64,
        examples: &[usize],
    ) -> Result<f64, Error> {
        let gradient_norm = gradients.norm()?;
        let figures = (loss, gradient_norm);
        if !gradient_norm.is_finite() {
            return Err(self.diverged((Symptom::GradientNorm, gradient_norm), place, examples, figures));
        }
        self.keep(gradients)?;
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
            return Err(self.diverged((Symptom::GradientNorm, gradient_norm), place, examples, figures));
        }
        self.set_rate();
        self.optimizer.step(gradients)?;
        Ok(gradient_norm)
    }

    #[cfg(not(feature = "cuda"))]
    #[allow(clippy::unused_self, reason = "as with the feature")]
    fn learn_there(&mut self, _: &Batch, _: u32, _: Place) -> Result<(), Error> {
        let device = self.network.device();
        Err(candle_core::Error::Msg(format!("this build has no steps for {device:?}")).into())
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

    /// `place`: epoch and step; `figures`: the step's loss and gradient norm.
    fn diverged(
        &self,
        (symptom, value): (Symptom, f64),
        (epoch, step): (u32, u64),
        examples: &[usize],
        figures: (f64, f64),
    ) -> Error {
        Error::from(Divergence {
            loss: Some(figures.0),
            gradient_norm: Some(figures.1),
            last_good: self.last_good,
            ..Divergence::new(symptom, value, epoch, step, self.data.names(examples))
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

/// The gradient norms of the updates, `None` where there was none.
fn norms(unread: &[Unread]) -> candle_core::Result<Vec<Option<f64>>> {
    #[cfg(feature = "cuda")]
    let mut there = {
        let there: Vec<&Tensor> = unread
            .iter()
            .filter_map(|batch| match &batch.update.as_ref()?.norm {
                Number::There(norm) => Some(norm),
                Number::Here(_) => None,
            })
            .collect();
        match there.is_empty() {
            true => Vec::new().into_iter(),
            false => Tensor::stack(&there, 0)?.to_vec1::<f64>()?.into_iter(),
        }
    };
    let norm = |batch: &Unread| match batch.update.as_ref()?.norm {
        Number::Here(norm) => Some(norm),
        #[cfg(feature = "cuda")]
        Number::There(_) => there.next(),
    };
    Ok(unread.iter().map(norm).collect())
}

#[cfg(test)]
mod tests {
    use candle_core::Var;

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
