//! Repeats over seeds and folds: a parent run, a child for each, and what they come to together.

#![allow(clippy::disallowed_methods, reason = "tests read what the program wrote")]

mod common;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::Lab;
use rusqlite::Connection;

/// Three folds over six speakers.
fn lab() -> Lab {
    let lab = Lab::new();
    for file in ["cls.toml", "reg.toml"] {
        lab.edit(
            file,
            "kind = \"random\"\nfractions = [0.5, 0.25, 0.25]",
            "kind = \"k-fold\"\nfolds = 3",
        );
    }
    lab
}

/// The children of the only parent, by seed and fold: their folders.
fn children(lab: &Lab, runs: &str) -> BTreeMap<(i64, i64), PathBuf> {
    let database = Connection::open(lab.path(runs).join("affect.sqlite")).unwrap();
    let mut query = database
        .prepare(
            "SELECT seed, value, experiment, id FROM runs JOIN params ON run_id = id AND key = 'dataset.split.fold'
             WHERE parent_id IS NOT NULL",
        )
        .unwrap();
    let rows = query.query_map([], |row| {
        let folder = format!("{}/{}", row.get::<_, String>(2)?, row.get::<_, String>(3)?);
        Ok(((row.get(0)?, row.get(1)?), lab.path(runs).join(folder)))
    });
    let children: Vec<_> = rows.unwrap().map(Result::unwrap).collect();
    let map: BTreeMap<_, _> = children.iter().cloned().collect();
    assert_eq!(map.len(), children.len(), "two children of one kind: {children:?}");
    map
}

/// By seed and fold, what a child predicts.
fn predictions(lab: &Lab, runs: &str) -> BTreeMap<(i64, i64), String> {
    let read = |(key, folder): ((i64, i64), PathBuf)| {
        let best = std::fs::read(folder.join("checkpoints/best/model.safetensors")).unwrap();
        let text = std::fs::read_to_string(folder.join("predictions.csv")).unwrap();
        (key, format!("{text}{}", blake3::hash(&best)))
    };
    children(lab, runs).into_iter().map(read).collect()
}

fn parent(lab: &Lab, runs: &str) -> String {
    let database = Connection::open(lab.path(runs).join("affect.sqlite")).unwrap();
    let query = "SELECT id FROM runs WHERE parent_id IS NULL";
    let ids: Vec<String> = database
        .prepare(query)
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    ids.into_iter().next().unwrap()
}

/// Rows of the test folds of some files: (id, label, predicted class).
fn tested(files: &[&PathBuf]) -> Vec<(String, String, String)> {
    let mut rows = Vec::new();
    for folder in files {
        let mut reader = csv::Reader::from_path(folder.join("predictions.csv")).unwrap();
        for record in reader.records().map(Result::unwrap) {
            if &record[0] == "test" {
                rows.push((record[1].to_owned(), record[3].to_owned(), record[4].to_owned()));
            }
        }
    }
    rows
}

/// The test examples' labels and the probabilities of each class, by their ids.
fn probabilities(folders: &[&PathBuf]) -> BTreeMap<String, (String, Vec<(String, f64)>)> {
    let mut rows = BTreeMap::new();
    for folder in folders {
        let mut reader = csv::Reader::from_path(folder.join("predictions.csv")).unwrap();
        let header = reader.headers().unwrap().clone();
        for record in reader.records().map(Result::unwrap) {
            if &record[0] == "test" {
                let columns = header.iter().zip(&record).skip(5);
                let probabilities =
                    columns.map(|(name, value)| (name.strip_prefix("p_").unwrap().to_owned(), value.parse().unwrap()));
                rows.insert(record[1].to_owned(), (record[3].to_owned(), probabilities.collect()));
            }
        }
    }
    rows
}

