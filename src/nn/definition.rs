//! What the settings of a layer mean, for those who compute the same layer elsewhere.

use super::kernels::{Cells, Function, Geometry};
use super::layers;
use super::spec::{Activation, Conv2dSpec, LayerSpec, ResidualSpec};

/// Added to the variance before a global pool's deviation is taken.
pub const DEVIATION_EPSILON: f64 = layers::pool::EPSILON;

/// The function of a layer that is nothing else.
pub fn function(spec: &LayerSpec) -> Option<Function> {
    layers::activation::of_layer(spec)
}

/// The function that an activation's name stands for.
pub fn activation(activation: Activation) -> Function {
    layers::activation::function(activation)
}

/// Stride, padding and dilation of a convolution.
///
/// # Errors
/// Padding "same" where it cannot be; a [`Plan`](super::Plan) has refused it before.
pub fn geometry(spec: &Conv2dSpec) -> Result<Geometry, String> {
    layers::conv2d::geometry(spec)
}

/// The first convolution of a residual block over so many channels, the second, and the way around them where it is not the input itself.
pub fn residual_parts(spec: &ResidualSpec, channels: usize) -> (Conv2dSpec, Conv2dSpec, Option<Conv2dSpec>) {
    layers::residual::parts(spec, channels)
}

/// What becomes of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolKind {
    Max,
    Average,
}

/// The cells of a pooling layer, and what becomes of each; `None` for another layer.
pub fn pool(spec: &LayerSpec) -> Option<(PoolKind, Cells)> {
    match spec {
        LayerSpec::MaxPool2d(spec) => Some((PoolKind::Max, layers::pool::windows(spec))),
        LayerSpec::AvgPool2d(spec) => Some((PoolKind::Average, layers::pool::windows(spec))),
        LayerSpec::AdaptiveMaxPool2d(grid) => Some((PoolKind::Max, layers::pool::grid(*grid))),
        LayerSpec::AdaptiveAvgPool2d(grid) => Some((PoolKind::Average, layers::pool::grid(*grid))),
        _ => None,
    }
}
