//! Results side by side with their 95% intervals: points on a line, since R² and CCC may be negative. The model against its baselines,
//! or runs against each other.

use plotters::style::RGBColor;
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::{self, Axis};
use super::canvas::{BELOW, Canvas, DrawError, Labels, NAME, TITLE_BLOCK};
use super::compare::Compared;
use super::figure::{About, Figure, Spot, Values};
use super::font::{self, Weight};
use super::legend::legend_height;
use super::metric::{self, Better, split_word};
use super::overlay::{MOST_SERIES, look};
use super::style::{
    BLUE, GREEN, GREY, INK, LABEL, Look, Marker, ORANGE, PALE, PURPLE, Rect, SMALL, Stroke, VERMILLION,
};
use super::table::{Comparison, OUT_OF_FOLD};
use super::{Error, RunReport, Width};

/// Panels for regression, in this order, as far as they were recorded.
const REGRESSION: [&str; 4] = ["ccc", "rmse", "mae", "r2"];
/// Those of pairs, in place of the others.
const PAIRS: [&str; 4] = ["recall@10", "ndcg", "pearson", "mae"];
const CLASSIFICATION: [&str; 4] = ["uar", "accuracy", "macro-f1", "weighted-f1"];
/// More rows than this nobody reads.
const MOST_ROWS: usize = 30;

/// What is compared: how it looks, and what it is called.
struct Entry {
    name: String,
    marker: Marker,
    color: RGBColor,
}

/// One figure of every entry.
struct Row {
    metric: String,
    target: String,
    /// Values, and their intervals.
    values: Vec<(f64, Option<(f64, f64)>)>,
}

/// Rows that share an x axis.
struct Panel<'r> {
    title: String,
    rows: Vec<(String, &'r Row)>,
}

/// The model against its baselines.
pub(super) fn figure(report: &RunReport) -> Result<Option<Figure>, Error> {
    const BASELINES: [(Marker, RGBColor); 5] = [
        (Marker::Diamond, VERMILLION),
        (Marker::Triangle, GREEN),
        (Marker::Ring, PURPLE),
        (Marker::Cross, ORANGE),
        (Marker::Square, INK),
    ];
    let table = Comparison::of_reported_split(&report.results, &report.baselines);
    let table = table.with_intervals(&report.baseline_intervals);
    let model = Entry {
        name: "model".to_owned(),
        marker: Marker::Disc,
        color: BLUE,
    };
    let baselines = table.baselines.iter().zip(BASELINES.iter().cycle());
    let baselines = baselines.map(|(name, &(marker, color))| Entry {
        name: name.clone(),
        marker,
        color,
    });
    let entries: Vec<Entry> = std::iter::once(model).chain(baselines).collect();
    let rows = table.rows.iter().map(|row| Row {
        metric: row.metric.clone(),
        target: row.target.clone(),
        values: (row.values().into_iter().zip(row.cis()))
            .map(|(value, ci)| (value.unwrap_or(f64::NAN), ci))
            .collect(),
    });
    let split = split_word(&table.split);
    let what = match (report.members.is_empty(), table.split == OUT_OF_FOLD) {
        (true, _) => format!("Results of the best checkpoint on the {split} split beside the baselines."),
        (false, true) => "Results of all test folds together beside the baselines.".to_owned(),
        (false, false) => format!("Means over the runs on the {split} split beside the baselines."),
    };
    let intervals = match (report.members.is_empty(), table.split == OUT_OF_FOLD) {
        (false, false) => "Whiskers are 95% confidence intervals of the model's mean over the runs (Student's t).",
        _ => "Whiskers are 95% confidence intervals (bootstrap over groups of examples).",
    };
    let texts = Texts {
        name: "baselines",
        title: format!("Model against baselines, {split} split"),
        what,
        intervals,
    };
    draw(&texts, &entries, &rows.collect::<Vec<_>>(), report.width)
}

/// Groups of runs against each other.
pub(super) fn of_groups(compared: &Compared, width: Width) -> Result<Option<Figure>, Error> {
    let entries: Vec<Entry> = (compared.groups.iter().take(MOST_SERIES).enumerate())
        .map(|(place, group)| {
            let (color, _, marker) = look(place);
            Entry {
                name: group.name.clone(),
                marker,
                color,
            }
        })
        .collect();
    let rows = compared.results.iter().map(|row| Row {
        metric: row.metric.clone(),
        target: row.target.clone(),
        values: (row.values.iter().take(entries.len()))
            .map(|figure| figure.map_or((f64::NAN, None), |figure| (figure.mean, figure.ci)))
            .collect(),
    });
    let split = split_word(&compared.split);
    let mut what = format!("Results on the {split} split; of several runs, their mean.");
    if compared.groups.len() > entries.len() {
        what.push_str(&format!(
            " {} more are not shown.",
            compared.groups.len() - entries.len()
        ));
    }
    let intervals = "Whiskers are 95% confidence intervals: of a mean over runs Student's, of a single run by the bootstrap over groups of examples.";
    let texts = Texts {
        name: "results",
        title: format!("Results, {split} split"),
        what,
        intervals,
    };
    draw(&texts, &entries, &rows.collect::<Vec<_>>(), width)
}

