//! The optimisers' updates, and the norm of the gradients: see `source/update.cu`.

use candle_core::cuda_backend::cudarc::driver::DeviceRepr;
use candle_core::{DType, Device, Result, Tensor};

use super::gpu::{Address, Gpu, UPDATE, address_within, blocks, launch, with_address};
use super::step_cell::StepCell;

/// The most parameters of one launch: their addresses are its arguments, which are 4 KiB at most.
const TENSORS: usize = 64;
/// Numbers of one block.
const CHUNK: usize = 4096;
/// The most that a rule remembers of each number.
const MOST: usize = 3;

/// The kernels' `Tensors`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Tensors {
    parameter: [Address; TENSORS],
    gradient: [Address; TENSORS],
    memory: [[Address; TENSORS]; MOST],
    length: [u64; TENSORS],
    decayed: [u8; TENSORS],
    blocks: [u32; TENSORS + 1],
    count: i32,
}

// SAFETY: numbers in the order and of the sizes of the kernels' `Tensors`; both sides lay out a struct by C's rules.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Tensors {}

/// How numbers are updated; the kernels' `Rule`, which says what the constants are.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct Rule {
    /// 0 Adam, 1 AdamW, 2 SGD, 3 RMSprop.
    pub kind: i32,
    pub learning_rate: f32,
    pub weight_decay: f32,
    pub constants: [f32; 8],
    /// By which gradients are multiplied first.
    pub scale: f64,
    /// The norm above which gradients are scaled down to it; 0 for none.
    pub clip_norm: f64,
}

// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Rule {}

/// What is remembered of one parameter, in the order of the rule.
pub type Memory<'a> = [Option<&'a Tensor>; MOST];

/// One parameter with its gradient.
pub struct Slot<'a> {
    pub parameter: &'a Tensor,
    pub gradient: &'a Tensor,
    pub memory: Memory<'a>,
    pub decayed: bool,
}

impl Tensors {
    const EMPTY: Self = Self {
        parameter: [Address::NONE; TENSORS],
        gradient: [Address::NONE; TENSORS],
        memory: [[Address::NONE; TENSORS]; MOST],
        length: [0; TENSORS],
        decayed: [0; TENSORS],
        blocks: [0; TENSORS + 1],
        count: 0,
    };

    /// `slots`: at most [`TENSORS`], all of them contiguous.
    fn new(slots: &[Slot]) -> Result<Self> {
        let mut tensors = Self::EMPTY;
        for (index, slot) in slots.iter().enumerate().take(TENSORS) {
            let length = slot.parameter.elem_count();
            if slot.gradient.elem_count() != length {
                candle_core::bail!(
                    "a parameter of {length} numbers has a gradient of {}",
                    slot.gradient.elem_count()
                )
            }
            tensors.parameter[index] = address_within(slot.parameter)?;
            tensors.gradient[index] = address_within(slot.gradient)?;
            for (which, memory) in slot.memory.iter().enumerate() {
                if let Some(memory) = memory {
                    tensors.memory[which][index] = address_within(memory)?;
                }
            }
            tensors.length[index] = length as u64;
            tensors.decayed[index] = u8::from(slot.decayed);
            tensors.blocks[index + 1] = tensors.blocks[index] + length.div_ceil(CHUNK) as u32;
            tensors.count = index as i32 + 1;
        }
        Ok(tensors)
    }

    fn number_of_blocks(&self) -> u32 {
        self.blocks[self.count as usize]
    }
}

/// The Euclidean norm of all gradients, times `factor`, as a number in 64 bits on the GPU. 0 for none.
pub fn norm(slots: &[Slot], factor: f64, device: &Device) -> Result<Tensor> {
    let gpu = Gpu::of(device.as_cuda_device()?);
    let groups: Vec<Tensors> = slots.chunks(TENSORS).map(Tensors::new).collect::<Result<_>>()?;
    let count: u32 = groups.iter().map(Tensors::number_of_blocks).sum();
    if count == 0 {
        return Tensor::zeros((), DType::F64, device);
    }
    let partial = gpu.empty::<f64>(count as usize)?;
    let between = gpu.address(&partial);
    let mut from = 0u32;
    for tensors in groups {
        let number = tensors.number_of_blocks();
        if number > 0 {
            launch!(
                gpu,
                UPDATE,
                "squares",
                blocks(number as usize, 1),
                tensors,
                from,
                between
            )?;
        }
        from += number;
    }
    let out = gpu.empty::<f64>(1)?;
    let to = gpu.address(&out);
    launch!(
        gpu,
        UPDATE,
        "root_of_sum",
        blocks(1, 1),
        between,
        count,
        factor.abs(),
        to
    )?;
    Ok(gpu.tensor(out, ()))
}

/// Updates all parameters and what is remembered of them by the rule of `cell`, in one launch for each 64; not at all where `norm`,
/// which is that of [`norm`], is no finite number.
pub fn update(slots: &[Slot], cell: &StepCell, norm: &Tensor) -> Result<()> {
    let gpu = Gpu::of_tensor(norm)?;
    let rule = cell.whole();
    with_address::<f64, _>(norm, |norm| {
        for slots in slots.chunks(TENSORS) {
            let tensors = Tensors::new(slots)?;
            let number = tensors.number_of_blocks();
            if number > 0 {
                launch!(gpu, UPDATE, "update", blocks(number as usize, 1), tensors, rule, norm)?;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_fit_into_a_launch() {
        assert!(size_of::<Tensors>() + 2 * size_of::<Address>() <= 4096);
    }
}
