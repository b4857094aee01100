//! Event files are read by TensorBoard's own reader. Needs AFFECT_PYTHON, an interpreter with the packages of
//! scripts/reference/requirements.txt.
#![allow(clippy::disallowed_methods)]

mod track_support;

use std::path::Path;
use std::process::Command;

use affect::track::{MetricRow, Recorder, RunDir, Status};
use serde_json::{Value, json};
use track_support::header;

fn row(split: &str, name: &str, step: u64, value: f64) -> MetricRow {
    MetricRow {
        split: split.to_string(),
        name: name.to_string(),
        epoch: 1,
        step,
        value,
        wall_time: 1_700_000_000.0 + step as f64,
    }
}

/// `None`, with a word, where there is no interpreter.
fn read(runs: &Path) -> Option<Value> {
    let Some(python) = std::env::var_os("AFFECT_PYTHON") else {
        eprintln!("skipped: AFFECT_PYTHON is not set");
        return None;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/reference/read_events.py");
    let output = Command::new(python).arg(script).arg(runs).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn scalars_texts_and_images_come_back_with_their_steps() {
    let runs = tempfile::tempdir().unwrap();
    let dir = RunDir::create(runs.path(), "deam-cnn").unwrap();
    let name = format!("deam-cnn/{}", dir.id());
    let recorder = Recorder::start(dir, runs.path(), header()).unwrap();
    for step in [10, 20] {
        recorder.metrics(vec![
            row("train", "loss", step, 1.0 / step as f64),
            row("val", "loss", step, 2.0 / step as f64),
            row("val", "mae/valence", step, f64::NAN),
            row("", "learning_rate", step, 1e-3),
        ]);
    }
    // Three wide, two high; the upper right corner is red.
    let mut rgb = vec![0; 18];
    rgb[6] = 255;
    recorder.image("scatter", 20, 3, 2, rgb);
    let finished = recorder.finish(Status::Completed, None).unwrap();
    assert_eq!(finished.complaints, Vec::<String>::new());

    let Some(found) = read(runs.path()) else { return };
    let (run, train, val) = (
        &found[&name],
        &found[format!("{name}/train")],
        &found[format!("{name}/val")],
    );
    assert_eq!(found.as_object().unwrap().len(), 3, "{found}");
    let curve = |factor: f32| {
        json!([
            [10, factor / 10.0, 1_700_000_010.0],
            [20, factor / 20.0, 1_700_000_020.0]
        ])
    };
    assert_eq!(train["scalars"]["loss"], curve(1.0));
    assert_eq!(
        val["scalars"]["loss"],
        curve(2.0),
        "the same tag, so both curves are in one chart"
    );
    assert_eq!(
        val["scalars"]["mae/valence"][1],
        json!([20, null, 1_700_000_020.0]),
        "NaN"
    );
    assert_eq!(run["scalars"]["learning_rate"][1][0], 20);
    let text = &run["text"]["settings"][0];
    assert_eq!(text["step"], 0);
    assert!(
        text["text"][0]
            .as_str()
            .unwrap()
            .contains("| optimizer.learning_rate | 0.001 |"),
        "{text}"
    );
    assert!(
        run["text"]["experiment.toml"][0]["text"][0]
            .as_str()
            .unwrap()
            .contains("    [optimizer]")
    );
    let image = json!({"step": 20, "header": [3, 2], "size": [3, 2], "mode": "RGB", "corner": [255, 0, 0]});
    assert_eq!(run["images"]["scatter"], json!([image]));
}

#[test]
fn a_resumed_run_shows_no_step_twice() {
    let runs = tempfile::tempdir().unwrap();
    let dir = RunDir::create(runs.path(), "deam-cnn").unwrap();
    let name = format!("deam-cnn/{}", dir.id());
    let recorder = Recorder::start(dir.clone(), runs.path(), header()).unwrap();
    for step in [10, 20, 30] {
        recorder.metrics(vec![row("train", "loss", step, 1.0), row("val", "loss", step, 1.0)]);
    }
    drop(recorder);
    let recorder = Recorder::resume(dir, runs.path(), header(), 20).unwrap();
    for step in [30, 40] {
        recorder.metrics(vec![row("train", "loss", step, 0.5)]);
    }
    recorder.finish(Status::Completed, None).unwrap();

    let Some(found) = read(runs.path()) else { return };
    let points = |split: &str| -> Vec<(i64, f64)> {
        let points = found[format!("{name}/{split}")]["scalars"]["loss"].as_array().unwrap();
        points
            .iter()
            .map(|point| (point[0].as_i64().unwrap(), point[1].as_f64().unwrap()))
            .collect()
    };
    assert_eq!(points("train"), [(10, 1.0), (20, 1.0), (30, 0.5), (40, 0.5)]);
    assert_eq!(
        points("val"),
        [(10, 1.0), (20, 1.0)],
        "step 30 was taken back and not done again"
    );
}
