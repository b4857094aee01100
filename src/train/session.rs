//! The training loop.
//!
//! What comes next is decided by what has been done alone, and all that has been done is in a checkpoint, wherever it was made:
//! so there is one loop for a fresh run and for one that goes on. Checkpoints are made between updates only, and therefore hold
//! no gradients.

use std::time::Instant;

use super::Error;
use super::augment::Augment;
use super::batches::{Data, Labels, Preparation, for_each_batch};
use super::checkpoint::{Checkpoints, Content, State};
use super::clock::Clock;
use super::divergence::Divergence;
use super::early_stopping::{EarlyStopping, Verdict};
use super::fit::{BatchSummary, Begin, Fitted, Observer, Settings, Stop, ValidationSummary};
use super::loss::{ExampleWeights, Loss};
use super::optimizer::Optimizer;
use super::profile::{Phase, Stopwatch};
use super::running::Running;
use super::schedule::{Length, Schedule};
use super::spec::ValidateEvery;
use super::trainer::{Pending, Place, Trainer, read_every};
use super::validation::{Evaluated, Validation};
use crate::evaluate::TaskKind;
use crate::nn::Network;
use crate::random::Generator;

/// A training that is under way.
pub struct Session<'a> {
    trainer: Trainer<'a>,
    train: &'a [usize],
    val: &'a [usize],
    checkpoints: Checkpoints<'a>,
    clock: Clock,
    stopping: EarlyStopping,
    /// Since the last validation.
    running: Running,
    /// The truth about the batches whose losses were not read yet, and how many batches of their epoch were done with each.
    unread: Vec<(Labels, usize)>,
    /// The most there will be.
    epochs: u32,
    batches_per_epoch: usize,
    updates_per_epoch: u64,
    /// Whole epochs done.
    epoch: u32,
    /// Batches done of the epoch after these.
    batch: usize,
    /// Updates done at the last validation.
    validated: u64,
    /// The batches and the last validation of the newest checkpoint, and what was done then.
    saved: Option<(u64, u64, String)>,
    since: Since,
}

/// What this process did since the last validation.
struct Since {
    begun: Instant,
    examples: usize,
}

impl Since {
    fn now() -> Self {
        Self {
            begun: Instant::now(),
            examples: 0,
        }
    }

