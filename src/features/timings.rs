//! Where the time of an extraction goes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde::Serialize;

/// A part of the work on a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading a file once to know its content.
    Hashing,
    /// From the file to mono samples at its own rate.
    Decoding,
    /// From those to samples at the wanted rate.
    Resampling,
    /// From samples to the array.
    Spectrograms,
    /// Into the cache, syncing included.
    Writing,
    /// Reading back what the cache holds and comparing checksums.
    Verifying,
}

/// Seconds of all threads together, by part of the work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Timings {
    pub hashing: f64,
    pub decoding: f64,
    pub resampling: f64,
    pub spectrograms: f64,
    pub writing: f64,
    /// Of the clock on the wall: the threads do it together.
    pub verifying: f64,
}

/// Sums up, from any thread.
#[derive(Debug, Default)]
pub struct Clocks([AtomicU64; 6]);

impl Clocks {
    /// Does the work and counts its time.
    pub fn time<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = work();
        let nanoseconds = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.0[stage as usize].fetch_add(nanoseconds, Ordering::Relaxed);
        result
    }

    /// What was counted so far.
    pub fn read(&self) -> Timings {
        let seconds = |stage: Stage| self.0[stage as usize].load(Ordering::Relaxed) as f64 / 1e9;
        Timings {
            hashing: seconds(Stage::Hashing),
            decoding: seconds(Stage::Decoding),
            resampling: seconds(Stage::Resampling),
            spectrograms: seconds(Stage::Spectrograms),
            writing: seconds(Stage::Writing),
            verifying: seconds(Stage::Verifying),
        }
    }
}
