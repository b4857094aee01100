//! A network that can be run: parameters, buffers and the forward pass.

use candle_core::{DType, Device, Result, Tensor, Var};

use super::kernels::{self, BatchStatistics, Geometry};
use super::plan::{self, Plan};
use super::spec::{Activation, Conv2dSpec, LayerSpec, NetworkSpec};
use crate::random::Generator;

/// Weight of a batch in the running averages of batch norm (PyTorch's default).
const MOMENTUM: f64 = 0.1;
/// Added to the variance in batch norm (PyTorch's default).
const EPSILON: f64 = 1e-5;

/// Whether a forward pass trains.
#[derive(Debug, Clone, Copy)]
pub enum Mode {
    /// Batch norm uses and follows the batch; dropout draws its masks from `seed` and `step`.
    Train { seed: u64, step: u64 },
    /// Batch norm uses the running averages (folded into the convolution); no dropout.
    Evaluate,
}

/// Parameters and buffers in the order of the layers, with names such as `layers.0.weight`.
pub struct Network {
    layers: Vec<Layer>,
    parameters: Vec<(String, Var)>,
    buffers: Vec<(String, Var)>,
    device: Device,
}

enum Layer {
    Conv2d {
        weight: Var,
        bias: Option<Var>,
        norm: Option<BatchNorm>,
        geometry: Geometry,
        activation: Option<Activation>,
        max_pool: Option<(usize, usize)>,
        dropout: Option<f64>,
    },
    AdaptiveAvgPool2d((usize, usize)),
    Flatten,
    Dropout(f64),
    Linear {
        weight: Var,
        bias: Var,
        activation: Option<Activation>,
        dropout: Option<f64>,
    },
}

struct BatchNorm {
    gamma: Var,
    beta: Var,
    mean: Var,
    variance: Var,
}

/// Makes parameters, names them and keeps their order.
struct Builder<'a> {
    network: Network,
    seed: u64,
    device: &'a Device,
}

impl Builder<'_> {
    fn parameter(&mut self, name: String, tensor: &Tensor) -> Result<Var> {
        let var = Var::from_tensor(tensor)?;
        self.network.parameters.push((name, var.clone()));
        Ok(var)
    }

    fn buffer(&mut self, name: String, value: f32, size: usize) -> Result<Var> {
        let var = Var::from_tensor(&Tensor::full(value, size, self.device)?)?;
        self.network.buffers.push((name, var.clone()));
        Ok(var)
    }

    /// Uniform in ±1/√fan_in: PyTorch's default for the weights and biases of `Conv2d` and `Linear`.
    fn uniform(&mut self, name: String, shape: &[usize], fan_in: usize) -> Result<Var> {
        let bound = 1.0 / (fan_in.max(1) as f64).sqrt();
        let position = self.network.parameters.len() as u64;
        let mut generator = Generator::keyed(self.seed, "initialization", &[position]);
        let values: Vec<f32> = (0..shape.iter().product())
            .map(|_| generator.range(-bound, bound) as f32)
            .collect();
        let tensor = Tensor::from_vec(values, shape, self.device)?;
        self.parameter(name, &tensor)
    }

    fn conv2d(&mut self, index: usize, channels: usize, spec: &Conv2dSpec) -> Result<Layer> {
        let (rows, columns) = spec.kernel.get();
        let fan_in = channels * rows * columns;
        let weight = self.uniform(
            format!("layers.{index}.weight"),
            &[spec.channels, channels, rows, columns],
            fan_in,
        )?;
        let bias = match plan::has_bias(spec) {
            true => Some(self.uniform(format!("layers.{index}.bias"), &[spec.channels], fan_in)?),
            false => None,
        };
        let norm = match spec.batch_norm {
            true => Some(BatchNorm {
                gamma: self.parameter(
                    format!("layers.{index}.norm.weight"),
                    &Tensor::ones(spec.channels, DType::F32, self.device)?,
                )?,
                beta: self.parameter(
                    format!("layers.{index}.norm.bias"),
                    &Tensor::zeros(spec.channels, DType::F32, self.device)?,
                )?,
                mean: self.buffer(format!("layers.{index}.norm.running_mean"), 0.0, spec.channels)?,
                variance: self.buffer(format!("layers.{index}.norm.running_var"), 1.0, spec.channels)?,
            }),
            false => None,
        };
        Ok(Layer::Conv2d {
            weight,
            bias,
            norm,
            geometry: plan::geometry(spec).map_err(candle_core::Error::Msg)?,
            activation: spec.activation,
            max_pool: spec.max_pool.map(|pool| pool.get()),
            dropout: spec.dropout.map(|p| p.0),
        })
    }
}

