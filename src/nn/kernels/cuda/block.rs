//! A convolution with what follows it.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::CudaStorage;
use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::{Layout, Result, Shape, Tensor};

use super::super::conv::{Block, Norm, Rectifier, Wanted};
use super::convolution;
use super::cudnn::{Arrays, Direction, Problem};
use super::first_layer::{Behind, FirstLayer, Operands};
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
    /// Sums of the convolution, without the bias. `None` where nothing is kept, or they are computed anew.
    sums: Option<SumsArray>,
    anew: Option<FirstLayer>,
    place: Option<CudaSlice<u8>>,
    /// The winners' sums (with the bias, through the first rectifier), where a norm needs them.
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

/// The sizes were checked by the operator. `keep`: for which gradients, if any.
pub fn forward(
    block: &Block,
    input: Operand,
    kernel: Operand,
    shifts: Shifts,
    keep: Option<Wanted>,
) -> Result<Forward> {
    let gpu = Gpu::of(input.0.device());
    let Described {
        problem,
        sizes,
        first,
        last,
    } = describe(block, input.1.dims(), kernel.1.dims())?;
    let Shifts { bias, gamma, beta } = shifts;
    let operands = Operands {
        images: gpu.address_of_view(&view::<f32>(input.0, input.1)?),
        kernel: gpu.address_of_view(&view::<f32>(kernel.0, kernel.1)?),
        bias,
    };
    let anew = match keep {
        Some(Wanted::All) => None,
        Some(Wanted::Parameters) | None => FirstLayer::of(&problem, sizes, block.window)?,
    };
    let sums = match anew {
        Some(_) => None,
        None => Some(SumsArray::empty(&gpu, sizes.values())?),
    };
    let to_sums = (sums.as_ref()).map_or(Sums::in_32_bits(Address::NONE), |sums| sums.sums(&gpu));
    if sums.is_some() {
        let arrays = Arrays {
            input: operands.images,
            kernel: operands.kernel,
            output: to_sums.at,
        };
        convolution::run(&gpu, &problem, Direction::Forward, arrays)?;
    }
    let (mut found, mut lines) = (None, None);
    if let Some(Norm::Batch { epsilon }) = block.norm {
        let (statistics, affine) = match &anew {
            Some(layer) => layer.statistics(&gpu, operands, first, shifts, epsilon)?,
            None => statistics(&gpu, sizes, (to_sums, bias, first), (gamma, beta), epsilon)?,
        };
        (found, lines) = (Some(statistics), Some(affine));
    }
    let affine = match (&lines, block.norm) {
        (Some(lines), _) => gpu.address(lines),
        // Constants, which lie behind each other already.
        (None, Some(_)) => gamma,
        (None, None) => Address::NONE,
    };
    let out = gpu.empty::<f32>(sizes.pooled_values())?;
    let place = match keep.is_some() && block.window != (1, 1) {
        true => Some(gpu.empty::<u8>(sizes.pooled_values())?),
        false => None,
    };
    // Sums that nobody wrote have to be somewhere also where nothing is pooled.
    let is_won = place.is_some() || (keep.is_some() && anew.is_some());
    let won = match is_won && block.norm.is_some() {
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
    match &anew {
        Some(layer) => layer.forward(&gpu, operands, &finish, gpu.address(&out), (to_place, to_won))?,
        None => finish.run(&gpu, to_sums, gpu.address(&out), (to_place, to_won))?,
    }
    Ok(Forward {
        out: gpu.storage(out),
        shape: sizes.pooled_shape(),
        saved: Saved {
            // Without a norm the gradients go by the output alone.
            sums: sums.filter(|_| keep.is_some() && block.norm.is_some()),
            anew,
            place,
            won,
            statistics: found,
        },
    })
}

/// `wanted`: no more than the forward pass was told.
pub fn backward(
    block: &Block,
    saved: &Saved,
    (input, kernel, shifts): (&Tensor, &Tensor, Shifts),
    (out, gradient): (&Tensor, &Tensor),
    wanted: Wanted,
) -> Result<Gradients> {
    let wants_images = wanted == Wanted::All;
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
    let back = |out: Address, gradient: Address| Back {
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
    // A bias before a rectifier that the norm follows.
    let is_bias_rectified = block.norm.is_some() && block.first() != Rectifier::Identity;
    if let Some(layer) = &saved.anew {
        if wants_images {
            candle_core::bail!("conv2d: the images were data in the forward pass, and get no gradient")
        }
        with_addresses([out, gradient, input, kernel], |[out, gradient, images, weights]| {
            let back = back(out, gradient);
            let lines = back.shifts(&gpu, gpu.address(&of_shifts))?;
            let operands = Operands {
                images,
                kernel: weights,
                bias: shifts.bias,
            };
            let behind = Behind {
                gradient,
                out,
                place: back.place,
                lines: lines.as_ref().map_or(Address::NONE, |lines| gpu.address(lines)),
                first,
                last,
            };
            let of_bias = match is_bias_rectified {
                true => gpu.address(&of_shifts),
                false => Address::NONE,
            };
            layer.gradient(&gpu, operands, &behind, (gpu.address(&of_kernel), of_bias))
        })?;
        return Ok(Gradients {
            images: None,
            kernel: gpu.tensor(of_kernel, kernel.shape()),
            shifts: gpu.tensor(of_shifts, parts * sizes.channels()),
        });
    }
    let of_images = match wants_images {
        true => Some(gpu.empty::<f32>(input.elem_count())?),
        false => None,
    };
    let of_sums = SumsArray::empty(&gpu, sizes.values())?;
    let to_sums = of_sums.sums(&gpu);
    let is_plain = block.norm.is_none() && block.rectifier == Rectifier::Identity && block.window == (1, 1);
    with_addresses([out, gradient, input, kernel], |[out, gradient, images, weights]| {
        if is_plain {
            channel_sums(&gpu, sizes, Sums::in_32_bits(gradient), gpu.address(&of_shifts))?;
            if let SumsArray::Half(_) = of_sums {
                convolution::rounded(&gpu, gradient, to_sums.at, sizes.values())?;
            }
        } else {
            back(out, gradient).run(&gpu, gpu.address(&of_shifts), to_sums)?;
            if is_bias_rectified {
                channel_sums(&gpu, sizes, to_sums, gpu.address(&of_shifts))?;
            }
        }
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
    })?;
    Ok(Gradients {
        images: of_images.map(|images| gpu.tensor(images, input.shape())),
        kernel: gpu.tensor(of_kernel, kernel.shape()),
        shifts: gpu.tensor(of_shifts, parts * sizes.channels()),
    })
}

/// Calls `work` with where the numbers of four tensors begin, each of which is made contiguous first.
fn with_addresses<R>([a, b, c, d]: [&Tensor; 4], work: impl FnOnce([Address; 4]) -> Result<R>) -> Result<R> {
    with_address::<f32, _>(a, |a| {
        with_address::<f32, _>(b, |b| {
            with_address::<f32, _>(c, |c| with_address::<f32, _>(d, |d| work([a, b, c, d])))
        })
    })
}
