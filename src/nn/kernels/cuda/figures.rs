//! Mean and deviation of rows: see `source/sequence.cu`.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::super::figures::Figure;
use super::super::tape::{self, apply1};
use super::gpu::{Gpu, SEQUENCE, blocks, int, launch, view, with_address};

/// As [`super::super::figures()`].
pub fn figures(values: &Tensor, wanted: &[Figure]) -> Result<Vec<Tensor>> {
    let (batch, rows, _) = values.dims3()?;
    let epsilon = |figure: &Figure| match figure {
        Figure::Deviation { epsilon } => Some(*epsilon),
        Figure::Mean => None,
    };
    let epsilon = wanted.iter().find_map(epsilon).unwrap_or(0.0);
    let both = apply1(&values.contiguous()?, Figures { epsilon })?;
    let one = |wanted: &Figure| {
        let number = match wanted {
            Figure::Mean => 0,
            Figure::Deviation { .. } => 1,
        };
        tape::reshape(&tape::narrow(&both, 0, number, 1)?, (batch, rows))
    };
    wanted.iter().map(one).collect()
}

/// `[batch, rows, values]` → the means and the deviations, `[2, batch · rows]`.
struct Figures {
    epsilon: f64,
}

impl CustomOp1 for Figures {
    fn name(&self) -> &'static str {
        "affect-figures"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("these figures are the GPU's")
    }

    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let gpu = Gpu::of(storage.device());
        let (batch, rows, width) = layout.shape().dims3()?;
        let all = batch * rows;
        let out = gpu.empty::<f32>(2 * all)?;
        let (from, to) = (gpu.address_of_view(&view::<f32>(storage, layout)?), gpu.address(&out));
        let (width, epsilon) = (int(width)?, self.epsilon);
        int(all)?;
        launch!(gpu, SEQUENCE, "figures", blocks(all, 1), from, width, epsilon, to)?;
        Ok((gpu.storage(out), Shape::from((2, all))))
    }

    fn bwd(&self, values: &Tensor, figures: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let gpu = Gpu::of_tensor(values)?;
        let (batch, rows, width) = values.dims3()?;
        let out = gpu.empty::<f32>(values.elem_count())?;
        let (to, width) = (gpu.address(&out), int(width)?);
        with_address::<f32, _>(values, |values| {
            with_address::<f32, _>(figures, |figures| {
                with_address::<f32, _>(gradient, |gradient| {
                    let config = blocks(batch * rows, 1);
                    launch!(
                        gpu,
                        SEQUENCE,
                        "figures_gradient",
                        config,
                        values,
                        figures,
                        gradient,
                        width,
                        to
                    )
                })
            })
        })?;
        Ok(Some(gpu.tensor(out, values.shape())))
    }
}
