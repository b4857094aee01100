//! rubato's synchronous FFT resampler, behind the same interface.
//!
//! It works in chunks, each with an overlap from the one before, so that a part of a file is computed from the file's
//! start.

use std::ops::Range;

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler};

use super::design::greatest_common_divisor;
use crate::audio::Error;

/// Samples of the source that a chunk has at least.
const CHUNK: usize = 1024;

pub(super) struct RubatoFft {
    from: u32,
    to: u32,
    chunk_in: u64,
    delay_out: u64,
}

impl RubatoFft {
    pub fn new(from: u32, to: u32) -> Result<Self, Error> {
        let resampler = make(from, to)?;
        Ok(Self {
            from,
            to,
            chunk_in: resampler.input_frames_max() as u64,
            delay_out: resampler.output_delay() as u64,
        })
    }

    pub fn source_range(&self, out: Range<u64>) -> Range<u64> {
        let end = u128::from(out.end) + u128::from(self.delay_out);
        let needed = (end * u128::from(self.from)).div_ceil(u128::from(self.to));
        let chunks = needed.div_ceil(u128::from(self.chunk_in)) + 1;
        0..u64::try_from(chunks * u128::from(self.chunk_in)).unwrap_or(u64::MAX)
    }

    pub fn render(&self, source: &[f32], source_start: u64, out_start: u64, out: &mut [f32]) -> Result<(), Error> {
        debug_assert_eq!(source_start, 0);
        let needed = self.source_range(out_start..out_start + out.len() as u64);
        let length = needed.end as usize;
        let mut padded = vec![0.0_f32; length];
        let count = source.len().min(length);
        padded[..count].copy_from_slice(&source[..count]);
        let adapter = InterleavedSlice::new(&padded, 1, length).map_err(|error| refused(self.from, self.to, &error))?;
        let all = make(self.from, self.to)?
            .process_all(&adapter, length, None)
            .map_err(|error| refused(self.from, self.to, &error))?
            .take_data();
        let result = all.get(out_start as usize..).unwrap_or_default();
        for (to, from) in out.iter_mut().zip(result) {
            *to = *from;
        }
        Ok(())
    }
}

fn make(from: u32, to: u32) -> Result<Fft<f32>, Error> {
    // Chunks of an even number of samples: rubato delays by half a chunk, and trims whole samples only.
    let step = (from / greatest_common_divisor(from, to)) as usize;
    let chunk = 2 * step * CHUNK.div_ceil(2 * step);
    Fft::new(from as usize, to as usize, chunk, 1, FixedSync::Both).map_err(|error| refused(from, to, &error))
}

fn refused(from: u32, to: u32, error: &dyn std::fmt::Display) -> Error {
    Error::Setting {
        name: "resampler",
        value: format!("rubato-fft from {from} to {to} Hz ({error})"),
        expected: "a pair of rates that it can convert, or `soxr-hq`".into(),
    }
}
