//! Frames weighted by attention: see `source/sequence.cu`.

use std::sync::Mutex;

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::CudaStorage;
use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use super::super::tape::apply2;
use super::gpu::{Gpu, SEQUENCE, blocks, int, launch, view, with_address};

/// As [`super::super::attention()`].
pub fn attention(frames: &Tensor, scores: &Tensor) -> Result<Tensor> {
    let operator = Attention {
        weights: Mutex::new(None),
    };
    apply2(&frames.contiguous()?, &scores.contiguous()?, operator)
}

struct Attention {
    /// The softmax of the scores.
    weights: Mutex<Option<CudaSlice<f32>>>,
}

fn poisoned() -> candle_core::Error {
    candle_core::Error::Msg("an attention failed before".into())
}

impl CustomOp2 for Attention {
    fn name(&self) -> &'static str {
        "affect-attention"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("this attention is the GPU's")
    }

    fn cuda_fwd(
        &self,
        frames: &CudaStorage,
        frames_layout: &Layout,
        scores: &CudaStorage,
        scores_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let gpu = Gpu::of(frames.device());
        let (batch, count, numbers) = frames_layout.shape().dims3()?;
        if scores_layout.dims() != [batch, count] {
            candle_core::bail!(
                "attention: {:?} frames and {:?} scores",
                frames_layout.dims(),
                scores_layout.dims()
            )
        }
        let (out, weights) = (gpu.empty::<f32>(batch * numbers)?, gpu.empty::<f32>(batch * count)?);
        let from = gpu.address_of_view(&view::<f32>(frames, frames_layout)?);
        let scores = gpu.address_of_view(&view::<f32>(scores, scores_layout)?);
        let (to, to_weights) = (gpu.address(&out), gpu.address(&weights));
        int(count * numbers)?;
        let (count, across) = (int(count)?, int(numbers)?);
        launch!(
            gpu,
            SEQUENCE,
            "attention",
            blocks(batch, 1),
            from,
            scores,
            count,
            across,
            to,
            to_weights
        )?;
        *self.weights.lock().map_err(|_| poisoned())? = Some(weights);
        Ok((gpu.storage(out), Shape::from((batch, numbers))))
    }

    fn bwd(
        &self,
        frames: &Tensor,
        scores: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let weights = self.weights.lock().map_err(|_| poisoned())?;
        let Some(weights) = weights.as_ref() else {
            candle_core::bail!("an attention has no gradient before it was computed")
        };
        let gpu = Gpu::of_tensor(frames)?;
        let (batch, count, numbers) = frames.dims3()?;
        let (of_frames, of_scores) = (
            gpu.empty::<f32>(frames.elem_count())?,
            gpu.empty::<f32>(scores.elem_count())?,
        );
        let (to_frames, to_scores, weights) = (gpu.address(&of_frames), gpu.address(&of_scores), gpu.address(weights));
        let (count, across) = (int(count)?, int(numbers)?);
        with_address::<f32, _>(frames, |frames| {
            with_address::<f32, _>(gradient, |gradient| {
                launch!(
                    gpu,
                    SEQUENCE,
                    "attention_gradient",
                    blocks(batch, 1),
                    frames,
                    weights,
                    gradient,
                    count,
                    across,
                    to_frames,
                    to_scores
                )
            })
        })?;
        Ok((
            Some(gpu.tensor(of_frames, frames.shape())),
            Some(gpu.tensor(of_scores, scores.shape())),
        ))
    }
}
