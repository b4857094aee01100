//! Clouds of examples, a panel a target: points, or shaded hexagons where points would hide each other.

use super::axis::Axis;
use super::canvas::{BELOW, Canvas, DrawError, Labels, NAME, Plot, TITLE_BLOCK, tick_room};
use super::figure::{About, Figure, Spot, Values};
use super::grid::{Grid, MOST_PANELS, Width};
use super::hexagons::{Bins, shade_legend};
use super::legend::LEGEND_ROW;
use super::style::{BLUE, GREY, Look, Rect, SMALL, Stroke};
use super::{Error, font};

/// Above this many points, shaded hexagons show more than points do, and keep the file small.
const MOST_POINTS: usize = 2500;
/// The height of a panel's two lines of heading.
const HEADINGS: f64 = 34.0;

/// The examples of one target.
pub(super) struct Panel {
    pub target: String,
    /// Below the target's name: longer texts first, of which the first that fits is shown.
    pub summaries: Vec<String>,
    pub points: Vec<(f64, f64)>,
    /// Of each point, for the pointer.
    pub texts: Vec<String>,
    pub x: Axis,
    pub y: Axis,
}

/// What all panels of a figure share.
pub(super) struct Cloud {
    pub name: &'static str,
    pub title: String,
    /// Without what the marks are.
    pub caption: String,
    /// What a point is: "example", or "prediction".
    pub each: &'static str,
    pub x: &'static str,
    pub y: &'static str,
    /// Where a perfect prediction lies.
    pub perfect: Perfect,
    pub width: Width,
    /// Height over width of a plot.
    pub aspect: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Perfect {
    Diagonal,
    Zero,
}

/// `None` where no panel has points.
pub(super) fn figure(cloud: Cloud, mut panels: Vec<Panel>) -> Result<Option<Figure>, Error> {
    panels.retain(|panel| !panel.points.is_empty());
    let left_out = panels.len().saturating_sub(MOST_PANELS);
    panels.truncate(MOST_PANELS);
    if panels.is_empty() {
        return Ok(None);
    }
    let grid = Grid::of(panels.len(), cloud.width);
    let room = panels.iter().map(|panel| tick_room(&panel.y)).fold(0.0, f64::max);
    let panel_width = grid.panel_width(NAME + 8.0);
    // What the tick labels leave of the width.
    let side = (panel_width - room - 12.0).clamp(40.0, 290.0);
    let size = (side, side * cloud.aspect);
    let panel_height = HEADINGS + size.1 + BELOW;
    let most_in_panel = panels.iter().map(|panel| panel.points.len()).max().unwrap_or(0);
    let in_all: usize = panels.iter().map(|panel| panel.points.len()).sum();
    let hexagons = most_in_panel > MOST_POINTS / grid.columns || in_all > 2 * MOST_POINTS;
    let mut caption = cloud.caption;
    caption.push_str(&match hexagons {
        true => format!(" Darker hexagons hold more {}s.", cloud.each),
        false => format!(" Each point is one {}.", cloud.each),
    });
    if left_out > 0 {
        caption.push_str(&format!(" {left_out} more targets are not shown."));
    }
    let about = About {
        name: cloud.name,
        title: cloud.title.clone(),
        caption,
        width: grid.width,
        height: TITLE_BLOCK + if hexagons { LEGEND_ROW } else { 0.0 } + grid.rows as f64 * panel_height + NAME + 4.0,
    };
    let figure = Figure::draw(about, |canvas| {
        let mut top = canvas.title(&cloud.title)?;
        let bins: Vec<Bins> = match hexagons {
            true => (panels.iter())
                .map(|panel| Bins::of(&panel.points, &panel.x, &panel.y, size))
                .collect(),
            false => Vec::new(),
        };
        let most = bins.iter().map(Bins::most).max().unwrap_or(1);
        if hexagons {
            shade_legend(canvas, top, most, cloud.each)?;
            top += LEGEND_ROW;
        }
        let mut spots = Vec::new();
        for (index, panel) in panels.iter().enumerate() {
            let (row, column) = grid.place(index);
            let rect = Rect {
                left: 4.0 + NAME + column as f64 * panel_width + room,
                top: top + row as f64 * panel_height + HEADINGS,
                width: size.0,
                height: size.1,
            };
            let labels = Labels {
                title: None,
                x: grid.is_lowest(index).then_some(cloud.x),
                y: (column == 0).then_some(cloud.y),
            };
            let plot = canvas.axes(rect, panel.x.clone(), panel.y.clone(), &labels)?;
            heading(canvas, panel, rect)?;
            let ends = match cloud.perfect {
                Perfect::Diagonal => [plot.x.low(), plot.x.high()].map(|end| plot.at(end, end)),
                Perfect::Zero => [plot.x.low(), plot.x.high()].map(|end| plot.at(end, 0.0)),
            };
            canvas.line(&ends, Stroke::dashed(GREY, 1.0, 4.0, 3.0))?;
            match bins.get(index) {
                Some(bins) => bins.draw(canvas, &plot, most)?,
                None => draw_points(canvas, &plot, panel, &mut spots)?,
            }
        }
        Ok(Values::from(spots))
    })?;
    Ok(Some(figure))
}

fn heading(canvas: &Canvas<'_>, panel: &Panel, rect: Rect) -> Result<(), DrawError> {
    let top = rect.top - HEADINGS;
    let look = Look::new(SMALL);
    canvas.text_within(&panel.target, (rect.left, top + 11.0), look.bold(), rect.width)?;
    let fits = |text: &&String| font::width(&font::clean(text), SMALL, look.weight) <= rect.width;
    let summary = panel.summaries.iter().find(fits).or(panel.summaries.last());
    let look = look.color(GREY);
    canvas.text_within(
        summary.map_or("", String::as_str),
        (rect.left, top + 25.0),
        look,
        rect.width,
    )
}

fn draw_points(canvas: &Canvas<'_>, plot: &Plot, panel: &Panel, spots: &mut Vec<Spot>) -> Result<(), DrawError> {
    let (radius, opacity) = match panel.points.len() {
        0..=60 => (2.8, 0.75),
        61..=400 => (2.2, 0.55),
        _ => (1.7, 0.4),
    };
    for (index, &(x, y)) in panel.points.iter().enumerate() {
        let at = plot.at(x, y);
        canvas.disc(at, radius, BLUE, opacity)?;
        if let Some(text) = panel.texts.get(index) {
            spots.push(Spot {
                at,
                reach: 8.0,
                text: text.clone(),
            });
        }
    }
    Ok(())
}
