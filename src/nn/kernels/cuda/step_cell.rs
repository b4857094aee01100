//! What changes from step to step although the launches are the same: the number of the step and the rule of its update.
//!
//! It lies on the GPU, at one address, and is written by a launch of its own before the step. So the launches of a step can be recorded
//! once and done again ([`super::graph`]).

use std::sync::Mutex;

use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::cuda_backend::{CudaDevice, DeviceId};
use candle_core::{Device, Result};

use super::gpu::{Address, Gpu, UPDATE, blocks, launch};
use super::update::Rule;

/// The kernels' `Cell`.
#[repr(C)]
struct Cell {
    step: u64,
    rule: Rule,
}

/// A step's number and rule, on one GPU.
///
/// Cells are never given back, since recorded launches and [`crate::nn::Mode`] keep their addresses; one that is not used any more
/// serves the next training.
#[derive(Debug)]
pub struct StepCell {
    device: CudaDevice,
    array: CudaSlice<u8>,
}

static IDLE: Mutex<Vec<(DeviceId, &'static StepCell)>> = Mutex::new(Vec::new());

/// The use of a cell; afterwards others may have it.
pub struct StepCellUse(&'static StepCell);

impl StepCell {
    /// One that nobody else uses.
    pub fn take(device: &Device) -> Result<StepCellUse> {
        let gpu = Gpu::of(device.as_cuda_device()?);
        let id = gpu.device.id();
        let mut idle = IDLE
            .lock()
            .map_err(|_| candle_core::Error::Msg("another training failed with the GPU's step at hand".into()))?;
        if let Some(found) = idle.iter().position(|(of, _)| *of == id) {
            return Ok(StepCellUse(idle.swap_remove(found).1));
        }
        Ok(StepCellUse(Box::leak(Box::new(Self {
            array: gpu.empty::<u8>(size_of::<Cell>())?,
            device: gpu.device,
        }))))
    }

    /// The kernels' `Cell`.
    pub(super) fn whole(&self) -> Address {
        Gpu::of(&self.device).address(&self.array)
    }

    /// The step's number, which is the first of it.
    pub(super) fn step(&self) -> Address {
        self.whole()
    }

    /// For everything that is launched from now on.
    pub fn set_step(&self, step: u64) -> Result<()> {
        let (gpu, cell) = (Gpu::of(&self.device), self.whole());
        launch!(gpu, UPDATE, "set_step", blocks(1, 1), cell, step)
    }

    /// For every update that is launched from now on.
    pub fn set_rule(&self, rule: Rule) -> Result<()> {
        let (gpu, cell) = (Gpu::of(&self.device), self.whole());
        launch!(gpu, UPDATE, "set_rule", blocks(1, 1), cell, rule)
    }
}

impl StepCellUse {
    pub fn cell(&self) -> &'static StepCell {
        self.0
    }
}

impl Drop for StepCellUse {
    fn drop(&mut self) {
        if let Ok(mut idle) = IDLE.lock() {
            idle.push((self.0.device.id(), self.0));
        }
    }
}
