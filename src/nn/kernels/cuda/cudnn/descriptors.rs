//! Convolutions as cuDNN knows them.

use std::ffi::c_int;

use candle_core::Result;
use candle_core::cuda_backend::cudarc::cudnn::{result, sys};

use super::algorithm::{math, math_before_the_choice};
use super::{Problem, failed};
use crate::nn::kernels::cuda::gpu::int;
use crate::nn::kernels::cuda::settings::Precision;

/// What cuDNN knows a convolution by.
pub struct Descriptors {
    pub input: sys::cudnnTensorDescriptor_t,
    pub kernel: sys::cudnnFilterDescriptor_t,
    pub output: sys::cudnnTensorDescriptor_t,
    pub convolution: sys::cudnnConvolutionDescriptor_t,
}

// SAFETY: descriptors are plain memory of cuDNN's, used by one thread at a time: they lie behind the lock of their library.
#[allow(unsafe_code)]
unsafe impl Send for Descriptors {}

impl Descriptors {
    #[allow(unsafe_code)]
    pub fn new(problem: &Problem, precision: Precision) -> Result<Self> {
        let four = |sizes: [usize; 4]| -> Result<[c_int; 4]> {
            let [batch, channels, rows, columns] = sizes;
            Ok([int(batch)?, int(channels)?, int(rows)?, int(columns)?])
        };
        let two = |sizes: [usize; 2]| -> Result<[c_int; 2]> { Ok([int(sizes[0])?, int(sizes[1])?]) };
        let (input, kernel, output) = (four(problem.input)?, four(problem.kernel)?, four(problem.output)?);
        let (stride, padding, dilation) = (two(problem.stride)?, two(problem.padding)?, two(problem.dilation)?);
        let groups = int(problem.groups)?;
        let numbers = match precision {
            Precision::Float32 | Precision::Tf32 => sys::cudnnDataType_t::CUDNN_DATA_FLOAT,
            Precision::Bf16 => sys::cudnnDataType_t::CUDNN_DATA_BFLOAT16,
        };
        let order = sys::cudnnTensorFormat_t::CUDNN_TENSOR_NCHW;
        let wrong = failed("describing a convolution");
        let made = Self {
            input: result::create_tensor_descriptor().map_err(&wrong)?,
            kernel: result::create_filter_descriptor().map_err(&wrong)?,
            output: result::create_tensor_descriptor().map_err(&wrong)?,
            convolution: result::create_convolution_descriptor().map_err(&wrong)?,
        };
        // SAFETY: the descriptors were made just now.
        unsafe {
            result::set_tensor4d_descriptor(made.input, order, numbers, input).map_err(&wrong)?;
            result::set_filter4d_descriptor(made.kernel, numbers, order, kernel).map_err(&wrong)?;
            result::set_tensor4d_descriptor(made.output, order, numbers, output).map_err(&wrong)?;
            result::set_convolution2d_descriptor(
                made.convolution,
                padding[0],
                padding[1],
                stride[0],
                stride[1],
                dilation[0],
                dilation[1],
                sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION,
                sys::cudnnDataType_t::CUDNN_DATA_FLOAT,
            )
            .map_err(&wrong)?;
            result::set_convolution_group_count(made.convolution, groups).map_err(&wrong)?;
        }
        made.set_math(math_before_the_choice(precision))?;
        Ok(made)
    }

    #[allow(unsafe_code)]
    pub fn set_math(&self, number: i32) -> Result<()> {
        // SAFETY: the descriptor lives as long as `self`.
        unsafe { result::set_convolution_math_type(self.convolution, math(number)) }
            .map_err(failed("setting the precision of a convolution"))
    }
}

impl Drop for Descriptors {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: made by `new`, and given back once. There is nothing to be done about a failure.
        unsafe {
            let _ = result::destroy_tensor_descriptor(self.input);
            let _ = result::destroy_filter_descriptor(self.kernel);
            let _ = result::destroy_tensor_descriptor(self.output);
            let _ = result::destroy_convolution_descriptor(self.convolution);
        }
    }
}
