//! What does a GPU need, and is it here?
//!
//! Candle and cudarc take it for granted that NVIDIA's libraries are there and that the driver answers. So nothing of theirs is
//! called before [`check`] has passed. Texts and types are the same with and without the feature `cuda`; the questions
//! themselves (`loader.rs`, `query.rs`) are compiled with it only.

mod error;
mod inventory;
mod libraries;
#[cfg(feature = "cuda")]
mod loader;
#[cfg(feature = "cuda")]
mod query;
mod status;

pub use error::Error;
pub use inventory::{Gpu, GpuOfRun, Inventory};
pub use libraries::{Library, Place};
pub use status::Status;

/// NVIDIA's libraries, the driver's first, and where each of them was found. Loads them.
#[cfg(feature = "cuda")]
pub fn libraries() -> Vec<Library> {
    loader::libraries()
}

/// A build without the feature `cuda` uses none.
#[cfg(not(feature = "cuda"))]
pub fn libraries() -> Vec<Library> {
    Vec::new()
}

/// Whether a GPU can be used: the libraries are there, the driver is new enough for this build, and it knows a device.
/// After that, and not before, Candle may open one.
///
/// # Errors
///
/// What is missing, and what to do about it ([`Error::hint`]).
#[cfg(feature = "cuda")]
pub fn check() -> Result<(), Error> {
    query::check().map(|_| ())
}

/// # Errors
///
/// Always: this build cannot.
#[cfg(not(feature = "cuda"))]
pub fn check() -> Result<(), Error> {
    Err(Error::NotBuilt)
}

/// What a run on the device of this number notes down of it. Opens none.
#[cfg(feature = "cuda")]
pub fn of_run(number: usize) -> Option<GpuOfRun> {
    query::of_run(i32::try_from(number).ok()?).ok()
}

/// A build without the feature `cuda` uses no device.
#[cfg(not(feature = "cuda"))]
pub fn of_run(_: usize) -> Option<GpuOfRun> {
    None
}

/// What this machine offers, for `affect doctor`.
#[cfg(feature = "cuda")]
pub fn status() -> Status {
    match query::inventory() {
        Ok(inventory) => Status::Ready(inventory),
        Err(error) => Status::of(&error, libraries()),
    }
}

/// What this machine offers, for `affect doctor`.
#[cfg(not(feature = "cuda"))]
pub fn status() -> Status {
    Status::of(&Error::NotBuilt, libraries())
}
