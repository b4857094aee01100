//! What the lines and marks of a figure stand for: entries side by side below the title.

use super::canvas::{Canvas, DrawError};
use super::font::{self, Weight};
use super::style::{Look, Point, SMALL};

/// The height of one row.
pub(super) const LEGEND_ROW: f64 = 17.0;

impl Canvas<'_> {
    /// Entries side by side, each with a sample drawn by `sample` around the given point; takes [`legend_height`].
    pub fn legend(
        &self,
        top: f64,
        entries: &[&str],
        sample: impl Fn(&Self, usize, Point) -> Result<(), DrawError>,
    ) -> Result<f64, DrawError> {
        for (index, (entry, (x, y))) in entries.iter().zip(legend_places(entries, self.width)).enumerate() {
            let middle = top + y + LEGEND_ROW / 2.0;
            sample(self, index, (x + SAMPLE / 2.0, middle))?;
            let at = (x + SAMPLE + 5.0, middle);
            self.text_within(entry, at, Look::new(SMALL), legend_limit(self.width))?;
        }
        Ok(legend_height(entries, self.width))
    }
}

/// The width of a legend's samples.
const SAMPLE: f64 = 26.0;

/// The longest that an entry of a legend may be.
fn legend_limit(width: f64) -> f64 {
    width - SAMPLE - 24.0
}

/// The height of a legend on a sheet of `width` pixels.
pub(super) fn legend_height(entries: &[&str], width: f64) -> f64 {
    legend_places(entries, width)
        .last()
        .map_or(0.0, |place| place.1 + LEGEND_ROW)
}

/// The upper left corner of each entry; rows wrap.
fn legend_places(entries: &[&str], width: f64) -> Vec<Point> {
    let (mut x, mut y) = (8.0, 0.0);
    entries
        .iter()
        .map(|entry| {
            let text = font::width(&font::clean(entry), SMALL, Weight::Regular).min(legend_limit(width));
            let length = SAMPLE + 5.0 + text;
            if x > 8.0 && x + length > width - 8.0 {
                x = 8.0;
                y += LEGEND_ROW;
            }
            let place = (x, y);
            x += length + 12.0;
            place
        })
        .collect()
}
