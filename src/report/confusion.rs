//! The confusion matrix: what the examples of each class were taken for.

use plotters::style::text_anchor::{HPos, VPos};

use super::axis;
use super::canvas::{Canvas, DrawError, TITLE_BLOCK};
use super::figure::{About, Figure, Spot};
use super::font::{self, Weight};
use super::grid::Width;
use super::metric::split_word;
use super::predicted::{self, Count, predicted_class, true_class};
use super::style::{GREY, INK, LABEL, Look, PAPER, Rect, SMALL, Stroke, Turn, shade};
use super::{Error, RunReport};

/// Beyond this, the rarest classes are drawn as one.
const MOST_CLASSES: usize = 40;

/// Counts by true class (row) and predicted class (column).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Matrix {
    pub classes: Vec<String>,
    pub counts: Vec<Vec<u64>>,
    pub split: &'static str,
    /// Of what is counted.
    pub of: Count,
}

impl Matrix {
    /// Of the test split, else validation, else training; `None` for regression, where nothing can be
    /// counted, and above 1000 classes, whose matrix nobody reads.
    pub fn of(report: &RunReport) -> Option<Self> {
        let (classes, split, rows) = predicted::of_classes(report)?;
        if classes.len() > 1000 {
            return None;
        }
        let mut counts = vec![vec![0_u64; classes.len()]; classes.len()];
        let mut counted = Vec::new();
        for row in rows {
            if let (Some(truth), Some(predicted)) = (true_class(row, classes.len()), predicted_class(row))
                && let Some(cell) = counts.get_mut(truth).and_then(|row| row.get_mut(predicted))
            {
                *cell += 1;
                counted.push(row);
            }
        }
        (!counted.is_empty()).then(|| Self {
            classes: classes.to_vec(),
            counts,
            split,
            of: Count::of(counted.into_iter()),
        })
    }

    fn row_total(&self, row: usize) -> u64 {
        self.counts.get(row).map_or(0, |row| row.iter().sum())
    }

    /// At most [`MOST_CLASSES`]: the rarest are summed up in a last one.
    fn condensed(self) -> Self {
        if self.classes.len() <= MOST_CLASSES {
            return self;
        }
        let mut order: Vec<usize> = (0..self.classes.len()).collect();
        order.sort_by_key(|&class| (std::cmp::Reverse(self.row_total(class)), class));
        let mut kept: Vec<usize> = order.iter().copied().take(MOST_CLASSES - 1).collect();
        kept.sort_unstable();
        let place = |class: usize| kept.binary_search(&class).unwrap_or(kept.len());
        let mut counts = vec![vec![0; kept.len() + 1]; kept.len() + 1];
        for (truth, row) in self.counts.iter().enumerate() {
            for (predicted, count) in row.iter().enumerate() {
                if let Some(cell) = counts
                    .get_mut(place(truth))
                    .and_then(|row| row.get_mut(place(predicted)))
                {
                    *cell += count;
                }
            }
        }
        let mut classes: Vec<String> = kept
            .iter()
            .filter_map(|&class| self.classes.get(class).cloned())
            .collect();
        classes.push(format!("{} others", self.classes.len() - kept.len()));
        Self {
            classes,
            counts,
            split: self.split,
            of: self.of,
        }
    }
}

