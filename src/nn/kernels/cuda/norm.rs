//! Batch norm and layer norm: see `source/block.cu` and `source/sequence.cu`.

use std::sync::Arc;

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::CudaStorage;
use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::{Layout, Result, Tensor};

use super::super::conv::Rectifier;
use super::gpu::{
    Address, BLOCK, Gpu, SEQUENCE, address_within, blocks, elements, int, launch, parts, view, with_address,
};
use super::surroundings::{Back, Finish, Sizes, Sums, statistics};

/// What a batch was normalised with, on the GPU: mean, variance and 1 / σ of each channel.
#[derive(Debug, Clone)]
pub struct Statistics {
    array: Arc<CudaSlice<f64>>,
    /// Values per channel.
    count: usize,
}

impl Statistics {
    pub(super) fn new(array: CudaSlice<f64>, count: usize) -> Self {
        Self {
            array: Arc::new(array),
            count,
        }
    }

    pub(super) fn address(&self, gpu: &Gpu) -> Address {
        gpu.address(&self.array)
    }

    /// Moves running averages towards the batch: the variance without bias, as PyTorch does.
    pub fn follow(&self, mean: &Tensor, variance: &Tensor, momentum: f64) -> Result<()> {
        let count = self.count as f64;
        let unbiased = if count > 1.0 { count / (count - 1.0) } else { 1.0 };
        let gpu = Gpu::of_tensor(mean)?;
        let channels = mean.elem_count();
        let (mean, variance, from) = (address_within(mean)?, address_within(variance)?, self.address(&gpu));
        let number = int(channels)?;
        launch!(
            gpu,
            BLOCK,
            "follow",
            elements(channels),
            mean,
            variance,
            from,
            number,
            momentum,
            unbiased
        )
    }
}

fn sizes_of(input: &[usize]) -> Result<Sizes> {
    let &[batch, channels, rows, columns] = input else {
        candle_core::bail!("batch_norm takes [batch, channels, rows, columns], not {input:?}")
    };
    Sizes::new([batch, channels, rows, columns], (1, 1))
}

/// `[batch, channels, rows, columns]` → the same, normalised by its own statistics.
pub fn batch_norm(
    input: (&CudaStorage, &Layout),
    gamma: (&CudaStorage, &Layout),
    beta: (&CudaStorage, &Layout),
    epsilon: f64,
) -> Result<(CudaStorage, Statistics)> {
    let gpu = Gpu::of(input.0.device());
    let sizes = sizes_of(input.1.dims())?;
    let address =
        |of: (&CudaStorage, &Layout)| Ok::<_, candle_core::Error>(gpu.address_of_view(&view::<f32>(of.0, of.1)?));
    let (values, gamma, beta) = (address(input)?, address(gamma)?, address(beta)?);
    let identity = Rectifier::Identity.into();
    let values = Sums::in_32_bits(values);
    let (statistics, affine) = statistics(&gpu, sizes, (values, Address::NONE, identity), (gamma, beta), epsilon)?;
    let out = gpu.empty::<f32>(sizes.values())?;
    let finish = Finish {
        sizes,
        bias: Address::NONE,
        affine: gpu.address(&affine),
        first: identity,
        last: identity,
    };
    finish.run(&gpu, values, gpu.address(&out), (Address::NONE, Address::NONE))?;
    Ok((gpu.storage(out), statistics))
}

/// The gradients of input, gamma and beta.
pub fn batch_norm_gradient(
    input: &Tensor,
    gamma: &Tensor,
    statistics: &Statistics,
    gradient: &Tensor,
) -> Result<(Tensor, Tensor, Tensor)> {
    let gpu = Gpu::of_tensor(input)?;
    let sizes = sizes_of(input.dims())?;
    let channels = sizes.channels();
    // Of a bias, which there is not, gamma and beta.
    let of_shifts = gpu.empty::<f32>(3 * channels)?;
    let of_input = gpu.empty::<f32>(sizes.values())?;
    let identity = Rectifier::Identity.into();
    with_address::<f32, _>(input, |values| {
        with_address::<f32, _>(gamma, |gamma| {
            with_address::<f32, _>(gradient, |gradient| {
                let back = Back {
                    sizes,
                    sums: Sums::in_32_bits(values),
                    bias: Address::NONE,
                    gamma,
                    // The identity's derivative does not look at its value.
                    out: gradient,
                    place: Address::NONE,
                    won: Address::NONE,
                    gradient,
                    statistics: Some(statistics),
                    first: identity,
                    last: identity,
                };
                back.run(&gpu, gpu.address(&of_shifts), Sums::in_32_bits(gpu.address(&of_input)))
            })
        })
    })?;
    let shifts = gpu.tensor(of_shifts, (3, channels));
    Ok((gpu.tensor(of_input, input.shape()), shifts.get(1)?, shifts.get(2)?))
}