    /// Examples a second.
    fn pace(&self) -> f64 {
        self.examples as f64 / self.begun.elapsed().as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

impl<'a> Session<'a> {
    /// Everything in its place, and nothing done yet.
    pub fn begin(
        network: &'a Network,
        data: Data<'a>,
        train: &'a [usize],
        val: &'a [usize],
        settings: &'a Settings<'a>,
    ) -> Result<Self, Error> {
        let spec = settings.train;
        let width = match data.problem.kind() {
            TaskKind::Regression => data.problem.width(),
            TaskKind::Classification => 1,
        };
        spec.early_stopping.monitor.check(data.problem)?;
        let epochs = u32::try_from(spec.epochs).unwrap_or(u32::MAX);
        let batches_per_epoch = train.len().div_ceil(spec.batch_size.max(1));
        let length = Length {
            epochs: u64::from(epochs),
            updates_per_epoch: batches_per_epoch.div_ceil(spec.accumulate.max(1)) as u64,
        };
        let trainer = Trainer {
            network,
            data,
            settings,
            loss: Loss::new(settings.loss, data.problem, data.labels, train)?,
            weights: ExampleWeights::new(settings.loss.weighting(), data.agreement, width, train)?,
            optimizer: Optimizer::new(settings.optimizer, network.parameters())?,
            schedule: Schedule::new(settings.schedule, settings.optimizer.learning_rate(), length),
            batches: 0,
            pending: Pending::default(),
            keep_gradients: false,
            kept_gradients: Vec::new(),
            last_good: None,
            unread: Vec::new(),
            stopwatch: Stopwatch::start(),
            #[cfg(feature = "cuda")]
            gpu: match network.device().is_cuda() {
                true => Some(super::gpu::Steps::on(network.device(), spec.cuda_graph)?),
                false => None,
            },
            busy_since: None,
        };
        let mut session = Self {
            trainer,
            train,
            val,
            checkpoints: Checkpoints {
                folder: settings.checkpoints,
                keep_last: spec.keep_last,
            },
            clock: Clock::start(spec, settings.checkpoints),
            stopping: EarlyStopping::default(),
            running: Running::new(data.labels),
            unread: Vec::new(),
            epochs,
            batches_per_epoch,
            updates_per_epoch: length.updates_per_epoch,
            epoch: 0,
            batch: 0,
            validated: 0,
            saved: None,
            since: Since::now(),
        };
        if settings.begin == Begin::AfterLast {
            session.go_on()?;
        }
        Ok(session)
    }

    /// Takes up the last checkpoint.
    fn go_on(&mut self) -> Result<(), Error> {
        self.checkpoints.tidy()?;
        let loaded = self.checkpoints.load_to_go_on(self.trainer.network)?;
        let state = loaded.state;
        self.trainer.schedule.memory = state.schedule.clone();
        let rate = self.trainer.schedule.rate(state.updates);
        self.trainer.optimizer.restore(&loaded.optimizer, state.updates, rate)?;
        self.trainer.batches = state.batches;
        self.stopping = state.early_stopping.clone();
        self.running = Running::restore(self.trainer.data.labels, state.running, &loaded.running)?;
        self.epoch = state.epoch;
        self.batch = state.batch;
        self.validated = state.validated;
        self.saved = Some((state.batches, state.validated, state.place()));
        self.clock.go_on();
        Ok(())
    }

    /// To the end, or until it is interrupted.
    pub fn run(mut self, observer: &mut dyn Observer) -> Result<Fitted, Error> {
        let stop = self
            .until_it_stops(observer)
            .map_err(|error| self.with_checkpoint(error))?;
        let restore = self.trainer.settings.train.early_stopping.restore_best && stop != Stop::Interrupted;
        if let (Some(step), true) = (self.stopping.best_step, restore) {
            self.checkpoints.load_best(self.trainer.network, step)?;
        }
        self.trainer.stopwatch.spent_on(Phase::Checkpoints);
        Ok(Fitted {
            stop,
            best_epoch: self.stopping.best_epoch,
            best_step: self.stopping.best_step,
            best_value: self.stopping.best_value,
            epochs: self.epoch,
            steps: self.trainer.optimizer.updates(),
            place: self.state().place(),
            profile: self.trainer.stopwatch.profile(),
            launches: self.trainer.launches(),
        })
    }

    fn until_it_stops(&mut self, observer: &mut dyn Observer) -> Result<Stop, Error> {
        loop {
            if self.validation_is_due() {
                self.validate(observer)?;
            }
            if observer.interrupted() {
                self.save()?;
                return Ok(Stop::Interrupted);
            }
            if let Some(stop) = self.is_over() {
                return Ok(stop);
            }
            if self.clock.wants_checkpoint() {
                self.save()?;
            }
            self.train(observer)?;
        }
    }

    fn validation_is_due(&self) -> bool {
        let is_at_place = match self.trainer.settings.train.validate_every {
            ValidateEvery::Epoch => self.batch == 0,
            ValidateEvery::Updates(every) => self.trainer.optimizer.updates() - self.validated >= every.get(),
        };
        let ends = self.epoch == self.epochs || self.clock.is_out_of_time();
        let is_something_done = !self.running.is_empty() || !self.unread.is_empty();
        is_something_done && (is_at_place || ends)
    }

    fn is_over(&self) -> Option<Stop> {
        if self.stopping.is_over(&self.trainer.settings.train.early_stopping) {
            Some(Stop::EarlyStopping)
        } else if self.epoch >= self.epochs || self.batches_per_epoch == 0 {
            Some(Stop::LastEpoch)
        } else if self.trainer.batches > 0 && self.clock.is_out_of_time() {
            Some(Stop::OutOfTime)
        } else {
            None
        }
    }

    /// Trains until something else is due; at least one update, and not beyond the end of the epoch.
    fn train(&mut self, observer: &mut dyn Observer) -> Result<(), Error> {
        let (data, settings, epoch) = (self.trainer.data, self.trainer.settings, self.epoch + 1);
        let mut order = self.train.to_vec();
        Generator::keyed(settings.seed, "shuffle", &[u64::from(epoch)]).shuffle(&mut order);
        let weights = self.trainer.weights.clone();
        let preparation = Preparation {
            weights: weights.as_ref(),
            augment: Some(Augment {
                spec: settings.augment,
                seed: settings.seed,
                epoch,
            }),
            done: self.batch,
        };
        let (size, device) = (settings.train.batch_size, self.trainer.network.device());
        let read_every = read_every(device);
        self.trainer.stopwatch.spent_on(Phase::Other);
        for_each_batch(
            data,
            &order,
            size,
            device,
            preparation,
            |batch| -> Result<bool, Error> {
                self.trainer.stopwatch.spent_on(Phase::Data);
                let place = match self.batch + 1 == self.batches_per_epoch {
                    true => Place::EndOfEpoch,
                    false => Place::WithinEpoch,
                };
                self.trainer.keep_gradients = place == Place::EndOfEpoch && observer.wants_tensors(epoch);
                // A step that is not like the others is timed apart from them: see `launches`.
                if !self.unread.is_empty() && (batch.examples.len() < size || self.trainer.keep_gradients) {
                    self.read(epoch, observer)?;
                }
                self.trainer.learn(&batch, epoch, place)?;
                self.batch += 1;
                self.since.examples += batch.examples.len();
                self.unread.push((batch.labels, self.batch));
                let something_is_due = self.trainer.pending.is_empty()
                    && (self.validation_is_due() || observer.interrupted() || self.clock.wants_checkpoint());
                if self.unread.len() >= read_every || something_is_due || place == Place::EndOfEpoch {
                    self.read(epoch, observer)?;
                }
                if self.trainer.keep_gradients {
                    observer.tensors(self.trainer.tensors()?);
                }
                self.trainer.stopwatch.spent_on(Phase::Records);
                Ok(!something_is_due)
            },
        )?;
        if self.batch == self.batches_per_epoch {
            self.epoch += 1;
            self.batch = 0;
        }
        self.trainer.stopwatch.spent_on(Phase::Other);
        Ok(())
    }

    /// Takes down what the batches came to that were not read yet, and tells it.
    fn read(&mut self, epoch: u32, observer: &mut dyn Observer) -> Result<(), Error> {
        let learned = self.trainer.read()?;
        self.trainer.stopwatch.spent_on(Phase::Other);
        for (learned, (labels, done)) in learned.into_iter().zip(std::mem::take(&mut self.unread)) {
            self.running
                .add(learned.loss, learned.weight, learned.predicted, labels);
            observer.batch(&BatchSummary {
                epoch,
                done,
                total: self.batches_per_epoch,
                loss: learned.loss,
                pace: self.since.pace(),
            });
        }
        Ok(())
    }

    /// Validates, judges, tells and saves. Nothing has happened where the observer is interrupted in between: the validation is
    /// still due then.
    fn validate(&mut self, observer: &mut dyn Observer) -> Result<(), Error> {
        let train_seconds = self.since.begun.elapsed().as_secs_f64();
        let epoch = self.current_epoch();
        let step = self.trainer.optimizer.updates();
        let validation = Validation {
            network: self.trainer.network,
            data: self.trainer.data,
            loss: &self.trainer.loss,
            weights: self.trainer.weights.as_ref(),
            batch_size: self.trainer.settings.train.batch_size,
            epoch,
            step,
        };
        let Some(validated) = validation.of(self.val, || observer.interrupted())? else {
            self.trainer.stopwatch.spent_on(Phase::Validation);
            return Ok(());
        };
        self.trainer.check_network(epoch)?;
        let trained = self.running.evaluated(self.trainer.data.problem)?;
        let spec = &self.trainer.settings.train.early_stopping;
        let monitored = monitored(spec.monitor.metric(), &validated);
        let learning_rate = self.trainer.schedule.rate(self.validated);
        let verdict = self.stopping.judge(spec, epoch, step, monitored);
        self.trainer
            .schedule
            .validated(step, monitored, spec.monitor.maximize());
        self.validated = step;
        self.running = Running::new(self.trainer.data.labels);
        self.trainer.stopwatch.spent_on(Phase::Validation);
        // Before the checkpoint: were it the other way round, a process killed between the two would go on after a validation that
        // was never recorded.
        observer.validated(&ValidationSummary {
            epoch,
            epochs: self.epochs,
            step,
            steps: u64::from(self.epochs) * self.updates_per_epoch,
            learning_rate,
            train_loss: trained.loss,
            train_scores: trained.scores,
            val_loss: validated.loss,
            val_scores: validated.scores,
            is_best: verdict == Verdict::Best,
            seconds: self.since.begun.elapsed().as_secs_f64(),
            train_seconds,
            examples: self.since.examples,
        });
        self.since = Since::now();
        self.trainer.stopwatch.spent_on(Phase::Records);
        if verdict == Verdict::Best {
            let content = self.content()?;
            self.checkpoints.save_best(&content)?;
        }
        self.save()
    }

    /// The epoch under way, or the one that was just done.
    fn current_epoch(&self) -> u32 {
        match self.batch {
            0 => self.epoch,
            _ => self.epoch + 1,
        }
    }

    /// Writes the checkpoint `last`, where something was done since the one before.
    fn save(&mut self) -> Result<(), Error> {
        let is_saved = |(batches, validated, _): &(u64, u64, String)| {
            (*batches, *validated) == (self.trainer.batches, self.validated)
        };
        if self.trainer.batches == 0 || self.saved.as_ref().is_some_and(is_saved) {
            return Ok(());
        }
        if !self.running.is_empty() {
            self.trainer.check_network(self.current_epoch())?;
        }
        self.clock.before_checkpoint()?;
        let content = self.content()?;
        self.checkpoints.save_last(&content)?;
        self.saved = Some((self.trainer.batches, self.validated, content.state.place()));
        self.trainer.stopwatch.spent_on(Phase::Checkpoints);
        Ok(())
    }

    fn content(&self) -> Result<Content<'a>, Error> {
        Ok(Content {
            network: self.trainer.network,
            statistics: self.trainer.data.features.statistics(),
            optimizer: self.trainer.optimizer.state()?,
            running: self.running.tensors()?,
            state: self.state(),
        })
    }

    fn state(&self) -> State {
        let updates = self.trainer.optimizer.updates();
        State {
            epoch: self.epoch,
            batch: self.batch,
            batches: self.trainer.batches,
            updates,
            validated: self.validated,
            learning_rate: self.trainer.schedule.rate(updates),
            early_stopping: self.stopping.clone(),
            schedule: self.trainer.schedule.memory.clone(),
            running: self.running.sums,
            ..State::new(self.trainer.settings.seed, self.batches_per_epoch)
        }
    }

    /// A divergence also says what came before it.
    fn with_checkpoint(&self, error: Error) -> Error {
        match error {
            Error::Diverged(divergence) => Error::Diverged(Box::new(Divergence {
                last_good: divergence.last_good.or(self.trainer.last_good),
                checkpoint: self
                    .saved
                    .as_ref()
                    .map(|(_, _, place)| (self.checkpoints.last(), place.clone())),
                ..*divergence
            })),
            other => other,
        }
    }
}

fn monitored(metric: &str, validated: &Evaluated) -> f64 {
    let is_it = |score: &&crate::evaluate::Score| score.name == metric && score.target.is_empty();
    match metric {
        "loss" => validated.loss,
        _ => (validated.scores.iter().find(is_it)).map_or(f64::NAN, |score| score.value),
    }
}
