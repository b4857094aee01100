//! First layers, whose sums are computed anew instead of kept: see `source/first_layer.cu`. On the CPU `conv/forward.rs` does so.
//!
//! By count of the bytes: cuDNN writes the sums and they are read for their statistics and for the output; in the backward pass they
//! are read, their gradient is written, and read by cuDNN. Of a first layer of 32 filters, pooled by two, that is six times the
//! largest array of the network; here it is none, and nine multiply-adds for each sum in each of three passes.

use candle_core::Result;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DeviceRepr, LaunchConfig};

use super::block::Shifts;
use super::cudnn::Problem;
use super::gpu::{Address, FIRST_LAYER, Gpu, blocks, int, launch};
use super::norm::Statistics;
use super::surroundings::{Finish, Sizes, Slopes};

/// Taps of a filter.
const TAPS: usize = 9;
/// Rows of a tile at most, and windows in a row of it. As in the kernels.
const TILE_ROWS: usize = 32;
const LANES: usize = 32;
/// The kernels' warps times the filters of each.
const FILTERS_OF_A_BLOCK: usize = 16;
/// The most columns that a window of the pooling may have.
const WIDEST: usize = 4;

/// How blocks of threads go over the images, as the kernels take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
struct Scan {
    image_rows: i32,
    image_columns: i32,
    padding_rows: i32,
    padding_columns: i32,
    tile_rows: i32,
    tiles_down: i32,
    tiles_across: i32,
}

// SAFETY: seven numbers of 32 bits, as the kernels' `Scan`.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Scan {}

/// A convolution of one channel with kernels of 3 × 3 and stride 1, with what follows it.
#[derive(Debug, Clone, Copy)]
pub struct FirstLayer {
    sizes: Sizes,
    scan: Scan,
    /// Of all images.
    tiles: usize,
    /// Columns of a window, less one.
    kind: usize,
}

/// Where images, kernel and bias lie.
#[derive(Clone, Copy)]
pub struct Operands {
    pub images: Address,
    pub kernel: Address,
    pub bias: Address,
}

impl FirstLayer {
    /// `None` where the convolution is another one. Goes by the shapes alone.
    pub fn of(problem: &Problem, sizes: Sizes, window: (usize, usize)) -> Result<Option<Self>> {
        let &Problem { input, kernel, .. } = problem;
        let fits = problem.groups == 1
            && kernel[1..] == [1, 3, 3]
            && problem.stride == [1, 1]
            && problem.dilation == [1, 1]
            && (1..=TILE_ROWS).contains(&window.0)
            && (1..=WIDEST).contains(&window.1);
        if !fits {
            return Ok(None);
        }
        let tile_rows = TILE_ROWS / window.0 * window.0;
        let tiles_down = problem.output[2].div_ceil(tile_rows);
        let tiles_across = problem.output[3].div_ceil(LANES * window.1);
        let tiles = input[0] * tiles_down * tiles_across;
        int(tiles)?;
        Ok(Some(Self {
            sizes,
            scan: Scan {
                image_rows: int(input[2])?,
                image_columns: int(input[3])?,
                padding_rows: int(problem.padding[0])?,
                padding_columns: int(problem.padding[1])?,
                tile_rows: int(tile_rows)?,
                tiles_down: int(tiles_down)?,
                tiles_across: int(tiles_across)?,
            },
            tiles,
            kind: window.1 - 1,
        }))
    }

    fn tiles(&self) -> LaunchConfig {
        blocks(self.tiles, self.sizes.channels().div_ceil(FILTERS_OF_A_BLOCK))
    }

    /// As [`super::surroundings::statistics`], of sums that nobody wrote.
    pub fn statistics(
        &self,
        gpu: &Gpu,
        operands: Operands,
        first: Slopes,
        shifts: Shifts,
        epsilon: f64,
    ) -> Result<(Statistics, CudaSlice<f32>)> {
        const MOMENTS: [&str; WIDEST] = [
            "first_layer_moments_1",
            "first_layer_moments_2",
            "first_layer_moments_3",
            "first_layer_moments_4",
        ];
        let Self { sizes, scan, .. } = *self;
        let channels = sizes.channels();
        let partial = gpu.empty::<f32>(2 * channels * self.tiles)?;
        let of_channels = gpu.empty::<f64>(3 * channels)?;
        let affine = gpu.empty::<f32>(2 * channels)?;
        let (parts, to, lines) = (gpu.address(&partial), gpu.address(&of_channels), gpu.address(&affine));
        let Operands { images, kernel, bias } = operands;
        launch!(
            gpu,
            FIRST_LAYER,
            MOMENTS[self.kind],
            self.tiles(),
            images,
            kernel,
            bias,
            first,
            sizes,
            scan,
            parts
        )?;
        let Shifts { gamma, beta, .. } = shifts;
        launch!(
            gpu,
            FIRST_LAYER,
            "first_layer_statistics",
            blocks(channels, 1),
            parts,
            images,
            kernel,
            bias,
            first,
            sizes,
            scan,
            gamma,
            beta,
            epsilon,
            to,
            lines
        )?;
        Ok((Statistics::new(of_channels, sizes.count()), affine))
    }

