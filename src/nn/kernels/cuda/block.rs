//! A convolution with what follows it: see `source/block.cu`.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::CudaStorage;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DeviceRepr, LaunchConfig};
use candle_core::{Layout, Result, Shape, Tensor};

use super::super::conv::{Block, Norm, Rectifier};
use super::convolution;
use super::cudnn::{Arrays, Direction, Problem};
use super::gpu::{Address, BLOCK, Gpu, blocks, elements, int, launch, parts, planes, view, with_address};
use super::norm::Statistics;

/// A rectifier as the kernels take it.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Slopes {
    below: f32,
    is_zero_below: i32,
}

// SAFETY: two numbers of 32 bits, as the kernels' `Rectifier`.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Slopes {}

impl From<Rectifier> for Slopes {
    fn from(rectifier: Rectifier) -> Self {
        let (below, is_zero_below) = match rectifier {
            Rectifier::Identity => (1.0, 0),
            Rectifier::Relu => (0.0, 1),
            Rectifier::Leaky { slope } => (slope as f32, 0),
        };
        Self { below, is_zero_below }
    }
}

/// The sizes of what a convolution gives, and of its pooled planes.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Sizes {
    batch: i32,
    channels: i32,
    rows: i32,
    columns: i32,
    pooled_rows: i32,
    pooled_columns: i32,
    window_rows: i32,
    window_columns: i32,
    parts: i32,
}

// SAFETY: nine numbers of 32 bits, as the kernels' `Sizes`.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Sizes {}

impl Sizes {
    /// Of values `[batch, channels, rows, columns]`, pooled in windows side by side.
    pub fn new([batch, channels, rows, columns]: [usize; 4], window: (usize, usize)) -> Result<Self> {
        let (pooled_rows, pooled_columns) = (rows / window.0.max(1), columns / window.1.max(1));
        int(rows * columns)?;
        int(batch * channels)?;
        Ok(Self {
            batch: int(batch)?,
            channels: int(channels)?,
            rows: int(rows)?,
            columns: int(columns)?,
            pooled_rows: int(pooled_rows)?,
            pooled_columns: int(pooled_columns)?,
            window_rows: int(window.0)?,
            window_columns: int(window.1)?,
            parts: int(parts(batch * rows * columns, channels))?,
        })
    }

    pub fn channels(&self) -> usize {
        self.channels as usize
    }

    pub fn values(&self) -> usize {
        self.number_of_planes() * self.plane()
    }

    pub fn pooled_values(&self) -> usize {
        self.number_of_planes() * self.pooled_plane()
    }

    pub fn count(&self) -> usize {
        self.batch as usize * self.plane()
    }

    fn number_of_planes(&self) -> usize {
        self.batch as usize * self.channels()
    }

    fn plane(&self) -> usize {
        self.rows as usize * self.columns as usize
    }

    fn pooled_plane(&self) -> usize {
        self.pooled_rows as usize * self.pooled_columns as usize
    }

    /// A block for each part of each channel.
    pub fn sums(&self) -> LaunchConfig {
        blocks(self.parts as usize, self.channels())
    }

    /// How many numbers the parts of all channels take.
    pub fn partial(&self) -> usize {
        2 * self.channels() * self.parts as usize
    }
}

/// Statistics of `values` (plus `bias`, rectified by `first`), and the scales and shifts that they make with gamma and beta.
pub fn statistics(
    gpu: &Gpu,
    sizes: Sizes,
    (values, bias, first): (Address, Address, Slopes),
    (gamma, beta): (Address, Address),
    epsilon: f64,
) -> Result<(Statistics, CudaSlice<f32>)> {
    let partial = gpu.empty::<f64>(sizes.partial())?;
    let of_channels = gpu.empty::<f64>(3 * sizes.channels())?;
    let affine = gpu.empty::<f32>(2 * sizes.channels())?;
    let [from, to] = [gpu.address(&partial), gpu.address(&of_channels)];
    let lines = gpu.address(&affine);
    launch!(
        gpu,
        BLOCK,
        "channel_moments",
        sizes.sums(),
        values,
        bias,
        first,
        sizes,
        from
    )?;
    let config = elements(sizes.channels());
    launch!(
        gpu,
        BLOCK,
        "channel_statistics",
        config,
        from,
        values,
        bias,
        first,
        sizes,
        gamma,
        beta,
        epsilon,
        to,
        lines
    )?;
    Ok((Statistics::new(of_channels, sizes.count()), affine))
}

