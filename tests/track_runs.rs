//! Runs are recorded, found again, told apart and made anew from their folders.

mod track_support;

use std::path::Path;

use affect::files;
use affect::track::{Database, Error, Recorder, RunDir, RunFilter, Status};
use track_support::{baseline, dump, header, result, row};

/// A finished run with a bit of everything.
fn record(runs: &Path, experiment: &str, status: Status) -> RunDir {
    let dir = RunDir::create(runs, experiment).unwrap();
    let recorder = Recorder::start(dir, runs, header()).unwrap();
    for step in 1..=3 {
        recorder.metrics(vec![row("train", step, 0.1 * step as f64), row("val", step, f64::NAN)]);
    }
    recorder.metrics(vec![row("test", 3, f64::INFINITY)]);
    recorder.event("checkpoint", serde_json::json!({"epoch": 3}));
    recorder.results(
        vec![result("test", ""), result("test", "valence"), result("val", "")],
        vec![baseline("mean"), baseline("ridge")],
    );
    files::write_whole(&recorder.dir().file("predictions.csv"), b"split,id,group\n").unwrap();
    let finished = recorder.finish(status, Some("why".to_string())).unwrap();
    assert_eq!(finished.complaints, Vec::<String>::new());
    finished.dir
}

#[test]
fn a_run_comes_back_as_it_was_recorded() {
    let runs = tempfile::tempdir().unwrap();
    let dir = record(runs.path(), "deam-cnn", Status::StoppedEarly);
    let database = Database::open_existing(runs.path()).unwrap();
    let run = database.resolve("latest").unwrap();
    assert_eq!((run.id.as_str(), run.experiment.as_str()), (dir.id(), "deam-cnn"));
    assert_eq!((run.status, run.error.as_deref()), (Status::StoppedEarly, Some("why")));
    assert_eq!((run.seed, run.device.as_str(), run.epoch), (u64::MAX, "cpu", 3));
    assert_eq!(run.tags, ["a", "b"]);
    assert_eq!(run.headline, [result("test", "")]);
    assert_eq!(run.path, dir.path());
    assert!(run.created_at <= run.finished_at.unwrap());

    let metrics = database.metrics(&run.id).unwrap();
    assert_eq!(metrics.len(), 7);
    assert_eq!(metrics[0], row("test", 3, f64::INFINITY));
    assert_eq!(
        metrics[1..4],
        [row("train", 1, 0.1), row("train", 2, 0.2), row("train", 3, 0.1 * 3.0)]
    );
    assert!(metrics[4].value.is_nan());
    assert_eq!(database.results(&run.id).unwrap().len(), 3);
    assert_eq!(
        database.baselines(&run.id).unwrap(),
        [baseline("mean"), baseline("ridge")]
    );
    let params = database.params(&run.id).unwrap();
    assert_eq!(
        (params[1].key.as_str(), &params[1].value),
        ("optimizer.learning_rate", &0.001.into())
    );
    let artifacts: Vec<String> = database
        .artifacts(&run.id)
        .unwrap()
        .into_iter()
        .map(|row| row.path)
        .collect();
    for file in ["experiment.toml", "predictions.csv", "provenance.json"] {
        assert!(artifacts.contains(&file.to_string()), "{artifacts:?}");
    }
    assert!(
        artifacts
            .iter()
            .any(|path| path.starts_with("train/events.out.tfevents."))
    );
}

