//! The model against its baselines, with the model's 95% interval: points on a line, since R² and CCC may be negative.

use plotters::style::RGBColor;
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::{self, Axis};
use super::canvas::{BELOW, Canvas, DrawError, Labels, NAME, TITLE_BLOCK};
use super::figure::{About, Figure};
use super::font::{self, Weight};
use super::legend::legend_height;
use super::metric::{self, Better, split_word};
use super::style::{
    BLUE, GREEN, GREY, INK, LABEL, Look, Marker, ORANGE, PALE, PURPLE, Rect, SMALL, Stroke, VERMILLION,
};
use super::table::{Comparison, Row};
use super::{Error, RunReport};

/// Panels for regression, in this order, as far as they were recorded.
const REGRESSION: [&str; 4] = ["ccc", "rmse", "mae", "r2"];
const CLASSIFICATION: [&str; 4] = ["uar", "accuracy", "macro-f1", "weighted-f1"];
/// More rows than this nobody reads.
const MOST_ROWS: usize = 30;

/// Rows that share an x axis.
struct Panel {
    title: String,
    rows: Vec<(String, Row)>,
}

pub(super) fn figure(report: &RunReport) -> Result<Option<Figure>, Error> {
    let table = Comparison::of_reported_split(&report.results, &report.baselines);
    let panels = panels(&table);
    let Some(rows) = panels.iter().map(|panel| panel.rows.len()).max() else {
        return Ok(None);
    };
    let entries: Vec<&str> = std::iter::once("model")
        .chain(table.baselines.iter().map(String::as_str))
        .collect();
    let name_width = panels
        .iter()
        .flat_map(|panel| &panel.rows)
        .map(|(name, _)| font::width(&font::clean(name), SMALL, Weight::Regular))
        .fold(20.0, f64::max)
        .min(140.0);
    let row_height = (9.0 * entries.len() as f64 + 8.0).clamp(24.0, 60.0);
    let width = if panels.len() == 1 { 360.0 } else { 720.0 };
    let title = format!("Model against baselines, {} split", split_word(&table.split));
    let intervals = panels
        .iter()
        .flat_map(|panel| &panel.rows)
        .any(|(_, row)| row.interval().is_some());
    let about = About {
        name: "baselines",
        title: title.clone(),
        caption: format!(
            "Results of the best checkpoint on the {} split beside the baselines.{}",
            split_word(&table.split),
            if intervals {
                " Whiskers are the model's 95% confidence intervals."
            } else {
                ""
            }
        ),
        width,
        height: TITLE_BLOCK + legend_height(&entries, width) + 8.0 + row_height * rows as f64 + BELOW + NAME + 4.0,
    };
    let figure = Figure::draw(about, |canvas| {
        let mut top = canvas.title(&title)?;
        top += canvas.legend(top, &entries, |canvas, index, at| {
            if index == 0 && intervals {
                canvas.line(&[(at.0 - 11.0, at.1), (at.0 + 11.0, at.1)], Stroke::solid(BLUE, 1.4))?;
            }
            mark(canvas, index, at)
        })?;
        let left = 8.0 + name_width + 6.0;
        let panel_width = (width - left - 4.0) / panels.len() as f64;
        for (index, panel) in panels.iter().enumerate() {
            let rect = Rect {
                left: left + index as f64 * panel_width + 4.0,
                top: top + 8.0,
                width: panel_width - 14.0,
                height: row_height * panel.rows.len() as f64,
            };
            draw_panel(canvas, rect, panel)?;
            if index == 0 {
                for (place, (name, _)) in panel.rows.iter().enumerate() {
                    let y = rect.top + (place as f64 + 0.5) * row_height;
                    let look = Look::new(SMALL).at(HPos::Right, VPos::Center);
                    canvas.text_within(name, (rect.left - 8.0, y), look, name_width)?;
                }
            }
        }
        Ok(Vec::new())
    })?;
    Ok(Some(figure))
}

