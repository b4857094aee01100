//! The result in one sentence, with what it has to be compared with.

use super::RunReport;
use super::metric::{self, Better};
use super::table::{Comparison, OUT_OF_FOLD, Row, shown};

/// What a run is judged by, in order of preference.
const FIRST: [&str; 8] = ["recall@10", "ccc", "uar", "rmse", "accuracy", "mae", "mse", "r2"];

/// "On the test split, CCC (averaged over 2 targets) is 0.583 [0.520, 0.640]: better than ridge (0.447) and mean (0.000).
/// The interval excludes every baseline." Without results, it says so.
pub fn sentence(report: &RunReport) -> String {
    let table = Comparison::of_reported_split(&report.results, &report.baselines);
    let Some(row) = FIRST
        .iter()
        .find_map(|name| leading_row(&table, name))
        .or_else(|| table.rows.first())
    else {
        return "No results were recorded.".to_owned();
    };
    let targets = table
        .rows
        .iter()
        .filter(|other| other.metric == row.metric && other.target != "average")
        .count();
    let of = match row.target.as_str() {
        "" => String::new(),
        "average" => format!(
            " (averaged over {targets} {})",
            if targets == 1 { "target" } else { "targets" }
        ),
        target => format!(" of {target}"),
    };
    let interval = row
        .interval()
        .map(|interval| format!(" {interval}"))
        .unwrap_or_default();
    let mut sentence = format!(
        "On {}, {}{of} is {}{interval}",
        place_of(report, &table.split),
        row.metric_label(),
        shown(row.model)
    );
    let Some(model) = row.model.filter(|value| value.is_finite()) else {
        return sentence + ".";
    };
    let mut groups: Vec<(&str, Vec<String>)> =
        vec![("better than", vec![]), ("level with", vec![]), ("worse than", vec![])];
    for (name, value) in table.baselines.iter().zip(&row.baselines) {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            let place = place(row, model, value);
            if let Some(group) = groups.get_mut(place) {
                group.1.push(format!("{name} ({})", metric::number(value)));
            }
        }
    }
    let compared: Vec<String> = groups
        .iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(relation, names)| format!("{relation} {}", listed(names)))
        .collect();
    if compared.is_empty() {
        return sentence + ".";
    }
    sentence.push_str(&format!(": {}.", compared.join(", ")));
    if let Some((low, high)) = row.ci.filter(|ci| ci.0.is_finite() && ci.1.is_finite()) {
        let inside: Vec<String> = table
            .baselines
            .iter()
            .zip(&row.baselines)
            .filter(|(_, value)| value.is_some_and(|value| (low..=high).contains(&value)))
            .map(|(name, _)| name.clone())
            .collect();
        sentence.push_str(&match inside.len() {
            0 => " No baseline lies inside the 95% interval.".to_owned(),
            1 => format!(" {} lies inside the 95% interval.", listed(&inside)),
            _ => format!(" {} lie inside the 95% interval.", listed(&inside)),
        });
    }
    sentence
}

/// "the test split", "the test split (mean over 3 seeds)", "all test folds together (10 folds)".
fn place_of(report: &RunReport, split: &str) -> String {
    match (report.repeats.as_str(), split) {
        ("", split) => format!("the {split} split"),
        (repeats, OUT_OF_FOLD) => format!("all test folds together ({repeats})"),
        (repeats, split) => format!("the {split} split (mean over {repeats})"),
    }
}

/// The average where there is one, else the whole, else the first target.
fn leading_row<'t>(table: &'t Comparison, name: &str) -> Option<&'t Row> {
    let rows = || {
        table
            .rows
            .iter()
            .filter(|row| row.metric == name && row.model.is_some())
    };
    rows()
        .find(|row| row.target == "average" || row.target.is_empty())
        .or_else(|| rows().next())
}

/// 0: the model is better; 1: they look the same; 2: the baseline is better.
fn place(row: &Row, model: f64, baseline: f64) -> usize {
    if metric::number(model) == metric::number(baseline) {
        return 1;
    }
    match metric::better(&row.metric) {
        Better::Lower if model < baseline => 0,
        Better::Higher if model > baseline => 0,
        _ => 2,
    }
}

/// "a, b and c".
fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [name] => name.clone(),
        [others @ .., last] => format!("{} and {last}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::{baseline, result};
    use super::*;
    use crate::track::{BaselineRow, ResultRow, Status};

    fn sentence_of(results: Vec<ResultRow>, baselines: Vec<BaselineRow>) -> String {
        sentence(&RunReport {
            id: String::new(),
            experiment: String::new(),
            description: String::new(),
            status: Status::Completed,
            started_at: String::new(),
            seconds: 0.0,
            seed: 0,
            device: String::new(),
            best_epoch: None,
            best_step: None,
            monitor: String::new(),
            metrics: Vec::new(),
            results,
            baselines,
            baseline_intervals: Vec::new(),
            predictions: None,
            prediction_seeds: Vec::new(),
            repeats: String::new(),
            members: Vec::new(),
            settings_toml: String::new(),
            provenance: serde_json::Value::Null,
            remarks: Vec::new(),
            media: Default::default(),
            commands: Vec::new(),
            width: Default::default(),
        })
    }

    #[test]
    fn the_average_is_compared_with_every_baseline() {
        let results = vec![
            result("rmse", "", 0.2, None),
            result("ccc", "valence", 0.4, None),
            result("ccc", "arousal", 0.6, None),
            result("ccc", "", 0.5, Some((0.44, 0.56))),
        ];
        let baselines = vec![
            baseline("mean", "ccc", "", 0.0),
            baseline("ridge", "ccc", "", 0.45),
            baseline("oracle", "ccc", "", 0.9),
        ];
        assert_eq!(
            sentence_of(results, baselines),
            "On the test split, CCC (averaged over 2 targets) is 0.500 [0.440, 0.560]: better than mean (0.000) and \
             ridge (0.450), worse than oracle (0.900). ridge lies inside the 95% interval."
        );
    }

    #[test]
    fn errors_are_better_low_and_missing_values_are_not_compared() {
        let results = vec![result("rmse", "valence", 0.2, None)];
        let baselines = vec![
            baseline("mean", "rmse", "valence", 0.3),
            baseline("odd", "rmse", "valence", f64::NAN),
            baseline("same", "rmse", "valence", 0.20001),
        ];
        assert_eq!(
            sentence_of(results, baselines),
            "On the test split, RMSE of valence is 0.200: better than mean (0.300), level with same (0.200)."
        );
        assert_eq!(sentence_of(Vec::new(), Vec::new()), "No results were recorded.");
        assert_eq!(
            sentence_of(vec![result("uar", "", f64::NAN, None)], Vec::new()),
            "On the test split, UAR is –."
        );
    }
}
