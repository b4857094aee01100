//! How training went: loss, error or accuracy and learning rate by epoch.

use std::collections::BTreeMap;

use plotters::style::text_anchor::{HPos, VPos};

use super::axis::{self, Axis, Scale};
use super::canvas::{
    self, BELOW, BLUE, Canvas, DrawError, GREY, HEADING, Labels, Look, Marker, NAME, Plot, Point, Rect, SMALL, Stroke,
    TITLE_BLOCK, VERMILLION,
};
use super::figure::{About, Figure, Hover};
use super::font::{self, Weight};
use super::{Error, RunReport, metric};

/// More small panels than this nobody reads.
const MOST_PANELS: usize = 24;

/// The values of one split by epoch.
struct Curve {
    split: &'static str,
    points: Vec<(u32, f64)>,
}

/// One pair of axes.
struct Panel {
    title: String,
    curves: Vec<Curve>,
}

/// Loss, MAE (or accuracy and UAR) and learning rate: those that were recorded.
pub(super) fn figures(report: &RunReport) -> Result<Vec<Figure>, Error> {
    let mut figures = Vec::new();
    figures.extend(loss(report)?);
    figures.extend(mean_absolute_error(report)?);
    figures.extend(accuracy(report)?);
    Ok(figures)
}

fn loss(report: &RunReport) -> Result<Option<Figure>, Error> {
    let kind = loss_kind(&report.settings_toml);
    let label = match &kind {
        Some(kind) => format!("loss ({})", metric::label(kind)),
        None => "loss".to_owned(),
    };
    let panels = vec![Panel {
        title: String::new(),
        curves: curves(report, "loss"),
    }];
    curve_figure(report, "loss", "Loss by epoch", &label, panels)
}

fn mean_absolute_error(report: &RunReport) -> Result<Option<Figure>, Error> {
    let mut targets: Vec<&str> = Vec::new();
    for row in &report.metrics {
        if let Some(target) = row.name.strip_prefix("mae/")
            && !targets.contains(&target)
        {
            targets.push(target);
        }
    }
    let overall = curves(report, "mae");
    let mut panels = Vec::new();
    if !overall.is_empty() {
        panels.push(Panel {
            title: if targets.len() > 1 {
                "average of the targets".to_owned()
            } else {
                String::new()
            },
            curves: overall,
        });
    }
    if targets.len() > 1 || panels.is_empty() {
        panels.extend(targets.iter().map(|target| Panel {
            title: (*target).to_owned(),
            curves: curves(report, &format!("mae/{target}")),
        }));
    }
    curve_figure(
        report,
        "mae",
        "Mean absolute error by epoch",
        "MAE (units of the target)",
        panels,
    )
}

fn accuracy(report: &RunReport) -> Result<Option<Figure>, Error> {
    let panels = ["accuracy", "uar"]
        .into_iter()
        .map(|name| Panel {
            title: match name {
                "uar" => "UAR (unweighted average recall)".to_owned(),
                other => metric::label(other).to_owned(),
            },
            curves: curves(report, name),
        })
        .collect();
    curve_figure(report, "accuracy", "Accuracy by epoch", "share (0 to 1)", panels)
}

/// `loss.kind` of the settings.
fn loss_kind(settings: &str) -> Option<String> {
    let settings: toml::Table = settings.parse().ok()?;
    let kind = settings.get("loss")?.get("kind")?.as_str()?;
    Some(kind.to_owned())
}

/// What was recorded under `name` for training and validation; where an epoch has several values, its last.
fn curves(report: &RunReport, name: &str) -> Vec<Curve> {
    ["train", "val"]
        .into_iter()
        .filter_map(|split| {
            let points = by_epoch(report, split, name);
            (!points.is_empty()).then_some(Curve { split, points })
        })
        .collect()
}

fn by_epoch(report: &RunReport, split: &str, name: &str) -> Vec<(u32, f64)> {
    let mut latest: BTreeMap<u32, (u64, f64)> = BTreeMap::new();
    for row in report
        .metrics
        .iter()
        .filter(|row| row.split == split && row.name == name)
    {
        let entry = latest.entry(row.epoch).or_insert((row.step, row.value));
        if row.step >= entry.0 {
            *entry = (row.step, row.value);
        }
    }
    latest.into_iter().map(|(epoch, (_, value))| (epoch, value)).collect()
}

