//! The operators of the networks, each with a backward of its own.
//!
//! Candle's stock operators are not used where they are wrong (the gradient of max pooling is scaled, that of ReLU is 1 at 0, layer
//! norm has none, adaptive pooling is missing) or too slow to train with (convolution, batch norm, a recurrence). Each operator
//! here is a Candle custom operator, so that everything above stays plain Candle and automatic differentiation goes on working. On
//! a GPU they can do without it: see [`tape`].
//!
//! Two promises hold for all of them:
//!
//! * Results do not depend on the number of threads. Work is divided by the shape alone, every reduction has a fixed
//!   partition and a fixed order of addition, and no two threads write to one place.
//! * The element type is generic, so that gradients are tested in `f64` by finite differences with the very code that
//!   trains in `f32`.
//!
//! The convolutions' sums run on the vectors that the machine has, chosen at run time: see [`conv`]. This folder, and one option of the
//! allocator in `main.rs`, are the only `unsafe` code: unaligned vector loads, and the calls into `gemm`.

pub mod activation;
mod attention;
pub mod avg_pool2d;
pub mod batch_norm;
pub mod cells;
pub mod conv;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod direct;
pub mod dropout;
mod element;
mod elementary;
mod figures;
mod frames;
pub mod gru;
pub mod layer_norm;
mod linear;
mod matmul;
pub mod max_pool2d;
pub mod product;
pub mod tape;

#[cfg(test)]
pub(crate) mod gradient_check;

pub use activation::{Function, activation};
pub use attention::attention;
pub use avg_pool2d::avg_pool2d;
pub use batch_norm::{BatchStatistics, OnGpu, batch_norm};
pub use cells::{Cells, Windows};
pub use conv::{Block, Geometry, LARGEST_WINDOW, Norm, Order, Rectifier, conv_block, conv2d, normalized_conv_block};
pub use dropout::{Step, dropout};
pub use figures::{Figure, figures};
pub use frames::linear_of_frames;
pub use gru::{Direction, gru, gru_both_ways};
pub use layer_norm::layer_norm;
pub use linear::{linear, linear_without_bias};
pub use max_pool2d::max_pool2d;
pub use product::product;
