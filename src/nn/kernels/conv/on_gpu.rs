//! Blocks of a network that is trained on a GPU: their parameters stay where they are, and their gradients are collected
//! ([`super::super::direct`]).

use std::sync::{Arc, Mutex};

use candle_core::{CpuStorage, CudaStorage, CustomOp2, Layout, Result, Shape, Tensor};

use super::super::batch_norm::BatchStatistics;
use super::super::cuda::{BlockSaved, Shifts, address_within, block_backward, block_forward};
use super::super::direct::{ends_here, give, is_collecting};
use super::super::tape::apply2;
use super::{Block, LARGEST_WINDOW, Norm, Pooled, Sizes, Wanted, poisoned};

/// The block's output and what it was normalised with; `None` where gradients are not collected, or a parameter is what others computed.
pub fn block(
    input: &Tensor,
    kernel: &Tensor,
    (bias, affine): (&Tensor, Option<(&Tensor, &Tensor)>),
    block: Block,
) -> Result<Option<(Tensor, BatchStatistics)>> {
    let parameters = [Some(kernel), Some(bias), affine.map(|of| of.0), affine.map(|of| of.1)];
    let fits = |parameter: &Tensor| ends_here(parameter) && parameter.is_contiguous();
    if !input.device().is_cuda()
        || !is_collecting()
        || block.norm == Some(Norm::Constant)
        || block.window.0 * block.window.1 > LARGEST_WINDOW
        || !parameters.into_iter().flatten().all(fits)
    {
        return Ok(None);
    }
    let state = Arc::new(Mutex::new(None));
    let operator = Operator {
        block,
        wanted: Wanted::of(input),
        bias: bias.clone(),
        affine: affine.map(|(gamma, beta)| (gamma.clone(), beta.clone())),
        state: Arc::clone(&state),
    };
    let out = apply2(&input.contiguous()?, kernel, operator)?;
    let statistics = state.lock().map_err(|_| poisoned())?;
    let statistics = BatchStatistics {
        on_gpu: statistics
            .as_ref()
            .and_then(|saved: &BlockSaved| saved.statistics.clone()),
        ..BatchStatistics::default()
    };
    Ok(Some((out, statistics)))
}

struct Operator {
    block: Block,
    wanted: Wanted,
    bias: Tensor,
    /// Gamma and beta.
    affine: Option<(Tensor, Tensor)>,
    /// Given up by the backward pass, which runs once.
    state: Arc<Mutex<Option<BlockSaved>>>,
}

impl Operator {
    /// Where the parameters lie, for `filters`.
    fn shifts(&self, filters: usize) -> Result<Shifts> {
        let one = |tensor: &Tensor| {
            if tensor.elem_count() != filters {
                candle_core::bail!(
                    "conv2d: {filters} filters need as many numbers, not {}",
                    tensor.elem_count()
                )
            }
            address_within(tensor)
        };
        let bias = one(&self.bias)?;
        let (gamma, beta) = match &self.affine {
            Some((gamma, beta)) => (one(gamma)?, one(beta)?),
            None => (bias, bias),
        };
        Ok(Shifts { bias, gamma, beta })
    }
}

impl CustomOp2 for Operator {
    fn name(&self) -> &'static str {
        "affect-conv2d-on-gpu"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("this block is the GPU's")
    }

    fn cuda_fwd(
        &self,
        input: &CudaStorage,
        input_layout: &Layout,
        kernel: &CudaStorage,
        kernel_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let sizes = Sizes::new(input_layout.dims(), kernel_layout.dims(), self.block.geometry)?;
        if Pooled::new(&sizes, self.block.window).plane() == 0 {
            let ((rows, columns), window) = (sizes.out, self.block.window);
            candle_core::bail!("conv2d: windows of {window:?} are larger than {rows} × {columns}")
        }
        let shifts = self.shifts(sizes.filters)?;
        let operands = ((input, input_layout), (kernel, kernel_layout));
        let forward = block_forward(&self.block, operands.0, operands.1, shifts, Some(self.wanted))?;
        *self.state.lock().map_err(|_| poisoned())? = Some(forward.saved);
        Ok((forward.out, forward.shape))
    }

    fn bwd(
        &self,
        input: &Tensor,
        kernel: &Tensor,
        out: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let Some(saved) = self.state.lock().map_err(|_| poisoned())?.take() else {
            candle_core::bail!("conv2d: the backward pass ran before, and what it needs is gone")
        };
        let filters = kernel.dim(0)?;
        let operands = (input, kernel, self.shifts(filters)?);
        let gradients = block_backward(&self.block, &saved, operands, (out, gradient), self.wanted)?;
        let part = |number: usize| gradients.shifts.narrow(0, number * filters, filters);
        give(&self.bias, part(0)?)?;
        if let Some((gamma, beta)) = &self.affine {
            give(gamma, part(1)?)?;
            give(beta, part(2)?)?;
        }
        Ok((gradients.images, give(kernel, gradients.kernel)?))
    }
}
