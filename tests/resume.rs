//! An interrupted run that is resumed is the same, byte for byte, as one that was never interrupted.

#![allow(clippy::disallowed_methods, reason = "tests damage and read what the program wrote")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::Lab;

/// Everything that has a memory: moments, a plateau, early stopping, dropout, augmentation, accumulation.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.edit("reg.toml", "epochs = 2", "epochs = 40\naccumulate = 2\nclip_norm = 1.0");
    let text = lab.read("reg.toml");
    let more = "early_stopping = { monitor = \"val/mae\", patience = 30 }\n\
                [schedule]\nkind = \"plateau\"\npatience = 1\nwarmup = { epochs = 2 }\n\
                [augment]\nmixup = { alpha = 0.4 }\ntime_shift = { frames = 3 }\n";
    lab.write("reg.toml", &format!("{text}{more}"));
    lab
}

/// What must be the same.
#[derive(Debug, PartialEq)]
struct Left {
    /// By path: predictions, split and every file of the checkpoints.
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// Metrics, results and baselines, without times.
    figures: Vec<String>,
}

fn left(lab: &Lab, runs: &str) -> Left {
    let run = only_run(lab, runs).unwrap();
    let mut files = BTreeMap::new();
    for name in ["predictions.csv", "split.csv", "experiment.toml"] {
        files.insert(name.into(), std::fs::read(run.join(name)).unwrap());
    }
    for checkpoint in ["best", "last"] {
        for entry in std::fs::read_dir(run.join("checkpoints").join(checkpoint)).unwrap() {
            let path = entry.unwrap().path();
            let content = std::fs::read(&path).unwrap();
            files.insert(path.strip_prefix(&run).unwrap().to_owned(), content);
        }
    }
    let database = rusqlite::Connection::open(lab.path(runs).join("affect.sqlite")).unwrap();
    let mut figures = Vec::new();
    for query in [
        "SELECT concat_ws(' ', split, name, epoch, step), value FROM metrics ORDER BY 1",
        "SELECT concat_ws(' ', split, name, target, ci_low, ci_high), value FROM results ORDER BY 1",
        "SELECT concat_ws(' ', split, baseline, name, target), value FROM baselines ORDER BY 1",
        "SELECT concat_ws(' ', id IS NOT NULL, status), 0.0 FROM runs",
    ] {
        let mut rows = database.prepare(query).unwrap();
        let rows = rows.query_map([], |row| {
            Ok(format!(
                "{} = {:?}",
                row.get::<_, String>(0)?,
                row.get::<_, Option<f64>>(1)?
            ))
        });
        figures.extend(rows.unwrap().map(Result::unwrap));
    }
    Left { files, figures }
}

fn only_run(lab: &Lab, runs: &str) -> Option<PathBuf> {
    let mut entries = std::fs::read_dir(lab.path(runs).join("reg")).ok()?;
    let run = entries.next()?.unwrap().path();
    assert!(entries.next().is_none());
    Some(run)
}

fn same(got: &Left, expected: &Left, what: &str) {
    let lacking = |a: &Left, b: &Left| {
        let figures = a.figures.iter().filter(|figure| !b.figures.contains(figure));
        figures.take(5).cloned().collect::<Vec<_>>()
    };
    assert_eq!(
        (lacking(got, expected), lacking(expected, got)),
        (Vec::new(), Vec::new()),
        "{what}: figures of one alone"
    );
    let names = |left: &Left| left.files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(got), names(expected), "{what}");
    for (name, content) in &expected.files {
        assert!(got.files[name] == *content, "{what}: {}", name.display());
    }
}

