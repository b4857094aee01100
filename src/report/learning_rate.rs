//! The learning rate by epoch, as steps.

use plotters::style::text_anchor::{HPos, VPos};

use super::axis::{self, Axis, Scale};
use super::canvas::{self, BELOW, Labels, NAME, Plot, TITLE_BLOCK};
use super::curve_figure::{best, best_stroke, epoch_axis};
use super::figure::{About, Curves, Figure};
use super::font::{self, Weight};
use super::style::{BLUE, GREY, Look, Point, Rect, SMALL, Stroke};
use super::timeline::Timeline;
use super::{Error, RunReport};

pub(super) fn figure(report: &RunReport) -> Result<Option<Figure>, Error> {
    let points = Timeline::of(&report.metrics).points(&report.metrics, "", "learning_rate");
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
        let plot = canvas.axes(rect, epoch_axis(epochs), y, &labels)?;
        let shown = |rate: f64| axis::drawable(rate) && (!plot.y.is_logarithmic() || rate > 0.0);
        for stretch in points.split(|point| !shown(point.1)) {
            canvas.line(&steps(&plot, stretch), Stroke::solid(BLUE, 1.6))?;
        }
        if let Some((at, best)) = best(report).filter(|(at, _)| (epochs.0..=epochs.1).contains(at)) {
            let (x, _) = plot.at(at, plot.y.high());
            canvas.line(&[(x, plot.rect.top), (x, plot.rect.bottom())], best_stroke())?;
            let text = format!("best: {best}");
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
        Ok(vec![Curves::new(&plot, vec![("learning rate".to_owned(), points.clone())])].into())
    })?;
    Ok(Some(figure))
}

/// Half the way to each neighbour; at the ends as far as on the other side, or half an epoch.
fn steps(plot: &Plot, points: &[(f64, f64)]) -> Vec<Point> {
    let half = |index: usize, other: usize| -> Option<f64> {
        let (a, b) = (points.get(index)?.0, points.get(other)?.0);
        Some((a - b).abs() / 2.0)
    };
    let mut steps = Vec::with_capacity(2 * points.len());
    for (index, &(epoch, rate)) in points.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| half(index, before));
        let after = half(index, index + 1);
        let (before, after) = (before.or(after).unwrap_or(0.5), after.or(before).unwrap_or(0.5));
        steps.extend([plot.at(epoch - before, rate), plot.at(epoch + after, rate)]);
    }
    steps
}
