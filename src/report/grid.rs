//! Small panels side by side: as many columns as stay legible.

/// How wide figures and LaTeX tables may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Width {
    /// One column of a paper: figures of 95 mm, tables of 84 mm.
    Column,
    /// 190 mm, both columns, for figures of several panels; 95 mm for others.
    #[default]
    Page,
}

impl Width {
    /// Pixels of a figure with so many panels side by side.
    pub(super) fn of_panels(self, side_by_side: usize) -> f64 {
        match (self, side_by_side) {
            (Self::Column, _) | (Self::Page, 0 | 1) => 360.0,
            (Self::Page, _) => 720.0,
        }
    }
}

/// More panels than this nobody reads.
pub(super) const MOST_PANELS: usize = 24;

/// Columns, rows and the width of the whole figure in pixels: one column of a paper for a single panel, else two.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Grid {
    pub columns: usize,
    pub rows: usize,
    pub width: f64,
    count: usize,
}

impl Grid {
    pub fn of(count: usize, width: Width) -> Self {
        let columns = match (width, count) {
            (_, 0 | 1) => 1,
            (Width::Column, _) | (Width::Page, 2 | 4) => 2,
            (Width::Page, 3 | 5..=9) => 3,
            (Width::Page, _) => 4,
        };
        Self {
            columns,
            rows: count.div_ceil(columns),
            width: width.of_panels(columns),
            count,
        }
    }

    /// The width of a panel with all that is beside it.
    pub fn panel_width(&self, beside: f64) -> f64 {
        (self.width - beside) / self.columns as f64
    }

    /// Ticks on an axis: as many as have room.
    pub fn ticks(&self) -> usize {
        if self.panel_width(0.0) > 300.0 { 6 } else { 4 }
    }

    /// Row and column of a panel.
    pub fn place(&self, index: usize) -> (usize, usize) {
        (index / self.columns, index % self.columns)
    }

    /// Is there no panel below this one?
    pub fn is_lowest(&self, index: usize) -> bool {
        index + self.columns >= self.count
    }
}
