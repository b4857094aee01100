//! One pass over the examples: to train, to validate, to predict.

use candle_core::{DType, Tensor};

use super::Error;
use super::augment::Augment;
use super::batches::{Batch, Data, Labels, Preparation, for_each_batch};
use super::fit::{Observer, Settings};
use super::gradients::Gradients;
use super::loss::{ExampleWeights, Loss, Total, predictions};
use super::optimizer::Optimizer;
use super::schedule::Schedule;
use crate::evaluate::{Score, score};
use crate::nn::{Mode, Network};
use crate::random::Generator;

/// What changes while a network is trained, and what it is trained with.
pub struct Trainer<'a> {
    pub network: &'a Network,
    pub data: Data<'a>,
    pub settings: &'a Settings<'a>,
    pub loss: &'a Loss,
    pub weights: Option<&'a ExampleWeights>,
    pub optimizer: Optimizer,
    pub schedule: Schedule,
    /// Batches done, in all epochs.
    pub batches: u64,
}

/// Loss and scores over a set of examples.
pub struct Evaluated {
    pub loss: f64,
    pub scores: Vec<Score>,
}

/// The gradients of the batches of one update. The gradient of batch `b` is that of `sum_b / weight_b`; the update wants that of
/// `Σ sum_b / Σ weight_b`.
#[derive(Default)]
struct Pending {
    gradients: Option<Gradients>,
    weight: f64,
    batches: usize,
}

impl Pending {
    fn add(&mut self, mut gradients: Gradients, weight: f64, alone: bool) -> candle_core::Result<()> {
        if !alone {
            gradients.scale(weight)?;
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
            gradients.scale(1.0 / pending.weight)?;
        }
        Ok(Some(gradients))
    }
}

impl Trainer<'_> {
    /// Trains on `train` in an order drawn for the epoch; `None` when interrupted.
    pub fn epoch(
        &mut self,
        train: &[usize],
        epoch: u32,
        observer: &mut dyn Observer,
    ) -> Result<Option<Evaluated>, Error> {
        let (data, settings, network) = (self.data, self.settings, self.network);
        let mut order = train.to_vec();
        Generator::keyed(settings.seed, "shuffle", &[u64::from(epoch)]).shuffle(&mut order);
        let batches = order.len().div_ceil(settings.train.batch_size.max(1));
        let preparation = Preparation {
            weights: self.weights,
            augment: Some(Augment {
                spec: settings.augment,
                seed: settings.seed,
                epoch,
            }),
        };
        let mut predicted = Vec::with_capacity(order.len() * data.problem.width());
        let mut truth = data.labels.select(data.problem, &[]);
        let (mut sum, mut weight, mut done) = (0.0, 0.0, 0);
        let mut interrupted = false;
        let accumulate = settings.train.accumulate.max(1);
        let mut pending = Pending::default();
        for_each_batch(
            data,
            &order,
            settings.train.batch_size,
            network.device(),
            preparation,
            |batch| -> Result<bool, Error> {
                let mode = Mode::Train {
                    seed: settings.seed,
                    step: self.batches,
                };
                let outputs = network.forward(&batch.inputs, mode)?;
                let total = self.total(&outputs, &batch)?;
                let mean = total.mean()?;
                let batch_loss = f64::from(mean.to_dtype(DType::F32)?.to_scalar::<f32>()?);
                if !batch_loss.is_finite() {
                    let step = self.optimizer.updates() + 1;
                    return Err(diverged("loss", batch_loss, epoch, step, data, &batch));
                }
                let gradients = Gradients::take(&mut mean.backward()?, network.parameters());
                pending.add(gradients, total.weight, accumulate == 1)?;
                self.batches += 1;
                done += 1;
                if pending.batches == accumulate || done == batches {
                    self.update(pending.take(accumulate == 1)?)?;
                }
                sum += batch_loss * total.weight;
                weight += total.weight;
                predicted.extend(predictions(data.problem, &outputs.detach())?);
                truth.extend(batch.labels);
                observer.batch(epoch, done, batches, batch_loss);
                interrupted = observer.interrupted();
                Ok(!interrupted)
            },
        )?;
        if interrupted {
            return Ok(None);
        }
        Ok(Some(Evaluated {
            loss: ratio(sum, weight),
            scores: score(data.problem, truth.truth(), &predicted)?,
        }))
    }

    fn total(&self, outputs: &Tensor, batch: &Batch) -> candle_core::Result<Total> {
        let total = self.loss.total(outputs, &batch.targets, batch.weights.as_ref())?;
        match &batch.mixed {
            Some(mixed) => {
                let other = self.loss.total(outputs, &mixed.targets, mixed.weights.as_ref())?;
                total.mixed(mixed.share, &other)
            }
            None => Ok(total),
        }
    }

    fn update(&mut self, gradients: Option<Gradients>) -> candle_core::Result<()> {
        let Some(mut gradients) = gradients else { return Ok(()) };
        if let Some(limit) = self.settings.train.clip_value {
            gradients.clip_value(limit)?;
        }
        if let Some(limit) = self.settings.train.clip_norm {
            gradients.clip_norm(limit)?;
        }
        let rate = self.schedule.rate(self.optimizer.updates());
        self.optimizer.set_learning_rate(rate);
        self.optimizer.step(&gradients)
    }
}

