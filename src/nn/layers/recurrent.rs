//! Layers over the frames: gated recurrent units and attention.

use std::fmt::Write as _;

use candle_core::{Result, Tensor, Var};

use super::super::builder::{Builder, Fan};
use super::super::kernels::{self, Direction, tape};
use super::super::plan::{PlannedLayer, count};
use super::super::spec::{AttentionPoolSpec, GruOutput, GruSpec, Initialization};
use super::{Pass, as_sequence, dropout, sequence};

fn directions(spec: &GruSpec) -> &'static [Direction] {
    match spec.bidirectional {
        true => &[Direction::Forward, Direction::Backward],
        false => &[Direction::Forward],
    }
}

pub fn plan_gru(spec: &GruSpec, shape: &[usize]) -> std::result::Result<PlannedLayer, String> {
    let (frames, numbers) = sequence("gru", shape)?;
    let rows = directions(spec).len();
    let width = spec.units.saturating_mul(rows);
    let (mut parameters, mut flops, mut activations) = (0usize, 0u64, 0u64);
    for layer in 0..spec.layers {
        let inputs = if layer == 0 { numbers } else { width };
        let weights = spec
            .units
            .saturating_mul(3)
            .saturating_mul(inputs.saturating_add(spec.units));
        parameters = parameters.saturating_add(rows.saturating_mul(weights.saturating_add(6 * spec.units)));
        flops = flops.saturating_add(count(&[2 * rows, frames]).saturating_mul(weights as u64));
        // The input's share, the gates (in double length) and the states.
        activations += count(&[rows, frames, spec.units]) * (3 + 2 * 4 + 1);
    }
    let mut detail = format!("{numbers} → {}", spec.units);
    if spec.layers > 1 {
        let _ = write!(detail, ", {} layers", spec.layers);
    }
    if spec.bidirectional {
        detail.push_str(", both ways");
    }
    if let Some(probability) = spec.dropout {
        let _ = write!(detail, ", dropout {}", probability.0);
    }
    let output = match spec.output {
        GruOutput::Sequence => vec![frames, width],
        GruOutput::Last => vec![width],
    };
    Ok(PlannedLayer {
        detail,
        parameters,
        flops,
        activations,
        ..PlannedLayer::new("gru", shape, output)
    })
}

pub fn plan_attention(spec: &AttentionPoolSpec, shape: &[usize]) -> std::result::Result<PlannedLayer, String> {
    let (frames, numbers) = sequence("attention_pool", shape)?;
    let products = count(&[frames, numbers, spec.units]);
    Ok(PlannedLayer {
        detail: format!("{} units", spec.units),
        parameters: spec.units.saturating_mul(numbers + 2),
        flops: products
            .saturating_mul(2)
            .saturating_add(2 * count(&[frames, numbers + spec.units])),
        activations: 2 * count(&[frames, spec.units + 1]) + numbers as u64,
        ..PlannedLayer::new("attention_pool", shape, vec![numbers])
    })
}

/// Layers of gated recurrent units with their parameters.
pub struct Gru {
    /// Each with one row of units for each direction.
    layers: Vec<Vec<Units>>,
    output: GruOutput,
    dropout: Option<f64>,
}

struct Units {
    direction: Direction,
    weight_input: Var,
    weight_state: Var,
    bias_input: Var,
    bias_state: Var,
}

impl Gru {
    pub fn new(builder: &mut Builder, prefix: &str, input: &[usize], spec: &GruSpec) -> Result<Self> {
        let (_, numbers) = sequence("gru", input).map_err(candle_core::Error::Msg)?;
        let directions = directions(spec);
        let gates = 3 * spec.units;
        let mut layers = Vec::new();
        for layer in 0..spec.layers {
            let inputs = if layer == 0 {
                numbers
            } else {
                spec.units * directions.len()
            };
            let mut rows = Vec::new();
            for &direction in directions {
                let suffix = match direction {
                    Direction::Forward => format!("l{layer}"),
                    Direction::Backward => format!("l{layer}_reverse"),
                };
                // PyTorch's default goes by the units, for all four.
                let fan = |inputs: usize| Fan {
                    into: match spec.init {
                        Initialization::Default => spec.units,
                        _ => inputs,
                    },
                    out: gates,
                };
                let name = |what: &str| format!("{prefix}.{what}_{suffix}");
                rows.push(Units {
                    direction,
                    weight_input: builder.weight(name("weight_ih"), &[gates, inputs], fan(inputs), spec.init)?,
                    weight_state: builder.weight(
                        name("weight_hh"),
                        &[gates, spec.units],
                        fan(spec.units),
                        spec.init,
                    )?,
                    bias_input: builder.bias(name("bias_ih"), gates, fan(inputs), spec.init)?,
                    bias_state: builder.bias(name("bias_hh"), gates, fan(inputs), spec.init)?,
                });
            }
            layers.push(rows);
        }
        Ok(Self {
            layers,
            output: spec.output,
            dropout: spec.dropout.map(|p| p.0),
        })
    }

