//! The training loop.

use std::path::Path;

use candle_core::DType;

use super::Error;
use super::batches::{Batch, Data, Labels, for_each_batch};
use super::checkpoint::{self, State};
use super::early_stopping::{EarlyStopping, Verdict};
use super::loss::{Loss, predictions};
use super::optimizer::Optimizer;
use super::schedule::Schedule;
use super::spec::{LossSpec, OptimizerSpec, ScheduleSpec, TrainSpec};
use crate::evaluate::{Score, score};
use crate::nn::{Mode, Network};
use crate::random::Generator;

/// What the loop goes by.
pub struct Settings<'a> {
    pub loss: &'a LossSpec,
    pub optimizer: &'a OptimizerSpec,
    pub schedule: &'a ScheduleSpec,
    pub train: &'a TrainSpec,
    pub seed: u64,
    /// The folder of the checkpoints `best` and `last`.
    pub checkpoints: &'a Path,
}

/// Told what happens; asked whether to go on.
pub trait Observer {
    /// After every batch: batches done, of all in this epoch, and the batch's loss.
    fn batch(&mut self, epoch: u32, done: usize, total: usize, loss: f64);
    /// After every epoch, once its checkpoint is safe.
    fn epoch(&mut self, summary: &EpochSummary);
    /// Whether somebody asked to stop (Ctrl-C).
    fn interrupted(&self) -> bool;
}

/// One epoch in figures.
#[derive(Debug, Clone)]
pub struct EpochSummary {
    /// 1-based.
    pub epoch: u32,
    /// The most there will be.
    pub epochs: u32,
    /// Optimiser steps so far.
    pub step: u64,
    pub learning_rate: f64,
    /// Over the batches as they were trained on.
    pub train_loss: f64,
    pub train_scores: Vec<Score>,
    pub val_loss: f64,
    pub val_scores: Vec<Score>,
    pub is_best: bool,
    pub seconds: f64,
}

/// Why training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// All epochs were done.
    LastEpoch,
    /// No improvement for `patience` epochs.
    EarlyStopping,
    /// The observer was interrupted; the checkpoint `last` holds the last whole epoch.
    Interrupted,
}

/// What training came to. The network holds the parameters of the best epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fitted {
    pub stop: Stop,
    /// `None` where no epoch was finished.
    pub best_epoch: Option<u32>,
    pub best_value: Option<f64>,
    pub epochs: u32,
    pub steps: u64,
}

/// Trains `network` on the examples `train`, validating on `val` after every epoch.
pub fn fit(
    network: &Network,
    data: Data,
    train: &[usize],
    val: &[usize],
    settings: &Settings,
    observer: &mut dyn Observer,
) -> Result<Fitted, Error> {
    let loss = Loss::new(settings.loss, data.problem, data.labels, train)?;
    let stopping_spec = &settings.train.early_stopping;
    stopping_spec.monitor.check(data.problem)?;
    let mut optimizer = Optimizer::new(settings.optimizer, network.parameters())?;
    let mut stopping = EarlyStopping::default();
    let mut schedule = Schedule::default();
    let mut step = 0;
    let epochs = u32::try_from(settings.train.epochs).unwrap_or(u32::MAX);
    let mut done = 0;
    let mut stop = Stop::LastEpoch;

    for epoch in 1..=epochs {
        let started = std::time::Instant::now();
        let learning_rate = optimizer.learning_rate();
        let Some(trained) = train_epoch(
            network,
            data,
            train,
            settings,
            &loss,
            &mut optimizer,
            &mut step,
            epoch,
            observer,
        )?
        else {
            stop = Stop::Interrupted;
            break;
        };
        let validated = evaluate(network, data, val, settings, &loss, epoch, step)?;
        let monitored = match stopping_spec.monitor.metric() {
            "loss" => validated.loss,
            metric => validated
                .scores
                .iter()
                .find(|score| score.name == metric && score.target.is_empty())
                .map_or(f64::NAN, |score| score.value),
        };
        let verdict = stopping.judge(stopping_spec, epoch, monitored);
        optimizer.set_learning_rate(schedule.next(
            settings.schedule,
            learning_rate,
            monitored,
            stopping_spec.monitor.maximize(),
        ));
        done = epoch;
        let state = State {
            epoch,
            step,
            updates: optimizer.updates(),
            learning_rate: optimizer.learning_rate(),
            seed: settings.seed,
            early_stopping: stopping.clone(),
            schedule: schedule.clone(),
        };
        let moments = optimizer.state();
        let save = |name: &str| {
            checkpoint::save(
                &settings.checkpoints.join(name),
                network,
                data.features.statistics(),
                &moments,
                &state,
            )
        };
        if verdict == Verdict::Best {
            save("best")?;
        }
        save("last")?;
        observer.epoch(&EpochSummary {
            epoch,
            epochs,
            step,
            learning_rate,
            train_loss: trained.loss,
            train_scores: trained.scores,
            val_loss: validated.loss,
            val_scores: validated.scores,
            is_best: verdict == Verdict::Best,
            seconds: started.elapsed().as_secs_f64(),
        });
        if verdict == Verdict::Stop {
            stop = Stop::EarlyStopping;
            break;
        }
        if observer.interrupted() {
            stop = Stop::Interrupted;
            break;
        }
    }
    if stopping.best_epoch.is_some() {
        checkpoint::load(&settings.checkpoints.join("best"), network)?;
    }
    Ok(Fitted {
        stop,
        best_epoch: stopping.best_epoch,
        best_value: stopping.best_value,
        epochs: done,
        steps: step,
    })
}

