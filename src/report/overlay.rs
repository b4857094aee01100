//! The curves of several runs in one pair of axes: the mean of each series with a band, told apart by colour, dash and marker.

use std::collections::BTreeMap;

use plotters::style::RGBColor;

use super::axis::{self, Axis, Scale};
use super::canvas::{self, BELOW, Canvas, DrawError, HEADING, Labels, NAME, Plot, TITLE_BLOCK};
use super::curve_figure::epoch_axis;
use super::curves::loss_kind;
use super::figure::{About, Curves, Figure, Values};
use super::legend::legend_height;
use super::metric::{self, split_word};
use super::style::{BLUE, Dash, GREEN, INK, Marker, ORANGE, PURPLE, Point, Rect, Stroke, VERMILLION};
use super::timeline::Timeline;
use super::{Error, RunReport, Width};
use crate::evaluate::spread;
use crate::track::MetricRow;

/// More than this nobody tells apart.
pub(super) const MOST_SERIES: usize = 6;
/// What is drawn, each a figure: name, title, label of the axis.
const FIGURES: [(&str, &str, &str); 4] = [
    ("loss", "Loss by epoch", "loss"),
    ("mae", "Mean absolute error by epoch", "MAE"),
    ("accuracy", "Accuracy by epoch", "accuracy"),
    ("uar", "UAR by epoch", "UAR"),
];
const PANEL: f64 = 176.0;

/// Runs that are drawn as one line.
#[derive(Debug, Clone)]
pub struct Series {
    pub name: String,
    /// What each of them recorded.
    pub runs: Vec<Vec<MetricRow>>,
}

/// A run's points.
type Points = Vec<(f64, f64)>;

/// One series in one panel.
struct Line {
    name: String,
    runs: Vec<Points>,
    /// Of the places that all runs have: place, mean, deviation.
    means: Vec<(f64, f64, Option<f64>)>,
}

/// The curves of all repeats of a run.
pub(super) fn of_repeats(report: &RunReport) -> Result<Vec<Figure>, Error> {
    let runs = report.members.iter().map(|member| member.metrics.clone());
    let series = Series {
        name: "mean".to_owned(),
        runs: runs.filter(|metrics| !metrics.is_empty()).collect(),
    };
    figures(&[series], loss_kind(&report.settings_toml).as_deref(), report.width)
}

/// Loss, MAE, accuracy and UAR, as far as they were recorded; at most [`MOST_SERIES`] series.
pub(super) fn figures(series: &[Series], loss: Option<&str>, width: Width) -> Result<Vec<Figure>, Error> {
    let shown = series.get(..MOST_SERIES).unwrap_or(series);
    let mut figures = Vec::new();
    for (name, title, label) in FIGURES {
        let label = match (name, loss) {
            ("loss", Some(kind)) => format!("loss ({})", metric::label(kind)),
            _ => label.to_owned(),
        };
        let panels = ["train", "val"].map(|split| (split, lines(shown, split, name)));
        let panels: Vec<(&str, Vec<Line>)> = panels.into_iter().filter(|(_, lines)| !lines.is_empty()).collect();
        if !panels.is_empty() {
            figures.push(figure(name, title, &label, &panels, series.len() - shown.len(), width)?);
        }
    }
    Ok(figures)
}

fn lines(series: &[Series], split: &str, name: &str) -> Vec<Line> {
    let line = |series: &Series| {
        let points = |metrics: &Vec<MetricRow>| Timeline::of(metrics).points(metrics, split, name);
        let runs: Vec<Points> = series
            .runs
            .iter()
            .map(points)
            .filter(|points| !points.is_empty())
            .collect();
        Line {
            name: series.name.clone(),
            means: means(&runs),
            runs,
        }
    };
    // A series keeps its place, and so its look, where it has nothing to show.
    let lines: Vec<Line> = series.iter().map(line).collect();
    match lines.iter().any(|line| !line.runs.is_empty()) {
        true => lines,
        false => Vec::new(),
    }
}

fn means(runs: &[Points]) -> Vec<(f64, f64, Option<f64>)> {
    // Places are zero or above, so their bits have their order.
    let mut by_place: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for (place, value) in runs.iter().flatten() {
        if axis::drawable(*value) {
            by_place.entry(place.to_bits()).or_default().push(*value);
        }
    }
    by_place
        .into_iter()
        .filter(|(_, values)| values.len() == runs.len())
        .filter_map(|(place, values)| {
            let spread = spread(&values)?;
            Some((f64::from_bits(place), spread.mean, spread.deviation))
        })
        .collect()
}

