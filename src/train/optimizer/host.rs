//! Updates on the CPU, in one pass: each number of a parameter, of its gradient and of what is remembered of it is read once, and
//! written once where it changes. (As Candle's operations an update of Adam is fifteen passes.)

use std::sync::Mutex;

use candle_core::{CpuStorage, DType, Layout, Result, Tensor, WithDType};
use num_traits::Float;
use rayon::prelude::*;

use super::Rule;
use crate::vector::on_vectors;

/// Numbers that one task updates.
const CHUNK: usize = 1 << 14;
/// The most that a rule remembers of each number.
const MOST: usize = 3;

/// What a rule remembers of one parameter: none to three arrays as long as it is.
pub(super) enum Memory {
    F32(Vec<Vec<f32>>),
    F64(Vec<Vec<f64>>),
}

impl Memory {
    /// `None` for other element types.
    pub fn zeros(dtype: DType, arrays: usize, length: usize) -> Option<Self> {
        match dtype {
            DType::F32 => Some(Self::F32(vec![vec![0.0; length]; arrays])),
            DType::F64 => Some(Self::F64(vec![vec![0.0; length]; arrays])),
            _ => None,
        }
    }

    /// One array, in the shape of the parameter.
    pub fn tensor(&self, which: usize, like: &Tensor) -> Result<Tensor> {
        let (shape, device) = (like.shape(), like.device());
        match self {
            Self::F32(arrays) => Tensor::from_slice(array(arrays, which)?, shape, device),
            Self::F64(arrays) => Tensor::from_slice(array(arrays, which)?, shape, device),
        }
    }

    /// `values` are as many as the parameter has.
    pub fn set(&mut self, which: usize, values: &Tensor) -> Result<()> {
        let values = values.flatten_all()?;
        match self {
            Self::F32(arrays) => arrays[which] = values.to_dtype(DType::F32)?.to_vec1()?,
            Self::F64(arrays) => arrays[which] = values.to_dtype(DType::F64)?.to_vec1()?,
        }
        Ok(())
    }
}

fn array<T>(arrays: &[Vec<T>], which: usize) -> Result<&[T]> {
    match arrays.get(which) {
        Some(array) => Ok(array),
        None => candle_core::bail!("the optimiser has no memory {which}"),
    }
}

/// How one parameter is updated.
#[derive(Clone, Copy)]
pub(super) struct Update<'a> {
    pub rule: &'a Rule,
    pub learning_rate: f64,
    /// 0 for none.
    pub weight_decay: f64,
    /// Updates done, this one included.
    pub updates: u64,
    /// By which the gradient is multiplied first.
    pub scale: f64,
}

/// Updates a parameter and what is remembered of it.
pub(super) fn update(parameter: &Tensor, gradient: &Tensor, memory: &mut Memory, how: Update) -> Result<()> {
    let operator = Operator {
        how,
        memory: Mutex::new(memory),
    };
    parameter.inplace_op2(&gradient.contiguous()?, &operator)
}

struct Operator<'a, 'm> {
    how: Update<'a>,
    memory: Mutex<&'m mut Memory>,
}

impl candle_core::InplaceOp2 for Operator<'_, '_> {
    fn name(&self) -> &'static str {
        "affect-update"
    }

    fn cpu_fwd(
        &self,
        parameter: &mut CpuStorage,
        parameter_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<()> {
        let (Some(to), Some(from)) = (
            parameter_layout.contiguous_offsets(),
            gradient_layout.contiguous_offsets(),
        ) else {
            candle_core::bail!("an update needs contiguous tensors")
        };
        let mut memory = self
            .memory
            .lock()
            .map_err(|_| candle_core::Error::Msg("an update failed before".into()))?;
        match (parameter, gradient, &mut **memory) {
            (CpuStorage::F32(parameter), CpuStorage::F32(gradient), Memory::F32(memory)) => {
                all(self.how, &mut parameter[to.0..to.1], &gradient[from.0..from.1], memory)
            }
            (CpuStorage::F64(parameter), CpuStorage::F64(gradient), Memory::F64(memory)) => {
                all(self.how, &mut parameter[to.0..to.1], &gradient[from.0..from.1], memory)
            }
            _ => candle_core::bail!("a parameter, its gradient and its memory are of different types"),
        }
    }
}

