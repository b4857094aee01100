//! The valence–arousal plane: where examples are felt to lie, and where the model puts them.

use std::collections::BTreeMap;

use plotters::style::RGBColor;

use super::axis::{self, Axis};
use super::canvas::{BELOW, Canvas, DrawError, Labels, NAME, TITLE_BLOCK};
use super::figure::{About, Figure, Spot};
use super::legend::LEGEND_ROW;
use super::metric::{number, split_word};
use super::predicted::{self, Count};
use super::style::{GREY, Marker, PALE, Point, Rect, Stroke, VERMILLION};
use super::{Error, RunReport};
use crate::track::PredictionRow;

/// Up to this many examples each get their own arrow; above it, cells of a grid do.
const MOST_ARROWS: usize = 48;
/// Cells along each side.
const CELLS: f64 = 7.0;
/// Dots behind the arrows; of more examples every second, third, … is shown.
const MOST_DOTS: usize = 1500;

/// The plot's width and height in pixels.
const SIDE: f64 = 284.0;
const DOT: RGBColor = RGBColor(0xa8, 0xb8, 0xc4);

/// An example, or the mean of several: true and predicted (valence, arousal).
struct Arrow {
    from: Point,
    to: Point,
    name: String,
}

pub(super) fn figure(report: &RunReport) -> Result<Option<Figure>, Error> {
    let Some((targets, split, rows)) = predicted::of_targets(report) else {
        return Ok(None);
    };
    let index_of = |name: &str| {
        targets
            .iter()
            .position(|target| target.to_lowercase().starts_with(name))
    };
    let (Some(valence), Some(arousal)) = (index_of("valence"), index_of("arousal")) else {
        return Ok(None);
    };
    let drawn: Vec<(&PredictionRow, Arrow)> = rows
        .iter()
        .filter_map(|row| {
            let point = |values: &[f32]| -> Option<Point> {
                let point = (f64::from(*values.get(valence)?), f64::from(*values.get(arousal)?));
                (axis::drawable(point.0) && axis::drawable(point.1)).then_some(point)
            };
            let arrow = Arrow {
                from: point(&row.truth)?,
                to: point(&row.predicted)?,
                name: row.id.clone(),
            };
            Some((*row, arrow))
        })
        .collect();
    let count = Count::of(drawn.iter().map(|(row, _)| *row));
    let examples: Vec<Arrow> = drawn.into_iter().map(|(_, arrow)| arrow).collect();
    if examples.is_empty() {
        return Ok(None);
    }
    let single = examples.len() <= MOST_ARROWS;
    let title = format!("Valence–arousal plane, {} split", split_word(split));
    let arrows_are = if single {
        "Each arrow leads from an example's true place to the predicted one."
    } else {
        "Dots are the true places of examples; each arrow leads from the mean true place of the examples in one cell of a grid to the mean of their predictions."
    };
    let about = About {
        name: "valence-arousal",
        title: title.clone(),
        caption: format!(
            "{}. {arrows_are} Arrows that all point inwards show predictions drawn towards the mean.",
            count.of_split(split)
        ),
        width: 360.0,
        height: TITLE_BLOCK + LEGEND_ROW + 8.0 + SIDE + BELOW + NAME + 4.0,
    };
    let figure = Figure::draw(about, |canvas| {
        let mut top = canvas.title(&title)?;
        let entries: &[&str] = if single {
            &["true", "predicted"]
        } else {
            &["true (one example)", "cell mean: true to predicted"]
        };
        top += canvas.legend(top, entries, |canvas, index, at| match (index, single) {
            (0, true) => canvas.marker(at, Marker::Ring, 2.4, GREY),
            (0, false) => canvas.disc(at, 2.2, DOT, 1.0),
            _ => arrow(canvas, (at.0 - 11.0, at.1), (at.0 + 11.0, at.1)),
        })?;
        let rect = Rect {
            left: canvas.width - SIDE - 12.0,
            top: top + 8.0,
            width: SIDE,
            height: SIDE,
        };
        let axis_of = |pick: fn(Point) -> f64| {
            Axis::around(examples.iter().flat_map(|arrow| [pick(arrow.from), pick(arrow.to)]), 6)
        };
        let labels = Labels {
            title: None,
            x: targets.get(valence).map(String::as_str),
            y: targets.get(arousal).map(String::as_str),
        };
        let plot = canvas.axes(rect, axis_of(|point| point.0), axis_of(|point| point.1), &labels)?;
        let neutral = Stroke::solid(GREY, 0.8);
        if plot.x.low() < 0.0 && plot.x.high() > 0.0 {
            let x = plot.at(0.0, 0.0).0;
            canvas.line(&[(x, rect.top), (x, rect.bottom())], neutral)?;
        }
        if plot.y.low() < 0.0 && plot.y.high() > 0.0 {
            let y = plot.at(0.0, 0.0).1;
            canvas.line(&[(rect.left, y), (rect.right(), y)], neutral)?;
        }
        let on_sheet = |point: Point| plot.at(point.0, point.1);
        let mut spots = Vec::new();
        if single {
            for example in &examples {
                arrow(canvas, on_sheet(example.from), on_sheet(example.to))?;
                canvas.marker(on_sheet(example.from), Marker::Ring, 2.4, GREY)?;
                spots.push(example.spot(on_sheet(example.from)));
            }
        } else {
            for example in examples.iter().step_by(examples.len().div_ceil(MOST_DOTS)) {
                canvas.disc(on_sheet(example.from), 1.8, DOT, 0.7)?;
            }
            for mean in cell_means(&examples, &plot.x, &plot.y, count.each()) {
                arrow(canvas, on_sheet(mean.from), on_sheet(mean.to))?;
                spots.push(mean.spot(on_sheet(mean.from)));
            }
        }
        canvas.frame(rect, Stroke::solid(PALE, 0.8))?;
        Ok(spots.into())
    })?;
    Ok(Some(figure))
}