    /// As [`Finish::run`].
    pub fn forward(
        &self,
        gpu: &Gpu,
        operands: Operands,
        finish: &Finish,
        out: Address,
        (place, won): (Address, Address),
    ) -> Result<()> {
        const FORWARD: [&str; WIDEST] = [
            "first_layer_forward_1",
            "first_layer_forward_2",
            "first_layer_forward_3",
            "first_layer_forward_4",
        ];
        let Self { sizes, scan, .. } = *self;
        let Operands { images, kernel, bias } = operands;
        let Finish {
            affine, first, last, ..
        } = *finish;
        launch!(
            gpu,
            FIRST_LAYER,
            FORWARD[self.kind],
            self.tiles(),
            images,
            kernel,
            bias,
            affine,
            first,
            last,
            sizes,
            scan,
            out,
            place,
            won
        )
    }

    /// Writes the gradient of the kernel, and to `of_bias`, where there is one, the sums of the gradients of the sums.
    pub fn gradient(
        &self,
        gpu: &Gpu,
        operands: Operands,
        behind: &Behind,
        (of_kernel, of_bias): (Address, Address),
    ) -> Result<()> {
        const GRADIENT: [&str; WIDEST] = [
            "first_layer_gradient_1",
            "first_layer_gradient_2",
            "first_layer_gradient_3",
            "first_layer_gradient_4",
        ];
        let Self { sizes, scan, .. } = *self;
        let partial = gpu.empty::<f32>((TAPS + 1) * sizes.channels() * self.tiles)?;
        let parts = gpu.address(&partial);
        let Operands { images, kernel, bias } = operands;
        let Behind {
            gradient,
            out,
            place,
            lines,
            first,
            last,
        } = *behind;
        launch!(
            gpu,
            FIRST_LAYER,
            GRADIENT[self.kind],
            self.tiles(),
            images,
            kernel,
            bias,
            gradient,
            out,
            place,
            lines,
            first,
            last,
            sizes,
            scan,
            parts
        )?;
        let tiles = int(self.tiles)?;
        let config = blocks(sizes.channels(), TAPS + 1);
        launch!(
            gpu,
            FIRST_LAYER,
            "first_layer_gradient_sums",
            config,
            parts,
            tiles,
            of_kernel,
            of_bias
        )
    }
}

/// What lies behind the sums.
#[derive(Clone, Copy)]
pub struct Behind {
    /// Of the output, and the output itself.
    pub gradient: Address,
    pub out: Address,
    /// Where each window's winner stood, or [`Address::NONE`].
    pub place: Address,
    /// The norm's lines, or [`Address::NONE`].
    pub lines: Address,
    pub first: Slopes,
    pub last: Slopes,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem() -> Problem {
        Problem {
            input: [4, 1, 64, 100],
            kernel: [24, 1, 3, 3],
            output: [4, 24, 64, 100],
            stride: [1, 1],
            padding: [1, 1],
            dilation: [1, 1],
            groups: 1,
        }
    }

    fn of(problem: &Problem, window: (usize, usize)) -> Option<FirstLayer> {
        let sizes = Sizes::new(problem.output, window).unwrap();
        FirstLayer::of(problem, sizes, window).unwrap()
    }

    #[test]
    fn tiles_are_whole_windows_and_cover_everything() {
        for (window, tile_rows, down, across) in [
            ((1, 1), 32, 2, 4),
            ((2, 2), 32, 2, 2),
            ((3, 3), 30, 3, 2),
            ((5, 4), 30, 3, 1),
            ((32, 1), 32, 2, 4),
        ] {
            let layer = of(&problem(), window).unwrap();
            let scan = layer.scan;
            assert_eq!(
                (scan.tile_rows, scan.tiles_down, scan.tiles_across),
                (tile_rows, down, across),
                "{window:?}"
            );
            assert_eq!(layer.tiles as i32, 4 * down * across);
            assert_eq!(layer.tiles().grid_dim, (layer.tiles as u32, 2, 1));
        }
    }

    #[test]
    fn other_convolutions_are_none() {
        let one = problem();
        assert!(of(&one, (2, 2)).is_some());
        assert!(of(&one, (33, 1)).is_none());
        assert!(of(&one, (1, 5)).is_none());
        for other in [
            Problem {
                input: [4, 2, 64, 100],
                kernel: [24, 2, 3, 3],
                ..one
            },
            Problem {
                input: [4, 2, 64, 100],
                groups: 2,
                ..one
            },
            Problem {
                kernel: [24, 1, 5, 3],
                ..one
            },
            Problem { stride: [1, 2], ..one },
            Problem {
                dilation: [2, 1],
                ..one
            },
        ] {
            assert!(of(&other, (2, 2)).is_none(), "{other:?}");
        }
    }
}