    pub fn forward(&self, input: &Tensor, pass: Pass) -> Result<Tensor> {
        // On the CPU products take an image as it lies; on a GPU it is turned, and once is enough for both directions.
        let mut value = match input.device().is_cuda() {
            true => as_sequence(input)?,
            false => input.clone(),
        };
        for (index, rows) in self.layers.iter().enumerate() {
            if index > 0 {
                value = dropout::apply(&value, self.dropout, pass, index as u64)?;
            }
            value = match rows.as_slice() {
                [one] => one.forward(&value)?,
                [forward, backward] => Units::both_ways([forward, backward], &value)?,
                _ => candle_core::bail!("gru: {} directions", rows.len()),
            };
            let is_last = index + 1 == self.layers.len();
            if is_last && self.output == GruOutput::Last {
                return ends(rows, &value);
            }
        }
        Ok(value)
    }
}

/// The state of each direction where its walk ends.
fn ends(rows: &[Units], states: &Tensor) -> Result<Tensor> {
    let (batch, frames, numbers) = states.dims3()?;
    let units = numbers / rows.len().max(1);
    let end = |(number, of): (usize, &Units)| {
        let frame = match of.direction {
            Direction::Forward => frames.saturating_sub(1),
            Direction::Backward => 0,
        };
        let end = tape::narrow(&tape::narrow(states, 1, frame, 1)?, 2, number * units, units)?;
        tape::reshape(&end, (batch, units))
    };
    let ends = rows.iter().enumerate().map(end).collect::<Result<Vec<_>>>()?;
    tape::cat(&ends, 1)
}

impl Units {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        kernels::gru(
            &self.inputs(input)?,
            &self.weight_state,
            &self.bias_state,
            self.direction,
        )
    }

    fn both_ways(both: [&Self; 2], input: &Tensor) -> Result<Tensor> {
        let [forward, backward] = both.map(|units| units.inputs(input));
        kernels::gru_both_ways(
            [&forward?, &backward?],
            both.map(|units| units.weight_state.as_tensor()),
            both.map(|units| units.bias_state.as_tensor()),
        )
    }

    /// The input's share of the gates.
    fn inputs(&self, input: &Tensor) -> Result<Tensor> {
        kernels::linear_of_frames(input, &self.weight_input, &self.bias_input)
    }
}

/// Attention over frames with its parameters.
pub struct AttentionPool {
    weight: Var,
    bias: Var,
    query: Var,
}

impl AttentionPool {
    pub fn new(builder: &mut Builder, prefix: &str, input: &[usize], spec: &AttentionPoolSpec) -> Result<Self> {
        let (_, numbers) = sequence("attention_pool", input).map_err(candle_core::Error::Msg)?;
        let fan = Fan {
            into: numbers,
            out: spec.units,
        };
        let to_one = Fan {
            into: spec.units,
            out: 1,
        };
        Ok(Self {
            weight: builder.weight(format!("{prefix}.weight"), &[spec.units, numbers], fan, spec.init)?,
            bias: builder.bias(format!("{prefix}.bias"), spec.units, fan, spec.init)?,
            query: builder.weight(format!("{prefix}.query"), &[1, spec.units], to_one, spec.init)?,
        })
    }

    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let frames = as_sequence(input)?;
        let (batch, count, _) = frames.dims3()?;
        let hidden = kernels::linear_of_frames(&frames, &self.weight, &self.bias)?;
        let hidden = kernels::activation(&hidden, kernels::Function::Tanh)?;
        let hidden = tape::reshape(&hidden, (batch * count, self.query.dim(1)?))?;
        let scores = tape::reshape(&kernels::linear_without_bias(&hidden, &self.query)?, (batch, count))?;
        kernels::attention(&frames, &scores)
    }
}