/// Loss and scores over a set of examples.
struct Evaluated {
    loss: f64,
    scores: Vec<Score>,
}

/// `None` when interrupted.
#[allow(clippy::too_many_arguments)] // the loop's state, spelled out
fn train_epoch(
    network: &Network,
    data: Data,
    train: &[usize],
    settings: &Settings,
    loss: &Loss,
    optimizer: &mut Optimizer,
    step: &mut u64,
    epoch: u32,
    observer: &mut dyn Observer,
) -> Result<Option<Evaluated>, Error> {
    let mut order = train.to_vec();
    Generator::keyed(settings.seed, "shuffle", &[u64::from(epoch)]).shuffle(&mut order);
    let batches = order.len().div_ceil(settings.train.batch_size.max(1));
    let mut predicted = Vec::with_capacity(order.len() * data.problem.width());
    let (mut sum, mut weight, mut batch_count) = (0.0, 0.0, 0);
    let mut interrupted = false;
    for_each_batch(
        data,
        &order,
        settings.train.batch_size,
        network.device(),
        |batch| -> Result<bool, Error> {
            let mode = Mode::Train {
                seed: settings.seed,
                step: *step,
            };
            let outputs = network.forward(&batch.inputs, mode)?;
            let total = loss.total(&outputs, &batch.targets)?;
            let mean = total.mean()?;
            let batch_loss = f64::from(mean.to_dtype(DType::F32)?.to_scalar::<f32>()?);
            if !batch_loss.is_finite() {
                return Err(diverged("loss", batch_loss, epoch, *step + 1, data, &batch));
            }
            optimizer.step(&mean.backward()?)?;
            *step += 1;
            sum += batch_loss * total.weight;
            weight += total.weight;
            batch_count += 1;
            predicted.extend(predictions(data.problem, &outputs.detach())?);
            observer.batch(epoch, batch_count, batches, batch_loss);
            interrupted = observer.interrupted();
            Ok(!interrupted)
        },
    )?;
    if interrupted {
        return Ok(None);
    }
    let truth = data.labels.select(data.problem, &order);
    Ok(Some(Evaluated {
        loss: sum / weight,
        scores: score(data.problem, truth.truth(), &predicted)?,
    }))
}

/// `epoch` and `step` say what was done before, for messages.
fn evaluate(
    network: &Network,
    data: Data,
    examples: &[usize],
    settings: &Settings,
    loss: &Loss,
    epoch: u32,
    step: u64,
) -> Result<Evaluated, Error> {
    let (mut sum, mut weight) = (0.0, 0.0);
    let mut predicted = Vec::with_capacity(examples.len() * data.problem.width());
    for_each_batch(
        data,
        examples,
        settings.train.batch_size,
        network.device(),
        |batch| -> Result<bool, Error> {
            let outputs = network.forward(&batch.inputs, Mode::Evaluate)?.detach();
            let total = loss.total(&outputs, &batch.targets)?;
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
            Ok(true)
        },
    )?;
    let truth: Labels = data.labels.select(data.problem, examples);
    Ok(Evaluated {
        loss: sum / weight,
        scores: score(data.problem, truth.truth(), &predicted)?,
    })
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
