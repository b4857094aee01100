//! How good is it, and how sure is that?
//!
//! Metrics, baselines and confidence intervals. Knows no sibling: plain slices in, figures out.

pub mod spec;

pub use spec::{Baseline, EvaluateSpec};