/// The words of a figure.
struct Texts {
    name: &'static str,
    title: String,
    what: String,
    /// What whiskers are, where there are any.
    intervals: &'static str,
}

fn draw(texts: &Texts, entries: &[Entry], rows: &[Row], width: Width) -> Result<Option<Figure>, Error> {
    let panels = panels(rows);
    let Some(most_rows) = panels.iter().map(|panel| panel.rows.len()).max() else {
        return Ok(None);
    };
    let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    let name_width = panels
        .iter()
        .flat_map(|panel| &panel.rows)
        .map(|(name, _)| font::width(&font::clean(name), SMALL, Weight::Regular))
        .fold(20.0, f64::max);
    let row_height = (9.0 * entries.len() as f64 + 8.0).clamp(24.0, 62.0);
    // In one column two panels stand side by side.
    let columns = if width == Width::Column {
        panels.len().min(2)
    } else {
        panels.len()
    };
    let grid_rows = panels.len().div_ceil(columns.max(1)) as f64;
    let panel_height = 8.0 + row_height * most_rows as f64 + BELOW + NAME;
    let name_width = name_width.min(if width == Width::Column { 80.0 } else { 140.0 });
    let width = width.of_panels(columns);
    let values = || {
        panels
            .iter()
            .flat_map(|panel| &panel.rows)
            .flat_map(|(_, row)| &row.values)
    };
    let has_interval = |index: usize| {
        let mut rows = panels.iter().flat_map(|panel| &panel.rows);
        rows.any(|(_, row)| row.values.get(index).is_some_and(|value| ends(*value).is_some()))
    };
    let caption = match values().any(|value| ends(*value).is_some()) {
        true => format!("{} {}", texts.what, texts.intervals),
        false => texts.what.clone(),
    };
    let about = About {
        name: texts.name,
        title: texts.title.clone(),
        caption,
        width,
        height: TITLE_BLOCK + legend_height(&names, width) + grid_rows * panel_height + 4.0,
    };
    let figure = Figure::draw(about, |canvas| {
        let mut top = canvas.title(&texts.title)?;
        top += canvas.legend(top, &names, |canvas, index, at| {
            let Some(entry) = entries.get(index) else { return Ok(()) };
            if has_interval(index) {
                canvas.line(
                    &[(at.0 - 11.0, at.1), (at.0 + 11.0, at.1)],
                    Stroke::solid(entry.color, 1.4),
                )?;
            }
            entry.mark(canvas, at)
        })?;
        let left = 8.0 + name_width + 6.0;
        let panel_width = (width - left - 4.0) / columns as f64;
        let mut spots = Vec::new();
        for (index, panel) in panels.iter().enumerate() {
            let rect = Rect {
                left: left + (index % columns) as f64 * panel_width + 4.0,
                top: top + (index / columns) as f64 * panel_height + 8.0,
                width: panel_width - 14.0,
                height: row_height * panel.rows.len() as f64,
            };
            draw_panel(canvas, rect, panel, entries, &mut spots)?;
            if index % columns == 0 {
                for (place, (name, _)) in panel.rows.iter().enumerate() {
                    let y = rect.top + (place as f64 + 0.5) * row_height;
                    let look = Look::new(SMALL).at(HPos::Right, VPos::Center);
                    canvas.text_within(name, (rect.left - 8.0, y), look, name_width)?;
                }
            }
        }
        Ok(Values::from(spots))
    })?;
    Ok(Some(figure))
}

