//! How the parameters move.
//!
//! candle-nn's AdamW keeps its moments to itself, so that a checkpoint could not hold them; its SGD has no momentum; it has no Adam
//! and no RMSprop. These are the updates of PyTorch's `Adam`, `AdamW`, `SGD` and `RMSprop`, with their state in the open:
//! [`Optimizer::state`] and the count of updates are all that there is, and [`Optimizer::restore`] takes them back.

mod device;
#[cfg(feature = "cuda")]
mod gpu;
mod host;

use std::collections::HashMap;

use candle_core::{Result, Tensor, Var};

use self::host::Update;
use super::gradients::Gradients;
use super::spec::{AdamSpec, DecayOn, OptimizerSpec, RmspropSpec, SgdSpec};
#[cfg(feature = "cuda")]
use crate::nn::kernels::cuda;

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
    /// Of what [`Rule::memories`] names.
    memory: Memory,
}

enum Memory {
    Host(host::Memory),
    Device(Vec<Var>),
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
                let count = rule.memories().len();
                let host = host::Memory::zeros(parameter.dtype(), count, parameter.elem_count());
                let memory = match host.filter(|_| parameter.device().is_cpu()) {
                    Some(memory) => Memory::Host(memory),
                    None => {
                        let zeros = || Var::zeros(parameter.shape(), parameter.dtype(), parameter.device());
                        Memory::Device((0..count).map(|_| zeros()).collect::<Result<_>>()?)
                    }
                };
                Ok(Slot {
                    name: name.clone(),
                    parameter: parameter.clone(),
                    decayed: match decay_on {
                        DecayOn::All => true,
                        DecayOn::Weights => parameter.rank() > 1,
                    },
                    memory,
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
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let Some(gradient) = gradients.get(index) else { continue };
            let how = Update {
                rule: &self.rule,
                learning_rate: self.learning_rate,
                weight_decay: if slot.decayed { self.weight_decay } else { 0.0 },
                updates: self.updates,
                scale: gradients.factor(),
            };
            match &mut slot.memory {
                Memory::Host(memory) => host::update(&slot.parameter, gradient, memory, how)?,
                Memory::Device(memory) => device::update(&slot.parameter, gradient, memory, how)?,
            }
        }
        Ok(())
    }

    /// Counts an update on a GPU and tells it the rule; [`Self::apply_on_gpu`] then does it. `scale`: the factor of the gradients, which are
    /// not known yet. `clip_norm`: the norm that they are scaled down to.
    #[cfg(feature = "cuda")]
    pub fn announce_on_gpu(&mut self, cell: &cuda::StepCell, scale: f64, clip_norm: Option<f64>) -> Result<()> {
        self.updates += 1;
        let how = Update {
            rule: &self.rule,
            learning_rate: self.learning_rate,
            weight_decay: self.weight_decay,
            updates: self.updates,
            scale,
        };
        cell.set_rule(gpu::rule(how, clip_norm))
    }

    /// The update that was announced, in one launch for each 64 parameters. `norm`: that of the gradients, on the GPU; where it is no finite
    /// number, nothing changes.
    #[cfg(feature = "cuda")]
    pub fn apply_on_gpu(&self, gradients: &Gradients, cell: &cuda::StepCell, norm: &Tensor) -> Result<()> {
        gpu::update(&self.slots, &gradients.contiguous()?, cell, norm)
    }

