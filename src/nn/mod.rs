//! What is the network?
//!
//! A description (`[[model.layers]]`, [`NetworkSpec`]) becomes a [`Plan`] with every shape, and then a Candle [`Network`]
//! with right gradients. Knows no sibling.

pub mod kernels;
pub mod network;
pub mod plan;
pub mod spec;

pub use network::{Mode, Network};
pub use plan::{Plan, PlanError, PlannedLayer, shape_text};
pub use spec::{LayerSpec, NetworkSpec};
