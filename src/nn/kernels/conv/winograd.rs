//! Kernels of 3 × 3 by minimal filtering, F(2 × 2, 3 × 3): 16 multiplications for four outputs in place of 36.
//!
//! With tiles of 2 × 2 outputs, whose windows are 4 × 4 inputs d: Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A (Lavin and Gray 2016, arXiv 1509.09308,
//! section 4.1). In each of the 16 points of the transformed space the sum over the channels is a matrix product. The gradient of the
//! kernel is the same the other way round: Gᵀ [Σ (A dY Aᵀ) ⊙ (Bᵀ d B)] G over all tiles.
//!
//! The transforms add and halve only, so the rounding error is about that of the plain sum. A value that is not finite reaches all
//! outputs of the tiles whose windows it is in, not only those of its own window.

use std::ops::Range;

use super::super::element::{EIGHT, Element, put, read};
use super::correlate::{Correlate, FILTERS, PIXELS};
use super::geometry::Sizes;
use super::products::Products;
use crate::vector::on_vectors;

/// Numbers of a transformed tile.
pub const POINTS: usize = 16;
/// With fewer inputs or outputs the transforms take longer than what they save.
const CHANNELS: usize = 16;
/// Values of transformed windows that stay in the second cache, of which a thread has a part.
const WINDOWS: usize = 32_768;
/// Values of products that stay in the second cache.
const PRODUCTS: usize = 16_384;
/// Tiles whose kernel gradients are summed together.
const TILES: usize = 256;

/// Whether a convolution is computed this way.
pub fn applies(sizes: &Sizes) -> bool {
    let geometry = &sizes.geometry;
    sizes.kernel == (3, 3)
        && (geometry.stride, geometry.dilation, geometry.groups) == ((1, 1), (1, 1), 1)
        && geometry.padding.0 <= 1
        // Then there is a zero right of each row's last output.
        && geometry.padding.1 <= 1
        && sizes.channels.min(sizes.filters) >= CHANNELS
}

/// Rows of outputs that are computed together: pairs, and a multiple of `window`.
pub fn rows_of_a_band(inputs: usize, columns: usize, window: usize) -> usize {
    let tiles = (WINDOWS / POINTS / inputs.max(1)).max(PIXELS);
    let rows = (2 * (tiles / columns.div_ceil(2).max(1))).max(2);
    rows.next_multiple_of(window.max(1))
}

/// Transformed kernels of one convolution.
pub struct Kernels<T> {
    outputs: usize,
    inputs: usize,
    /// Of each point, as [`super::correlate::pack`] orders them.
    packed: Vec<T>,
}

impl<T: Element> Kernels<T> {
    /// `kernel(output, input)`: the nine weights, row by row.
    pub fn new(outputs: usize, inputs: usize, kernel: impl Fn(usize, usize) -> [T; 9]) -> Self {
        let all = outputs * inputs;
        let mut packed = vec![T::zero(); POINTS * all];
        for first in (0..outputs).step_by(FILTERS) {
            let of_tile = FILTERS.min(outputs - first);
            for input in 0..inputs {
                for index in 0..of_tile {
                    let at = first * inputs + input * of_tile + index;
                    let points = transformed_kernel(kernel(first + index, input));
                    for (point, value) in points.into_iter().enumerate() {
                        packed[point * all + at] = value;
                    }
                }
            }
        }
        Self {
            outputs,
            inputs,
            packed,
        }
    }
}

/// G g Gᵀ.
#[inline(always)]
fn transformed_kernel<T: Element>(g: [T; 9]) -> [T; POINTS] {
    let half = T::from_f64(0.5);
    let along = |a: T, b: T, c: T| {
        let ends = a + c;
        [a, half * (ends + b), half * (ends - b), c]
    };
    let columns: [[T; 4]; 3] = std::array::from_fn(|column| along(g[column], g[3 + column], g[6 + column]));
    let mut points = [T::zero(); POINTS];
    for row in 0..4 {
        points[4 * row..][..4].copy_from_slice(&along(columns[0][row], columns[1][row], columns[2][row]));
    }
    points
}

