//! The layers: what each makes of a shape, what it begins with, and its forward pass.
//!
//! One file per kind. Tensors are `[batch, channels, rows, frames]` (images), `[batch, frames, numbers]` (sequences) or
//! `[batch, numbers]` (vectors).

pub(super) mod activation;
pub(super) mod conv2d;
mod dropout;
mod fused;
mod linear;
mod norm;
pub(super) mod pool;
mod recurrent;
pub(super) mod residual;

use candle_core::{Result, Tensor};

pub(super) use fused::{forward, forward_from};

use super::builder::Builder;
use super::kernels::{Function, tape};
use super::network::Mode;
use super::plan::{PlannedLayer, count, shape_text};
use super::spec::LayerSpec;

/// What `spec` makes of an example of this shape. `outputs`: of the task.
///
/// # Errors
/// Why it cannot follow.
pub(super) fn plan(spec: &LayerSpec, shape: &[usize], outputs: usize) -> std::result::Result<PlannedLayer, String> {
    match spec {
        LayerSpec::Conv2d(spec) => conv2d::plan(spec, shape),
        LayerSpec::Residual(spec) => residual::plan(spec, shape),
        LayerSpec::BatchNorm(_) => Ok(norm::plan_batch_norm(shape)),
        LayerSpec::LayerNorm(spec) => Ok(norm::plan_layer_norm(spec, shape)),
        LayerSpec::MaxPool2d(spec) => pool::plan_windows("max_pool2d", spec, shape),
        LayerSpec::AvgPool2d(spec) => pool::plan_windows("avg_pool2d", spec, shape),
        LayerSpec::AdaptiveAvgPool2d(grid) => pool::plan_grid("adaptive_avg_pool2d", *grid, shape),
        LayerSpec::AdaptiveMaxPool2d(grid) => pool::plan_grid("adaptive_max_pool2d", *grid, shape),
        LayerSpec::GlobalPool(spec) => pool::plan_global(spec, shape),
        LayerSpec::Flatten(_) => Ok(PlannedLayer {
            activations: 0,
            ..PlannedLayer::new("flatten", shape, vec![shape.iter().product()])
        }),
        LayerSpec::Dropout(probability) => Ok(PlannedLayer {
            detail: probability.0.to_string(),
            flops: count(shape),
            activations: 2 * count(shape),
            ..PlannedLayer::new("dropout", shape, shape.to_vec())
        }),
        LayerSpec::Linear(spec) => linear::plan(&spec.table(), shape, outputs),
        LayerSpec::Gru(spec) => recurrent::plan_gru(spec, shape),
        LayerSpec::AttentionPool(spec) => recurrent::plan_attention(spec, shape),
        LayerSpec::Relu(_)
        | LayerSpec::LeakyRelu(_)
        | LayerSpec::Gelu(_)
        | LayerSpec::Elu(_)
        | LayerSpec::Tanh(_)
        | LayerSpec::Sigmoid(_) => Ok(activation::plan(spec, shape)),
    }
}

/// A layer with its parameters.
pub(super) enum Layer {
    Conv2d(conv2d::Conv2d),
    Residual(Box<residual::Residual>),
    BatchNorm(norm::BatchNorm),
    LayerNorm(norm::LayerNorm),
    Activation(Function),
    Pool(pool::Pool),
    GlobalPool(pool::GlobalPool),
    Flatten,
    Dropout(f64),
    Linear(linear::Linear),
    Gru(recurrent::Gru),
    AttentionPool(recurrent::AttentionPool),
}

/// Where a layer stands in a forward pass.
#[derive(Clone, Copy)]
pub(super) struct Pass {
    pub mode: Mode,
    /// Index of the layer.
    pub layer: u64,
}

