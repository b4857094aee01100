//! Where the network runs.

use candle_core::{Device, DeviceLocation};

use super::Error;
use super::spec::{DeviceSpec, PrecisionSpec, TrainSpec};
use crate::cuda;

/// The device that the settings ask for, set up as they say. One GPU is opened once, however often it is asked for.
///
/// # Errors
/// A GPU that this build, this machine or its libraries don't have, with what is missing; a precision that the device doesn't have.
pub fn open(spec: &TrainSpec) -> Result<Device, Error> {
    let device = match spec.device {
        DeviceSpec::Cpu => Device::Cpu,
        DeviceSpec::Auto => first_gpu().unwrap_or(Device::Cpu),
        DeviceSpec::Cuda(number) => gpu(usize::from(number)).map_err(|why| Error::Device {
            device: spec.device,
            why: why.to_string(),
            hint: why.hint(),
        })?,
    };
    if device.is_cpu() && spec.precision != PrecisionSpec::Float32 {
        return Err(Error::Precision {
            precision: match spec.precision {
                PrecisionSpec::Bf16 => "bf16",
                _ => "tf32",
            },
        });
    }
    configure(spec);
    Ok(device)
}

/// "cpu", "cuda:0".
pub fn name(device: &Device) -> String {
    match device.location() {
        DeviceLocation::Cpu => "cpu".into(),
        DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
    }
}

/// What a run on this device notes down of it; nothing of a CPU.
pub fn gpu_of_run(device: &Device) -> Option<cuda::GpuOfRun> {
    match device.location() {
        DeviceLocation::Cuda { gpu_id } => cuda::of_run(gpu_id),
        DeviceLocation::Cpu | DeviceLocation::Metal { .. } => None,
    }
}

/// A GPU and how it is used: "cuda:0 (NVIDIA H200), float32, deterministic".
pub fn describe(device: &Device, spec: &TrainSpec) -> String {
    let precision = match spec.precision {
        PrecisionSpec::Float32 => "float32",
        PrecisionSpec::Tf32 => "tf32",
        PrecisionSpec::Bf16 => "bf16",
    };
    let is_deterministic = match spec.deterministic {
        true => "deterministic",
        false => "not deterministic",
    };
    let model = this_build::model(device).map_or_else(String::new, |model| format!(" ({model})"));
    format!("{}{model}, {precision}, {is_deterministic}", name(device))
}

/// Why a GPU is not there.
#[derive(Debug, thiserror::Error)]
enum Absent {
    #[error(transparent)]
    Cuda(#[from] cuda::Error),
    #[cfg(feature = "cuda")]
    #[error("{0}")]
    Other(String),
}

impl Absent {
    fn hint(&self) -> String {
        match self {
            Self::Cuda(error) => error.hint(),
            #[cfg(feature = "cuda")]
            Self::Other(_) => "`affect doctor` shows what this machine offers".into(),
        }
    }
}

/// The first GPU, if there is one.
fn first_gpu() -> Option<Device> {
    gpu(0).ok()
}

#[cfg(not(feature = "cuda"))]
mod this_build {
    use super::{Absent, Device, TrainSpec};

    pub fn gpu(_: usize) -> Result<Device, Absent> {
        Err(crate::cuda::Error::NotBuilt.into())
    }

    pub fn configure(_: &TrainSpec) {}

    pub fn model(_: &Device) -> Option<String> {
        None
    }
}

#[cfg(feature = "cuda")]
mod this_build {
    use std::sync::Mutex;

    use candle_core::cuda_backend::cudarc::driver::{CudaContext, DriverError, sys};

    use super::{Absent, Device, PrecisionSpec, TrainSpec};
    use crate::nn::kernels::cuda::{Precision, Settings, configure as configure_kernels, set_up_products};

    /// Those that were opened, with their numbers.
    static OPENED: Mutex<Vec<(usize, Device)>> = Mutex::new(Vec::new());