/// Gᵀ p G.
#[inline(always)]
fn kernel_of<T: Element>(p: [T; POINTS]) -> [T; 9] {
    let half = T::from_f64(0.5);
    let along = |a: T, b: T, c: T, d: T| {
        let sum = half * (b + c);
        [a + sum, half * (b - c), sum + d]
    };
    let columns: [[T; 3]; 4] =
        std::array::from_fn(|column| along(p[column], p[4 + column], p[8 + column], p[12 + column]));
    let mut kernel = [T::zero(); 9];
    for row in 0..3 {
        kernel[3 * row..][..3].copy_from_slice(&along(
            columns[0][row],
            columns[1][row],
            columns[2][row],
            columns[3][row],
        ));
    }
    kernel
}

/// Some rows of planes. A plane's row begins `width` after the one before.
#[derive(Clone, Copy)]
pub struct Rows<'a, T> {
    pub values: &'a [T],
    /// From a plane to the next.
    pub plane: usize,
    pub width: usize,
    /// Rows and columns of outputs.
    pub rows: usize,
    pub columns: usize,
}

impl<T> Rows<'_, T> {
    fn part(&self, rows: Range<usize>) -> Self {
        Self {
            values: &self.values[rows.start * self.width..],
            rows: rows.len(),
            ..*self
        }
    }

    /// Rows and columns of tiles.
    fn tiles(&self) -> (usize, usize) {
        (self.rows.div_ceil(2), self.columns.div_ceil(2))
    }

    /// Tiles in all, rounded up.
    fn room(&self) -> usize {
        let (rows, columns) = self.tiles();
        (rows * columns).next_multiple_of(PIXELS)
    }
}

/// Values beyond the last row of the last plane that may be read, and are of no effect.
pub fn beyond(width: usize) -> usize {
    width + PIXELS
}

/// What one thread computes in.
pub struct Space<T> {
    windows: Vec<T>,
    products: Vec<T>,
}

impl<T> Default for Space<T> {
    fn default() -> Self {
        Self {
            windows: Vec::new(),
            products: Vec::new(),
        }
    }
}

/// From a point's numbers to the next point's: not a power of two, or the numbers of all points would fall into one set of the cache.
fn stride_of_points(numbers: usize) -> usize {
    numbers + PIXELS
}

/// Makes room, without regard for what is in it.
fn at_least<T: Element>(values: &mut Vec<T>, len: usize) -> &mut [T] {
    if values.len() < len {
        values.resize(len, T::zero());
    }
    &mut values[..len]
}

/// The convolution of `windows`, whose first value is the first that the first output's window holds, with an output's `start` added,
/// into the rows of `out`: planes `stride` apart, of the same width.
pub fn correlate<T: Element>(
    kernels: &Kernels<T>,
    windows: Rows<T>,
    start: &[T],
    (out, stride): (&mut [T], usize),
    space: &mut Space<T>,
) {
    let (inputs, room) = (kernels.inputs, windows.room());
    let (tile_rows, tile_columns) = windows.tiles();
    let point_stride = stride_of_points(inputs * room);
    let transformed = at_least(&mut space.windows, POINTS * point_stride);
    for input in 0..inputs {
        transform_windows(
            windows,
            input,
            Target {
                values: &mut transformed[input * room..],
                point: point_stride,
            },
        );
    }
    let some = (PRODUCTS / (POINTS * room)).next_multiple_of(FILTERS).max(FILTERS);
    let offsets: Vec<usize> = (0..inputs).map(|input| input * room).collect();
    let zeros = vec![T::zero(); some];
    for first in (0..kernels.outputs).step_by(some) {
        let outputs = some.min(kernels.outputs - first);
        let product_stride = stride_of_points(outputs * room);
        let products = at_least(&mut space.products, POINTS * product_stride);
        for (point, products) in products.chunks_mut(product_stride).enumerate() {
            let weights = &kernels.packed[(point * kernels.outputs + first) * inputs..][..outputs * inputs];
            T::correlate(Correlate {
                source: &transformed[point * point_stride..][..inputs * room],
                offsets: &offsets,
                weights,
                start: &zeros[..outputs],
                out: products,
                stride: room,
                pixels: room,
            });
        }
        for output in 0..outputs {
            let plane = &mut out[(first + output) * stride..][..stride];
            let products = Transformed {
                values: &products[output * room..],
                point: product_stride,
            };
            on_vectors(
                #[inline(always)]
                || {
                    for tile_row in 0..tile_rows {
                        let rows = &mut plane[2 * tile_row * windows.width..];
                        let (above, below): (&mut [T], &mut [T]) = match 2 * tile_row + 1 < windows.rows {
                            true => {
                                let (above, below) = rows.split_at_mut(windows.width);
                                (above, &mut below[..windows.columns])
                            }
                            false => (rows, &mut []),
                        };
                        let above = &mut above[..windows.columns];
                        products.outputs(tile_row * tile_columns, start[first + output], above, below);
                    }
                },
            );
        }
    }
}