/// Mean and 1 / σ of each row, on the GPU.
pub struct LayerNormed(CudaSlice<f64>);

/// `[rows, width]` → the same, each row normalised.
pub fn layer_norm(
    input: (&CudaStorage, &Layout),
    gain: (&CudaStorage, &Layout),
    offset: (&CudaStorage, &Layout),
    epsilon: f64,
) -> Result<(CudaStorage, LayerNormed)> {
    let gpu = Gpu::of(input.0.device());
    let (rows, width) = input.1.shape().dims2()?;
    let address =
        |of: (&CudaStorage, &Layout)| Ok::<_, candle_core::Error>(gpu.address_of_view(&view::<f32>(of.0, of.1)?));
    let (values, gain, offset) = (address(input)?, address(gain)?, address(offset)?);
    let out = gpu.empty::<f32>(rows * width)?;
    let statistics = gpu.empty::<f64>(2 * rows)?;
    let (to, kept, number) = (gpu.address(&out), gpu.address(&statistics), int(width)?);
    int(rows)?;
    launch!(
        gpu,
        SEQUENCE,
        "layer_norm",
        blocks(rows, 1),
        values,
        gain,
        offset,
        number,
        epsilon,
        to,
        kept
    )?;
    Ok((gpu.storage(out), LayerNormed(statistics)))
}

/// The gradients of input, gain and offset.
pub fn layer_norm_gradient(
    input: &Tensor,
    gain: &Tensor,
    statistics: &LayerNormed,
    gradient: &Tensor,
) -> Result<(Tensor, Tensor, Tensor)> {
    let gpu = Gpu::of_tensor(input)?;
    let (rows, width) = input.dims2()?;
    let out = gpu.empty::<f32>(rows * width)?;
    let kept = gpu.address(&statistics.0);
    let parts = parts(rows * width, width.div_ceil(256)).min(rows.max(1));
    let [gains, offsets] = [gpu.empty::<f64>(width * parts)?, gpu.empty::<f64>(width * parts)?];
    let (to, to_gains, to_offsets) = (gpu.address(&out), gpu.address(&gains), gpu.address(&offsets));
    let (count, across, number) = (int(rows)?, int(width)?, int(parts)?);
    let columns = blocks(width.div_ceil(super::gpu::THREADS as usize), parts);
    with_address::<f32, _>(input, |x| {
        with_address::<f32, _>(gradient, |g| {
            with_address::<f32, _>(gain, |gain| {
                launch!(
                    gpu,
                    SEQUENCE,
                    "layer_norm_gradient",
                    blocks(rows, 1),
                    x,
                    gain,
                    kept,
                    g,
                    across,
                    to
                )
            })?;
            launch!(
                gpu,
                SEQUENCE,
                "layer_norm_columns",
                columns,
                x,
                kept,
                g,
                count,
                across,
                number,
                to_gains,
                to_offsets
            )
        })
    })?;
    let total = |partial: Address| -> Result<Tensor> {
        let sums = gpu.empty::<f32>(width)?;
        let to = gpu.address(&sums);
        launch!(
            gpu,
            SEQUENCE,
            "sum_of_columns",
            elements(width),
            partial,
            across,
            number,
            to
        )?;
        Ok(gpu.tensor(sums, width))
    };
    Ok((gpu.tensor(out, input.shape()), total(to_gains)?, total(to_offsets)?))
}
