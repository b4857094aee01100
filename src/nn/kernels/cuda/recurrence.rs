//! Gated recurrent units: see `source/sequence.cu`.

use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DeviceRepr, LaunchConfig};
use candle_core::{Result, Tensor};

use super::super::gru::Direction;
use super::gpu::{Address, Gpu, SEQUENCE, THREADS, blocks, elements, int, launch, parts, with_address};

/// r, z, n and h_n of every unit, `[directions, batch, frames, 4, units]`, on the GPU.
pub struct Gates(CudaSlice<f32>);

/// Bytes of a block's shared memory that every GPU has.
const SHARED: usize = 48 << 10;

/// The weights of the recurrence `[3·units, units]`, its bias `[3·units]`, and its way.
#[derive(Clone, Copy)]
pub struct Recurrence {
    pub weight: Address,
    pub bias: Address,
    pub direction: Direction,
}

/// One or two directions of the same size.
#[derive(Clone, Copy)]
pub struct Sizes {
    pub batch: usize,
    pub frames: usize,
    pub units: usize,
}

/// The arrays of one or two directions, as the kernels' `Directions`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Directions {
    first: Address,
    second: Address,
}

// SAFETY: two addresses, as the kernels' `Directions`.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Directions {}

impl Directions {
    fn of(each: impl IntoIterator<Item = Address>) -> Self {
        let mut each = each.into_iter();
        Self {
            first: each.next().unwrap_or(Address::NONE),
            second: each.next().unwrap_or(Address::NONE),
        }
    }
}

/// Bit d for direction d, where it walks from the last frame.
fn backward_bits(all: &[Recurrence]) -> i32 {
    let bit = |(number, of): (usize, &Recurrence)| i32::from(of.direction == Direction::Backward) << number;
    all.iter().enumerate().map(bit).sum()
}

/// A block for each example and direction, with `floats` numbers of shared memory for each unit.
fn blocks_of(sizes: Sizes, directions: usize, floats: usize) -> Result<LaunchConfig> {
    let Sizes { batch, units, .. } = sizes;
    let bytes = floats * units * size_of::<f32>();
    if bytes > SHARED {
        candle_core::bail!(
            "gru: {units} units are too many for the GPU, which takes up to {}; use the CPU (`--device cpu`)",
            SHARED / (floats * size_of::<f32>())
        )
    }
    let threads = (3 * units).next_multiple_of(32).min(1024);
    Ok(LaunchConfig {
        grid_dim: (int(batch)?.max(1) as u32, directions as u32, 1),
        block_dim: (threads as u32, 1, 1),
        shared_mem_bytes: bytes as u32,
    })
}

/// `inputs` `[batch, frames, 3·units]` of each direction → the states `[batch, frames, directions · units]`. At most two directions. The
/// sizes were checked by the operator.
pub fn gru(gpu: &Gpu, sizes: Sizes, inputs: &[Address], all: &[Recurrence]) -> Result<(CudaSlice<f32>, Gates)> {
    let Sizes { batch, frames, units } = sizes;
    let (across, along, steps) = (int(units)?, int(3 * units)?, int(frames)?);
    let turned = |of: &Recurrence| {
        // [units, 3 · units]
        let transposed = gpu.empty::<f32>(3 * units * units)?;
        let (weight, to) = (of.weight, gpu.address(&transposed));
        let elements = elements(3 * units * units);
        launch!(gpu, SEQUENCE, "transpose", elements, weight, along, across, to)?;
        Ok::<_, candle_core::Error>(transposed)
    };
    let transposed = all.iter().map(turned).collect::<Result<Vec<_>>>()?;
    let out = gpu.empty::<f32>(batch * frames * all.len() * units)?;
    let kept = gpu.empty::<f32>(all.len() * batch * frames * 4 * units)?;
    let (to, to_kept) = (gpu.address(&out), gpu.address(&kept));
    let x = Directions::of(inputs.iter().copied());
    let weights = Directions::of(transposed.iter().map(|transposed| gpu.address(transposed)));
    let biases = Directions::of(all.iter().map(|of| of.bias));
    let (config, backward) = (blocks_of(sizes, all.len(), 4)?, backward_bits(all));
    launch!(
        gpu, SEQUENCE, "gru", config, x, weights, biases, steps, across, backward, to, to_kept
    )?;
    Ok((out, Gates(kept)))
}

/// The gradients of one direction's inputs, weight and bias.
pub struct Gradients {
    pub inputs: Tensor,
    pub weight: Tensor,
    pub bias: Tensor,
}

/// Of each direction.
pub fn gru_gradient(
    gpu: &Gpu,
    sizes: Sizes,
    all: &[Recurrence],
    (states, gates): (&Tensor, &Gates),
    gradient: &Tensor,
) -> Result<Vec<Gradients>> {
    let Sizes { batch, frames, units } = sizes;
    let rows = batch * frames;
    let each = |width: usize| {
        let empty = |_: &Recurrence| gpu.empty::<f32>(rows * width);
        all.iter().map(empty).collect::<Result<Vec<_>>>()
    };
    let (of_inputs, of_recurrent, previous) = (each(3 * units)?, each(3 * units)?, each(units)?);
    let addresses = |arrays: &[CudaSlice<f32>]| Directions::of(arrays.iter().map(|array| gpu.address(array)));
    let (to_inputs, to_recurrent) = (addresses(&of_inputs), addresses(&of_recurrent));
    let (to_previous, weights) = (addresses(&previous), Directions::of(all.iter().map(|of| of.weight)));
    let kept = gpu.address(&gates.0);
    let (config, backward) = (blocks_of(sizes, all.len(), 7)?, backward_bits(all));
    let (steps, across) = (int(frames)?, int(units)?);
    with_address::<f32, _>(states, |h| {
        with_address::<f32, _>(gradient, |g| {
            launch!(
                gpu,
                SEQUENCE,
                "gru_gradient",
                config,
                weights,
                h,
                kept,
                g,
                steps,
                across,
                backward,
                to_inputs,
                to_recurrent,
                to_previous
            )
        })
    })?;
    let arrays = of_inputs.into_iter().zip(of_recurrent).zip(previous);
    arrays
        .map(|((inputs, recurrent), previous)| {
            let bias = column_sums(gpu, gpu.address(&recurrent), rows, 3 * units)?;
            let recurrent = gpu.tensor(recurrent, (rows, 3 * units));
            Ok(Gradients {
                inputs: gpu.tensor(inputs, (batch, frames, 3 * units)),
                weight: recurrent.t()?.matmul(&gpu.tensor(previous, (rows, units)))?,
                bias,
            })
        })
        .collect()
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
