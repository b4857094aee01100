//! What happened, kept for good?

pub mod rows;

pub use rows::{BaselineRow, MetricRow, Outcome, PredictionRow, Predictions, ResultRow, Status};
