//! Reports of made-up runs: do they come out whole, alone and legible?
//!
//! With `AFFECT_REPORT_DIR` set, the pages and figures are kept there to be looked at; otherwise they go to a temporary folder.
#![allow(clippy::disallowed_methods)] // A test may read the environment.

mod report;

use std::path::{Path, PathBuf};

use affect::report::{RunReport, html, plots};

fn folder(name: &str) -> (PathBuf, Option<tempfile::TempDir>) {
    match std::env::var_os("AFFECT_REPORT_DIR") {
        Some(kept) => (Path::new(&kept).join(name), None),
        None => {
            let temporary = tempfile::tempdir().unwrap();
            (temporary.path().join(name), Some(temporary))
        }
    }
}

fn written(name: &str, report: &RunReport) -> Vec<String> {
    let (folder, _guard) = folder(name);
    let figures = plots(report).unwrap();
    for figure in &figures {
        figure.write(&folder.join("plots")).unwrap();
    }
    let page = folder.join("report.html");
    affect::files::write_whole(&page, html(report, &figures).as_bytes()).unwrap();
    figures.into_iter().map(|figure| figure.name).collect()
}

#[test]
fn a_regression_run() {
    let names = written("regression", &report::regression(180, &["valence", "arousal"], 30));
    assert_eq!(
        names,
        [
            "baselines",
            "predicted-true",
            "residuals",
            "valence-arousal",
            "loss",
            "mae",
            "learning-rate"
        ]
    );
}

#[test]
fn a_classification_run() {
    let names = written("classification", &report::classification(7, 240, 40));
    assert_eq!(names, ["baselines", "confusion", "loss", "accuracy", "learning-rate"]);
}

#[test]
fn many_of_everything() {
    let targets: Vec<String> = (0..12)
        .map(|index| format!("rating_of_induced_emotion_{index}_on_a_scale_from_1_to_9"))
        .collect();
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    written("many-targets", &report::regression(10_000, &targets, 200));
    written("many-points", &report::regression(10_000, &["valence", "arousal"], 200));
    written("many-classes", &report::classification(20, 3000, 100));
    written("too-many-classes", &report::classification(60, 3000, 3));
}

#[test]
fn little_of_everything() {
    written("one-epoch", &report::regression(1, &["valence"], 1));
    written("few", &report::regression(20, &["valence", "arousal", "dominance"], 3));
    let mut diverged = report::regression(30, &["valence", "arousal"], 12);
    for row in &mut diverged.metrics {
        if row.epoch > 7 && row.split == "train" {
            row.value = f64::NAN;
        }
        if row.epoch == 5 || row.epoch == 9 {
            row.value = f64::INFINITY;
        }
        row.value *= 10_f64.powi(row.epoch as i32);
    }
    written("diverged", &diverged);
}