impl Network {
    /// Builds the network that `plan` was made from, with parameters drawn from `seed`.
    pub fn new(spec: &NetworkSpec, plan: &Plan, seed: u64, device: &Device) -> Result<Self> {
        let mut builder = Builder {
            network: Self {
                layers: Vec::new(),
                parameters: Vec::new(),
                buffers: Vec::new(),
                device: device.clone(),
            },
            seed,
            device,
        };
        for (index, (layer, planned)) in spec.layers.iter().zip(&plan.layers).enumerate() {
            let layer = match layer {
                LayerSpec::Conv2d(conv) => {
                    let channels = planned.input.first().copied().unwrap_or(1);
                    builder.conv2d(index, channels, conv)?
                }
                LayerSpec::AdaptiveAvgPool2d(grid) => Layer::AdaptiveAvgPool2d(grid.get()),
                LayerSpec::Flatten(_) => Layer::Flatten,
                LayerSpec::Dropout(probability) => Layer::Dropout(probability.0),
                LayerSpec::Linear(linear) => {
                    let table = plan::linear_table(linear);
                    let inputs: usize = planned.input.iter().product();
                    let units = plan::units(table.units, plan.outputs);
                    Layer::Linear {
                        weight: builder.uniform(format!("layers.{index}.weight"), &[units, inputs], inputs)?,
                        bias: builder.uniform(format!("layers.{index}.bias"), &[units], inputs)?,
                        activation: table.activation,
                        dropout: table.dropout.map(|p| p.0),
                    }
                }
            };
            builder.network.layers.push(layer);
        }
        Ok(builder.network)
    }

    /// What the optimiser moves, in the order of the layers.
    pub fn parameters(&self) -> &[(String, Var)] {
        &self.parameters
    }