fn split_name(split: &str) -> &str {
    match split {
        "train" => "training",
        "val" => "validation",
        other => other,
    }
}

fn curve_figure(
    report: &RunReport,
    name: &'static str,
    title: &str,
    y_label: &str,
    mut panels: Vec<Panel>,
) -> Result<Option<Figure>, Error> {
    panels.retain(|panel| !panel.curves.is_empty());
    panels.truncate(MOST_PANELS);
    let Some(epochs) = epochs(&panels) else {
        return Ok(None);
    };
    let best = report.best_epoch.filter(|best| (epochs.0..=epochs.1).contains(best));
    let splits: Vec<&'static str> = ["train", "val"]
        .into_iter()
        .filter(|split| {
            panels
                .iter()
                .flat_map(|panel| &panel.curves)
                .any(|curve| curve.split == *split)
        })
        .collect();

    let grid = Grid::of(panels.len());
    let headings = panels.iter().any(|panel| !panel.title.is_empty());
    let mut caption = format!("{title}: {}.", described(&splits));
    if let Some(best) = best {
        let monitor = if report.monitor.is_empty() {
            String::new()
        } else {
            format!(" by {}", report.monitor)
        };
        caption.push_str(&format!(" The dotted line marks epoch {best}, the best{monitor}."));
    }
    let gaps = panels
        .iter()
        .flat_map(|panel| &panel.curves)
        .flat_map(|curve| &curve.points)
        .any(|point| !axis::drawable(point.1));
    if gaps {
        caption.push_str(" Crosses stand for values that are not finite.");
    }
    let mut entries: Vec<String> = splits.iter().map(|split| split_name(split).to_owned()).collect();
    if let Some(best) = best {
        entries.push(format!("best: epoch {best}"));
    }
    if gaps {
        entries.push("not finite".to_owned());
    }
    let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
    let about = About {
        name,
        title: title.to_owned(),
        caption,
        width: grid.width,
        height: TITLE_BLOCK
            + canvas::legend_height(&entries, grid.width)
            + grid.rows as f64 * grid.panel_height(headings)
            + NAME
            + 4.0,
    };
    let figure = Figure::draw(about, |canvas| {
        let mut top = canvas.title(title)?;
        top += canvas.legend(top, &entries, |canvas, index, at| match splits.get(index) {
            Some(split) => sample(canvas, split, at),
            None if best.is_some() && index == splits.len() => {
                canvas.line(&[(at.0, at.1 - 6.0), (at.0, at.1 + 6.0)], best_stroke())
            }
            None => canvas.marker(at, Marker::Cross, 3.5, GREY),
        })?;
        draw_panels(canvas, top, &grid, &panels, y_label, epochs, best)
    })?;
    Ok(Some(figure))
}

/// Panels side by side.
struct Grid {
    columns: usize,
    rows: usize,
    width: f64,
}

impl Grid {
    fn of(count: usize) -> Self {
        let columns = match count {
            0 | 1 => 1,
            2 | 4 => 2,
            3 | 5..=9 => 3,
            _ => 4,
        };
        Self {
            columns,
            rows: count.div_ceil(columns),
            width: if columns == 1 { 360.0 } else { 720.0 },
        }
    }

    fn panel_height(&self, headings: bool) -> f64 {
        let plot = if self.columns == 1 {
            170.0
        } else {
            0.5 * self.width / self.columns as f64
        };
        plot + BELOW + if headings { HEADING } else { 6.0 }
    }
}

