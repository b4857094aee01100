//! Inverted dropout: some values become 0, all others are multiplied by 1 / (1 − probability).

use candle_core::{Result, Tensor};

use crate::random::Generator;

/// The number of a training step.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    Known(u64),
    /// It lies on the GPU, so that work which was recorded once can be done again for later steps.
    #[cfg(feature = "cuda")]
    OnGpu(&'static super::cuda::StepCell),
}

/// Any shape → the same shape. For each value, in order, the stream of `generator` that has the number of the step draws whether it becomes
/// 0; a GPU draws the very same. `probability` in [0, 1).
pub fn dropout(value: &Tensor, probability: f64, generator: &Generator, step: Step) -> Result<Tensor> {
    let keep = (1.0 / (1.0 - probability)) as f32;
    #[cfg(feature = "cuda")]
    if value.device().is_cuda() {
        let key = generator.key();
        let mask = super::cuda::Mask {
            key,
            step,
            probability,
            keep,
        };
        return super::cuda::dropout(value, mask);
    }
    let mut generator = match step {
        Step::Known(step) => generator.clone().at(step),
        #[cfg(feature = "cuda")]
        Step::OnGpu(_) => candle_core::bail!("the number of the step is on the GPU, the values are not"),
    };
    let mask: Vec<f32> = (0..value.elem_count())
        .map(|_| if generator.chance(probability) { 0.0 } else { keep })
        .collect();
    value * Tensor::from_vec(mask, value.shape(), value.device())?
}