/// The transformed tiles of one plane: those of the next point are `point` further.
struct Target<'a, T> {
    values: &'a mut [T],
    point: usize,
}

/// Does `$body` for every eight tiles, or what is left of a row, of every row: with the row, the first of them, their number, and
/// whether they are eight as a constant.
macro_rules! for_each_eight {
    ($tiles:expr, |$row:ident, $begin:ident, $count:ident, $full:ident| $body:expr) => {{
        let (rows, columns) = $tiles;
        let full = columns / EIGHT * EIGHT;
        for $row in 0..rows {
            for $begin in (0..full).step_by(EIGHT) {
                const $full: bool = true;
                let $count = EIGHT;
                $body
            }
            if full < columns {
                const $full: bool = false;
                let ($begin, $count) = (full, columns - full);
                $body
            }
        }
    }};
}

/// Bᵀ d B of a plane's windows.
fn transform_windows<T: Element>(windows: Rows<T>, plane: usize, mut target: Target<T>) {
    let values = &windows.values[plane * windows.plane..];
    let (_, tile_columns) = windows.tiles();
    on_vectors(
        #[inline(always)]
        || {
            for_each_eight!(windows.tiles(), |tile_row, begin, count, FULL| {
                let at = tile_row * tile_columns + begin;
                let values = &values[2 * tile_row * windows.width + 2 * begin..];
                target.windows::<FULL>(at, count, values, windows.width);
            });
        },
    );
}

/// A dY Aᵀ of a plane's tiles.
fn transform_gradients<T: Element>(gradients: Rows<T>, plane: usize, mut target: Target<T>) {
    let values = &gradients.values[plane * gradients.plane..];
    let (_, tile_columns) = gradients.tiles();
    on_vectors(
        #[inline(always)]
        || {
            for_each_eight!(gradients.tiles(), |tile_row, begin, count, FULL| {
                let at = tile_row * tile_columns + begin;
                let values = &values[2 * tile_row * gradients.width + 2 * begin..];
                target.gradients::<FULL>(at, count, values, gradients.width);
            });
        },
    );
}

