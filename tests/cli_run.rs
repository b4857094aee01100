//! `affect run`, `ls` and `show` on runs that go well: what is on the disk, in the database, on stdout and on stderr.

#![allow(clippy::disallowed_methods)] // tests damage and move files

mod common;

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;
use std::sync::OnceLock;

use common::{EXAMPLES, Lab, Outcome};
use sha2::{Digest as _, Sha256};

/// A regression, then a classification with `--json`; the other tests only look at them.
fn lab() -> &'static (Lab, Outcome, Outcome) {
    static LAB: OnceLock<(Lab, Outcome, Outcome)> = OnceLock::new();
    LAB.get_or_init(|| {
        let lab = Lab::new();
        let regression = lab.succeed(&["run", "reg.toml"]);
        let classification = lab.succeed(&["run", "cls.toml", "--json"]);
        (lab, regression, classification)
    })
}

/// Relative paths of all files, with the parts of a name that change replaced.
fn files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let relative = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            found.insert(match relative.split_once("events.out.tfevents.") {
                Some((before, _)) => format!("{before}events.out.tfevents"),
                None => relative,
            });
        }
    }
    found
}

#[test]
fn a_regression_leaves_everything_that_belongs_to_a_run() {
    let (lab, outcome, _) = lab();
    let found = files(&lab.run("reg"));
    let mut expected: BTreeSet<String> = [
        "experiment.toml",
        "provenance.json",
        "events.out.tfevents",
        "train/events.out.tfevents",
        "val/events.out.tfevents",
        "final/events.out.tfevents",
        "final/val/events.out.tfevents",
        "final/test/events.out.tfevents",
        "predictions.csv",
        "baselines/mean.csv",
        "baselines/ridge.csv",
        "split.csv",
        "interface.json",
        "media.csv",
        "tables/results.csv",
        "tables/results.md",
        "tables/results.tex",
        "report.html",
        "log.jsonl",
    ]
    .map(str::to_owned)
    .into();
    for checkpoint in ["best", "last", "last-1"] {
        for file in [
            "model.safetensors",
            "optimizer.safetensors",
            "state.json",
            "manifest.json",
        ] {
            expected.insert(format!("checkpoints/{checkpoint}/{file}"));
        }
    }
    for plot in [
        "baselines",
        "learning-rate",
        "loss",
        "mae",
        "predicted-true",
        "residuals",
        "valence-arousal",
    ] {
        expected.insert(format!("plots/{plot}.svg"));
        expected.insert(format!("plots/{plot}.png"));
    }
    assert_eq!(found, expected);

    // Results on stdout, everything else on stderr; neither is a terminal here.
    let id = lab.run("reg").file_name().unwrap().to_str().unwrap().to_owned();
    for part in [
        "RMSE",
        "valence",
        "ridge",
        &format!("run {id} (completed"),
        "report.html",
        "or type `affect tensorboard`\n",
    ] {
        assert!(outcome.stdout.contains(part), "{part}: {}", outcome.stdout);
    }
    for part in [
        "experiment",
        "24 examples in 24 groups",
        "12 train, 6 val, 6 test",
        "1/2",
        "2/2",
        "best was epoch",
    ] {
        assert!(outcome.stderr.contains(part), "{part}: {}", outcome.stderr);
        assert!(!outcome.stdout.contains(part), "{part}: {}", outcome.stdout);
    }
    assert!(!outcome.stdout.contains('\x1b') && !outcome.stderr.contains(['\x1b', '\r']));
}

#[test]
fn predictions_are_there_for_every_example() {
    let (lab, ..) = lab();
    let read = |name: &str| std::fs::read_to_string(lab.run(name).join("predictions.csv")).unwrap();
    let (regression, classification) = (read("reg"), read("cls"));
    assert_eq!(regression.lines().count(), EXAMPLES + 1);
    assert_eq!(classification.lines().count(), EXAMPLES + 1);
    let header = regression.lines().next().unwrap();
    for column in ["split", "id", "group", "valence", "arousal"] {
        assert!(header.split(',').any(|name| name == column), "{header}");
    }
    for side in ["train", "val", "test"] {
        assert!(regression.lines().any(|line| line.starts_with(&format!("{side},"))));
    }
}

