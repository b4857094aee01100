//! Training as others see it: what goes in, what is told on the way, what comes out.

use std::path::Path;

use super::Error;
use super::batches::Data;
use super::profile::Profile;
use super::session::Session;
use super::spec::{AugmentSpec, LossSpec, OptimizerSpec, ScheduleSpec, TrainSpec};
use crate::evaluate::Score;
use crate::nn::Network;

/// What the loop goes by.
pub struct Settings<'a> {
    pub loss: &'a LossSpec,
    pub optimizer: &'a OptimizerSpec,
    pub schedule: &'a ScheduleSpec,
    pub augment: &'a AugmentSpec,
    pub train: &'a TrainSpec,
    pub seed: u64,
    /// The folder of the checkpoints.
    pub checkpoints: &'a Path,
    pub begin: Begin,
}

/// Where training sets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// With the network as it is.
    Fresh,
    /// After the last sound checkpoint, as if there had been no interruption.
    AfterLast,
}

/// Told what happens; asked whether to go on.
pub trait Observer {
    /// After every batch.
    fn batch(&mut self, batch: &BatchSummary);
    /// After every validation, before its checkpoint is written: what it records must be safe when it returns.
    fn validated(&mut self, summary: &ValidationSummary);
    /// Whether it wants the parameters and gradients at the end of `epoch`, 1-based. Asked before the last update of each.
    fn wants_tensors(&self, _epoch: u32) -> bool {
        false
    }
    /// What it wanted.
    fn tensors(&mut self, _tensors: Tensors) {}
    /// Whether somebody asked to stop (Ctrl-C).
    fn interrupted(&self) -> bool;
}

/// One batch in figures.
#[derive(Debug, Clone, Copy)]
pub struct BatchSummary {
    /// 1-based.
    pub epoch: u32,
    /// Batches done in this epoch, with this one.
    pub done: usize,
    /// Batches of the epoch.
    pub total: usize,
    pub loss: f64,
    /// Examples a second since the last validation, in this process.
    pub pace: f64,
}

/// The network at the end of an epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensors {
    /// Updates so far.
    pub step: u64,
    /// After the update.
    pub parameters: Vec<(String, Vec<f32>)>,
    /// Of the last update, before clipping; those that the loss depends on.
    pub gradients: Vec<(String, Vec<f32>)>,
}

/// One validation, and the training before it, in figures.
#[derive(Debug, Clone)]
pub struct ValidationSummary {
    /// The epoch that it ends or lies in, 1-based.
    pub epoch: u32,
    /// The most there will be.
    pub epochs: u32,
    /// Updates so far.
    pub step: u64,
    /// The most there will be.
    pub steps: u64,
    /// Of the first update after the validation before.
    pub learning_rate: f64,
    /// Over the batches since the validation before as they were trained on, augmented.
    pub train_loss: f64,
    pub train_scores: Vec<Score>,
    pub val_loss: f64,
    pub val_scores: Vec<Score>,
    pub is_best: bool,
    /// Since the validation before, in this process.
    pub seconds: f64,
    /// Of these, in training.
    pub train_seconds: f64,
    /// Trained on in these.
    pub examples: usize,
}

/// Why training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// All epochs were done.
    LastEpoch,
    /// No improvement for `patience` validations.
    EarlyStopping,
    /// `max_minutes` are over.
    OutOfTime,
    /// The observer was interrupted; the checkpoint `last` holds all that was done.
    Interrupted,
}

impl Stop {
    /// For the record.
    pub fn name(self) -> &'static str {
        match self {
            Self::LastEpoch => "last-epoch",
            Self::EarlyStopping => "early-stopping",
            Self::OutOfTime => "out-of-time",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What training came to. The network holds the parameters of the best validation.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    pub stop: Stop,
    /// `None` where nothing was validated.
    pub best_epoch: Option<u32>,
    pub best_step: Option<u64>,
    pub best_value: Option<f64>,
    /// Whole epochs.
    pub epochs: u32,
    pub steps: u64,
    /// What was done, for people: "2 epochs and 3 of 40 batches".
    pub place: String,
    /// Of this process.
    pub profile: Profile,
    /// How steps were launched on a GPU, for people.
    pub launches: Option<String>,
}

/// Trains `network` on the examples `train`, validating on `val`.
pub fn fit(
    network: &Network,
    data: Data,
    train: &[usize],
    val: &[usize],
    settings: &Settings,
    observer: &mut dyn Observer,
) -> Result<Fitted, Error> {
    Session::begin(network, data, train, val, settings)?.run(observer)
}
