//! Samples in, mel spectrogram out: framing, Fourier transform, power, mel filters, scale.
//!
//! The numbers are librosa's (`librosa.feature.melspectrogram` and `power_to_db`) to within 32-bit rounding. What makes
//! it fast: two frames share one complex transform, the filterbank is sparse, and everything lives in buffers that are
//! reused. Frames are paired and summed in a fixed order, so the same samples give the same bits on any thread.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};

use super::filterbank::Filterbank;
use super::window::window;
use super::{Error, MelSpec, PadMode, Power, scale};
use crate::vector::on_vectors;

/// Frames that go through the filterbank together.
const TILE: usize = 16;

/// Computes mel spectrograms with one set of settings. Shared between threads; each has its own [`Scratch`].
pub struct MelExtractor {
    spec: MelSpec,
    /// `win_length` values.
    window: Vec<f32>,
    bank: Filterbank,
    transform: Arc<dyn Fft<f32>>,
}

/// Working memory of one thread. It fits any extractor, and grows to what was needed.
#[derive(Default)]
pub struct Scratch {
    /// Two frames as real and imaginary part, then their spectrum.
    pair: Vec<Complex<f32>>,
    transform: Vec<Complex<f32>>,
    /// Frames that reach beyond the signal.
    edges: [Vec<f32>; 2],
    /// Spectra of a tile, `[bins, TILE]`.
    tile: Vec<f32>,
}

/// The window of the short-time Fourier transform, `win_length` values.
pub fn analysis_window(spec: &MelSpec) -> Vec<f32> {
    window(spec.window, spec.win_length)
        .iter()
        .map(|&value| value as f32)
        .collect()
}

/// The mel filters of a checked `spec` as a matrix, `[n_fft / 2 + 1, n_mels]` row by row.
pub fn mel_weights(spec: &MelSpec) -> Vec<f32> {
    let bank = Filterbank::new(spec);
    let mut matrix = vec![0.0; (spec.n_fft / 2 + 1) * spec.n_mels];
    for (mel, (first_bin, weights)) in bank.iter().enumerate() {
        for (row, &weight) in matrix.chunks_mut(spec.n_mels.max(1)).skip(first_bin).zip(weights) {
            if let Some(value) = row.get_mut(mel) {
                *value = weight;
            }
        }
    }
    matrix
}

impl fmt::Debug for MelExtractor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MelExtractor")
            .field("spec", &self.spec)
            .finish_non_exhaustive()
    }
}

impl MelExtractor {
    /// Checks `spec` and prepares windows, filters and transforms.
    ///
    /// # Errors
    /// [`Error::Setting`] names the first setting that cannot be used.
    pub fn new(spec: &MelSpec) -> Result<Self, Error> {
        spec.check()?;
        Ok(Self {
            window: analysis_window(spec),
            bank: Filterbank::new(spec),
            transform: FftPlanner::new().plan_fft_forward(spec.n_fft),
            spec: spec.clone(),
        })
    }

    /// The settings.
    pub fn spec(&self) -> &MelSpec {
        &self.spec
    }

    /// Rows of a spectrogram.
    pub fn n_mels(&self) -> usize {
        self.spec.n_mels
    }

    /// Mel bands that cover no bin of the spectrum and therefore are constant: too many bands for `n_fft`.
    pub fn empty_bands(&self) -> usize {
        self.bank.empty_filters()
    }

    /// Columns of a spectrogram of `samples` samples: `1 + samples / hop_length` where frames are centred,
    /// `1 + (samples - n_fft) / hop_length` where not; 0 where there are too few samples for a single one.
    pub fn frames(&self, samples: usize) -> usize {
        if samples < self.fewest_samples() {
            return 0;
        }
        let uncovered = if self.spec.center {
            samples
        } else {
            samples - self.spec.n_fft
        };
        1 + uncovered / self.spec.hop_length
    }

    fn fewest_samples(&self) -> usize {
        if self.spec.center { 1 } else { self.spec.n_fft }
    }

