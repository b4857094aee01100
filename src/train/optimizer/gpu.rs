//! Updates on a GPU: all parameters in one launch. The formulas are in `nn/kernels/cuda/source/update.cu`.

use candle_core::{Result, Tensor};

use super::host::Update;
use super::{Memory, Rule, Slot};
use crate::nn::kernels::cuda;

/// Updates the parameters that have a gradient, by the rule that was announced.
pub(super) fn update(slots: &[Slot], gradients: &[Option<Tensor>], cell: &cuda::StepCell, norm: &Tensor) -> Result<()> {
    let mut on_gpu = Vec::with_capacity(slots.len());
    for (slot, gradient) in slots.iter().zip(gradients) {
        let Some(gradient) = gradient else { continue };
        let Memory::Device(memory) = &slot.memory else {
            candle_core::bail!("the memory of {} is not on the GPU", slot.name)
        };
        on_gpu.push(cuda::Slot {
            parameter: &slot.parameter,
            gradient,
            memory: std::array::from_fn(|which| memory.get(which).map(|memory| memory.as_tensor())),
            decayed: slot.decayed,
        });
    }
    cuda::update(&on_gpu, cell, norm)
}

/// The numbers that the kernel works with, computed in 64 bits as on the CPU.
pub(super) fn rule(how: Update, clip_norm: Option<f64>) -> cuda::Rule {
    let mut constants = [0.0f32; 8];
    let mut set = |values: &[f64]| {
        for (constant, &value) in constants.iter_mut().zip(values) {
            *constant = value as f32;
        }
    };
    let kind = match how.rule {
        Rule::Adam(spec) | Rule::Adamw(spec) => {
            let power = i32::try_from(how.updates).unwrap_or(i32::MAX);
            set(&[
                spec.beta1,
                1.0 - spec.beta1,
                spec.beta2,
                1.0 - spec.beta2,
                spec.epsilon,
                1.0 / (1.0 - spec.beta2.powi(power)).sqrt(),
                how.learning_rate / (1.0 - spec.beta1.powi(power)),
                1.0 - how.learning_rate * how.weight_decay,
            ]);
            i32::from(matches!(how.rule, Rule::Adamw(_)))
        }
        Rule::Sgd(spec) => {
            set(&[spec.momentum, f64::from(u8::from(spec.nesterov))]);
            2
        }
        Rule::Rmsprop(spec) => {
            set(&[spec.alpha, 1.0 - spec.alpha, spec.epsilon, spec.momentum]);
            3
        }
    };
    cuda::Rule {
        kind,
        learning_rate: how.learning_rate as f32,
        weight_decay: how.weight_decay as f32,
        constants,
        scale: how.scale,
        clip_norm: clip_norm.unwrap_or(0.0),
    }
}
