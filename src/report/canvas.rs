//! The sheet that figures are drawn on: shapes, text and axes in CSS pixels (1/96 inch).
//!
//! plotters draws on a grid of whole numbers and guesses how wide text is. So the grid here has ten units a pixel, text is
//! measured with the embedded font, and legends and titles are laid out by us; plotters draws shapes, axes and grid lines.

use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::Axis;
use super::font;
use super::style::{
    Dash, GREY, LABEL, Look, Marker, PALE, PAPER, Point, Rect, SMALL, Stroke, TITLE, Turn, on_grid, units,
};

/// What plotters reports; writing to a string never fails, so this is a fault of ours if it ever shows.
pub(super) type DrawError = DrawingAreaErrorKind<std::io::Error>;

/// A sheet to draw on.
pub(super) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
    pub width: f64,
    pub height: f64,
}

/// A pair of axes and the place of the rectangle between them.
#[derive(Debug, Clone)]
pub(super) struct Plot {
    pub x: Axis,
    pub y: Axis,
    pub rect: Rect,
}

impl Plot {
    /// Where the values lie on the sheet.
    pub fn at(&self, x: f64, y: f64) -> Point {
        (
            self.rect.left + self.x.position(x) * self.rect.width,
            self.rect.bottom() - self.y.position(y) * self.rect.height,
        )
    }
}

/// What stands beside the axes.
#[derive(Debug, Clone, Default)]
pub(super) struct Labels<'t> {
    /// Above the plot.
    pub title: Option<&'t str>,
    /// Below, with the unit.
    pub x: Option<&'t str>,
    /// On the left, with the unit.
    pub y: Option<&'t str>,
}

/// Pixels between the end of a tick and its label, and the tick's length.
const TICK: f64 = 3.0;
/// The height that ticks and their labels take below a plot.
pub(super) const BELOW: f64 = 2.0 * TICK + SMALL + 3.0;
/// The height (or width, on the left) that an axis's name takes beyond the tick labels.
pub(super) const NAME: f64 = LABEL + 7.0;
/// The height that the figure's title takes.
pub(super) const TITLE_BLOCK: f64 = 28.0;
/// The height that a panel's title takes.
pub(super) const HEADING: f64 = 19.0;

/// The width that ticks and their labels take on the left of a plot.
pub(super) fn tick_room(y: &Axis) -> f64 {
    2.0 * TICK + y.widest_label(SMALL) + 2.0
}

/// Draws a sheet of `width` by `height` pixels; gives the SVG, its text still as text.
pub(super) fn draw(
    width: f64,
    height: f64,
    paint: impl FnOnce(&Canvas<'_>) -> Result<(), DrawError>,
) -> Result<String, DrawError> {
    let (units_wide, units_high) = (units(width) as u32, units(height) as u32);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (units_wide, units_high)).into_drawing_area();
        area.fill(&PAPER)?;
        let canvas = Canvas { area, width, height };
        paint(&canvas)?;
        canvas.area.present()?;
    }
    let in_units = format!("width=\"{units_wide}\" height=\"{units_high}\"");
    let in_pixels = format!("width=\"{width}\" height=\"{height}\"");
    Ok(svg.replacen(&in_units, &in_pixels, 1))
}