    /// Writes the mel spectrogram of `samples` to `out`, `[n_mels, frames]` row by row, on the scale of the settings.
    /// Samples are expected at `sample_rate`, in −1…1 (any finite values below 1e9 are taken).
    ///
    /// # Errors
    /// [`Error::TooShort`] where [`Self::frames`] is 0, [`Error::Shape`] where `out` has another length than
    /// `n_mels · frames`, [`Error::SampleValue`] for samples that are not finite or huge.
    pub fn extract(&self, scratch: &mut Scratch, samples: &[f32], out: &mut [f32]) -> Result<(), Error> {
        let frames = self.frames(samples.len());
        if frames == 0 {
            return Err(Error::TooShort {
                samples: samples.len(),
                needed: self.fewest_samples(),
            });
        }
        if out.len() != frames * self.spec.n_mels {
            return Err(Error::Shape {
                got: out.len(),
                expected: frames * self.spec.n_mels,
            });
        }
        check_samples(samples)?;
        scratch.fit(self);
        on_vectors(
            #[inline(always)]
            || {
                for first in (0..frames).step_by(TILE) {
                    let count = TILE.min(frames - first);
                    for column in (0..count).step_by(2) {
                        self.transform_pair(scratch, samples, first + column, column);
                    }
                    self.filter_tile(&scratch.tile, first, count, frames, out);
                }
                scale::apply(out, &self.spec.scale, self.spec.power);
            },
        );
        Ok(())
    }

    /// Power (or magnitude) spectra of frames `frame` and `frame + 1`, to `column` and `column + 1` of the tile.
    #[inline(always)]
    fn transform_pair(&self, scratch: &mut Scratch, samples: &[f32], frame: usize, column: usize) {
        let Scratch {
            pair,
            transform,
            edges,
            tile,
        } = scratch;
        let [edge_a, edge_b] = edges;
        let a = self.frame(samples, frame, edge_a);
        let b = self.frame(samples, frame + 1, edge_b);
        // Both are brought to 1…2 by powers of 2, which costs no precision: a quiet frame is not drowned by the
        // rounding of a loud one.
        let (scale_a, back_a) = self.level(a);
        let (scale_b, back_b) = self.level(b);

        let lead = (self.spec.n_fft - self.spec.win_length) / 2;
        let (before, rest) = pair.split_at_mut(lead);
        let (inside, after) = rest.split_at_mut(self.spec.win_length);
        before.fill(Complex::default());
        after.fill(Complex::default());
        for (((z, w), a), b) in inside.iter_mut().zip(&self.window).zip(a).zip(b) {
            *z = Complex::new(a * scale_a * w, b * scale_b * w);
        }
        self.transform.process_with_scratch(pair, transform);

        let columns = tile.get_mut(column..).unwrap_or_default();
        match self.spec.power {
            Power::Power => separate(pair, self.bank.bins(), columns, |a, b| (a * back_a, b * back_b)),
            Power::Magnitude => separate(pair, self.bank.bins(), columns, |a, b| {
                (a.sqrt() * back_a, b.sqrt() * back_b)
            }),
        }
    }

    /// The `win_length` samples under the window in frame `frame`; `edge` holds them where some lie outside the signal.
    #[inline(always)]
    fn frame<'a>(&self, samples: &'a [f32], frame: usize, edge: &'a mut [f32]) -> &'a [f32] {
        let pad = if self.spec.center { self.spec.n_fft / 2 } else { 0 };
        let lead = (self.spec.n_fft - self.spec.win_length) / 2;
        let begin = (frame * self.spec.hop_length + lead) as i64 - pad as i64;
        if let Ok(begin) = usize::try_from(begin)
            && let Some(inside) = samples.get(begin..begin + self.spec.win_length)
        {
            return inside;
        }
        for (i, value) in edge.iter_mut().enumerate() {
            *value = padded(samples, begin + i as i64, self.spec.pad_mode);
        }
        edge
    }

    /// A power of 2 that brings the largest of `samples` to 1…2, and what undoes it after the transform (with the
    /// factor that the separation of two frames leaves). Zeros for silence.
    #[inline(always)]
    fn level(&self, samples: &[f32]) -> (f32, f32) {
        let peak = scale::largest(samples);
        if peak < f32::MIN_POSITIVE {
            return (0.0, 0.0);
        }
        let exponent = (peak.to_bits() >> 23) as i32 - 127;
        let exponent = exponent.min(63);
        let back = match self.spec.power {
            Power::Power => 0.25 * power_of_two(2 * exponent),
            Power::Magnitude => 0.5 * power_of_two(exponent),
        };
        (power_of_two(-exponent), back)
    }

