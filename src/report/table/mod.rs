//! The comparison that ends every run: each metric of each target, the model beside its baselines.
//!
//! One [`Comparison`] is written in four ways: for the terminal, Markdown, CSV (every digit) and LaTeX.

pub(super) mod latex;
pub(super) mod plain;
pub(super) mod sheet;

use super::metric::{self, Better};
use crate::evaluate::is_of_the_whole;
use crate::report::BaselineInterval;
use crate::track::{BaselineRow, ResultRow};

/// The name of the split that all test folds make together.
pub const OUT_OF_FOLD: &str = "out-of-fold";
/// The name of the split for the mean predictions over several seeds.
pub const ENSEMBLE: &str = "ensemble";
/// Goes behind the name of a split, for the standard deviations over repeats.
pub const DEVIATION: &str = "/deviation";

/// Metric by target; one column for the model and one for each baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// "test".
    pub split: String,
    /// The baselines' names, the simplest first.
    pub baselines: Vec<String>,
    pub rows: Vec<Row>,
}

/// One metric of one target.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// As recorded: "rmse".
    pub metric: String,
    /// The target or class; "average" for the mean over several; "" where there is only the whole.
    pub target: String,
    /// `None`: not recorded.
    pub model: Option<f64>,
    /// The standard deviation over the repeats whose mean `model` is.
    pub deviation: Option<f64>,
    /// Ends of the model's 95% confidence interval.
    pub ci: Option<(f64, f64)>,
    /// As many as [`Comparison::baselines`].
    pub baselines: Vec<Option<f64>>,
    /// The 95% confidence intervals of the same.
    pub baseline_cis: Vec<Option<(f64, f64)>>,
}

/// A value's place in its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    Best,
    Second,
    Other,
}

impl Comparison {
    /// The rows of `split`: metrics in their usual order, whatever the order of the rows (a database has its own); targets in
    /// the order of their first appearance, the average last.
    pub fn of(results: &[ResultRow], baselines: &[BaselineRow], split: &str) -> Self {
        let deviations = format!("{split}{DEVIATION}");
        let deviations: Vec<&ResultRow> = results.iter().filter(|row| row.split == deviations).collect();
        let results: Vec<&ResultRow> = results.iter().filter(|row| row.split == split).collect();
        let baseline_rows: Vec<&BaselineRow> = baselines.iter().filter(|row| row.split == split).collect();
        let keys = || {
            let of_model = results.iter().map(|row| (row.name.as_str(), row.target.as_str()));
            of_model.chain(baseline_rows.iter().map(|row| (row.name.as_str(), row.target.as_str())))
        };
        let mut baselines = unique(baseline_rows.iter().map(|row| row.baseline.as_str()));
        baselines.sort_by_key(|name| metric::place_of_baseline(name));
        let mut rows = Vec::new();
        let mut metrics = unique(keys().map(|key| key.0));
        metrics.sort_by_key(|name| metric::place(name));
        for name in metrics {
            let mut targets = unique(keys().filter(|key| key.0 == name).map(|key| key.1));
            targets.sort_by_key(|target| target.is_empty());
            let several = targets.len() > 1;
            for target in targets {
                let model = results
                    .iter()
                    .rev()
                    .find(|row| row.name == name && row.target == target);
                let of_baseline = |baseline: &&str| {
                    baseline_rows
                        .iter()
                        .rev()
                        .find(|row| row.baseline == *baseline && row.name == name && row.target == target)
                        .map(|row| row.value)
                };
                rows.push(Row {
                    metric: name.to_owned(),
                    target: if target.is_empty() && several {
                        "average".to_owned()
                    } else {
                        target.to_owned()
                    },
                    model: model.map(|row| row.value),
                    deviation: (deviations.iter())
                        .find(|row| row.name == name && row.target == target)
                        .map(|row| row.value),
                    ci: model.and_then(|row| row.ci),
                    baselines: baselines.iter().map(of_baseline).collect(),
                    baseline_cis: vec![None; baselines.len()],
                });
            }
        }
        Self {
            split: split.to_owned(),
            baselines: baselines.into_iter().map(str::to_owned).collect(),
            rows,
        }
    }

