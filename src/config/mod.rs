//! What did the user ask for?
//!
//! TOML files, environment and command line, layered by Figment into one validated [`Experiment`]. Each part of the program owns
//! its settings; this folder only composes them.

pub mod experiment;

pub use experiment::{About, Experiment};