#[test]
fn seeds_and_folds_make_children_and_their_figures_together() {
    let lab = lab();
    let told = lab.succeed(&["run", "cls.toml", "--folds", "all", "--seeds", "2", "--json"]);
    let said = told.json();
    let children = children(&lab, "runs");
    let keys: Vec<(i64, i64)> = children.keys().copied().collect();
    assert_eq!(keys, [(7, 0), (7, 1), (7, 2), (8, 0), (8, 1), (8, 2)]);
    assert_eq!(said["run"], parent(&lab, "runs"));
    assert_eq!(said["runs"].as_array().unwrap().len(), 6);
    assert_eq!(said["status"], "completed");
    // Decoded once, by the parent.
    assert_eq!(told.stderr.matches("24 computed").count(), 1, "{}", told.stderr);
    assert_eq!(told.stderr.matches("0 computed").count(), 6, "{}", told.stderr);
    // A fold has the same examples whatever the seed, and all folds together have each example once.
    let split = |key| std::fs::read_to_string(children[&key].join("split.csv")).unwrap();
    assert_eq!(split((7, 1)), split((8, 1)));
    assert_ne!(split((7, 0)), split((7, 1)));
    let figure = |split: &str, name: &str| {
        let rows = said["results"].as_array().unwrap().iter();
        let mut rows = rows.filter(|row| row["split"] == split && row["name"] == name && row["target"] == "");
        let row = rows.next().unwrap().clone();
        assert_eq!(rows.next(), None);
        row
    };
    let mut pooled = 0.0;
    for seed in [7, 8] {
        let rows = tested(&[&children[&(seed, 0)], &children[&(seed, 1)], &children[&(seed, 2)]]);
        let mut ids: Vec<&String> = rows.iter().map(|row| &row.0).collect();
        ids.sort();
        ids.dedup();
        assert_eq!((ids.len(), rows.len()), (24, 24));
        pooled += rows.iter().filter(|row| row.1 == row.2).count() as f64 / 24.0 / 2.0;
    }
    let of_all = figure("out-of-fold", "accuracy");
    assert!((of_all["value"].as_f64().unwrap() - pooled).abs() < 1e-12, "{of_all}");
    let ci = of_all["ci"].as_array().unwrap();
    assert!(ci[0].as_f64().unwrap() <= pooled && pooled <= ci[1].as_f64().unwrap());
    // The mean prediction over the seeds.
    let of_seed = |seed| probabilities(&[&children[&(seed, 0)], &children[&(seed, 1)], &children[&(seed, 2)]]);
    let (first, second) = (of_seed(7), of_seed(8));
    let mut right = 0;
    for (id, (label, ours)) in &first {
        let sums = ours.iter().zip(&second[id].1).map(|(a, b)| (&a.0, a.1 + b.1));
        let (best, _) = sums.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        right += i32::from(best == label);
    }
    let of_ensemble = figure("ensemble", "accuracy")["value"].as_f64().unwrap();
    assert!(
        (of_ensemble - f64::from(right) / 24.0).abs() < 1e-12,
        "{of_ensemble} {right}"
    );
    let folder = lab.path(said["folder"].as_str().unwrap());
    let written = std::fs::read_to_string(folder.join("ensemble.csv")).unwrap();
    assert_eq!(written.lines().count(), 1 + 24);
    let each: Vec<f64> = children
        .values()
        .map(|folder| {
            let rows = tested(&[folder]);
            rows.iter().filter(|row| row.1 == row.2).count() as f64 / rows.len() as f64
        })
        .collect();
    let mean = each.iter().sum::<f64>() / 6.0;
    let deviation = (each.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 5.0).sqrt();
    assert!((figure("test", "accuracy")["value"].as_f64().unwrap() - mean).abs() < 1e-12);
    assert!((figure("test/deviation", "accuracy")["value"].as_f64().unwrap() - deviation).abs() < 1e-12);
    // The baselines are pooled as the model is.
    let baselines = said["baselines"].as_array().unwrap();
    let of_all = |name: &str| {
        let mut rows = baselines.iter();
        rows.any(|row| row["split"] == "out-of-fold" && row["baseline"] == name && row["name"] == "accuracy")
    };
    assert!(of_all("majority") && of_all("logistic"), "{baselines:?}");
    // It is all in the record, and there is nothing left to do.
    let recorded: f64 = lab.query(&format!(
        "SELECT value FROM results WHERE run_id = '{}' AND split = 'out-of-fold' AND name = 'accuracy'",
        said["run"].as_str().unwrap()
    ));
    assert!((recorded - pooled).abs() < 1e-12);
    let complaint = lab.complaint(2, &["resume", said["run"].as_str().unwrap()]);
    assert!(complaint.contains("there is nothing left to do"), "{complaint}");
}