#[test]
fn runs_are_filtered_and_the_newest_comes_first() {
    let runs = tempfile::tempdir().unwrap();
    let first = record(runs.path(), "one", Status::Completed);
    std::thread::sleep(std::time::Duration::from_millis(5));
    let second = record(runs.path(), "two", Status::Failed);
    let database = Database::open(runs.path()).unwrap();
    let ids =
        |filter: RunFilter| -> Vec<String> { database.runs(&filter).unwrap().into_iter().map(|run| run.id).collect() };
    let all = RunFilter::default;
    assert_eq!(ids(all()), [second.id(), first.id()]);
    assert_eq!(
        ids(RunFilter {
            limit: Some(1),
            ..all()
        }),
        [second.id()]
    );
    assert_eq!(
        ids(RunFilter {
            experiment: Some("one".to_string()),
            ..all()
        }),
        [first.id()]
    );
    assert_eq!(
        ids(RunFilter {
            status: Some(Status::Failed),
            ..all()
        }),
        [second.id()]
    );
    assert_eq!(
        ids(RunFilter {
            tag: Some("a".to_string()),
            ..all()
        })
        .len(),
        2
    );
    assert_eq!(
        ids(RunFilter {
            tag: Some("c".to_string()),
            ..all()
        })
        .len(),
        0
    );
    let since = database.resolve(second.id()).unwrap().created_at;
    assert_eq!(
        ids(RunFilter {
            since: Some(since),
            ..all()
        }),
        [second.id()]
    );
    assert!(matches!(database.resolve("nonsense"), Err(Error::UnknownRun { .. })));
    assert!(matches!(database.resolve("20"), Err(Error::AmbiguousRun { .. })));
}

#[test]
fn no_runs_is_an_error_that_makes_nothing() {
    let runs = tempfile::tempdir().unwrap();
    let error = Database::open_existing(runs.path()).err().unwrap();
    assert!(matches!(error, Error::NoRuns { .. }), "{error}");
    assert_eq!(std::fs::read_dir(runs.path()).unwrap().count(), 0);
}

#[test]
fn the_index_is_made_anew_from_the_folders() {
    let runs = tempfile::tempdir().unwrap();
    record(runs.path(), "one", Status::Completed);
    record(runs.path(), "two", Status::Failed);
    let gone = record(runs.path(), "two", Status::Completed);
    std::fs::remove_dir_all(gone.path()).unwrap();
    RunDir::create(runs.path(), "died-before-it-began").unwrap();

    let rebuilt = Database::rebuild(runs.path()).unwrap();
    assert_eq!(
        (rebuilt.runs, rebuilt.removed.as_slice()),
        (2, &[gone.id().to_string()][..])
    );
    assert_eq!(rebuilt.without_log.len(), 1);
    let before = dump(runs.path());
    assert!(
        before.contains("optimizer.learning_rate") && before.contains("ridge"),
        "{before}"
    );

    for ending in ["", "-wal", "-shm"] {
        drop(std::fs::remove_file(runs.path().join(format!("affect.sqlite{ending}"))));
    }
    assert_eq!(Database::rebuild(runs.path()).unwrap().runs, 2);
    assert_eq!(dump(runs.path()), before);

    files::write_whole(&runs.path().join("affect.sqlite"), &[b'x'; 9000]).unwrap();
    let aside = Database::rebuild(runs.path()).unwrap().set_aside.unwrap();
    assert_eq!(std::fs::read(aside).unwrap(), [b'x'; 9000]);
    assert_eq!(dump(runs.path()), before);
}

#[test]
fn what_the_recorder_wrote_and_what_rebuilding_writes_are_the_same_rows() {
    let runs = tempfile::tempdir().unwrap();
    record(runs.path(), "one", Status::Completed);
    let written = dump(runs.path());
    Database::rebuild(runs.path()).unwrap();
    assert_eq!(dump(runs.path()), written);
}

#[test]
fn a_dropped_recorder_marks_its_run() {
    let runs = tempfile::tempdir().unwrap();
    let start = || {
        let dir = RunDir::create(runs.path(), "x").unwrap();
        Recorder::start(dir, runs.path(), header()).unwrap()
    };
    let dropped = start();
    let dropped_id = dropped.dir().id().to_string();
    let database = Database::open(runs.path()).unwrap();
    assert_eq!(database.resolve(&dropped_id).unwrap().status, Status::Running);
    drop(dropped);
    assert_eq!(database.resolve(&dropped_id).unwrap().status, Status::Interrupted);

    let panicking = start();
    let id = panicking.dir().id().to_string();
    let thread = std::thread::spawn(move || {
        let _recorder = panicking;
        // Without the panic's message in the test's output.
        std::panic::resume_unwind(Box::new(()));
    });
    assert!(thread.join().is_err());
    assert_eq!(database.resolve(&id).unwrap().status, Status::Failed);
}