/// Scale, shift, rectifiers and pooling of `values`.
#[derive(Clone, Copy)]
pub struct Finish {
    pub sizes: Sizes,
    pub bias: Address,
    /// Scales and shifts, or [`Address::NONE`].
    pub affine: Address,
    pub first: Slopes,
    pub last: Slopes,
}

impl Finish {
    pub fn run(&self, gpu: &Gpu, values: Address, out: Address, place: Address) -> Result<()> {
        let Self {
            sizes,
            bias,
            affine,
            first,
            last,
        } = *self;
        let config = planes(sizes.number_of_planes(), sizes.pooled_plane());
        launch!(
            gpu,
            BLOCK,
            "block_forward",
            config,
            values,
            bias,
            affine,
            first,
            last,
            sizes,
            out,
            place
        )
    }
}

/// What a backward pass through everything behind the sums reads.
#[derive(Clone, Copy)]
pub struct Back<'a> {
    pub sizes: Sizes,
    pub sums: Address,
    pub bias: Address,
    pub gamma: Address,
    pub out: Address,
    pub place: Address,
    pub gradient: Address,
    pub statistics: Option<&'a Statistics>,
    pub first: Slopes,
    pub last: Slopes,
}

impl Back<'_> {
    /// Writes the gradients of bias, gamma and beta (of the bias alone without a norm) and of the sums.
    pub fn run(&self, gpu: &Gpu, of_shifts: Address, of_sums: Address) -> Result<()> {
        let Self {
            sizes,
            sums,
            bias,
            gamma,
            out,
            place,
            gradient,
            first,
            last,
            ..
        } = *self;
        let statistics = self
            .statistics
            .map_or(Address::NONE, |statistics| statistics.address(gpu));
        let partial = gpu.empty::<f64>(sizes.partial())?;
        let lines = gpu.empty::<f32>(3 * sizes.channels())?;
        let parts = gpu.address(&partial);
        launch!(
            gpu,
            BLOCK,
            "block_gradient_sums",
            sizes.sums(),
            gradient,
            out,
            place,
            sums,
            bias,
            statistics,
            first,
            last,
            sizes,
            parts
        )?;
        let to_lines = gpu.address(&lines);
        let config = elements(sizes.channels());
        launch!(
            gpu,
            BLOCK,
            "block_gradient_lines",
            config,
            parts,
            statistics,
            gamma,
            sizes,
            of_shifts,
            to_lines
        )?;
        let lines = match self.statistics {
            Some(_) => to_lines,
            None => Address::NONE,
        };
        let config = planes(sizes.number_of_planes(), sizes.plane());
        launch!(
            gpu,
            BLOCK,
            "block_gradient",
            config,
            gradient,
            out,
            place,
            sums,
            bias,
            lines,
            first,
            last,
            sizes,
            of_sums
        )
    }
}

/// The sums of the values of each channel.
fn channel_sums(gpu: &Gpu, sizes: Sizes, values: Address, out: Address) -> Result<()> {
    let partial = gpu.empty::<f64>(sizes.partial())?;
    let parts = gpu.address(&partial);
    launch!(gpu, BLOCK, "channel_sums", sizes.sums(), values, sizes, parts)?;
    let (channels, number) = (sizes.channels, sizes.parts);
    launch!(
        gpu,
        BLOCK,
        "sum_of_parts",
        elements(sizes.channels()),
        parts,
        channels,
        number,
        out
    )
}

