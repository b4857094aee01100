//! cuDNN: one handle for each GPU, and for each convolution the descriptors and the algorithms that were chosen for it.

use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::sync::{Arc, Mutex};

use candle_core::Result;
use candle_core::cuda_backend::DeviceId;
use candle_core::cuda_backend::cudarc::cudnn::result::CudnnError;
use candle_core::cuda_backend::cudarc::cudnn::{result, sys};
use candle_core::cuda_backend::cudarc::driver::CudaSlice;

use super::gpu::{Address, Gpu, int};
use super::settings::{Precision, Settings};

/// The most that an algorithm may use beside its arrays, in bytes.
const WORKSPACE: usize = 1 << 30;
/// Algorithms that cuDNN is asked for.
const ASKED: usize = 10;

/// What is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The output, of input and kernel.
    Forward,
    /// The gradient of the input, of kernel and output gradient.
    Data,
    /// The gradient of the kernel, of input and output gradient.
    Filter,
}

/// One convolution. Sizes are of batch, channels, rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Problem {
    pub input: [usize; 4],
    pub kernel: [usize; 4],
    pub output: [usize; 4],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub dilation: [usize; 2],
    pub groups: usize,
}

/// The arrays of a convolution: each its own, or its gradient.
#[derive(Clone, Copy)]
pub struct Arrays {
    pub input: Address,
    pub kernel: Address,
    pub output: Address,
}

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

fn math_before_the_choice(precision: Precision) -> i32 {
    match precision {
        Precision::Float32 => FMA_MATH,
        Precision::Tf32 => DEFAULT_MATH,
        Precision::Bf16 => TENSOR_OP_MATH,
    }
}

fn math(number: i32) -> sys::cudnnMathType_t {
    match number {
        TENSOR_OP_MATH => sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH,
        FMA_MATH => sys::cudnnMathType_t::CUDNN_FMA_MATH,
        2 => sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION,
        _ => sys::cudnnMathType_t::CUDNN_DEFAULT_MATH,
    }
}

