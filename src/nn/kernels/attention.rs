//! Frames weighted by attention.

use candle_core::{D, Result, Tensor};

/// `frames` `[batch, frames, numbers]`, `scores` `[batch, frames]` → `[batch, numbers]`: the mean of the frames, weighted by the softmax of
/// their scores.
pub fn attention(frames: &Tensor, scores: &Tensor) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if frames.device().is_cuda() {
        return super::cuda::attention(frames, scores);
    }
    let weights = candle_nn::ops::softmax(scores, D::Minus1)?;
    weights.unsqueeze(1)?.matmul(frames)?.squeeze(1)
}
