//! How images lie in memory while they are convolved.
//!
//! An image is copied once into planes with its zero padding between the rows, so that a kernel's tap is the same offset for
//! every output pixel: `output[row · width + column]` takes `staged[offset(tap) + row · width + column]`. Then all rows of a plane are one
//! stretch, which vectors cross without regard for where rows end; the few positions between two rows come out as nonsense and
//! are left aside. Columns of padding left of a row are those right of the row before it.
//!
//! With a stride, the padded image is dealt out to `stride rows · stride columns` planes ("phases"): the plane `(a, b)` has
//! the pixels whose row is `a` and column `b` more than a multiple of the stride. Every tap then reads one phase without gaps.
//!
//! The gradient of the input is the same the other way round: each phase of it is a sum of shifted planes of the output's gradient.

use super::super::element::Element;
use super::correlate::PIXELS;
use super::geometry::Sizes;
use super::winograd::{Rows, beyond};

/// Where everything of one convolution lies.
pub struct Staging {
    sizes: Sizes,
    /// From a row to the next, in staged planes and in output planes alike.
    pub width: usize,
    /// From a staged plane to the next.
    plane: usize,
    /// Values of a staged image, with what vectors read beyond its end.
    pub len: usize,
    /// Of one group's taps, in the kernel's order, from the group's first plane.
    pub offsets: Vec<usize>,
    /// Positions of an output plane, rounded up.
    pub positions: usize,
}

fn round_up(pixels: usize) -> usize {
    pixels.next_multiple_of(PIXELS)
}

impl Staging {
    pub fn new(sizes: Sizes) -> Self {
        let ((stride_rows, stride_columns), padding) = (sizes.geometry.stride, sizes.geometry.padding);
        let width = match stride_columns {
            1 => (sizes.columns + padding.1).max(sizes.out.1),
            stride => (sizes.columns + 2 * padding.1).div_ceil(stride),
        };
        // The padding right of the last row has no row below to share it with.
        let plane = (sizes.rows + 2 * padding.0).div_ceil(stride_rows) * width + padding.1;
        let mut offsets = Vec::with_capacity(sizes.group_taps());
        for channel in 0..sizes.group_channels() {
            for kernel_row in 0..sizes.kernel.0 {
                for kernel_column in 0..sizes.kernel.1 {
                    let row = kernel_row * sizes.geometry.dilation.0;
                    let column = kernel_column * sizes.geometry.dilation.1;
                    let phase = (channel * stride_rows + row % stride_rows) * stride_columns + column % stride_columns;
                    offsets.push(phase * plane + row / stride_rows * width + column / stride_columns);
                }
            }
        }
        let positions = round_up((sizes.out.0 - 1) * width + sizes.out.1);
        let mut staging = Self {
            sizes,
            width,
            plane,
            len: 0,
            offsets,
            positions,
        };
        let furthest = staging.offsets.iter().copied().max().unwrap_or(0);
        let last_group = staging.group(sizes.geometry.groups - 1);
        // Bands of rows are rounded up one by one.
        let read = last_group + furthest + positions + beyond(width);
        staging.len = read.max(sizes.channels * staging.phases() * plane);
        staging
    }

    fn phases(&self) -> usize {
        self.sizes.geometry.stride.0 * self.sizes.geometry.stride.1
    }

    /// Where a group's first plane begins.
    pub fn group(&self, group: usize) -> usize {
        group * self.sizes.group_channels() * self.phases() * self.plane
    }

    /// So many rows of outputs whose windows begin where `source` begins.
    pub fn windows<'a, T>(&self, source: &'a [T], rows: usize) -> Rows<'a, T> {
        Rows {
            values: source,
            plane: self.plane,
            width: self.width,
            rows,
            columns: self.sizes.out.1,
        }
    }

    /// `image` `[channels, rows, columns]` into `staged`, which has `len` values and zeros wherever no image was put before.
    pub fn stage<T: Element>(&self, image: &[T], staged: &mut [T]) {
        let sizes = &self.sizes;
        let ((stride_rows, stride_columns), padding) = (sizes.geometry.stride, sizes.geometry.padding);
        for (index, source) in image.chunks(sizes.columns.max(1)).enumerate() {
            let (channel, row) = (index / sizes.rows, index % sizes.rows + padding.0);
            let planes = (channel * stride_rows + row % stride_rows) * stride_columns;
            let begin = planes * self.plane + row / stride_rows * self.width;
            if stride_columns == 1 {
                staged[begin + padding.1..][..source.len()].copy_from_slice(source);
                continue;
            }
            for phase in 0..stride_columns {
                let first = padding.1.saturating_sub(phase).div_ceil(stride_columns);
                let column = first * stride_columns + phase - padding.1;
                let target = &mut staged[begin + phase * self.plane + first..];
                let source = source.get(column..).unwrap_or_default();
                for (target, &value) in target.iter_mut().zip(source.iter().step_by(stride_columns)) {
                    *target = value;
                }
            }
        }
    }
}

/// Where the gradient of the output lies, and how the input's gradient is summed from it.
pub struct Return {
    sizes: Sizes,
    /// Zeros before a plane's first row.
    pub lead: usize,
    /// From a plane to the next.
    pub plane: usize,
    /// From a row to the next.
    width: usize,
    pub phases: Vec<Phase>,
}

