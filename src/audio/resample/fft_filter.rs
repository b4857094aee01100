//! The default resampler: the filter of [`Design`], applied in the frequency domain.
//!
//! Overlap-save: a block of the source is transformed, multiplied with the filter's response, cut or extended to the
//! other rate's spectrum, and transformed back; samples within reach of the block's edges are dropped.
//!
//! Blocks begin at multiples of the smallest stretch that is a whole number of samples at both rates, counted from the
//! file's first sample, so any part of a file is computed from the same blocks.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use super::design::{Design, greatest_common_divisor};
use super::start::Start;

/// A block is at least this many times as long as the filter reaches to one side.
const BLOCK_TO_REACH: f64 = 16.0;
/// How many pairs of rates are kept ready.
const SHARED: usize = 16;

pub(super) struct FftFilter {
    block_in: usize,
    /// Samples at the start of a block that are context only.
    lead_in: usize,
    lead_out: usize,
    /// New samples per block.
    hop_in: usize,
    hop_out: usize,
    start: Option<Start>,
    /// Gain per frequency bin, with the transforms' scaling.
    response: Vec<f32>,
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
}

/// Filters by the rates from which and to which they convert.
type Made = HashMap<(u32, u32), Arc<FftFilter>>;

/// The filter for a pair of rates: made once, then shared by all threads.
pub(super) fn shared(from: u32, to: u32) -> Arc<FftFilter> {
    static MADE: LazyLock<Mutex<Made>> = LazyLock::new(Mutex::default);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(filter) = made.get(&(from, to)) {
        return Arc::clone(filter);
    }
    if made.len() >= SHARED {
        made.clear();
    }
    let filter = Arc::new(FftFilter::new(from, to));
    made.insert((from, to), Arc::clone(&filter));
    filter
}

impl FftFilter {
    fn new(from: u32, to: u32) -> Self {
        let common = greatest_common_divisor(from, to);
        let (step_in, step_out) = ((from / common) as usize, (to / common) as usize);
        let design = Design::new(from, to);
        let reach = design.half_length * f64::max(1.0, f64::from(from) / f64::from(to));
        let lead = (reach / step_in as f64).ceil() as usize;
        let steps = ((BLOCK_TO_REACH * reach / step_in as f64).ceil() as usize)
            .max(8 * lead)
            .next_power_of_two();
        let (block_in, block_out) = (steps * step_in, steps * step_out);
        let hop = steps - 2 * lead;
        let mut planner = RealFftPlanner::<f32>::new();
        Self {
            block_in,
            lead_in: lead * step_in,
            lead_out: lead * step_out,
            hop_in: hop * step_in,
            hop_out: hop * step_out,
            start: Start::new(&design, from, to),
            response: response(&design, block_in.min(block_out), block_in),
            forward: planner.plan_fft_forward(block_in),
            inverse: planner.plan_fft_inverse(block_out),
        }
    }

    pub fn source_range(&self, out: Range<u64>) -> Range<u64> {
        let hop_out = self.hop_out as u64;
        let first = out.start / hop_out;
        let start = (first * self.hop_in as u64).saturating_sub(self.lead_in as u64);
        let last = (out.end - 1) / hop_out;
        let end = last
            .saturating_mul(self.hop_in as u64)
            .saturating_add((self.block_in - self.lead_in) as u64);
        start..end
    }

    pub fn render(&self, source: &[f32], source_start: u64, out_start: u64, out: &mut [f32]) {
        let mut block = self.forward.make_input_vec();
        let mut spectrum = self.forward.make_output_vec();
        let mut cut = self.inverse.make_input_vec();
        let mut result = self.inverse.make_output_vec();
        let mut forward_scratch = self.forward.make_scratch_vec();
        let mut inverse_scratch = self.inverse.make_scratch_vec();
        let mut done = 0;
        while done < out.len() {
            let position = out_start + done as u64;
            let index = position / self.hop_out as u64;
            let in_block = (position % self.hop_out as u64) as usize;
            let count = (self.hop_out - in_block).min(out.len() - done);

            let begin = index as i64 * self.hop_in as i64 - self.lead_in as i64;
            copy_with_silence(source, begin - source_start as i64, &mut block);
            let target = &mut out[done..done + count];
            if block.iter().all(|&sample| sample == 0.0) {
                target.fill(0.0);
            } else {
                // Lengths come from the plans themselves, and bins 0 and Nyquist are real, so neither call can fail.
                let _ = self
                    .forward
                    .process_with_scratch(&mut block, &mut spectrum, &mut forward_scratch);
                for (cut, (bin, gain)) in cut.iter_mut().zip(spectrum.iter().zip(&self.response)) {
                    *cut = bin * gain;
                }
                cut[self.response.len()..].fill(Complex::default());
                let _ = self
                    .inverse
                    .process_with_scratch(&mut cut, &mut result, &mut inverse_scratch);
                let from = self.lead_out + in_block;
                target.copy_from_slice(&result[from..from + count]);
            }
            done += count;
        }
        self.mend_start(source, source_start, out_start, out);
    }
}

impl FftFilter {
    /// Leaves out of the first samples what soxr does not compute.
    fn mend_start(&self, source: &[f32], source_start: u64, out_start: u64, out: &mut [f32]) {
        let Some(start) = &self.start else { return };
        if source_start != 0 || out_start >= start.samples() as u64 {
            return;
        }
        let missing = start.missing(source);
        for (sample, missing) in out.iter_mut().zip(missing.iter().skip(out_start as usize)) {
            *sample -= *missing as f32;
        }
    }
}

/// Fills `block` with `source` from index `begin` on; what lies outside `source` is silent.
fn copy_with_silence(source: &[f32], begin: i64, block: &mut [f32]) {
    let silent = usize::try_from(-begin).unwrap_or(0).min(block.len());
    let (before, rest) = block.split_at_mut(silent);
    before.fill(0.0);
    let available = source.get(begin.max(0) as usize..).unwrap_or_default();
    let count = available.len().min(rest.len());
    let (inside, after) = rest.split_at_mut(count);
    inside.copy_from_slice(&available[..count]);
    after.fill(0.0);
}

/// The filter's gain at each bin below the lower Nyquist frequency, for transforms of `low` samples at the lower rate,
/// over `block_in` (the transforms are not normalised). The bin at the Nyquist frequency itself is left out: it cannot
/// be told from its mirror image.
fn response(design: &Design, low: usize, block_in: usize) -> Vec<f32> {
    // Bins are two to the lower rate's block; an odd block has one between the last and the Nyquist frequency.
    let gains = design.response(low);
    gains
        .iter()
        .step_by(2)
        .take(low.div_ceil(2))
        .map(|gain| (gain / block_in as f64) as f32)
        .collect()
}
