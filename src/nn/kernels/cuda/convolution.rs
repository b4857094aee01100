//! Convolutions through cuDNN, in the precision of the settings.

use candle_core::Result;
use candle_core::cuda_backend::cudarc::driver::CudaSlice;

use super::cudnn::{self, Arrays, Direction, Problem};
use super::gpu::{Address, ELEMENTWISE, Gpu, elements, launch};
use super::settings::{Precision, settings};

/// Computes one direction. The output, or its gradient, is in the precision of the products ([`super::surroundings::SumsArray`]);
/// input and kernel are in 32 bits, and so are their gradients.
pub fn run(gpu: &Gpu, problem: &Problem, direction: Direction, arrays: Arrays) -> Result<()> {
    let settings = settings();
    let library = cudnn::of(gpu)?;
    let mut library = library
        .lock()
        .map_err(|_| candle_core::Error::Msg("cuDNN failed before".into()))?;
    if settings.precision != Precision::Bf16 {
        return library.run(gpu, problem, direction, settings, arrays);
    }
    let count = |sizes: [usize; 4]| sizes.iter().product::<usize>();
    let is_result = |of: Direction| direction == of;
    let input = Half::new(gpu, arrays.input, count(problem.input), is_result(Direction::Data))?;
    let kernel = Half::new(gpu, arrays.kernel, count(problem.kernel), is_result(Direction::Filter))?;
    let halves = Arrays {
        input: gpu.address(&input.numbers),
        kernel: gpu.address(&kernel.numbers),
        output: arrays.output,
    };
    library.run(gpu, problem, direction, settings, halves)?;
    match direction {
        Direction::Forward => Ok(()),
        Direction::Data => input.back(gpu),
        Direction::Filter => kernel.back(gpu),
    }
}

/// Rounds `count` numbers to 16 bits.
pub fn rounded(gpu: &Gpu, from: Address, to: Address, count: usize) -> Result<()> {
    launch!(gpu, ELEMENTWISE, "to_bfloat16", elements(count), from, to, count)
}

/// An array in 16 bits, and the one in 32 that it stands for.
struct Half {
    numbers: CudaSlice<u16>,
    of: Address,
    count: usize,
}

impl Half {
    fn new(gpu: &Gpu, of: Address, count: usize, is_result: bool) -> Result<Self> {
        let numbers = gpu.empty::<u16>(count)?;
        let to = gpu.address(&numbers);
        if !is_result {
            rounded(gpu, of, to, count)?;
        }
        Ok(Self { numbers, of, count })
    }

    /// Writes the array in 32 bits.
    fn back(&self, gpu: &Gpu) -> Result<()> {
        let (from, to, count) = (gpu.address(&self.numbers), self.of, self.count);
        launch!(gpu, ELEMENTWISE, "from_bfloat16", elements(count), from, to, count)
    }
}