/// What a forward pass gives and keeps.
pub struct Forward {
    pub out: CudaStorage,
    pub shape: Shape,
    pub saved: Saved,
}

/// What the backward pass needs.
pub struct Saved {
    /// Sums of the convolution, without the bias. `None` where nothing is kept.
    sums: Option<CudaSlice<f32>>,
    place: Option<CudaSlice<u8>>,
    pub statistics: Option<Statistics>,
}

pub struct Gradients {
    pub images: Option<Tensor>,
    pub kernel: Tensor,
    /// Of bias, gamma and beta behind each other, or of the bias alone without a norm.
    pub shifts: Tensor,
}

struct Described {
    problem: Problem,
    sizes: Sizes,
    first: Slopes,
    last: Slopes,
}

fn describe(block: &Block, input: &[usize], kernel: &[usize]) -> Result<Described> {
    let (&[batch, channels, rows, columns], &[filters, of_group, kernel_rows, kernel_columns]) = (input, kernel) else {
        candle_core::bail!("conv2d takes [batch, channels, rows, columns] and a kernel of 4 dimensions")
    };
    let geometry = block.geometry;
    let Some(out) = geometry.output((rows, columns), (kernel_rows, kernel_columns)) else {
        candle_core::bail!("conv2d: a kernel of {kernel_rows} × {kernel_columns} is larger than the padded input")
    };
    let output = [batch, filters, out.0, out.1];
    Ok(Described {
        problem: Problem {
            input: [batch, channels, rows, columns],
            kernel: [filters, of_group, kernel_rows, kernel_columns],
            output,
            stride: [geometry.stride.0, geometry.stride.1],
            padding: [geometry.padding.0, geometry.padding.1],
            dilation: [geometry.dilation.0, geometry.dilation.1],
            groups: geometry.groups,
        },
        sizes: Sizes::new(output, block.window)?,
        first: block.first().into(),
        last: block.last().into(),
    })
}

/// A tensor during a forward pass.
type Operand<'a> = (&'a CudaStorage, &'a Layout);

/// Where bias, gamma and beta lie, a number for each filter; the latter are of no meaning without a norm.
#[derive(Clone, Copy)]
pub struct Shifts {
    pub bias: Address,
    pub gamma: Address,
    pub beta: Address,
}

impl Shifts {
    /// Behind each other in one array.
    pub fn in_one(bias: Address, filters: usize) -> Self {
        let after = |filters: usize| Address(bias.0 + (filters * size_of::<f32>()) as u64);
        Self {
            bias,
            gamma: after(filters),
            beta: after(2 * filters),
        }
    }
}

/// The sizes were checked by the operator. `keep`: for gradients.
pub fn forward(block: &Block, input: Operand, kernel: Operand, shifts: Shifts, keep: bool) -> Result<Forward> {
    let gpu = Gpu::of(input.0.device());
    let Described {
        problem,
        sizes,
        first,
        last,
    } = describe(block, input.1.dims(), kernel.1.dims())?;
    let Shifts { bias, gamma, beta } = shifts;
    let sums = gpu.empty::<f32>(sizes.values())?;
    let to_sums = gpu.address(&sums);
    let arrays = Arrays {
        input: gpu.address_of_view(&view::<f32>(input.0, input.1)?),
        kernel: gpu.address_of_view(&view::<f32>(kernel.0, kernel.1)?),
        output: to_sums,
    };
    convolution::run(&gpu, &problem, Direction::Forward, arrays)?;
    let (mut found, mut lines) = (None, None);
    if let Some(Norm::Batch { epsilon }) = block.norm {
        let (statistics, affine) = statistics(&gpu, sizes, (to_sums, bias, first), (gamma, beta), epsilon)?;
        (found, lines) = (Some(statistics), Some(affine));
    }
    let affine = match (&lines, block.norm) {
        (Some(lines), _) => gpu.address(lines),
        // Constants, which lie behind each other already.
        (None, Some(_)) => gamma,
        (None, None) => Address::NONE,
    };
    let out = gpu.empty::<f32>(sizes.pooled_values())?;
    let place = match keep && block.window != (1, 1) {
        true => Some(gpu.empty::<u8>(sizes.pooled_values())?),
        false => None,
    };
    let finish = Finish {
        sizes,
        bias,
        affine,
        first,
        last,
    };
    let to_place = place.as_ref().map_or(Address::NONE, |place| gpu.address(place));
    finish.run(&gpu, to_sums, gpu.address(&out), to_place)?;
    Ok(Forward {
        out: gpu.storage(out),
        shape: Shape::from((
            sizes.batch as usize,
            sizes.channels(),
            sizes.pooled_rows as usize,
            sizes.pooled_columns as usize,
        )),
        saved: Saved {
            // Without a norm the gradients go by the output alone.
            sums: (keep && block.norm.is_some()).then_some(sums),
            place,
            statistics: found,
        },
    })
}