fn draw_panels(
    canvas: &Canvas<'_>,
    top: f64,
    grid: &Grid,
    panels: &[Panel],
    y_label: &str,
    epochs: (u32, u32),
    best: Option<u32>,
) -> Result<Vec<Hover>, DrawError> {
    let values = |panel: &Panel| -> Vec<f64> {
        panel
            .curves
            .iter()
            .flat_map(|curve| curve.points.iter().map(|point| point.1))
            .collect()
    };
    // One kind of scale for all, so that panels can be compared.
    let scales: Vec<Scale> = panels.iter().map(|panel| Scale::suited(values(panel), 30.0)).collect();
    let positive = panels
        .iter()
        .flat_map(values)
        .filter(|&value| axis::drawable(value))
        .all(|value| value > 0.0);
    let scale = if positive && scales.contains(&Scale::Logarithmic) {
        Scale::Logarithmic
    } else {
        Scale::Linear
    };
    let ticks = if grid.columns < 3 { 6 } else { 4 };
    let axes: Vec<Axis> = panels
        .iter()
        .map(|panel| Axis::scaled(scale, values(panel), ticks))
        .collect();
    let room = axes.iter().map(canvas::tick_room).fold(0.0, f64::max);
    let headings = panels.iter().any(|panel| !panel.title.is_empty());
    let heading = if headings { HEADING } else { 6.0 };
    let panel_width = (grid.width - NAME - 8.0) / grid.columns as f64;
    let panel_height = grid.panel_height(headings);
    let label = match scale {
        Scale::Logarithmic => format!("{y_label}, log scale"),
        Scale::Linear => y_label.to_owned(),
    };
    let lowest_edge = top + grid.rows as f64 * panel_height - BELOW;
    canvas.side_name(&label, 4.0 + NAME / 2.0, top + heading, lowest_edge)?;

    let mut hover = Vec::new();
    for (index, (panel, y)) in panels.iter().zip(axes).enumerate() {
        let (row, column) = (index / grid.columns, index % grid.columns);
        let rect = Rect {
            left: 4.0 + NAME + column as f64 * panel_width + room,
            top: top + row as f64 * panel_height + heading,
            width: (panel_width - room - 8.0).max(20.0),
            height: panel_height - heading - BELOW,
        };
        let labels = Labels {
            title: (!panel.title.is_empty()).then_some(panel.title.as_str()),
            x: (index + grid.columns >= panels.len()).then_some("epoch"),
            y: None,
        };
        let plot = canvas.axes(rect, Axis::whole(epochs.0, epochs.1, 8), y, &labels)?;
        if let Some(best) = best {
            let x = plot.at(f64::from(best), 0.0).0;
            canvas.line(&[(x, plot.rect.top), (x, plot.rect.bottom())], best_stroke())?;
        }
        for curve in &panel.curves {
            draw_curve(canvas, &plot, curve)?;
        }
        let curves = panel
            .curves
            .iter()
            .map(|curve| (split_name(curve.split).to_owned(), curve.points.clone()));
        hover.push(Hover::new(&plot, curves.collect()));
    }
    Ok(hover)
}

fn described(splits: &[&str]) -> String {
    splits
        .iter()
        .map(|split| match *split {
            "train" => "training (dashed, circles)",
            _ => "validation (solid, squares)",
        })
        .collect::<Vec<_>>()
        .join(" and ")
}

fn epochs(panels: &[Panel]) -> Option<(u32, u32)> {
    let epochs = || {
        panels
            .iter()
            .flat_map(|panel| &panel.curves)
            .flat_map(|curve| curve.points.iter().map(|point| point.0))
    };
    Some((epochs().min()?, epochs().max()?))
}

fn best_stroke() -> Stroke {
    Stroke::dashed(GREY, 1.0, 1.2, 2.4)
}

fn curve_stroke(split: &str) -> Stroke {
    match split {
        "train" => Stroke::dashed(BLUE, 1.4, 4.5, 2.5),
        _ => Stroke::solid(VERMILLION, 1.6),
    }
}

fn curve_marker(canvas: &Canvas<'_>, split: &str, at: Point) -> Result<(), DrawError> {
    match split {
        "train" => canvas.marker(at, Marker::Ring, 2.2, BLUE),
        _ => canvas.marker(at, Marker::Square, 2.4, VERMILLION),
    }
}

fn sample(canvas: &Canvas<'_>, split: &str, at: Point) -> Result<(), DrawError> {
    canvas.line(&[(at.0 - 13.0, at.1), (at.0 + 13.0, at.1)], curve_stroke(split))?;
    curve_marker(canvas, split, at)
}

