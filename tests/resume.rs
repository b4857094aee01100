//! An interrupted run that is resumed is the same, byte for byte, as one that was never interrupted.

#![allow(clippy::disallowed_methods, reason = "tests damage and read what the program wrote")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::{Lab, SmallDisk};

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

/// Validations and checkpoints in the middle of epochs as well.
fn by_updates() -> Lab {
    let lab = lab();
    lab.edit("reg.toml", "epochs = 40", "epochs = 12");
    lab.edit(
        "reg.toml",
        "batch_size = 4",
        "batch_size = 2\nvalidate_every = { updates = 5 }\ncheckpoint_minutes = 0.0\nkeep_last = 3",
    );
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

/// When runs are killed.
#[derive(Clone, Copy)]
enum During {
    /// At any time between the start and the end of the process.
    Everything,
    /// When a random share of the validations is done.
    Training,
}

/// Lines of metrics that a run has logged.
fn logged(lab: &Lab, runs: &str) -> usize {
    let log = only_run(lab, runs).and_then(|run| std::fs::read_to_string(run.join("log.jsonl")).ok());
    log.map_or(0, |log| log.lines().filter(|line| line.contains("\"metrics\"")).count())
}

/// Kills runs at `moments` random moments, resumes them, and compares them with one that was left alone. How many of them had a
/// checkpoint, and how many of these stood in the middle of an epoch.
fn kill(lab: &Lab, during: During, moments: usize, mut random: u32) -> (usize, usize) {
    lab.succeed(&["features", "reg.toml"]);
    let started = Instant::now();
    lab.succeed(&["run", "reg.toml", "--runs", "whole", "--threads", "2"]);
    let whole_time = started.elapsed();
    let whole = left(lab, "whole");
    let validations = logged(lab, "whole");

    let (mut killed, mut trained, mut within) = (0, 0, 0);
    for attempt in 0..4 * moments {
        if killed == moments {
            break;
        }
        let runs = format!("killed-{attempt}");
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let share = f64::from(random >> 8) / f64::from(1 << 24);
        let mut process = lab.spawn(&["run", "reg.toml", "--runs", &runs, "--threads", "2"]);
        match during {
            During::Everything => std::thread::sleep(whole_time.mul_f64(share)),
            During::Training => {
                while process.try_wait().unwrap().is_none() && (logged(lab, &runs) as f64) < share * validations as f64
                {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
        process.kill().unwrap();
        process.wait().unwrap();
        let Some(run) = only_run(lab, &runs) else { continue };
        if !run.join("log.jsonl").exists() || run.join("report.html").exists() {
            continue;
        }
        killed += 1;
        if let Ok(state) = std::fs::read(run.join("checkpoints/last/state.json")) {
            let state: serde_json::Value = serde_json::from_slice(&state).unwrap();
            trained += 1;
            within += usize::from(state["batch"] != 0);
        }
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
            &left(lab, &runs),
            &whole,
            &format!("killed after {share:.3} of the time"),
        );
    }
    assert_eq!(killed, moments);
    (trained, within)
}

#[test]
fn a_run_killed_at_any_of_ten_moments_is_the_same_when_resumed() {
    let (trained, _) = kill(&lab(), During::Everything, 10, 20_261_121);
    assert!(trained > 2, "only {trained} had a checkpoint");
}

#[test]
fn so_is_one_killed_at_any_of_twelve_moments_in_the_middle_of_an_epoch() {
    let (trained, within) = kill(&by_updates(), During::Training, 12, 5);
    assert!(within > 2, "only {within} of {trained} stood in the middle of an epoch");
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
    lab.edit("reg.toml", "epochs = 40", "epochs = 100");
    lab.edit("reg.toml", "patience = 30", "patience = 400");
    // Many batches, so that signals find it in the middle of an epoch.
    lab.edit("reg.toml", "batch_size = 4", "batch_size = 1\nkeep_last = 3");
    lab.succeed(&["run", "reg.toml", "--runs", "whole"]);
    let whole = left(&lab, "whole");
    let cases: [(&str, Option<&str>, &[&str]); 4] = [
        ("-INT", None, &[]),
        ("-TERM", Some("cut"), &["last"]),
        ("-TERM", Some("flip"), &["last", "last-1"]),
        ("-INT", Some("flip"), &["last", "last-1", "last-2"]),
    ];
    for (number, (signal, damage, damaged)) in cases.into_iter().enumerate() {
        let runs = format!("runs-{number}");
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
        assert!(stderr.contains("which are saved"), "{stderr}");
        for name in damaged {
            let file = ["optimizer", "model"][number % 2];
            let path = run.join(format!("checkpoints/{name}/{file}.safetensors"));
            spoil(&path, damage.unwrap_or_default());
        }
        lab.succeed(&["resume", id, "--runs", &runs]);
        same(&left(&lab, &runs), &whole, &runs);
        // Its page is of the whole run, as it is drawn from the record.
        let page = || std::fs::read_to_string(run.join("report.html")).unwrap();
        let at_the_end = page();
        lab.succeed(&["report", id, "--runs", &runs]);
        let lines = |page: &str| page.lines().map(str::to_owned).collect::<Vec<_>>();
        let (at_the_end, again) = (lines(&at_the_end), lines(&page()));
        for (a, b) in at_the_end
            .iter()
            .zip(&again)
            .filter(|(a, _)| !a.contains("<dt>duration</dt>"))
        {
            assert_eq!(a, b);
        }
        assert_eq!(at_the_end.len(), again.len());
        let page = again.join("\n");
        assert!(!page.contains("&quot;resume&quot;") && !page.contains("\"resume\""));
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

/// Checkpoints of about 0.6 MB on a disk that has room for four of them.
#[test]
fn a_disk_that_fills_up_costs_no_checkpoint_and_the_run_goes_on_when_there_is_room() {
    let lab = lab();
    lab.edit("reg.toml", "epochs = 40", "epochs = 8");
    lab.edit("reg.toml", "channels = 8", "channels = 1300");
    lab.succeed(&["run", "reg.toml", "--runs", "whole"]);
    let whole = left(&lab, "whole");
    let at = lab.path("small");
    let Some(disk) = SmallDisk::mount(&at, "2600k") else {
        return;
    };
    let complaint = lab.complaint(1, &["run", "reg.toml", "--runs", "small/runs"]);
    let run = only_run(&lab, "small/runs").unwrap();
    let checkpoints = run.join("checkpoints");
    assert!(
        complaint.starts_with(&format!("error: cannot write `{}", "small/runs/reg/")),
        "{complaint}"
    );
    assert!(complaint.contains("/checkpoints/"), "{complaint}");
    assert!(
        complaint.contains("No space left on device (os error 28)\n help: free some space"),
        "{complaint}"
    );
    // Nothing that is half written, and no checkpoint lost.
    let names = std::fs::read_dir(&checkpoints).unwrap();
    let names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        names.contains(&"last".to_owned()) && names.contains(&"best".to_owned()),
        "{names:?}"
    );
    assert!(!names.iter().any(|name| name.ends_with(".new")), "{names:?}");
    let state: serde_json::Value =
        serde_json::from_slice(&std::fs::read(checkpoints.join("last/state.json")).unwrap()).unwrap();
    assert!(state["epoch"].as_u64().unwrap() >= 1, "{state}");

    disk.grow("20m");
    lab.succeed(&["resume", "latest", "--runs", "small/runs"]);
    same(&left(&lab, "small/runs"), &whole, "after the disk was full");
}