impl<T: Element> Target<'_, T> {
    /// Values of a point, from tile `at` on.
    #[inline(always)]
    fn put<const FULL: bool>(&mut self, point: usize, at: usize, count: usize, values: [T; EIGHT]) {
        put::<FULL, _, _>(&mut self.values[point * self.point + at..][..count], values);
    }

    /// All points of at most eight tiles, whose windows' first row begins `values`.
    #[inline(always)]
    fn windows<const FULL: bool>(&mut self, at: usize, count: usize, values: &[T], width: usize) {
        let row = |row: usize| -> [T; 2 * EIGHT + 2] {
            read::<FULL, _, _>(&values[row * width..][..2 * count + 2], T::zero())
        };
        let (a, b, c, d) = (row(0), row(1), row(2), row(3));
        let lines: [[T; 2 * EIGHT + 2]; 4] = [
            std::array::from_fn(|x| a[x] - c[x]),
            std::array::from_fn(|x| b[x] + c[x]),
            std::array::from_fn(|x| c[x] - b[x]),
            std::array::from_fn(|x| b[x] - d[x]),
        ];
        for (line, sums) in lines.into_iter().enumerate() {
            let a: [T; EIGHT] = std::array::from_fn(|t| sums[2 * t]);
            let b: [T; EIGHT] = std::array::from_fn(|t| sums[2 * t + 1]);
            let c: [T; EIGHT] = std::array::from_fn(|t| sums[2 * t + 2]);
            let d: [T; EIGHT] = std::array::from_fn(|t| sums[2 * t + 3]);
            self.put::<FULL>(4 * line, at, count, std::array::from_fn(|t| a[t] - c[t]));
            self.put::<FULL>(4 * line + 1, at, count, std::array::from_fn(|t| b[t] + c[t]));
            self.put::<FULL>(4 * line + 2, at, count, std::array::from_fn(|t| c[t] - b[t]));
            self.put::<FULL>(4 * line + 3, at, count, std::array::from_fn(|t| b[t] - d[t]));
        }
    }

    /// All points of at most eight tiles of gradients, whose first row begins `values`.
    #[inline(always)]
    fn gradients<const FULL: bool>(&mut self, at: usize, count: usize, values: &[T], width: usize) {
        let row = |row: usize| -> [T; 2 * EIGHT] { read::<FULL, _, _>(&values[row * width..][..2 * count], T::zero()) };
        let (above, below) = (row(0), row(1));
        let lines: [[T; 2 * EIGHT]; 4] = [
            above,
            std::array::from_fn(|x| above[x] + below[x]),
            std::array::from_fn(|x| above[x] - below[x]),
            below.map(|value| T::zero() - value),
        ];
        for (line, sums) in lines.into_iter().enumerate() {
            let a: [T; EIGHT] = std::array::from_fn(|t| sums[2 * t]);
            let b: [T; EIGHT] = std::array::from_fn(|t| sums[2 * t + 1]);
            self.put::<FULL>(4 * line, at, count, a);
            self.put::<FULL>(4 * line + 1, at, count, std::array::from_fn(|t| a[t] + b[t]));
            self.put::<FULL>(4 * line + 2, at, count, std::array::from_fn(|t| a[t] - b[t]));
            self.put::<FULL>(4 * line + 3, at, count, b.map(|value| T::zero() - value));
        }
    }
}

/// The products of one plane: those of the next point are `point` further.
#[derive(Clone, Copy)]
struct Transformed<'a, T> {
    values: &'a [T],
    point: usize,
}

impl<T: Element> Transformed<'_, T> {
    /// Aᵀ M A of a row of tiles from `at` on, with `start` added, into two rows of outputs; `below` may be empty.
    #[inline(always)]
    fn outputs(&self, at: usize, start: T, above: &mut [T], below: &mut [T]) {
        let columns = above.len();
        let full = columns / (2 * EIGHT) * (2 * EIGHT);
        for begin in (0..full).step_by(2 * EIGHT) {
            let below = below.get_mut(begin..).unwrap_or_default();
            self.eight::<true>((at + begin / 2, EIGHT), start, &mut above[begin..], below);
        }
        if full < columns {
            let below = below.get_mut(full..).unwrap_or_default();
            let count = (columns - full).div_ceil(2);
            self.eight::<false>((at + full / 2, count), start, &mut above[full..], below);
        }
    }

    #[inline(always)]
    fn eight<const FULL: bool>(&self, (at, count): (usize, usize), start: T, above: &mut [T], below: &mut [T]) {
        let point = |point: usize| -> [T; EIGHT] {
            read::<FULL, _, _>(&self.values[point * self.point + at..][..count], T::zero())
        };
        let (mut upper, mut lower) = ([[T::zero(); EIGHT]; 4], [[T::zero(); EIGHT]; 4]);
        for (column, (upper, lower)) in upper.iter_mut().zip(&mut lower).enumerate() {
            let (a, b, c, d) = (point(column), point(4 + column), point(8 + column), point(12 + column));
            *upper = std::array::from_fn(|t| a[t] + b[t] + c[t]);
            *lower = std::array::from_fn(|t| b[t] - c[t] - d[t]);
        }
        let pairs = |[a, b, c, d]: [[T; EIGHT]; 4]| -> [T; 2 * EIGHT] {
            let left: [T; EIGHT] = std::array::from_fn(|t| start + (a[t] + b[t] + c[t]));
            let right: [T; EIGHT] = std::array::from_fn(|t| start + (b[t] - c[t] - d[t]));
            std::array::from_fn(|at| [left, right][at % 2][at / 2])
        };
        put::<FULL, _, _>(above, pairs(upper));
        if !below.is_empty() {
            put::<FULL, _, _>(below, pairs(lower));
        }
    }
}

