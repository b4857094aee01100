//! Pooling: see `source/pool.cu`.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::CudaStorage;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DeviceRepr};
use candle_core::{Layout, Result, Shape, Tensor};

use super::super::cells::Cells;
use super::gpu::{Gpu, POOL, elements, int, launch, view, with_address};

/// Cells along one side of a plane; a grid has size 0.
#[derive(Clone, Copy)]
#[repr(C)]
struct Side {
    length: i32,
    cells: i32,
    size: i32,
    stride: i32,
    padding: i32,
}

// SAFETY: five numbers of 32 bits, as the kernels' `Side`.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Side {}

/// Where the maximum of each cell stands in its plane, on the GPU.
pub struct Winners(CudaSlice<u32>);

struct Planes {
    rows: Side,
    columns: Side,
    number: usize,
    shape: Shape,
}

impl Planes {
    fn new(cells: Cells, input: &[usize]) -> Result<Self> {
        let &[batch, channels, rows, columns] = input else {
            candle_core::bail!("pooling takes [batch, channels, rows, columns], not {input:?}")
        };
        let Some(count) = cells.count((rows, columns)) else {
            candle_core::bail!("pooling: {rows} × {columns} cannot be divided into {cells:?}")
        };
        let side = |length: usize, cells_along: usize, window: (usize, usize, usize)| -> Result<Side> {
            Ok(Side {
                length: int(length)?,
                cells: int(cells_along)?,
                size: int(window.0)?,
                stride: int(window.1.max(1))?,
                padding: int(window.2)?,
            })
        };
        let (of_rows, of_columns) = match cells {
            Cells::Grid(..) => ((0, 1, 0), (0, 1, 0)),
            Cells::Windows(windows) => (
                (windows.size.0, windows.stride.0, windows.padding.0),
                (windows.size.1, windows.stride.1, windows.padding.1),
            ),
        };
        int(rows * columns)?;
        int(count.0 * count.1)?;
        Ok(Self {
            rows: side(rows, count.0, of_rows)?,
            columns: side(columns, count.1, of_columns)?,
            number: batch * channels,
            shape: Shape::from((batch, channels, count.0, count.1)),
        })
    }
}

pub fn max_pool(cells: Cells, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape, Winners)> {
    let gpu = Gpu::of(storage.device());
    let planes = Planes::new(cells, layout.dims())?;
    let input = gpu.address_of_view(&view::<f32>(storage, layout)?);
    let count = planes.shape.elem_count();
    let (out, winners) = (gpu.empty::<f32>(count)?, gpu.empty::<u32>(count)?);
    let (to, won) = (gpu.address(&out), gpu.address(&winners));
    let (rows, columns, number) = (planes.rows, planes.columns, planes.number);
    launch!(
        gpu,
        POOL,
        "max_pool",
        elements(count),
        input,
        rows,
        columns,
        number,
        to,
        won
    )?;
    Ok((gpu.storage(out), planes.shape, Winners(winners)))
}

pub fn max_pool_gradient(cells: Cells, input: &Tensor, winners: &Winners, gradient: &Tensor) -> Result<Tensor> {
    let gpu = Gpu::of_tensor(input)?;
    let planes = Planes::new(cells, input.dims())?;
    let count = input.elem_count();
    let out = gpu.empty::<f32>(count)?;
    let (to, won) = (gpu.address(&out), gpu.address(&winners.0));
    let (rows, columns, number) = (planes.rows, planes.columns, planes.number);
    with_address::<f32, _>(gradient, |gradient| {
        launch!(
            gpu,
            POOL,
            "max_pool_gradient",
            elements(count),
            gradient,
            won,
            rows,
            columns,
            number,
            to
        )
    })?;
    Ok(gpu.tensor(out, input.shape()))
}

pub fn average_pool(cells: Cells, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
    /// Values of a cell from which on a warp adds them.
    const LARGE: i32 = 64;
    let gpu = Gpu::of(storage.device());
    let planes = Planes::new(cells, layout.dims())?;
    let input = gpu.address_of_view(&view::<f32>(storage, layout)?);
    let count = planes.shape.elem_count();
    let out = gpu.empty::<f32>(count)?;
    let to = gpu.address(&out);
    let (rows, columns, number) = (planes.rows, planes.columns, planes.number);
    let along = |side: Side| match side.size {
        0 => side.length / side.cells.max(1),
        size => size,
    };
    let lanes: i32 = if along(rows).saturating_mul(along(columns)) < LARGE {
        1
    } else {
        32
    };
    // A thread of its own for each cell and lane: they don't walk.
    let threads = count * lanes as usize;
    let config = super::gpu::blocks(threads.div_ceil(super::gpu::THREADS as usize), 1);
    launch!(
        gpu,
        POOL,
        "average_pool",
        config,
        input,
        rows,
        columns,
        number,
        lanes,
        to
    )?;
    Ok((gpu.storage(out), planes.shape))
}

pub fn average_pool_gradient(cells: Cells, input: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    let gpu = Gpu::of_tensor(input)?;
    let planes = Planes::new(cells, input.dims())?;
    let count = input.elem_count();
    let out = gpu.empty::<f32>(count)?;
    let to = gpu.address(&out);
    let (rows, columns, number) = (planes.rows, planes.columns, planes.number);
    with_address::<f32, _>(gradient, |gradient| {
        launch!(
            gpu,
            POOL,
            "average_pool_gradient",
            elements(count),
            gradient,
            rows,
            columns,
            number,
            to
        )
    })?;
    Ok(gpu.tensor(out, input.shape()))
}