    pub fn gpu(number: usize) -> Result<Device, Absent> {
        let mut opened = OPENED
            .lock()
            .map_err(|_| Absent::Other("opening it failed before".into()))?;
        if let Some((_, device)) = opened.iter().find(|(of, _)| *of == number) {
            return Ok(device.clone());
        }
        crate::cuda::check()?;
        let there = CudaContext::device_count()
            .map_err(|error| Absent::Other(format!("the driver does not answer: {error}")))?;
        let there = usize::try_from(there).unwrap_or(0);
        if number >= there {
            return Err(Absent::Other(match there {
                0 => "this machine has no GPU that the driver can use".into(),
                1 => "this machine has one GPU, `cuda:0`".into(),
                _ => format!("this machine has {there} GPUs, `cuda:0` to `cuda:{}`", there - 1),
            }));
        }
        let failed = |error: candle_core::Error| Absent::Other(format!("it cannot be opened: {error}"));
        // On a stream of its own: on Candle's default, which is another one for each thread, what one thread copies could be read by
        // another before it is there.
        let device = Device::new_cuda_with_stream(number).map_err(failed)?;
        // SAFETY: everything runs on the device's one stream, in order, but for the copies of `cuda::Feeder`, which orders them by
        // events of its own.
        #[allow(unsafe_code)]
        unsafe {
            device.as_cuda_device().map_err(failed)?.disable_event_tracking();
        }
        keep_memory(number).map_err(Absent::Other)?;
        set_up_products(device.as_cuda_device().map_err(failed)?).map_err(failed)?;
        opened.push((number, device.clone()));
        Ok(device)
    }

    /// Memory that was given back stays with the process, for the next step: else every wait for the GPU would give it back to the
    /// driver.
    #[allow(unsafe_code)]
    fn keep_memory(number: usize) -> Result<(), String> {
        let failed = |error: DriverError| format!("its memory cannot be set up: {error}");
        let ordinal = i32::try_from(number).map_err(|_| "there is no such number".to_owned())?;
        let mut device: sys::CUdevice = 0;
        let mut pool: sys::CUmemoryPool = std::ptr::null_mut();
        let mut all = u64::MAX;
        // SAFETY: the addresses are those of variables of the types that the driver writes or reads.
        unsafe {
            sys::cuDeviceGet(&mut device, ordinal).result().map_err(failed)?;
            if sys::cuDeviceGetDefaultMemPool(&mut pool, device).result().is_err() {
                // Memory is then taken and given back array by array: slower, and right.
                return Ok(());
            }
            let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
            sys::cuMemPoolSetAttribute(pool, attribute, (&raw mut all).cast())
                .result()
                .map_err(failed)
        }
    }

    /// What the driver calls it.
    pub fn model(device: &Device) -> Option<String> {
        device.as_cuda_device().ok()?.cuda_stream().context().name().ok()
    }

    pub fn configure(spec: &TrainSpec) {
        configure_kernels(Settings {
            precision: match spec.precision {
                PrecisionSpec::Float32 => Precision::Float32,
                PrecisionSpec::Tf32 => Precision::Tf32,
                PrecisionSpec::Bf16 => Precision::Bf16,
            },
            deterministic: spec.deterministic,
        });
    }
}

use this_build::{configure, gpu};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_has_one_precision() {
        let mut spec = TrainSpec {
            device: DeviceSpec::Cpu,
            ..TrainSpec::default()
        };
        assert_eq!(name(&open(&spec).unwrap()), "cpu");
        spec.precision = PrecisionSpec::Bf16;
        let error = open(&spec).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`train.precision` is \"bf16\", which the CPU does not have"
        );
        assert!(error.is_request() && error.hint().is_some());
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_build_without_cuda_says_so() {
        let spec = TrainSpec {
            device: DeviceSpec::Cuda(1),
            ..TrainSpec::default()
        };
        let error = open(&spec).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`train.device` asks for cuda:1, but affect was built without CUDA"
        );
        assert!(error.hint().unwrap().contains("--features cuda"));
        let spec = TrainSpec::default();
        assert!(open(&spec).unwrap().is_cpu());
    }
}
