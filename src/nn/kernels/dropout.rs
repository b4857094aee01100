//! Inverted dropout: some values become 0, all others are multiplied by 1 / (1 − probability).

use candle_core::{Result, Tensor};

use crate::random::Generator;

/// Any shape → the same shape. `generator` draws for each value, in order, whether it becomes 0; a GPU draws the very same.
/// `probability` in [0, 1).
pub fn dropout(value: &Tensor, probability: f64, mut generator: Generator) -> Result<Tensor> {
    let keep = (1.0 / (1.0 - probability)) as f32;
    #[cfg(feature = "cuda")]
    if value.device().is_cuda() {
        let key = generator.key();
        return super::cuda::dropout(value, super::cuda::Mask { key, probability, keep });
    }
    let mask: Vec<f32> = (0..value.elem_count())
        .map(|_| if generator.chance(probability) { 0.0 } else { keep })
        .collect();
    value * Tensor::from_vec(mask, value.shape(), value.device())?
}
