//! One experiment file gives one result, bit for bit: again, on any number of threads, with or without the cache.

#![allow(clippy::disallowed_methods)] // tests damage and move files

mod common;

use std::path::{Path, PathBuf};

use common::Lab;

/// What must be the same bytes, and the values that must be the same numbers.
#[derive(Debug, PartialEq)]
struct Result {
    predictions: String,
    model: Vec<u8>,
    /// Metrics, results and baselines, without times.
    figures: Vec<String>,
}

/// Runs an experiment and reads what it left.
fn run(lab: &Lab, name: &str, options: &[&str]) -> (Result, String) {
    let (folder, outcome) = lab.run_anew(name, options);
    (result_of(lab, &folder), outcome.stderr)
}

fn result_of(lab: &Lab, run: &Path) -> Result {
    Result {
        predictions: std::fs::read_to_string(run.join("predictions.csv")).unwrap(),
        model: std::fs::read(run.join("checkpoints/best/model.safetensors")).unwrap(),
        figures: figures(lab, run),
    }
}

fn figures(lab: &Lab, run: &Path) -> Vec<String> {
    let id = run.file_name().unwrap().to_str().unwrap();
    let mut figures = Vec::new();
    for query in [
        "SELECT concat_ws(' ', split, name, epoch, step), value FROM metrics WHERE run_id = ?1 ORDER BY 1",
        "SELECT concat_ws(' ', split, name, target, ci_low, ci_high), value FROM results WHERE run_id = ?1 ORDER BY 1",
        "SELECT concat_ws(' ', split, baseline, name, target), value FROM baselines WHERE run_id = ?1 ORDER BY 1",
    ] {
        let database = lab.database();
        let mut rows = database.prepare(query).unwrap();
        let rows = rows.query_map([id], |row| {
            Ok(format!(
                "{} = {:?}",
                row.get::<_, String>(0)?,
                row.get::<_, Option<f64>>(1)?
            ))
        });
        let rows: Vec<String> = rows.unwrap().collect::<std::result::Result<_, _>>().unwrap();
        assert!(!rows.is_empty(), "{query}");
        figures.extend(rows);
    }
    figures
}

#[test]
fn a_regression_is_the_same_again_on_two_threads_and_with_a_damaged_or_deleted_cache() {
    let lab = Lab::new();
    let (first, stderr) = run(&lab, "reg", &["--threads", "1"]);
    assert!(stderr.contains("24 computed, 0 from the cache"), "{stderr}");

    let (second, stderr) = run(&lab, "reg", &["--threads", "2"]);
    assert!(stderr.contains("0 computed, 24 from the cache"), "{stderr}");
    assert_eq!(first, second);

    // A flipped bit in one array, and a file that ends too early.
    let sets = std::fs::read_dir(lab.path("cache/features")).unwrap();
    let mut sets = sets.map(|set| set.unwrap().path()).filter(|path| path.is_dir());
    let data = sets.next().unwrap().join("data.f32");
    let mut bytes = std::fs::read(&data).unwrap();
    bytes[5] ^= 64;
    bytes.truncate(bytes.len() - 10);
    std::fs::write(&data, bytes).unwrap();
    let (damaged, stderr) = run(&lab, "reg", &[]);
    assert!(stderr.contains("2 computed, 22 from the cache"), "{stderr}");
    assert_eq!(first, damaged);

    std::fs::remove_dir_all(lab.path("cache")).unwrap();
    let (anew, stderr) = run(&lab, "reg", &["--threads", "2"]);
    assert!(stderr.contains("24 computed, 0 from the cache"), "{stderr}");
    assert_eq!(first, anew);

    let (other, _) = run(&lab, "reg", &["--seed", "8"]);
    assert_ne!(first.predictions, other.predictions);
    assert_ne!(first.model, other.model);
}

#[test]
fn a_classification_is_the_same_on_one_thread_and_on_two() {
    let lab = Lab::new();
    let balanced = ["--set", "loss.class_weights=balanced"];
    let (one, _) = run(&lab, "cls", &[&balanced[..], &["--threads", "1"]].concat());
    let (two, _) = run(&lab, "cls", &[&balanced[..], &["--threads", "2"]].concat());
    assert_eq!(one, two);
}

