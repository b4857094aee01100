//! How the parameters move.
//!
//! candle-nn's AdamW keeps its moments to itself, so that a checkpoint could not hold them; its SGD has no momentum; it has no Adam
//! and no RMSprop. These are the updates of PyTorch's `Adam`, `AdamW`, `SGD` and `RMSprop`, with their state in the open:
//! [`Optimizer::state`] and the count of updates are all that there is, and [`Optimizer::restore`] takes them back.

use std::collections::HashMap;

use candle_core::{Result, Tensor, Var};

use super::gradients::Gradients;
use super::spec::{AdamSpec, DecayOn, OptimizerSpec, RmspropSpec, SgdSpec};

/// An optimiser over the parameters of a network.
pub struct Optimizer {
    rule: Rule,
    learning_rate: f64,
    weight_decay: f64,
    updates: u64,
    slots: Vec<Slot>,
}

enum Rule {
    Adam(AdamSpec),
    Adamw(AdamSpec),
    Sgd(SgdSpec),
    Rmsprop(RmspropSpec),
}

struct Slot {
    name: String,
    parameter: Var,
    decayed: bool,
    /// What the rule remembers of this parameter, with its name: "mean", "square".
    memory: Vec<(&'static str, Var)>,
}

impl Slot {
    /// A memory that the rule has by construction.
    fn memory(&self, which: usize) -> Result<&Var> {
        match self.memory.get(which) {
            Some((_, var)) => Ok(var),
            None => candle_core::bail!("the optimiser remembers nothing of {}", self.name),
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

impl Optimizer {
    /// For `parameters`, with memories of zero.
    pub fn new(spec: &OptimizerSpec, parameters: &[(String, Var)]) -> Result<Self> {
        let (rule, learning_rate, weight_decay, decay_on) = match spec.clone() {
            OptimizerSpec::Adam(spec) => {
                let (rate, decay, on) = (spec.learning_rate, spec.weight_decay, spec.decay_on);
                (Rule::Adam(spec), rate, decay, on)
            }
            OptimizerSpec::Adamw(spec) => {
                let (rate, decay, on) = (spec.learning_rate, spec.weight_decay, spec.decay_on);
                (Rule::Adamw(spec), rate, decay, on)
            }
            OptimizerSpec::Sgd(spec) => {
                let (rate, decay, on) = (spec.learning_rate, spec.weight_decay, spec.decay_on);
                (Rule::Sgd(spec), rate, decay, on)
            }
            OptimizerSpec::Rmsprop(spec) => {
                let (rate, decay, on) = (spec.learning_rate, spec.weight_decay, spec.decay_on);
                (Rule::Rmsprop(spec), rate, decay, on)
            }
        };
        let slots = parameters
            .iter()
            .map(|(name, parameter)| {
                let zeros = |&name: &&'static str| {
                    let var = Var::zeros(parameter.shape(), parameter.dtype(), parameter.device())?;
                    Ok((name, var))
                };
                Ok(Slot {
                    name: name.clone(),
                    parameter: parameter.clone(),
                    decayed: match decay_on {
                        DecayOn::All => true,
                        DecayOn::Weights => parameter.rank() > 1,
                    },
                    memory: rule.memories().iter().map(zeros).collect::<Result<_>>()?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            rule,
            learning_rate,
            weight_decay,
            updates: 0,
            slots,
        })
    }

    pub fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    /// For the schedule.
    pub fn set_learning_rate(&mut self, learning_rate: f64) {
        self.learning_rate = learning_rate;
    }

    /// Updates done.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// One update. `gradients` are in the order of the parameters; parameters without a gradient stay.
    pub fn step(&mut self, gradients: &Gradients) -> Result<()> {
        self.updates += 1;
        for (index, slot) in self.slots.iter().enumerate() {
            let Some(gradient) = gradients.get(index) else { continue };
            let decay = if slot.decayed { self.weight_decay } else { 0.0 };
            let mut parameter = slot.parameter.as_tensor().detach();
            let mut gradient = gradient.clone();
            match &self.rule {
                _ if decay == 0.0 => {}
                Rule::Adamw(_) => parameter = (parameter * (1.0 - self.learning_rate * decay))?,
                Rule::Adam(_) | Rule::Sgd(_) | Rule::Rmsprop(_) => gradient = (gradient + (&parameter * decay)?)?,
            }
            let change = match &self.rule {
                Rule::Adam(spec) | Rule::Adamw(spec) => self.adam(spec, slot, &gradient)?,
                Rule::Sgd(spec) => self.sgd(spec, slot, &gradient)?,
                Rule::Rmsprop(spec) => self.rmsprop(spec, slot, &gradient)?,
            };
            slot.parameter.set(&(parameter - change)?)?;
        }
        Ok(())
    }

    fn adam(&self, spec: &AdamSpec, slot: &Slot, gradient: &Tensor) -> Result<Tensor> {
        let power = i32::try_from(self.updates).unwrap_or(i32::MAX);
        let first_correction = 1.0 - spec.beta1.powi(power);
        let second_correction = (1.0 - spec.beta2.powi(power)).sqrt();
        let mean = slot.blend(0, spec.beta1, gradient)?;
        let square = slot.blend(1, spec.beta2, &gradient.sqr()?)?;
        let scale = ((square.sqrt()? / second_correction)? + spec.epsilon)?;
        (mean / scale)? * (self.learning_rate / first_correction)
    }

    fn sgd(&self, spec: &SgdSpec, slot: &Slot, gradient: &Tensor) -> Result<Tensor> {
        if spec.momentum == 0.0 {
            return gradient * self.learning_rate;
        }
        let velocity = slot.accumulate(0, spec.momentum, gradient)?;
        let direction = match spec.nesterov {
            true => (gradient + (velocity * spec.momentum)?)?,
            false => velocity,
        };
        direction * self.learning_rate
    }

    fn rmsprop(&self, spec: &RmspropSpec, slot: &Slot, gradient: &Tensor) -> Result<Tensor> {
        let square = slot.blend(0, spec.alpha, &gradient.sqr()?)?;
        let square = match spec.centered {
            // Rounding may leave a hair below zero where the gradient does not change.
            true => (square - slot.blend(2, spec.alpha, gradient)?.sqr()?)?.relu()?,
            false => square,
        };
        let direction = (gradient / (square.sqrt()? + spec.epsilon)?)?;
        let direction = match spec.momentum {
            0.0 => direction,
            momentum => slot.accumulate(1, momentum, &direction)?,
        };
        direction * self.learning_rate
    }

    /// Everything that a checkpoint must hold beside the numbers: what is remembered, by the parameters' names.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let of_slot = |slot: &Slot| -> Vec<(String, Tensor)> {
            let named = |(name, var): &(&'static str, Var)| (format!("{}.{name}", slot.name), var.as_tensor().clone());
            slot.memory.iter().map(named).collect()
        };
        self.slots.iter().flat_map(of_slot).collect()
    }

    /// Takes back what [`Self::state`], [`Self::updates`] and [`Self::learning_rate`] gave. Nothing changes unless all of it fits.
    ///
    /// # Errors
    /// A memory that is missing or has another shape, by its name.
    pub fn restore(&mut self, state: &HashMap<String, Tensor>, updates: u64, learning_rate: f64) -> Result<()> {
        let mut found = Vec::new();
        for slot in &self.slots {
            for (name, var) in &slot.memory {
                let key = format!("{}.{name}", slot.name);
                match state.get(&key) {
                    Some(tensor) if tensor.shape() == var.shape() => found.push((var, tensor)),
                    Some(tensor) => candle_core::bail!("{key} has shape {:?}, not {:?}", tensor.dims(), var.dims()),
                    None => candle_core::bail!("{key} is missing"),
                }
            }
        }
        for (var, tensor) in found {
            var.set(tensor)?;
        }
        self.updates = updates;
        self.learning_rate = learning_rate;
        Ok(())
    }
}

impl Rule {
    /// What it remembers of each parameter.
    fn memories(&self) -> &'static [&'static str] {
        match self {
            Self::Adam(_) | Self::Adamw(_) => &["mean", "square"],
            Self::Sgd(spec) if spec.momentum == 0.0 => &[],
            Self::Sgd(_) => &["velocity"],
            Self::Rmsprop(spec) if spec.centered => &["square", "velocity", "mean"],
            Self::Rmsprop(spec) if spec.momentum != 0.0 => &["square", "velocity"],
            Self::Rmsprop(_) => &["square"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// f(x) = x² from x = 1.
    fn walk(optimizer: &mut Optimizer, x: &Var, steps: usize) -> f64 {
        let parameters = [("x".to_owned(), x.clone())];
        for _ in 0..steps {
            let mut store = x.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            optimizer.step(&Gradients::take(&mut store, &parameters)).unwrap();
        }
        x.to_vec1::<f64>().unwrap()[0]
    }

    fn one() -> Var {
        Var::new(&[1.0f64], &Device::Cpu).unwrap()
    }

    /// Three steps on f(x) = x² from x = 1 with learning rate 0.1, by the formulas in plain arithmetic.
    fn by_hand(decay: f64, decoupled: bool) -> f64 {
        let (mut x, mut mean, mut square) = (1.0f64, 0.0, 0.0);
        for t in 1..=3 {
            let mut gradient = 2.0 * x;
            if decoupled {
                x *= 1.0 - 0.1 * decay;
            } else {
                gradient += decay * x;
            }
            mean = 0.9 * mean + 0.1 * gradient;
            square = 0.999 * square + 0.001 * gradient * gradient;
            let mean_hat = mean / (1.0 - 0.9f64.powi(t));
            let square_hat: f64 = square / (1.0 - 0.999f64.powi(t));
            x -= 0.1 * mean_hat / (square_hat.sqrt() + 1e-8);
        }
        x
    }

    #[test]
    fn three_steps_of_adam_follow_the_formulas() {
        for (decay, decoupled) in [(0.0, false), (0.3, false), (0.3, true)] {
            let settings = AdamSpec {
                learning_rate: 0.1,
                weight_decay: decay,
                ..AdamSpec::default()
            };
            let spec = match decoupled {
                true => OptimizerSpec::Adamw(settings),
                false => OptimizerSpec::Adam(settings),
            };
            let x = one();
            let mut optimizer = Optimizer::new(&spec, &[("x".into(), x.clone())]).unwrap();
            let got = walk(&mut optimizer, &x, 3);
            let expected = by_hand(decay, decoupled);
            assert!((got - expected).abs() < 1e-12, "{got} {expected}");
        }
    }

    #[test]
    fn a_restored_optimizer_goes_on_as_if_nothing_had_happened() {
        let specs = [
            OptimizerSpec::Adam(AdamSpec::default()),
            OptimizerSpec::Sgd(SgdSpec {
                momentum: 0.9,
                nesterov: true,
                ..SgdSpec::default()
            }),
            OptimizerSpec::Rmsprop(RmspropSpec {
                centered: true,
                momentum: 0.5,
                ..RmspropSpec::default()
            }),
        ];
        for spec in specs {
            let (x, y) = (one(), one());
            let mut whole = Optimizer::new(&spec, &[("x".into(), x.clone())]).unwrap();
            walk(&mut whole, &x, 3);
            let state: HashMap<String, Tensor> =
                whole.state().into_iter().map(|(k, v)| (k, v.copy().unwrap())).collect();
            y.set(&x.copy().unwrap()).unwrap();
            let mut resumed = Optimizer::new(&spec, &[("x".into(), y.clone())]).unwrap();
            assert!(resumed.restore(&HashMap::new(), 3, 0.1).is_err() && resumed.updates() == 0);
            resumed.restore(&state, whole.updates(), whole.learning_rate()).unwrap();
            assert_eq!(walk(&mut whole, &x, 3), walk(&mut resumed, &y, 3), "{spec:?}");
        }
    }

    #[test]
    fn biases_are_spared_from_the_decay() {
        let spec = OptimizerSpec::Adamw(AdamSpec {
            learning_rate: 0.1,
            weight_decay: 0.5,
            decay_on: DecayOn::Weights,
            ..AdamSpec::default()
        });
        let weight = Var::new(&[[1.0f64]], &Device::Cpu).unwrap();
        let bias = one();
        let parameters = [("weight".to_owned(), weight.clone()), ("bias".to_owned(), bias.clone())];
        let mut optimizer = Optimizer::new(&spec, &parameters).unwrap();
        // A gradient of zeros.
        let square = |var: &Var| {
            (var.as_tensor() - var.detach())
                .unwrap()
                .sqr()
                .unwrap()
                .sum_all()
                .unwrap()
        };
        let loss = (square(&weight) + square(&bias)).unwrap();
        let mut store = loss.backward().unwrap();
        optimizer.step(&Gradients::take(&mut store, &parameters)).unwrap();
        assert_eq!(bias.to_vec1::<f64>().unwrap(), [1.0]);
        assert_eq!(weight.to_vec2::<f64>().unwrap(), [[0.95]]);
    }
}
