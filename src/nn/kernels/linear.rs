//! Fully connected layers of vectors.

use candle_core::{Result, Tensor};

use super::product;

/// `input` `[rows, inputs]`, `weight` `[units, inputs]`, `bias` `[units]` → `[rows, units]`, on a GPU in the precision of the settings.
pub fn linear(input: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if input.device().is_cuda() {
        return super::cuda::linear(input, weight, bias);
    }
    product(input, &weight.t()?)?.broadcast_add(bias)
}

/// [`linear`] with a bias of 0.
pub fn linear_without_bias(input: &Tensor, weight: &Tensor) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if input.device().is_cuda() {
        return super::cuda::linear_without_bias(input, weight);
    }
    product(input, &weight.t()?)
}
