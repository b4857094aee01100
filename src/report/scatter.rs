//! Predicted against true: one square per target, with the line on which a perfect prediction lies.

use std::collections::BTreeMap;

use plotters::style::RGBColor;

use super::axis::{self, Axis};
use super::canvas::{
    BELOW, BLUE, Canvas, DrawError, GREY, LEGEND_ROW, Labels, Look, NAME, Plot, Point, Rect, SMALL, Stroke, TITLE_BLOCK,
};
use super::figure::{About, Figure};
use super::font::{self, Weight};
use super::{Error, RunReport, metric};
use crate::track::{Outcome, PredictionRow};

/// Above this many points, shaded hexagons show more than points do, and keep the file small.
const MOST_POINTS: usize = 2500;
/// The height of a panel's two lines of heading.
const HEADINGS: f64 = 34.0;
/// More small panels than this nobody reads.
const MOST_PANELS: usize = 24;

/// The predictions of the split that the report speaks of; `None` for classification or where there are none.
pub(super) fn regression_rows(report: &RunReport) -> Option<(&[String], &'static str, Vec<&PredictionRow>)> {
    let predictions = report.predictions.as_ref()?;
    let Outcome::Regression { targets } = &predictions.kind else {
        return None;
    };
    ["test", "val", "train"].into_iter().find_map(|split| {
        let rows: Vec<&PredictionRow> = predictions.rows.iter().filter(|row| row.split == split).collect();
        (!rows.is_empty()).then_some((targets.as_slice(), split, rows))
    })
}

/// What can be drawn of one target: (true, predicted).
pub(super) fn pairs(rows: &[&PredictionRow], target: usize) -> Vec<(f64, f64)> {
    rows.iter()
        .filter_map(|row| {
            Some((
                f64::from(*row.truth.get(target)?),
                f64::from(*row.predicted.get(target)?),
            ))
        })
        .filter(|pair| axis::drawable(pair.0) && axis::drawable(pair.1))
        .collect()
}

pub(super) fn figure(report: &RunReport) -> Result<Option<Figure>, Error> {
    let Some((targets, split, rows)) = regression_rows(report) else {
        return Ok(None);
    };
    let shown: Vec<(usize, &String, Vec<(f64, f64)>)> = targets
        .iter()
        .enumerate()
        .map(|(index, target)| (index, target, pairs(&rows, index)))
        .filter(|(_, _, pairs)| !pairs.is_empty())
        .take(MOST_PANELS)
        .collect();
    if shown.is_empty() {
        return Ok(None);
    }
    let columns = match shown.len() {
        1 => 1,
        2 | 4 => 2,
        3 | 5..=9 => 3,
        _ => 4,
    };
    let count = shown.len().div_ceil(columns);
    let width = if columns == 1 { 360.0 } else { 720.0 };
    let panel_width = (width - 8.0) / columns as f64;
    // The plots are square: what is left of the width after the tick labels, and as much in height.
    let side = (panel_width - 60.0).min(290.0);
    let panel_height = side + HEADINGS + BELOW;
    let hexagons = shown
        .iter()
        .any(|(_, _, pairs)| pairs.len() > MOST_POINTS / columns.min(3))
        || shown.iter().map(|(_, _, pairs)| pairs.len()).sum::<usize>() > 2 * MOST_POINTS;
    let title = format!("Predicted against true, {} split", split_word(split));
    let marks = if hexagons {
        "Darker hexagons hold more examples (shade on a logarithmic scale)"
    } else {
        "Each point is one example"
    };
    let about = About {
        name: "predicted-true",
        title: title.clone(),
        caption: format!(
            "Predicted against true values of {} examples of the {} split. {marks}; a perfect prediction lies on the dashed line.",
            rows.len(),
            split_word(split)
        ),
        width,
        height: TITLE_BLOCK + if hexagons { LEGEND_ROW } else { 0.0 } + count as f64 * panel_height + NAME + 4.0,
    };
    let figure = Figure::draw(about, |canvas| {
        let mut top = canvas.title(&title)?;
        let bins: Vec<Bins> = if hexagons {
            shown.iter().map(|(_, _, pairs)| Bins::of(pairs, side)).collect()
        } else {
            Vec::new()
        };
        let most = bins.iter().map(Bins::most).max().unwrap_or(1);
        if hexagons {
            shade_legend(canvas, top, most)?;
            top += LEGEND_ROW;
        }
        for (place, (_, target, pairs)) in shown.iter().enumerate() {
            let (row, column) = (place / columns, place % columns);
            let left = 4.0 + column as f64 * panel_width;
            let rect = Rect {
                left: left + panel_width - side - 10.0,
                top: top + row as f64 * panel_height + HEADINGS,
                width: side,
                height: side,
            };
            let lowest = place + columns >= shown.len();
            let labels = Labels {
                title: None,
                x: lowest.then_some("true"),
                y: (column == 0).then_some("predicted"),
            };
            let axis = shared_axis(pairs, side);
            let plot = canvas.axes(rect, axis.clone(), axis, &labels)?;
            let caption = summary(report, split, target, targets.len(), pairs.len(), rect.width);
            let heading = rect.top - HEADINGS;
            canvas.text_within(target, (rect.left, heading + 11.0), Look::new(SMALL).bold(), rect.width)?;
            let look = Look::new(SMALL).color(GREY);
            canvas.text_within(&caption, (rect.left, heading + 25.0), look, rect.width)?;
            let ends = [plot.x.low(), plot.x.high()].map(|end| plot.at(end, end));
            canvas.line(&ends, Stroke::dashed(GREY, 1.0, 4.0, 3.0))?;
            match bins.get(place) {
                Some(bins) => bins.draw(canvas, &plot, most)?,
                None => draw_points(canvas, &plot, pairs)?,
            }
        }
        Ok(Vec::new())
    })?;
    Ok(Some(figure))
}