#[test]
fn a_run_killed_at_twenty_moments_is_the_same_when_resumed() {
    let lab = lab();
    lab.succeed(&["features", "reg.toml"]);
    let started = Instant::now();
    lab.succeed(&["run", "reg.toml", "--runs", "whole", "--threads", "2"]);
    let whole_time = started.elapsed();
    let whole = left(&lab, "whole");

    let mut random: u32 = 20_261_121;
    let (mut killed, mut trained) = (0, 0);
    for attempt in 0..80 {
        if killed == 20 {
            break;
        }
        let runs = format!("killed-{attempt}");
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let share = f64::from(random >> 8) / f64::from(1 << 24);
        let mut process = lab.spawn(&["run", "reg.toml", "--runs", &runs, "--threads", "2"]);
        std::thread::sleep(whole_time.mul_f64(share));
        process.kill().unwrap();
        process.wait().unwrap();
        let Some(run) = only_run(&lab, &runs) else { continue };
        if !run.join("log.jsonl").exists() || run.join("report.html").exists() {
            continue;
        }
        killed += 1;
        trained += usize::from(run.join("checkpoints/last").exists());
        let threads = ["1", "2"][attempt % 2];
        // Once more, and killed again.
        if attempt % 3 == 0 {
            let mut process = lab.spawn(&["resume", "latest", "--runs", &runs, "--threads", threads]);
            std::thread::sleep(whole_time.mul_f64(share / 2.0));
            process.kill().unwrap();
            process.wait().unwrap();
            if run.join("report.html").exists() {
                continue;
            }
        }
        lab.succeed(&["resume", "latest", "--runs", &runs, "--threads", threads]);
        same(
            &left(&lab, &runs),
            &whole,
            &format!("killed after {share:.3} of the time"),
        );
    }
    assert_eq!(killed, 20);
    assert!(trained > 5, "only {trained} were killed after the first epoch");
}

/// Waits until the run of `runs` has finished this many epochs.
#[cfg(unix)]
fn wait_for_epochs(lab: &Lab, runs: &str, epochs: usize) -> PathBuf {
    let begin = Instant::now();
    loop {
        if let Some(run) = only_run(lab, runs)
            && let Ok(log) = std::fs::read_to_string(run.join("log.jsonl"))
            && log.lines().filter(|line| line.contains("\"metrics\"")).count() >= epochs
        {
            return run;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "the run does not begin");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(unix)]
#[test]
fn a_terminated_run_ends_with_130_and_a_damaged_checkpoint_is_no_loss() {
    let lab = lab();
    lab.edit("reg.toml", "epochs = 40", "epochs = 400");
    lab.edit("reg.toml", "patience = 30", "patience = 400");
    lab.succeed(&["run", "reg.toml", "--runs", "whole"]);
    let whole = left(&lab, "whole");
    for (signal, damage) in [("-INT", None), ("-TERM", Some("cut")), ("-TERM", Some("flip"))] {
        let runs = format!("runs{signal}-{}", damage.unwrap_or("none"));
        let process = lab.spawn(&["run", "reg.toml", "--runs", &runs]);
        let run = wait_for_epochs(&lab, &runs, 3);
        let status = std::process::Command::new("kill")
            .args([signal, &process.id().to_string()])
            .status();
        assert!(status.unwrap().success());
        let output = process.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(130), "{stderr}");
        let id = run.file_name().unwrap().to_str().unwrap();
        assert!(stderr.contains(&format!("`affect resume {id}` goes on")), "{stderr}");
        if let Some(damage) = damage {
            spoil(&run.join("checkpoints/last/optimizer.safetensors"), damage);
        }
        lab.succeed(&["resume", id, "--runs", &runs]);
        same(&left(&lab, &runs), &whole, &runs);
        // There is nothing left to do.
        let complaint = lab.complaint(2, &["resume", id, "--runs", &runs]);
        assert!(complaint.contains("there is nothing left to do"), "{complaint}");
    }
}

fn spoil(path: &Path, how: &str) {
    let mut bytes = std::fs::read(path).unwrap();
    match how {
        "cut" => bytes.truncate(bytes.len() / 2),
        _ => *bytes.last_mut().unwrap() ^= 1,
    }
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn changed_data_is_no_basis_to_go_on() {
    let lab = lab();
    lab.edit("reg.toml", "epochs = 40", "epochs = 4000");
    lab.edit("reg.toml", "patience = 30", "patience = 4000");
    let mut process = lab.spawn(&["run", "reg.toml"]);
    let begin = Instant::now();
    while !only_run(&lab, "runs").is_some_and(|run| run.join("checkpoints/last").exists()) {
        assert!(begin.elapsed() < Duration::from_secs(60), "the run does not begin");
        std::thread::sleep(Duration::from_millis(2));
    }
    process.kill().unwrap();
    process.wait().unwrap();
    lab.edit("data/labels.csv", "00.wav,-0.800", "00.wav,-0.700");
    let complaint = lab.complaint(2, &["resume", "latest"]);
    assert!(
        complaint.contains("has changed since it was interrupted"),
        "{complaint}"
    );
}