fn figure(
    name: &'static str,
    title: &str,
    label: &str,
    panels: &[(&str, Vec<Line>)],
    left_out: usize,
    width: Width,
) -> Result<Figure, Error> {
    let alone = panels.iter().all(|(_, lines)| lines.len() == 1);
    let names: Vec<&str> = match panels.first() {
        Some((_, lines)) if alone => vec!["one run"; usize::from(lines.iter().any(|line| line.runs.len() > 1))]
            .into_iter()
            .chain(lines.iter().map(|line| line.name.as_str()))
            .rev()
            .collect(),
        Some((_, lines)) => lines.iter().map(|line| line.name.as_str()).collect(),
        None => Vec::new(),
    };
    // In one column the panels stand below each other.
    let columns = if width == Width::Column { 1 } else { panels.len() };
    let rows = panels.len().div_ceil(columns.max(1)) as f64;
    let width = width.of_panels(columns);
    let about = About {
        name,
        title: title.to_owned(),
        caption: caption(title, panels, alone, left_out),
        width,
        height: TITLE_BLOCK + legend_height(&names, width) + rows * (HEADING + PANEL + BELOW) + NAME + 4.0,
    };
    Figure::draw(about, |canvas| {
        let mut top = canvas.title(title)?;
        top += canvas.legend(top, &names, |canvas, index, at| {
            if alone && index == 1 {
                let ends = [(at.0 - 13.0, at.1), (at.0 + 13.0, at.1)];
                return canvas.line(&ends, Stroke::solid(pale(look(0).0, 0.45), 1.0));
            }
            sample(canvas, index, at)
        })?;
        let values = |lines: &[Line]| -> Vec<f64> { lines.iter().flat_map(Line::values).collect() };
        let all: Vec<f64> = panels.iter().flat_map(|(_, lines)| values(lines)).collect();
        let scale = match all.iter().all(|value| *value > 0.0) {
            true => Scale::suited(all.iter().copied(), 30.0),
            false => Scale::Linear,
        };
        let label = match scale {
            Scale::Linear => label.to_owned(),
            Scale::Logarithmic => format!("{}, log scale", label.split(" (").next().unwrap_or(label)),
        };
        let y = Axis::scaled(scale, all, 6);
        let places = || {
            panels
                .iter()
                .flat_map(|(_, lines)| lines)
                .flat_map(|line| line.runs.iter().flatten())
        };
        let epochs = places().fold((f64::INFINITY, 0.0_f64), |ends, point| {
            (ends.0.min(point.0), ends.1.max(point.0))
        });
        let room = canvas::tick_room(&y);
        let panel_width = (width - NAME - 8.0) / columns as f64;
        let mut shown = Vec::new();
        for (index, (split, lines)) in panels.iter().enumerate() {
            let rect = Rect {
                left: 4.0 + NAME + (index % columns) as f64 * panel_width + room,
                top: top + (index / columns) as f64 * (HEADING + PANEL + BELOW) + HEADING,
                width: (panel_width - room - 8.0).max(20.0),
                height: PANEL,
            };
            let labels = Labels {
                title: Some(split_word(split)),
                x: (index + columns >= panels.len()).then_some("epoch"),
                y: (index % columns == 0).then_some(label.as_str()),
            };
            let plot = canvas.axes(rect, epoch_axis(epochs), y.clone(), &labels)?;
            for (place, line) in lines.iter().enumerate() {
                line.draw_band(canvas, &plot, place)?;
            }
            for (place, line) in lines.iter().enumerate() {
                line.draw(canvas, &plot, place, alone)?;
            }
            shown.push(Curves::new(&plot, lines.iter().flat_map(Line::curves).collect()));
        }
        Ok(Values::from(shown))
    })
}

fn caption(title: &str, panels: &[(&str, Vec<Line>)], alone: bool, left_out: usize) -> String {
    let most = panels
        .iter()
        .flat_map(|(_, lines)| lines)
        .map(|line| line.runs.len())
        .max();
    let mut caption = match most {
        Some(2..) => format!(
            "{title}. Lines are means over the runs{}, bands reach one standard deviation up and down (n − 1); both end where the first \
             of the runs does.",
            match (alone, most) {
                (true, Some(count)) => format!(" (n = {count})"),
                _ => String::new(),
            }
        ),
        _ => format!("{title}."),
    };
    if alone && most > Some(1) {
        caption.push_str(" Pale lines are the runs.");
    }
    let gaps = panels
        .iter()
        .flat_map(|(_, lines)| lines)
        .flat_map(|line| line.runs.iter().flatten());
    if gaps.into_iter().any(|point| !axis::drawable(point.1)) {
        caption.push_str(" Values that are not finite are left out.");
    }
    if left_out > 0 {
        caption.push_str(&format!(" {left_out} more are not shown."));
    }
    caption
}

impl Line {
    /// All that is drawn.
    fn values(&self) -> Vec<f64> {
        let ends = |&(_, mean, deviation): &(f64, f64, Option<f64>)| {
            let deviation = deviation.unwrap_or(0.0);
            [mean - deviation, mean + deviation]
        };
        let runs = self.runs.iter().flatten().map(|point| point.1);
        // A band that reaches below zero must not keep a loss from a logarithmic scale.
        let lowest = runs
            .clone()
            .filter(|value| axis::drawable(*value))
            .fold(f64::INFINITY, f64::min);
        let ends = self
            .means
            .iter()
            .flat_map(ends)
            .filter(|value| *value > 0.0 || lowest <= 0.0);
        ends.chain(runs).filter(|value| axis::drawable(*value)).collect()
    }