#[test]
fn the_database_holds_the_run() {
    let (lab, ..) = lab();
    let count = |query: &str| lab.query::<i64>(&format!("SELECT count(*) FROM {query}"));
    let of = "run_id = (SELECT id FROM runs WHERE experiment = 'reg')";
    let about: String =
        lab.query("SELECT concat_ws(' ', status, seed, device, error) FROM runs WHERE experiment = 'reg'");
    assert_eq!(about, "completed 7 cpu");
    let missing =
        "(started_at IS NULL OR finished_at IS NULL OR config_toml = '' OR data_fingerprint = '' OR feature_key = '')";
    assert_eq!(count(&format!("runs WHERE {missing}")), 0);
    let rate: f64 = lab.query(&format!(
        "SELECT value FROM params WHERE key = 'optimizer.learning_rate' AND {of}"
    ));
    assert_eq!(rate, 0.01);
    assert_eq!(
        count(&format!("metrics WHERE split = 'val' AND name = 'loss' AND {of}")),
        2
    );
    assert_eq!(
        count(&format!("results WHERE split = 'test' AND name = 'rmse' AND {of}")),
        3
    );
    assert_eq!(
        count(&format!(
            "baselines WHERE split = 'test' AND name = 'rmse' AND baseline = 'ridge' AND {of}"
        )),
        3
    );
    assert_eq!(
        count(&format!(
            "baselines WHERE baseline = 'mean' AND value IS NOT NULL AND {of}"
        )) % 3,
        0
    );
    assert_eq!(count(&format!("tags WHERE tag = 'tiny' AND {of}")), 1);

    let recorded: String = lab.query(&format!(
        "SELECT sha256 FROM artifacts WHERE path = 'predictions.csv' AND {of}"
    ));
    let content = std::fs::read(lab.run("reg").join("predictions.csv")).unwrap();
    let computed: String = Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(recorded, computed);
}

#[test]
fn provenance_says_where_the_numbers_come_from() {
    let (lab, ..) = lab();
    let text = std::fs::read_to_string(lab.run("reg").join("provenance.json")).unwrap();
    let provenance: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(provenance["seed"], 7);
    assert_eq!(provenance["device"], "cpu");
    assert!(
        provenance["data_fingerprint"]
            .as_str()
            .is_some_and(|text| text.len() == 64)
    );
    assert!(provenance["command_line"][1] == "run");
}

#[test]
fn json_of_a_run_is_all_that_is_on_stdout() {
    let (lab, _, outcome) = lab();
    let summary = outcome.json();
    assert_eq!(summary["status"], "completed");
    assert_eq!(summary["epochs"], 2);
    assert_eq!(lab.path(summary["folder"].as_str().unwrap()), lab.run("cls"));
    let has = |rows: &str, key: &str, name: &str| summary[rows].as_array().unwrap().iter().any(|row| row[key] == name);
    assert!(has("results", "name", "uar") && has("results", "name", "macro-f1"));
    assert!(has("baselines", "baseline", "majority") && has("baselines", "baseline", "logistic"));
    assert!(outcome.stderr.contains("3 classes of emotion"), "{}", outcome.stderr);
    assert!(files(&lab.run("cls")).contains("plots/confusion.svg"));
}

#[test]
fn runs_are_listed_newest_first() {
    let (lab, ..) = lab();
    let listed = lab.succeed(&["ls"]);
    assert_eq!(listed.stderr, "");
    let rows: Vec<&str> = listed
        .stdout
        .lines()
        .filter(|line| line.contains("completed"))
        .collect();
    assert_eq!(rows.len(), 2, "{}", listed.stdout);
    assert!(rows[0].contains("cls") && rows[0].contains("uar"), "{}", rows[0]);
    assert!(rows[1].contains("reg") && rows[1].contains("rmse"), "{}", rows[1]);

    let runs = lab.succeed(&["ls", "--json"]).json();
    let names: Vec<&str> = runs
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["experiment"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["cls", "reg"]);
    let only = lab.succeed(&["ls", "--json", "--experiment", "reg"]).json();
    assert_eq!(only.as_array().unwrap().len(), 1);
    let newest = lab.succeed(&["ls", "--json", "--limit", "1"]).json();
    assert_eq!(newest[0]["experiment"], "cls");
    let none = lab.succeed(&["ls", "--experiment", "other"]);
    assert_eq!(
        (none.stdout.as_str(), none.stderr.as_str()),
        ("", "no runs of other in runs\n")
    );
}

#[test]
fn a_run_is_shown_by_latest_by_its_id_and_by_the_beginning_of_it() {
    let (lab, ..) = lab();
    let latest = lab.succeed(&["show", "latest"]);
    assert_eq!(latest.stderr, "");
    for part in [
        "experiment cls",
        "loss.kind = cross-entropy",
        "predictions.csv",
        "majority",
        "features.center = true",
    ] {
        assert!(latest.stdout.contains(part), "{part}: {}", latest.stdout);
    }
    // The usual order, though the database has its own.
    let place = |name: &str| {
        latest
            .stdout
            .find(&format!("\n {name} "))
            .unwrap_or_else(|| panic!("{name}"))
    };
    assert!(place("accuracy") < place("UAR") && place("UAR") < place("macro F1"));

    let id = lab.run("reg").file_name().unwrap().to_str().unwrap().to_owned();
    let shown = lab.succeed(&["show", &id, "--json"]).json();
    assert_eq!(shown["run"]["id"], id.as_str());
    assert!(shown["results"].as_array().unwrap().len() > 10);
    assert!(
        shown["params"]
            .as_array()
            .unwrap()
            .iter()
            .any(|row| row["key"] == "train.epochs" && row["value"] == 2)
    );
    let suffix = id.rsplit('-').next().unwrap();
    assert_eq!(
        lab.succeed(&["show", suffix, "--json"]).json()["run"]["id"],
        id.as_str()
    );
}

