//! Steps of a trainer whose network is on a GPU.

use candle_core::Tensor;

use super::{Number, Place, Trainer, UnreadUpdate};
use crate::nn::Mode;
use crate::train::batches::Batch;
use crate::train::gradients::Gradients;
use crate::train::loss::terms::{self, Terms};
use crate::train::pairs::Outputs;
use crate::train::profile::Phase;
use crate::train::{Error, gpu};

impl Trainer<'_> {
    /// On a GPU, where nothing is read back: its updates leave out what is no number.
    pub(super) fn learn_there(&mut self, batch: &Batch, epoch: u32, place: Place) -> Result<(), Error> {
        let terms = terms::of_batch(&self.loss, batch, self.data)?;
        self.stopwatch.spent_on(Phase::Forward);
        let network = self.network;
        let said = |mode| Outputs::of(network, batch, mode).map(Outputs::said);
        if self.settings.train.accumulate > 1 {
            return self.learn_a_part(batch, (epoch, place), &terms, &said);
        }
        self.set_rate();
        let inputs: Vec<&Tensor> = std::iter::once(&batch.inputs)
            .chain(batch.pair.as_ref().map(|pair| &pair.images))
            .collect();
        let mut work = gpu::Work {
            network,
            optimizer: &mut self.optimizer,
            clip_norm: self.settings.train.clip_norm,
            clip_value: self.settings.train.clip_value,
            seed: self.settings.seed,
            step: self.batches,
            inputs: &inputs,
            terms: &terms,
        };
        let kept = &mut self.kept_gradients;
        let mut keep = |gradients: &Gradients| {
            *kept = gradients.values(network.parameters())?;
            Ok(())
        };
        let keep: Option<gpu::Keep> = match self.keep_gradients {
            true => Some(&mut keep),
            false => None,
        };
        let Some(steps) = &mut self.gpu else {
            return Err(candle_core::Error::Msg("the GPU was not set up".into()).into());
        };
        let gpu::Outcome { mean, outputs, norm } = steps.step(&mut work, &said, keep)?;
        self.batches += 1;
        self.stopwatch.spent_on(Phase::Backward);
        let update = UnreadUpdate {
            step: self.optimizer.updates(),
            norm: Number::There(norm),
            examples: batch.examples.clone(),
        };
        self.leave_unread(batch, epoch, terms.weight, (mean, outputs), Some(update));
        Ok(())
    }

    /// The same where an update is of several batches.
    fn learn_a_part(
        &mut self,
        batch: &Batch,
        (epoch, place): (u32, Place),
        terms: &Terms,
        said: &dyn Fn(Mode) -> candle_core::Result<gpu::Said>,
    ) -> Result<(), Error> {
        let Some(steps) = &mut self.gpu else {
            return Err(candle_core::Error::Msg("the GPU was not set up".into()).into());
        };
        let facts = steps.begin(self.batches, terms)?;
        let cell = steps.cell();
        let mode = steps.mode(self.settings.seed);
        let (parameters, device) = (self.network.parameters(), self.network.device());
        let (mean, outputs, gradients) = gpu::learned(self.network, terms, &facts, &|| said(mode))?;
        self.take_in(gradients, terms.weight, batch)?;
        self.stopwatch.spent_on(Phase::Backward);
        let mut update = None;
        if self.update_is_due(place) {
            let examples = std::mem::take(&mut self.pending.examples);
            if let Some(mut gradients) = self.pending.take(false)? {
                self.keep(&gradients)?;
                let limit = self.settings.train.clip_value;
                let (first, norm) = gpu::clipped(&mut gradients, limit, parameters, device, None)?;
                self.set_rate();
                let clip = self.settings.train.clip_norm;
                self.optimizer.announce_on_gpu(cell, gradients.factor(), clip)?;
                self.optimizer.apply_on_gpu(&gradients, cell, &norm)?;
                update = Some(UnreadUpdate {
                    step: self.optimizer.updates(),
                    norm: Number::There(first),
                    examples,
                });
            }
        }
        self.stopwatch.spent_on(Phase::Update);
        self.leave_unread(batch, epoch, terms.weight, (mean, outputs), update);
        Ok(())
    }
}