#[test]
fn the_resolved_settings_of_a_run_give_the_run_again() {
    let lab = Lab::new();
    let (first, _) = run(&lab, "reg", &["--set", "train.batch_size=5", "--seed", "9"]);
    let settings = lab.run("reg").join("experiment.toml");
    lab.succeed(&["run", settings.to_str().unwrap()]);
    let mut runs = lab.runs("reg");
    runs.retain(|run| !settings.starts_with(run));
    let again = &runs[0];
    assert_eq!(
        first.predictions,
        std::fs::read_to_string(again.join("predictions.csv")).unwrap()
    );
    assert_eq!(first.figures, figures(&lab, again));
}

#[test]
fn a_rendered_corpus_is_the_same_in_another_cache() {
    let lab = Lab::new();
    let short = [
        "--set",
        "dataset={kind=\"synthetic\",songs=12,seconds=1.0,sample_rate=8000}",
        "--set",
        "features.sample_rate=8000",
        "--set",
        "features.duration=1.0",
        "--set",
        "train.epochs=1",
    ];
    let (one, _) = run(
        &lab,
        "reg",
        &[&short[..], &["--threads", "1", "--cache", "one"]].concat(),
    );
    let (two, _) = run(
        &lab,
        "reg",
        &[&short[..], &["--threads", "2", "--cache", "two"]].concat(),
    );
    assert_eq!(one, two);
}

/// Names and contents.
type Files = Vec<(String, Vec<u8>)>;

/// The run's folder; every file of its checkpoints, the predictions and the figures.
fn everything(lab: &Lab, options: &[&str]) -> (PathBuf, (Files, Result)) {
    let (run, _) = lab.run_anew("reg", options);
    let mut files = Vec::new();
    for checkpoint in ["best", "last"] {
        for entry in std::fs::read_dir(run.join("checkpoints").join(checkpoint)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&run).unwrap().to_str().unwrap().to_owned();
            files.push((name, std::fs::read(&path).unwrap()));
        }
    }
    files.sort();
    assert!(files.len() >= 8, "{}", files.len());
    let result = result_of(lab, &run);
    (run, (files, result))
}

#[test]
fn what_is_recorded_changes_no_byte_of_checkpoints_and_predictions() {
    let lab = Lab::new();
    lab.edit("reg.toml", "epochs = 2", "epochs = 3\naccumulate = 2\nclip_norm = 0.1");
    let text = lab.read("reg.toml");
    lab.write(
        "reg.toml",
        &format!("{text}\n[augment]\ngain = {{ low = -1.0, high = 1.0 }}\ntime_shift = {{ frames = 3 }}\nmixup = {{ alpha = 0.4 }}\n"),
    );
    let (of_nothing, nothing) = everything(
        &lab,
        &[
            "--set",
            "record.histograms=never",
            "--set",
            "record.examples=0",
            "--threads",
            "1",
        ],
    );
    let (of_usual, usual) = everything(&lab, &["--threads", "2"]);
    let (of_all, all) = everything(
        &lab,
        &[
            "--set",
            "record.histograms={every=1}",
            "--set",
            "record.examples=9",
            "--threads",
            "2",
        ],
    );
    assert!(nothing == usual, "the defaults change something");
    assert!(nothing == all, "histograms and examples change something");
    // They are the same experiment also in name: settings that change nothing tell no two runs apart.
    assert_eq!(lab.query::<i64>("SELECT count(DISTINCT config_hash) FROM runs"), 1);
    assert_eq!(
        lab.query::<i64>("SELECT count(*) FROM params WHERE key LIKE 'record%'"),
        0
    );
    let events = |run: &Path| -> u64 {
        let entries = std::fs::read_dir(run).unwrap().map(std::result::Result::unwrap);
        let events = entries.filter(|entry| entry.file_name().to_string_lossy().contains("tfevents"));
        events.map(|entry| entry.metadata().unwrap().len()).sum()
    };
    let sizes: Vec<u64> = [of_nothing, of_usual, of_all].iter().map(|run| events(run)).collect();
    assert!(sizes[0] < sizes[1] && sizes[1] < sizes[2], "{sizes:?}");
}
