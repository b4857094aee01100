//! How the parameters move.
//!
//! candle-nn's AdamW keeps its moments to itself, so that a checkpoint could not hold them, and it has no Adam; these are the
//! updates of PyTorch's `Adam` and `AdamW` with their state in the open.

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, Var};

use super::spec::{AdamSpec, OptimizerSpec};

/// Adam or AdamW over the parameters of a network.
pub struct Optimizer {
    settings: AdamSpec,
    decay: Decay,
    learning_rate: f64,
    updates: u64,
    slots: Vec<Slot>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Decay {
    /// Added to the gradient (Adam).
    Gradient,
    /// Taken off the parameter (AdamW).
    Decoupled,
}

struct Slot {
    name: String,
    parameter: Var,
    /// Running mean of the gradient.
    mean: Var,
    /// Running mean of the squared gradient.
    square: Var,
}

impl Optimizer {
    /// For `parameters`, with moments of zero.
    pub fn new(spec: &OptimizerSpec, parameters: &[(String, Var)]) -> Result<Self> {
        let (settings, decay) = match spec {
            OptimizerSpec::Adam(settings) => (settings.clone(), Decay::Gradient),
            OptimizerSpec::Adamw(settings) => (settings.clone(), Decay::Decoupled),
        };
        let slots = parameters
            .iter()
            .map(|(name, parameter)| {
                Ok(Slot {
                    name: name.clone(),
                    parameter: parameter.clone(),
                    mean: Var::zeros(parameter.shape(), parameter.dtype(), parameter.device())?,
                    square: Var::zeros(parameter.shape(), parameter.dtype(), parameter.device())?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            learning_rate: settings.learning_rate,
            settings,
            decay,
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

    /// One update. Parameters without a gradient stay.
    pub fn step(&mut self, gradients: &GradStore) -> Result<()> {
        self.updates += 1;
        let AdamSpec {
            beta1,
            beta2,
            epsilon,
            weight_decay,
            ..
        } = self.settings;
        let power = i32::try_from(self.updates).unwrap_or(i32::MAX);
        let first_correction = 1.0 - beta1.powi(power);
        let second_correction = (1.0 - beta2.powi(power)).sqrt();
        let step = self.learning_rate / first_correction;
        for slot in &self.slots {
            let Some(gradient) = gradients.get(slot.parameter.as_tensor()) else {
                continue;
            };
            let mut parameter = slot.parameter.as_tensor().detach();
            let mut gradient = gradient.detach();
            if weight_decay != 0.0 {
                match self.decay {
                    Decay::Gradient => gradient = (gradient + (&parameter * weight_decay)?)?,
                    Decay::Decoupled => parameter = (parameter * (1.0 - self.learning_rate * weight_decay))?,
                }
            }
            let mean = ((slot.mean.as_tensor() * beta1)? + (&gradient * (1.0 - beta1))?)?;
            let square = ((slot.square.as_tensor() * beta2)? + (gradient.sqr()? * (1.0 - beta2))?)?;
            let scale = ((square.sqrt()? / second_correction)? + epsilon)?;
            slot.parameter.set(&(parameter - ((&mean / scale)? * step)?)?)?;
            slot.mean.set(&mean)?;
            slot.square.set(&square)?;
        }
        Ok(())
    }

    /// Everything that a checkpoint must hold beside the numbers: the moments, by the parameters' names.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let moments = |slot: &Slot| {
            [
                (format!("{}.mean", slot.name), slot.mean.as_tensor().clone()),
                (format!("{}.square", slot.name), slot.square.as_tensor().clone()),
            ]
        };
        self.slots.iter().flat_map(moments).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

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
    fn three_steps_follow_the_formulas() {
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
            let x = Var::new(&[1.0f64], &Device::Cpu).unwrap();
            let mut optimizer = Optimizer::new(&spec, &[("x".into(), x.clone())]).unwrap();
            for _ in 0..3 {
                let gradients = x.sqr().unwrap().sum_all().unwrap().backward().unwrap();
                optimizer.step(&gradients).unwrap();
            }
            let got = x.to_vec1::<f64>().unwrap()[0];
            let expected = by_hand(decay, decoupled);
            assert!((got - expected).abs() < 1e-12, "{got} {expected}");
        }
    }
}
