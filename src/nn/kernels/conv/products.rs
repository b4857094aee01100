//! Products of planes with shifted planes: the arithmetic of a convolution's kernel gradient.
//!
//! `sums[f][t] += Σ_p planes[f][p] · source[offsets[t] + p]`. A tile of `FILTERS × TAPS` sums stays in registers.
//!
//! Pixels are added in runs of [`RUN`], each in [`LANES`] interleaved sums that are then added in a fixed order; this is a part of
//! the result's definition, so neither the width of the vectors nor the number of threads changes a bit.

use pulp::{Arch, Simd, WithSimd};

use super::super::element::Element;
use super::correlate::PIXELS;

const FILTERS: usize = 4;
const TAPS: usize = 3;
const LANES: usize = 8;
/// Pixels between two additions to `sums`: what stays in the first cache while all taps pass over it.
const RUN: usize = 1024;

/// What is to be multiplied and summed.
pub struct Products<'a, T> {
    /// The filters' planes, `stride` apart, each of `pixels` values.
    pub planes: &'a [T],
    pub stride: usize,
    /// Holds `offsets[t] + p` for every tap and every `p < pixels`.
    pub source: &'a [T],
    pub offsets: &'a [usize],
    /// `[filters][taps]`.
    pub sums: &'a mut [T],
    /// A multiple of 16.
    pub pixels: usize,
}

impl<T> Products<'_, T> {
    fn filters(&self) -> usize {
        self.sums.len().checked_div(self.offsets.len()).unwrap_or(0)
    }

    /// What the unchecked loads rely on.
    fn check(&self) {
        let furthest = self.offsets.iter().copied().max().unwrap_or(0);
        assert!(self.pixels.is_multiple_of(PIXELS) && self.stride >= self.pixels);
        assert!(self.filters() * self.offsets.len() == self.sums.len());
        assert!(self.offsets.is_empty() || furthest + self.pixels <= self.source.len());
        assert!(self.filters() == 0 || (self.filters() - 1) * self.stride + self.pixels <= self.planes.len());
    }
}

/// By the definition.
pub fn plain<T: Element>(task: Products<T>) {
    task.check();
    let taps = task.offsets.len();
    for (filter, sums) in task.sums.chunks_mut(taps.max(1)).enumerate() {
        let plane = &task.planes[filter * task.stride..][..task.pixels];
        for (sum, &offset) in sums.iter_mut().zip(task.offsets) {
            let products = plane.iter().zip(&task.source[offset..]);
            *sum += products.map(|(&plane, &source)| plane * source).sum::<T>();
        }
    }
}

/// With the vectors that the machine has.
pub fn vectors(task: Products<f32>) {
    task.check();
    Arch::new().dispatch(Vectors(task));
}

struct Vectors<'a>(Products<'a, f32>);

impl WithSimd for Vectors<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // `LANES` sums are two vectors of four, one of eight, or eight single numbers.
        match S::F32_LANES {
            4 => runs::<S, 2>(simd, self.0),
            8 => runs::<S, 1>(simd, self.0),
            1 => runs::<S, LANES>(simd, self.0),
            _ => narrow(self.0),
        }
    }
}

/// On vectors of eight, where the machine has wider ones.
fn narrow(task: Products<f32>) {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return Simd::vectorize(simd, Vectors(task));
    }
    runs::<pulp::Scalar, LANES>(pulp::Scalar::new(), task);
}

#[inline(always)]
fn runs<S: Simd, const K: usize>(simd: S, mut task: Products<f32>) {
    let (filters, taps) = (task.filters(), task.offsets.len());
    let mut begin = 0;
    while begin < task.pixels {
        let pixels = RUN.min(task.pixels - begin);
        let mut filter = 0;
        while filter < filters {
            let mut tap = 0;
            let left = filters - filter;
            while tap < taps {
                let place = Place {
                    filter,
                    tap,
                    begin,
                    pixels,
                };
                tap += match (left, taps - tap) {
                    (FILTERS.., TAPS..) => tile::<S, K, FILTERS, TAPS>(simd, &mut task, place),
                    (FILTERS.., _) => tile::<S, K, FILTERS, 1>(simd, &mut task, place),
                    (2.., TAPS..) => tile::<S, K, 2, TAPS>(simd, &mut task, place),
                    (2.., _) => tile::<S, K, 2, 1>(simd, &mut task, place),
                    (_, TAPS..) => tile::<S, K, 1, TAPS>(simd, &mut task, place),
                    _ => tile::<S, K, 1, 1>(simd, &mut task, place),
                };
            }
            filter += match left {
                FILTERS.. => FILTERS,
                2.. => 2,
                _ => 1,
            };
        }
        begin += pixels;
    }
}

/// The first filter, tap and pixel of a tile, and how many pixels it adds.
#[derive(Clone, Copy)]
struct Place {
    filter: usize,
    tap: usize,
    begin: usize,
    pixels: usize,
}

/// Adds a tile's sums; says how many taps it had.
#[inline(always)]
#[allow(unsafe_code)]
fn tile<S: Simd, const K: usize, const F: usize, const T: usize>(
    simd: S,
    task: &mut Products<f32>,
    place: Place,
) -> usize {
    let mut sums = [[[simd.splat_f32s(0.0); K]; T]; F];
    // SAFETY: `check` has seen that every plane and every tap's source hold `task.pixels` values, `runs` that there are F
    // filters and T taps left; `begin + pixels <= task.pixels`, and `pixels` is a multiple of K · lanes = 8.
    unsafe {
        let planes: [*const f32; F] = std::array::from_fn(|filter| {
            task.planes
                .as_ptr()
                .add((place.filter + filter) * task.stride + place.begin)
        });
        let sources: [*const f32; T] = std::array::from_fn(|tap| {
            task.source
                .as_ptr()
                .add(task.offsets.get_unchecked(place.tap + tap) + place.begin)
        });
        let mut pixel = 0;
        while pixel < place.pixels {
            for k in 0..K {
                let at = pixel + k * S::F32_LANES;
                let load = |from: *const f32| from.add(at).cast::<S::f32s>().read_unaligned();
                let values: [S::f32s; T] = std::array::from_fn(|tap| load(sources[tap]));
                for (sums, &plane) in sums.iter_mut().zip(&planes) {
                    let plane = load(plane);
                    for (sum, &value) in sums.iter_mut().zip(&values) {
                        sum[k] = simd.mul_add_e_f32s(plane, value, sum[k]);
                    }
                }
            }
            pixel += K * S::F32_LANES;
        }
    }
    let taps = task.offsets.len();
    for (filter, sums) in sums.iter().enumerate() {
        for (tap, sum) in sums.iter().enumerate() {
            let lanes: &[f32] = pulp::bytemuck::cast_slice(sum);
            let lane = |i: usize| lanes[i] + lanes[i + LANES / 2];
            let total = (lane(0) + lane(2)) + (lane(1) + lane(3));
            task.sums[(place.filter + filter) * taps + place.tap + tap] += total;
        }
    }
    T
}