#[test]
fn a_resumed_run_takes_back_what_came_after_the_checkpoint() {
    let runs = tempfile::tempdir().unwrap();
    let dir = RunDir::create(runs.path(), "x").unwrap();
    let recorder = Recorder::start(dir.clone(), runs.path(), header()).unwrap();
    recorder.metrics((1..=3).map(|step| row("train", step, 1.0)).collect());
    drop(recorder);
    let created = Database::open(runs.path())
        .unwrap()
        .resolve(dir.id())
        .unwrap()
        .created_at;
    let recorder = Recorder::resume(dir.clone(), runs.path(), header(), 2).unwrap();
    recorder.metrics(vec![row("train", 4, 0.5)]);
    recorder.finish(Status::Completed, None).unwrap();

    let check = || {
        let database = Database::open(runs.path()).unwrap();
        let run = database.resolve(dir.id()).unwrap();
        assert_eq!((run.status, run.created_at), (Status::Completed, created));
        let steps: Vec<u64> = database.metrics(dir.id()).unwrap().iter().map(|row| row.step).collect();
        assert_eq!(steps, [1, 2, 4]);
    };
    check();
    Database::rebuild(runs.path()).unwrap();
    check();

    // Every line of the log is JSON, but for one that was torn.
    let log = dir.file("log.jsonl");
    let unreadable = || {
        let text = std::fs::read_to_string(&log).unwrap();
        let lines = text.lines().map(serde_json::from_str::<serde_json::Value>);
        lines.filter(Result::is_err).count()
    };
    let tag = |tag: &str| {
        let database = Database::open(runs.path()).unwrap();
        let run = database.resolve(dir.id()).unwrap();
        database.tag(&run, &[tag.to_string()], &[]).unwrap();
    };
    tag("a");
    assert_eq!(unreadable(), 0);
    let text = std::fs::read_to_string(&log).unwrap();
    affect::files::write_whole(&log, (text + "{\"at\":\"2026").as_bytes()).unwrap();
    tag("b");
    assert_eq!(unreadable(), 1);
    Database::rebuild(runs.path()).unwrap();
    check();
    let run = Database::open(runs.path()).unwrap().resolve(dir.id()).unwrap();
    assert_eq!(run.tags, ["a", "b"]);
}

