//! The learning rate by epoch, as steps.

use plotters::style::text_anchor::{HPos, VPos};

use super::axis::{self, Axis, Scale};
use super::canvas::{self, BELOW, Labels, NAME, TITLE_BLOCK};
use super::curve_figure::best_stroke;
use super::curves::by_epoch;
use super::figure::{About, Figure, Hover};
use super::font::{self, Weight};
use super::style::{BLUE, GREY, Look, Point, Rect, SMALL, Stroke};
use super::{Error, RunReport};

pub(super) fn figure(report: &RunReport) -> Result<Option<Figure>, Error> {
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
