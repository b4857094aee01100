//! Convolution blocks.

use std::fmt::Write as _;

use candle_core::{Result, Tensor, Var};

use super::super::builder::{Builder, Fan};
use super::super::kernels::{self, Block, Cells, Function, Geometry, LARGEST_WINDOW, Order, Rectifier, Windows};
use super::super::network::Mode;
use super::super::plan::{PlannedLayer, count};
use super::super::spec::{Activation, BatchNormSpec, Conv2dSpec, NamedPadding, Padding};
use super::norm::BatchNorm;
use super::{Pass, activation, dropout, image};

pub fn plan(conv: &Conv2dSpec, shape: &[usize]) -> std::result::Result<PlannedLayer, String> {
    let (channels, rows, columns) = image("conv2d", shape)?;
    let kernel = conv.kernel.get();
    let geometry = geometry(conv)?;
    if !channels.is_multiple_of(conv.groups) || !conv.channels.is_multiple_of(conv.groups) {
        return Err(format!(
            "{} groups don't divide {channels} input and {} output channels",
            conv.groups, conv.channels
        ));
    }
    let (out_rows, out_columns) = geometry.output((rows, columns), kernel).ok_or_else(|| {
        let (what, dilation) = match geometry.dilation {
            (1, 1) => ("a kernel", String::new()),
            (rows, columns) => ("a kernel", format!(", dilated by {rows} × {columns},")),
        };
        format!(
            "{what} of {} × {}{dilation} is larger than the input of {rows} × {columns} with its padding",
            kernel.0, kernel.1
        )
    })?;
    let taps = count(&[channels / conv.groups, kernel.0, kernel.1]);
    let filters = conv.channels as u64;
    let values = count(&[conv.channels, out_rows, out_columns]);
    let biased = u64::from(has_bias(conv));
    let mut parameters = filters.saturating_mul(taps.saturating_add(biased));
    let mut flops = values.saturating_mul(taps.saturating_mul(2));
    let mut activations = values;
    let mut output = vec![conv.channels, out_rows, out_columns];
    let mut detail = format!("{} of {} × {}", conv.channels, kernel.0, kernel.1);
    if geometry.stride != (1, 1) {
        let _ = write!(detail, ", stride {} × {}", geometry.stride.0, geometry.stride.1);
    }
    if geometry.dilation != (1, 1) {
        let _ = write!(detail, ", dilation {} × {}", geometry.dilation.0, geometry.dilation.1);
    }
    if conv.groups != 1 {
        let _ = write!(detail, ", {} groups", conv.groups);
    }
    if conv.batch_norm {
        detail.push_str(", batch norm");
        parameters = parameters.saturating_add(2 * filters);
        flops = flops.saturating_add(2 * values);
        activations += values;
    }
    if let Some(function) = conv.activation {
        let _ = write!(detail, ", {}", activation::name(function));
        flops = flops.saturating_add(values);
        activations += values;
    }
    if let Some(pool) = conv.max_pool {
        let window = pool.get();
        let cells = Cells::Windows(Windows::tiling(window));
        let (pool_rows, pool_columns) = cells.count((out_rows, out_columns)).ok_or_else(|| {
            format!(
                "max_pool of {} × {} is larger than {out_rows} × {out_columns}",
                window.0, window.1
            )
        })?;
        output = vec![conv.channels, pool_rows, pool_columns];
        flops = flops.saturating_add(count(&output) * count(&[window.0, window.1]));
        activations += count(&output);
        let _ = write!(detail, ", max pool {} × {}", window.0, window.1);
    }
    if let Some(probability) = conv.dropout {
        let _ = write!(detail, ", dropout {}", probability.0);
        activations += 2 * count(&output);
    }
    Ok(PlannedLayer {
        detail,
        parameters: usize::try_from(parameters).unwrap_or(usize::MAX),
        flops,
        activations,
        ..PlannedLayer::new("conv2d", shape, output)
    })
}

/// Stride, padding and dilation in numbers.
pub fn geometry(conv: &Conv2dSpec) -> std::result::Result<Geometry, String> {
    let kernel = conv.kernel.get();
    let stride = conv.stride.get();
    let dilation = conv.dilation.get();
    let padding = match conv.padding {
        Padding::Named(NamedPadding::Valid) => (0, 0),
        Padding::Named(NamedPadding::Same) => {
            if stride != (1, 1) || kernel.0.is_multiple_of(2) || kernel.1.is_multiple_of(2) {
                return Err(format!(
                    "padding \"same\" needs an odd kernel and stride 1, not a kernel of {} × {} and stride {} × {}; give the padding in numbers",
                    kernel.0, kernel.1, stride.0, stride.1
                ));
            }
            (dilation.0 * (kernel.0 / 2), dilation.1 * (kernel.1 / 2))
        }
        Padding::Both(size) => (size, size),
        Padding::Each([rows, columns]) => (rows, columns),
    };
    Ok(Geometry {
        stride,
        padding,
        dilation,
        groups: conv.groups,
    })
}

/// Whether the convolution has a bias of its own.
fn has_bias(conv: &Conv2dSpec) -> bool {
    conv.bias.unwrap_or(!conv.batch_norm)
}