pub(super) fn figure(report: &RunReport) -> Result<Option<Figure>, Error> {
    let Some(matrix) = Matrix::of(report).map(Matrix::condensed) else {
        return Ok(None);
    };
    let count = matrix.classes.len();
    let names: Vec<String> = (0..count)
        .map(|row| {
            format!(
                "{} ({})",
                matrix.classes.get(row).map_or("", String::as_str),
                matrix.row_total(row)
            )
        })
        .collect();
    let row_label = names
        .iter()
        .map(|name| font::width(&font::clean(name), SMALL, Weight::Regular))
        .fold(30.0, f64::max)
        .min(if report.width == Width::Column { 110.0 } else { 150.0 });
    let widest = report.width.of_panels(count / 7 + 1);
    let left = 24.0 + row_label + 6.0;
    let bar = 58.0;
    let cell = ((widest - left - bar) / count.max(1) as f64).clamp(4.0, if count <= 6 { 60.0 } else { 46.0 });
    let side = cell * count as f64;
    let width = (left + side + bar).max(360.0);
    let longest = matrix
        .classes
        .iter()
        .map(|name| font::width(&font::clean(name), SMALL, Weight::Regular))
        .fold(0.0, f64::max);
    let turned = longest > cell - 4.0;
    let column_label = if turned { longest.min(110.0) + 8.0 } else { 18.0 };
    let title = format!("Confusion matrix, {} split", split_word(matrix.split));
    let about = About {
        name: "confusion",
        title: title.clone(),
        caption: format!(
            "{} by true class (row, with its number of {}s) and predicted class (column). Shade and percentage: the share of the row; the diagonal is each class's recall.",
            matrix.of.of_split(matrix.split),
            matrix.of.each()
        ),
        width,
        height: TITLE_BLOCK + 6.0 + side + column_label + LABEL + 16.0,
    };
    let figure = Figure::draw(about, |canvas| {
        let top = canvas.title(&title)? + 6.0;
        let frame = Rect {
            left,
            top,
            width: side,
            height: side,
        };
        let mut spots = Vec::with_capacity(count * count);
        for row in 0..count {
            let total = matrix.row_total(row);
            let middle = top + (row as f64 + 0.5) * cell;
            let name = names.get(row).map_or("", String::as_str);
            if cell >= 11.0 || row % 2 == 0 {
                let look = Look::new(SMALL).at(HPos::Right, VPos::Center);
                canvas.text_within(name, (left - 6.0, middle), look, row_label)?;
            }
            for column in 0..count {
                let value = matrix
                    .counts
                    .get(row)
                    .and_then(|row| row.get(column))
                    .copied()
                    .unwrap_or(0);
                let share = if total > 0 { value as f64 / total as f64 } else { 0.0 };
                let rect = Rect {
                    left: left + column as f64 * cell,
                    top: top + row as f64 * cell,
                    width: cell,
                    height: cell,
                };
                draw_cell(canvas, rect, share, value)?;
                let class = |class: usize| matrix.classes.get(class).map_or("", String::as_str);
                spots.push(Spot {
                    at: (rect.left + cell / 2.0, rect.top + cell / 2.0),
                    reach: cell / 2.0,
                    text: format!(
                        "true {}, predicted {}\n{value} of {total} ({:.1}%)",
                        class(row),
                        class(column),
                        100.0 * share
                    ),
                });
            }
        }
        for index in 0..=count {
            let offset = index as f64 * cell;
            let line = Stroke::solid(PAPER, 0.8);
            canvas.line(&[(left + offset, top), (left + offset, top + side)], line)?;
            canvas.line(&[(left, top + offset), (left + side, top + offset)], line)?;
        }
        for index in 0..count {
            let corner = index as f64 * cell;
            let rect = Rect {
                left: left + corner,
                top: top + corner,
                width: cell,
                height: cell,
            };
            canvas.frame(rect, Stroke::solid(INK, 0.9))?;
        }
        canvas.frame(frame, Stroke::solid(GREY, 0.8))?;
        for (column, name) in matrix.classes.iter().enumerate() {
            let x = left + (column as f64 + 0.5) * cell;
            if turned {
                if cell >= 11.0 || column % 2 == 0 {
                    let look = Look::new(SMALL).at(HPos::Right, VPos::Center).turned(Turn::Up);
                    canvas.text_within(name, (x, top + side + 6.0), look, 110.0)?;
                }
            } else {
                let look = Look::new(SMALL).at(HPos::Center, VPos::Center);
                canvas.text(name, (x, top + side + 10.0), look)?;
            }
        }
        let look = Look::new(LABEL).at(HPos::Center, VPos::Center);
        canvas.text(
            "predicted class",
            (left + side / 2.0, canvas.height - LABEL / 2.0 - 5.0),
            look,
        )?;
        canvas.text("true class", (12.0, top + side / 2.0), look.turned(Turn::Up))?;
        shade_bar(canvas, left + side + 14.0, top, side.clamp(60.0, 200.0))?;
        Ok(spots.into())
    })?;
    Ok(Some(figure))
}

fn draw_cell(canvas: &Canvas<'_>, rect: Rect, share: f64, count: u64) -> Result<(), DrawError> {
    canvas.rect(rect, shade(0.85 * share))?;
    if count == 0 || !axis::drawable(share) {
        return Ok(());
    }
    let color = if share > 0.5 { PAPER } else { INK };
    let centre = (rect.left + rect.width / 2.0, rect.top + rect.height / 2.0);
    let percent = format!("{:.0}%", 100.0 * share);
    let look = |size: f64| Look::new(size).color(color).at(HPos::Center, VPos::Center);
    if rect.width >= 36.0 {
        canvas.text(&percent, (centre.0, centre.1 - 6.0), look(SMALL))?;
        canvas.text_within(
            &count.to_string(),
            (centre.0, centre.1 + 7.0),
            look(8.5),
            rect.width - 4.0,
        )
    } else if rect.width >= 26.0 {
        canvas.text(&percent, centre, look(SMALL - 1.0))
    } else if rect.width >= 17.0 {
        canvas.text(&format!("{:.0}", 100.0 * share), centre, look(8.5))
    } else {
        Ok(())
    }
}

/// The scale of shades: 0 to 100 % of a row.
fn shade_bar(canvas: &Canvas<'_>, left: f64, top: f64, height: f64) -> Result<(), DrawError> {
    const STEPS: usize = 50;
    let step = height / STEPS as f64;
    for index in 0..STEPS {
        let share = 1.0 - (index as f64 + 0.5) / STEPS as f64;
        let rect = Rect {
            left,
            top: top + index as f64 * step,
            width: 9.0,
            height: step + 0.1,
        };
        canvas.rect(rect, shade(0.85 * share))?;
    }
    let frame = Rect {
        left,
        top,
        width: 9.0,
        height,
    };
    canvas.frame(frame, Stroke::solid(GREY, 0.6))?;
    for (share, label) in [(1.0, "100%"), (0.5, "50%"), (0.0, "0%")] {
        canvas.text(
            label,
            (left + 13.0, top + (1.0 - share) * height),
            Look::new(8.5).color(GREY),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_classes_are_summed_up() {
        let count = 60;
        let matrix = Matrix {
            classes: (0..count).map(|class| format!("c{class}")).collect(),
            counts: (0..count)
                .map(|truth| {
                    (0..count)
                        .map(|predicted| u64::from(truth == predicted) * (100 - truth as u64))
                        .collect()
                })
                .collect(),
            split: "test",
            of: Count {
                predictions: 0,
                examples: 0,
            },
        };
        let total: u64 = matrix.counts.iter().flatten().sum();
        let condensed = matrix.condensed();
        assert_eq!(condensed.classes.len(), MOST_CLASSES);
        assert_eq!(condensed.classes.last().map(String::as_str), Some("21 others"));
        assert_eq!(condensed.counts.iter().flatten().sum::<u64>(), total);
        assert_eq!(condensed.counts[0][0], 100);
    }
}
