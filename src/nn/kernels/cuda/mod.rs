//! The operators on NVIDIA GPUs.
//!
//! Convolutions go through cuDNN (`cudnn`, `convolution`), but for first layers of one channel (`first_layer`); everything around them
//! is done by kernels of our own (`source/*.cu`, compiled to PTX when the program is built). Matrix products, and what turns, cuts and
//! joins arrays, are Candle's.
//!
//! Numbers are in `f32`; statistics and long sums run in `f64` (those of first layers from tile to tile), in a fixed order, so that one GPU
//! gives one result. Everything is launched on the stream of the device, and nothing here waits for it.

mod activation;
mod attention;
mod block;
mod both_ways;
mod convolution;
mod cudnn;
mod dropout;
mod facts;
mod feeder;
mod figures;
mod first_layer;
mod gpu;
mod graph;
mod linear;
mod loss;
mod norm;
mod pool;
mod product;
mod recurrence;
mod settings;
mod step_cell;
mod surroundings;
mod update;

pub use activation::{activation, activation_gradient};
pub use attention::attention;
pub use block::{
    Forward as BlockForward, Gradients as BlockGradients, Saved as BlockSaved, Shifts, backward as block_backward,
    forward as block_forward,
};
pub use both_ways::gru_both_ways;
pub use dropout::{Mask, dropout};
pub use facts::{Facts, FactsAt};
pub use feeder::{Feeder, Loaded, Room};
pub use figures::figures;
pub use gpu::{Address, Gpu, address_within, copy_over, view};
pub use graph::{Graph, prepared, record};
pub use linear::{linear, linear_without_bias};
pub use loss::{Distance, LossKind, loss};
pub use norm::{LayerNormed, Statistics, batch_norm, batch_norm_gradient, layer_norm, layer_norm_gradient};
pub use pool::{Winners, average_pool, average_pool_gradient, max_pool, max_pool_gradient};
pub use product::{product_in_bfloat16, set_up_products};
pub use recurrence::{Gates, Recurrence, Sizes as RecurrenceSizes, gru, gru_gradient};
pub use settings::{Precision, Settings, configure, settings};
pub use step_cell::{StepCell, StepCellUse};
pub use update::{Memory, Rule, Slot, norm as gradient_norm, update};
