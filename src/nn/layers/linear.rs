//! Fully connected layers.

use std::fmt::Write as _;

use candle_core::{Result, Tensor, Var};

use super::super::builder::{Builder, Fan};
use super::super::kernels;
use super::super::plan::{PlannedLayer, count};
use super::super::spec::{Activation, LinearTable};
use super::{Pass, activation, dropout, sequence, vectors};

pub fn plan(table: &LinearTable, shape: &[usize], outputs: usize) -> std::result::Result<PlannedLayer, String> {
    let units = table.units.count(outputs);
    let (frames, inputs) = match table.per_frame {
        true => sequence("linear with `per_frame`", shape)?,
        false => (1, shape.iter().product()),
    };
    let output = match table.per_frame {
        true => vec![frames, units],
        false => vec![units],
    };
    let mut detail = format!("{inputs} → {units}");
    if table.per_frame {
        detail.push_str(", per frame");
    }
    let mut activations = count(&output);
    let mut flops = count(&[frames, inputs, units]).saturating_mul(2);
    if let Some(function) = table.activation {
        let _ = write!(detail, ", {}", activation::name(function));
        activations += count(&output);
        flops = flops.saturating_add(count(&output));
    }
    if let Some(probability) = table.dropout {
        let _ = write!(detail, ", dropout {}", probability.0);
        activations += 2 * count(&output);
    }
    Ok(PlannedLayer {
        detail,
        parameters: inputs.saturating_mul(units).saturating_add(units),
        flops,
        activations,
        ..PlannedLayer::new("linear", shape, output)
    })
}

/// A fully connected layer with its parameters.
pub struct Linear {
    weight: Var,
    bias: Var,
    per_frame: bool,
    activation: Option<Activation>,
    dropout: Option<f64>,
}

impl Linear {
    pub fn new(
        builder: &mut Builder,
        prefix: &str,
        input: &[usize],
        table: &LinearTable,
        outputs: usize,
    ) -> Result<Self> {
        let units = table.units.count(outputs);
        let inputs = match (table.per_frame, input) {
            (true, &[channels, rows, _]) => channels * rows,
            (true, &[_, numbers]) => numbers,
            _ => input.iter().product(),
        };
        let fan = Fan {
            into: inputs,
            out: units,
        };
        Ok(Self {
            weight: builder.weight(format!("{prefix}.weight"), &[units, inputs], fan, table.init)?,
            bias: builder.bias(format!("{prefix}.bias"), units, fan, table.init)?,
            per_frame: table.per_frame,
            activation: table.activation,
            dropout: table.dropout.map(|p| p.0),
        })
    }

    pub fn forward(&self, input: &Tensor, pass: Pass) -> Result<Tensor> {
        let value = match self.per_frame {
            true => kernels::linear_of_frames(input, &self.weight, &self.bias)?,
            false => kernels::linear(&vectors(input)?, &self.weight, &self.bias)?,
        };
        dropout::apply(&activation::apply(&value, self.activation)?, self.dropout, pass, 0)
    }
}
