//! The sheet that figures are drawn on: colours, strokes, text and axes in CSS pixels (1/96 inch).
//!
//! plotters draws on a grid of whole numbers and guesses how wide text is. So the grid here has ten units a pixel, text is
//! measured with the embedded font, and legends and titles are laid out by us; plotters draws shapes, axes and grid lines.

use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::Axis;
use super::font::{self, Weight};

/// Units of the drawing grid in one pixel.
const UNIT: f64 = 10.0;

/// What plotters reports; writing to a string never fails, so this is a fault of ours if it ever shows.
pub(super) type DrawError = DrawingAreaErrorKind<std::io::Error>;

/// Okabe and Ito's colours (2008), told apart with every form of colour blindness.
pub(super) const BLUE: RGBColor = RGBColor(0x00, 0x72, 0xb2);
pub(super) const VERMILLION: RGBColor = RGBColor(0xd5, 0x5e, 0x00);
pub(super) const GREEN: RGBColor = RGBColor(0x00, 0x9e, 0x73);
pub(super) const PURPLE: RGBColor = RGBColor(0xcc, 0x79, 0xa7);
pub(super) const ORANGE: RGBColor = RGBColor(0xe6, 0x9f, 0x00);

pub(super) const INK: RGBColor = RGBColor(0x1a, 0x1a, 0x1a);
pub(super) const GREY: RGBColor = RGBColor(0x5c, 0x5c, 0x5c);
pub(super) const PALE: RGBColor = RGBColor(0xe4, 0xe4, 0xe4);
pub(super) const PAPER: RGBColor = RGBColor(0xff, 0xff, 0xff);

/// Text sizes in pixels: 9, 8.25 and 7.5 points in print at full size.
pub(super) const TITLE: f64 = 12.0;
pub(super) const LABEL: f64 = 11.0;
pub(super) const SMALL: f64 = 10.0;

/// A point in pixels from the upper left corner.
pub(super) type Point = (f64, f64);

/// A rectangle in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rect {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
}

impl Rect {
    pub fn right(&self) -> f64 {
        self.left + self.width
    }

    pub fn bottom(&self) -> f64 {
        self.top + self.height
    }
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stroke {
    pub color: RGBColor,
    pub width: f64,
    pub dash: Dash,
}

/// Lengths of dash and gap in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Dash {
    Solid,
    Dashes(f64, f64),
}

impl Stroke {
    pub fn solid(color: RGBColor, width: f64) -> Self {
        Self {
            color,
            width,
            dash: Dash::Solid,
        }
    }

    pub fn dashed(color: RGBColor, width: f64, dash: f64, gap: f64) -> Self {
        Self {
            color,
            width,
            dash: Dash::Dashes(dash, gap),
        }
    }

    fn style(&self) -> ShapeStyle {
        ShapeStyle::from(&self.color).stroke_width(units(self.width).max(1) as u32)
    }
}

/// The shape that tells a series apart without colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// Filled circle.
    Disc,
    /// Circle, white inside.
    Ring,
    /// Filled square.
    Square,
    /// Triangle, white inside.
    Triangle,
    /// Diamond, white inside.
    Diamond,
    /// Two crossed strokes.
    Cross,
}

/// How text is set.
#[derive(Clone, Copy)]
pub(super) struct Look {
    pub size: f64,
    pub weight: Weight,
    pub color: RGBColor,
    pub horizontal: HPos,
    pub vertical: VPos,
    pub turn: Turn,
}

/// The direction that text runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Level,
    /// From bottom to top.
    Up,
}

impl Look {
    pub const fn new(size: f64) -> Self {
        Self {
            size,
            weight: Weight::Regular,
            color: INK,
            horizontal: HPos::Left,
            vertical: VPos::Center,
            turn: Turn::Level,
        }
    }

    pub const fn bold(self) -> Self {
        Self {
            weight: Weight::Bold,
            ..self
        }
    }

    pub const fn color(self, color: RGBColor) -> Self {
        Self { color, ..self }
    }

    pub const fn at(self, horizontal: HPos, vertical: VPos) -> Self {
        Self {
            horizontal,
            vertical,
            ..self
        }
    }

    pub const fn turned(self, turn: Turn) -> Self {
        Self { turn, ..self }
    }

    fn style(&self) -> TextStyle<'_> {
        let style = match self.weight {
            Weight::Regular => FontStyle::Normal,
            Weight::Bold => FontStyle::Bold,
        };
        // The SVG backend divides the size by 1.24.
        let font = FontDesc::new(FontFamily::Name(font::FAMILY), self.size * UNIT * 1.24, style);
        let font = match self.turn {
            Turn::Level => font,
            Turn::Up => font.transform(FontTransform::Rotate270),
        };
        TextStyle::from(font)
            .color(&self.color)
            .pos(Pos::new(self.horizontal, self.vertical))
    }
}

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
/// The height of one row of the legend.
pub(super) const LEGEND_ROW: f64 = 17.0;
/// The height that a panel's title takes.
pub(super) const HEADING: f64 = 17.0;

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

fn units(pixels: f64) -> i32 {
    (pixels * UNIT).round() as i32
}

fn on_grid(point: Point) -> (i32, i32) {
    (units(point.0), units(point.1))
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
