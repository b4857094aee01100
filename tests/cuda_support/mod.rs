//! What the tests of the GPU share. They run on any GPU, and on the emulator of `scripts/cuda-emulator.sh`, and skip where there is neither.
#![allow(dead_code, reason = "not every test uses all of it")]
#![allow(clippy::disallowed_methods, reason = "tests read the environment")]

use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, PoisonError};

use affect::random::Generator;
use affect::train::spec::{DeviceSpec, PrecisionSpec};
use affect::train::{TrainSpec, device};
use candle_core::{DType, Device, Tensor};

/// Largest relative difference, of the largest number.
pub const TOLERANCE: f32 = 1e-4;

/// A GPU for one test at a time: all of them use one stream, and what one launches while another records would be recorded.
pub struct Gpu {
    device: Device,
    _alone: MutexGuard<'static, ()>,
}

impl Deref for Gpu {
    type Target = Device;

    fn deref(&self) -> &Device {
        &self.device
    }
}

/// A GPU, or `None` and the reason on standard error.
pub fn gpu() -> Option<Gpu> {
    gpu_with(PrecisionSpec::Float32, true)
}

pub fn gpu_with(precision: PrecisionSpec, deterministic: bool) -> Option<Gpu> {
    static ONE: Mutex<()> = Mutex::new(());
    let alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let spec = TrainSpec {
        device: DeviceSpec::Cuda(0),
        precision,
        deterministic,
        ..TrainSpec::default()
    };
    match device::open(&spec) {
        Ok(device) => Some(Gpu { device, _alone: alone }),
        Err(error) => {
            assert!(
                std::env::var_os("AFFECT_NEEDS_GPU").is_none(),
                "AFFECT_NEEDS_GPU is set, and there is none: {error}"
            );
            eprintln!("skipped: {error}");
            None
        }
    }
}

pub fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut generator = Generator::keyed(seed, "cuda test", &[]);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| generator.normal() as f32).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

pub fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor
        .flatten_all()
        .unwrap()
        .to_dtype(DType::F32)
        .unwrap()
        .to_vec1()
        .unwrap()
}

/// Checks two tensors, of which either may be on a GPU.
pub fn near(what: &str, gpu: &Tensor, cpu: &Tensor, tolerance: f32) {
    assert_eq!(gpu.dims(), cpu.dims(), "{what}");
    let (gpu, cpu) = (numbers(gpu), numbers(cpu));
    let size = cpu
        .iter()
        .filter(|value| value.is_finite())
        .fold(1e-3f32, |size, value| size.max(value.abs()));
    for (index, (a, b)) in gpu.iter().zip(&cpu).enumerate() {
        let same = a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * size;
        assert!(same, "{what}, number {index}: {a} on the GPU, {b} on the CPU");
    }
}
