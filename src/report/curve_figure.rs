//! Curves by epoch, training and validation told apart by dash and marker, the best epoch marked.

use super::axis::{self, Axis, Scale};
use super::canvas::{self, BELOW, Canvas, DrawError, HEADING, Labels, NAME, Plot, TITLE_BLOCK};
use super::curves::{Curve, Panel};
use super::figure::{About, Curves, Figure, Values};
use super::font::{self, Weight};
use super::grid::{Grid, MOST_PANELS, Width};
use super::legend::legend_height;
use super::metric::split_word;
use super::style::{BLUE, GREY, LABEL, Marker, Point, Rect, Stroke, VERMILLION};
use super::timeline::Timeline;
use super::{Error, RunReport};

/// What all panels of a figure share.
struct Shared {
    grid: Grid,
    /// The height of the titles above the panels.
    heading: f64,
    panel_height: f64,
    splits: Vec<&'static str>,
    /// The first and the last place of any curve.
    epochs: (f64, f64),
    /// Where the best checkpoint was made, and what that place is called.
    best: Option<(f64, String)>,
    /// Is any value not finite?
    gaps: bool,
}

impl Shared {
    /// `None` where there is no value at all.
    fn of(panels: &[Panel], best: Option<(f64, String)>, width: Width) -> Option<Self> {
        let curves = || panels.iter().flat_map(|panel| &panel.curves);
        let points = || curves().flat_map(|curve| &curve.points);
        let epochs = points().map(|point| (point.0, point.0));
        let epochs = epochs.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
        let grid = Grid::of(panels.len(), width);
        let heading = if panels.iter().any(|panel| !panel.title.is_empty()) {
            HEADING
        } else {
            6.0
        };
        let plot_height = if grid.columns == 1 {
            170.0
        } else {
            (0.5 * grid.panel_width(0.0)).max(110.0)
        };
        Some(Self {
            grid,
            heading,
            panel_height: heading + plot_height + BELOW,
            splits: ["train", "val"]
                .into_iter()
                .filter(|split| curves().any(|curve| curve.split == *split))
                .collect(),
            epochs,
            best: best.filter(|(at, _)| (epochs.0..=epochs.1).contains(at)),
            gaps: points().any(|point| !axis::drawable(point.1)),
        })
    }

    fn caption(&self, title: &str, monitor: &str) -> String {
        let looks: Vec<&str> = self
            .splits
            .iter()
            .map(|split| match *split {
                "train" => "training (dashed, circles)",
                _ => "validation (solid, squares)",
            })
            .collect();
        let mut caption = format!("{title}: {}.", looks.join(" and "));
        if let Some((_, best)) = &self.best {
            let by = if monitor.is_empty() {
                String::new()
            } else {
                format!(" by {monitor}")
            };
            caption.push_str(&format!(" The dotted line marks {best}, the best{by}."));
        }
        if self.gaps {
            caption.push_str(" Crosses stand for values that are not finite.");
        }
        caption
    }

    fn legend(&self) -> Vec<String> {
        let splits = self.splits.iter().map(|split| split_word(split).to_owned());
        let best = self.best.as_ref().map(|(_, best)| format!("best: {best}"));
        let gaps = self.gaps.then(|| "not finite".to_owned());
        splits.chain(best).chain(gaps).collect()
    }
}

/// `None` where no panel has a curve.
pub(super) fn figure(
    report: &RunReport,
    name: &'static str,
    title: &str,
    y_label: &str,
    mut panels: Vec<Panel>,
) -> Result<Option<Figure>, Error> {
    panels.retain(|panel| !panel.curves.is_empty());
    let left_out = panels.len().saturating_sub(MOST_PANELS);
    panels.truncate(MOST_PANELS);
    let Some(shared) = Shared::of(&panels, best(report), report.width) else {
        return Ok(None);
    };
    let entries = shared.legend();
    let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
    let mut caption = shared.caption(title, &report.monitor);
    if left_out > 0 {
        caption.push_str(&format!(" {left_out} more are not shown."));
    }
    let grid = shared.grid;
    let about = About {
        name,
        title: title.to_owned(),
        caption,
        width: grid.width,
        height: TITLE_BLOCK + legend_height(&entries, grid.width) + grid.rows as f64 * shared.panel_height + NAME + 4.0,
    };
    let figure = Figure::draw(about, |canvas| {
        let mut top = canvas.title(title)?;
        top += canvas.legend(top, &entries, |canvas, index, at| match shared.splits.get(index) {
            Some(split) => sample(canvas, split, at),
            None if shared.best.is_some() && index == shared.splits.len() => {
                canvas.line(&[(at.0, at.1 - 6.0), (at.0, at.1 + 6.0)], best_stroke())
            }
            None => canvas.marker(at, Marker::Cross, 3.5, GREY),
        })?;
        draw_panels(canvas, top, &shared, &panels, y_label)
    })?;
    Ok(Some(figure))
}