    /// Mel bands of a tile's `count` frames, to columns `first..` of `out`.
    #[inline(always)]
    fn filter_tile(&self, tile: &[f32], first: usize, count: usize, frames: usize, out: &mut [f32]) {
        let offset = self.bank.bins().start;
        for ((first_bin, weights), row) in self.bank.iter().zip(out.chunks_exact_mut(frames)) {
            let mut sums = [0.0_f32; TILE];
            let begin = (first_bin - offset.min(first_bin)) * TILE;
            for (weight, values) in weights.iter().zip(tile[begin..].as_chunks::<TILE>().0) {
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum += weight * value;
                }
            }
            row[first..first + count].copy_from_slice(&sums[..count]);
        }
    }
}

/// 2 to the power of `exponent`, which is less than 128; 0 below the normal numbers.
fn power_of_two(exponent: i32) -> f32 {
    f32::from_bits(u32::try_from(exponent + 127).unwrap_or(0) << 23)
}

/// Takes the spectra of two real signals apart that were transformed as real and imaginary part of one: four times
/// their powers in `bins`, through `finish`, to the first two of every [`TILE`] values of `columns`.
#[inline(always)]
fn separate(
    spectrum: &[Complex<f32>],
    bins: Range<usize>,
    columns: &mut [f32],
    finish: impl Fn(f32, f32) -> (f32, f32),
) {
    // Bin k meets bin n − k; bin 0 meets itself.
    let zero = spectrum.get(..1).filter(|_| bins.start == 0).unwrap_or_default();
    let others = bins.start.max(1)..bins.end.max(1);
    let mirrored = spectrum.len() - others.end + 1..spectrum.len() - others.start + 1;
    let pairs = zero
        .iter()
        .zip(zero)
        .chain(spectrum[others].iter().zip(spectrum[mirrored].iter().rev()));
    for ((z, mirrored), values) in pairs.zip(columns.chunks_mut(TILE)) {
        let (sum_re, difference_im) = (z.re + mirrored.re, z.im - mirrored.im);
        let (difference_re, sum_im) = (z.re - mirrored.re, z.im + mirrored.im);
        let power_a = sum_re * sum_re + difference_im * difference_im;
        let power_b = difference_re * difference_re + sum_im * sum_im;
        if let [to_a, to_b, ..] = values {
            (*to_a, *to_b) = finish(power_a, power_b);
        }
    }
}

impl Scratch {
    fn fit(&mut self, extractor: &MelExtractor) {
        self.pair.resize(extractor.spec.n_fft, Complex::default());
        self.transform
            .resize(extractor.transform.get_inplace_scratch_len(), Complex::default());
        for edge in &mut self.edges {
            edge.resize(extractor.spec.win_length, 0.0);
        }
        self.tile.resize((extractor.bank.bins().len() + 1) * TILE, 0.0);
    }
}

/// The sample at `index` of the padded signal, which has at least one sample.
pub(super) fn padded(samples: &[f32], index: i64, mode: PadMode) -> f32 {
    let last = samples.len() as i64 - 1;
    let index = match mode {
        PadMode::Constant => index,
        PadMode::Reflect if last == 0 => 0,
        PadMode::Reflect => {
            let around = index.rem_euclid(2 * last);
            if around > last { 2 * last - around } else { around }
        }
    };
    usize::try_from(index)
        .ok()
        .and_then(|index| samples.get(index))
        .copied()
        .unwrap_or(0.0)
}

/// Samples beyond this would overflow a spectrum's power.
const LARGEST_SAMPLE: f32 = 1e9;

pub(super) fn check_samples(samples: &[f32]) -> Result<(), Error> {
    let usable = |sample: &f32| sample.abs() < LARGEST_SAMPLE;
    // Without an early exit, so that it runs on vectors; the place is looked for only where there is one.
    if samples.iter().fold(true, |all, sample| all & usable(sample)) {
        return Ok(());
    }
    let index = samples.iter().position(|sample| !usable(sample)).unwrap_or(0);
    Err(Error::SampleValue { index })
}

#[cfg(test)]
mod tests;