#[test]
fn several_experiments_run_one_after_the_other() {
    let lab = Lab::new();
    let outcome = lab.succeed(&["run", "reg.toml", "cls.toml", "--json", "--set", "train.epochs=1"]);
    let summaries = outcome.json();
    assert_eq!(summaries.as_array().unwrap().len(), 2);
    assert_eq!((lab.runs("reg").len(), lab.runs("cls").len()), (1, 1));
}

#[test]
fn a_reader_who_leaves_is_no_error() {
    let (lab, ..) = lab();
    for arguments in [
        vec!["ls"],
        vec!["show", "latest"],
        vec!["schema"],
        vec!["--help"],
        vec!["completions", "bash"],
    ] {
        let mut child = lab.spawn(&arguments);
        drop(child.stdout.take());
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!(
            (child.wait().unwrap().code(), stderr.as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_run_whose_reader_leaves_is_recorded_all_the_same() {
    let lab = Lab::new();
    let mut child = lab.spawn(&["run", "reg.toml", "cls.toml", "--set", "train.epochs=1"]);
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert_eq!(
        lab.query::<i64>("SELECT count(*) FROM runs WHERE status = 'completed'"),
        2
    );
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    let (lab, ..) = lab();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = lab.command(&["ls"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("error: cannot write the output: "), "{stderr}");
}

#[test]
fn colour_is_used_where_it_is_wanted() {
    let (lab, ..) = lab();
    let coloured = |arguments: &[&str], no_color: &str| {
        let output = lab.command(arguments).env("NO_COLOR", no_color).output().unwrap();
        (output.stdout.contains(&0x1b), output.stderr.contains(&0x1b))
    };
    assert_eq!(coloured(&["show", "latest"], ""), (false, false));
    assert_eq!(coloured(&["--color", "always", "show", "latest"], ""), (true, false));
    assert_eq!(coloured(&["show", "latest", "--color", "always"], "1"), (true, false));
    assert_eq!(coloured(&["show", "latest", "--color", "never"], ""), (false, false));
    assert_eq!(coloured(&["show", "nothing", "--color", "always"], ""), (false, true));
    assert_eq!(coloured(&["show", "nothing"], ""), (false, false));
    assert_eq!(coloured(&["run", "none.toml", "--color", "always"], ""), (false, true));
}

#[test]
fn a_lost_index_is_made_anew() {
    let lab = Lab::new();
    lab.succeed(&["run", "reg.toml", "--set", "train.epochs=1"]);
    let before = lab.succeed(&["show", "latest", "--json"]).json();
    for file in ["affect.sqlite", "affect.sqlite-wal", "affect.sqlite-shm"] {
        let _ = std::fs::remove_file(lab.path("runs").join(file));
    }
    let empty = lab.succeed(&["ls"]);
    assert!(empty.stderr.contains("affect ls --rebuild"), "{}", empty.stderr);
    let rebuilt = lab.succeed(&["ls", "--rebuild"]);
    assert!(rebuilt.stderr.contains("1 run in the index"), "{}", rebuilt.stderr);
    let after = lab.succeed(&["show", "latest", "--json"]).json();
    assert_eq!(before["results"], after["results"]);
    assert_eq!(before["run"]["status"], after["run"]["status"]);
}

#[test]
fn runs_and_caches_go_where_they_are_told_to() {
    let lab = Lab::new();
    let output = (lab.command(&[
        "run",
        "reg.toml",
        "--set",
        "train.epochs=1",
        "--cache",
        "elsewhere/cache",
    ]))
    .env("AFFECT_RUNS", "elsewhere/runs")
    .env("AFFECT_OPTIMIZER__LEARNING_RATE", "0.02")
    .output()
    .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!lab.path("runs").exists() && !lab.path("cache").exists());
    assert!(lab.path("elsewhere/cache/features").is_dir());
    let shown = lab
        .succeed(&["show", "latest", "--json", "--runs", "elsewhere/runs"])
        .json();
    let rate = shown["params"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["key"] == "optimizer.learning_rate");
    assert_eq!(rate.unwrap()["value"], 0.02);
}
