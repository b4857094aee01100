//! The examples on which the model errs most: where to listen first.

use super::RunReport;
use super::metric::{number, with_minus};
use super::predicted::{predicted_class, rows, true_class};
use crate::track::{Outcome, PredictionRow, Predictions};

/// Rows shown.
const MOST: usize = 10;
/// Targets that get a column of their own.
const MOST_TARGETS: usize = 6;

/// A table of examples: what the order means, column names and rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Worst {
    pub split: &'static str,
    pub order: String,
    pub header: Vec<String>,
    /// The example's id, and the cells; the first of them is the id again.
    pub rows: Vec<(String, Vec<String>)>,
}

/// The worst of the examples that the report speaks of; `None` where there are none.
pub fn worst(report: &RunReport) -> Option<Worst> {
    let predictions = report.predictions.as_ref()?;
    let (split, rows) = rows(predictions)?;
    let mut worst = match &predictions.kind {
        Outcome::Regression { targets } => furthest(targets, &rows),
        Outcome::Classification { classes } => most_certain_mistakes(classes, &rows),
    };
    tell_seeds(&mut worst, predictions, &report.prediction_seeds);
    let worst = Worst {
        split,
        order: worst.order,
        header: worst.header,
        rows: (worst.rows.into_iter())
            .map(|(row, cells)| (row.id.clone(), cells))
            .collect(),
    };
    Some(worst).filter(|worst| !worst.rows.is_empty())
}

/// The worst predictions, with their cells.
struct Order<'r> {
    order: String,
    header: Vec<String>,
    rows: Vec<(&'r PredictionRow, Vec<String>)>,
}

/// Each example once, as bad as it gets; at most [`MOST`].
fn each_once<'r>(
    rows: impl Iterator<Item = (&'r PredictionRow, Vec<String>)>,
) -> Vec<(&'r PredictionRow, Vec<String>)> {
    let mut kept: Vec<(&PredictionRow, Vec<String>)> = Vec::new();
    for (row, cells) in rows {
        if kept.len() == MOST {
            break;
        }
        if kept.iter().all(|(known, _)| known.id != row.id) {
            kept.push((row, cells));
        }
    }
    kept
}

/// Where runs of several seeds predict the same examples, whose prediction is shown.
fn tell_seeds(worst: &mut Order<'_>, predictions: &Predictions, seeds: &[u64]) {
    if seeds.is_empty() {
        return;
    }
    worst.order.push_str(
        " Each example is there once, with the worst of its predictions; the seed is that of the run which made it.",
    );
    worst.header.insert(2, "seed".to_owned());
    for (row, cells) in &mut worst.rows {
        let mut behind = predictions.rows.iter().zip(seeds);
        let seed = behind
            .find(|(other, _)| std::ptr::eq(*other, *row))
            .map(|(_, seed)| seed.to_string());
        cells.insert(2, seed.unwrap_or_else(|| "–".to_owned()));
    }
}

/// By the mean over the targets of the absolute error in standard deviations of the true values.
fn furthest<'r>(targets: &[String], rows: &[&'r PredictionRow]) -> Order<'r> {
    let spreads: Vec<f64> = (0..targets.len()).map(|target| spread(rows, target)).collect();
    let error = |row: &PredictionRow| -> f64 {
        let pairs = row.truth.iter().zip(&row.predicted).zip(&spreads);
        let sum: f64 = pairs
            .map(|((truth, predicted), spread)| f64::from((predicted - truth).abs()) / spread)
            .sum();
        // What is not a number is as wrong as can be.
        if sum.is_nan() {
            f64::INFINITY
        } else {
            sum / targets.len().max(1) as f64
        }
    };
    let mut order: Vec<(f64, &'r PredictionRow)> = rows.iter().map(|row| (error(row), *row)).collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.id.cmp(&b.1.id)));
    let shown = targets.len().min(MOST_TARGETS);
    let mut header: Vec<String> = vec!["example".to_owned(), "group".to_owned(), "error (SD)".to_owned()];
    header.extend(
        targets
            .iter()
            .take(shown)
            .map(|target| format!("{target}: true → predicted")),
    );
    let cell = |row: &PredictionRow, target: usize| match (row.truth.get(target), row.predicted.get(target)) {
        (Some(&truth), Some(&predicted)) => {
            let spread = spreads.get(target).copied().unwrap_or(1.0);
            format!("{} → {}", to_scale(truth, spread), to_scale(predicted, spread))
        }
        _ => "–".to_owned(),
    };
    Order {
        order: format!(
            "The largest errors: absolute error in standard deviations of the true values{}.",
            if targets.len() > 1 {
                ", averaged over the targets"
            } else {
                ""
            }
        ),
        header,
        rows: each_once(order.iter().map(|(error, row)| {
            let error = if error.is_finite() {
                format!("{error:.2}")
            } else {
                "not finite".to_owned()
            };
            let mut cells = vec![row.id.clone(), row.group.clone(), error];
            cells.extend((0..shown).map(|target| cell(row, target)));
            (*row, cells)
        })),
    }
}

