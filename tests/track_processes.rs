//! Many processes record at once on one database; some are killed. Nothing is lost, and the statuses are true.
//!
//! The processes are this test's own program, started again with the runs folder in a variable.
#![allow(clippy::disallowed_methods)]

mod track_support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use affect::track::{Database, MetricRow, Recorder, RunDir, RunFilter, Status};
use track_support::{header, row};

const RUNS: &str = "AFFECT_TEST_RUNS";
const ENDING: &str = "AFFECT_TEST_ENDING";
const PROCESSES: usize = 20;
const THREADS: u64 = 20;
const STEPS: u64 = 25;

/// The other process; in the test run itself there is no runs folder, and nothing to do.
#[test]
fn child_process() {
    let Some(runs) = std::env::var_os(RUNS) else { return };
    let runs = Path::new(&runs);
    let dir = RunDir::create(runs, "many").unwrap();
    let recorder = Recorder::start(dir, runs, header()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let recorder = &recorder;
            scope.spawn(move || {
                for step in 0..STEPS {
                    let name = format!("loss-{thread}");
                    recorder.metrics(vec![MetricRow {
                        name,
                        ..row("train", step, 0.5)
                    }]);
                }
            });
        }
    });
    if std::env::var_os(ENDING).is_some_and(|ending| ending == "wait") {
        // Long enough for the thread to have written its log; then the parent kills this process.
        std::thread::sleep(std::time::Duration::from_millis(300));
        println!("\nrecorded {}", recorder.dir().id());
        std::thread::sleep(std::time::Duration::from_secs(600));
    }
    let finished = recorder.finish(Status::Completed, None).unwrap();
    assert_eq!(finished.complaints, Vec::<String>::new());
}

fn start(runs: &Path, ending: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_process", "--nocapture", "--test-threads", "1"])
        .env(RUNS, runs)
        .env(ENDING, ending)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until the process has recorded everything; its run's id.
fn recorded(child: &mut Child) -> String {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut ids = lines.filter_map(|line| Some(line.unwrap().strip_prefix("recorded ")?.to_string()));
    ids.next().unwrap()
}

#[test]
fn twenty_processes_lose_nothing_and_a_killed_one_is_interrupted() {
    let runs = tempfile::tempdir().unwrap();
    let mut killed: Vec<Child> = (0..2).map(|_| start(runs.path(), "wait")).collect();
    let finishing: Vec<Child> = (2..PROCESSES).map(|_| start(runs.path(), "finish")).collect();
    let mut ids = Vec::new();
    for child in &mut killed {
        ids.push(recorded(child));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    for child in finishing {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    let database = Database::open(runs.path()).unwrap();
    let all = database.runs(&RunFilter::default()).unwrap();
    assert_eq!(all.len(), PROCESSES);
    for run in &all {
        let expected = if ids.contains(&run.id) {
            Status::Interrupted
        } else {
            Status::Completed
        };
        assert_eq!(run.status, expected, "{}", run.id);
        assert_eq!(
            database.metrics(&run.id).unwrap().len() as u64,
            THREADS * STEPS,
            "{}",
            run.id
        );
    }
}

#[test]
fn a_run_is_running_while_its_process_lives_and_interrupted_at_once_when_it_is_killed() {
    let runs = tempfile::tempdir().unwrap();
    let mut child = start(runs.path(), "wait");
    let id = recorded(&mut child);
    let database = Database::open(runs.path()).unwrap();
    assert_eq!(database.resolve(&id).unwrap().status, Status::Running);
    child.kill().unwrap();
    child.wait().unwrap();
    let run = database.resolve(&id).unwrap();
    assert_eq!(run.status, Status::Interrupted);
    assert!(run.finished_at.is_some());
    // The row is corrected, not only the answer.
    let connection = rusqlite::Connection::open(runs.path().join("affect.sqlite")).unwrap();
    let status: String = connection
        .query_row("SELECT status FROM runs", [], |row| row.get(0))
        .unwrap();
    assert_eq!(status, "interrupted");
}
