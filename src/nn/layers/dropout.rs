//! Inverted dropout.

use candle_core::{Result, Tensor};

use super::super::kernels;
use super::Pass;
use crate::nn::network::Mode;
use crate::random::Generator;

/// The mask depends on the seed, the step, the layer and the place within it only.
pub fn apply(value: &Tensor, probability: Option<f64>, pass: Pass, place: u64) -> Result<Tensor> {
    let (Some(probability), Mode::Train { seed, step }) = (probability, pass.mode) else {
        return Ok(value.clone());
    };
    if probability == 0.0 {
        return Ok(value.clone());
    }
    let generator = Generator::keyed(seed, "dropout", &[pass.layer, place]);
    kernels::dropout(value, probability, &generator, step)
}
