//! A convolution's sums, a band of rows at a time, so that what follows finds them in the first cache.

use super::super::element::Element;
use super::correlate::{Correlate, PIXELS};
use super::geometry::Sizes;
use super::staging::Staging;
use super::winograd;

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

/// A convolution's weights, as the way in which it is computed takes them.
pub enum Weights<T> {
    /// By [`super::correlate::pack`], group after group.
    Shifted(Vec<T>),
    Winograd(winograd::Kernels<T>),
}

/// Rows of a band of so many planes: a multiple of `window` rows.
pub fn rows_of_a_band(planes: usize, width: usize, window: usize) -> usize {
    (VALUES / (planes * width).max(1))
        .next_multiple_of(window.max(1))
        .max(window)
}

/// The same for what is computed of a convolution's inputs.
fn rows_forward(sizes: &Sizes, staging: &Staging, window: usize) -> usize {
    match winograd::applies(sizes) {
        true => winograd::rows_of_a_band(sizes.channels, sizes.out.1, window),
        false => rows_of_a_band(sizes.group_filters(), staging.width, window),
    }
}

/// Values that the sums of a band need.
pub fn scratch_len(sizes: &Sizes, staging: &Staging, window: usize) -> usize {
    let rows = rows_forward(sizes, staging, window).min(sizes.out.0);
    sizes.group_filters() * (rows * staging.width + PIXELS).next_multiple_of(PIXELS)
}

/// Calls `visit` with every band of every filter. `bias` is added to the sums.
#[inline(always)]
pub fn for_each_band<T: Element>(
    sizes: &Sizes,
    staging: &Staging,
    (staged, weights, bias): (&[T], &Weights<T>, &[T]),
    window: usize,
    (scratch, space): (&mut [T], &mut winograd::Space<T>),
    mut visit: impl FnMut(Band<T>),
) {
    let (filters, taps) = (sizes.group_filters(), sizes.group_taps());
    let rows_of_a_band = rows_forward(sizes, staging, window);
    for group in 0..sizes.geometry.groups {
        let staged = &staged[staging.group(group)..];
        let first = group * filters;
        for row in (0..sizes.out.0).step_by(rows_of_a_band) {
            let rows = rows_of_a_band.min(sizes.out.0 - row);
            let pixels = ((rows - 1) * staging.width + sizes.out.1).next_multiple_of(PIXELS);
            let source = &staged[row * staging.width..];
            let bias = &bias[first..][..filters];
            match weights {
                Weights::Shifted(packed) => T::correlate(Correlate {
                    source,
                    offsets: &staging.offsets,
                    weights: &packed[first * taps..][..filters * taps],
                    start: bias,
                    out: scratch,
                    stride: pixels,
                    pixels,
                }),
                Weights::Winograd(kernels) => {
                    let windows = staging.windows(source, rows);
                    winograd::correlate(kernels, windows, bias, (scratch, pixels), space);
                }
            }
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
