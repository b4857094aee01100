//! What surrounds the sums of a convolution, or is a batch norm of its own: statistics, scale and shift, rectifiers and pooling, forwards
//! and backwards. See `source/block.cu`.

use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DeviceRepr, LaunchConfig};
use candle_core::{Result, Shape};

use super::super::conv::Rectifier;
use super::gpu::{Address, BLOCK, Gpu, blocks, elements, int, launch, parts, planes};
use super::norm::Statistics;
use super::settings::{Precision, settings};

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
#[derive(Debug, Clone, Copy)]
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

    /// `[batch, channels, rows, columns]` of the pooled planes.
    pub fn pooled_shape(&self) -> Shape {
        let plane = (self.pooled_rows as usize, self.pooled_columns as usize);
        Shape::from((self.batch as usize, self.channels(), plane.0, plane.1))
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
        blocks(self.channels(), self.parts as usize)
    }

    /// How many numbers the parts of all channels take.
    pub fn partial(&self) -> usize {
        2 * self.channels() * self.parts as usize
    }
}

/// An array of sums, or of their gradient.
#[derive(Clone, Copy)]
pub struct Sums {
    pub at: Address,
    pub in_16_bits: i32,
}

impl Sums {
    pub fn in_32_bits(at: Address) -> Self {
        Self { at, in_16_bits: 0 }
    }
}

/// Such an array itself: in 16 bits where products are computed in them.
pub enum SumsArray {
    Single(CudaSlice<f32>),
    Half(CudaSlice<u16>),
}

impl SumsArray {
    /// For `count` numbers in the precision of the settings.
    pub fn empty(gpu: &Gpu, count: usize) -> Result<Self> {
        Ok(match settings().precision {
            Precision::Bf16 => Self::Half(gpu.empty(count)?),
            Precision::Float32 | Precision::Tf32 => Self::Single(gpu.empty(count)?),
        })
    }

    pub fn sums(&self, gpu: &Gpu) -> Sums {
        match self {
            Self::Single(array) => Sums::in_32_bits(gpu.address(array)),
            Self::Half(array) => Sums {
                at: gpu.address(array),
                in_16_bits: 1,
            },
        }
    }
}

/// Statistics of `values` (plus `bias`, rectified by `first`), and the scales and shifts that they make with gamma and beta.
pub fn statistics(
    gpu: &Gpu,
    sizes: Sizes,
    (values, bias, first): (Sums, Address, Slopes),
    (gamma, beta): (Address, Address),
    epsilon: f64,
) -> Result<(Statistics, CudaSlice<f32>)> {
    let partial = gpu.empty::<f64>(sizes.partial())?;
    let of_channels = gpu.empty::<f64>(3 * sizes.channels())?;
    let affine = gpu.empty::<f32>(2 * sizes.channels())?;
    let [from, to] = [gpu.address(&partial), gpu.address(&of_channels)];
    let lines = gpu.address(&affine);
    let Sums { at: values, in_16_bits } = values;
    launch!(
        gpu,
        BLOCK,
        "channel_moments",
        sizes.sums(),
        values,
        in_16_bits,
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
        in_16_bits,
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
    /// `place` and `won`: of each window's winner, or [`Address::NONE`].
    pub fn run(&self, gpu: &Gpu, values: Sums, out: Address, (place, won): (Address, Address)) -> Result<()> {
        let Sums { at: values, in_16_bits } = values;
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
            in_16_bits,
            bias,
            affine,
            first,
            last,
            sizes,
            out,
            place,
            won
        )
    }
}

/// What a backward pass through everything behind the sums reads.
#[derive(Clone, Copy)]
pub struct Back<'a> {
    pub sizes: Sizes,
    pub sums: Sums,
    pub bias: Address,
    pub gamma: Address,
    pub out: Address,
    /// Where each window's winner stood, and its sum.
    pub place: Address,
    pub won: Address,
    pub gradient: Address,
    pub statistics: Option<&'a Statistics>,
    pub first: Slopes,
    pub last: Slopes,
}

impl Back<'_> {
    /// Writes the gradients of bias, gamma and beta (of the bias alone without a norm) and of the sums.
    pub fn run(&self, gpu: &Gpu, of_shifts: Address, of_sums: Sums) -> Result<()> {
        let lines = self.shifts(gpu, of_shifts)?;
        self.sums(gpu, lines.as_ref(), of_sums)
    }

    /// Writes the gradients of bias, gamma and beta (of the bias alone without a norm). With a norm, the gradient of a sum of each
    /// channel as a line: see `source/block.cu`.
    pub fn shifts(&self, gpu: &Gpu, of_shifts: Address) -> Result<Option<CudaSlice<f32>>> {
        let Self {
            sizes,
            sums,
            bias,
            gamma,
            out,
            won,
            gradient,
            first,
            last,
            ..
        } = *self;
        let statistics = self
            .statistics
            .map_or(Address::NONE, |statistics| statistics.address(gpu));
        let Sums { at: sums, in_16_bits } = sums;
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
            won,
            sums,
            in_16_bits,
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
        Ok(self.statistics.is_some().then_some(lines))
    }

    fn sums(&self, gpu: &Gpu, lines: Option<&CudaSlice<f32>>, of_sums: Sums) -> Result<()> {
        let Self {
            sizes,
            bias,
            out,
            place,
            gradient,
            first,
            last,
            ..
        } = *self;
        let Sums { at: sums, in_16_bits } = self.sums;
        let lines = lines.map_or(Address::NONE, |lines| gpu.address(lines));
        // Without a norm nobody reads the sums, and only the gradient says what it is in.
        let in_16_bits = match self.statistics {
            Some(_) => in_16_bits,
            None => of_sums.in_16_bits,
        };
        let of_sums = of_sums.at;
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
            in_16_bits,
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
pub fn channel_sums(gpu: &Gpu, sizes: Sizes, values: Sums, out: Address) -> Result<()> {
    let Sums { at: values, in_16_bits } = values;
    let partial = gpu.empty::<f64>(sizes.partial())?;
    let parts = gpu.address(&partial);
    launch!(
        gpu,
        BLOCK,
        "channel_sums",
        sizes.sums(),
        values,
        in_16_bits,
        sizes,
        parts
    )?;
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