/// A convolution block with its parameters.
pub struct Conv2d {
    weight: Var,
    bias: Option<Var>,
    /// What stands for the bias where there is none.
    zeros: Tensor,
    norm: Option<BatchNorm>,
    geometry: Geometry,
    activation: Option<Activation>,
    /// Rows and columns of windows that lie side by side.
    max_pool: Option<(usize, usize)>,
    dropout: Option<f64>,
}

impl Conv2d {
    pub fn new(builder: &mut Builder, prefix: &str, channels: usize, spec: &Conv2dSpec) -> Result<Self> {
        let (rows, columns) = spec.kernel.get();
        let groups = spec.groups.max(1);
        let fan = Fan {
            into: channels / groups * rows * columns,
            out: spec.channels / groups * rows * columns,
        };
        let weight = builder.weight(
            format!("{prefix}.weight"),
            &[spec.channels, channels / groups, rows, columns],
            fan,
            spec.init,
        )?;
        let bias = match has_bias(spec) {
            true => Some(builder.bias(format!("{prefix}.bias"), spec.channels, fan, spec.init)?),
            false => None,
        };
        let norm = match spec.batch_norm {
            true => Some(BatchNorm::new(
                builder,
                &format!("{prefix}.norm"),
                spec.channels,
                &BatchNormSpec::default(),
            )?),
            false => None,
        };
        Ok(Self {
            zeros: Tensor::zeros(spec.channels, weight.dtype(), weight.device())?,
            weight,
            bias,
            norm,
            geometry: geometry(spec).map_err(candle_core::Error::Msg)?,
            activation: spec.activation,
            max_pool: spec.max_pool.map(|pool| pool.get()),
            dropout: spec.dropout.map(|p| p.0),
        })
    }

    pub fn forward(&self, input: &Tensor, pass: Pass) -> Result<Tensor> {
        let (block, rest) = self.fused();
        let value = self.convolve(input, self.norm.as_ref(), block, pass.mode)?;
        let value = match rest {
            Rest::Nothing => value,
            Rest::Pool(cells) => kernels::max_pool2d(&value, cells)?,
            Rest::Activation(function, cells) => {
                let value = kernels::activation(&value, function)?;
                match cells {
                    Some(cells) => kernels::max_pool2d(&value, cells)?,
                    None => value,
                }
            }
        };
        dropout::apply(&value, self.dropout, pass, 0)
    }

    /// What one operator does, batch norm aside, and what is left for others.
    fn fused(&self) -> (Block, Rest) {
        let plain = Block::plain(self.geometry);
        let pool = |window| Cells::Windows(Windows::tiling(window));
        let rectifier = match self.activation.map(activation::function) {
            None => Rectifier::Identity,
            Some(function) => match rectifier(function) {
                Some(rectifier) => rectifier,
                None => return (plain, Rest::Activation(function, self.max_pool.map(pool))),
            },
        };
        let rectified = Block { rectifier, ..plain };
        match self.max_pool {
            None => (rectified, Rest::Nothing),
            Some(window) if !fits(window) => (rectified, Rest::Pool(pool(window))),
            Some(window) => (Block { window, ..rectified }, Rest::Nothing),
        }
    }

    /// For layers that follow to be computed with this one: a block without norm and pooling. `None` where this one ends with
    /// something else than the convolution and its rectifier.
    pub fn open(&self) -> Option<Block> {
        match self.fused() {
            (block, Rest::Nothing) if self.norm.is_none() && self.max_pool.is_none() && self.dropout.is_none() => {
                Some(block)
            }
            _ => None,
        }
    }

    /// Convolution, batch norm and what `block` has besides. Where the batch norm is a constant, it is folded into the convolution, or
    /// follows the rectifier in the same pass.
    pub fn convolve(&self, input: &Tensor, norm: Option<&BatchNorm>, block: Block, mode: Mode) -> Result<Tensor> {
        let filters = self.weight.dim(0)?;
        let bias = match &self.bias {
            Some(bias) => bias.as_tensor().clone(),
            None => self.zeros.clone(),
        };
        let Some(norm) = norm else {
            return kernels::conv_block(input, &self.weight, &bias, block);
        };
        match mode {
            Mode::Train { .. } => norm.after_convolution(input, &self.weight, &bias, block),
            Mode::Evaluate if block.order == Order::RectifierFirst => {
                norm.as_constants(input, &self.weight.detach(), &bias.detach(), block)
            }
            Mode::Evaluate => {
                let (scale, shift) = norm.constants()?;
                let weight = self.weight.broadcast_mul(&scale.reshape((filters, 1, 1, 1))?)?;
                let bias = ((bias * scale)? + shift)?;
                kernels::conv_block(input, &weight.detach(), &bias.detach(), block)
            }
        }
    }
}

/// The function as a block has it.
pub fn rectifier(function: Function) -> Option<Rectifier> {
    match function {
        Function::Relu => Some(Rectifier::Relu),
        Function::LeakyRelu { slope } if slope >= 0.0 => Some(Rectifier::Leaky { slope }),
        _ => None,
    }
}

/// Whether a block can pool windows of this size.
pub fn fits(window: (usize, usize)) -> bool {
    window.0.saturating_mul(window.1) <= LARGEST_WINDOW
}

/// What follows a block that one operator computed.
enum Rest {
    Nothing,
    Pool(Cells),
    Activation(Function, Option<Cells>),
}
