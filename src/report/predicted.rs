//! The predictions that a report speaks of: one split of them, and the names of what is predicted.

use super::RunReport;
use super::table::OUT_OF_FOLD;
use crate::track::{Outcome, PredictionRow, Predictions};

/// What readers want to see first.
const SPLITS: [&str; 4] = [OUT_OF_FOLD, "test", "val", "train"];

/// The rows of the test split, else of validation, else of training.
pub(super) fn rows(predictions: &Predictions) -> Option<(&'static str, Vec<&PredictionRow>)> {
    SPLITS.into_iter().find_map(|split| {
        let rows: Vec<&PredictionRow> = predictions.rows.iter().filter(|row| row.split == split).collect();
        (!rows.is_empty()).then_some((split, rows))
    })
}

/// Targets, split and rows; `None` for classification or where there are none.
pub(super) fn of_targets(report: &RunReport) -> Option<(&[String], &'static str, Vec<&PredictionRow>)> {
    let predictions = report.predictions.as_ref()?;
    let Outcome::Regression { targets } = &predictions.kind else {
        return None;
    };
    let (split, rows) = rows(predictions)?;
    Some((targets, split, rows))
}

/// Classes, split and rows; `None` for regression or where there are none.
pub(super) fn of_classes(report: &RunReport) -> Option<(&[String], &'static str, Vec<&PredictionRow>)> {
    let predictions = report.predictions.as_ref()?;
    let Outcome::Classification { classes } = &predictions.kind else {
        return None;
    };
    let (split, rows) = rows(predictions)?;
    Some((classes, split, rows))
}

/// The index of the true class, where the row holds one of `classes`.
pub(super) fn true_class(row: &PredictionRow, classes: usize) -> Option<usize> {
    let value = *row.truth.first()?;
    (value >= 0.0 && value.fract() == 0.0 && (value as usize) < classes).then_some(value as usize)
}

/// The class of the highest probability, the first of equals; `None` where a probability is not a number.
pub(super) fn predicted_class(row: &PredictionRow) -> Option<usize> {
    if row.predicted.iter().any(|probability| probability.is_nan()) {
        return None;
    }
    let best = row.predicted.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    row.predicted.iter().position(|&probability| probability >= best)
}

/// "412 examples of the test split".
pub(super) fn count(rows: usize, split: &str) -> String {
    match split {
        OUT_OF_FOLD => format!("{rows} predictions of the test examples of all folds"),
        split => format!("{rows} examples of the {} split", super::metric::split_word(split)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(truth: f32, predicted: &[f32]) -> PredictionRow {
        PredictionRow {
            split: "test".to_owned(),
            id: "x".to_owned(),
            group: String::new(),
            truth: vec![truth],
            predicted: predicted.to_vec(),
        }
    }

    #[test]
    fn classes_are_read_from_rows() {
        assert_eq!(predicted_class(&row(0.0, &[0.2, 0.5, 0.3])), Some(1));
        assert_eq!(predicted_class(&row(0.0, &[0.5, 0.5])), Some(0));
        assert_eq!(predicted_class(&row(0.0, &[0.5, f32::NAN])), None);
        assert_eq!(predicted_class(&row(0.0, &[])), None);
        assert_eq!(true_class(&row(1.0, &[]), 2), Some(1));
        for wrong in [2.0, -1.0, 0.5, f32::NAN, f32::INFINITY] {
            assert_eq!(true_class(&row(wrong, &[]), 2), None);
        }
    }
}
