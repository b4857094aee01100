//! Asks the driver, cuBLAS and cuDNN what there is, after the libraries were found.

use candle_core::cuda_backend::cudarc::cublas::sys as cublas;
use candle_core::cuda_backend::cudarc::cudnn::result as cudnn;
use candle_core::cuda_backend::cudarc::driver::{DriverError, result as driver, sys};

use super::{Error, Gpu, GpuOfRun, Inventory, Library};

/// The toolkit that built the program, "13.0"; "" where nvcc did not tell.
const BUILT_WITH: &str = env!("AFFECT_CUDA_TOOLKIT");
/// The compute capability that the kernels were compiled for, "75".
const BUILT_FOR: &str = env!("AFFECT_CUDA_CAPABILITY");

/// What [`check`] found on its way.
pub struct Checked {
    devices: i32,
    driver_cuda: i32,
}

pub fn check() -> Result<Checked, Error> {
    let missing: Vec<Library> = super::libraries()
        .into_iter()
        .filter(|library| library.needed && !library.is_found())
        .collect();
    if !missing.is_empty() {
        return Err(Error::Missing(missing));
    }
    let mut driver_cuda = 0;
    // SAFETY: writes one integer; works before `cuInit`.
    #[allow(unsafe_code)]
    let answer = unsafe { sys::cuDriverGetVersion(&raw mut driver_cuda) };
    answer.result().map_err(refused("cuDriverGetVersion"))?;
    // The driver compiles the kernels, and knows the language of its own and older toolkits.
    if driver_cuda < number(BUILT_WITH) {
        return Err(Error::OldDriver {
            driver: version(driver_cuda),
            built: BUILT_WITH.into(),
        });
    }
    driver::init().map_err(|error| match error {
        DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE) => Error::NoDevice,
        error => refused("cuInit")(error),
    })?;
    match driver::device::get_count().map_err(refused("cuDeviceGetCount"))? {
        devices @ 1.. => Ok(Checked { devices, driver_cuda }),
        _ => Err(Error::NoDevice),
    }
}

pub fn inventory() -> Result<Inventory, Error> {
    let checked = check()?;
    let gpu_and_free = |number| {
        let device = driver::device::get(number).map_err(refused("cuDeviceGet"))?;
        Ok(Gpu {
            free: free(device).ok(),
            ..gpu(number)?
        })
    };
    let gpus = (0..checked.devices).map(gpu_and_free).collect::<Result<_, _>>()?;
    Ok(seen(&checked, gpus))
}

/// What a run on the device of this number notes down. Opens none: that takes time, and memory on each.
pub fn of_run(number: i32) -> Result<GpuOfRun, Error> {
    let checked = check()?;
    let gpu = gpu(number)?;
    Ok(seen(&checked, Vec::new()).of_run(&gpu))
}

fn seen(checked: &Checked, gpus: Vec<Gpu>) -> Inventory {
    Inventory {
        driver: std::fs::read_to_string("/proc/driver/nvidia/version")
            .ok()
            .and_then(|text| driver_version(&text)),
        driver_cuda: version(checked.driver_cuda),
        built_with: BUILT_WITH.into(),
        built_for: dotted(BUILT_FOR),
        gpus,
        cublas: cublas_version(),
        cudnn: cudnn_version(cudnn::get_version()),
    }
}

fn refused(call: &'static str) -> impl Fn(DriverError) -> Error {
    move |error| {
        let words = error.error_string().map(|words| words.to_string_lossy().into_owned());
        Error::Driver {
            call,
            why: words.unwrap_or_else(|_| format!("error {}", error.0 as u32)),
        }
    }
}

