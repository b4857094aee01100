//! What a trained network says.

use candle_core::Tensor;

use super::Error;
use super::batches::{Data, Preparation, for_each_batch};
use super::loss::predictions;
use super::trainer::read_every;
use crate::nn::{Mode, Network};

/// The network's predictions for `examples`: `[examples, targets]` in the units of the data, or class probabilities; all of
/// them finite.
pub fn predict(network: &Network, data: Data, examples: &[usize], batch_size: usize) -> Result<Vec<f32>, Error> {
    let mut predicted = Vec::with_capacity(examples.len() * data.problem.width());
    let mut take = |(outputs, examples): (Tensor, Vec<usize>)| -> Result<(), Error> {
        let of_batch = predictions(data.problem, &outputs)?;
        if let Some(at) = of_batch.iter().position(|value| !value.is_finite()) {
            let example = examples.get(at / data.problem.width().max(1));
            return Err(Error::Prediction {
                id: example
                    .and_then(|&example| data.ids.get(example))
                    .cloned()
                    .unwrap_or_default(),
                value: of_batch.get(at).copied().unwrap_or(f32::NAN).into(),
            });
        }
        predicted.extend(of_batch);
        Ok(())
    };
    let device = network.device();
    let mut unread = Vec::new();
    for_each_batch(
        data,
        examples,
        batch_size,
        device,
        Preparation::default(),
        |batch| -> Result<bool, Error> {
            let outputs = network.forward(&batch.inputs, Mode::Evaluate)?.detach();
            unread.push((outputs, batch.examples));
            if unread.len() >= read_every(device) {
                unread.drain(..).try_for_each(&mut take)?;
            }
            Ok(true)
        },
    )?;
    unread.drain(..).try_for_each(&mut take)?;
    Ok(predicted)
}
