//! Updates as Candle's operations, for devices whose memory only Candle reaches.

use candle_core::{Result, Tensor, Var};

use super::Rule;
use super::host::Update;
use crate::train::spec::{AdamSpec, RmspropSpec, SgdSpec};

/// Updates a parameter and what is remembered of it.
pub(super) fn update(parameter: &Var, gradient: &Tensor, memory: &[Var], how: Update) -> Result<()> {
    let decay = how.weight_decay;
    let mut value = parameter.as_tensor().detach();
    let mut gradient = match how.scale {
        1.0 => gradient.clone(),
        scale => (gradient * scale)?,
    };
    match how.rule {
        _ if decay == 0.0 => {}
        Rule::Adamw(_) => value = (value * (1.0 - how.learning_rate * decay))?,
        Rule::Adam(_) | Rule::Sgd(_) | Rule::Rmsprop(_) => gradient = (gradient + (&value * decay)?)?,
    }
    let memory = Remembered(memory);
    let change = match how.rule {
        Rule::Adam(spec) | Rule::Adamw(spec) => adam(spec, how, &memory, &gradient)?,
        Rule::Sgd(spec) => sgd(spec, how, &memory, &gradient)?,
        Rule::Rmsprop(spec) => rmsprop(spec, how, &memory, &gradient)?,
    };
    parameter.set(&(value - change)?)
}

struct Remembered<'a>(&'a [Var]);

impl Remembered<'_> {
    /// A memory that the rule has by construction.
    fn memory(&self, which: usize) -> Result<&Var> {
        match self.0.get(which) {
            Some(var) => Ok(var),
            None => candle_core::bail!("the optimiser has no memory {which}"),
        }
    }

    /// `weight · memory + (1 − weight) · value`, remembered.
    fn blend(&self, which: usize, weight: f64, value: &Tensor) -> Result<Tensor> {
        let memory = self.memory(which)?;
        let blended = ((memory.as_tensor() * weight)? + (value * (1.0 - weight))?)?;
        memory.set(&blended)?;
        Ok(blended)
    }

    /// `weight · memory + value`, remembered.
    fn accumulate(&self, which: usize, weight: f64, value: &Tensor) -> Result<Tensor> {
        let memory = self.memory(which)?;
        let sum = ((memory.as_tensor() * weight)? + value)?;
        memory.set(&sum)?;
        Ok(sum)
    }
}

fn adam(spec: &AdamSpec, how: Update, memory: &Remembered, gradient: &Tensor) -> Result<Tensor> {
    let power = i32::try_from(how.updates).unwrap_or(i32::MAX);
    let first_correction = 1.0 - spec.beta1.powi(power);
    let second_correction = (1.0 - spec.beta2.powi(power)).sqrt();
    let mean = memory.blend(0, spec.beta1, gradient)?;
    let square = memory.blend(1, spec.beta2, &gradient.sqr()?)?;
    let scale = ((square.sqrt()? / second_correction)? + spec.epsilon)?;
    (mean / scale)? * (how.learning_rate / first_correction)
}

fn sgd(spec: &SgdSpec, how: Update, memory: &Remembered, gradient: &Tensor) -> Result<Tensor> {
    if spec.momentum == 0.0 {
        return gradient * how.learning_rate;
    }
    let velocity = memory.accumulate(0, spec.momentum, gradient)?;
    let direction = match spec.nesterov {
        true => (gradient + (velocity * spec.momentum)?)?,
        false => velocity,
    };
    direction * how.learning_rate
}

fn rmsprop(spec: &RmspropSpec, how: Update, memory: &Remembered, gradient: &Tensor) -> Result<Tensor> {
    let square = memory.blend(0, spec.alpha, &gradient.sqr()?)?;
    let square = match spec.centered {
        // Rounding may leave a hair below zero where the gradient does not change.
        true => (square - memory.blend(2, spec.alpha, gradient)?.sqr()?)?.relu()?,
        false => square,
    };
    let direction = (gradient / (square.sqrt()? + spec.epsilon)?)?;
    let direction = match spec.momentum {
        0.0 => direction,
        momentum => memory.accumulate(1, momentum, &direction)?,
    };
    direction * how.learning_rate
}