impl Arrow {
    fn spot(&self, at: Point) -> Spot {
        let point = |point: Point| format!("({}, {})", number(point.0), number(point.1));
        Spot {
            at,
            reach: 9.0,
            text: format!("{}\ntrue {}, predicted {}", self.name, point(self.from), point(self.to)),
        }
    }
}

/// Means over the cells of a grid; cells that hold under a thousandth of the examples (or fewer than two) are left out.
fn cell_means(examples: &[Arrow], x: &Axis, y: &Axis, each: &str) -> Vec<Arrow> {
    let mut cells: BTreeMap<(i32, i32), Vec<&Arrow>> = BTreeMap::new();
    for example in examples {
        let cell = (
            (x.position(example.from.0) * CELLS).floor() as i32,
            (y.position(example.from.1) * CELLS).floor() as i32,
        );
        cells.entry(cell).or_default().push(example);
    }
    let least = (examples.len() / 1000).max(2);
    cells
        .values()
        .filter(|members| members.len() >= least)
        .map(|members| {
            let mean = |pick: fn(&Arrow) -> Point| {
                let count = members.len() as f64;
                members.iter().fold((0.0, 0.0), |sum, member| {
                    let point = pick(member);
                    (sum.0 + point.0 / count, sum.1 + point.1 / count)
                })
            };
            Arrow {
                from: mean(|arrow| arrow.from),
                to: mean(|arrow| arrow.to),
                name: format!("mean of {} {each}s", members.len()),
            }
        })
        .collect()
}

/// A shaft with a head; only a dot where there is no length to speak of.
fn arrow(canvas: &Canvas<'_>, from: Point, to: Point) -> Result<(), DrawError> {
    const HEAD: f64 = 5.0;
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = dx.hypot(dy);
    if length < 1.5 {
        return canvas.disc(to, 1.6, VERMILLION, 1.0);
    }
    let (ux, uy) = (dx / length, dy / length);
    let head = HEAD.min(0.7 * length);
    let neck = (to.0 - head * ux, to.1 - head * uy);
    canvas.line(&[from, neck], Stroke::solid(VERMILLION, 1.2))?;
    let half = 0.42 * head;
    canvas.polygon(
        &[
            to,
            (neck.0 - half * uy, neck.1 + half * ux),
            (neck.0 + half * uy, neck.1 - half * ux),
        ],
        VERMILLION,
        1.0,
    )
}