impl Layer {
    /// With fresh parameters. `planned`: what [`plan`] made of `spec`.
    pub fn new(
        builder: &mut Builder,
        prefix: &str,
        spec: &LayerSpec,
        planned: &PlannedLayer,
        outputs: usize,
    ) -> Result<Self> {
        let input = planned.input.as_slice();
        let channels = input.first().copied().unwrap_or(1);
        Ok(match spec {
            LayerSpec::Conv2d(spec) => Self::Conv2d(conv2d::Conv2d::new(builder, prefix, channels, spec)?),
            LayerSpec::Residual(spec) => {
                Self::Residual(Box::new(residual::Residual::new(builder, prefix, channels, spec)?))
            }
            LayerSpec::BatchNorm(spec) => {
                let size = norm::batch_norm_size(input);
                Self::BatchNorm(norm::BatchNorm::new(builder, prefix, size, spec)?)
            }
            LayerSpec::LayerNorm(spec) => Self::LayerNorm(norm::LayerNorm::new(builder, prefix, input, spec)?),
            LayerSpec::Relu(_)
            | LayerSpec::LeakyRelu(_)
            | LayerSpec::Gelu(_)
            | LayerSpec::Elu(_)
            | LayerSpec::Tanh(_)
            | LayerSpec::Sigmoid(_) => Self::Activation(activation::of_layer(spec).unwrap_or(Function::Relu)),
            LayerSpec::MaxPool2d(spec) => Self::Pool(pool::Pool::max(pool::windows(spec))),
            LayerSpec::AvgPool2d(spec) => Self::Pool(pool::Pool::average(pool::windows(spec))),
            LayerSpec::AdaptiveAvgPool2d(grid) => Self::Pool(pool::Pool::average(pool::grid(*grid))),
            LayerSpec::AdaptiveMaxPool2d(grid) => Self::Pool(pool::Pool::max(pool::grid(*grid))),
            LayerSpec::GlobalPool(spec) => Self::GlobalPool(pool::GlobalPool::new(spec)),
            LayerSpec::Flatten(_) => Self::Flatten,
            LayerSpec::Dropout(probability) => Self::Dropout(probability.0),
            LayerSpec::Linear(spec) => {
                Self::Linear(linear::Linear::new(builder, prefix, input, &spec.table(), outputs)?)
            }
            LayerSpec::Gru(spec) => Self::Gru(recurrent::Gru::new(builder, prefix, input, spec)?),
            LayerSpec::AttentionPool(spec) => {
                Self::AttentionPool(recurrent::AttentionPool::new(builder, prefix, input, spec)?)
            }
        })
    }

    pub fn forward(&self, input: &Tensor, pass: Pass) -> Result<Tensor> {
        match self {
            Self::Conv2d(layer) => layer.forward(input, pass),
            Self::Residual(layer) => layer.forward(input, pass),
            Self::BatchNorm(layer) => layer.forward(input, pass.mode),
            Self::LayerNorm(layer) => layer.forward(input),
            Self::Activation(function) => super::kernels::activation(input, *function),
            Self::Pool(layer) => layer.forward(input),
            Self::GlobalPool(layer) => layer.forward(input),
            Self::Flatten => vectors(input),
            Self::Dropout(probability) => dropout::apply(input, Some(*probability), pass, 0),
            Self::Linear(layer) => layer.forward(input, pass),
            Self::Gru(layer) => layer.forward(input, pass),
            Self::AttentionPool(layer) => layer.forward(input),
        }
    }
}

/// `[batch, numbers]` of whatever an example is.
fn vectors(input: &Tensor) -> Result<Tensor> {
    let batch = input.dim(0)?;
    tape::reshape(input, (batch, input.elem_count() / batch.max(1)))
}

fn image(layer: &str, shape: &[usize]) -> std::result::Result<(usize, usize, usize), String> {
    match *shape {
        [channels, rows, columns] => Ok((channels, rows, columns)),
        ref other => Err(format!(
            "{layer} needs channels × rows × columns, but the layer before gives {}",
            shape_text(other)
        )),
    }
}

/// Frames and numbers in each: an image is read frame by frame.
fn sequence(layer: &str, shape: &[usize]) -> std::result::Result<(usize, usize), String> {
    match *shape {
        [channels, rows, frames] => Ok((frames, channels * rows)),
        [frames, numbers] => Ok((frames, numbers)),
        ref other => Err(format!(
            "{layer} needs frames, but the layer before gives {}",
            shape_text(other)
        )),
    }
}

/// `[batch, frames, numbers]` of an image or a sequence.
fn as_sequence(input: &Tensor) -> Result<Tensor> {
    match input.rank() {
        4 => {
            let (batch, channels, rows, frames) = input.dims4()?;
            tape::turn(&tape::reshape(input, (batch, channels * rows, frames))?)
        }
        _ => Ok(input.clone()),
    }
}
