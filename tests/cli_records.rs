//! `affect tag`, `note`, `rm`, `restore` and `export`: what people do to runs afterwards.

#![allow(clippy::disallowed_methods)] // tests damage and remove files

mod common;
mod records_support;

use std::path::Path;

use affect::track::{Database, RunFilter, Status};
use common::Lab;
use insta::assert_snapshot;
use records_support::{Made, make};

fn ids(lab: &Lab) -> Vec<String> {
    let database = Database::open(&lab.path("runs")).unwrap();
    let mut ids: Vec<String> = database
        .runs(&RunFilter::default())
        .unwrap()
        .into_iter()
        .map(|run| run.id)
        .collect();
    ids.sort();
    ids
}

#[test]
fn tags_and_notes_stay_with_the_run_even_when_the_index_is_lost() {
    let lab = Lab::new();
    let id = make(
        &lab.path("runs"),
        Made {
            tags: &["old", "kept"],
            ..Made::default()
        },
    );
    let tagged = lab.succeed(&["tag", "latest", "paper", "best"]);
    assert_eq!(
        (tagged.stdout.as_str(), tagged.stderr.as_str()),
        ("", format!("{id} has the tags best, kept, old, paper\n").as_str())
    );
    lab.succeed(&["tag", &id, "--remove", "old", "best"]);
    lab.succeed(&["note", "latest", "the", "split was wrong"]);
    let check = || {
        let shown = lab.succeed(&["show", "latest", "--json"]).json();
        assert_eq!(shown["run"]["tags"], serde_json::json!(["kept", "paper"]));
        assert_eq!(shown["notes"].as_array().unwrap().len(), 1);
        assert_eq!(shown["notes"][0]["text"], "the split was wrong");
    };
    check();
    let text = lab.succeed(&["show", "latest"]).stdout;
    assert!(
        text.contains("tags       kept, paper\n") && text.contains(": the split was wrong\n"),
        "{text}"
    );
    lab.succeed(&["ls", "--rebuild"]);
    check();
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(lab.path(&format!("runs/affect.sqlite{ending}")));
    }
    lab.succeed(&["ls", "--rebuild"]);
    check();

    let missing = lab.succeed(&["tag", "latest", "--remove", "nothing"]);
    assert!(
        missing
            .stderr
            .starts_with(&format!("warning: {id} has no tag `nothing`\n")),
        "{}",
        missing.stderr
    );
    assert_snapshot!(lab.complaint(2, &["tag", "latest", "a,b"]), @r"
error: `a,b` cannot be a tag
 help: use up to 100 characters without commas
");
    assert_snapshot!(lab.complaint(2, &["note", "latest", " "]), @"error: the note is empty");
}

#[test]
fn what_is_thrown_away_comes_back_as_it_was() {
    let lab = Lab::new();
    let runs = lab.path("runs");
    let parent = make(&runs, Made::default());
    let child = |seed| {
        make(
            &runs,
            Made {
                seed,
                parent: Some(&parent),
                ..Made::default()
            },
        )
    };
    let children = [child(1), child(2)];
    let other = make(
        &runs,
        Made {
            experiment: "b",
            ..Made::default()
        },
    );
    let everything = ids(&lab);
    let shown = |id: &str| lab.succeed(&["show", id, "--json"]).stdout;
    let before = shown(&children[0]);

    let removed = lab.succeed(&["rm", &parent]);
    assert_eq!(removed.stdout.lines().count(), 3, "{}", removed.stdout);
    assert!(removed.stderr.contains("3 runs thrown away"), "{}", removed.stderr);
    assert_eq!(ids(&lab), std::slice::from_ref(&other));
    assert!(!lab.path(&format!("runs/a/{parent}")).exists());
    // The index and the folders agree.
    lab.succeed(&["ls", "--rebuild"]);
    assert_eq!(ids(&lab), std::slice::from_ref(&other));
    assert_eq!(lab.succeed(&["restore"]).stdout.lines().count(), 3);

    let restored = lab.succeed(&["restore", &parent]);
    assert_eq!(restored.stdout.lines().count(), 3);
    assert_eq!(ids(&lab), everything);
    assert_eq!(shown(&children[0]), before);
    assert_eq!(lab.succeed(&["restore"]).stderr, "the trash is empty\n");
    let nothing = lab.complaint(2, &["restore", &parent]);
    assert!(
        nothing.starts_with("error: there is nothing in the trash, `runs/.trash`"),
        "{nothing}"
    );
}

