//! The predictions that a report speaks of: one split of them, and the names of what is predicted.

use std::collections::HashSet;

use super::RunReport;
use super::metric::split_word;
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

/// How many predictions there are, and of how many examples: several runs predict the same ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    pub predictions: usize,
    pub examples: usize,
}

impl Count {
    pub fn of<'r>(rows: impl Iterator<Item = &'r PredictionRow>) -> Self {
        let mut predictions = 0;
        let ids: HashSet<&str> = rows.inspect(|_| predictions += 1).map(|row| row.id.as_str()).collect();
        Self {
            predictions,
            examples: ids.len(),
        }
    }

    pub fn is_repeated(self) -> bool {
        self.predictions != self.examples
    }

    /// What a mark stands for.
    pub fn each(self) -> &'static str {
        if self.is_repeated() { "prediction" } else { "example" }
    }

    /// "180", "180 × 3" where each example is predicted by three runs.
    pub fn short(self) -> String {
        match self.predictions.checked_div(self.examples) {
            Some(times) if times > 1 && times * self.examples == self.predictions => {
                format!("{} × {times}", self.examples)
            }
            _ => self.predictions.to_string(),
        }
    }

    /// "412 examples of the test split", "1236 predictions of 412 examples of the test split".
    pub fn of_split(self, split: &str) -> String {
        let Self { predictions, examples } = self;
        match (split, self.is_repeated()) {
            (OUT_OF_FOLD, false) => format!("{predictions} predictions of the test examples of all folds"),
            (OUT_OF_FOLD, true) => format!("{predictions} predictions of the {examples} test examples of all folds"),
            (split, false) => format!("{examples} examples of the {} split", split_word(split)),
            (split, true) => format!(
                "{predictions} predictions of {examples} examples of the {} split",
                split_word(split)
            ),
        }
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
    fn an_example_that_several_runs_predict_counts_once() {
        let named = |id: &str| PredictionRow {
            id: id.to_owned(),
            ..row(0.0, &[])
        };
        let count = |ids: &[&str]| {
            let rows: Vec<PredictionRow> = ids.iter().map(|id| named(id)).collect();
            let count = Count::of(rows.iter());
            [
                count.short(),
                count.each().to_owned(),
                count.of_split("test"),
                count.of_split(OUT_OF_FOLD),
            ]
        };
        assert_eq!(
            count(&["a", "b"]),
            [
                "2",
                "example",
                "2 examples of the test split",
                "2 predictions of the test examples of all folds"
            ]
        );
        assert_eq!(
            count(&["a", "b", "a", "b"]),
            [
                "2 × 2",
                "prediction",
                "4 predictions of 2 examples of the test split",
                "4 predictions of the 2 test examples of all folds"
            ]
        );
        assert_eq!(count(&["a", "b", "a"])[..2], ["3", "prediction"]);
        assert_eq!(count(&[])[0], "0");
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
