//! What does the network see?
//!
//! A recipe and a manifest in, cached arrays out.

pub mod recipe;

pub use recipe::Recipe;
