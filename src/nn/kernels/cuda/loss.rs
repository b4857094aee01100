//! Losses with their gradients: see `source/loss.cu`.

use std::sync::Mutex;

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::CudaStorage;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DeviceRepr};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::super::tape::apply1;
use super::facts::FactsAt;
use super::gpu::{Address, Gpu, LOSS, blocks, elements, int, launch, view, with_address};

/// How far two numbers are apart; the kernels' `Distance`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct Distance {
    /// 0 squared, 1 absolute, 2 smooth.
    kind: i32,
    beta: f32,
    scale: f32,
}

// SAFETY: three numbers of 32 bits, as the kernels' `Distance`.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Distance {}

impl Distance {
    pub const SQUARED: Self = Self::new(0, 1.0, 1.0);
    pub const ABSOLUTE: Self = Self::new(1, 1.0, 1.0);

    const fn new(kind: i32, beta: f32, scale: f32) -> Self {
        Self { kind, beta, scale }
    }

    /// `scale` times: x² / (2β) below β, |x| − β / 2 above.
    pub const fn smooth(beta: f32, scale: f32) -> Self {
        Self::new(2, beta, scale)
    }
}

/// A loss, which says what the facts are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LossKind {
    /// Truth and coefficient of every value, each in the shape of the outputs.
    Values(Distance),
    /// Of outputs `[batch, targets]`: truth and shares in their shape, weights `[targets]`.
    Concordance,
    /// Of outputs `[batch, classes]`: class, other class, and three coefficients, all `[batch]`, and weights `[classes]`.
    Classes,
    /// Of logits `[pairs, pairs]`: picture, clip, whether they match, and coefficient, all `[pairs]`.
    Contrastive,
}

/// The loss of `outputs`, a scalar.
pub fn loss(outputs: &Tensor, kind: LossKind, facts: FactsAt) -> Result<Tensor> {
    let operator = Loss {
        kind,
        facts,
        gradient: Mutex::new(None),
    };
    apply1(&outputs.contiguous()?, operator)
}

struct Loss {
    kind: LossKind,
    facts: FactsAt,
    /// Of the outputs.
    gradient: Mutex<Option<CudaSlice<f32>>>,
}

impl Loss {
    /// Writes loss and gradient.
    fn run(&self, gpu: &Gpu, said: Address, shape: &Shape, loss: Address, gradient: Address) -> Result<()> {
        let one = blocks(1, 1);
        if let LossKind::Values(distance) = self.kind {
            let count = shape.elem_count();
            let (facts, count) = (self.facts.address(2 * count)?, int(count)?);
            return launch!(
                gpu,
                LOSS,
                "loss_of_values",
                one,
                said,
                facts,
                count,
                distance,
                loss,
                gradient
            );
        }
        let (rows, columns) = shape.dims2()?;
        int(rows * columns)?;
        let (batch, width) = (int(rows)?, int(columns)?);
        match self.kind {
            LossKind::Values(_) => Ok(()),
            LossKind::Concordance => {
                let facts = self.facts.address(2 * rows * columns + columns)?;
                launch!(
                    gpu,
                    LOSS,
                    "loss_of_concordance",
                    one,
                    said,
                    facts,
                    batch,
                    width,
                    loss,
                    gradient
                )
            }
            LossKind::Classes => {
                let facts = self.facts.address(5 * rows + columns)?;
                launch!(
                    gpu,
                    LOSS,
                    "loss_of_classes",
                    one,
                    said,
                    facts,
                    batch,
                    width,
                    loss,
                    gradient
                )
            }
            LossKind::Contrastive => {
                if rows != columns {
                    candle_core::bail!("{rows} pictures and {columns} clips make no pairs")
                }
                let facts = self.facts.address(4 * rows)?;
                let kept = gpu.empty::<f64>(2 * rows)?;
                let normals = gpu.address(&kept);
                let lines = blocks(rows, 2);
                launch!(gpu, LOSS, "contrastive_normals", lines, said, facts, batch, normals)?;
                launch!(gpu, LOSS, "contrastive_loss", one, said, facts, normals, batch, loss)?;
                let cells = elements(rows * columns);
                launch!(
                    gpu,
                    LOSS,
                    "contrastive_gradient",
                    cells,
                    said,
                    facts,
                    normals,
                    batch,
                    gradient
                )
            }
        }
    }
}

impl CustomOp1 for Loss {
    fn name(&self) -> &'static str {
        "affect-loss"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("these losses are the GPU's")
    }

    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let gpu = Gpu::of(storage.device());
        let said = gpu.address_of_view(&view::<f32>(storage, layout)?);
        let out = gpu.empty::<f32>(1)?;
        let gradient = gpu.empty::<f32>(layout.shape().elem_count())?;
        self.run(&gpu, said, layout.shape(), gpu.address(&out), gpu.address(&gradient))?;
        match self.gradient.lock() {
            Ok(mut kept) => *kept = Some(gradient),
            Err(_) => candle_core::bail!("a loss failed before"),
        }
        Ok((gpu.storage(out), Shape::from(())))
    }

    fn bwd(&self, outputs: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let Ok(kept) = self.gradient.lock() else {
            candle_core::bail!("a loss failed before")
        };
        let Some(kept) = kept.as_ref() else {
            candle_core::bail!("a loss has no gradient before it was computed")
        };
        let gpu = Gpu::of_tensor(outputs)?;
        let count = outputs.elem_count();
        let out = gpu.empty::<f32>(count)?;
        let (values, to) = (gpu.address(kept), gpu.address(&out));
        with_address::<f32, _>(gradient, |factor| {
            launch!(gpu, LOSS, "scaled", elements(count), values, factor, to, count)
        })?;
        Ok(Some(gpu.tensor(out, outputs.shape())))
    }
}
