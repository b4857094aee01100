//! The default resampler: the filter of [`Design`], applied in the frequency domain.
//!
//! Overlap-save: a block of the source is transformed, multiplied with the filter's response, cut or extended to the
//! other rate's spectrum, and transformed back; samples within reach of the block's edges are dropped.
//!
//! Blocks begin at multiples of the smallest stretch that is a whole number of samples at both rates, counted from the
//! file's first sample. Two neighbours go through one complex transform, as its real and its imaginary part: the filter has
//! no phase and so keeps them apart. Pairs too are counted from the file's first sample, so any part of a file is computed
//! from the same pairs.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};

use super::design::{Design, greatest_common_divisor};
use super::start::Start;
use crate::vector::on_vectors;

/// A block is at least this many times as long as the filter reaches to one side.
const BLOCK_TO_REACH: f64 = 16.0;
/// How many pairs of rates are kept ready.
const SHARED: usize = 16;

pub(super) struct FftFilter {
    block_in: usize,
    block_out: usize,
    /// Samples at the start of a block that are context only.
    lead_in: usize,
    lead_out: usize,
    /// New samples per block.
    hop_in: usize,
    hop_out: usize,
    start: Option<Start>,
    /// Gain per frequency bin, with the transforms' scaling.
    response: Vec<f32>,
    forward: Arc<dyn Fft<f32>>,
    inverse: Arc<dyn Fft<f32>>,
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
        let mut planner = FftPlanner::new();
        Self {
            block_in,
            block_out,
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
        let pair_out = 2 * self.hop_out as u64;
        let hop_in = self.hop_in as u64;
        let first = 2 * (out.start / pair_out);
        let start = (first * hop_in).saturating_sub(self.lead_in as u64);
        let last = 2 * ((out.end - 1) / pair_out) + 1;
        let end = last
            .saturating_mul(hop_in)
            .saturating_add((self.block_in - self.lead_in) as u64);
        start..end
    }

    pub fn render(&self, source: &[f32], source_start: u64, out_start: u64, out: &mut [f32]) {
        let mut pair = Pair::new(self);
        let mut done = 0;
        while done < out.len() {
            let position = out_start + done as u64;
            let index = position / self.hop_out as u64;
            let in_block = (position % self.hop_out as u64) as usize;
            let count = (self.hop_out - in_block).min(out.len() - done);
            on_vectors(
                #[inline(always)]
                || pair.load(self, source, source_start, index / 2),
            );
            let from = self.lead_out + in_block;
            let result = &pair.result[from..from + count];
            let target = &mut out[done..done + count];
            match (index.is_multiple_of(2), pair.silent) {
                (true, [true, _]) | (false, [_, true]) => target.fill(0.0),
                (true, _) => target.iter_mut().zip(result).for_each(|(to, from)| *to = from.re),
                (false, _) => target.iter_mut().zip(result).for_each(|(to, from)| *to = from.im),
            }
            done += count;
        }
        self.mend_start(source, source_start, out_start, out);
    }
}

/// Two neighbouring blocks, and what becomes of them.
struct Pair {
    /// Which pair is loaded.
    index: Option<u64>,
    silent: [bool; 2],
    block: Vec<Complex<f32>>,
    result: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
}

impl Pair {
    fn new(filter: &FftFilter) -> Self {
        let scratch = filter.forward.get_inplace_scratch_len();
        let scratch = scratch.max(filter.inverse.get_inplace_scratch_len());
        Self {
            index: None,
            silent: [true; 2],
            block: vec![Complex::default(); filter.block_in],
            result: vec![Complex::default(); filter.block_out],
            scratch: vec![Complex::default(); scratch],
        }
    }

    /// Filters blocks `2 · index` and `2 · index + 1`.
    #[inline(always)]
    fn load(&mut self, filter: &FftFilter, source: &[f32], source_start: u64, index: u64) {
        if self.index.replace(index) == Some(index) {
            return;
        }
        let begin = 2 * index as i64 * filter.hop_in as i64 - filter.lead_in as i64 - source_start as i64;
        self.silent = [
            copy_with_silence(source, begin, &mut self.block, |to, sample| to.re = sample),
            copy_with_silence(source, begin + filter.hop_in as i64, &mut self.block, |to, sample| {
                to.im = sample
            }),
        ];
        if self.silent == [true, true] {
            return;
        }
        filter.forward.process_with_scratch(&mut self.block, &mut self.scratch);
        let bins = filter.response.len();
        self.result.fill(Complex::default());
        for (cut, (bin, gain)) in self.result.iter_mut().zip(self.block.iter().zip(&filter.response)) {
            *cut = bin * gain;
        }
        // Bin n − k has the gain of bin k; bin 0 was there.
        let negative = self.result.iter_mut().rev().zip(self.block.iter().rev());
        for ((cut, bin), gain) in negative.zip(filter.response.iter().skip(1)).take(bins) {
            *cut = bin * gain;
        }
        filter.inverse.process_with_scratch(&mut self.result, &mut self.scratch);
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

/// Gives the samples of `source` from index `begin` on to `set`, zeros for what lies outside; says whether all are zero.
#[inline(always)]
fn copy_with_silence(
    source: &[f32],
    begin: i64,
    block: &mut [Complex<f32>],
    set: impl Fn(&mut Complex<f32>, f32),
) -> bool {
    let silent = usize::try_from(-begin).unwrap_or(0).min(block.len());
    let (before, rest) = block.split_at_mut(silent);
    let available = source.get(begin.max(0) as usize..).unwrap_or_default();
    let count = available.len().min(rest.len());
    let (inside, after) = rest.split_at_mut(count);
    for to in before.iter_mut().chain(after) {
        set(to, 0.0);
    }
    for (to, sample) in inside.iter_mut().zip(available) {
        set(to, *sample);
    }
    // Without an early exit, so that it runs on vectors.
    available[..count]
        .iter()
        .fold(true, |silent, sample| silent & (*sample == 0.0))
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
