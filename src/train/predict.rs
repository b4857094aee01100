//! What a trained network says.

use super::Error;
use super::batches::{Data, Preparation, for_each_batch};
use super::loss::predictions;
use crate::nn::{Mode, Network};

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
