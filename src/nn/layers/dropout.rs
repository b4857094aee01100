//! Inverted dropout.

use candle_core::{Result, Tensor};

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
    let keep = (1.0 / (1.0 - probability)) as f32;
    let position = match place {
        0 => vec![step, pass.layer],
        place => vec![step, pass.layer, place],
    };
    let mut generator = Generator::keyed(seed, "dropout", &position);
    let mask: Vec<f32> = (0..value.elem_count())
        .map(|_| if generator.chance(probability) { 0.0 } else { keep })
        .collect();
    value * Tensor::from_vec(mask, value.shape(), value.device())?
}
