//! The training loop.

use std::path::Path;

use super::Error;
use super::batches::Data;
use super::checkpoint::{self, State};
use super::early_stopping::{EarlyStopping, Verdict};
use super::epoch::{Trainer, evaluate};
use super::loss::{ExampleWeights, Loss};
use super::optimizer::Optimizer;
use super::schedule::{Length, Schedule};
use super::spec::{AugmentSpec, LossSpec, OptimizerSpec, ScheduleSpec, TrainSpec};
use crate::evaluate::{Score, TaskKind};
use crate::nn::Network;

/// What the loop goes by.
pub struct Settings<'a> {
    pub loss: &'a LossSpec,
    pub optimizer: &'a OptimizerSpec,
    pub schedule: &'a ScheduleSpec,
    pub augment: &'a AugmentSpec,
    pub train: &'a TrainSpec,
    pub seed: u64,
    /// The folder of the checkpoints `best` and `last`.
    pub checkpoints: &'a Path,
    pub begin: Begin,
}

/// Where training sets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// With the network as it is.
    Fresh,
    /// After the epoch of the checkpoint `last`, as if there had been no interruption.
    AfterLast,
}

/// Told what happens; asked whether to go on.
pub trait Observer {
    /// After every batch: batches done, of all in this epoch, and the batch's loss.
    fn batch(&mut self, epoch: u32, done: usize, total: usize, loss: f64);
    /// After every epoch, before its checkpoint is written: what it records must be safe when it returns.
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
    /// Updates so far.
    pub step: u64,
    /// Of the epoch's first update.
    pub learning_rate: f64,
    /// Over the batches as they were trained on, augmented.
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
    let weights = ExampleWeights::new(
        settings.loss.weighting(),
        data.agreement,
        match data.problem.kind() {
            TaskKind::Regression => data.problem.width(),
            TaskKind::Classification => 1,
        },
        train,
    )?;
    let stopping_spec = &settings.train.early_stopping;
    stopping_spec.monitor.check(data.problem)?;
    let epochs = u32::try_from(settings.train.epochs).unwrap_or(u32::MAX);
    let batches_per_epoch = train.len().div_ceil(settings.train.batch_size.max(1));
    let mut trainer = Trainer {
        network,
        data,
        settings,
        loss: &loss,
        weights: weights.as_ref(),
        optimizer: Optimizer::new(settings.optimizer, network.parameters())?,
        schedule: Schedule::new(
            settings.schedule,
            settings.optimizer.learning_rate(),
            Length {
                epochs: u64::from(epochs),
                updates_per_epoch: batches_per_epoch.div_ceil(settings.train.accumulate.max(1)) as u64,
            },
        ),
        batches: 0,
    };
    let mut stopping = EarlyStopping::default();
    let mut done = 0;
    if settings.begin == Begin::AfterLast {
        let (state, memories) = checkpoint::load_to_go_on(settings.checkpoints, network)?;
        trainer.schedule.memory = state.schedule;
        let rate = trainer.schedule.rate(state.updates);
        trainer.optimizer.restore(&memories, state.updates, rate)?;
        trainer.batches = state.batches;
        stopping = state.early_stopping;
        done = state.epoch;
    }
    let mut stop = match done > 0 && stopping.is_over(stopping_spec) {
        true => Stop::EarlyStopping,
        false => Stop::LastEpoch,
    };
    let left = match stop {
        Stop::EarlyStopping => epochs + 1..=epochs,
        _ => done + 1..=epochs,
    };

    for epoch in left {
        let started = std::time::Instant::now();
        let learning_rate = trainer.schedule.rate(trainer.optimizer.updates());
        let Some(trained) = trainer.epoch(train, epoch, observer)? else {
            stop = Stop::Interrupted;
            break;
        };
        let updates = trainer.optimizer.updates();
        let validated = evaluate(&trainer, val, epoch)?;
        let monitored = match stopping_spec.monitor.metric() {
            "loss" => validated.loss,
            metric => validated
                .scores
                .iter()
                .find(|score| score.name == metric && score.target.is_empty())
                .map_or(f64::NAN, |score| score.value),
        };
        let verdict = stopping.judge(stopping_spec, epoch, monitored);
        trainer
            .schedule
            .epoch_done(updates, monitored, stopping_spec.monitor.maximize());
        done = epoch;
        // Before the checkpoint: were it the other way round, a process killed between the two would go on after an epoch that was
        // never recorded.
        observer.epoch(&EpochSummary {
            epoch,
            epochs,
            step: updates,
            learning_rate,
            train_loss: trained.loss,
            train_scores: trained.scores,
            val_loss: validated.loss,
            val_scores: validated.scores,
            is_best: verdict == Verdict::Best,
            seconds: started.elapsed().as_secs_f64(),
        });
        let state = State {
            epoch,
            batches: trainer.batches,
            updates,
            learning_rate: trainer.schedule.rate(updates),
            seed: settings.seed,
            early_stopping: stopping.clone(),
            schedule: trainer.schedule.memory.clone(),
        };
        let memories = trainer.optimizer.state();
        let save = |name: &str| {
            checkpoint::save(
                &settings.checkpoints.join(name),
                network,
                data.features.statistics(),
                &memories,
                &state,
            )
        };
        if verdict == Verdict::Best {
            save("best")?;
        }
        save("last")?;
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
        steps: trainer.optimizer.updates(),
    })
}
