//! A convolution with what follows it.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::CudaStorage;
use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::{Layout, Result, Shape, Tensor};

use super::super::conv::{Block, Norm, Rectifier};
use super::convolution;
use super::cudnn::{Arrays, Direction, Problem};
use super::gpu::{Address, Gpu, view, with_address};
use super::norm::Statistics;
use super::surroundings::{Back, Finish, Sizes, Slopes, Sums, SumsArray, channel_sums, statistics};

/// What a forward pass gives and keeps.
pub struct Forward {
    pub out: CudaStorage,
    pub shape: Shape,
    pub saved: Saved,
}

/// What the backward pass needs.
pub struct Saved {
    /// Sums of the convolution, without the bias. `None` where nothing is kept.
    sums: Option<SumsArray>,
    place: Option<CudaSlice<u8>>,
    /// The winners' sums, where a norm needs them.
    won: Option<CudaSlice<f32>>,
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
    let sums = SumsArray::empty(&gpu, sizes.values())?;
    let to_sums = sums.sums(&gpu);
    let arrays = Arrays {
        input: gpu.address_of_view(&view::<f32>(input.0, input.1)?),
        kernel: gpu.address_of_view(&view::<f32>(kernel.0, kernel.1)?),
        output: to_sums.at,
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
    let won = match place.is_some() && block.norm.is_some() {
        true => Some(gpu.empty::<f32>(sizes.pooled_values())?),
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
    let to_won = won.as_ref().map_or(Address::NONE, |won| gpu.address(won));
    finish.run(&gpu, to_sums, gpu.address(&out), (to_place, to_won))?;
    Ok(Forward {
        out: gpu.storage(out),
        shape: sizes.pooled_shape(),
        saved: Saved {
            // Without a norm the gradients go by the output alone.
            sums: (keep && block.norm.is_some()).then_some(sums),
            place,
            won,
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
    let of_sums = SumsArray::empty(&gpu, sizes.values())?;
    let to_sums = of_sums.sums(&gpu);
    let is_plain = block.norm.is_none() && block.rectifier == Rectifier::Identity && block.window == (1, 1);
    with_address::<f32, _>(gradient, |gradient| {
        if is_plain {
            channel_sums(&gpu, sizes, Sums::in_32_bits(gradient), gpu.address(&of_shifts))?;
            return match of_sums {
                SumsArray::Half(_) => convolution::rounded(&gpu, gradient, to_sums.at, sizes.values()),
                SumsArray::Single(_) => Ok(()),
            };
        }
        with_address::<f32, _>(out, |out| {
            let back = Back {
                sizes,
                sums: (saved.sums.as_ref()).map_or(Sums::in_32_bits(Address::NONE), |sums| sums.sums(&gpu)),
                bias: shifts.bias,
                gamma: shifts.gamma,
                out,
                place: saved.place.as_ref().map_or(Address::NONE, |place| gpu.address(place)),
                won: saved.won.as_ref().map_or(Address::NONE, |won| gpu.address(won)),
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
                let output = match (is_plain, &of_sums) {
                    (true, SumsArray::Single(_)) => gradient,
                    _ => to_sums.at,
                };
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