fn forward_algorithm(number: i32) -> Result<sys::cudnnConvolutionFwdAlgo_t> {
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

fn data_algorithm(number: i32) -> Result<sys::cudnnConvolutionBwdDataAlgo_t> {
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

fn filter_algorithm(number: i32) -> Result<sys::cudnnConvolutionBwdFilterAlgo_t> {
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

fn failed(what: &str) -> impl Fn(CudnnError) -> candle_core::Error {
    move |error| candle_core::Error::Msg(format!("cuDNN: {what} failed with {error}"))
}

/// What cuDNN knows a convolution by.
struct Descriptors {
    input: sys::cudnnTensorDescriptor_t,
    kernel: sys::cudnnFilterDescriptor_t,
    output: sys::cudnnTensorDescriptor_t,
    convolution: sys::cudnnConvolutionDescriptor_t,
}

// SAFETY: descriptors are plain memory of cuDNN's, used by one thread at a time: they lie behind the lock of their library.
#[allow(unsafe_code)]
unsafe impl Send for Descriptors {}

impl Descriptors {
    #[allow(unsafe_code)]
    fn new(problem: &Problem, precision: Precision) -> Result<Self> {
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
    fn set_math(&self, number: i32) -> Result<()> {
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

/// A convolution in one direction.
struct Plan {
    descriptors: Descriptors,
    choice: Choice,
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    problem: Problem,
    direction: Direction,
    precision: i32,
    deterministic: bool,
}

/// cuDNN on one GPU.
pub struct Library {
    handle: sys::cudnnHandle_t,
    plans: HashMap<Key, Plan>,
    /// Shared by all convolutions: they run one after the other.
    workspace: Option<CudaSlice<u8>>,
}

// SAFETY: a handle may be used by any thread, one at a time: it lies behind the lock of [`of`].
#[allow(unsafe_code)]
unsafe impl Send for Library {}

static LIBRARIES: Mutex<Vec<(DeviceId, Arc<Mutex<Library>>)>> = Mutex::new(Vec::new());

/// That of a GPU, which is opened at the first call.
#[allow(unsafe_code)]
pub fn of(gpu: &Gpu) -> Result<Arc<Mutex<Library>>> {
    let poisoned = || candle_core::Error::Msg("cuDNN failed before".into());
    let mut libraries = LIBRARIES.lock().map_err(|_| poisoned())?;
    let id = gpu.device.id();
    if let Some((_, library)) = libraries.iter().find(|(of, _)| *of == id) {
        return Ok(Arc::clone(library));
    }
    let stream = gpu.device.cuda_stream();
    stream.context().bind_to_thread().map_err(candle_core::Error::wrap)?;
    let handle = result::create_handle().map_err(failed("opening the library"))?;
    // SAFETY: the handle was made just now; the stream lives as long as the device, whose tensors every call works on.
    unsafe { result::set_stream(handle, stream.cu_stream().cast()) }.map_err(failed("setting the stream"))?;
    let library = Arc::new(Mutex::new(Library {
        handle,
        plans: HashMap::new(),
        workspace: None,
    }));
    libraries.push((id, Arc::clone(&library)));
    Ok(library)
}

impl Library {
    /// Computes one direction of `problem`: writes that of the arrays which `direction` names.
    pub fn run(
        &mut self,
        gpu: &Gpu,
        problem: &Problem,
        direction: Direction,
        settings: Settings,
        arrays: Arrays,
    ) -> Result<()> {
        gpu.device
            .cuda_stream()
            .context()
            .bind_to_thread()
            .map_err(candle_core::Error::wrap)?;
        let key = Key {
            problem: *problem,
            direction,
            precision: settings.precision as i32,
            deterministic: settings.deterministic,
        };
        if !self.plans.contains_key(&key) {
            let plan = self.plan(gpu, problem, direction, settings, arrays)?;
            self.plans.insert(key_of(problem, direction, settings), plan);
        }
        let needed = self.plans.get(&key).map_or(0, |plan| plan.choice.workspace);
        let workspace = self.workspace(gpu, needed)?;
        match self.plans.get(&key) {
            Some(plan) => self.launch(plan, direction, arrays, workspace, needed),
            None => candle_core::bail!("cuDNN: a convolution has no plan"),
        }
    }

    /// The address of so many bytes.
    fn workspace(&mut self, gpu: &Gpu, bytes: usize) -> Result<Address> {
        if bytes == 0 {
            return Ok(Address::NONE);
        }
        if self.workspace.as_ref().is_none_or(|has| has.len() < bytes) {
            // What used the old one was launched before, and memory is given back in the order of the stream.
            self.workspace = None;
            self.workspace = Some(gpu.empty::<u8>(bytes)?);
        }
        Ok(self
            .workspace
            .as_ref()
            .map_or(Address::NONE, |workspace| gpu.address(workspace)))
    }

    fn plan(
        &mut self,
        gpu: &Gpu,
        problem: &Problem,
        direction: Direction,
        settings: Settings,
        arrays: Arrays,
    ) -> Result<Plan> {
        let descriptors = Descriptors::new(problem, settings.precision)?;
        let offers = match settings.deterministic {
            true => self.offers(&descriptors, direction)?,
            false => self.measured(gpu, &descriptors, direction, arrays)?,
        };
        let Some(mut choice) = choose(&offers, settings) else {
            candle_core::bail!(
                "cuDNN offers no {}algorithm for {problem:?} ({direction:?}); {}",
                if settings.deterministic { "deterministic " } else { "" },
                if settings.deterministic {
                    "try `train.deterministic = false`"
                } else {
                    "try the CPU (`--device cpu`)"
                }
            )
        };
        descriptors.set_math(choice.math)?;
        choice.workspace = self.needed(&descriptors, direction, choice.algorithm)?;
        Ok(Plan { descriptors, choice })
    }

    /// What cuDNN's heuristics offer: the same for one shape, GPU and version.
    #[allow(unsafe_code)]
    fn offers(&self, on: &Descriptors, direction: Direction) -> Result<Vec<Offer>> {
        let mut offers = [Offer::default(); ASKED];
        let mut count: c_int = 0;
        let asked = ASKED as c_int;
        let to = offers.as_mut_ptr();
        // SAFETY: handle and descriptors are alive; there is room for as many answers as are asked for, of cuDNN's layout.
        let status = unsafe {
            match direction {
                Direction::Forward => sys::cudnnGetConvolutionForwardAlgorithm_v7(
                    self.handle,
                    on.input,
                    on.kernel,
                    on.convolution,
                    on.output,
                    asked,
                    &mut count,
                    to.cast(),
                ),
                Direction::Data => sys::cudnnGetConvolutionBackwardDataAlgorithm_v7(
                    self.handle,
                    on.kernel,
                    on.output,
                    on.convolution,
                    on.input,
                    asked,
                    &mut count,
                    to.cast(),
                ),
                Direction::Filter => sys::cudnnGetConvolutionBackwardFilterAlgorithm_v7(
                    self.handle,
                    on.input,
                    on.output,
                    on.convolution,
                    on.kernel,
                    asked,
                    &mut count,
                    to.cast(),
                ),
            }
        };
        status.result().map_err(failed("asking for algorithms"))?;
        Ok(offers[..usize::try_from(count).unwrap_or(0).min(ASKED)].to_vec())
    }

    /// All algorithms, tried on these arrays; the result array is overwritten.
    #[allow(unsafe_code)]
    fn measured(&mut self, gpu: &Gpu, on: &Descriptors, direction: Direction, arrays: Arrays) -> Result<Vec<Offer>> {
        // As much of the limit as the device has, and half at a time until it has it.
        let mut bytes = WORKSPACE;
        let workspace = loop {
            match self.workspace(gpu, bytes) {
                Ok(workspace) => break workspace,
                Err(_) if bytes > 1 << 20 => bytes /= 2,
                Err(error) => return Err(error),
            }
        };
        let mut offers = [Offer::default(); ASKED];
        let mut count: c_int = 0;
        let asked = ASKED as c_int;
        let to = offers.as_mut_ptr();
        let at = |address: Address| address.0 as *const c_void;
        let result = |address: Address| address.0 as *mut c_void;
        // SAFETY: as in `offers`; the arrays are as long as the descriptors say, and the workspace is as large as is said.
        let status = unsafe {
            match direction {
                Direction::Forward => sys::cudnnFindConvolutionForwardAlgorithmEx(
                    self.handle,
                    on.input,
                    at(arrays.input),
                    on.kernel,
                    at(arrays.kernel),
                    on.convolution,
                    on.output,
                    result(arrays.output),
                    asked,
                    &mut count,
                    to.cast(),
                    result(workspace),
                    bytes,
                ),
                Direction::Data => sys::cudnnFindConvolutionBackwardDataAlgorithmEx(
                    self.handle,
                    on.kernel,
                    at(arrays.kernel),
                    on.output,
                    at(arrays.output),
                    on.convolution,
                    on.input,
                    result(arrays.input),
                    asked,
                    &mut count,
                    to.cast(),
                    result(workspace),
                    bytes,
                ),
                Direction::Filter => sys::cudnnFindConvolutionBackwardFilterAlgorithmEx(
                    self.handle,
                    on.input,
                    at(arrays.input),
                    on.output,
                    at(arrays.output),
                    on.convolution,
                    on.kernel,
                    result(arrays.kernel),
                    asked,
                    &mut count,
                    to.cast(),
                    result(workspace),
                    bytes,
                ),
            }
        };
        status.result().map_err(failed("measuring algorithms"))?;
        // What only the measurement needed is given back.
        self.workspace = None;
        Ok(offers[..usize::try_from(count).unwrap_or(0).min(ASKED)].to_vec())
    }

    #[allow(unsafe_code)]
    fn needed(&self, on: &Descriptors, direction: Direction, algorithm: i32) -> Result<usize> {
        let mut bytes = 0usize;
        // SAFETY: handle and descriptors are alive.
        let status = unsafe {
            match direction {
                Direction::Forward => sys::cudnnGetConvolutionForwardWorkspaceSize(
                    self.handle,
                    on.input,
                    on.kernel,
                    on.convolution,
                    on.output,
                    forward_algorithm(algorithm)?,
                    &mut bytes,
                ),
                Direction::Data => sys::cudnnGetConvolutionBackwardDataWorkspaceSize(
                    self.handle,
                    on.kernel,
                    on.output,
                    on.convolution,
                    on.input,
                    data_algorithm(algorithm)?,
                    &mut bytes,
                ),
                Direction::Filter => sys::cudnnGetConvolutionBackwardFilterWorkspaceSize(
                    self.handle,
                    on.input,
                    on.output,
                    on.convolution,
                    on.kernel,
                    filter_algorithm(algorithm)?,
                    &mut bytes,
                ),
            }
        };
        status
            .result()
            .map_err(failed("asking for the memory of an algorithm"))?;
        Ok(bytes)
    }

    #[allow(unsafe_code)]
    fn launch(
        &self,
        plan: &Plan,
        direction: Direction,
        arrays: Arrays,
        workspace: Address,
        bytes: usize,
    ) -> Result<()> {
        let (one, zero) = (1.0f32, 0.0f32);
        let (alpha, beta) = ((&raw const one).cast::<c_void>(), (&raw const zero).cast::<c_void>());
        let at = |address: Address| address.0 as *const c_void;
        let result = |address: Address| address.0 as *mut c_void;
        let on = &plan.descriptors;
        let algorithm = plan.choice.algorithm;
        // SAFETY: as in `measured`; the factors are read during the call.
        let status = unsafe {
            match direction {
                Direction::Forward => sys::cudnnConvolutionForward(
                    self.handle,
                    alpha,
                    on.input,
                    at(arrays.input),
                    on.kernel,
                    at(arrays.kernel),
                    on.convolution,
                    forward_algorithm(algorithm)?,
                    result(workspace),
                    bytes,
                    beta,
                    on.output,
                    result(arrays.output),
                ),
                Direction::Data => sys::cudnnConvolutionBackwardData(
                    self.handle,
                    alpha,
                    on.kernel,
                    at(arrays.kernel),
                    on.output,
                    at(arrays.output),
                    on.convolution,
                    data_algorithm(algorithm)?,
                    result(workspace),
                    bytes,
                    beta,
                    on.input,
                    result(arrays.input),
                ),
                Direction::Filter => sys::cudnnConvolutionBackwardFilter(
                    self.handle,
                    alpha,
                    on.input,
                    at(arrays.input),
                    on.output,
                    at(arrays.output),
                    on.convolution,
                    filter_algorithm(algorithm)?,
                    result(workspace),
                    bytes,
                    beta,
                    on.kernel,
                    result(arrays.kernel),
                ),
            }
        };
        status.result().map_err(failed(match direction {
            Direction::Forward => "a convolution",
            Direction::Data => "the input gradient of a convolution",
            Direction::Filter => "the kernel gradient of a convolution",
        }))
    }
}

fn key_of(problem: &Problem, direction: Direction, settings: Settings) -> Key {
    Key {
        problem: *problem,
        direction,
        precision: settings.precision as i32,
        deterministic: settings.deterministic,
    }
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
