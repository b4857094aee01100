//! What a model says about one recording, over time and in the valence–arousal plane.

use plotters::style::RGBColor;

use super::Error;
use super::axis::{self, Axis};
use super::canvas::{self, BELOW, Canvas, DrawError, Labels, NAME, TITLE_BLOCK};
use super::figure::{About, Figure, Values};
use super::legend::{LEGEND_ROW, legend_height};
use super::style::{
    BLUE, Dash, GREEN, GREY, INK, Marker, ORANGE, PALE, PURPLE, Point, Rect, Stroke, VERMILLION, shade,
};

/// Colours of the lines; behind the last one they begin anew, dashed.
const COLORS: [RGBColor; 6] = [BLUE, VERMILLION, GREEN, PURPLE, ORANGE, INK];
const PANEL: f64 = 200.0;
const SIDE: f64 = 284.0;
/// Above so many seconds the axis is in minutes.
const LONG: f64 = 300.0;

/// Predictions along a recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Trajectory {
    /// The file's name.
    pub recording: String,
    /// Targets or classes.
    pub names: Vec<String>,
    /// Whether the values are probabilities.
    pub probabilities: bool,
    /// Seconds at the middle of each window, and its values.
    pub points: Vec<(f64, Vec<f32>)>,
}

/// The values over time and, where there are valence and arousal, the way through their plane.
///
/// # Errors
/// [`Error::Draw`], which no data should cause.
pub fn trajectory(trajectory: &Trajectory) -> Result<Vec<Figure>, Error> {
    let mut figures = vec![over_time(trajectory)?];
    figures.extend(in_plane(trajectory)?);
    Ok(figures)
}

fn over_time(trajectory: &Trajectory) -> Result<Figure, Error> {
    let Trajectory {
        recording,
        names,
        points,
        ..
    } = trajectory;
    let title = format!("{recording}: {} over time", joined(names, trajectory.probabilities));
    let legend: Vec<&str> = names.iter().map(String::as_str).collect();
    let width = 720.0;
    let about = About {
        name: "trajectory",
        title: title.clone(),
        caption: format!(
            "{title}. Each point is a prediction for one window, at the window's middle ({} windows).",
            points.len()
        ),
        width,
        height: TITLE_BLOCK + legend_height(&legend, width) + 8.0 + PANEL + BELOW + NAME + 4.0,
    };
    Figure::draw(about, |canvas| {
        let mut top = canvas.title(&title)?;
        top += canvas.legend(top, &legend, |canvas, index, at| {
            canvas.line(&[(at.0 - 13.0, at.1), (at.0 + 13.0, at.1)], stroke(index))
        })?;
        let last = points.last().map_or(0.0, |point| point.0);
        let (unit, word) = match last > LONG {
            true => (60.0, "time (min)"),
            false => (1.0, "time (s)"),
        };
        let values = points
            .iter()
            .flat_map(|(_, values)| values.iter().map(|&value| f64::from(value)));
        let y = match trajectory.probabilities {
            true => Axis::linear(0.0, 1.0, 6),
            false => Axis::around(values.filter(|value| axis::drawable(*value)), 6),
        };
        let x = Axis::linear(0.0, (last / unit).max(1e-3), 10);
        let room = canvas::tick_room(&y);
        let rect = Rect {
            left: 4.0 + NAME + room,
            top: top + 8.0,
            width: width - (4.0 + NAME + room) - 12.0,
            height: PANEL,
        };
        let labels = Labels {
            title: None,
            x: Some(word),
            y: Some(if trajectory.probabilities {
                "probability"
            } else {
                "prediction"
            }),
        };
        let plot = canvas.axes(rect, x, y, &labels)?;
        for index in 0..names.len() {
            let line: Vec<Point> = points
                .iter()
                .filter_map(|(time, values)| {
                    let value = f64::from(*values.get(index)?);
                    axis::drawable(value).then(|| plot.at(time / unit, value))
                })
                .collect();
            match line.as_slice() {
                [only] => canvas.disc(*only, 2.4, color(index), 1.0)?,
                line => canvas.line(line, stroke(index))?,
            }
        }
        Ok(Values::default())
    })
}

fn joined(names: &[String], probabilities: bool) -> String {
    match (probabilities, names) {
        (false, [one]) => one.clone(),
        (false, [one, other]) => format!("{one} and {other}"),
        (false, several) => several.join(", "),
        (true, _) => "class probabilities".into(),
    }
}

fn color(index: usize) -> RGBColor {
    COLORS.get(index % COLORS.len()).copied().unwrap_or(INK)
}

fn stroke(index: usize) -> Stroke {
    let dash = match index / COLORS.len() {
        0 => Dash::Solid,
        1 => Dash::Dashes(6.0, 3.0),
        _ => Dash::Dashes(2.0, 2.0),
    };
    Stroke {
        color: color(index),
        width: 1.6,
        dash,
    }
}