/// One panel a metric with a row a target; or one panel with a row a metric, where there are no targets.
fn panels(rows: &[Row]) -> Vec<Panel<'_>> {
    let of = |metric: &str| -> Vec<&Row> {
        let any = |row: &&Row| row.values.iter().any(|value| axis::drawable(value.0));
        rows.iter().filter(any).filter(|row| row.metric == metric).collect()
    };
    let metrics = match rows.iter().any(|row| row.metric == PAIRS[0]) {
        true => PAIRS,
        false => REGRESSION,
    };
    let regression: Vec<Panel> = metrics
        .iter()
        .map(|name| {
            let direction = match metric::better(name) {
                Better::Lower => "lower is better",
                Better::Higher => "higher is better",
            };
            let name_of = |row: &Row| match row.target.as_str() {
                "" => "all".to_owned(),
                target => target.to_owned(),
            };
            Panel {
                title: format!("{}, {direction}", metric::label(name)),
                rows: of(name)
                    .into_iter()
                    .take(MOST_ROWS)
                    .map(|row| (name_of(row), row))
                    .collect(),
            }
        })
        .filter(|panel| !panel.rows.is_empty())
        .collect();
    if !regression.is_empty() {
        return regression;
    }
    let rows: Vec<(String, &Row)> = CLASSIFICATION
        .iter()
        .flat_map(|name| of(name))
        .filter(|row| row.target.is_empty() || row.target == "average")
        .map(|row| (metric::label(&row.metric).to_owned(), row))
        .collect();
    if rows.is_empty() {
        return Vec::new();
    }
    vec![Panel {
        title: "higher is better".to_owned(),
        rows,
    }]
}

/// Of an interval that can be drawn.
fn ends((_, ci): (f64, Option<(f64, f64)>)) -> Option<(f64, f64)> {
    ci.filter(|ci| axis::drawable(ci.0) && axis::drawable(ci.1))
}

fn draw_panel(
    canvas: &Canvas<'_>,
    rect: Rect,
    panel: &Panel<'_>,
    entries: &[Entry],
    spots: &mut Vec<Spot>,
) -> Result<(), DrawError> {
    let values = panel.rows.iter().flat_map(|(_, row)| {
        let ends = row
            .values
            .iter()
            .filter_map(|value| ends(*value))
            .flat_map(|ends| [ends.0, ends.1]);
        row.values.iter().map(|value| value.0).chain(ends).collect::<Vec<f64>>()
    });
    let x = Axis::around(values, if rect.width > 220.0 { 6 } else { 4 });
    let plot = canvas.axes(rect, x, Axis::places(panel.rows.len()), &Labels::default())?;
    let look = Look::new(if rect.width < 160.0 { SMALL } else { LABEL }).at(HPos::Center, VPos::Center);
    let centre = rect.left + rect.width / 2.0;
    let fits = font::width(&panel.title, look.size, Weight::Regular) <= rect.width + 12.0;
    let short = panel.title.split(',').next().unwrap_or_default();
    canvas.text_within(
        // Which way is better, readers of a narrow figure know or are told in its caption.
        if fits { &panel.title } else { short },
        (centre, rect.bottom() + BELOW + NAME / 2.0),
        look,
        rect.width + 12.0,
    )?;
    if plot.x.low() < 0.0 && plot.x.high() > 0.0 {
        let zero = plot.at(0.0, 0.0).0;
        canvas.line(&[(zero, rect.top), (zero, rect.bottom())], Stroke::solid(GREY, 0.8))?;
    }
    let row_height = rect.height / panel.rows.len().max(1) as f64;
    for (place, (name, row)) in panel.rows.iter().enumerate() {
        let top = rect.top + place as f64 * row_height;
        if place > 0 {
            canvas.line(&[(rect.left, top), (rect.right(), top)], Stroke::solid(PALE, 0.8))?;
        }
        let step = (row_height - 8.0) / row.values.len().max(1) as f64;
        for (index, (value, entry)) in row.values.iter().zip(entries).enumerate() {
            let y = top + 4.0 + (index as f64 + 0.5) * step;
            let interval = ends(*value);
            if let Some((low, high)) = interval {
                let (left, right) = (plot.at(low, 0.0).0, plot.at(high, 0.0).0);
                let stroke = Stroke::solid(entry.color, 1.3);
                canvas.line(&[(left, y), (right, y)], stroke)?;
                for end in [left, right] {
                    canvas.line(&[(end, y - 2.5), (end, y + 2.5)], stroke)?;
                }
            }
            if axis::drawable(value.0) {
                let at = (plot.at(value.0, 0.0).0, y);
                entry.mark(canvas, at)?;
                let interval = super::table::interval(interval).map_or_else(String::new, |text| format!(" {text}"));
                let label = metric::label(&row.metric);
                let what = if name == label {
                    label.to_owned()
                } else {
                    format!("{label} {name}")
                };
                spots.push(Spot {
                    at,
                    reach: 8.0,
                    text: format!("{}\n{what}: {}{interval}", entry.name, metric::number(value.0)),
                });
            }
        }
    }
    Ok(())
}

impl Entry {
    fn mark(&self, canvas: &Canvas<'_>, at: (f64, f64)) -> Result<(), DrawError> {
        let radius = if self.marker == Marker::Disc { 3.6 } else { 3.0 };
        canvas.marker(at, self.marker, radius, self.color)
    }
}