impl Canvas<'_> {
    pub fn line(&self, points: &[Point], stroke: Stroke) -> Result<(), DrawError> {
        let points: Vec<(i32, i32)> = points.iter().copied().map(on_grid).collect();
        if points.len() < 2 {
            return Ok(());
        }
        match stroke.dash {
            Dash::Solid => self.area.draw(&PathElement::new(points, stroke.style())),
            Dash::Dashes(dash, gap) => self.area.draw(&DashedPathElement::new(
                points,
                units(dash).max(1),
                units(gap).max(1),
                stroke.style(),
            )),
        }
    }

    pub fn polygon(&self, points: &[Point], fill: RGBColor, opacity: f64) -> Result<(), DrawError> {
        let points: Vec<(i32, i32)> = points.iter().copied().map(on_grid).collect();
        self.area.draw(&Polygon::new(points, fill.mix(opacity).filled()))
    }

    pub fn rect(&self, rect: Rect, fill: RGBColor) -> Result<(), DrawError> {
        let corners = [on_grid((rect.left, rect.top)), on_grid((rect.right(), rect.bottom()))];
        self.area.draw(&Rectangle::new(corners, fill.filled()))
    }

    pub fn frame(&self, rect: Rect, stroke: Stroke) -> Result<(), DrawError> {
        let (left, top, right, bottom) = (rect.left, rect.top, rect.right(), rect.bottom());
        self.line(
            &[(left, top), (right, top), (right, bottom), (left, bottom), (left, top)],
            stroke,
        )
    }

    pub fn disc(&self, centre: Point, radius: f64, fill: RGBColor, opacity: f64) -> Result<(), DrawError> {
        self.area.draw(&Circle::new(
            on_grid(centre),
            units(radius).max(1),
            fill.mix(opacity).filled(),
        ))
    }

    pub fn marker(&self, centre: Point, marker: Marker, radius: f64, color: RGBColor) -> Result<(), DrawError> {
        let (x, y) = centre;
        let stroke = Stroke::solid(color, 1.2);
        let outlined = |points: &[Point]| {
            self.polygon(points, PAPER, 1.0)?;
            let closed: Vec<Point> = points.iter().chain(points.first()).copied().collect();
            self.line(&closed, stroke)
        };
        match marker {
            Marker::Disc => self.disc(centre, radius, color, 1.0),
            Marker::Ring => {
                self.disc(centre, radius, PAPER, 1.0)?;
                self.area
                    .draw(&Circle::new(on_grid(centre), units(radius).max(1), stroke.style()))
            }
            Marker::Square => {
                let half = 0.89 * radius;
                self.rect(
                    Rect {
                        left: x - half,
                        top: y - half,
                        width: 2.0 * half,
                        height: 2.0 * half,
                    },
                    color,
                )
            }
            Marker::Triangle => {
                let side = 1.15 * radius;
                outlined(&[(x, y - side), (x + side, y + 0.8 * side), (x - side, y + 0.8 * side)])
            }
            Marker::Diamond => {
                let half = 1.25 * radius;
                outlined(&[(x, y - half), (x + half, y), (x, y + half), (x - half, y)])
            }
            Marker::Cross => {
                let half = 0.8 * radius;
                self.line(&[(x - half, y - half), (x + half, y + half)], stroke)?;
                self.line(&[(x - half, y + half), (x + half, y - half)], stroke)
            }
        }
    }

    pub fn text(&self, text: &str, at: Point, look: Look) -> Result<(), DrawError> {
        let text = font::clean(text);
        if text.trim().is_empty() {
            return Ok(());
        }
        self.area.draw_text(&text, &look.style(), on_grid(at))
    }

    /// As [`Canvas::text`], shortened so that it is at most `limit` pixels long.
    pub fn text_within(&self, text: &str, at: Point, look: Look, limit: f64) -> Result<(), DrawError> {
        self.text(&font::fit(text, look.size, look.weight, limit), at, look)
    }

    /// The figure's title in the upper left corner, over the whole width; gives the height that it takes.
    pub fn title(&self, title: &str) -> Result<f64, DrawError> {
        let look = Look::new(TITLE).bold();
        self.text_within(title, (8.0, 15.0), look, self.width - 16.0)?;
        Ok(TITLE_BLOCK)
    }

    /// Axes with labels around `inner`, which tick labels and names surround: see [`tick_room`], [`BELOW`] and [`NAME`].
    pub fn axes(&self, inner: Rect, x: Axis, y: Axis, labels: &Labels<'_>) -> Result<Plot, DrawError> {
        let x = x.thinned(inner.width, SMALL);
        let above = 8.0_f64.min(inner.top);
        let below = (self.height - inner.bottom()).clamp(0.0, BELOW);
        let area = self.area.clone().shrink(
            on_grid((0.0, inner.top - above)),
            (units(self.width), units(above + inner.height + below)),
        );
        let tick_text = Look::new(SMALL);
        let mut chart = ChartBuilder::on(&area)
            .margin_top(units(above))
            .margin_right(units(self.width - inner.right()))
            .set_label_area_size(LabelAreaPosition::Left, units(inner.left))
            .set_label_area_size(LabelAreaPosition::Bottom, units(below))
            .build_cartesian_2d(x.clone(), y.clone())?;
        chart
            .configure_mesh()
            .axis_style(Stroke::solid(GREY, 0.8).style())
            .bold_line_style(Stroke::solid(PALE, 0.8).style())
            .light_line_style(TRANSPARENT)
            .x_label_style(tick_text.style())
            .y_label_style(tick_text.style())
            .set_all_tick_mark_size(units(TICK))
            .draw()?;
        let plot = Plot { x, y, rect: inner };
        self.axis_labels(&plot, labels)?;
        Ok(plot)
    }

    fn axis_labels(&self, plot: &Plot, labels: &Labels<'_>) -> Result<(), DrawError> {
        let rect = plot.rect;
        if let Some(title) = labels.title {
            let look = Look::new(LABEL).at(HPos::Left, VPos::Center);
            self.text_within(title, (rect.left, rect.top - 9.0), look, rect.width)?;
        }
        if let Some(label) = labels.x {
            let at = (rect.left + rect.width / 2.0, rect.bottom() + BELOW + NAME / 2.0);
            self.text_within(
                label,
                at,
                Look::new(LABEL).at(HPos::Center, VPos::Center),
                rect.width + 40.0,
            )?;
        }
        if let Some(label) = labels.y {
            let centre = rect.left - tick_room(&plot.y) - NAME / 2.0;
            self.side_name(label, centre, rect.top, rect.bottom())?;
        }
        Ok(())
    }

    /// The name of a y axis, turned, centred at `x` and between `top` and `bottom`.
    pub fn side_name(&self, name: &str, x: f64, top: f64, bottom: f64) -> Result<(), DrawError> {
        let look = Look::new(LABEL).at(HPos::Center, VPos::Center).turned(Turn::Up);
        self.text_within(name, (x, (top + bottom) / 2.0), look, bottom - top + 20.0)
    }
}