    /// What is kept beside the parameters: running averages.
    pub fn buffers(&self) -> &[(String, Var)] {
        &self.buffers
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// `[batch, channels, rows, columns]` → `[batch, outputs]`.
    pub fn forward(&self, input: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut value = input.clone();
        for (index, layer) in self.layers.iter().enumerate() {
            value = layer.forward(&value, mode, index as u64)?;
        }
        Ok(value)
    }
}

impl Layer {
    fn forward(&self, input: &Tensor, mode: Mode, index: u64) -> Result<Tensor> {
        match self {
            Self::Conv2d {
                weight,
                bias,
                norm,
                geometry,
                activation,
                max_pool,
                dropout: probability,
            } => {
                let value = convolve(input, weight, bias.as_ref(), norm.as_ref(), *geometry, mode)?;
                let value = activate(&value, *activation)?;
                let value = match max_pool {
                    Some(window) => kernels::max_pool2d(&value, *window, *window)?,
                    None => value,
                };
                dropout(&value, *probability, mode, index)
            }
            Self::AdaptiveAvgPool2d(grid) => kernels::adaptive_avg_pool2d(input, *grid),
            Self::Flatten => input.flatten_from(1),
            Self::Dropout(probability) => dropout(input, Some(*probability), mode, index),
            Self::Linear {
                weight,
                bias,
                activation,
                dropout: probability,
            } => {
                let value = input.flatten_from(1)?.matmul(&weight.t()?)?.broadcast_add(bias)?;
                dropout(&activate(&value, *activation)?, *probability, mode, index)
            }
        }
    }
}

fn convolve(
    input: &Tensor,
    weight: &Tensor,
    bias: Option<&Var>,
    norm: Option<&BatchNorm>,
    geometry: Geometry,
    mode: Mode,
) -> Result<Tensor> {
    let filters = weight.dim(0)?;
    let bias = match bias {
        Some(bias) => bias.as_tensor().clone(),
        None => Tensor::zeros(filters, DType::F32, input.device())?,
    };
    let Some(norm) = norm else {
        return kernels::conv2d(input, weight, &bias, geometry);
    };
    match mode {
        Mode::Train { .. } => {
            let value = kernels::conv2d(input, weight, &bias, geometry)?;
            let (value, statistics) = kernels::batch_norm(&value, &norm.gamma, &norm.beta, EPSILON)?;
            norm.follow(&statistics)?;
            Ok(value)
        }
        Mode::Evaluate => {
            let scale = (norm.gamma.as_tensor() / (norm.variance.as_tensor() + EPSILON)?.sqrt()?)?;
            let weight = weight.broadcast_mul(&scale.reshape((filters, 1, 1, 1))?)?;
            let bias = (((bias - norm.mean.as_tensor())? * scale)? + norm.beta.as_tensor())?;
            kernels::conv2d(input, &weight.detach(), &bias.detach(), geometry)
        }
    }
}

impl BatchNorm {
    /// Moves the running averages towards the batch (the variance without bias, as PyTorch does).
    fn follow(&self, statistics: &BatchStatistics) -> Result<()> {
        let count = statistics.count as f64;
        let unbiased = if count > 1.0 { count / (count - 1.0) } else { 1.0 };
        let blend = |var: &Var, values: &[f64], factor: f64| -> Result<()> {
            let old = var.to_vec1::<f32>()?;
            let new: Vec<f32> = old
                .iter()
                .zip(values)
                .map(|(&old, &value)| ((1.0 - MOMENTUM) * f64::from(old) + MOMENTUM * value * factor) as f32)
                .collect();
            var.set(&Tensor::from_vec(new, values.len(), var.device())?)
        };
        blend(&self.mean, &statistics.mean, 1.0)?;
        blend(&self.variance, &statistics.variance, unbiased)
    }
}

fn activate(value: &Tensor, activation: Option<Activation>) -> Result<Tensor> {
    match activation {
        Some(Activation::Relu) => kernels::relu(value),
        None => Ok(value.clone()),
    }
}

/// Inverted dropout. The mask depends on seed, step and layer only.
fn dropout(value: &Tensor, probability: Option<f64>, mode: Mode, layer: u64) -> Result<Tensor> {
    let (Some(probability), Mode::Train { seed, step }) = (probability, mode) else {
        return Ok(value.clone());
    };
    if probability == 0.0 {
        return Ok(value.clone());
    }
    let keep = (1.0 / (1.0 - probability)) as f32;
    let mut generator = Generator::keyed(seed, "dropout", &[step, layer]);
    let mask: Vec<f32> = (0..value.elem_count())
        .map(|_| if generator.chance(probability) { 0.0 } else { keep })
        .collect();
    value * Tensor::from_vec(mask, value.shape(), value.device())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(layers: &str, input: &[usize], outputs: usize) -> Network {
        let spec: NetworkSpec = toml::from_str(&format!("layers = [{layers}]")).unwrap();
        let plan = Plan::new(&spec, input, outputs).unwrap();
        Network::new(&spec, &plan, 7, &Device::Cpu).unwrap()
    }

    fn input(shape: &[usize]) -> Tensor {
        let mut generator = Generator::keyed(3, "test", &[]);
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| generator.normal() as f32).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    const CNN: &str = r#"
        { conv2d = { channels = 4, batch_norm = true, activation = "relu", max_pool = 2 } },
        { conv2d = { channels = 6, kernel = [3, 5], dropout = 0.5 } },
        { adaptive_avg_pool2d = [2, 1] },
        { linear = { units = 5, activation = "relu" } },
        { linear = "targets" }"#;

    #[test]
    fn the_plan_counts_what_is_built_and_every_parameter_gets_a_gradient() {
        let spec: NetworkSpec = toml::from_str(&format!("layers = [{CNN}]")).unwrap();
        let plan = Plan::new(&spec, &[1, 9, 11], 3).unwrap();
        let network = Network::new(&spec, &plan, 7, &Device::Cpu).unwrap();
        let built: usize = network.parameters().iter().map(|(_, var)| var.elem_count()).sum();
        assert_eq!(built, plan.parameters());
        let out = network
            .forward(&input(&[4, 1, 9, 11]), Mode::Train { seed: 1, step: 1 })
            .unwrap();
        assert_eq!(out.dims(), [4, 3]);
        let gradients = out.sqr().unwrap().mean_all().unwrap().backward().unwrap();
        for (name, var) in network.parameters() {
            assert!(gradients.get(var).is_some(), "no gradient for {name}");
        }
    }

    #[test]
    fn evaluation_uses_the_running_averages() {
        let network = network(
            r#"{ conv2d = { channels = 3, batch_norm = true } }, { adaptive_avg_pool2d = 1 }, { linear = "targets" }"#,
            &[1, 6, 6],
            2,
        );
        let batch = input(&[8, 1, 6, 6]);
        for step in 0..400 {
            network.forward(&batch, Mode::Train { seed: 1, step }).unwrap();
        }
        // After many passes over one batch the averages are the batch's, but for the bias of the variance.
        let train = network
            .forward(&batch, Mode::Train { seed: 1, step: 0 })
            .unwrap()
            .to_vec2::<f32>()
            .unwrap();
        let evaluate = network
            .forward(&batch, Mode::Evaluate)
            .unwrap()
            .to_vec2::<f32>()
            .unwrap();
        for (a, b) in train.iter().flatten().zip(evaluate.iter().flatten()) {
            assert!((a - b).abs() < 5e-3, "{a} {b}");
        }
    }

    #[test]
    fn dropout_is_keyed_by_step_and_absent_in_evaluation() {
        let network = network(r#"{ dropout = 0.5 }, { linear = "targets" }"#, &[1, 4, 4], 2);
        let batch = input(&[2, 1, 4, 4]);
        let run = |mode| network.forward(&batch, mode).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(
            run(Mode::Train { seed: 1, step: 1 }),
            run(Mode::Train { seed: 1, step: 1 })
        );
        assert_ne!(
            run(Mode::Train { seed: 1, step: 1 }),
            run(Mode::Train { seed: 1, step: 2 })
        );
        assert_eq!(run(Mode::Evaluate), run(Mode::Evaluate));
    }
}