fn gpu(index: i32) -> Result<Gpu, Error> {
    use sys::CUdevice_attribute::{
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR as MAJOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR as MINOR,
    };
    let device = driver::device::get(index).map_err(refused("cuDeviceGet"))?;
    // SAFETY: `device` comes from the driver, which is initialised.
    #[allow(unsafe_code)]
    let (major, minor, memory) = unsafe {
        (
            driver::device::get_attribute(device, MAJOR).map_err(refused("cuDeviceGetAttribute"))?,
            driver::device::get_attribute(device, MINOR).map_err(refused("cuDeviceGetAttribute"))?,
            driver::device::total_mem(device).map_err(refused("cuDeviceTotalMem"))?,
        )
    };
    Ok(Gpu {
        name: driver::device::get_name(device).map_err(refused("cuDeviceGetName"))?,
        compute_capability: (major, minor),
        memory,
        free: None,
    })
}

/// Opens the device for the question. A device that is in use exclusively, or full, refuses.
fn free(device: sys::CUdevice) -> Result<usize, DriverError> {
    // SAFETY: the context is retained before it is used and released once.
    #[allow(unsafe_code)]
    unsafe {
        let before = driver::ctx::get_current()?;
        let context = driver::primary_ctx::retain(device)?;
        let answer = driver::ctx::set_current(context).and_then(|()| driver::mem_get_info());
        let restored = driver::ctx::set_current(before.unwrap_or(std::ptr::null_mut()));
        let released = driver::primary_ctx::release(device);
        let (free, _total) = answer?;
        restored.and(released).map(|()| free)
    }
}

fn cublas_version() -> String {
    use cublas::libraryPropertyType_t::{MAJOR_VERSION, MINOR_VERSION, PATCH_LEVEL};
    let parts = [MAJOR_VERSION, MINOR_VERSION, PATCH_LEVEL].map(|part| {
        let mut value = 0;
        // SAFETY: writes one integer.
        #[allow(unsafe_code)]
        let answer = unsafe { cublas::cublasGetProperty(part, &raw mut value) };
        answer.result().map_or("?".to_string(), |()| value.to_string())
    });
    parts.join(".")
}

/// "9.21.0" of 92100, "8.9.7" of 8907.
fn cudnn_version(number: usize) -> String {
    let thousands = if number >= 90_000 { 10_000 } else { 1000 };
    format!("{}.{}.{}", number / thousands, number % thousands / 100, number % 100)
}

/// "13.0" of 13000.
fn version(number: i32) -> String {
    format!("{}.{}", number / 1000, number % 1000 / 10)
}

/// 13000 of "13.0"; 0 of what is no version.
fn number(version: &str) -> i32 {
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    match (major.parse::<i32>(), minor.parse::<i32>()) {
        (Ok(major), Ok(minor)) => major * 1000 + minor * 10,
        _ => 0,
    }
}

/// "7.5" of "75", "9.0a" of "90a", "12.0" of "120".
fn dotted(capability: &str) -> String {
    let digits = capability
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(capability.len());
    let (digits, suffix) = capability.split_at(digits);
    match digits.len().checked_sub(1) {
        Some(major @ 1..) => format!("{}.{}{suffix}", &digits[..major], &digits[major..]),
        _ => capability.to_string(),
    }
}

/// "580.65.06" of "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul …".
fn driver_version(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("NVRM version"))?;
    let is_version =
        |word: &&str| word.contains('.') && word.chars().all(|letter| letter == '.' || letter.is_ascii_digit());
    line.split_whitespace().find(is_version).map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_written() {
        assert_eq!((version(13_000), version(12_080)), ("13.0".into(), "12.8".into()));
        assert_eq!((number("13.0"), number("12.8"), number("")), (13_000, 12_080, 0));
        assert_eq!(
            (cudnn_version(92_100), cudnn_version(8907)),
            ("9.21.0".into(), "8.9.7".into())
        );
        assert_eq!(["75", "90a", "120", ""].map(dotted), ["7.5", "9.0a", "12.0", ""]);
        let text = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 07:25:28 UTC 2025\nGCC version: 12\n";
        assert_eq!(driver_version(text).as_deref(), Some("580.65.06"));
        let open = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  575.57.08  Release Build\n";
        assert_eq!(driver_version(open).as_deref(), Some("575.57.08"));
        assert_eq!(driver_version("something else"), None);
    }
}
