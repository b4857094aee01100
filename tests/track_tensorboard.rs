//! Event files are read by TensorBoard's own reader. Needs AFFECT_PYTHON, an interpreter with the packages of
//! scripts/reference/requirements.txt.
#![allow(clippy::disallowed_methods)]

mod common;
mod track_support;

use std::path::Path;
use std::process::Command;

use affect::track::{MetricRow, Recorder, ResultRow, RunDir, Status};
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

/// The runs that TensorBoard finds, and what its hparams page shows. `None`, with a word, where there is no interpreter.
fn read(runs: &Path) -> Option<(Value, Value)> {
    let Some(python) = std::env::var_os("AFFECT_PYTHON") else {
        eprintln!("skipped: AFFECT_PYTHON is not set");
        return None;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/reference/read_events.py");
    let output = Command::new(python).arg(script).arg(runs).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut found: Value = serde_json::from_slice(&output.stdout).unwrap();
    Some((found["runs"].take(), found["hparams"].take()))
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
    recorder.plot("scatter", 20, (3, 2), rgb);
    let finished = recorder.finish(Status::Completed, None).unwrap();
    assert_eq!(finished.complaints, Vec::<String>::new());

    let Some((found, _)) = read(runs.path()) else { return };
    let (run, train, val) = (
        &found[&name],
        &found[format!("{name}/train")],
        &found[format!("{name}/val")],
    );
    assert_eq!(found.as_object().unwrap().len(), 4, "{found}");
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
    assert_eq!(found[format!("{name}/final")]["images"]["scatter"], json!([image]));
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

    let Some((found, _)) = read(runs.path()) else { return };
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

/// The figures of a run that comes to its end.
fn results() -> Vec<ResultRow> {
    let row = |split: &str, target: &str, value| ResultRow {
        split: split.to_string(),
        name: "rmse".to_string(),
        target: target.to_string(),
        value,
        ci: None,
    };
    vec![
        row("train", "", 0.125),
        row("val", "", 0.25),
        row("test", "", 0.5),
        row("test", "valence", 0.75),
    ]
}

#[test]
fn the_hparams_page_shows_settings_final_figures_and_how_each_run_ended() {
    let runs = tempfile::tempdir().unwrap();
    let mut names = Vec::new();
    for status in [Status::Completed, Status::Failed, Status::Interrupted] {
        let dir = RunDir::create(runs.path(), "deam-cnn").unwrap();
        names.push(format!("deam-cnn/{}", dir.id()));
        let recorder = Recorder::start(dir, runs.path(), header()).unwrap();
        recorder.metrics(vec![row("val", "loss", 30, 0.5)]);
        if status == Status::Completed {
            recorder.results(results(), Vec::new());
        }
        recorder.finish(status, None).unwrap();
    }
    let Some((_, page)) = read(runs.path()) else { return };
    assert_eq!(page.as_object().unwrap().len(), 3, "{page}");
    let statuses: Vec<&str> = names
        .iter()
        .map(|name| page[name]["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_UNKNOWN"]);
    let done = &page[&names[0]];
    assert_eq!(
        done["hparams"],
        json!({"optimizer.learning_rate": 0.001, "optimizer.kind": "a|b"})
    );
    assert_eq!(
        done["metrics"],
        json!({"val:loss": [30, 0.5], "final/val:rmse": [30, 0.25], "final/test:rmse": [30, 0.5], "final/test:rmse/valence": [30, 0.75]})
    );
    assert_eq!(page[&names[2]]["metrics"], json!({"val:loss": [30, 0.5]}));
}

#[test]
fn histograms_count_what_is_finite() {
    let runs = tempfile::tempdir().unwrap();
    let dir = RunDir::create(runs.path(), "deam-cnn").unwrap();
    let name = format!("deam-cnn/{}", dir.id());
    let recorder = Recorder::start(dir, runs.path(), header()).unwrap();
    let values = vec![0.0, 1.0, f32::NAN, 3.0, 3.0];
    recorder.histograms(
        20,
        vec![
            ("weights/linear.bias".to_string(), values),
            ("gradients/linear.bias".to_string(), vec![2.0]),
        ],
    );
    recorder.histograms(40, vec![("weights/linear.bias".to_string(), vec![f32::INFINITY])]);
    recorder.finish(Status::Completed, None).unwrap();

    let Some((found, _)) = read(runs.path()) else { return };
    let histograms = &found[&name]["histograms"];
    let weights = &histograms["weights/linear.bias"];
    assert_eq!(weights.as_array().unwrap().len(), 1, "{weights}");
    let figure = |key: &str| weights[0][key].as_f64().unwrap();
    assert_eq!((weights[0]["step"].as_i64(), figure("num")), (Some(20), 4.0));
    assert_eq!(
        (figure("min"), figure("max"), figure("sum"), figure("sum_squares")),
        (0.0, 3.0, 7.0, 19.0)
    );
    let counts: Vec<f64> = weights[0]["counts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n.as_f64().unwrap())
        .collect();
    let limits: Vec<f64> = weights[0]["limits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n.as_f64().unwrap())
        .collect();
    let filled: Vec<(f64, f64)> = limits
        .into_iter()
        .zip(counts)
        .filter(|(_, count)| *count > 0.0)
        .collect();
    assert_eq!(filled, [(3.0 / 64.0, 1.0), (3.0 * 22.0 / 64.0, 1.0), (3.0, 2.0)]);
    assert_eq!(histograms["gradients/linear.bias"][0]["counts"], json!([1.0]));
}

#[test]
fn a_run_that_fails_at_its_end_and_goes_on_shows_nothing_twice() {
    let runs = tempfile::tempdir().unwrap();
    let dir = RunDir::create(runs.path(), "deam-cnn").unwrap();
    let name = format!("deam-cnn/{}", dir.id());
    let record = |recorder: &Recorder, steps: &[u64], shade: u8| {
        for &step in steps {
            recorder.metrics(vec![row("", "learning_rate", step, f64::from(shade))]);
            recorder.histograms(step, vec![("weights/w".to_string(), vec![f32::from(shade)])]);
            recorder.image("examples/a", step, (1, 1), vec![shade; 3]);
        }
        recorder.results(results(), Vec::new());
        recorder.plot("scatter", 30, (1, 1), vec![shade; 3]);
    };
    let recorder = Recorder::start(dir.clone(), runs.path(), header()).unwrap();
    record(&recorder, &[10, 20, 30], 1);
    recorder
        .finish(Status::Failed, Some("the disk was full".to_string()))
        .unwrap();
    let recorder = Recorder::resume(dir, runs.path(), header(), 20).unwrap();
    record(&recorder, &[30], 2);
    recorder.finish(Status::Completed, None).unwrap();

    let Some((found, page)) = read(runs.path()) else { return };
    let run = &found[&name];
    let steps = |of: &Value, step: &dyn Fn(&Value) -> i64| of.as_array().unwrap().iter().map(step).collect::<Vec<_>>();
    let field = |point: &Value| point["step"].as_i64().unwrap();
    assert_eq!(
        steps(&run["scalars"]["learning_rate"], &|point| point[0].as_i64().unwrap()),
        [10, 20, 30]
    );
    let histograms = &run["histograms"]["weights/w"];
    assert_eq!(steps(histograms, &field), [10, 20, 30]);
    assert_eq!(histograms[2]["max"], 2.0);
    let images = &run["images"]["examples/a"];
    assert_eq!(steps(images, &field), [10, 20, 30]);
    assert_eq!(images[2]["corner"], json!([2, 2, 2]));
    let plots = &found[format!("{name}/final")]["images"]["scatter"];
    assert_eq!(steps(plots, &field), [30]);
    assert_eq!(plots[0]["corner"], json!([2, 2, 2]));
    assert_eq!(
        found[format!("{name}/final/test")]["scalars"]["rmse"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(page[&name]["status"], "STATUS_SUCCESS");
}

#[test]
fn what_is_settled_is_in_the_files_of_a_killed_run() {
    let runs = tempfile::tempdir().unwrap();
    let dir = RunDir::create(runs.path(), "deam-cnn").unwrap();
    let name = format!("deam-cnn/{}", dir.id());
    let recorder = Recorder::start(dir.clone(), runs.path(), header()).unwrap();
    recorder.histograms(10, vec![("weights/w".to_string(), vec![1.0])]);
    recorder.image("examples/a", 10, (1, 1), vec![1; 3]);
    recorder.metrics(vec![row("val", "loss", 10, 0.5)]);
    recorder.settle();
    // What a kill at this moment leaves.
    let left = tempfile::tempdir().unwrap();
    for folder in ["", "val"] {
        let (from, to) = (dir.path().join(folder), left.path().join(&name).join(folder));
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
            if entry.file_name().to_str().unwrap().contains("tfevents") {
                std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }
    recorder.finish(Status::Completed, None).unwrap();
    let Some((found, _)) = read(left.path()) else { return };
    assert_eq!(
        found[format!("{name}/val")]["scalars"]["loss"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(found[&name]["histograms"]["weights/w"].as_array().unwrap().len(), 1);
    assert_eq!(found[&name]["images"]["examples/a"].as_array().unwrap().len(), 1);
}

#[test]
fn a_live_run_shows_within_seconds_while_the_database_is_locked() {
    let runs = tempfile::tempdir().unwrap();
    let dir = RunDir::create(runs.path(), "deam-cnn").unwrap();
    let recorder = Recorder::start(dir.clone(), runs.path(), header()).unwrap();
    let mut other = rusqlite::Connection::open(runs.path().join("affect.sqlite")).unwrap();
    let lock = other
        .transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)
        .unwrap();
    let bytes = || -> u64 {
        let entries = std::fs::read_dir(dir.path().join("train")).into_iter().flatten();
        entries.map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
    };
    let mut before = 0;
    for step in 1..=3 {
        recorder.metrics(vec![row("train", "loss", step, 1.0)]);
        let begin = std::time::Instant::now();
        while bytes() <= before {
            assert!(begin.elapsed().as_secs() < 5, "step {step} is not in the file");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        before = bytes();
    }
    drop(lock);
    recorder.finish(Status::Completed, None).unwrap();
}

#[test]
fn a_run_shows_its_examples_its_tensors_its_plots_and_its_settings() {
    let lab = common::Lab::new();
    let text = lab.read("reg.toml");
    let more = "[augment]\ntime_shift = { frames = 3 }\n[record]\nhistograms = { every = 2 }\nexamples = 2\n";
    lab.write("reg.toml", &format!("{text}{more}"));
    lab.edit("reg.toml", "epochs = 2", "epochs = 3");
    lab.succeed(&["run", "reg.toml"]);
    let id = lab.run("reg").file_name().unwrap().to_str().unwrap().to_owned();
    let name = format!("reg/{id}");

    let Some((found, page)) = read(&lab.path("runs")) else {
        return;
    };
    let run = &found[&name];
    let tags = |of: &Value| of.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let examples = tags(&run["images"]);
    assert_eq!(examples.len(), 4, "{examples:?}");
    for pair in examples.chunks(2) {
        let id = pair[0].strip_suffix(": as it is").unwrap();
        assert_eq!(pair[1], format!("{id}: augmented, epoch 1"));
        assert!(id.starts_with("examples/"), "{id}");
        assert!(lab.read("data/labels.csv").contains(&id["examples/".len()..]), "{id}");
    }
    let histograms = tags(&run["histograms"]);
    let parameters: Vec<&str> = histograms
        .iter()
        .filter_map(|tag| tag.strip_prefix("weights/"))
        .collect();
    let gradients: Vec<&str> = histograms
        .iter()
        .filter_map(|tag| tag.strip_prefix("gradients/"))
        .collect();
    assert!(!parameters.is_empty() && parameters == gradients, "{histograms:?}");
    let per_epoch = run["scalars"]["learning_rate"][0][0].as_i64().unwrap();
    for tag in &histograms {
        let points = run["histograms"][tag].as_array().unwrap();
        let steps: Vec<i64> = points.iter().map(|point| point["step"].as_i64().unwrap()).collect();
        assert_eq!(steps, [per_epoch, 2 * per_epoch], "{tag}");
    }
    let plots = tags(&found[format!("{name}/final")]["images"]);
    assert!(plots.contains(&"loss".to_owned()), "{plots:?}");
    let row = &page[&name];
    assert_eq!(row["status"], "STATUS_SUCCESS");
    assert_eq!(row["hparams"]["train.epochs"], 3.0);
    let rmse: f64 = lab.query("SELECT value FROM results WHERE split = 'test' AND name = 'rmse' AND target = ''");
    let shown = row["metrics"]["final/test:rmse"][1].as_f64().unwrap();
    assert!((shown - rmse).abs() < 1e-6, "{shown} {rmse}");

    // On its own it has the same name and the same row.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        lab.write("bin/tensorboard", "#!/bin/sh\necho \"$2\"\n");
        std::fs::set_permissions(lab.path("bin/tensorboard"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = lab.command(&["tensorboard", &id]);
        let output = command
            .env("PATH", lab.path("bin"))
            .env("TMPDIR", lab.path("temporary"))
            .output()
            .unwrap();
        let folder = String::from_utf8(output.stdout).unwrap();
        let (alone, page_alone) = read(Path::new(folder.trim())).unwrap();
        assert_eq!(page_alone, page);
        assert_eq!(alone, found);
    }
}