    /// The rows of the split that a report speaks of: test where there are results on it, else validation, else the
    /// first that there are results on.
    pub fn of_reported_split(results: &[ResultRow], baselines: &[BaselineRow]) -> Self {
        Self::of(results, baselines, reported_split(results))
    }

    /// With those intervals that are of its split.
    pub fn with_intervals(mut self, intervals: &[BaselineInterval]) -> Self {
        for row in &mut self.rows {
            let of_row = |interval: &&BaselineInterval| {
                interval.split == self.split
                    && interval.name == row.metric
                    && (interval.target == row.target || (interval.target.is_empty() && row.target == "average"))
            };
            let mine: Vec<&BaselineInterval> = intervals.iter().filter(of_row).collect();
            for (name, ci) in self.baselines.iter().zip(&mut row.baseline_cis) {
                *ci = mine
                    .iter()
                    .find(|interval| interval.baseline == *name)
                    .map(|interval| interval.ci);
            }
        }
        self
    }

    /// Is there a target column to show?
    pub fn has_targets(&self) -> bool {
        self.rows.iter().any(|row| !row.target.is_empty())
    }

    /// Without the metrics of single classes.
    pub fn of_the_whole(mut self) -> Self {
        self.rows.retain(|row| is_of_the_whole(&row.metric));
        self
    }
}

/// All test folds together, else "test" where there are results on it, else "val", else whatever comes first.
pub(crate) fn reported_split(results: &[ResultRow]) -> &str {
    let has = |split: &str| results.iter().any(|row| row.split == split);
    match results.first() {
        _ if has(OUT_OF_FOLD) => OUT_OF_FOLD,
        _ if has("test") => "test",
        _ if has("val") => "val",
        Some(first) => &first.split,
        None => "test",
    }
}

impl Row {
    /// "RMSE".
    pub fn metric_label(&self) -> &str {
        metric::label(&self.metric)
    }

    /// The model's value, then the baselines'.
    pub fn values(&self) -> Vec<Option<f64>> {
        std::iter::once(self.model)
            .chain(self.baselines.iter().copied())
            .collect()
    }

    /// The place of each of [`Row::values`]. Values that look the same in the table share a place; none is second where none is worse.
    pub fn ranks(&self) -> Vec<Rank> {
        let values = self.values();
        let mut present: Vec<f64> = values
            .iter()
            .flatten()
            .copied()
            .filter(|value| value.is_finite())
            .collect();
        present.sort_by(|a, b| match metric::better(&self.metric) {
            Better::Lower => a.total_cmp(b),
            Better::Higher => b.total_cmp(a),
        });
        let mut shown: Vec<String> = present.iter().map(|&value| metric::number(value)).collect();
        let count = shown.len();
        shown.dedup();
        values
            .iter()
            .map(|value| {
                let place = value.and_then(|value| shown.iter().position(|text| *text == metric::number(value)));
                match place {
                    Some(0) if count > 1 && shown.len() > 1 => Rank::Best,
                    Some(1) if shown.len() > 2 => Rank::Second,
                    _ => Rank::Other,
                }
            })
            .collect()
    }

    /// "[0.461, 0.553]", where there is an interval.
    pub fn interval(&self) -> Option<String> {
        interval(self.ci)
    }

    /// The interval of each of [`Row::values`].
    pub fn cis(&self) -> Vec<Option<(f64, f64)>> {
        std::iter::once(self.ci)
            .chain(self.baseline_cis.iter().copied())
            .collect()
    }

    /// "0.512", or "0.512 ± 0.013" for the mean over repeats.
    pub(super) fn shown_model(&self) -> String {
        let deviation = self.deviation.filter(|deviation| deviation.is_finite());
        let deviation = deviation.map(|deviation| format!(" ± {}", metric::number(deviation)));
        shown(self.model) + &deviation.unwrap_or_default()
    }
}

