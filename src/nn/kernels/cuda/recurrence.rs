//! Gated recurrent units: see `source/sequence.cu`.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::CudaStorage;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, LaunchConfig};
use candle_core::{DType, Layout, Result, Shape, Tensor};

use super::super::gru::Direction;
use super::gpu::{Address, Gpu, SEQUENCE, THREADS, blocks, elements, int, launch, parts, view, with_address};

/// r, z, n and h_n of every unit, `[batch, frames, 4, units]`, on the GPU.
pub struct Gates(CudaSlice<f32>);

/// Bytes of a block's shared memory that every GPU has.
const SHARED: usize = 48 << 10;

/// A block for each example, with `floats` numbers of shared memory for each unit.
fn examples(batch: usize, units: usize, floats: usize) -> Result<LaunchConfig> {
    let bytes = floats * units * size_of::<f32>();
    if bytes > SHARED {
        candle_core::bail!(
            "gru: {units} units are too many for the GPU, which takes up to {}; use the CPU (`--device cpu`)",
            SHARED / (floats * size_of::<f32>())
        )
    }
    let threads = (3 * units).next_multiple_of(32).min(1024);
    Ok(LaunchConfig {
        grid_dim: (int(batch)?.max(1) as u32, 1, 1),
        block_dim: (threads as u32, 1, 1),
        shared_mem_bytes: bytes as u32,
    })
}

/// `inputs` `[batch, frames, 3·units]`, `weight` `[3·units, units]`, `bias` `[3·units]` → the states `[batch, frames, units]`.
/// The sizes were checked by the operator.
pub fn gru(
    inputs: (&CudaStorage, &Layout),
    weight: (&CudaStorage, &Layout),
    bias: (&CudaStorage, &Layout),
    direction: Direction,
) -> Result<(CudaStorage, Shape, Gates)> {
    let gpu = Gpu::of(inputs.0.device());
    let (batch, frames, gates) = inputs.1.shape().dims3()?;
    let units = gates / 3;
    // [units, 3 · units]
    let transposed = gpu.empty::<f32>(gates * units)?;
    let (across, along) = (int(units)?, int(gates)?);
    let weight = gpu.address_of_view(&view::<f32>(weight.0, weight.1)?);
    let turned = gpu.address(&transposed);
    let all = elements(gates * units);
    launch!(gpu, SEQUENCE, "transpose", all, weight, along, across, turned)?;
    let out = gpu.empty::<f32>(batch * frames * units)?;
    let kept = gpu.empty::<f32>(batch * frames * 4 * units)?;
    let x = gpu.address_of_view(&view::<f32>(inputs.0, inputs.1)?);
    let bias = gpu.address_of_view(&view::<f32>(bias.0, bias.1)?);
    let (to, to_kept) = (gpu.address(&out), gpu.address(&kept));
    let backward = i32::from(direction == Direction::Backward);
    let steps = int(frames)?;
    let config = examples(batch, units, 4)?;
    launch!(
        gpu, SEQUENCE, "gru", config, x, turned, bias, steps, across, backward, to, to_kept
    )?;
    Ok((gpu.storage(out), Shape::from((batch, frames, units)), Gates(kept)))
}

/// The gradients of inputs, weight and bias.
pub fn gru_gradient(
    (inputs, weight): (&Tensor, &Tensor),
    (states, gates): (&Tensor, &Gates),
    gradient: &Tensor,
    direction: Direction,
) -> Result<(Tensor, Tensor, Tensor)> {
    let gpu = Gpu::of_tensor(inputs)?;
    let (batch, frames, of_gates) = inputs.dims3()?;
    let units = of_gates / 3;
    let count = batch * frames * of_gates;
    let (of_inputs, of_recurrent) = (gpu.empty::<f32>(count)?, gpu.empty::<f32>(count)?);
    let (to_inputs, to_recurrent) = (gpu.address(&of_inputs), gpu.address(&of_recurrent));
    let kept = gpu.address(&gates.0);
    let config = examples(batch, units, 7)?;
    let (steps, across) = (int(frames)?, int(units)?);
    let backward = i32::from(direction == Direction::Backward);
    with_address::<f32, _>(weight, |w| {
        with_address::<f32, _>(states, |h| {
            with_address::<f32, _>(gradient, |g| {
                launch!(
                    gpu,
                    SEQUENCE,
                    "gru_gradient",
                    config,
                    w,
                    h,
                    kept,
                    g,
                    steps,
                    across,
                    backward,
                    to_inputs,
                    to_recurrent
                )
            })
        })
    })?;
    let rows = batch * frames;
    let of_bias = column_sums(&gpu, to_recurrent, rows, of_gates)?;
    let recurrent = gpu.tensor(of_recurrent, (rows, of_gates));
    // The state before each.
    let nothing = Tensor::zeros((batch, 1, units), DType::F32, states.device())?;
    let rest = frames - 1;
    let previous = match direction {
        Direction::Forward => Tensor::cat(&[&nothing, &states.narrow(1, 0, rest)?], 1)?,
        Direction::Backward => Tensor::cat(&[&states.narrow(1, 1, rest)?, &nothing], 1)?,
    };
    let of_weight = recurrent.t()?.matmul(&previous.reshape((rows, units))?)?;
    Ok((gpu.tensor(of_inputs, inputs.shape()), of_weight, of_bias))
}

/// The sums of the columns of `[rows, width]`, `[width]`.
pub(super) fn column_sums(gpu: &Gpu, from: Address, rows: usize, width: usize) -> Result<Tensor> {
    let parts = parts(rows * width, width.div_ceil(256)).min(rows.max(1));
    let partial = gpu.empty::<f64>(width * parts)?;
    let sums = gpu.empty::<f32>(width)?;
    let (between, to) = (gpu.address(&partial), gpu.address(&sums));
    let (count, across, number) = (int(rows)?, int(width)?, int(parts)?);
    let columns = blocks(width.div_ceil(THREADS as usize), parts);
    launch!(
        gpu,
        SEQUENCE,
        "column_sums",
        columns,
        from,
        count,
        across,
        number,
        between
    )?;
    launch!(
        gpu,
        SEQUENCE,
        "sum_of_columns",
        elements(width),
        between,
        across,
        number,
        to
    )?;
    Ok(gpu.tensor(sums, width))
}