#[test]
fn purging_deletes_what_is_there_and_what_is_in_the_trash() {
    let lab = Lab::new();
    let runs = lab.path("runs");
    let (first, second) = (make(&runs, Made::default()), make(&runs, Made::default()));
    lab.succeed(&["rm", &first]);
    let unknown = lab.complaint(2, &["rm", &first]);
    assert!(
        unknown.starts_with(&format!("error: no run is called `{first}`")),
        "{unknown}"
    );
    assert!(
        lab.succeed(&["rm", &first, &second, "--purge"])
            .stderr
            .contains("2 runs deleted")
    );
    assert!(ids(&lab).is_empty());
    assert_eq!(lab.succeed(&["restore"]).stderr, "the trash is empty\n");
    assert!(!lab.path(&format!("runs/a/{second}")).exists());
}

#[test]
fn a_run_that_is_going_on_is_not_thrown_away() {
    use affect::track::{Circumstances, Provenance, Recorder, RunDir, RunHeader};
    let lab = Lab::new();
    let runs = lab.path("runs");
    let dir = RunDir::create(&runs, "a").unwrap();
    let provenance = Provenance::collect(Circumstances {
        folder: &runs,
        command_line: Vec::new(),
        seed: 1,
        device: "cpu".to_owned(),
        gpu: None,
        threads: 1,
        data_fingerprint: String::new(),
        feature_key: String::new(),
    });
    let header = RunHeader {
        config_toml: String::new(),
        config_hash: String::new(),
        tags: Vec::new(),
        parent_id: None,
        provenance,
    };
    let recorder = Recorder::start(dir.clone(), &runs, header).unwrap();
    // A tag from another process goes into the log that this one writes to.
    lab.succeed(&["tag", "latest", "going-on"]);
    let complaint = lab.complaint(2, &["rm", dir.id()]);
    assert_eq!(
        complaint,
        format!(
            "error: run {} is still running\n help: stop it first (Ctrl-C), or wait for its end",
            dir.id()
        )
    );
    recorder.finish(Status::Completed, None).unwrap();
    lab.succeed(&["ls", "--rebuild"]);
    let shown = lab.succeed(&["show", "latest", "--json"]).json();
    assert_eq!(
        (shown["run"]["status"].as_str(), shown["run"]["tags"][0].as_str()),
        (Some("completed"), Some("going-on"))
    );
    lab.succeed(&["rm", dir.id()]);
}

