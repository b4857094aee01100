//! Which examples are there, and what is true of them?
//!
//! One file per corpus: annotation files in, [`Manifest`] out. Nothing here reads audio. The split is decided here too
//! ([`split`]), as a pure function of ids, groups, settings and seed.

pub mod manifest;
pub mod spec;
pub mod split;
pub mod synthetic;

pub use manifest::{Example, Fault, Manifest, Media, Source, Target, Task, Window};
pub use spec::{DatasetSpec, OnError};
pub use split::{Split, SplitSpec};