/// `wants_images`: whether the gradient of the images is asked for.
pub fn backward(
    block: &Block,
    saved: &Saved,
    (input, kernel, shifts): (&Tensor, &Tensor, Shifts),
    (out, gradient): (&Tensor, &Tensor),
    wants_images: bool,
) -> Result<Gradients> {
    let gpu = Gpu::of_tensor(input)?;
    let Described {
        problem,
        sizes,
        first,
        last,
    } = describe(block, input.dims(), kernel.dims())?;
    let parts = if block.norm.is_some() { 3 } else { 1 };
    let of_shifts = gpu.empty::<f32>(parts * sizes.channels())?;
    let of_kernel = gpu.empty::<f32>(kernel.elem_count())?;
    let of_images = match wants_images {
        true => Some(gpu.empty::<f32>(input.elem_count())?),
        false => None,
    };
    let of_sums = gpu.empty::<f32>(sizes.values())?;
    let to_sums = gpu.address(&of_sums);
    let is_plain = block.norm.is_none() && block.rectifier == Rectifier::Identity && block.window == (1, 1);
    with_address::<f32, _>(gradient, |gradient| {
        if is_plain {
            return channel_sums(&gpu, sizes, gradient, gpu.address(&of_shifts));
        }
        with_address::<f32, _>(out, |out| {
            let back = Back {
                sizes,
                sums: saved.sums.as_ref().map_or(Address::NONE, |sums| gpu.address(sums)),
                bias: shifts.bias,
                gamma: shifts.gamma,
                out,
                place: saved.place.as_ref().map_or(Address::NONE, |place| gpu.address(place)),
                gradient,
                statistics: saved.statistics.as_ref(),
                first,
                last,
            };
            back.run(&gpu, gpu.address(&of_shifts), to_sums)
        })?;
        // A bias before a rectifier that the norm follows.
        match block.norm.is_some() && block.first() != Rectifier::Identity {
            true => channel_sums(&gpu, sizes, to_sums, gpu.address(&of_shifts)),
            false => Ok(()),
        }
    })?;
    with_address::<f32, _>(gradient, |gradient| {
        with_address::<f32, _>(input, |images| {
            with_address::<f32, _>(kernel, |weights| {
                let output = if is_plain { gradient } else { to_sums };
                let arrays = Arrays {
                    input: images,
                    kernel: gpu.address(&of_kernel),
                    output,
                };
                convolution::run(&gpu, &problem, Direction::Filter, arrays)?;
                let Some(of_images) = &of_images else { return Ok(()) };
                let arrays = Arrays {
                    input: gpu.address(of_images),
                    kernel: weights,
                    output,
                };
                convolution::run(&gpu, &problem, Direction::Data, arrays)
            })
        })
    })?;
    Ok(Gradients {
        images: of_images.map(|images| gpu.tensor(images, input.shape())),
        kernel: gpu.tensor(of_kernel, kernel.shape()),
        shifts: gpu.tensor(of_shifts, parts * sizes.channels()),
    })
}