/// The pixels of the input that one phase of the staged image holds.
pub struct Phase {
    /// Row and column of the input that position 0 is.
    first: (usize, usize),
    /// How many of them.
    count: (usize, usize),
    /// Taps that touch the phase, as indices of a channel's kernel.
    pub taps: Vec<usize>,
    /// For each filter of a group and each tap: from the group's first gradient plane.
    pub offsets: Vec<usize>,
}

impl Return {
    pub fn new(sizes: Sizes, staging: &Staging) -> Self {
        let width = staging.width;
        let (stride, padding, dilation) = (sizes.geometry.stride, sizes.geometry.padding, sizes.geometry.dilation);
        // Along one axis, for one phase: the first index within the phase that is in the image, the input it is, how many.
        let along = |phase: usize, size: usize, stride: usize, padding: usize| {
            let index = padding.saturating_sub(phase).div_ceil(stride);
            let first = index * stride + phase - padding;
            (index, first, size.saturating_sub(first).div_ceil(stride))
        };
        let mut phases = Vec::new();
        // What a position's offsets begin with, and how far each tap goes back from there.
        let mut reaches = Vec::new();
        for row_phase in 0..stride.0 {
            for column_phase in 0..stride.1 {
                let (row, first_row, rows) = along(row_phase, sizes.rows, stride.0, padding.0);
                let (column, first_column, columns) = along(column_phase, sizes.columns, stride.1, padding.1);
                if rows == 0 || columns == 0 {
                    continue;
                }
                let mut taps = Vec::new();
                let mut back = Vec::new();
                for tap in 0..sizes.kernel.0 * sizes.kernel.1 {
                    let down = tap / sizes.kernel.1 * dilation.0;
                    let right = tap % sizes.kernel.1 * dilation.1;
                    if down % stride.0 == row_phase && right % stride.1 == column_phase {
                        taps.push(tap);
                        back.push(down / stride.0 * width + right / stride.1);
                    }
                }
                reaches.push((row * width + column, back));
                phases.push(Phase {
                    first: (first_row, first_column),
                    count: (rows, columns),
                    taps,
                    offsets: Vec::new(),
                });
            }
        }
        let lead = reaches
            .iter()
            .flat_map(|(base, back)| back.iter().map(move |back| back.saturating_sub(*base)))
            .max()
            .unwrap_or(0);
        let mut plane = lead + staging.positions;
        for (phase, (base, back)) in phases.iter().zip(&reaches) {
            for back in back {
                // A band of rows may end later than the rows, since each is rounded up.
                plane = plane.max(lead + base - back + phase.positions(phase.count.0, width) + PIXELS);
            }
        }
        for (phase, (base, back)) in phases.iter_mut().zip(&reaches) {
            for filter in 0..sizes.group_filters() {
                phase
                    .offsets
                    .extend(back.iter().map(|back| filter * plane + lead + base - back));
            }
        }
        Self {
            sizes,
            lead,
            plane,
            width,
            phases,
        }
    }

    /// Values of so many planes, with what is read beyond their end.
    pub fn len(&self, filters: usize) -> usize {
        filters * self.plane + beyond(self.width)
    }

    /// So many rows of an image's gradients from `row` on, where there is one phase: their windows in `planes`.
    pub fn windows<'a, T>(&self, planes: &'a [T], row: usize, rows: usize) -> Rows<'a, T> {
        let phase = &self.phases[0];
        let first = phase.offsets[..phase.taps.len()].iter().min().copied().unwrap_or(0);
        Rows {
            values: &planes[first + row * self.width..],
            plane: self.plane,
            width: self.width,
            rows,
            columns: phase.count.1,
        }
    }

    /// The gradients of the outputs themselves.
    pub fn gradients<'a, T>(&self, planes: &'a [T]) -> Rows<'a, T> {
        Rows {
            values: &planes[self.lead..],
            plane: self.plane,
            width: self.width,
            rows: self.sizes.out.0,
            columns: self.sizes.out.1,
        }
    }

    /// Some rows of a channel's gradients of one phase, a row every `width`, into its plane `[rows, columns]` of the input's gradient.
    pub fn collect<T: Element>(&self, phase: &Phase, first_row: usize, width: usize, positions: &[T], plane: &mut [T]) {
        let stride = self.sizes.geometry.stride;
        for (row, values) in positions.chunks(width).enumerate() {
            let begin = (phase.first.0 + (first_row + row) * stride.0) * self.sizes.columns + phase.first.1;
            let values = &values[..phase.count.1];
            match stride.1 {
                1 => plane[begin..][..values.len()].copy_from_slice(values),
                stride => {
                    for (target, &value) in plane[begin..].iter_mut().step_by(stride).zip(values) {
                        *target = value;
                    }
                }
            }
        }
    }
}

impl Phase {
    /// Rows of the input that it has.
    pub fn rows(&self) -> usize {
        self.count.0
    }

    /// Positions of so many rows, rounded up.
    pub fn positions(&self, rows: usize, width: usize) -> usize {
        round_up((rows - 1) * width + self.count.1)
    }
}
