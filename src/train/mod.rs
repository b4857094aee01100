//! How does the network learn?

pub mod spec;

pub use spec::{LossSpec, OptimizerSpec, ScheduleSpec, TrainSpec};