    fn draw_band(&self, canvas: &Canvas<'_>, plot: &Plot, place: usize) -> Result<(), DrawError> {
        let bands: Vec<(f64, f64, f64)> = (self.means.iter())
            .filter_map(|&(at, mean, deviation)| Some((at, mean, deviation?)))
            .collect();
        if bands.len() < 2 {
            return Ok(());
        }
        let upper = bands.iter().map(|band| plot.at(band.0, band.1 + band.2));
        let lower = bands.iter().rev().map(|band| plot.at(band.0, band.1 - band.2));
        canvas.polygon(&upper.chain(lower).collect::<Vec<Point>>(), look(place).0, 0.16)
    }

    fn draw(&self, canvas: &Canvas<'_>, plot: &Plot, place: usize, with_runs: bool) -> Result<(), DrawError> {
        let (color, _, marker) = look(place);
        let shown = |value: f64| axis::drawable(value) && (!plot.y.is_logarithmic() || value > 0.0);
        if with_runs && self.runs.len() > 1 {
            for run in &self.runs {
                for stretch in run.split(|point| !shown(point.1)) {
                    let points: Vec<Point> = stretch.iter().map(|point| plot.at(point.0, point.1)).collect();
                    canvas.line(&points, Stroke::solid(pale(color, 0.45), 0.9))?;
                }
            }
        }
        let means: Vec<Point> = self.means.iter().map(|mean| plot.at(mean.0, mean.1)).collect();
        canvas.line(&means, stroke(place))?;
        let every = means.len().div_ceil(8).max(1);
        // Series carry their markers at different epochs where they have few.
        for at in means.iter().skip(place % every).step_by(every) {
            canvas.marker(*at, marker, 2.4, color)?;
        }
        Ok(())
    }

    /// For the pointer: the mean, or the only run.
    fn curves(&self) -> Vec<(String, Points)> {
        let means: Points = self.means.iter().map(|mean| (mean.0, mean.1)).collect();
        if means.is_empty() {
            return Vec::new();
        }
        let deviations: Points = (self.means.iter())
            .filter_map(|&(at, _, deviation)| Some((at, deviation?)))
            .collect();
        let mut curves = vec![(self.name.clone(), means)];
        if !deviations.is_empty() {
            curves.push((format!("{}, SD", self.name), deviations));
        }
        curves
    }
}

/// Colour, dash and marker of a series.
pub(super) fn look(place: usize) -> (RGBColor, Dash, Marker) {
    const LOOKS: [(RGBColor, Dash, Marker); MOST_SERIES] = [
        (BLUE, Dash::Solid, Marker::Disc),
        (VERMILLION, Dash::Dashes(5.0, 2.5), Marker::Square),
        (GREEN, Dash::Dashes(1.6, 2.2), Marker::Triangle),
        (PURPLE, Dash::Dashes(9.0, 3.0), Marker::Diamond),
        (ORANGE, Dash::Dashes(3.0, 3.0), Marker::Ring),
        (INK, Dash::Dashes(7.0, 2.0), Marker::Cross),
    ];
    LOOKS
        .get(place % MOST_SERIES)
        .copied()
        .unwrap_or((BLUE, Dash::Solid, Marker::Disc))
}

fn stroke(place: usize) -> Stroke {
    let (color, dash, _) = look(place);
    Stroke {
        color,
        width: 1.6,
        dash,
    }
}

fn sample(canvas: &Canvas<'_>, place: usize, at: Point) -> Result<(), DrawError> {
    let (color, _, marker) = look(place);
    canvas.line(&[(at.0 - 13.0, at.1), (at.0 + 13.0, at.1)], stroke(place))?;
    canvas.marker(at, marker, 2.4, color)
}

/// The colour on white, `share` of it.
fn pale(color: RGBColor, share: f64) -> RGBColor {
    let mix = |channel: u8| (255.0 - share * (255.0 - f64::from(channel))).round() as u8;
    RGBColor(mix(color.0), mix(color.1), mix(color.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_of_all_runs_or_not_at_all() {
        let runs = [
            vec![(1.0, 1.0), (2.0, 0.5), (3.0, 0.25)],
            vec![(1.0, 3.0), (2.0, f64::NAN)],
        ];
        assert_eq!(means(&runs), [(1.0, 2.0, Some(std::f64::consts::SQRT_2))]);
        let alone = means(&runs[..1]);
        assert_eq!(alone.len(), 3);
        assert_eq!(alone[0], (1.0, 1.0, None));
        assert!(means(&[]).is_empty());
    }
}
