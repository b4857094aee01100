//! Small panels side by side: as many columns as stay legible.

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
    pub fn of(count: usize) -> Self {
        let columns = match count {
            0 | 1 => 1,
            2 | 4 => 2,
            3 | 5..=9 => 3,
            _ => 4,
        };
        Self {
            columns,
            rows: count.div_ceil(columns),
            width: if columns == 1 { 360.0 } else { 720.0 },
            count,
        }
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