fn ratio(sum: f64, weight: f64) -> f64 {
    if weight > 0.0 { sum / weight } else { 0.0 }
}

/// Loss and scores of `examples`, as they are. `epoch` says what was done before, for messages.
pub fn evaluate(trainer: &Trainer, examples: &[usize], epoch: u32) -> Result<Evaluated, Error> {
    let (data, loss) = (trainer.data, trainer.loss);
    let step = trainer.optimizer.updates();
    let (mut sum, mut weight) = (0.0, 0.0);
    let mut predicted = Vec::with_capacity(examples.len() * data.problem.width());
    let mut whole: Vec<(Tensor, Tensor, Option<Tensor>)> = Vec::new();
    let preparation = Preparation {
        weights: trainer.weights,
        augment: None,
    };
    for_each_batch(
        data,
        examples,
        trainer.settings.train.batch_size,
        trainer.network.device(),
        preparation,
        |batch| -> Result<bool, Error> {
            let outputs = trainer.network.forward(&batch.inputs, Mode::Evaluate)?.detach();
            let total = loss.total(&outputs, &batch.targets, batch.weights.as_ref())?;
            let batch_sum = f64::from(total.sum.to_dtype(DType::F32)?.to_scalar::<f32>()?);
            let batch_predicted = predictions(data.problem, &outputs)?;
            if !batch_sum.is_finite() {
                return Err(diverged("validation loss", batch_sum, epoch, step, data, &batch));
            }
            if let Some(&value) = batch_predicted.iter().find(|value| !value.is_finite()) {
                return Err(diverged(
                    "validation prediction",
                    value.into(),
                    epoch,
                    step,
                    data,
                    &batch,
                ));
            }
            sum += batch_sum;
            weight += total.weight;
            predicted.extend(batch_predicted);
            if loss.is_of_whole_batch() {
                whole.push((outputs, batch.targets, batch.weights));
            }
            Ok(true)
        },
    )?;
    let truth: Labels = data.labels.select(data.problem, examples);
    Ok(Evaluated {
        loss: match loss.is_of_whole_batch() {
            true => loss_of_all(loss, &whole)?,
            false => ratio(sum, weight),
        },
        scores: score(data.problem, truth.truth(), &predicted)?,
    })
}

/// The loss of all batches as one.
fn loss_of_all(loss: &Loss, batches: &[(Tensor, Tensor, Option<Tensor>)]) -> candle_core::Result<f64> {
    let outputs: Vec<&Tensor> = batches.iter().map(|(outputs, ..)| outputs).collect();
    let targets: Vec<&Tensor> = batches.iter().map(|(_, targets, _)| targets).collect();
    let weights: Vec<&Tensor> = batches.iter().filter_map(|(.., weights)| weights.as_ref()).collect();
    let double = |parts: &[&Tensor]| Tensor::cat(parts, 0)?.to_dtype(DType::F64);
    let weights = match weights.is_empty() {
        true => None,
        false => Some(double(&weights)?),
    };
    loss.total(&double(&outputs)?, &double(&targets)?, weights.as_ref())?
        .mean()?
        .to_scalar::<f64>()
}

fn diverged(what: &'static str, value: f64, epoch: u32, step: u64, data: Data, batch: &Batch) -> Error {
    let id = |&example: &usize| data.ids.get(example).cloned();
    Error::Diverged {
        what,
        value,
        epoch,
        step,
        ids: batch.examples.iter().filter_map(id).collect(),
    }
}

/// The network's predictions for `examples`: `[examples, targets]` in the units of the data, or class probabilities; all of
/// them finite.
pub fn predict(network: &Network, data: Data, examples: &[usize], batch_size: usize) -> Result<Vec<f32>, Error> {
    let mut predicted = Vec::with_capacity(examples.len() * data.problem.width());
    for_each_batch(
        data,
        examples,
        batch_size,
        network.device(),
        Preparation::default(),
        |batch| -> Result<bool, Error> {
            let outputs = network.forward(&batch.inputs, Mode::Evaluate)?.detach();
            let batch_predicted = predictions(data.problem, &outputs)?;
            if let Some(at) = batch_predicted.iter().position(|value| !value.is_finite()) {
                let example = batch.examples.get(at / data.problem.width().max(1));
                return Err(Error::Prediction {
                    id: example
                        .and_then(|&example| data.ids.get(example))
                        .cloned()
                        .unwrap_or_default(),
                    value: batch_predicted.get(at).copied().unwrap_or(f32::NAN).into(),
                });
            }
            predicted.extend(batch_predicted);
            Ok(true)
        },
    )?;
    Ok(predicted)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::evaluate::Problem;

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
        gradients.get(0).unwrap().flatten_all().unwrap().to_vec1().unwrap()
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
