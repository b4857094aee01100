//! The stretches of an image that pooling looks at.

use std::ops::Range;

/// How an image is divided; the cells may overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cells {
    /// A grid of this many rows and columns: cell `i` of `n` covers `⌊i·size/n⌋` to `⌈(i+1)·size/n⌉`, as in PyTorch's adaptive
    /// pooling.
    Grid(usize, usize),
    /// Windows of one size at equal distances. What does not fill a window at the end is dropped.
    Windows(Windows),
}

/// Sizes are of rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    pub size: (usize, usize),
    pub stride: (usize, usize),
    /// Around the image: zeros for averages, nothing for maxima. At most half of the size.
    pub padding: (usize, usize),
}

impl Windows {
    /// Side by side, without padding.
    pub fn tiling(size: (usize, usize)) -> Self {
        Self {
            size,
            stride: size,
            padding: (0, 0),
        }
    }
}

impl Cells {
    /// Rows and columns of cells over an image; `None` where there is no cell, or a cell that covers nothing.
    pub fn count(&self, image: (usize, usize)) -> Option<(usize, usize)> {
        if image.0 == 0 || image.1 == 0 {
            return None;
        }
        match *self {
            Self::Grid(rows, columns) => (rows > 0 && columns > 0).then_some((rows, columns)),
            Self::Windows(windows) => {
                let along = |image: usize, size: usize, stride: usize, padding: usize| {
                    let room = (image + 2 * padding).checked_sub(size)?;
                    (size > 0 && 2 * padding <= size).then(|| room / stride.max(1) + 1)
                };
                Some((
                    along(image.0, windows.size.0, windows.stride.0, windows.padding.0)?,
                    along(image.1, windows.size.1, windows.stride.1, windows.padding.1)?,
                ))
            }
        }
    }

    /// The rows that a row of cells covers, without the padding.
    pub fn rows(&self, index: usize, size: usize) -> Range<usize> {
        match *self {
            Self::Grid(rows, _) => grid(index, rows, size),
            Self::Windows(windows) => window(index, windows.size.0, windows.stride.0, windows.padding.0, size),
        }
    }

    /// The columns that a column of cells covers, without the padding.
    pub fn columns(&self, index: usize, size: usize) -> Range<usize> {
        match *self {
            Self::Grid(_, columns) => grid(index, columns, size),
            Self::Windows(windows) => window(index, windows.size.1, windows.stride.1, windows.padding.1, size),
        }
    }

    /// What an average over these rows and columns divides by: padding counts.
    pub fn divisor(&self, rows: &Range<usize>, columns: &Range<usize>) -> usize {
        match self {
            Self::Grid(..) => rows.len() * columns.len(),
            Self::Windows(windows) => windows.size.0 * windows.size.1,
        }
    }
}

fn grid(index: usize, cells: usize, size: usize) -> Range<usize> {
    index * size / cells..((index + 1) * size).div_ceil(cells)
}

fn window(index: usize, width: usize, stride: usize, padding: usize, size: usize) -> Range<usize> {
    let start = index * stride;
    start.saturating_sub(padding).min(size)..(start + width).saturating_sub(padding).min(size)
}
