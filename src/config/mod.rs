//! What did the user ask for?
//!
//! TOML files, environment and command line, layered by Figment into one validated [`Experiment`]. Each part of the program owns
//! its settings; this folder only composes them. Nothing behind [`load`] checks a setting by itself again, and everything that
//! is wrong is told at once, with its place ([`Mistakes`]).
//!
//! The way of a setting: [`Source`] says which text; `layer` reads it and notes where each value stands; `extends` follows the
//! chain of files; `preset` adds the layers that names stand for; `merge` lays one over the other; `check` holds the result against its `shape`, which comes from the
//! [`schema()`]; `rules` asks whether the settings make sense together.

mod check;
pub mod experiment;
mod extends;
mod layer;
mod load;
mod merge;
mod mistake;
mod nearest;
mod pairs;
mod path;
mod preset;
mod reading;
mod rules;
mod schema;
mod shape;
mod shape_of_schema;
mod source;
mod task;
mod words;
mod write;

pub use experiment::{About, Experiment};
pub use load::{Origin, Request, Resolved, load};
pub use mistake::{Mistake, Mistakes};
pub use schema::schema;
pub use source::{BUILT_IN, BuiltIn, Source, find};
pub use write::{flatten, to_toml};