/// Sums the gradient of a kernel in the transformed space, over tiles of as many images as are given.
pub struct KernelGradient<T> {
    filters: usize,
    channels: usize,
    /// Tiles that there is room for, and that are there.
    room: usize,
    tiles: usize,
    /// `[16][channels][room]`
    windows: Vec<T>,
    /// `[16][filters][room]`
    gradients: Vec<T>,
}

impl<T: Element> KernelGradient<T> {
    pub fn new(filters: usize, channels: usize) -> Self {
        Self {
            filters,
            channels,
            room: 0,
            tiles: 0,
            windows: Vec::new(),
            gradients: Vec::new(),
        }
    }

    /// Adds an image's part to `sums` `[16][filters][channels]`, or puts it aside to add it with what comes. `windows` as in
    /// [`correlate`]; `gradients` has the same rows and columns, and zeros around them.
    pub fn add(&mut self, windows: Rows<T>, gradients: Rows<T>, sums: &mut [T]) {
        let (tile_rows, tile_columns) = windows.tiles();
        // So many rows of tiles at once.
        let some = (TILES / tile_columns).clamp(1, tile_rows);
        for first in (0..tile_rows).step_by(some) {
            let rows = (2 * first)..(2 * (first + some)).min(windows.rows);
            let (windows, gradients) = (windows.part(rows.clone()), gradients.part(rows.clone()));
            let tiles = windows.room();
            if self.room == 0 {
                self.room = TILES.max(tiles);
                self.windows = vec![T::zero(); POINTS * stride_of_points(self.channels * self.room)];
                self.gradients = vec![T::zero(); POINTS * stride_of_points(self.filters * self.room)];
            }
            if self.tiles + tiles > self.room {
                self.finish(sums);
            }
            let (at, room) = (self.tiles, self.room);
            let used = tile_columns * rows.len().div_ceil(2);
            for channel in 0..self.channels {
                let point = stride_of_points(self.channels * room);
                let values = &mut self.windows[channel * room + at..];
                transform_windows(windows, channel, Target { values, point });
            }
            for filter in 0..self.filters {
                let point = stride_of_points(self.filters * room);
                let values = &mut self.gradients[filter * room + at..];
                for values in values.chunks_mut(point) {
                    values[used..tiles].fill(T::zero());
                }
                transform_gradients(gradients, filter, Target { values, point });
            }
            self.tiles += tiles;
        }
    }

    /// Adds what was put aside.
    pub fn finish(&mut self, sums: &mut [T]) {
        if self.tiles == 0 {
            return;
        }
        let room = self.room;
        let offsets: Vec<usize> = (0..self.channels).map(|channel| channel * room).collect();
        let of_points = self.gradients.chunks(stride_of_points(self.filters * room));
        let of_points = of_points.zip(self.windows.chunks(stride_of_points(self.channels * room)));
        for ((planes, source), sums) in of_points.zip(sums.chunks_mut(self.filters * self.channels)) {
            T::products(Products {
                planes,
                stride: room,
                source,
                offsets: &offsets,
                sums,
                pixels: self.tiles,
            });
        }
        self.tiles = 0;
    }
}

/// The gradient of a kernel, `[filters][channels][9]`, from its sums in the transformed space.
pub fn kernel_gradient<T: Element>(sums: &[T]) -> Vec<T> {
    let all = sums.len() / POINTS;
    let point = |point: usize| &sums[point * all..][..all];
    let points: [&[T]; POINTS] = std::array::from_fn(point);
    (0..all)
        .flat_map(|at| kernel_of(std::array::from_fn(|point| points[point][at])))
        .collect()
}