/// "[0.461, 0.553]".
pub(super) fn interval(ci: Option<(f64, f64)>) -> Option<String> {
    let (low, high) = ci?;
    (low.is_finite() && high.is_finite()).then(|| format!("[{}, {}]", metric::number(low), metric::number(high)))
}

/// "0.512"; "–" where there is no value.
pub fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), metric::number)
}

fn unique<'a>(items: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for item in items {
        if !seen.contains(&item) {
            seen.push(item);
        }
    }
    seen
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub fn result(name: &str, target: &str, value: f64, ci: Option<(f64, f64)>) -> ResultRow {
        ResultRow {
            split: "test".to_owned(),
            name: name.to_owned(),
            target: target.to_owned(),
            value,
            ci,
        }
    }

    pub fn baseline(baseline: &str, name: &str, target: &str, value: f64) -> BaselineRow {
        BaselineRow {
            split: "test".to_owned(),
            baseline: baseline.to_owned(),
            name: name.to_owned(),
            target: target.to_owned(),
            value,
        }
    }

    pub fn example() -> Comparison {
        Comparison::of(
            &[
                result("rmse", "", 0.21234, Some((0.2, 0.225))),
                result("rmse", "valence_50%", 0.22, None),
                result("ccc", "valence_50%", 0.5, Some((0.4, f64::NAN))),
            ],
            &[
                baseline("mean", "rmse", "", 0.3),
                baseline("ridge", "rmse", "", 0.25),
                baseline("mean", "rmse", "valence_50%", 0.31),
                baseline("ridge", "rmse", "valence_50%", 0.22),
                baseline("mean", "ccc", "valence_50%", f64::NAN),
                baseline("ridge", "ccc", "valence_50%", -0.1),
            ],
            "test",
        )
    }

    #[test]
    fn the_average_comes_last_and_places_follow_the_metric() {
        let table = example();
        let rows: Vec<(&str, &str)> = table
            .rows
            .iter()
            .map(|row| (row.metric.as_str(), row.target.as_str()))
            .collect();
        assert_eq!(
            rows,
            [("rmse", "valence_50%"), ("rmse", "average"), ("ccc", "valence_50%")]
        );
        assert_eq!(table.baselines, ["mean", "ridge"]);
        let ranks: Vec<Vec<Rank>> = table.rows.iter().map(Row::ranks).collect();
        assert_eq!(ranks[0], [Rank::Best, Rank::Other, Rank::Best]);
        assert_eq!(ranks[1], [Rank::Best, Rank::Other, Rank::Second]);
        assert_eq!(ranks[2], [Rank::Best, Rank::Other, Rank::Other]);
    }

    #[test]
    fn the_order_does_not_depend_on_the_rows() {
        let mut results: Vec<ResultRow> = ["uar", "f1", "accuracy", "macro-f1", "own"]
            .map(|name| result(name, "", 0.5, None))
            .into();
        let baselines = ["logistic", "majority"].map(|name| baseline(name, "uar", "", 0.1));
        let table = Comparison::of(&results, &baselines, "test");
        let metrics: Vec<&str> = table.rows.iter().map(|row| row.metric.as_str()).collect();
        assert_eq!(metrics, ["accuracy", "uar", "macro-f1", "f1", "own"]);
        assert_eq!(table.baselines, ["majority", "logistic"]);
        results.reverse();
        assert_eq!(Comparison::of(&results, &baselines, "test"), table);
    }

    #[test]
    fn validation_stands_in_for_a_missing_test_split() {
        let mut rows = vec![result("rmse", "", 0.2, None)];
        assert_eq!(reported_split(&rows), "test");
        rows[0].split = "val".to_owned();
        assert_eq!(reported_split(&rows), "val");
        assert_eq!(reported_split(&[]), "test");
    }
}
