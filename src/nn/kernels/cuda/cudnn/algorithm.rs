//! What cuDNN offers for a convolution, and which of it is taken.

use candle_core::Result;
use candle_core::cuda_backend::cudarc::cudnn::sys;

use crate::nn::kernels::cuda::settings::{Precision, Settings};

/// The most that an algorithm may use beside its arrays, in bytes.
pub const WORKSPACE: usize = 1 << 30;

/// An algorithm, as cuDNN numbers them within a direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    pub algorithm: i32,
    pub math: i32,
    pub workspace: usize,
}

/// What cuDNN answers: `cudnnConvolution…AlgoPerf_t`, with numbers in place of its enumerations, which a newer library may extend.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Offer {
    pub algorithm: i32,
    pub status: i32,
    /// Milliseconds; negative where it was not measured.
    pub time: f32,
    pub memory: usize,
    pub determinism: i32,
    pub math: i32,
    reserved: [i32; 3],
}

const SUCCESS: i32 = 0;
const DETERMINISTIC: i32 = 1;
/// `CUDNN_DEFAULT_MATH`: with numbers of 32 bits tensor cores may round factors to 10 bits.
const DEFAULT_MATH: i32 = 0;
const TENSOR_OP_MATH: i32 = 1;
/// `CUDNN_FMA_MATH`: 32 bits throughout.
const FMA_MATH: i32 = 3;

/// The first of cuDNN's offers, which are in the order of their time, that is allowed.
pub fn choose(offers: &[Offer], settings: Settings) -> Option<Choice> {
    let allowed = |offer: &&Offer| {
        offer.status == SUCCESS
            && offer.memory <= WORKSPACE
            && (!settings.deterministic || offer.determinism == DETERMINISTIC)
            && (settings.precision != Precision::Float32 || offer.math == FMA_MATH || offer.math == DEFAULT_MATH)
    };
    offers.iter().find(allowed).map(|offer| Choice {
        algorithm: offer.algorithm,
        // In 32 bits nothing else is ever set, whatever an offer says.
        math: match settings.precision {
            Precision::Float32 => FMA_MATH,
            Precision::Tf32 | Precision::Bf16 => offer.math,
        },
        workspace: offer.memory,
    })
}

pub fn math_before_the_choice(precision: Precision) -> i32 {
    match precision {
        Precision::Float32 => FMA_MATH,
        Precision::Tf32 => DEFAULT_MATH,
        Precision::Bf16 => TENSOR_OP_MATH,
    }
}

pub fn math(number: i32) -> sys::cudnnMathType_t {
    match number {
        TENSOR_OP_MATH => sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH,
        FMA_MATH => sys::cudnnMathType_t::CUDNN_FMA_MATH,
        2 => sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION,
        _ => sys::cudnnMathType_t::CUDNN_DEFAULT_MATH,
    }
}

pub fn forward_algorithm(number: i32) -> Result<sys::cudnnConvolutionFwdAlgo_t> {
    use sys::cudnnConvolutionFwdAlgo_t::*;
    Ok(match number {
        0 => CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM,
        1 => CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM,
        2 => CUDNN_CONVOLUTION_FWD_ALGO_GEMM,
        3 => CUDNN_CONVOLUTION_FWD_ALGO_DIRECT,
        4 => CUDNN_CONVOLUTION_FWD_ALGO_FFT,
        5 => CUDNN_CONVOLUTION_FWD_ALGO_FFT_TILING,
        6 => CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD,
        7 => CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD_NONFUSED,
        other => candle_core::bail!("cuDNN named an unknown forward algorithm, {other}"),
    })
}

pub fn data_algorithm(number: i32) -> Result<sys::cudnnConvolutionBwdDataAlgo_t> {
    use sys::cudnnConvolutionBwdDataAlgo_t::*;
    Ok(match number {
        0 => CUDNN_CONVOLUTION_BWD_DATA_ALGO_0,
        1 => CUDNN_CONVOLUTION_BWD_DATA_ALGO_1,
        2 => CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT,
        3 => CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT_TILING,
        4 => CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD,
        5 => CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD_NONFUSED,
        other => candle_core::bail!("cuDNN named an unknown algorithm for input gradients, {other}"),
    })
}

pub fn filter_algorithm(number: i32) -> Result<sys::cudnnConvolutionBwdFilterAlgo_t> {
    use sys::cudnnConvolutionBwdFilterAlgo_t::*;
    Ok(match number {
        0 => CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0,
        1 => CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1,
        2 => CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT,
        3 => CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3,
        4 => CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD,
        5 => CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD_NONFUSED,
        6 => CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT_TILING,
        other => candle_core::bail!("cuDNN named an unknown algorithm for kernel gradients, {other}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(algorithm: i32, determinism: i32, math: i32, memory: usize) -> Offer {
        Offer {
            algorithm,
            determinism,
            math,
            memory,
            ..Offer::default()
        }
    }

    #[test]
    fn an_offer_is_laid_out_as_cudnn_lays_it_out() {
        assert_eq!(size_of::<Offer>(), size_of::<sys::cudnnConvolutionFwdAlgoPerf_t>());
        assert_eq!(size_of::<Offer>(), size_of::<sys::cudnnConvolutionBwdDataAlgoPerf_t>());
        assert_eq!(
            size_of::<Offer>(),
            size_of::<sys::cudnnConvolutionBwdFilterAlgoPerf_t>()
        );
        assert_eq!(
            [std::mem::offset_of!(Offer, memory), std::mem::offset_of!(Offer, math)],
            [
                std::mem::offset_of!(sys::cudnnConvolutionFwdAlgoPerf_t, memory),
                std::mem::offset_of!(sys::cudnnConvolutionFwdAlgoPerf_t, mathType)
            ]
        );
    }

    #[test]
    fn the_first_allowed_algorithm_is_chosen() {
        let offers = [
            Offer {
                status: 9,
                ..offer(6, DETERMINISTIC, FMA_MATH, 0)
            },
            offer(5, DETERMINISTIC, FMA_MATH, WORKSPACE + 1),
            offer(0, 0, FMA_MATH, 10),
            offer(7, DETERMINISTIC, TENSOR_OP_MATH, 20),
            offer(1, DETERMINISTIC, FMA_MATH, 30),
        ];
        let chosen = |precision, deterministic| {
            let settings = Settings {
                precision,
                deterministic,
            };
            choose(&offers, settings).map(|choice| (choice.algorithm, choice.math))
        };
        assert_eq!(chosen(Precision::Float32, true), Some((1, FMA_MATH)));
        assert_eq!(chosen(Precision::Float32, false), Some((0, FMA_MATH)));
        assert_eq!(chosen(Precision::Tf32, true), Some((7, TENSOR_OP_MATH)));
        assert_eq!(choose(&offers[..2], Settings::default()), None);
        assert_eq!(choose(&[], Settings::default()), None);
    }
}
