//! What is the network?
//!
//! A description (`[[model.layers]]`) becomes a Candle network with right gradients.

pub mod spec;

pub use spec::{LayerSpec, NetworkSpec};
