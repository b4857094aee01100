//! Declared experiments on emotion in audio.
//!
//! A TOML file names the data, the features, the network, the loss and the optimiser; this library does the work and the
//! `affect` program is its command line. ARCHITECTURE.md walks through the modules.
//!
//! The library never prints, never ends the process and never reads the environment: only [`cli`] does.

#![deny(unsafe_code)]
#![warn(
    clippy::dbg_macro,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::todo,
    clippy::unimplemented,
    clippy::unreachable,
    clippy::unwrap_used
)]

pub mod audio;
pub mod cli;
pub mod config;
mod contained;
pub mod cuda;
pub mod dataset;
pub mod evaluate;
pub mod export;
pub mod features;
pub mod files;
pub mod nn;
mod npy_header;
pub mod predict;
pub mod random;
pub mod report;
pub mod track;
pub mod train;
mod vector;