/// Where the best checkpoint was made: its place, and "epoch 3" or "epoch 2.4".
pub(super) fn best(report: &RunReport) -> Option<(f64, String)> {
    let epoch = report.best_epoch?;
    let at = match (Timeline::of(&report.metrics), report.best_step) {
        (timeline @ Timeline::Updates { .. }, Some(step)) => timeline.at(epoch, step),
        _ => f64::from(epoch),
    };
    // Two decimals at most, without zeros at the end.
    let shown = (at * 100.0).round() / 100.0;
    Some((at, format!("epoch {shown}")))
}

/// The axis of epochs.
pub(super) fn epoch_axis(epochs: (f64, f64)) -> Axis {
    let whole = |epoch: f64| epoch.clamp(0.0, f64::from(u32::MAX)) as u32;
    Axis::whole(whole(epochs.0.floor()), whole(epochs.1.ceil()), 8)
}

fn values(panel: &Panel) -> impl Iterator<Item = f64> {
    panel
        .curves
        .iter()
        .flat_map(|curve| curve.points.iter().map(|point| point.1))
}

/// One kind of scale for all, so that panels can be compared.
fn common_scale(panels: &[Panel]) -> Scale {
    let suits = panels
        .iter()
        .any(|panel| Scale::suited(values(panel), 30.0) == Scale::Logarithmic);
    let mut drawable = panels.iter().flat_map(values).filter(|&value| axis::drawable(value));
    if suits && drawable.all(|value| value > 0.0) {
        Scale::Logarithmic
    } else {
        Scale::Linear
    }
}

fn draw_panels(
    canvas: &Canvas<'_>,
    top: f64,
    shared: &Shared,
    panels: &[Panel],
    y_label: &str,
) -> Result<Values, DrawError> {
    let grid = shared.grid;
    let scale = common_scale(panels);
    let ticks = grid.ticks();
    let axes: Vec<Axis> = panels
        .iter()
        .map(|panel| Axis::scaled(scale, values(panel), ticks))
        .collect();
    let room = axes.iter().map(canvas::tick_room).fold(0.0, f64::max);
    let panel_width = grid.panel_width(NAME + 8.0);
    let bottom = top + grid.rows as f64 * shared.panel_height - BELOW;
    let label = scaled_label(y_label, scale, bottom - top);
    canvas.side_name(&label, 4.0 + NAME / 2.0, top + shared.heading, bottom)?;

    let mut shown = Vec::new();
    for (index, (panel, y)) in panels.iter().zip(axes).enumerate() {
        let (row, column) = grid.place(index);
        let rect = Rect {
            left: 4.0 + NAME + column as f64 * panel_width + room,
            top: top + row as f64 * shared.panel_height + shared.heading,
            width: (panel_width - room - 8.0).max(20.0),
            height: shared.panel_height - shared.heading - BELOW,
        };
        let labels = Labels {
            title: (!panel.title.is_empty()).then_some(panel.title.as_str()),
            x: grid.is_lowest(index).then_some("epoch"),
            y: None,
        };
        let plot = canvas.axes(rect, epoch_axis(shared.epochs), y, &labels)?;
        if let Some((best, _)) = &shared.best {
            let x = plot.at(*best, plot.y.low()).0;
            canvas.line(&[(x, rect.top), (x, rect.bottom())], best_stroke())?;
        }
        for curve in &panel.curves {
            draw_curve(canvas, &plot, curve)?;
        }
        let curves = panel.curves.iter();
        let curves = curves.map(|curve| (split_word(curve.split).to_owned(), curve.points.clone()));
        shown.push(Curves::new(&plot, curves.collect()));
    }
    Ok(shown.into())
}

/// The axis's name; on a logarithmic scale it says so, without what stands in brackets where that would be too long.
fn scaled_label(label: &str, scale: Scale, limit: f64) -> String {
    if scale == Scale::Linear {
        return label.to_owned();
    }
    let whole = format!("{label}, log scale");
    if font::width(&whole, LABEL, Weight::Regular) <= limit {
        return whole;
    }
    let short = label.split(" (").next().unwrap_or(label);
    format!("{short}, log scale")
}

/// The line at the best epoch.
pub(super) fn best_stroke() -> Stroke {
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
        let points: Vec<Point> = stretch.iter().map(|&(epoch, value)| plot.at(epoch, value)).collect();
        canvas.line(&points, curve_stroke(curve.split))?;
    }
    let every = curve.points.len().div_ceil(12).max(1);
    // The two series carry their markers at different epochs where they have few.
    let offset = if curve.split == "train" { every / 2 } else { 0 };
    for (index, &(epoch, value)) in curve.points.iter().enumerate() {
        let alone = |neighbour: Option<&(f64, f64)>| neighbour.is_none_or(|point| !shown(point.1));
        let lonely = alone(index.checked_sub(1).and_then(|before| curve.points.get(before)))
            && alone(curve.points.get(index + 1));
        if !shown(value) {
            let (x, _) = plot.at(epoch, plot.y.high());
            canvas.marker(
                (x, plot.rect.top + 4.0),
                Marker::Cross,
                3.5,
                curve_stroke(curve.split).color,
            )?;
        } else if lonely || index % every == offset {
            curve_marker(canvas, curve.split, plot.at(epoch, value))?;
        }
    }
    Ok(())
}