#[test]
fn how_many_run_at_once_changes_nothing() {
    let lab = lab();
    lab.succeed(&["run", "reg.toml", "--folds", "all", "--runs", "one", "--threads", "2"]);
    let told = lab.succeed(&[
        "run",
        "reg.toml",
        "--folds",
        "all",
        "--jobs",
        "3",
        "--runs",
        "three",
        "--threads",
        "2",
    ]);
    assert_eq!(predictions(&lab, "three"), predictions(&lab, "one"));
    for fold in 0..3 {
        let is_epoch =
            |line: &&str| line.trim_start().starts_with("1/2 ") && line.ends_with(&format!("seed 7, fold {fold}"));
        assert_eq!(told.stderr.lines().filter(is_epoch).count(), 1, "{}", told.stderr);
    }
    assert_eq!(told.stderr.matches("val loss").count(), 1, "{}", told.stderr);
    // What a child did can be done by hand.
    let arguments = ["run", "reg.toml", "--set", "dataset.split.fold=1", "--runs", "by-hand"];
    lab.succeed(&arguments);
    let of_hand = std::fs::read_dir(lab.path("by-hand/reg"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let text = std::fs::read_to_string(of_hand.join("predictions.csv")).unwrap();
    assert!(predictions(&lab, "one")[&(7, 1)].starts_with(&text));
    // The test folds of the one seed are in one table.
    let parent = lab.path("one/reg").join(parent(&lab, "one"));
    assert_eq!(tested(&[&parent]).len(), 24);
}

#[cfg(unix)]
fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what} does not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Epochs that the children have recorded.
#[cfg(unix)]
fn epochs(lab: &Lab, runs: &str) -> Vec<u32> {
    let Ok(database) = Connection::open(lab.path(runs).join("affect.sqlite")) else {
        return Vec::new();
    };
    let query =
        "SELECT (SELECT COALESCE(MAX(epoch), 0) FROM metrics WHERE run_id = id) FROM runs WHERE parent_id IS NOT NULL";
    let Ok(mut query) = database.prepare(query) else {
        return Vec::new();
    };
    query.query_map([], |row| row.get(0)).unwrap().flatten().collect()
}

#[cfg(unix)]
fn signal(name: &str, process: u32) {
    let status = std::process::Command::new("kill")
        .args([name, &process.to_string()])
        .status();
    assert!(status.unwrap().success());
}

#[cfg(unix)]
#[test]
fn interrupted_repeats_are_the_same_when_resumed() {
    let lab = lab();
    lab.edit("reg.toml", "epochs = 2", "epochs = 150");
    lab.succeed(&["run", "reg.toml", "--seeds", "3", "--runs", "whole"]);
    let whole = predictions(&lab, "whole");
    for (name, jobs) in [("-INT", "2"), ("-TERM", "1"), ("-KILL", "2")] {
        let runs = format!("runs{name}");
        let process = lab.spawn(&["run", "reg.toml", "--seeds", "3", "--jobs", jobs, "--runs", &runs]);
        wait_until("an epoch", || epochs(&lab, &runs).iter().any(|&epochs| epochs >= 2));
        signal(name, process.id());
        let output = process.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        let parent = parent(&lab, &runs);
        if name != "-KILL" {
            assert_eq!(output.status.code(), Some(130), "{stderr}");
            assert!(
                stderr.contains(&format!("`affect resume {parent}` does the rest")),
                "{stderr}"
            );
        }
        // The children stop with their parent, whatever ended it, and save their state; resuming waits for that.
        lab.succeed(&["resume", &parent, "--jobs", "2", "--runs", &runs]);
        assert_eq!(predictions(&lab, &runs), whole, "{name}");
    }
}

#[cfg(unix)]
#[test]
fn a_child_that_dies_leaves_the_others_alone() {
    let lab = lab();
    lab.edit("reg.toml", "epochs = 2", "epochs = 100");
    let process = lab.spawn(&["run", "reg.toml", "--folds", "all", "--jobs", "2"]);
    wait_until("an epoch", || epochs(&lab, "runs").iter().any(|&epochs| epochs >= 1));
    let child: u32 = lab.query("SELECT pid FROM runs WHERE parent_id IS NOT NULL AND status = 'running'");
    signal("-KILL", child);
    let output = process.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let parent = parent(&lab, "runs");
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    for expected in [
        "was ended by signal 9".to_owned(),
        "1 run of 3 did not end well".to_owned(),
        format!("`affect resume {parent}` tries them again"),
    ] {
        assert!(stderr.contains(&expected), "{stderr}");
    }
    let told = lab.succeed(&["resume", &parent]);
    assert!(told.stderr.contains("2 runs of 3 done before"), "{}", told.stderr);
    let done: u32 = lab.query("SELECT COUNT(*) FROM runs WHERE status IN ('completed', 'stopped-early')");
    assert_eq!(done, 4);
}

#[test]
fn what_cannot_be_repeated_is_told() {
    let lab = Lab::new();
    let complaint = lab.complaint(2, &["run", "reg.toml", "--folds", "all"]);
    assert!(complaint.contains("needs a split with folds"), "{complaint}");
    let complaint = lab.complaint(2, &["run", "reg.toml", "--jobs", "2"]);
    assert!(complaint.contains("nothing is repeated"), "{complaint}");
    assert_eq!(lab.affect(&["run", "reg.toml", "--seeds", "0"]).code, Some(2));
    assert_eq!(lab.affect(&["run", "reg.toml", "--folds", "some"]).code, Some(2));
    assert_eq!(lab.runs("reg"), Vec::<PathBuf>::new());
}
