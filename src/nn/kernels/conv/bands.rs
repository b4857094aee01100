//! A convolution's sums, a band of rows at a time, so that what follows finds them in the first cache.

use super::super::element::Element;
use super::correlate::{Correlate, PIXELS};
use super::geometry::Sizes;
use super::staging::Staging;

/// Values that a band has, about: what stays in the second cache.
const VALUES: usize = 32_768;

/// The sums of some rows of one filter.
pub struct Band<'a, T> {
    pub filter: usize,
    /// First row.
    pub row: usize,
    pub rows: usize,
    /// The rows, [`Staging::width`] apart.
    pub sums: &'a mut [T],
}

/// Rows of a band of so many planes: a multiple of `window` rows.
pub fn rows_of_a_band(planes: usize, width: usize, window: usize) -> usize {
    (VALUES / (planes * width).max(1))
        .next_multiple_of(window.max(1))
        .max(window)
}

/// Values that the sums of a band need.
pub fn scratch_len(sizes: &Sizes, staging: &Staging, window: usize) -> usize {
    let rows = rows_of_a_band(sizes.group_filters(), staging.width, window).min(sizes.out.0);
    sizes.group_filters() * (rows * staging.width + PIXELS).next_multiple_of(PIXELS)
}

/// Calls `visit` with every band of every filter. `packed`: by [`super::correlate::pack`], group after group; `bias` is added to the sums.
#[inline(always)]
pub fn for_each_band<T: Element>(
    sizes: &Sizes,
    staging: &Staging,
    (staged, packed, bias): (&[T], &[T], &[T]),
    window: usize,
    scratch: &mut [T],
    mut visit: impl FnMut(Band<T>),
) {
    let (filters, taps) = (sizes.group_filters(), sizes.group_taps());
    let rows_of_a_band = rows_of_a_band(filters, staging.width, window);
    for group in 0..sizes.geometry.groups {
        let staged = &staged[staging.group(group)..];
        let first = group * filters;
        for row in (0..sizes.out.0).step_by(rows_of_a_band) {
            let rows = rows_of_a_band.min(sizes.out.0 - row);
            let pixels = ((rows - 1) * staging.width + sizes.out.1).next_multiple_of(PIXELS);
            T::correlate(Correlate {
                source: &staged[row * staging.width..],
                offsets: &staging.offsets,
                weights: &packed[first * taps..][..filters * taps],
                start: &bias[first..][..filters],
                out: scratch,
                stride: pixels,
                pixels,
            });
            for (index, sums) in scratch.chunks_mut(pixels).take(filters).enumerate() {
                visit(Band {
                    filter: first + index,
                    row,
                    rows,
                    sums,
                });
            }
        }
    }
}
