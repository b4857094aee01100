//! What figures look like: colours, strokes, markers, type, and the pixels (1/96 inch) that all lengths are in.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::font::{self, Weight};

/// Units of the drawing grid in one pixel.
const UNIT: f64 = 10.0;

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

    pub fn style(&self) -> ShapeStyle {
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

    pub fn style(&self) -> TextStyle<'_> {
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

/// Pixels to units of the drawing grid.
pub(super) fn units(pixels: f64) -> i32 {
    (pixels * UNIT).round() as i32
}

/// A point on the drawing grid.
pub(super) fn on_grid(point: Point) -> (i32, i32) {
    (units(point.0), units(point.1))
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