/// One panel a metric with a row a target; or one panel with a row a metric, where there are no targets.
fn panels(table: &Comparison) -> Vec<Panel> {
    let any = |row: &&Row| row.values().into_iter().flatten().any(axis::drawable);
    let of = |metric: &str| -> Vec<Row> {
        table
            .rows
            .iter()
            .filter(any)
            .filter(|row| row.metric == metric)
            .cloned()
            .collect()
    };
    let regression: Vec<Panel> = REGRESSION
        .iter()
        .map(|name| {
            let direction = match metric::better(name) {
                Better::Lower => "lower is better",
                Better::Higher => "higher is better",
            };
            Panel {
                title: format!("{}, {direction}", metric::label(name)),
                rows: of(name)
                    .into_iter()
                    .take(MOST_ROWS)
                    .map(|row| {
                        (
                            if row.target.is_empty() {
                                "all".to_owned()
                            } else {
                                row.target.clone()
                            },
                            row,
                        )
                    })
                    .collect(),
            }
        })
        .filter(|panel| !panel.rows.is_empty())
        .collect();
    if !regression.is_empty() {
        return regression;
    }
    let rows: Vec<(String, Row)> = CLASSIFICATION
        .iter()
        .flat_map(|name| of(name))
        .filter(|row| row.target.is_empty() || row.target == "average")
        .map(|row| (row.metric_label().to_owned(), row))
        .collect();
    if rows.is_empty() {
        return Vec::new();
    }
    vec![Panel {
        title: "higher is better".to_owned(),
        rows,
    }]
}

fn draw_panel(canvas: &Canvas<'_>, rect: Rect, panel: &Panel) -> Result<(), DrawError> {
    let values = panel.rows.iter().flat_map(|(_, row)| {
        let ends = row.ci.map_or([None, None], |(low, high)| [Some(low), Some(high)]);
        row.values().into_iter().chain(ends).flatten().collect::<Vec<f64>>()
    });
    let x = Axis::around(values, if rect.width > 220.0 { 6 } else { 4 });
    let plot = canvas.axes(rect, x, Axis::places(panel.rows.len()), &Labels::default())?;
    let look = Look::new(if rect.width < 160.0 { SMALL } else { LABEL }).at(HPos::Center, VPos::Center);
    let centre = rect.left + rect.width / 2.0;
    canvas.text_within(
        &panel.title,
        (centre, rect.bottom() + BELOW + NAME / 2.0),
        look,
        rect.width + 12.0,
    )?;
    if plot.x.low() < 0.0 && plot.x.high() > 0.0 {
        let zero = plot.at(0.0, 0.0).0;
        canvas.line(&[(zero, rect.top), (zero, rect.bottom())], Stroke::solid(GREY, 0.8))?;
    }
    let row_height = rect.height / panel.rows.len().max(1) as f64;
    for (place, (_, row)) in panel.rows.iter().enumerate() {
        let top = rect.top + place as f64 * row_height;
        if place > 0 {
            canvas.line(&[(rect.left, top), (rect.right(), top)], Stroke::solid(PALE, 0.8))?;
        }
        let values = row.values();
        let step = (row_height - 8.0) / values.len().max(1) as f64;
        for (index, value) in values.iter().enumerate() {
            let y = top + 4.0 + (index as f64 + 0.5) * step;
            if let (0, Some((low, high))) = (index, row.ci)
                && axis::drawable(low)
                && axis::drawable(high)
            {
                let (left, right) = (plot.at(low, 0.0).0, plot.at(high, 0.0).0);
                let stroke = Stroke::solid(BLUE, 1.4);
                canvas.line(&[(left, y), (right, y)], stroke)?;
                for end in [left, right] {
                    canvas.line(&[(end, y - 3.0), (end, y + 3.0)], stroke)?;
                }
            }
            if let Some(value) = value.filter(|&value| axis::drawable(value)) {
                mark(canvas, index, (plot.at(value, 0.0).0, y))?;
            }
        }
    }
    Ok(())
}

/// The model is a disc, each baseline a hollow shape of its own.
fn mark(canvas: &Canvas<'_>, index: usize, at: (f64, f64)) -> Result<(), DrawError> {
    const BASELINES: [(Marker, RGBColor); 5] = [
        (Marker::Diamond, VERMILLION),
        (Marker::Triangle, GREEN),
        (Marker::Ring, PURPLE),
        (Marker::Cross, ORANGE),
        (Marker::Square, INK),
    ];
    match index
        .checked_sub(1)
        .and_then(|index| BASELINES.get(index % BASELINES.len()))
    {
        Some(&(marker, color)) => canvas.marker(at, marker, 3.0, color),
        None => canvas.marker(at, Marker::Disc, 3.6, BLUE),
    }
}