/// Lines between neighbours that can be drawn, a marker at about every twelfth of the way, and a cross at the upper edge
/// for each value that cannot be drawn.
fn draw_curve(canvas: &Canvas<'_>, plot: &Plot, curve: &Curve) -> Result<(), DrawError> {
    let shown = |value: f64| axis::drawable(value) && (!plot.y.is_logarithmic() || value > 0.0);
    for stretch in curve.points.split(|point| !shown(point.1)) {
        let points: Vec<Point> = stretch
            .iter()
            .map(|&(epoch, value)| plot.at(f64::from(epoch), value))
            .collect();
        canvas.line(&points, curve_stroke(curve.split))?;
    }
    let every = curve.points.len().div_ceil(12).max(1);
    // The two series carry their markers at different epochs where they have few.
    let offset = if curve.split == "train" { every / 2 } else { 0 };
    for (index, &(epoch, value)) in curve.points.iter().enumerate() {
        let alone = |neighbour: Option<&(u32, f64)>| neighbour.is_none_or(|point| !shown(point.1));
        let lonely = alone(index.checked_sub(1).and_then(|before| curve.points.get(before)))
            && alone(curve.points.get(index + 1));
        if !shown(value) {
            let (x, _) = plot.at(f64::from(epoch), plot.y.high());
            canvas.marker(
                (x, plot.rect.top + 4.0),
                Marker::Cross,
                3.5,
                curve_stroke(curve.split).color,
            )?;
        } else if lonely || index % every == offset {
            curve_marker(canvas, curve.split, plot.at(f64::from(epoch), value))?;
        }
    }
    Ok(())
}

/// The learning rate by epoch, as steps.
pub(super) fn learning_rate(report: &RunReport) -> Result<Option<Figure>, Error> {
    let points = by_epoch(report, "", "learning_rate");
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Ok(None);
    };
    let epochs = (first.0, last.0);
    let title = "Learning rate by epoch";
    let about = About {
        name: "learning-rate",
        title: title.to_owned(),
        caption: "The optimiser's learning rate by epoch.".to_owned(),
        width: 360.0,
        height: TITLE_BLOCK + 150.0 + BELOW + NAME + 4.0,
    };
    let figure = Figure::draw(about, |canvas| {
        let top = canvas.title(title)?;
        let scale = Scale::suited(points.iter().map(|point| point.1), 5.0);
        let y = Axis::scaled(scale, points.iter().map(|point| point.1), 6);
        let label = match scale {
            Scale::Logarithmic => "learning rate, log scale",
            Scale::Linear => "learning rate",
        };
        let left = 4.0 + NAME + canvas::tick_room(&y);
        let rect = Rect {
            left,
            top,
            width: canvas.width - left - 8.0,
            height: 150.0,
        };
        let labels = Labels {
            title: None,
            x: Some("epoch"),
            y: Some(label),
        };
        let plot = canvas.axes(rect, Axis::whole(epochs.0, epochs.1, 8), y, &labels)?;
        let shown = |rate: f64| axis::drawable(rate) && (!plot.y.is_logarithmic() || rate > 0.0);
        for stretch in points.split(|point| !shown(point.1)) {
            let steps: Vec<Point> = stretch
                .iter()
                .flat_map(|&(epoch, rate)| [-0.5, 0.5].map(|half| plot.at(f64::from(epoch) + half, rate)))
                .collect();
            canvas.line(&steps, Stroke::solid(BLUE, 1.6))?;
        }
        if let Some(best) = report.best_epoch.filter(|best| (epochs.0..=epochs.1).contains(best)) {
            let (x, _) = plot.at(f64::from(best), plot.y.high());
            canvas.line(&[(x, plot.rect.top), (x, plot.rect.bottom())], best_stroke())?;
            let text = format!("best: epoch {best}");
            let length = font::width(&text, SMALL, Weight::Regular);
            let (at, side) = if x + length + 6.0 > plot.rect.right() {
                (x - 4.0, HPos::Right)
            } else {
                (x + 4.0, HPos::Left)
            };
            canvas.text(
                &text,
                (at, plot.rect.top + 6.0),
                Look::new(SMALL).color(GREY).at(side, VPos::Center),
            )?;
        }
        Ok(vec![Hover::new(
            &plot,
            vec![("learning rate".to_owned(), points.clone())],
        )])
    })?;
    Ok(Some(figure))
}