#[test]
fn the_records_are_written_as_tables() {
    let lab = Lab::new();
    let runs = lab.path("runs");
    let first = make(
        &runs,
        Made {
            seed: u64::MAX,
            ..Made::default()
        },
    );
    make(
        &runs,
        Made {
            rmse: None,
            ..Made::default()
        },
    );
    let written = lab.succeed(&["export", "--csv", "tables"]);
    assert_snapshot!(written.stdout, @r"
tables/runs.csv (2 rows)
tables/params.csv (8 rows)
tables/metrics.csv (4 rows)
tables/results.csv (3 rows)
tables/baselines.csv (0 rows)
tables/tags.csv (0 rows)
tables/notes.csv (0 rows)
");
    let runs_csv = lab.read("tables/runs.csv");
    assert!(
        runs_csv.contains(&format!("{first},a,completed,18446744073709551615,cpu,")),
        "{runs_csv}"
    );
    assert!(
        lab.read("tables/metrics.csv")
            .contains(&format!("{first},val,loss,1,1,0.9,0\n"))
    );
    assert!(
        lab.read("tables/params.csv")
            .contains(&format!("{first},optimizer.learning_rate,0.001\n"))
    );
    lab.succeed(&["export", &first, "--csv", "one"]);
    assert_eq!(lab.read("one/runs.csv").lines().count(), 2);
    let complaint = lab.complaint(2, &["export"]);
    assert!(complaint.contains("--csv <DIR>"), "{complaint}");
}

#[test]
fn parquet_keeps_types_and_nulls() {
    use parquet::basic::{LogicalType, Type};
    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    use parquet::record::RowAccessor as _;

    let lab = Lab::new();
    let runs = lab.path("runs");
    let first = make(
        &runs,
        Made {
            seed: u64::MAX,
            ..Made::default()
        },
    );
    make(
        &runs,
        Made {
            rmse: None,
            ..Made::default()
        },
    );
    let written = lab.succeed(&["export", "--parquet", "tables", "--csv", "tables"]);
    assert_eq!(written.stdout.lines().count(), 14, "{}", written.stdout);
    assert!(
        written.stdout.contains("tables/metrics.parquet (4 rows)\n"),
        "{}",
        written.stdout
    );
    let open = |name: &str| {
        let file = std::fs::File::open(lab.path(&format!("tables/{name}.parquet"))).unwrap();
        SerializedFileReader::new(file).unwrap()
    };
    // Every table has the rows of its CSV.
    for name in ["runs", "params", "metrics", "results", "baselines", "tags", "notes"] {
        let rows = lab.read(&format!("tables/{name}.csv")).lines().count() - 1;
        assert_eq!(open(name).metadata().file_metadata().num_rows(), rows as i64, "{name}");
    }

    let table = open("runs");
    let schema = table.metadata().file_metadata().schema_descr_ptr();
    let column = |name: &str| {
        let columns = schema.columns().iter();
        columns
            .into_iter()
            .find(|column| column.name() == name)
            .unwrap()
            .clone()
    };
    assert_eq!(column("id").logical_type_ref(), Some(&LogicalType::String));
    assert!(matches!(
        column("created_at").logical_type_ref(),
        Some(LogicalType::Timestamp(_))
    ));
    assert_eq!(column("epoch").physical_type(), Type::INT64);
    let rows: Vec<_> = table.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows[0].get_string(0).unwrap(), &first);
    assert_eq!(rows[0].get_ulong(3).unwrap(), u64::MAX);
    let created = lab
        .read("tables/runs.csv")
        .lines()
        .nth(1)
        .unwrap()
        .split(',')
        .nth(5)
        .unwrap()
        .to_owned();
    let created: jiff::Timestamp = created.parse().unwrap();
    assert_eq!(rows[0].get_timestamp_micros(5).unwrap(), created.as_microsecond());
    assert!(rows[0].get_string(13).is_err(), "it has no parent");

    let params: Vec<_> = open("params").get_row_iter(None).unwrap().map(Result::unwrap).collect();
    let rate = params
        .iter()
        .find(|row| row.get_string(1).unwrap() == "optimizer.learning_rate")
        .unwrap();
    assert_eq!(
        (rate.get_string(2).unwrap().as_str(), rate.get_double(3).unwrap()),
        ("0.001", 0.001)
    );
    assert!(
        params.iter().any(|row| row.get_double(3).is_err()),
        "a text is no number"
    );
    let metrics: Vec<_> = open("metrics")
        .get_row_iter(None)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(metrics[0].get_double(5).unwrap(), 0.9);
    assert_eq!(metrics[0].get_timestamp_micros(6).unwrap(), 0);
}