/// The standard deviation of the true values; 1 where there is none to speak of.
fn spread(rows: &[&PredictionRow], target: usize) -> f64 {
    let values: Vec<f64> = rows
        .iter()
        .filter_map(|row| row.truth.get(target).copied().map(f64::from))
        .filter(|value| value.is_finite())
        .collect();
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
    if deviation > 1e-12 { deviation } else { 1.0 }
}

/// By the probability of the wrong class that was chosen.
fn most_certain_mistakes<'r>(classes: &[String], rows: &[&'r PredictionRow]) -> Order<'r> {
    let mut mistakes: Vec<(f32, &'r PredictionRow, usize, usize)> = rows
        .iter()
        .filter_map(|row| {
            let (truth, predicted) = (true_class(row, classes.len())?, predicted_class(row)?);
            let probability = *row.predicted.get(predicted)?;
            (truth != predicted).then_some((probability, *row, truth, predicted))
        })
        .collect();
    mistakes.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.id.cmp(&b.1.id)));
    let name = |class: usize| classes.get(class).cloned().unwrap_or_else(|| format!("class {class}"));
    Order {
        order: format!(
            "The most certain of {} mistakes: those with the highest probability of a wrong class.",
            mistakes.len()
        ),
        header: ["example", "group", "true", "predicted", "p(predicted)", "p(true)"]
            .map(str::to_owned)
            .to_vec(),
        rows: each_once(mistakes.iter().map(|(probability, row, truth, predicted)| {
            let of_truth = row.predicted.get(*truth).copied().unwrap_or(f32::NAN);
            let cells = vec![
                row.id.clone(),
                row.group.clone(),
                name(*truth),
                name(*predicted),
                value(*probability),
                value(of_truth),
            ];
            (*row, cells)
        })),
    }
}

/// With as many decimals as a hundredth of the spread needs.
fn to_scale(value: f32, spread: f64) -> String {
    let decimals = (2.0 - spread.log10()).ceil().clamp(0.0, 8.0) as usize;
    if value.is_finite() && value.abs() < 1e7 {
        with_minus(&format!("{value:.decimals$}"))
    } else {
        self::value(value)
    }
}

fn value(value: f32) -> String {
    if value.is_finite() {
        number(f64::from(value))
    } else {
        "not finite".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, truth: &[f32], predicted: &[f32]) -> PredictionRow {
        PredictionRow {
            split: "test".to_owned(),
            id: id.to_owned(),
            group: String::new(),
            truth: truth.to_vec(),
            predicted: predicted.to_vec(),
        }
    }

    #[test]
    fn errors_are_weighed_by_the_spread_of_each_target() {
        // The second target is a hundred times as wide: its error of 10 counts less than the first one's of 1.
        let rows = [
            row("a", &[1.0, 100.0], &[2.0, 100.0]),
            row("b", &[-1.0, -100.0], &[-1.0, -110.0]),
            row("c", &[0.0, 0.0], &[f32::NAN, 0.0]),
        ];
        let rows: Vec<&PredictionRow> = rows.iter().collect();
        let worst = furthest(&["v".to_owned(), "w".to_owned()], &rows);
        let ids: Vec<&str> = worst.rows.iter().map(|row| row.0.id.as_str()).collect();
        assert_eq!(ids, ["c", "a", "b"]);
        assert_eq!(worst.rows[0].1[2], "not finite");
        assert_eq!(worst.rows[1].1[3], "1.000 → 2.000");
    }

    #[test]
    fn right_answers_are_no_mistakes() {
        let rows = [
            row("right", &[0.0], &[0.9, 0.1]),
            row("unsure", &[0.0], &[0.4, 0.6]),
            row("sure", &[1.0], &[0.95, 0.05]),
        ];
        let rows: Vec<&PredictionRow> = rows.iter().collect();
        let worst = most_certain_mistakes(&["x".to_owned(), "y".to_owned()], &rows);
        let ids: Vec<&str> = worst.rows.iter().map(|row| row.0.id.as_str()).collect();
        assert_eq!(ids, ["sure", "unsure"]);
        assert_eq!(worst.rows[0].1[2..], ["y", "x", "0.950", "0.050"]);
    }

    #[test]
    fn an_example_that_several_runs_predict_is_there_once() {
        let rows = [
            row("a", &[0.0], &[1.0]),
            row("b", &[1.0], &[1.5]),
            row("a", &[0.0], &[3.0]),
        ];
        let rows: Vec<&PredictionRow> = rows.iter().collect();
        let worst = furthest(&["v".to_owned()], &rows);
        let ids: Vec<&str> = worst.rows.iter().map(|row| row.0.id.as_str()).collect();
        assert_eq!(ids, ["a", "b"]);
        assert!(worst.rows[0].1[3].ends_with("3.000"));
    }
}
