//! Predicted against true: one square per target, with the line on which a perfect prediction lies.

use super::axis::{self, Axis};
use super::cloud::{self, Cloud, Panel, Perfect};
use super::figure::Figure;
use super::grid::Grid;
use super::metric::{self, split_word};
use super::predicted::{self, Count};
use super::{Error, RunReport};
use crate::track::PredictionRow;

pub(super) fn figure(report: &RunReport) -> Result<Option<Figure>, Error> {
    let Some((targets, split, rows)) = predicted::of_targets(report) else {
        return Ok(None);
    };
    let count = Count::of(rows.iter().copied());
    let ticks = Grid::of(targets.len(), report.width).ticks();
    let mut gaps = false;
    let panels = targets.iter().enumerate().map(|(index, target)| {
        let (points, texts) = points(&rows, index);
        let has_gaps = points.len() < rows.len();
        gaps |= has_gaps;
        let shown = if has_gaps {
            points.len().to_string()
        } else {
            count.short()
        };
        let axis = Axis::around(points.iter().flat_map(|point| [point.0, point.1]), ticks);
        Panel {
            target: target.clone(),
            summaries: summaries(report, split, target, targets.len(), &shown),
            points,
            texts,
            x: axis.clone(),
            y: axis,
        }
    });
    let panels = panels.collect();
    let mut caption = format!(
        "Predicted against true values of {}; a perfect prediction lies on the dashed line.",
        count.of_split(split)
    );
    if gaps {
        caption.push_str(" Values that are not finite are left out.");
    }
    let about = Cloud {
        name: "predicted-true",
        title: format!("Predicted against true, {} split", split_word(split)),
        caption,
        each: count.each(),
        x: "true",
        y: "predicted",
        perfect: Perfect::Diagonal,
        width: report.width,
        aspect: 1.0,
    };
    cloud::figure(about, panels)
}

/// What can be drawn of one target: (true, predicted), and what the pointer shows.
pub(super) fn points(rows: &[&PredictionRow], target: usize) -> (Vec<(f64, f64)>, Vec<String>) {
    let point = |row: &&PredictionRow| {
        let point = (
            f64::from(*row.truth.get(target)?),
            f64::from(*row.predicted.get(target)?),
        );
        let text = format!(
            "{}\ntrue {}, predicted {}",
            row.id,
            metric::number(point.0),
            metric::number(point.1)
        );
        (axis::drawable(point.0) && axis::drawable(point.1)).then_some((point, text))
    };
    rows.iter().filter_map(point).unzip()
}

/// "CCC 0.512, RMSE 0.203, n = 180", and shorter.
fn summaries(report: &RunReport, split: &str, target: &str, targets: usize, count: &str) -> Vec<String> {
    let figure = |name: &str| {
        let of = |target: &str| {
            let mut rows = report.results.iter();
            rows.find(|row| row.split == split && row.name == name && row.target == target)
        };
        let row = of(target).or_else(|| if targets == 1 { of("") } else { None })?;
        Some(format!("{} {}", metric::label(name), metric::number(row.value)))
    };
    let mut parts: Vec<String> = ["ccc", "rmse"].into_iter().filter_map(figure).collect();
    parts.insert(0, format!("n = {count}"));
    (1..=parts.len())
        .rev()
        .map(|length| {
            let mut shown: Vec<&str> = parts.iter().take(length).map(String::as_str).collect();
            // The count stands at the end, and is the last to go.
            shown.rotate_left(1);
            shown.join(", ")
        })
        .collect()
}
