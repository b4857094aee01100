//! cuDNN: one handle for each GPU, and for each convolution the descriptors and the algorithms that were chosen for it.

mod algorithm;
mod descriptors;

use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::sync::{Arc, Mutex};

use algorithm::{Choice, Offer, WORKSPACE, choose, data_algorithm, filter_algorithm, forward_algorithm};
use candle_core::Result;
use candle_core::cuda_backend::DeviceId;
use candle_core::cuda_backend::cudarc::cudnn::result::CudnnError;
use candle_core::cuda_backend::cudarc::cudnn::{result, sys};
use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use descriptors::Descriptors;

use super::gpu::{Address, Gpu};
use super::settings::Settings;

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

fn failed(what: &str) -> impl Fn(CudnnError) -> candle_core::Error {
    move |error| candle_core::Error::Msg(format!("cuDNN: {what} failed with {error}"))
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

/// Memory for algorithms. Recorded launches ([`super::graph`]) keep the one that they use.
pub type Workspace = Arc<CudaSlice<u8>>;

/// The one that convolutions on this GPU use at the moment.
pub fn workspace(gpu: &Gpu) -> Result<Option<Workspace>> {
    let libraries = LIBRARIES.lock().map_err(|_| poisoned())?;
    let Some((_, library)) = libraries.iter().find(|(of, _)| *of == gpu.device.id()) else {
        return Ok(None);
    };
    let library = library.lock().map_err(|_| poisoned())?;
    Ok(library.workspace.clone())
}

fn poisoned() -> candle_core::Error {
    candle_core::Error::Msg("cuDNN failed before".into())
}

/// cuDNN on one GPU.
pub struct Library {
    handle: sys::cudnnHandle_t,
    plans: HashMap<Key, Plan>,
    /// Shared by all convolutions: they run one after the other.
    workspace: Option<Workspace>,
}

// SAFETY: a handle may be used by any thread, one at a time: it lies behind the lock of [`of`].
#[allow(unsafe_code)]
unsafe impl Send for Library {}

static LIBRARIES: Mutex<Vec<(DeviceId, Arc<Mutex<Library>>)>> = Mutex::new(Vec::new());

/// That of a GPU, which is opened at the first call.
#[allow(unsafe_code)]
pub fn of(gpu: &Gpu) -> Result<Arc<Mutex<Library>>> {
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
        let key = key_of(problem, direction, settings);
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
            self.workspace = Some(Arc::new(gpu.empty::<u8>(bytes)?));
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
    fn measured(&self, gpu: &Gpu, on: &Descriptors, direction: Direction, arrays: Arrays) -> Result<Vec<Offer>> {
        // As much of the limit as the device has, and half at a time until it has it. An array of its own: that of the convolutions
        // stays as it is, since recorded launches may use it.
        let mut bytes = WORKSPACE;
        let array = loop {
            match gpu.empty::<u8>(bytes) {
                Ok(array) => break array,
                Err(_) if bytes > 1 << 20 => bytes /= 2,
                Err(error) => return Err(error),
            }
        };
        let workspace = gpu.address(&array);
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
