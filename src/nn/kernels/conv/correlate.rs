//! Sums of shifted planes: the arithmetic of a convolution's forward pass and of its input gradient.
//!
//! `out[f][p] = start[f] + Σ_t weights[f][t] · source[offsets[t] + p]`. With images laid out as in [`super::staging`] each tap of a
//! kernel is one offset for all pixels, so that eight or sixteen neighbouring pixels are one vector whatever the kernel, stride or
//! dilation. `FILTERS × VECTORS` sums stay in registers: each loaded vector serves all filters of a tile, each weight all vectors.
//!
//! Every output is one chain of multiply-adds in the order of the taps, so the width of the vectors changes no bit. (Where a
//! machine has no fused multiply-add, each step rounds twice.)

use pulp::{Arch, Simd, WithSimd};

use super::super::element::Element;

/// Output planes that one tile makes.
pub const FILTERS: usize = 6;
/// Vectors of pixels that one tile makes: with six filters twelve sums, which with two vectors and a weight fill 16 registers.
const VECTORS: usize = 2;
/// Taps times pixels that the first cache holds.
const SOURCES: usize = 12_288;
/// Planes are computed in multiples of so many pixels: the widest vector.
pub const PIXELS: usize = 16;

/// What is to be summed.
pub struct Correlate<'a, T> {
    /// Holds `offsets[t] + p` for every tap and every `p < pixels`.
    pub source: &'a [T],
    pub offsets: &'a [usize],
    /// As [`pack`] orders them.
    pub weights: &'a [T],
    /// One for each filter.
    pub start: &'a [T],
    /// The filters' planes, `stride` apart.
    pub out: &'a mut [T],
    pub stride: usize,
    /// A multiple of [`PIXELS`].
    pub pixels: usize,
}

impl<T> Correlate<'_, T> {
    /// What the unchecked loads and stores rely on.
    fn check(&self) {
        let filters = self.start.len();
        let furthest = self.offsets.iter().copied().max().unwrap_or(0);
        assert!(filters > 0 && self.pixels.is_multiple_of(PIXELS));
        assert!(self.weights.len() == filters * self.offsets.len());
        assert!(self.offsets.is_empty() || furthest + self.pixels <= self.source.len());
        assert!((filters - 1) * self.stride + self.pixels <= self.out.len() && self.stride >= self.pixels);
    }
}

/// `[filters][taps]` → tiles of [`FILTERS`] filters, each `[taps][filters of the tile]`.
pub fn pack<T: Element>(weights: &[T], taps: usize) -> Vec<T> {
    let mut packed = Vec::with_capacity(weights.len());
    for tile in weights.chunks((FILTERS * taps).max(1)) {
        for tap in 0..taps {
            packed.extend(tile.iter().skip(tap).step_by(taps).copied());
        }
    }
    packed
}

/// By the definition.
pub fn plain<T: Element>(task: Correlate<T>) {
    task.check();
    let filters = task.start.len();
    let taps = task.offsets.len();
    for (filter, &start) in task.start.iter().enumerate() {
        let out = &mut task.out[filter * task.stride..][..task.pixels];
        out.fill(start);
        let first = filter / FILTERS * FILTERS;
        let of_tile = FILTERS.min(filters - first);
        for (tap, &offset) in task.offsets.iter().enumerate() {
            let weight = task.weights[first * taps + tap * of_tile + filter - first];
            for (out, &source) in out.iter_mut().zip(&task.source[offset..]) {
                *out += weight * source;
            }
        }
    }
}

/// With the vectors that the machine has.
pub fn vectors(task: Correlate<f32>) {
    task.check();
    Arch::new().dispatch(Vectors(task));
}

struct Vectors<'a>(Correlate<'a, f32>);

impl WithSimd for Vectors<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let task = &self.0;
        let (filters, taps) = (task.start.len(), task.offsets.len());
        // So many pixels that what they are summed from stays in the first cache while all filters pass over it: a tap is
        // hardly ever alone in its row of the kernel.
        let pixels = (SOURCES / taps.max(1) / PIXELS * PIXELS).max(PIXELS);
        for begin in (0..task.pixels).step_by(pixels) {
            let end = (begin + pixels).min(task.pixels);
            for first in (0..filters).step_by(FILTERS) {
                let place = Place { first, begin, end };
                match filters - first {
                    1 => tiles::<S, 1>(simd, task, place),
                    2 => tiles::<S, 2>(simd, task, place),
                    3 => tiles::<S, 3>(simd, task, place),
                    4 => tiles::<S, 4>(simd, task, place),
                    5 => tiles::<S, 5>(simd, task, place),
                    _ => tiles::<S, FILTERS>(simd, task, place),
                }
            }
        }
    }
}

/// The first filter of some tiles, and their pixels.
#[derive(Clone, Copy)]
struct Place {
    first: usize,
    begin: usize,
    end: usize,
}

#[inline(always)]
#[allow(unsafe_code)]
fn tiles<S: Simd, const R: usize>(simd: S, task: &Correlate<f32>, place: Place) {
    let step = VECTORS * S::F32_LANES;
    let mut pixel = place.begin;
    while pixel < place.end {
        // SAFETY: `check` has seen that every tap's source and every output plane hold `pixels` values, and that there is a
        // weight for each tap of each filter; R filters begin at `first`. A tile ends within `end`, which like `begin` is a
        // multiple of every vector's width.
        unsafe {
            if pixel + step <= place.end {
                tile::<S, R, VECTORS>(simd, task, place.first, pixel);
                pixel += step;
            } else {
                tile::<S, R, 1>(simd, task, place.first, pixel);
                pixel += S::F32_LANES;
            }
        }
    }
}

/// # Safety
/// `task` was checked and has R filters from `first` on; `pixel + V · lanes <= pixels`.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn tile<S: Simd, const R: usize, const V: usize>(simd: S, task: &Correlate<f32>, first: usize, pixel: usize) {
    // SAFETY: see the caller's promise.
    unsafe {
        let source = task.source.as_ptr().add(pixel);
        let mut weights = task.weights.as_ptr().add(first * task.offsets.len());
        let mut sums: [[S::f32s; V]; R] =
            std::array::from_fn(|filter| [simd.splat_f32s(*task.start.as_ptr().add(first + filter)); V]);
        for &offset in task.offsets {
            let source = source.add(offset);
            let values: [S::f32s; V] =
                std::array::from_fn(|vector| source.add(vector * S::F32_LANES).cast::<S::f32s>().read_unaligned());
            for (filter, sums) in sums.iter_mut().enumerate() {
                let weight = simd.splat_f32s(*weights.add(filter));
                for (sum, &value) in sums.iter_mut().zip(&values) {
                    *sum = simd.mul_add_e_f32s(weight, value, *sum);
                }
            }
            weights = weights.add(R);
        }
        for (filter, sums) in sums.iter().enumerate() {
            let out = task.out.as_ptr().cast_mut().add((first + filter) * task.stride + pixel);
            for (vector, &sum) in sums.iter().enumerate() {
                out.add(vector * S::F32_LANES).cast::<S::f32s>().write_unaligned(sum);
            }
        }
    }
}