fn all<T: WithDType + Float>(how: Update, parameter: &mut [T], gradient: &[T], memory: &mut [Vec<T>]) -> Result<()> {
    if gradient.len() != parameter.len() || memory.iter().any(|array| array.len() != parameter.len()) {
        candle_core::bail!(
            "a parameter of {} numbers has a gradient of {}",
            parameter.len(),
            gradient.len()
        )
    }
    let chunks = parameter.len().div_ceil(CHUNK);
    let mut memory = memory.iter_mut();
    let arrays: [Vec<&mut [T]>; MOST] = std::array::from_fn(|_| {
        let mut of_array: Vec<&mut [T]> = match memory.next() {
            Some(array) => array.chunks_mut(CHUNK).collect(),
            None => Vec::new(),
        };
        of_array.resize_with(chunks, Default::default);
        of_array
    });
    let [first, second, third] = arrays;
    parameter
        .par_chunks_mut(CHUNK)
        .zip(gradient.par_chunks(CHUNK))
        .zip(first.into_par_iter().zip(second).zip(third))
        .for_each(|((parameter, gradient), ((first, second), third))| {
            on_vectors(
                #[inline(always)]
                || some(how, parameter, gradient, [first, second, third]),
            );
        });
    Ok(())
}

/// The formulas are those of [`Rule`]; a memory that the rule has not is empty.
#[inline(always)]
fn some<T: WithDType + Float>(how: Update, parameter: &mut [T], gradient: &[T], memory: [&mut [T]; MOST]) {
    let constant = <T as WithDType>::from_f64;
    let [first, second, third] = memory;
    let (scale, decay) = (constant(how.scale), constant(how.weight_decay));
    let pairs = parameter.iter_mut().zip(gradient);
    match how.rule {
        Rule::Adam(spec) | Rule::Adamw(spec) => {
            let power = i32::try_from(how.updates).unwrap_or(i32::MAX);
            let root = constant(1.0 / (1.0 - spec.beta2.powi(power)).sqrt());
            let rate = constant(how.learning_rate / (1.0 - spec.beta1.powi(power)));
            let (beta1, rest1) = (constant(spec.beta1), constant(1.0 - spec.beta1));
            let (beta2, rest2) = (constant(spec.beta2), constant(1.0 - spec.beta2));
            let epsilon = constant(spec.epsilon);
            let (shrink, decay) = match how.rule {
                Rule::Adamw(_) => (constant(1.0 - how.learning_rate * how.weight_decay), T::zero()),
                _ => (T::one(), decay),
            };
            for ((x, &g), (mean, square)) in pairs.zip(first.iter_mut().zip(second)) {
                let g = g * scale + *x * decay;
                *mean = *mean * beta1 + g * rest1;
                *square = *square * beta2 + g * g * rest2;
                *x = *x * shrink - *mean / (Float::sqrt(*square) * root + epsilon) * rate;
            }
        }
        Rule::Sgd(spec) => {
            let (momentum, rate) = (constant(spec.momentum), constant(how.learning_rate));
            if spec.momentum == 0.0 {
                pairs.for_each(|(x, &g)| *x = *x - (g * scale + *x * decay) * rate);
                return;
            }
            for ((x, &g), velocity) in pairs.zip(first) {
                let g = g * scale + *x * decay;
                *velocity = *velocity * momentum + g;
                let direction = if spec.nesterov {
                    g + *velocity * momentum
                } else {
                    *velocity
                };
                *x -= direction * rate;
            }
        }
        Rule::Rmsprop(spec) => {
            let (alpha, rest) = (constant(spec.alpha), constant(1.0 - spec.alpha));
            let (epsilon, rate) = (constant(spec.epsilon), constant(how.learning_rate));
            let momentum = constant(spec.momentum);
            for (index, ((x, &g), square)) in pairs.zip(first).enumerate() {
                let g = g * scale + *x * decay;
                *square = *square * alpha + g * g * rest;
                let mut spread = *square;
                if let Some(mean) = third.get_mut(index) {
                    *mean = *mean * alpha + g * rest;
                    // Rounding may leave a hair below zero where the gradient does not change.
                    let centred = spread - *mean * *mean;
                    spread = if centred < T::zero() { T::zero() } else { centred };
                }
                let mut direction = g / (Float::sqrt(spread) + epsilon);
                if spec.momentum != 0.0
                    && let Some(velocity) = second.get_mut(index)
                {
                    *velocity = *velocity * momentum + direction;
                    direction = *velocity;
                }
                *x -= direction * rate;
            }
        }
    }
}
