//! What is the network?
//!
//! A description (`[[model.layers]]`, [`NetworkSpec`]) becomes a [`Plan`] with every shape, and then a Candle [`Network`]
//! with right gradients. [`pair`] has networks of two branches. `layers/` has what each layer makes of a shape and of a tensor, `kernels/` the operators. Knows no sibling.

mod builder;
pub mod definition;
pub mod kernels;
mod layers;
mod misfit;
pub mod network;
pub mod pair;
pub mod plan;
pub mod preset;
pub mod spec;

pub use kernels::Step;
pub use misfit::Misfit;
pub use network::{Mode, Network};
pub use pair::{PairOutputs, PairPlan, Side};
pub use plan::{Plan, PlanError, PlannedLayer, shape_text};
pub use preset::NetworkPreset;
pub use spec::{LayerSpec, NetworkSpec};
