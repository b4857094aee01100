//! How soxr begins a file.
//!
//! A linear-phase filter begins to answer before the first sample. Where soxr converts in two steps, what the first
//! step gives for times before the first sample is not seen by the second: the first two to four samples of the result
//! miss a part of what the filter would give. That matters for sound that begins abruptly, so the same part is left out
//! here.

use super::design::{Design, Place, Sinc};

/// What to take from the first samples of a result.
pub(super) struct Start {
    sharp: Sinc,
    interpolation: Sinc,
    /// Samples per sample of the lower rate: of the source, of what the interpolation reads, of the result.
    source: f64,
    between: f64,
    result: f64,
    /// To normalise both filters.
    area: f64,
}

impl Start {
    pub fn new(design: &Design, from: u32, to: u32) -> Option<Self> {
        let interpolation = design
            .interpolation
            .filter(|step| step.place == Place::AfterTheFilter)?;
        let (sharp, low) = (design.sharp(), f64::from(from.min(to)));
        Some(Self {
            area: sharp.area() * interpolation.filter.area(),
            sharp,
            interpolation: interpolation.filter,
            source: f64::from(from) / low,
            between: interpolation.density,
            result: f64::from(to) / low,
        })
    }

    /// How many samples of the result are concerned.
    pub fn samples(&self) -> usize {
        (self.interpolation.half_length * self.result).ceil() as usize
    }

    /// What the interpolation does not see of the beginning of `source`, in each of the first [`Self::samples`]
    /// samples.
    pub fn missing(&self, source: &[f32]) -> Vec<f64> {
        let before: Vec<(f64, f64)> = (1..=(self.interpolation.half_length * self.between) as usize)
            .map(|index| {
                let time = -(index as f64) / self.between;
                let reach = ((self.sharp.half_length + time) * self.source).max(0.0) as usize + 1;
                let answer: f64 = (0..reach)
                    .zip(source)
                    .map(|(index, sample)| f64::from(*sample) * self.sharp.at(index as f64 / self.source - time))
                    .sum();
                (time, answer)
            })
            .collect();
        let scale = 1.0 / (self.source * self.between * self.area);
        (0..self.samples())
            .map(|index| {
                let time = index as f64 / self.result;
                let sum: f64 = before
                    .iter()
                    .map(|(t, answer)| answer * self.interpolation.at(time - t))
                    .sum();
                sum * scale
            })
            .collect()
    }
}