/// Needs AFFECT_PYTHON, an interpreter with the packages of scripts/reference/requirements.txt.
#[test]
fn pandas_reads_the_parquet_tables_with_their_types() {
    let Some(python) = std::env::var_os("AFFECT_PYTHON") else {
        eprintln!("skipped: AFFECT_PYTHON is not set");
        return;
    };
    let lab = Lab::new();
    make(
        &lab.path("runs"),
        Made {
            seed: u64::MAX,
            ..Made::default()
        },
    );
    lab.succeed(&["export", "--parquet", "tables"]);
    let script = "import pandas as pd\n\
        runs = pd.read_parquet('tables/runs.parquet')\n\
        metrics = pd.read_parquet('tables/metrics.parquet')\n\
        params = pd.read_parquet('tables/params.parquet')\n\
        print(runs.dtypes[['seed', 'created_at', 'epoch']].tolist(), runs.seed[0], runs.parent_id.isna()[0])\n\
        print(metrics.dtypes[['step', 'value', 'wall_time']].tolist(), metrics.value.tolist())\n\
        print(params.set_index('key').number['optimizer.learning_rate'])\n";
    let mut command = std::process::Command::new(python);
    let output = command.args(["-c", script]).current_dir(lab.path("")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_snapshot!(String::from_utf8(output.stdout).unwrap(), @r"
[dtype('uint64'), datetime64[us, UTC], dtype('int64')] 18446744073709551615 True
[dtype('int64'), dtype('float64'), datetime64[us, UTC]] [0.9, 0.5]
0.001
");
}

/// A program called `tensorboard` that tells how it was called.
#[cfg(unix)]
fn fake(lab: &Lab, name: &str, script: &str) -> std::ffi::OsString {
    use std::os::unix::fs::PermissionsExt as _;
    lab.write(&format!("bin/{name}"), &format!("#!/bin/sh\n{script}\n"));
    std::fs::set_permissions(lab.path(&format!("bin/{name}")), std::fs::Permissions::from_mode(0o755)).unwrap();
    lab.path("bin").into()
}

#[cfg(unix)]
#[test]
fn tensorboard_is_started_on_a_folder_where_runs_have_their_names() {
    let lab = Lab::new();
    let runs = lab.path("runs");
    let parent = make(&runs, Made::default());
    let child = make(
        &runs,
        Made {
            parent: Some(&parent),
            ..Made::default()
        },
    );
    let path = fake(&lab, "tensorboard", "echo \"$@\"; exit 7");
    let temporary = lab.path("temporary");
    let call = |arguments: &[&str]| {
        let mut command = lab.command(&[&["tensorboard"], arguments].concat());
        let output = command.env("PATH", &path).env("TMPDIR", &temporary).output().unwrap();
        assert_eq!(output.status.code(), Some(7));
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    };
    let all = format!("--logdir {}\n", runs.display());
    assert_eq!(call(&[]), (all.clone(), String::new()));
    // One run, a parent with its children, and one that is named twice.
    for (arguments, expected) in [
        (vec![&*child, "--port", "0"], vec![&child]),
        (vec![&*parent], vec![&parent, &child]),
        (vec![&*child, &*parent], vec![&parent, &child]),
    ] {
        let (told, complaint) = call(&arguments);
        assert_eq!(complaint, "");
        let (folder, rest) = told.strip_prefix("--logdir ").unwrap().split_once(['\n', ' ']).unwrap();
        assert_eq!(rest, if arguments.len() == 3 { "--port 0\n" } else { "" });
        let linked = Path::new(folder).join("a");
        assert_eq!(std::fs::read_dir(&linked).unwrap().count(), expected.len());
        for id in expected {
            let [there, link] = [runs.join("a").join(id), linked.join(id)].map(|path| path.canonicalize().unwrap());
            assert_eq!(there, link);
        }
        assert_eq!(call(&arguments).0, told, "another folder for the same runs");
    }
    // Where no links can be made.
    std::fs::remove_dir_all(&temporary).unwrap();
    std::fs::write(&temporary, "in the way").unwrap();
    let (told, complaint) = call(&[&child]);
    assert_eq!(told, all);
    assert!(complaint.contains("TensorBoard shows all runs instead"), "{complaint}");
}

#[cfg(unix)]
#[test]
fn where_there_is_no_tensorboard_it_is_said_how_to_get_it() {
    let lab = Lab::new();
    make(&lab.path("runs"), Made::default());
    let call = |path: &std::ffi::OsStr| {
        let output = lab.command(&["tensorboard"]).env("PATH", path).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let path = fake(&lab, "python3", "[ \"$1\" = -c ] && exit 1; exit 9");
    let (code, _, stderr) = call(&path);
    assert_eq!(code, Some(1));
    assert_snapshot!(stderr, @r"
error: TensorBoard is not installed: there is no `tensorboard` on the PATH, and no module of that name in `python3`
 help: install it with `pip install tensorboard`, and activate its environment
");
    // The module without the program.
    let path = fake(&lab, "python3", "[ \"$1\" = -c ] && exit 0; echo \"$1 $2 $3\"; exit 3");
    assert_eq!(
        call(&path),
        (Some(3), "-m tensorboard.main --logdir\n".to_owned(), String::new())
    );
}
