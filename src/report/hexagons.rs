//! Many points as shaded hexagons: where points would hide each other, their number shows.

use std::collections::BTreeMap;

use super::axis::Axis;
use super::canvas::{Canvas, DrawError, Plot};
use super::legend::LEGEND_ROW;
use super::style::{Look, Point, Rect, SMALL, shade};

/// Examples counted in pointed hexagons; positions are pixels from the plot's upper left corner.
pub(super) struct Bins {
    radius: f64,
    counts: BTreeMap<(i32, i32), u32>,
}

impl Bins {
    /// For a plot of `width` by `height` pixels.
    pub fn of(pairs: &[(f64, f64)], x: &Axis, y: &Axis, (width, height): (f64, f64)) -> Self {
        let mut bins = Self {
            radius: (width / 60.0).clamp(2.5, 4.5),
            counts: BTreeMap::new(),
        };
        let (_, high) = bins.steps();
        for &pair in pairs {
            let at = (x.position(pair.0) * width, (1.0 - y.position(pair.1)) * height);
            let row = (at.1 / high).floor() as i32;
            let nearest = [row, row + 1]
                .into_iter()
                .map(|row| (bins.column(at.0, row), row))
                .min_by(|&a, &b| {
                    let distance = |cell| {
                        let (x, y) = bins.centre(cell);
                        (x - at.0).hypot(y - at.1)
                    };
                    distance(a).total_cmp(&distance(b))
                });
            if let Some(cell) = nearest {
                *bins.counts.entry(cell).or_default() += 1;
            }
        }
        bins
    }

    /// Distance of columns, distance of rows; every other row is shifted by half a column.
    fn steps(&self) -> (f64, f64) {
        (self.radius * 3.0_f64.sqrt(), self.radius * 1.5)
    }

    fn shift(row: i32) -> f64 {
        if row.rem_euclid(2) == 1 { 0.5 } else { 0.0 }
    }

    fn column(&self, x: f64, row: i32) -> i32 {
        (x / self.steps().0 - Self::shift(row)).round() as i32
    }

    fn centre(&self, cell: (i32, i32)) -> Point {
        let (wide, high) = self.steps();
        (
            (f64::from(cell.0) + Self::shift(cell.1)) * wide,
            f64::from(cell.1) * high,
        )
    }

    pub fn most(&self) -> u32 {
        self.counts.values().copied().max().unwrap_or(1)
    }

    /// Shaded by the logarithm of the count; `most` is black.
    pub fn draw(&self, canvas: &Canvas<'_>, plot: &Plot, most: u32) -> Result<(), DrawError> {
        for (&cell, &count) in &self.counts {
            let (x, y) = self.centre(cell);
            // A little too large, so that no seams show between neighbours.
            let radius = 1.03 * self.radius;
            let corners: Vec<Point> = (0..6)
                .map(|corner| {
                    let angle = std::f64::consts::FRAC_PI_3 * (f64::from(corner) + 0.5);
                    (
                        plot.rect.left + x + radius * angle.cos(),
                        plot.rect.top + y + radius * angle.sin(),
                    )
                })
                .collect();
            let share = if most > 1 {
                f64::from(count).ln() / f64::from(most).ln()
            } else {
                1.0
            };
            canvas.polygon(&corners, shade(LIGHTEST + (1.0 - LIGHTEST) * share), 1.0)?;
        }
        Ok(())
    }
}

/// The shade of a hexagon with one example: well visible on white.
const LIGHTEST: f64 = 0.18;

/// A row of shades from one `each` ("example") to `most`.
pub(super) fn shade_legend(canvas: &Canvas<'_>, top: f64, most: u32, each: &str) -> Result<(), DrawError> {
    const STEPS: usize = 24;
    let look = Look::new(SMALL);
    let middle = top + LEGEND_ROW / 2.0;
    canvas.text("1", (8.0, middle), look)?;
    for step in 0..STEPS {
        let rect = Rect {
            left: 18.0 + 3.0 * step as f64,
            top: middle - 5.0,
            width: 3.1,
            height: 10.0,
        };
        canvas.rect(
            rect,
            shade(LIGHTEST + (1.0 - LIGHTEST) * step as f64 / (STEPS - 1) as f64),
        )?;
    }
    let text = format!("{most} {each}s per hexagon (logarithmic)");
    canvas.text(&text, (18.0 + 3.0 * STEPS as f64 + 5.0, middle), look)
}
