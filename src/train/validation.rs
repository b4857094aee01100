//! Loss and scores of examples as they are, with the network as it is.

use candle_core::{DType, Tensor};

use super::Error;
use super::batches::{Batch, Data, Labels, Preparation, for_each_batch};
use super::divergence::{Divergence, Symptom};
use super::loss::{ExampleWeights, Loss, predictions};
use super::pairs::Outputs;
use super::trainer::read_every;
use crate::evaluate::{Score, score};
use crate::nn::{Mode, Network};

/// Loss and scores over a set of examples.
pub struct Evaluated {
    pub loss: f64,
    pub scores: Vec<Score>,
}

/// What a validation needs.
pub struct Validation<'a> {
    pub network: &'a Network,
    pub data: Data<'a>,
    pub loss: &'a Loss,
    pub weights: Option<&'a ExampleWeights>,
    pub batch_size: usize,
    /// What was done before, for messages.
    pub epoch: u32,
    pub step: u64,
}

impl Validation<'_> {
    /// Over `examples`; `None` where `interrupted` says so in between.
    pub fn of(&self, examples: &[usize], interrupted: impl Fn() -> bool) -> Result<Option<Evaluated>, Error> {
        let (data, loss) = (self.data, self.loss);
        let (mut sum, mut weight) = (0.0, 0.0);
        let mut predicted = Vec::with_capacity(examples.len() * data.problem.width());
        let mut whole: Vec<(Tensor, Tensor, Option<Tensor>)> = Vec::new();
        let mut stopped = false;
        // Losses of outputs that are not learned from are the CPU's work, wherever the outputs come from.
        let mut take = |(outputs, batch): (Outputs, Batch)| -> Result<(), Error> {
            let outputs = outputs.on_host()?;
            let total = outputs.total(loss, &batch, data)?;
            let outputs = outputs.predicted;
            let batch_sum = f64::from(total.sum.to_dtype(DType::F32)?.to_scalar::<f32>()?);
            let batch_predicted = predictions(data.problem, &outputs)?;
            if !batch_sum.is_finite() {
                return Err(self.diverged(Symptom::ValidationLoss, batch_sum, &batch));
            }
            if let Some(&value) = batch_predicted.iter().find(|value| !value.is_finite()) {
                return Err(self.diverged(Symptom::ValidationPrediction, value.into(), &batch));
            }
            sum += batch_sum;
            weight += total.weight;
            predicted.extend(batch_predicted);
            if loss.is_of_whole_batch() {
                whole.push((outputs, batch.targets, batch.weights));
            }
            Ok(())
        };
        let device = self.network.device();
        let mut unread = Vec::new();
        let preparation = Preparation {
            weights: self.weights,
            ..Preparation::default()
        };
        for_each_batch(
            data,
            examples,
            self.batch_size,
            device,
            preparation,
            |batch| -> Result<bool, Error> {
                stopped = interrupted();
                if stopped {
                    return Ok(false);
                }
                let outputs = Outputs::of(self.network, &batch, Mode::Evaluate)?.detach()?;
                unread.push((outputs, batch));
                if unread.len() >= read_every(device) {
                    unread.drain(..).try_for_each(&mut take)?;
                }
                Ok(true)
            },
        )?;
        if stopped {
            return Ok(None);
        }
        unread.drain(..).try_for_each(&mut take)?;
        let truth: Labels = data.labels.select(data.problem, examples);
        Ok(Some(Evaluated {
            loss: match loss.is_of_whole_batch() {
                true => loss_of_all(loss, &whole)?,
                false => ratio(sum, weight),
            },
            scores: score(data.problem, truth.truth(), &predicted)?,
        }))
    }

    fn diverged(&self, symptom: Symptom, value: f64, batch: &Batch) -> Error {
        let ids = self.data.names(&batch.examples);
        Divergence::new(symptom, value, self.epoch, self.step, ids).into()
    }
}

/// 0 where there is no weight.
pub fn ratio(sum: f64, weight: f64) -> f64 {
    if weight > 0.0 { sum / weight } else { 0.0 }
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
