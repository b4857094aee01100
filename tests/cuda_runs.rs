//! Whole runs on a GPU: recorded, resumed to the bit, and taken from one device to another.
//!
//! Runs on any GPU, and on the emulator of `scripts/cuda-emulator.sh`; skips where there is neither.
#![cfg(feature = "cuda")]
#![allow(clippy::disallowed_methods, reason = "tests read what the program wrote")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use common::Lab;

/// A small experiment with everything that has a memory; `None` and the reason on standard error where there is no GPU.
fn lab() -> Option<Lab> {
    let lab = Lab::new();
    let doctor = lab.succeed(&["doctor", "--json"]).json();
    let gpus = doctor["cuda"]["gpus"].as_array().map_or(0, Vec::len);
    if gpus == 0 {
        assert!(
            std::env::var_os("AFFECT_NEEDS_GPU").is_none(),
            "AFFECT_NEEDS_GPU is set, and there is none: {}",
            doctor["cuda"]
        );
        eprintln!("skipped: no GPU ({})", doctor["cuda"]);
        return None;
    }
    lab.edit("reg.toml", "epochs = 2", "epochs = 4\naccumulate = 2\nclip_norm = 1.0");
    let text = lab.read("reg.toml");
    lab.write(
        "reg.toml",
        &format!("{text}[augment]\nmixup = {{ alpha = 0.4 }}\ntime_shift = {{ frames = 3 }}\n"),
    );
    Some(lab)
}

fn left(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for name in [
        "predictions.csv",
        "checkpoints/best/model.safetensors",
        "checkpoints/last/model.safetensors",
        "checkpoints/last/optimizer.safetensors",
    ] {
        files.insert(name.to_owned(), std::fs::read(run.join(name)).unwrap());
    }
    files
}

fn only_run(lab: &Lab, runs: &str) -> std::path::PathBuf {
    let mut found = std::fs::read_dir(lab.path(runs).join("reg")).unwrap();
    found.next().unwrap().unwrap().path()
}

#[test]
fn a_run_says_where_it_ran_and_comes_near_that_of_the_cpu() {
    let Some(lab) = lab() else { return };
    let results = |device: &str| {
        let runs = format!("runs-{}", device.replace(':', "-"));
        let outcome = lab.succeed(&["run", "reg.toml", "--device", device, "--runs", &runs, "--json"]);
        let run = only_run(&lab, &runs);
        let provenance: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(run.join("provenance.json")).unwrap()).unwrap();
        assert_eq!(provenance["device"], if device == "cpu" { "cpu" } else { "cuda:0" });
        for key in [
            "name",
            "compute_capability",
            "driver_cuda",
            "built_with",
            "cublas",
            "cudnn",
        ] {
            let is_told = provenance["gpu"][key].as_str().is_some_and(|value| !value.is_empty());
            assert_eq!(is_told, device != "cpu", "{key} in {provenance}");
        }
        let predictions = std::fs::read_to_string(run.join("predictions.csv")).unwrap();
        let last = |line: &str| line.rsplit(',').next().and_then(|cell| cell.parse::<f64>().ok());
        let values: Vec<f64> = predictions.lines().filter_map(last).collect();
        assert_eq!(
            outcome.stderr.contains("Emulated GPU") || outcome.stderr.contains("cuda:0 ("),
            device != "cpu"
        );
        (outcome.json(), values)
    };
    let ((_, there), (_, here)) = (results("cuda"), results("cpu"));
    assert!(!here.is_empty() && here.len() == there.len());
    for (a, b) in there.iter().zip(&here) {
        assert!(
            (a - b).abs() < 1e-2 * b.abs().max(1.0),
            "{a} on the GPU, {b} on the CPU"
        );
    }
}

/// What the log says of how steps were launched.
fn launches(run: &Path) -> String {
    let log = std::fs::read_to_string(run.join("log.jsonl")).unwrap();
    let trained = log.lines().find(|line| line.contains("\"trained\"")).unwrap();
    let event: serde_json::Value = serde_json::from_str(trained).unwrap();
    let told = event.pointer("/details/launches").or_else(|| event.get("launches"));
    told.and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}

#[test]
fn recorded_steps_change_no_result() {
    let Some(lab) = lab() else { return };
    lab.edit("reg.toml", "accumulate = 2", "early_stopping = { patience = 99 }");
    lab.edit("reg.toml", "epochs = 4", "epochs = 12");
    lab.edit("reg.toml", "batch_size = 4", "batch_size = 2");
    let run = |graph: &str| {
        let setting = format!("train.cuda_graph={graph}");
        let mut arguments = vec!["run", "reg.toml", "--runs", graph, "--set", &setting];
        arguments.extend(["--device", "cuda"]);
        lab.succeed(&arguments);
        only_run(&lab, graph)
    };
    let (off, on, auto) = (run("off"), run("on"), run("auto"));
    assert_eq!(launches(&off), "");
    assert_eq!(launches(&on), "steps are launched as a CUDA graph");
    assert!(launches(&auto).contains("each as a graph"), "{}", launches(&auto));
    let one_by_one = left(&off);
    for run in [on, auto] {
        for (name, content) in left(&run) {
            assert!(one_by_one[&name] == content, "{name} differs");
        }
    }
}

const MATCHING: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/experiments/synthetic-match-contrastive.toml"
);

