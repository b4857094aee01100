//! Predicted against true: one square per target, with the line on which a perfect prediction lies.

use super::axis::{self, Axis};
use super::canvas::{BELOW, Canvas, DrawError, Labels, NAME, Plot, TITLE_BLOCK, tick_room};
use super::figure::{About, Figure};
use super::font::{self, Weight};
use super::grid::{Grid, MOST_PANELS};
use super::hexagons::{Bins, shade_legend};
use super::legend::LEGEND_ROW;
use super::metric::split_word;
use super::style::{BLUE, GREY, Look, Rect, SMALL, Stroke};
use super::{Error, RunReport, metric};
use crate::track::{Outcome, PredictionRow};

/// Above this many points, shaded hexagons show more than points do, and keep the file small.
const MOST_POINTS: usize = 2500;
/// The height of a panel's two lines of heading.
const HEADINGS: f64 = 34.0;

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

/// One target: its name, what can be drawn of it, and the range of both axes.
struct Panel<'r> {
    target: &'r str,
    pairs: Vec<(f64, f64)>,
    axis: Axis,
}

pub(super) fn figure(report: &RunReport) -> Result<Option<Figure>, Error> {
    let Some((targets, split, rows)) = regression_rows(report) else {
        return Ok(None);
    };
    let mut panels = panels(targets, &rows);
    let left_out = panels.len().saturating_sub(MOST_PANELS);
    panels.truncate(MOST_PANELS);
    if panels.is_empty() {
        return Ok(None);
    }
    let grid = Grid::of(panels.len());
    let room = panels.iter().map(|panel| tick_room(&panel.axis)).fold(0.0, f64::max);
    let panel_width = (grid.width - NAME - 8.0) / grid.columns as f64;
    // The plots are square: what the tick labels leave of the width, and as much in height.
    let side = (panel_width - room - 12.0).clamp(40.0, 290.0);
    let panel_height = HEADINGS + side + BELOW;
    let most_in_panel = panels.iter().map(|panel| panel.pairs.len()).max().unwrap_or(0);
    let in_all: usize = panels.iter().map(|panel| panel.pairs.len()).sum();
    let hexagons = most_in_panel > MOST_POINTS / grid.columns || in_all > 2 * MOST_POINTS;
    let title = format!("Predicted against true, {} split", split_word(split));
    let about = About {
        name: "predicted-true",
        title: title.clone(),
        caption: caption(
            split,
            rows.len(),
            in_all < rows.len() * panels.len(),
            hexagons,
            left_out,
        ),
        width: grid.width,
        height: TITLE_BLOCK + if hexagons { LEGEND_ROW } else { 0.0 } + grid.rows as f64 * panel_height + NAME + 4.0,
    };
    let figure = Figure::draw(about, |canvas| {
        let mut top = canvas.title(&title)?;
        let bins: Vec<Bins> = if hexagons {
            let bins = panels.iter().map(|panel| Bins::of(&panel.pairs, &panel.axis, side));
            bins.collect()
        } else {
            Vec::new()
        };
        let most = bins.iter().map(Bins::most).max().unwrap_or(1);
        if hexagons {
            shade_legend(canvas, top, most)?;
            top += LEGEND_ROW;
        }
        for (index, panel) in panels.iter().enumerate() {
            let (row, column) = grid.place(index);
            let rect = Rect {
                left: 4.0 + NAME + column as f64 * panel_width + room,
                top: top + row as f64 * panel_height + HEADINGS,
                width: side,
                height: side,
            };
            let labels = Labels {
                title: None,
                x: grid.is_lowest(index).then_some("true"),
                y: (column == 0).then_some("predicted"),
            };
            let plot = canvas.axes(rect, panel.axis.clone(), panel.axis.clone(), &labels)?;
            let figures = summary(report, split, panel, targets.len(), side);
            let heading = rect.top - HEADINGS;
            canvas.text_within(panel.target, (rect.left, heading + 11.0), Look::new(SMALL).bold(), side)?;
            let look = Look::new(SMALL).color(GREY);
            canvas.text_within(&figures, (rect.left, heading + 25.0), look, side)?;
            let ends = [plot.x.low(), plot.x.high()].map(|end| plot.at(end, end));
            canvas.line(&ends, Stroke::dashed(GREY, 1.0, 4.0, 3.0))?;
            match bins.get(index) {
                Some(bins) => bins.draw(canvas, &plot, most)?,
                None => draw_points(canvas, &plot, &panel.pairs)?,
            }
        }
        Ok(Vec::new())
    })?;
    Ok(Some(figure))
}

/// Those targets of which something can be drawn.
fn panels<'r>(targets: &'r [String], rows: &[&PredictionRow]) -> Vec<Panel<'r>> {
    let ticks = if targets.len() < 3 { 6 } else { 4 };
    targets
        .iter()
        .enumerate()
        .map(|(index, target)| {
            let pairs = pairs(rows, index);
            let axis = Axis::around(pairs.iter().flat_map(|pair| [pair.0, pair.1]), ticks);
            Panel { target, pairs, axis }
        })
        .filter(|panel| !panel.pairs.is_empty())
        .collect()
}

fn caption(split: &str, examples: usize, gaps: bool, hexagons: bool, left_out: usize) -> String {
    let marks = if hexagons {
        "Darker hexagons hold more examples"
    } else {
        "Each point is one example"
    };
    let mut caption = format!(
        "Predicted against true values of {examples} examples of the {} split. {marks}; a perfect prediction lies on the dashed line.",
        split_word(split)
    );
    if gaps {
        caption.push_str(" Values that are not finite are left out.");
    }
    if left_out > 0 {
        caption.push_str(&format!(" {left_out} more targets are not shown."));
    }
    caption
}

/// "CCC 0.512, RMSE 0.203, n = 180", or as much of it as `limit` pixels hold.
fn summary(report: &RunReport, split: &str, panel: &Panel<'_>, targets: usize, limit: f64) -> String {
    let figure = |name: &str| {
        let of = |target: &str| {
            report
                .results
                .iter()
                .find(|row| row.split == split && row.name == name && row.target == target)
        };
        let row = of(panel.target).or_else(|| if targets == 1 { of("") } else { None })?;
        Some(format!("{} {}", metric::label(name), metric::number(row.value)))
    };
    let count = format!("n = {}", panel.pairs.len());
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