pub(super) fn split_word(split: &str) -> &str {
    match split {
        "train" => "training",
        "val" => "validation",
        other => other,
    }
}

/// The range of both axes.
fn shared_axis(pairs: &[(f64, f64)], side: f64) -> Axis {
    Axis::around(
        pairs.iter().flat_map(|pair| [pair.0, pair.1]),
        if side > 200.0 { 6 } else { 4 },
    )
}

/// "CCC 0.512, RMSE 0.203, n = 180", or as much of it as `limit` pixels hold.
fn summary(report: &RunReport, split: &str, target: &str, targets: usize, count: usize, limit: f64) -> String {
    let figure = |name: &str| {
        let of = |target: &str| {
            report
                .results
                .iter()
                .find(|row| row.split == split && row.name == name && row.target == target)
        };
        let row = of(target).or_else(|| if targets == 1 { of("") } else { None })?;
        Some(format!("{} {}", metric::label(name), metric::number(row.value)))
    };
    let count = format!("n = {count}");
    let mut parts: Vec<String> = ["ccc", "rmse"].into_iter().filter_map(figure).collect();
    loop {
        let text = parts
            .iter()
            .chain([&count])
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        if font::width(&text, SMALL, Weight::Regular) <= limit || parts.pop().is_none() {
            return text;
        }
    }
}

fn draw_points(canvas: &Canvas<'_>, plot: &Plot, pairs: &[(f64, f64)]) -> Result<(), DrawError> {
    let (radius, opacity) = match pairs.len() {
        0..=60 => (2.8, 0.75),
        61..=400 => (2.2, 0.55),
        _ => (1.7, 0.4),
    };
    for &(truth, predicted) in pairs {
        canvas.disc(plot.at(truth, predicted), radius, BLUE, opacity)?;
    }
    Ok(())
}

/// Examples counted in pointed hexagons; positions are pixels from the plot's upper left corner.
struct Bins {
    radius: f64,
    counts: BTreeMap<(i32, i32), u32>,
}

impl Bins {
    /// For a square plot of `side` pixels.
    fn of(pairs: &[(f64, f64)], side: f64) -> Self {
        let mut bins = Self {
            radius: (side / 60.0).clamp(2.5, 4.5),
            counts: BTreeMap::new(),
        };
        let axis = shared_axis(pairs, side);
        let (_, high) = bins.steps();
        for &(truth, predicted) in pairs {
            let at = (axis.position(truth) * side, (1.0 - axis.position(predicted)) * side);
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

    fn most(&self) -> u32 {
        self.counts.values().copied().max().unwrap_or(1)
    }

    /// Shaded by the logarithm of the count; `most` is black.
    fn draw(&self, canvas: &Canvas<'_>, plot: &Plot, most: u32) -> Result<(), DrawError> {
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

/// A row of shades from one example to `most`.
fn shade_legend(canvas: &Canvas<'_>, top: f64, most: u32) -> Result<(), DrawError> {
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
    let text = format!("{most} examples per hexagon (logarithmic)");
    canvas.text(&text, (18.0 + 3.0 * STEPS as f64 + 5.0, middle), look)
}

/// From white (0) over blue to near black (1): even steps of lightness, so that it survives grey printing.
pub(super) fn shade(share: f64) -> RGBColor {
    const STOPS: [[f64; 3]; 5] = [
        [255.0, 255.0, 255.0],
        [189.0, 215.0, 236.0],
        [94.0, 158.0, 208.0],
        [20.0, 96.0, 160.0],
        [5.0, 40.0, 82.0],
    ];
    let position = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) } * (STOPS.len() - 1) as f64;
    let index = (position.floor() as usize).min(STOPS.len() - 2);
    let part = position - index as f64;
    let channel = |channel: usize| {
        let of = |stop: usize| {
            STOPS
                .get(stop)
                .and_then(|stop| stop.get(channel))
                .copied()
                .unwrap_or(0.0)
        };
        (of(index) + part * (of(index + 1) - of(index))).round() as u8
    };
    RGBColor(channel(0), channel(1), channel(2))
}
