//! How long training goes on, when it looks at the validation split, and how it ends.

#![allow(clippy::disallowed_methods, reason = "tests read and change what the program wrote")]

mod common;

use std::path::Path;

use common::Lab;
use serde_json::Value;

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The lines of a run's log that tell of `event`.
fn events(run: &Path, event: &str) -> Vec<Value> {
    let log = std::fs::read_to_string(run.join("log.jsonl")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["event"] == event).collect()
}

/// "step: value" of a recorded metric.
fn recorded(lab: &Lab, runs: &str, split: &str, name: &str) -> Vec<String> {
    let database = rusqlite::Connection::open(lab.path(runs).join("affect.sqlite")).unwrap();
    let mut rows = database
        .prepare("SELECT epoch, step, value FROM metrics WHERE split = ?1 AND name = ?2 ORDER BY step")
        .unwrap();
    let rows = rows.query_map([split, name], |row| {
        let (epoch, step, value): (u32, i64, f64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(format!("{epoch} {step} {value:?}"))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

fn only_run(lab: &Lab, runs: &str) -> std::path::PathBuf {
    let mut entries = std::fs::read_dir(lab.path(runs).join("reg")).unwrap();
    let run = entries.next().unwrap().unwrap().path();
    assert!(entries.next().is_none());
    run
}

#[test]
fn validation_by_updates_is_validation_by_epochs_where_they_meet_and_goes_on_between() {
    let lab = Lab::new();
    // 12 examples in batches of 4: three updates an epoch.
    let run = |runs: &str, every: &str| {
        let every = format!("train.validate_every={every}");
        let epochs = "train.epochs=4";
        lab.succeed(&["run", "reg.toml", "--runs", runs, "--set", &every, "--set", epochs])
    };
    run("epochs", "epoch");
    run("three", "{updates=3}");
    for (split, name) in [
        ("train", "loss"),
        ("train", "mae"),
        ("val", "loss"),
        ("", "learning_rate"),
    ] {
        let figures = recorded(&lab, "three", split, name);
        assert_eq!(figures.len(), 4);
        assert_eq!(figures, recorded(&lab, "epochs", split, name));
    }
    let model = |runs: &str| std::fs::read(only_run(&lab, runs).join("checkpoints/best/model.safetensors")).unwrap();
    assert_eq!(model("three"), model("epochs"));

    let outcome = run("five", "{updates=5}");
    let places = |split| -> Vec<String> {
        let figures = recorded(&lab, "five", split, "loss");
        let place = |figure: &String| figure.rsplit_once(' ').unwrap().0.to_owned();
        figures.iter().map(place).collect()
    };
    assert_eq!(places("val"), ["2 5", "4 10", "4 12"]);
    assert_eq!(places("train"), places("val"));
    assert!(
        outcome.stderr.contains("\n    update       loss   val loss        mae"),
        "{}",
        outcome.stderr
    );
    assert!(outcome.stderr.contains("\n      5/12     "), "{}", outcome.stderr);

    // As if validation were no part of training: the same network, whenever it is looked at.
    let last = |runs: &str| std::fs::read(only_run(&lab, runs).join("checkpoints/last/model.safetensors")).unwrap();
    assert_eq!(last("five"), last("epochs"));
    let complaint = lab.complaint(2, &["check", "reg.toml", "--set", "train.validate_every={updates=0}"]);
    assert!(complaint.contains("train.validate_every"), "{complaint}");
    let complaint = lab.complaint(2, &["check", "reg.toml", "--set", "train.validate_every=never"]);
    assert!(complaint.contains("train.validate_every"), "{complaint}");
}

#[test]
fn the_best_network_is_tested_or_the_last() {
    let lab = Lab::new();
    let run = |runs: &str, restore: &str| {
        let restore = format!("train.early_stopping.restore_best={restore}");
        let sets = [
            "train.epochs=8",
            "optimizer.learning_rate=0.05",
            "train.early_stopping.patience=8",
            &restore,
        ];
        let sets = sets.into_iter().flat_map(|set| ["--set", set]);
        let arguments: Vec<&str> = ["run", "reg.toml", "--runs", runs].into_iter().chain(sets).collect();
        lab.succeed(&arguments)
    };
    let (best, last) = (run("best", "true"), run("last", "false"));
    let figures = recorded(&lab, "best", "val", "mae");
    assert_eq!(figures, recorded(&lab, "last", "val", "mae"));
    let figures: Vec<f64> = figures
        .iter()
        .map(|figure| figure.rsplit_once(' ').unwrap().1.parse().unwrap())
        .collect();
    let losses = recorded(&lab, "best", "val", "loss");
    let losses = losses
        .iter()
        .map(|figure| figure.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap());
    let (at, _) = losses.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert!(
        at < 7 && (figures[at] - figures[7]).abs() > 1e-3,
        "the last is the best: {figures:?}"
    );
    let tested = |runs: &str| -> f64 {
        let database = rusqlite::Connection::open(lab.path(runs).join("affect.sqlite")).unwrap();
        let query = "SELECT value FROM results WHERE split = 'val' AND name = 'mae' AND target = ''";
        database.query_row(query, [], |row| row.get(0)).unwrap()
    };
    assert!((tested("best") - figures[at]).abs() < 1e-6);
    assert!((tested("last") - figures[7]).abs() < 1e-6);
    assert!(!best.stderr.contains("the last one is tested"));
    assert!(last.stderr.contains("; the last one is tested"), "{}", last.stderr);
}

#[test]
fn a_limit_on_time_ends_training_properly_and_counts_what_was_before_an_interruption() {
    let lab = Lab::new();
    let long = [
        "--set",
        "train.epochs=100000",
        "--set",
        "train.early_stopping.patience=100000",
    ];
    let limited = |runs, minutes| [&["run", "reg.toml", "--runs", runs, "--set", minutes], &long[..]].concat();
    let outcome = lab.succeed(&limited("short", "train.max_minutes=0.01"));
    assert!(outcome.stdout.contains("(stopped-early"), "{}", outcome.stdout);
    assert!(
        outcome.stderr.contains("because `train.max_minutes` (0.01) were over"),
        "{}",
        outcome.stderr
    );
    let run = only_run(&lab, "short");
    assert_eq!(events(&run, "trained")[0]["stop"], "out-of-time");
    assert!(run.join("predictions.csv").exists() && run.join("report.html").exists());
    // What was trained last was validated too.
    let state = json(&run.join("checkpoints/last/state.json"));
    assert_eq!(state["validated"], state["updates"]);

    let mut process = lab.spawn(&limited("long", "train.max_minutes=60"));
    let clock = loop {
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(process.try_wait().unwrap().is_none());
        if lab.path("long/reg").exists() {
            let clock = only_run(&lab, "long").join("checkpoints/clock.json");
            if clock.exists() && clock.with_file_name("last").exists() {
                break clock;
            }
        }
    };
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(json(&clock)["seconds"].as_f64().unwrap() > 0.0);
    std::fs::write(&clock, "{\"seconds\": 3600.5}").unwrap();
    let outcome = lab.succeed(&["resume", "latest", "--runs", "long"]);
    assert!(outcome.stdout.contains("(stopped-early"), "{}", outcome.stdout);
    assert!(!outcome.stderr.contains("/100000 "), "{}", outcome.stderr);
}

#[test]
fn a_divergence_says_what_where_and_what_is_left() {
    let lab = Lab::new();
    // The rate grows until nothing holds.
    lab.edit(
        "reg.toml",
        "kind = \"adam\"\nlearning_rate = 0.01",
        "kind = \"sgd\"\nlearning_rate = 1000",
    );
    lab.edit("reg.toml", "epochs = 2", "epochs = 200");
    let text = lab.read("reg.toml");
    lab.write(
        "reg.toml",
        &format!("{text}early_stopping = {{ patience = 1000 }}\n[schedule]\nkind = \"constant\"\nwarmup = {{ epochs = 10000, from = 1e-9 }}\n"),
    );
    let complaint = lab.complaint(1, &["run", "reg.toml"]);
    assert!(complaint.starts_with("error: training diverged: "), "{complaint}");
    for part in [
        " in epoch ",
        " at step ",
        "; at step ",
        "the gradient norm",
        "; the batch: `",
        "; the last good checkpoint is `runs/reg/",
        "checkpoints/last`, after ",
        "help: try a smaller `optimizer.learning_rate`",
    ] {
        assert!(complaint.contains(part), "`{part}`: {complaint}");
    }
    let run = lab.run("reg");
    let error: String = lab.query("SELECT error FROM runs");
    assert!(complaint.contains(&error), "{error}");
    let event = &events(&run, "diverged")[0];
    assert!(event["ids"].as_array().unwrap().len() >= 4, "{event}");
    assert!(event["last_good"]["gradient_norm"].is_number(), "{event}");
    // A step that cannot be done comes after the last good one; what a parameter or a validation shows, with it.
    let undone = event["what"] == "the loss" || event["what"] == "the norm of the gradients";
    assert_eq!(
        event["last_good"]["step"].as_u64().unwrap() + u64::from(undone),
        event["step"].as_u64().unwrap(),
        "{event}"
    );
    // The checkpoint is sound: going on from it leads to the same step.
    let again = lab.complaint(1, &["resume", "latest"]);
    assert_eq!(again.lines().next(), complaint.lines().next());
}

#[test]
fn a_gradient_that_adam_cannot_square_is_a_divergence() {
    let lab = Lab::new();
    let table = lab.read("data/labels.csv");
    let huge = table.lines().enumerate().map(|(index, line)| {
        let mut fields: Vec<String> = line.split(',').map(str::to_owned).collect();
        if index > 0 {
            fields[1] = format!("{}e18", 3 * (index % 3));
        }
        fields.join(",")
    });
    lab.write("data/labels.csv", &huge.collect::<Vec<_>>().join("\n"));
    lab.edit("reg.toml", "normalize = \"train-statistics\"", "normalize = \"none\"");
    lab.edit("reg.toml", "batch_norm = true, ", "");
    let baselines = ["--set", "evaluate.baselines=[\"mean\"]"];
    let complaint = lab.complaint(1, &[&["run", "reg.toml"], &baselines[..]].concat());
    assert!(
        complaint.starts_with("error: training diverged: the norm of the gradients became "),
        "{complaint}"
    );
    assert!(complaint.contains("there is no checkpoint yet"), "{complaint}");
    // Clipped, it is none.
    let clipped = ["--set", "train.clip_norm=1.0"];
    lab.succeed(&[&["run", "reg.toml"], &baselines[..], &clipped].concat());
}

#[test]
fn a_checkpoint_of_another_form_is_refused() {
    let lab = Lab::new();
    lab.succeed(&["run", "reg.toml"]);
    let run = lab.run("reg");
    // As an older version would have left it, checksum and all.
    for name in ["best", "last", "last-1"] {
        let folder = run.join("checkpoints").join(name);
        let state = "{\"epoch\": 2, \"batches\": 6}";
        std::fs::write(folder.join("state.json"), state).unwrap();
        let mut manifest = json(&folder.join("manifest.json"));
        manifest["state.json"] = blake3::hash(state.as_bytes()).to_hex().to_string().into();
        std::fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
    }
    lab.database()
        .execute("UPDATE runs SET status = 'interrupted'", [])
        .unwrap();
    let complaint = lab.complaint(1, &["resume", "latest"]);
    assert!(
        complaint.contains("checkpoints/last` cannot be used: state.json: another version of affect"),
        "{complaint}"
    );
}

#[test]
fn a_profile_tells_where_the_time_went() {
    let lab = Lab::new();
    let outcome = lab.succeed(&["run", "reg.toml", "--profile"]);
    let run = lab.run("reg");
    let profile = json(&run.join("profile.json"));
    let names: Vec<&str> = profile["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["preparation", "baselines", "training", "test", "report"]);
    let training = &profile["parts"][2];
    let seconds = |part: &Value| part["seconds"].as_f64().unwrap();
    let inner: f64 = training["of"].as_array().unwrap().iter().map(seconds).sum();
    assert_eq!(training["of"].as_array().unwrap().len(), 8);
    assert!(
        inner > 0.9 * seconds(training) && inner <= seconds(training),
        "{profile}"
    );
    for name in [
        "forward",
        "backward",
        "waiting for data",
        "validation",
        "records",
        "checkpoints",
    ] {
        assert!(outcome.stderr.contains(&format!("\n   {name} ")), "{}", outcome.stderr);
    }
    assert_eq!(events(&run, "profile").len(), 1);
    assert!(lab.query::<i64>("SELECT count(*) FROM artifacts WHERE path = 'profile.json'") == 1);

    let outcome = lab.succeed(&["run", "cls.toml"]);
    assert!(!outcome.stderr.contains("where the time went"), "{}", outcome.stderr);
    assert!(!lab.run("cls").join("profile.json").exists());
}