#[test]
fn a_database_that_is_held_or_lost_costs_nothing() {
    let runs = tempfile::tempdir().unwrap();
    let dir = RunDir::create(runs.path(), "x").unwrap();
    let recorder = Recorder::start(dir.clone(), runs.path(), header()).unwrap();
    recorder.metrics(vec![row("train", 1, 1.0)]);

    // Another program holds the write lock for longer than the recorder's turn.
    let other = rusqlite::Connection::open(runs.path().join("affect.sqlite")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begin = std::time::Instant::now();
    recorder.metrics(vec![row("train", 2, 1.0)]);
    assert!(begin.elapsed().as_secs() < 1, "training does not wait");
    std::thread::sleep(std::time::Duration::from_secs(3));
    other.execute_batch("ROLLBACK").unwrap();
    drop(other);

    // Somebody empties the index.
    let other = rusqlite::Connection::open(runs.path().join("affect.sqlite")).unwrap();
    other.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    other
        .execute_batch("PRAGMA foreign_keys = ON; DELETE FROM runs")
        .unwrap();
    recorder.metrics(vec![row("train", 3, 1.0)]);
    let finished = recorder.finish(Status::Completed, None).unwrap();
    assert_eq!(finished.complaints, Vec::<String>::new());
    let database = Database::open(runs.path()).unwrap();
    assert_eq!(database.metrics(dir.id()).unwrap().len(), 3);
    assert_eq!(database.resolve(dir.id()).unwrap().status, Status::Completed);
}

#[test]
fn a_database_that_is_deleted_during_a_run_is_made_anew() {
    let runs = tempfile::tempdir().unwrap();
    let dir = RunDir::create(runs.path(), "x").unwrap();
    let recorder = Recorder::start(dir.clone(), runs.path(), header()).unwrap();
    recorder.metrics(vec![row("train", 1, 1.0)]);
    std::thread::sleep(std::time::Duration::from_millis(800));
    for ending in ["", "-wal", "-shm"] {
        drop(std::fs::remove_file(runs.path().join(format!("affect.sqlite{ending}"))));
    }
    recorder.metrics(vec![row("train", 2, 1.0)]);
    let finished = recorder.finish(Status::Completed, None).unwrap();
    assert_eq!(finished.complaints, Vec::<String>::new());
    let database = Database::open_existing(runs.path()).unwrap();
    assert_eq!(database.metrics(dir.id()).unwrap().len(), 2);
    assert_eq!(database.resolve(dir.id()).unwrap().status, Status::Completed);
}

#[test]
fn a_database_that_is_damaged_during_a_run_stops_nothing_and_is_put_right_from_the_log() {
    let runs = tempfile::tempdir().unwrap();
    let dir = RunDir::create(runs.path(), "x").unwrap();
    let recorder = Recorder::start(dir.clone(), runs.path(), header()).unwrap();
    recorder.metrics(vec![row("train", 1, 1.0)]);
    std::thread::sleep(std::time::Duration::from_millis(800));
    // The journal would make a small database whole again.
    for ending in ["-wal", "-shm"] {
        drop(std::fs::remove_file(runs.path().join(format!("affect.sqlite{ending}"))));
    }
    files::write_whole(&runs.path().join("affect.sqlite"), &[b'x'; 9000]).unwrap();
    recorder.metrics(vec![row("train", 2, 1.0)]);
    let finished = recorder.finish(Status::Completed, None).unwrap();
    let complaint = finished.complaints.join(" ");
    assert!(complaint.contains("affect ls --rebuild"), "{complaint}");
    let rebuilt = Database::rebuild(runs.path()).unwrap();
    assert!(rebuilt.set_aside.is_some());
    let database = Database::open_existing(runs.path()).unwrap();
    assert_eq!(database.metrics(dir.id()).unwrap().len(), 2);
    assert_eq!(database.resolve(dir.id()).unwrap().status, Status::Completed);
}

#[test]
fn a_run_of_another_machine_lives_as_long_as_its_heartbeat() {
    let runs = tempfile::tempdir().unwrap();
    let dir = RunDir::create(runs.path(), "x").unwrap();
    let recorder = Recorder::start(dir.clone(), runs.path(), header()).unwrap();
    // As a machine that shares the folder would have left it, and then fell silent.
    let other = rusqlite::Connection::open(runs.path().join("affect.sqlite")).unwrap();
    other.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    drop(recorder);
    let at = |seconds: i64| (jiff::Timestamp::now() - jiff::SignedDuration::from_secs(seconds)).to_string();
    let leave = |seconds: i64| {
        let change = "UPDATE runs SET status = 'running', finished_at = NULL, host = 'another', boot_id = 'another',
             pid = 1, pid_started = 1, heartbeat_at = ?1";
        other.execute(change, [at(seconds)]).unwrap();
        Database::open(runs.path()).unwrap().resolve(dir.id()).unwrap().status
    };
    assert_eq!(leave(20), Status::Running);
    assert_eq!(leave(3600), Status::Interrupted);
}

#[test]
fn a_runs_folder_that_cannot_hold_a_database_is_an_error_with_a_hint() {
    let runs = tempfile::tempdir().unwrap();
    let dir = RunDir::create(runs.path(), "x").unwrap();
    std::fs::create_dir(runs.path().join("affect.sqlite")).unwrap();
    let error = Recorder::start(dir, runs.path(), header()).err().unwrap();
    assert!(
        error.to_string().contains("affect.sqlite") && error.hint().is_some(),
        "{error}"
    );
}
