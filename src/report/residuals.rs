//! Residuals: how far predictions are off, against what was predicted.

use super::axis::Axis;
use super::cloud::{self, Cloud, Panel, Perfect};
use super::figure::Figure;
use super::grid::Grid;
use super::metric::{self, split_word};
use super::predicted::{self, Count};
use super::scatter::points;
use super::{Error, RunReport};
use crate::evaluate::spread;

pub(super) fn figure(report: &RunReport) -> Result<Option<Figure>, Error> {
    let Some((targets, split, rows)) = predicted::of_targets(report) else {
        return Ok(None);
    };
    let count = Count::of(rows.iter().copied());
    let ticks = Grid::of(targets.len(), report.width).ticks();
    let panels = targets.iter().enumerate().map(|(index, target)| {
        let (pairs, texts) = points(&rows, index);
        let points: Vec<(f64, f64)> = pairs.iter().map(|pair| (pair.1, pair.1 - pair.0)).collect();
        let texts = texts.into_iter().zip(&points);
        let texts = texts.map(|(text, point)| format!("{text}\nresidual {}", metric::number(point.1)));
        // Zero is always there, and as far up as down: a bias shows.
        let most = points.iter().map(|point| point.1.abs()).fold(0.0, f64::max);
        Panel {
            target: target.clone(),
            summaries: summaries(&points),
            x: Axis::around(points.iter().map(|point| point.0), ticks),
            y: Axis::around([-most, most], ticks),
            texts: texts.collect(),
            points,
        }
    });
    let about = Cloud {
        name: "residuals",
        title: format!("Residuals, {} split", split_word(split)),
        caption: format!(
            "Predicted less true values of {}, against the predicted ones. Points above zero are predicted too high; a trend or a funnel \
             shows what the model has not learnt.",
            count.of_split(split)
        ),
        each: count.each(),
        x: "predicted",
        y: "predicted − true",
        perfect: Perfect::Zero,
        width: report.width,
        aspect: 0.62,
    };
    cloud::figure(about, panels.collect())
}

/// "mean 0.012, SD 0.203", and shorter.
fn summaries(points: &[(f64, f64)]) -> Vec<String> {
    let residuals: Vec<f64> = points.iter().map(|point| point.1).collect();
    let Some(spread) = spread(&residuals) else {
        return Vec::new();
    };
    let mean = format!("mean {}", metric::number(spread.mean));
    match spread.deviation {
        Some(deviation) => vec![format!("{mean}, SD {}", metric::number(deviation)), mean],
        None => vec![mean],
    }
}
