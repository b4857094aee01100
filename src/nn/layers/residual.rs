//! ResNet's basic block (He et al. 2016).

use std::fmt::Write as _;

use candle_core::{Result, Tensor};

use super::super::builder::Builder;
use super::super::kernels;
use super::super::plan::{PlannedLayer, count};
use super::super::spec::{Activation, Conv2dSpec, Padding, Pair, ResidualSpec};
use super::conv2d::{self, Conv2d};
use super::{Pass, activation, dropout, image};

/// The first convolution, the second, and the way around them where it is not the input itself.
pub fn parts(spec: &ResidualSpec, channels: usize) -> (Conv2dSpec, Conv2dSpec, Option<Conv2dSpec>) {
    let (rows, columns) = spec.kernel.get();
    let conv = Conv2dSpec {
        kernel: spec.kernel,
        padding: Padding::Each([rows / 2, columns / 2]),
        batch_norm: true,
        init: spec.init,
        ..Conv2dSpec::new(spec.channels)
    };
    let first = Conv2dSpec {
        stride: spec.stride,
        activation: Some(spec.activation),
        dropout: spec.dropout,
        ..conv.clone()
    };
    let around = Conv2dSpec {
        kernel: Pair::Both(1),
        padding: Padding::Both(0),
        stride: spec.stride,
        ..conv.clone()
    };
    let changes = channels != spec.channels || spec.stride.get() != (1, 1);
    (first, conv, changes.then_some(around))
}

pub fn plan(spec: &ResidualSpec, shape: &[usize]) -> std::result::Result<PlannedLayer, String> {
    let (channels, _, _) = image("residual", shape)?;
    let (rows, columns) = spec.kernel.get();
    if rows.is_multiple_of(2) || columns.is_multiple_of(2) {
        return Err(format!("residual needs an odd kernel, not {rows} × {columns}"));
    }
    let (first, second, around) = parts(spec, channels);
    let first = conv2d::plan(&first, shape)?;
    let second = conv2d::plan(&second, &first.output)?;
    let around = around
        .map(|around| conv2d::plan(&around, shape))
        .transpose()?
        .unwrap_or_default();
    let mut detail = format!("{} of {rows} × {columns}, twice", spec.channels);
    let (stride_rows, stride_columns) = spec.stride.get();
    if (stride_rows, stride_columns) != (1, 1) {
        let _ = write!(detail, ", stride {stride_rows} × {stride_columns}");
    }
    let _ = write!(detail, ", {}", activation::name(spec.activation));
    if let Some(probability) = spec.dropout {
        let _ = write!(detail, ", dropout {}", probability.0);
    }
    let sum = count(&second.output);
    Ok(PlannedLayer {
        detail,
        parameters: first
            .parameters
            .saturating_add(second.parameters)
            .saturating_add(around.parameters),
        flops: first
            .flops
            .saturating_add(second.flops)
            .saturating_add(around.flops)
            .saturating_add(2 * sum),
        activations: first.activations + second.activations + around.activations + 2 * sum,
        ..PlannedLayer::new("residual", shape, second.output)
    })
}

/// A residual block with its parameters.
pub struct Residual {
    first: Conv2d,
    second: Conv2d,
    around: Option<Conv2d>,
    activation: Activation,
    dropout: Option<f64>,
}

impl Residual {
    pub fn new(builder: &mut Builder, prefix: &str, channels: usize, spec: &ResidualSpec) -> Result<Self> {
        let (first, second, around) = parts(spec, channels);
        let first = Conv2dSpec { dropout: None, ..first };
        Ok(Self {
            first: Conv2d::new(builder, &format!("{prefix}.first"), channels, &first)?,
            second: Conv2d::new(builder, &format!("{prefix}.second"), spec.channels, &second)?,
            around: around
                .map(|around| Conv2d::new(builder, &format!("{prefix}.around"), channels, &around))
                .transpose()?,
            activation: spec.activation,
            dropout: spec.dropout.map(|p| p.0),
        })
    }

    pub fn forward(&self, input: &Tensor, pass: Pass) -> Result<Tensor> {
        let value = self.first.forward(input, pass)?;
        let value = dropout::apply(&value, self.dropout, pass, 0)?;
        let value = self.second.forward(&value, pass)?;
        let around = match &self.around {
            Some(around) => around.forward(input, pass)?,
            None => input.clone(),
        };
        activation::apply(&kernels::tape::add(&value, &around)?, Some(self.activation))
    }
}