#[test]
fn a_run_of_pairs_is_recorded_too() {
    let Some(lab) = lab() else { return };
    let run = |device: &str, graph: &str| {
        let (runs, graph) = (format!("{device}-{graph}"), format!("train.cuda_graph={graph}"));
        let small = ["dataset.songs=12", "train.epochs=3", "train.batch_size=8"];
        let mut arguments = vec!["run", MATCHING, "--device", device, "--runs", &runs];
        for setting in small.iter().copied().chain([graph.as_str()]) {
            arguments.extend(["--set", setting]);
        }
        lab.succeed(&arguments);
        let mut found = std::fs::read_dir(lab.path(&runs).join("synthetic-match-contrastive")).unwrap();
        found.next().unwrap().unwrap().path()
    };
    let (on, off) = (run("cuda", "on"), run("cuda", "off"));
    assert_eq!(launches(&on), "steps are launched as a CUDA graph");
    assert!(left(&on) == left(&off), "recorded steps gave other bits");
}

#[test]
fn an_interrupted_run_goes_on_to_the_same_bits() {
    let Some(lab) = lab() else { return };
    lab.edit("reg.toml", "epochs = 4", "epochs = 6\ncheckpoint_minutes = 0.0");
    interrupted(&lab);
}

#[test]
fn an_interrupted_run_of_recorded_steps_goes_on_to_the_same_bits() {
    let Some(lab) = lab() else { return };
    lab.edit("reg.toml", "epochs = 4", "epochs = 6\ncheckpoint_minutes = 0.0");
    lab.edit("reg.toml", "accumulate = 2", "cuda_graph = \"on\"");
    interrupted(&lab);
}

fn interrupted(lab: &Lab) {
    lab.succeed(&["run", "reg.toml", "--device", "cuda", "--runs", "whole"]);
    let mut child = lab.spawn(&["run", "reg.toml", "--device", "cuda", "--runs", "cut"]);
    // Killed as soon as there is a checkpoint.
    let begun = Instant::now();
    let has_checkpoint = || {
        let runs = std::fs::read_dir(lab.path("cut").join("reg"));
        runs.is_ok_and(|mut runs| {
            runs.any(|run| run.is_ok_and(|run| run.path().join("checkpoints/last/manifest.json").exists()))
        })
    };
    while !has_checkpoint() && begun.elapsed() < Duration::from_secs(300) {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let run = only_run(lab, "cut");
    let id = run.file_name().unwrap().to_str().unwrap().to_owned();
    let database = rusqlite::Connection::open(lab.path("cut").join("affect.sqlite")).unwrap();
    let status: String = database
        .query_row("SELECT status FROM runs", [], |row| row.get(0))
        .unwrap();
    assert_ne!(status, "completed", "the run was over before it could be cut off");
    drop(database);
    lab.succeed(&["resume", &id, "--runs", "cut"]);
    let (whole, cut) = (left(&only_run(lab, "whole")), left(&run));
    for (name, content) in &whole {
        assert!(cut[name] == *content, "{name} differs");
    }
}

#[test]
fn a_network_from_the_gpu_predicts_on_the_cpu() {
    let Some(lab) = lab() else { return };
    lab.succeed(&["run", "reg.toml", "--device", "cuda", "--runs", "runs"]);
    let run = only_run(&lab, "runs");
    let id = run.file_name().unwrap().to_str().unwrap().to_owned();
    let predictions = std::fs::read_to_string(run.join("predictions.csv")).unwrap();
    assert!(predictions.lines().count() > 1);
    lab.succeed(&["export", &id, "--runs", "runs", "--onnx", "model.onnx"]);
    assert!(lab.path("model.onnx").exists());
}

#[test]
fn gpus_that_are_not_there_are_named() {
    let Some(lab) = lab() else { return };
    let complaint = lab.complaint(2, &["run", "reg.toml", "--device", "cuda:7"]);
    assert!(
        complaint.contains("`train.device` asks for cuda:7, but this machine has"),
        "{complaint}"
    );
    let complaint = lab.complaint(
        2,
        &["run", "reg.toml", "--device", "cpu", "--set", "train.precision=tf32"],
    );
    assert!(complaint.contains("which the CPU does not have"), "{complaint}");
}

#[test]
fn a_full_gpu_says_what_to_do() {
    let Some(lab) = lab() else { return };
    let doctor = lab.succeed(&["doctor", "--json"]).json();
    if !doctor["cuda"]["gpus"][0]["name"]
        .as_str()
        .is_some_and(|name| name.contains("Emulated"))
    {
        eprintln!("skipped: only the emulator's memory can be made small");
        return;
    }
    lab.edit("reg.toml", "channels = 8", "channels = 8192");
    let mut command = lab.command(&["run", "reg.toml", "--device", "cuda"]);
    let output = command.env("AFFECT_EMULATED_MEMORY_MIB", "1").output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(
        complaint.contains("the GPU's memory is full: try a smaller `train.batch_size`"),
        "{complaint}"
    );
}

#[test]
fn the_second_gpu_is_as_the_first_and_both_work_side_by_side() {
    let Some(lab) = lab() else { return };
    let doctor = lab.succeed(&["doctor", "--json"]).json();
    let second = if doctor["cuda"]["gpus"].as_array().map_or(0, Vec::len) > 1 {
        "cuda:1"
    } else {
        "cuda:0"
    };
    let mut others: Vec<_> = ["one", "two"]
        .map(|runs| lab.spawn(&["run", "reg.toml", "--device", second, "--runs", runs]))
        .into();
    lab.succeed(&["run", "reg.toml", "--device", "cuda", "--runs", "three"]);
    for other in &mut others {
        assert!(other.wait().unwrap().success());
    }
    let first = left(&only_run(&lab, "one"));
    for runs in ["two", "three"] {
        assert!(left(&only_run(&lab, runs)) == first, "{runs} differs");
    }
}