fn in_plane(trajectory: &Trajectory) -> Result<Option<Figure>, Error> {
    let index_of = |name: &str| {
        trajectory
            .names
            .iter()
            .position(|it| it.to_lowercase().starts_with(name))
    };
    let (Some(valence), Some(arousal), false) = (index_of("valence"), index_of("arousal"), trajectory.probabilities)
    else {
        return Ok(None);
    };
    let way: Vec<Point> = trajectory
        .points
        .iter()
        .filter_map(|(_, values)| {
            let point = (f64::from(*values.get(valence)?), f64::from(*values.get(arousal)?));
            (axis::drawable(point.0) && axis::drawable(point.1)).then_some(point)
        })
        .collect();
    let (Some(&first), Some(&last)) = (way.first(), way.last()) else {
        return Ok(None);
    };
    let title = format!("{}: way through the plane", trajectory.recording);
    let about = About {
        name: "trajectory-plane",
        title: title.clone(),
        caption: format!("{title}. Each dot is a prediction for one window; the later, the darker."),
        width: 360.0,
        height: TITLE_BLOCK + LEGEND_ROW + 8.0 + SIDE + BELOW + NAME + 4.0,
    };
    let figure = Figure::draw(about, |canvas| {
        let mut top = canvas.title(&title)?;
        top += canvas.legend(
            top,
            &["beginning", "end", "later is darker"],
            |canvas, index, at| match index {
                0 => canvas.marker(at, Marker::Ring, 3.4, VERMILLION),
                1 => canvas.marker(at, Marker::Square, 3.4, VERMILLION),
                _ => (0..4).try_for_each(|dot| {
                    let share = f64::from(dot) / 3.0;
                    canvas.disc((at.0 - 10.0 + 20.0 * share, at.1), 2.4, of_time(share), 1.0)
                }),
            },
        )?;
        let rect = Rect {
            left: canvas.width - SIDE - 12.0,
            top: top + 8.0,
            width: SIDE,
            height: SIDE,
        };
        let labels = Labels {
            title: None,
            x: trajectory.names.get(valence).map(String::as_str),
            y: trajectory.names.get(arousal).map(String::as_str),
        };
        let (x, y) = equal_axes(&way);
        let plot = canvas.axes(rect, x, y, &labels)?;
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
        let line: Vec<Point> = way.iter().copied().map(on_sheet).collect();
        canvas.line(&line, Stroke::solid(PALE, 1.0))?;
        for (index, &point) in line.iter().enumerate() {
            dot(canvas, point, index as f64 / (line.len() - 1).max(1) as f64)?;
        }
        canvas.marker(on_sheet(first), Marker::Ring, 4.0, VERMILLION)?;
        canvas.marker(on_sheet(last), Marker::Square, 4.0, VERMILLION)?;
        canvas.frame(rect, Stroke::solid(PALE, 0.8))?;
        Ok(Values::default())
    })?;
    Ok(Some(figure))
}

/// One scale for both, so that a way's length means the same in every direction.
fn equal_axes(way: &[Point]) -> (Axis, Axis) {
    let ends = |pick: fn(&Point) -> f64| {
        let values = way.iter().map(pick);
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        })
    };
    let (x, y) = (ends(|point| point.0), ends(|point| point.1));
    let half = 0.55 * (x.1 - x.0).max(y.1 - y.0);
    let axis = |(low, high): (f64, f64)| {
        let middle = (low + high) / 2.0;
        Axis::linear(middle - half, middle + half, 6)
    };
    (axis(x), axis(y))
}

fn dot(canvas: &Canvas<'_>, at: Point, share: f64) -> Result<(), DrawError> {
    canvas.disc(at, 2.2, of_time(share), 1.0)
}

/// Of a share of the whole time.
fn of_time(share: f64) -> RGBColor {
    shade(0.25 + 0.75 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str], points: &[(f64, &[f32])], probabilities: bool) -> Trajectory {
        Trajectory {
            recording: "song <1>.mp3".into(),
            names: names.iter().map(|&name| name.to_owned()).collect(),
            probabilities,
            points: points.iter().map(|(time, values)| (*time, values.to_vec())).collect(),
        }
    }

    #[test]
    fn any_recording_is_drawn() {
        let two: [(f64, &[f32]); 2] = [(0.5, &[0.1, -0.2]), (1.0, &[0.3, 0.4])];
        for (points, count) in [(&two[..], 2), (&two[..1], 2), (&[], 1)] {
            let figures = trajectory(&of(&["valence", "arousal"], points, false)).unwrap();
            assert_eq!(figures.len(), count);
            assert!(figures.iter().all(|figure| figure.svg.starts_with("<svg")));
        }
        let broken: [(f64, &[f32]); 2] = [(0.5, &[f32::NAN, 1.0]), (1e6, &[f32::INFINITY, 2.0])];
        assert_eq!(
            trajectory(&of(&["arousal", "valence"], &broken, false)).unwrap().len(),
            1
        );
        let classes: Vec<String> = (0..20).map(|class| format!("class {class}")).collect();
        let names: Vec<&str> = classes.iter().map(String::as_str).collect();
        assert_eq!(trajectory(&of(&names, &[(1.0, &[0.05; 20])], true)).unwrap().len(), 1);
    }
}
