//! From one sample rate to another, without delay.
//!
//! Both resamplers promise that a part of a file comes out with the same bits as if the whole file had been resampled:
//! they work in blocks on a grid that is fixed to the file's first sample, and say which source samples a part needs.

mod design;
mod fft_filter;
mod rubato_fft;
mod start;

use std::ops::Range;
use std::sync::Arc;

use super::{Error, MAX_FILE_RATE, MIN_FILE_RATE, Resampler};
use fft_filter::FftFilter;
use rubato_fft::RubatoFft;

/// Resamples a whole signal. The result has `ceil(samples · to / from)` samples, as librosa's.
pub fn resample(samples: &[f32], from: u32, to: u32, resampler: Resampler) -> Result<Vec<f32>, Error> {
    let plan = Plan::new(from, to, resampler)?;
    let length = Length::of(samples.len() as u64, from, to);
    let mut out = vec![0.0; length.padded as usize];
    let rendered = (length.rendered.min(length.padded)) as usize;
    if let Some(out) = out.get_mut(..rendered) {
        plan.render(samples, 0, 0, out)?;
    }
    Ok(out)
}

/// How long a resampled signal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Length {
    /// What soxr gives: the exact length, rounded.
    pub rendered: u64,
    /// What librosa pads that to with zeros: the exact length, rounded up, in its floating-point arithmetic.
    pub padded: u64,
}

impl Length {
    pub fn of(samples: u64, from: u32, to: u32) -> Self {
        if from == to {
            return Self {
                rendered: samples,
                padded: samples,
            };
        }
        let (samples, from, to) = (u128::from(samples), u128::from(from), u128::from(to));
        let rendered = ((2 * samples * to + from) / (2 * from)) as u64;
        let ratio = to as f64 / from as f64;
        let padded = (samples as f64 * ratio).ceil() as u64;
        Self {
            rendered: rendered.min(padded),
            padded,
        }
    }
}

/// A resampler, ready for a pair of rates.
pub(super) struct Plan(Method);

enum Method {
    Copy,
    Filter(Arc<FftFilter>),
    Rubato(RubatoFft),
}

impl Plan {
    pub fn new(from: u32, to: u32, resampler: Resampler) -> Result<Self, Error> {
        for (name, rate) in [("the sample rate of the sound", from), ("sample_rate", to)] {
            if !(MIN_FILE_RATE..=MAX_FILE_RATE).contains(&rate) {
                return Err(Error::Setting {
                    name,
                    value: format!("{rate} Hz"),
                    expected: format!("{MIN_FILE_RATE} to {MAX_FILE_RATE} Hz"),
                });
            }
        }
        Ok(Self(match resampler {
            _ if from == to => Method::Copy,
            Resampler::SoxrHq => Method::Filter(fft_filter::shared(from, to)),
            Resampler::RubatoFft => Method::Rubato(RubatoFft::new(from, to)?),
        }))
    }

    /// The source samples that `out` depends on; those before 0 and behind the end of the file are silent.
    pub fn source_range(&self, out: Range<u64>) -> Range<u64> {
        if out.is_empty() {
            return 0..0;
        }
        match &self.0 {
            Method::Copy => out,
            Method::Filter(filter) => filter.source_range(out),
            Method::Rubato(rubato) => rubato.source_range(out),
        }
    }

    /// Computes the samples from `out_start` on into `out`, from `source`, which begins at the file's sample
    /// `source_start` and covers [`Self::source_range`] as far as the file goes.
    pub fn render(&self, source: &[f32], source_start: u64, out_start: u64, out: &mut [f32]) -> Result<(), Error> {
        match &self.0 {
            Method::Copy => {
                let skip = out_start.saturating_sub(source_start) as usize;
                let available = source.get(skip..).unwrap_or_default();
                for (to, from) in out.iter_mut().zip(available) {
                    *to = *from;
                }
                Ok(())
            }
            Method::Filter(filter) => {
                filter.render(source, source_start, out_start, out);
                Ok(())
            }
            Method::Rubato(rubato) => rubato.render(source, source_start, out_start, out),
        }
    }
}

#[cfg(test)]
mod tests;