    /// Everything that a checkpoint must hold beside the numbers: what is remembered, by the parameters' names.
    pub fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let mut state = Vec::new();
        for slot in &self.slots {
            for (which, name) in self.rule.memories().iter().enumerate() {
                let tensor = match &slot.memory {
                    Memory::Host(memory) => memory.tensor(which, &slot.parameter)?,
                    Memory::Device(memory) => memory[which].as_tensor().clone(),
                };
                state.push((format!("{}.{name}", slot.name), tensor));
            }
        }
        Ok(state)
    }

    /// Takes back what [`Self::state`], [`Self::updates`] and [`Self::learning_rate`] gave. Nothing changes unless all of it fits.
    ///
    /// # Errors
    /// A memory that is missing or has another shape, by its name.
    pub fn restore(&mut self, state: &HashMap<String, Tensor>, updates: u64, learning_rate: f64) -> Result<()> {
        let mut found = Vec::new();
        for slot in &self.slots {
            for name in self.rule.memories() {
                let key = format!("{}.{name}", slot.name);
                let shape = slot.parameter.shape();
                match state.get(&key) {
                    Some(tensor) if tensor.shape() == shape => found.push(tensor),
                    Some(tensor) => candle_core::bail!("{key} has shape {:?}, not {:?}", tensor.dims(), shape.dims()),
                    None => candle_core::bail!("{key} is missing"),
                }
            }
        }
        let mut found = found.into_iter();
        for slot in &mut self.slots {
            for which in 0..self.rule.memories().len() {
                let Some(tensor) = found.next() else { continue };
                match &mut slot.memory {
                    Memory::Host(memory) => memory.set(which, tensor)?,
                    Memory::Device(memory) => memory[which].set(tensor)?,
                }
            }
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
            let state: HashMap<String, Tensor> = whole.state().unwrap().into_iter().collect();
            y.set(&x.copy().unwrap()).unwrap();
            let mut resumed = Optimizer::new(&spec, &[("x".into(), y.clone())]).unwrap();
            assert!(resumed.restore(&HashMap::new(), 3, 0.1).is_err() && resumed.updates() == 0);
            resumed.restore(&state, whole.updates(), whole.learning_rate()).unwrap();
            assert_eq!(walk(&mut whole, &x, 3), walk(&mut resumed, &y, 3), "{spec:?}");
        }
    }

    #[test]
    fn one_pass_gives_what_the_operations_give() {
        let numbers = 40_000;
        let noise = |seed: u64| {
            let mut generator = crate::random::Generator::keyed(seed, "test", &[]);
            let values: Vec<f64> = (0..numbers).map(|_| generator.normal()).collect();
            Tensor::from_vec(values, numbers, &Device::Cpu).unwrap()
        };
        let adam = AdamSpec {
            weight_decay: 0.1,
            ..AdamSpec::default()
        };
        let sgd = |momentum, nesterov| SgdSpec {
            momentum,
            nesterov,
            weight_decay: 0.1,
            ..SgdSpec::default()
        };
        let rmsprop = |centered, momentum| RmspropSpec {
            centered,
            momentum,
            weight_decay: 0.1,
            ..RmspropSpec::default()
        };
        for spec in [
            OptimizerSpec::Adam(adam.clone()),
            OptimizerSpec::Adamw(adam),
            OptimizerSpec::Sgd(sgd(0.0, false)),
            OptimizerSpec::Sgd(sgd(0.9, false)),
            OptimizerSpec::Sgd(sgd(0.9, true)),
            OptimizerSpec::Rmsprop(rmsprop(false, 0.0)),
            OptimizerSpec::Rmsprop(rmsprop(true, 0.0)),
            OptimizerSpec::Rmsprop(rmsprop(true, 0.5)),
            OptimizerSpec::Rmsprop(rmsprop(false, 0.5)),
        ] {
            let parameters = [1, 2].map(|_| Var::from_tensor(&noise(1)).unwrap());
            let named = [("x".to_owned(), parameters[0].clone())];
            let mut optimizer = Optimizer::new(&spec, &named).unwrap();
            assert!(matches!(optimizer.slots[0].memory, Memory::Host(_)));
            let count = optimizer.rule.memories().len();
            let memory: Vec<Var> = (0..count)
                .map(|_| Var::zeros(numbers, candle_core::DType::F64, &Device::Cpu).unwrap())
                .collect();
            for step in 1..=3 {
                let gradient = noise(10 + step);
                let loss = (parameters[0].as_tensor() * &gradient).unwrap().sum_all().unwrap();
                let mut gradients = Gradients::take(&mut loss.backward().unwrap(), &named);
                gradients.scale(0.7);
                optimizer.step(&gradients).unwrap();
                let how = Update {
                    rule: &optimizer.rule,
                    learning_rate: optimizer.learning_rate,
                    weight_decay: optimizer.weight_decay,
                    updates: step,
                    scale: 0.7,
                };
                device::update(&parameters[1], &gradient, &memory, how).unwrap();
            }
            let of_operations = (0..count).map(|which| memory[which].as_tensor().clone());
            let of_one_pass = optimizer.state().unwrap().into_iter().map(|(_, tensor)| tensor);
            for (a, b) in std::iter::once((parameters[0].as_tensor().clone(), parameters[1].as_tensor().clone()))
                .chain(of_one_pass.zip(of_operations))
            {
                let difference = (a - b).unwrap().abs().unwrap().max_all().unwrap();
                assert!(difference.to_scalar::<f64>().unwrap() < 1e-12, "{spec:?}");
            }
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
