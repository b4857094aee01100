//! Everything that goes wrong ends in one clear message and the right exit status: 2 for a wrong request, 1 for work that
//! failed, 130 after Ctrl-C. No input makes the program panic ([`common::Lab::affect`] looks at that in every test).

#![allow(clippy::disallowed_methods)] // tests damage and move files

mod common;

use common::{EXAMPLES, Lab, SmallDisk};
use insta::assert_snapshot;

const RUN: [&str; 2] = ["run", "reg.toml"];

/// Nothing was begun: no run is recorded, and no folder is left.
fn nothing_ran(lab: &Lab) {
    assert!(lab.runs("reg").is_empty() && lab.runs("cls").is_empty());
}

/// Four audio files that cannot be used, each in its own way, and one that is only shorter than its header says.
fn damage(lab: &Lab) {
    std::fs::remove_file(lab.path("data/audio/03.wav")).unwrap();
    lab.write("data/audio/04.wav", "");
    lab.write("data/audio/05.wav", "this is no sound");
    let cut = |name: &str, bytes: usize| {
        let path = lab.path(name);
        let content = std::fs::read(&path).unwrap();
        std::fs::write(path, &content[..bytes]).unwrap();
    };
    cut("data/audio/06.wav", 30);
    cut("data/audio/07.wav", 2000);
}

#[test]
fn all_unusable_audio_files_are_named_in_one_message() {
    let lab = Lab::new();
    damage(&lab);
    assert_snapshot!(lab.complaint(2, &RUN), @r#"
warning: 2 audio files are missing or empty; the others are decoded first, so that all that cannot be used are named
error: 4 audio files cannot be used:
  data/audio/03.wav: missing (named in data/labels.csv:5)
  data/audio/04.wav: empty (0 bytes) (named in data/labels.csv:6)
  data/audio/05.wav: not a sound file in a known format (named in data/labels.csv:7)
  data/audio/06.wav: damaged: it ends in the middle of its header (named in data/labels.csv:8)
 help: `dataset.on_error = "skip"` leaves such examples out, `"zeros"` keeps them without sound; the run records how many
"#);
    nothing_ran(&lab);
    assert_eq!(lab.complaint(2, &["features", "reg.toml"]), lab.complaint(2, &RUN));
    // `check` decodes nothing, so it names only what the file system tells.
    assert_snapshot!(lab.complaint(2, &["check", "reg.toml"]), @r#"
error: 2 audio files cannot be used:
  data/audio/03.wav: missing (named in data/labels.csv:5)
  data/audio/04.wav: empty (0 bytes) (named in data/labels.csv:6)
 help: `dataset.on_error = "skip"` leaves such examples out, `"zeros"` keeps them without sound; the run records how many
"#);
}

#[test]
fn unusable_audio_files_are_skipped_or_kept_as_zeros_and_counted() {
    for (on_error, predictions, remark) in [
        (
            "skip",
            EXAMPLES - 4,
            "4 examples with missing or damaged files, handled by on_error = \"skip\"",
        ),
        (
            "zeros",
            EXAMPLES,
            "4 examples with missing or damaged files, handled by on_error = \"zeros\"",
        ),
    ] {
        let lab = Lab::new();
        damage(&lab);
        let outcome = lab.succeed(&["run", "reg.toml", "--set", &format!("dataset.on_error={on_error}")]);
        for file in ["03.wav", "04.wav", "05.wav", "06.wav"] {
            let told = outcome.stderr.contains(file) || outcome.stderr.contains("2 examples of 24 left out");
            assert!(told, "{file}: {}", outcome.stderr);
        }
        let run = lab.run("reg");
        let rows = std::fs::read_to_string(run.join("predictions.csv"))
            .unwrap()
            .lines()
            .count()
            - 1;
        assert_eq!(rows, predictions, "{on_error}");
        let log = std::fs::read_to_string(run.join("log.jsonl")).unwrap();
        assert!(log.contains("\"unusable_examples\":4"), "{log}");
        for file in ["03.wav", "04.wav", "05.wav", "06.wav"] {
            assert!(log.contains(file), "{file}: {log}");
        }
        let report = std::fs::read_to_string(run.join("report.html")).unwrap();
        assert!(
            report.contains(&remark.replace('"', "&quot;")) || report.contains(remark),
            "{on_error}"
        );
    }
}

#[test]
fn audio_that_is_nowhere_is_told_before_anything_is_decoded() {
    let lab = Lab::new();
    std::fs::rename(lab.path("data/audio"), lab.path("data/sounds")).unwrap();
    assert_snapshot!(lab.complaint(2, &RUN), @r#"
error: 24 audio files cannot be used:
  data/audio/00.wav: missing (named in data/labels.csv:2)
  data/audio/01.wav: missing (named in data/labels.csv:3)
  data/audio/02.wav: missing (named in data/labels.csv:4)
  data/audio/03.wav: missing (named in data/labels.csv:5)
  data/audio/04.wav: missing (named in data/labels.csv:6)
  data/audio/05.wav: missing (named in data/labels.csv:7)
  data/audio/06.wav: missing (named in data/labels.csv:8)
  data/audio/07.wav: missing (named in data/labels.csv:9)
  data/audio/08.wav: missing (named in data/labels.csv:10)
  data/audio/09.wav: missing (named in data/labels.csv:11)
  … and 14 more
 help: none of the audio was found: check `dataset.root` and the folder that the audio paths are relative to; `dataset.on_error` is for single files
"#);
    assert_snapshot!(lab.complaint(2, &["run", "reg.toml", "--set", "dataset.on_error=skip"]), @r#"
error: all 24 examples were left out, because their audio cannot be used:
  data/audio/00.wav: missing (named in data/labels.csv:2)
  data/audio/01.wav: missing (named in data/labels.csv:3)
  data/audio/02.wav: missing (named in data/labels.csv:4)
  data/audio/03.wav: missing (named in data/labels.csv:5)
  data/audio/04.wav: missing (named in data/labels.csv:6)
  data/audio/05.wav: missing (named in data/labels.csv:7)
  data/audio/06.wav: missing (named in data/labels.csv:8)
  data/audio/07.wav: missing (named in data/labels.csv:9)
  data/audio/08.wav: missing (named in data/labels.csv:10)
  data/audio/09.wav: missing (named in data/labels.csv:11)
  … and 14 more
 help: check `dataset.root` and where the audio lies
"#);
    assert!(!lab.path("cache/features").exists());
}

#[test]
fn audio_of_which_nothing_can_be_decoded_is_an_error_whatever_on_error_says() {
    let lab = Lab::new();
    for index in 0..EXAMPLES {
        lab.write(&format!("data/audio/{index:02}.wav"), "this is no sound");
    }
    for on_error in ["fail", "skip", "zeros"] {
        let complaint = lab.complaint(
            2,
            &["run", "reg.toml", "--set", &format!("dataset.on_error={on_error}")],
        );
        assert!(
            complaint.starts_with("error: ") && complaint.contains("00.wav"),
            "{complaint}"
        );
        assert!(complaint.contains("24"), "{complaint}");
    }
    nothing_ran(&lab);
}

#[test]
fn tables_that_hold_nothing_are_errors() {
    let lab = Lab::new();
    lab.write("data/labels.csv", "");
    assert_snapshot!(lab.complaint(2, &RUN), @r#"
error: `data/labels.csv` is empty
 help: the first line must name the columns, separated by commas
"#);
    lab.write("data/labels.csv", "file,valence,arousal\n");
    assert_snapshot!(lab.complaint(2, &RUN), @r#"
error: `data/labels.csv` has a header but no rows
 help: each line after the header is one example
"#);
    std::fs::remove_file(lab.path("data/labels.csv")).unwrap();
    assert_snapshot!(lab.complaint(2, &RUN), @r#"
error: there is no file `data/labels.csv`
 help: check `dataset.root` and `dataset.file`; the folder holds no CSV file
"#);
    assert_snapshot!(lab.complaint(2, &["run", "reg.toml", "--set", "dataset.root=nowhere"]), @r#"
error: the dataset's folder `nowhere` does not exist
 help: put the corpus there, or say where it is: `--set dataset.root=FOLDER`
"#);
    nothing_ran(&lab);
}

#[test]
fn a_column_that_does_not_exist_is_named_with_the_nearest() {
    let lab = Lab::new();
    let complaint = lab.complaint(
        2,
        &["run", "reg.toml", "--set", "dataset.targets=[\"valense\", \"arousal\"]"],
    );
    assert_snapshot!(complaint, @r#"
error: 1 problem in the annotations:
  data/labels.csv:1: no column `valense` (dataset.targets); did you mean `valence`? there are `file`, `valence`, `arousal`, `emotion`, `speaker`, `side`
"#);
}

#[test]
fn values_that_are_no_numbers_are_named_with_their_lines() {
    let lab = Lab::new();
    lab.edit("data/labels.csv", "02.wav,-0.680", "02.wav,NaN");
    lab.edit("data/labels.csv", "05.wav,-0.500", "05.wav,");
    lab.edit("data/labels.csv", "07.wav,-0.380", "07.wav,high");
    lab.edit("data/labels.csv", "09.wav,-0.260", "09.wav,inf");
    assert_snapshot!(lab.complaint(2, &RUN), @r#"
error: 4 problems in the annotations:
  data/labels.csv:4: target `valence` is NaN, not a finite number
  data/labels.csv:7: target `valence` is empty, but a number is needed
  data/labels.csv:9: target `valence` is "high", not a number
  data/labels.csv:11: target `valence` is inf, not a finite number
"#);
    nothing_ran(&lab);
}

#[test]
fn a_class_with_one_example_is_an_error() {
    let lab = Lab::new();
    lab.edit("data/labels.csv", "0.160,low", "0.160,lwo");
    assert_snapshot!(lab.complaint(2, &["run", "cls.toml"]), @r#"
error: 1 problem in the annotations:
  data/labels.csv:4: class `lwo` (emotion) has this one example only; a class needs examples to learn from and others to test on: correct the label, merge the class, or remove the row
"#);
    nothing_ran(&lab);
}

#[test]
fn a_side_of_the_split_that_would_be_empty_is_an_error() {
    let lab = Lab::new();
    let table = lab.read("data/labels.csv");
    lab.write("data/labels.csv", &table.lines().take(3).collect::<Vec<_>>().join("\n"));
    assert_snapshot!(lab.complaint(2, &RUN), @r#"
error: the data has 2 groups, but the split needs at least 3: one for each of train, val and test
 help: add data, or group by something that has more values (`dataset.group`)
"#);

    lab.write("data/labels.csv", &table.replace(",val\n", ",train\n"));
    let by_column = [
        "--set",
        "dataset.split={kind=\"column\"}",
        "--set",
        "dataset.split_column=side",
    ];
    assert_snapshot!(lab.complaint(2, &[&RUN[..], &by_column].concat()), @r#"
error: the declared split has no val examples
 help: declare examples for it, or draw a split with `dataset.split.kind = "random"`
"#);

    // All of a side can be lost to files that cannot be used, too.
    lab.write("data/labels.csv", &table);
    for (index, line) in table.lines().skip(1).enumerate() {
        if line.ends_with(",val") {
            lab.write(&format!("data/audio/{index:02}.wav"), "this is no sound");
        }
    }
    let skip = ["--set", "dataset.on_error=skip"];
    let complaint = lab.complaint(2, &[&RUN[..], &by_column, &skip].concat());
    assert!(
        complaint.contains("no readable example is left in the split `val`"),
        "{complaint}"
    );
    nothing_ran(&lab);
}

#[test]
fn folders_that_cannot_be_written_are_found_before_any_work() {
    let lab = Lab::new();
    assert_snapshot!(lab.complaint(2, &["run", "reg.toml", "--runs", "reg.toml/runs"]), @r#"
error: cannot create the folder `reg.toml/runs`: Not a directory (os error 20)
 help: a file is where a folder should be: name another folder
"#);
    assert_snapshot!(lab.complaint(2, &["run", "reg.toml", "--runs", "reg.toml"]), @r#"
error: cannot create the folder `reg.toml`: File exists (os error 17)
 help: a file is where a folder should be: name another folder
"#);
    assert!(!lab.path("cache").exists());
    assert_snapshot!(lab.complaint(2, &["run", "reg.toml", "--cache", "reg.toml/cache"]), @r#"
error: cannot create the folder `reg.toml/cache/features`: Not a directory (os error 20)
 help: a file is where a folder should be: name another folder
"#);
    assert_snapshot!(lab.complaint(2, &["ls", "--runs", "reg.toml"]), @r#"
error: cannot look into `reg.toml`: not a directory
 help: a file is where a folder should be: name another folder
"#);
    nothing_ran(&lab);
}

#[test]
fn unknown_names_come_with_the_nearest() {
    let lab = Lab::new();
    lab.write("experiments/deam-cnn.toml", &lab.read("reg.toml"));
    assert_snapshot!(lab.complaint(2, &["run", "daem-cnn"]), @r#"
error: there is no experiment `daem-cnn` in `experiments`
  help: did you mean `deam-cnn`?
        experiments: deam-cnn, quickstart
"#);
    assert_snapshot!(lab.complaint(2, &["check", "quikstart"]), @r#"
error: there is no experiment `quikstart` in `experiments`
  help: did you mean `quickstart`?
        experiments: deam-cnn, quickstart
"#);
    assert_snapshot!(lab.complaint(2, &["run", "rag.toml"]), @r#"
error: there is no file `rag.toml`
  help: did you mean `reg.toml`?
"#);
    assert_snapshot!(lab.complaint(2, &["show", "latest"]), @r#"
error: there are no runs in `runs` yet
 help: make one with `affect run quickstart`, or name another folder with `--runs`
"#);
}

#[test]
fn slips_in_an_experiment_file_are_shown_where_they_are_all_at_once() {
    let lab = Lab::new();
    lab.edit("reg.toml", "learning_rate", "learning_rat");
    lab.edit("reg.toml", "epochs = 2", "epochs = \"two\"");
    assert_snapshot!(lab.complaint(2, &RUN), @r#"
error: unknown key `learning_rat`
    ╭─[reg.toml:43:1]
 42 │ kind = "adam"
 43 │ learning_rat = 0.01
    · ──────┬─────
    ·       ╰── not a key of `optimizer` with kind = "adam"
 44 │ 
    ╰────
  help: did you mean `learning_rate`?

error: `train.epochs`: expected an integer, found the string "two"
    ╭─[reg.toml:46:10]
 45 │ [train]
 46 │ epochs = "two"
    ·          ──┬──
    ·            ╰── expected an integer
 47 │ batch_size = 4
    ╰────
"#);
    nothing_ran(&lab);
}

#[test]
fn slips_in_settings_of_the_command_line_are_shown() {
    let lab = Lab::new();
    assert_snapshot!(lab.complaint(2, &["run", "reg.toml", "--set", "optimizer.learning_rat=1e-4"]), @r#"
error: unknown key `learning_rat`
   ╭─[--set:1:11]
 1 │ optimizer.learning_rat=1e-4
   ·           ──────┬─────
   ·                 ╰── not a key of `optimizer` with kind = "adam"
   ╰────
  help: did you mean `learning_rate`?
"#);
    assert_snapshot!(lab.complaint(2, &["run", "reg.toml", "--set", "train.epochs"]), @r#"
error: `train.epochs` sets nothing
   ╭─[--set:1:1]
 1 │ train.epochs
   · ──────┬─────
   ·       ╰── there is no `=` in it
   ╰────
  help: write `--set key=value`, as in `--set train.epochs=3`
"#);
    assert_snapshot!(lab.complaint(2, &["run", "reg.toml", "--set", "train.epochs=many"]), @r#"
error: `train.epochs`: expected an integer, found the string "many"
   ╭─[--set:1:14]
 1 │ train.epochs=many
   ·              ──┬─
   ·                ╰── expected an integer
   ╰────
"#);
    assert_snapshot!(lab.complaint(2, &["run", "reg.toml", "--device", "gpu"]), @r#"
error: unknown value "gpu" of `train.device`
   ╭─[--set:1:14]
 1 │ train.device="gpu"
   ·              ──┬──
   ·                ╰── expected "auto", "cpu", "cuda", "cuda:0", "cuda:1", "cuda:2", "cuda:3", "cuda:4", "cuda:5", "cuda:6" or "cuda:7"
   ╰────
  help: did you mean "cpu"?
"#);
    assert_snapshot!(lab.complaint(2, &["run", "reg.toml", "--seed", "-1"]), @r#"
error: invalid value '-1' for '--seed <N>': invalid digit found in string

For more information, try '--help'.
"#);
    assert_snapshot!(lab.complaint(2, &["run", "reg.toml", "--threads", "0"]), @r#"
error: invalid value '0' for '--threads <N>': 0 is not in 1..=1024

For more information, try '--help'.
"#);
    nothing_ran(&lab);
}

#[test]
fn mistakes_of_any_experiment_are_found_before_the_first_one_runs() {
    let lab = Lab::new();
    lab.write("slip.toml", &lab.read("reg.toml").replace("n_mels", "n_mel"));
    lab.write("worse.toml", "this is no TOML");
    let complaint = lab.complaint(2, &["run", "reg.toml", "slip.toml", "worse.toml"]);
    assert!(
        complaint.contains("slip.toml") && complaint.contains("worse.toml"),
        "{complaint}"
    );

    // What only the data or the network's shapes show is found in time, too.
    let unfit = lab.read("cls.toml").replace("max_pool = 2", "max_pool = 99");
    lab.write("unfit.toml", &unfit);
    let complaint = lab.complaint(2, &["run", "reg.toml", "unfit.toml"]);
    assert!(complaint.contains("max_pool of 99 × 99 is larger than"), "{complaint}");
    let lost = lab.read("cls.toml").replace("labels.csv", "lables.csv");
    lab.write("lost.toml", &lost);
    let complaint = lab.complaint(2, &["run", "reg.toml", "lost.toml"]);
    assert!(complaint.contains("there is no file `data/lables.csv`"), "{complaint}");
    nothing_ran(&lab);
    assert!(!lab.path("cache/features").exists());
}

#[test]
fn a_run_that_diverges_has_failed_and_the_next_one_runs_all_the_same() {
    let lab = Lab::new();
    lab.write("wild.toml", &lab.diverging(4));
    let outcome = lab.affect(&["run", "wild.toml", "reg.toml"]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    let complaint =
        "error: training diverged: the loss became inf in epoch 1 at step 2, gradient norm NaN; at step 1 the loss was";
    assert_eq!(outcome.stderr.matches("training diverged").count(), 1);
    assert!(outcome.stderr.contains(complaint), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("help: try a smaller `optimizer.learning_rate`"),
        "{}",
        outcome.stderr
    );

    let wild = lab
        .succeed(&["show", lab.run("wild").file_name().unwrap().to_str().unwrap(), "--json"])
        .json();
    assert_eq!(wild["run"]["status"], "failed");
    assert!(wild["run"]["error"].as_str().unwrap().starts_with("training diverged"));
    assert!(outcome.stdout.contains("(completed"), "{}", outcome.stdout);
    assert_eq!(
        lab.query::<String>("SELECT status FROM runs WHERE experiment = 'reg'"),
        "completed"
    );
}

#[test]
fn a_network_that_diverges_only_in_validation_has_diverged_too() {
    let lab = Lab::new();
    lab.write("wild.toml", &lab.diverging(32));
    let outcome = lab.affect(&["run", "wild.toml", "--json"]);
    assert_eq!(
        (outcome.code, outcome.stdout.as_str()),
        (Some(1), ""),
        "{}",
        outcome.stderr
    );
    let complaint = "error: training diverged: the validation loss became inf in epoch 1 at step 1";
    assert!(outcome.stderr.contains(complaint), "{}", outcome.stderr);
    assert_eq!(lab.query::<String>("SELECT status FROM runs"), "failed");
}

#[cfg(unix)]
mod interrupted {
    use std::io::{BufRead as _, BufReader, Read as _};

    use super::*;

    /// Sends a signal once stderr shows `sign`; the exit status and all of stderr.
    fn interrupt(lab: &Lab, arguments: &[&str], sign: &str, signal: &str) -> (Option<i32>, String) {
        let mut child = lab.spawn(arguments);
        let mut reader = BufReader::new(child.stderr.take().unwrap());
        let mut stderr = String::new();
        while !stderr.contains(sign) {
            assert_ne!(reader.read_line(&mut stderr).unwrap(), 0, "{stderr}");
        }
        let sent = std::process::Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
        reader.read_to_string(&mut stderr).unwrap();
        (child.wait().unwrap().code(), stderr)
    }

    const LONG: [&str; 4] = [
        "--set",
        "train.epochs=100000",
        "--set",
        "train.early_stopping.patience=100000",
    ];

    #[test]
    fn ctrl_c_saves_the_state_and_ends_all_experiments() {
        let lab = Lab::new();
        let arguments = [&["run", "reg.toml", "cls.toml"], &LONG[..]].concat();
        let (code, stderr) = interrupt(&lab, &arguments, "2/100000", "-INT");
        assert_eq!(code, Some(130), "{stderr}");
        assert!(stderr.contains("stopping as soon as the state is saved"), "{stderr}");
        assert!(stderr.contains("`affect resume "), "{stderr}");
        assert!(!stderr.contains("error"), "{stderr}");
        let last = lab.run("reg").join("checkpoints/last");
        for file in [
            "model.safetensors",
            "optimizer.safetensors",
            "state.json",
            "manifest.json",
        ] {
            assert!(last.join(file).is_file(), "{file}");
        }
        assert_eq!(lab.query::<String>("SELECT status FROM runs"), "interrupted");
        assert!(lab.runs("cls").is_empty());
    }

    #[test]
    fn a_termination_does_the_same() {
        let lab = Lab::new();
        let (code, stderr) = interrupt(&lab, &[&RUN[..], &LONG].concat(), "1/100000", "-TERM");
        assert_eq!(code, Some(130), "{stderr}");
        assert_eq!(lab.query::<String>("SELECT status FROM runs"), "interrupted");
    }

    #[test]
    fn ctrl_c_while_there_is_nothing_to_save_ends_at_once() {
        let lab = Lab::new();
        // 5000 songs of a minute would take long.
        let corpus = "dataset={kind=\"synthetic\",songs=5000,seconds=60.0}";
        let arguments = ["run", "reg.toml", "--set", corpus];
        let (code, stderr) = interrupt(&lab, &arguments, "experiment", "-INT");
        assert_eq!(code, Some(130), "{stderr}");
        assert!(
            stderr.ends_with("interrupted; what was computed so far is in the cache\n"),
            "{stderr}"
        );
        nothing_ran(&lab);
    }
}

#[test]
fn a_disk_that_is_full_from_the_start_is_a_wrong_request() {
    let lab = Lab::new();
    let at = lab.path("disk");
    let Some(_disk) = SmallDisk::mount(&at, "40k") else {
        return;
    };
    assert_snapshot!(lab.complaint(2, &["run", "reg.toml", "--runs", "disk/runs"]), @r#"
error: cannot change the run database `disk/runs/affect.sqlite`: database or disk is full
 help: free some space; nothing that was recorded before is lost
"#);
    let complaint = lab.complaint(2, &["run", "quickstart", "--cache", "disk/cache"]);
    assert!(
        complaint.starts_with("error: cannot write `disk/cache/synthetic/"),
        "{complaint}"
    );
    assert!(complaint.contains("No space left on device"), "{complaint}");
    assert!(complaint.contains("help: free some space"), "{complaint}");
    assert!(!complaint.contains(".tmp"), "{complaint}");
    nothing_ran(&lab);
}

#[test]
fn a_disk_that_fills_up_in_mid_run_fails_the_run_and_spoils_nothing() {
    let lab = Lab::new();
    let at = lab.path("runs");
    let Some(disk) = SmallDisk::mount(&at, "400k") else {
        return;
    };
    let outcome = lab.affect(&RUN);
    assert_eq!(
        (outcome.code, outcome.stdout.as_str()),
        (Some(1), ""),
        "{}",
        outcome.stderr
    );
    assert_eq!(outcome.stderr.matches("error:").count(), 1, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("error: cannot write `runs/reg/"),
        "{}",
        outcome.stderr
    );
    assert!(
        outcome
            .stderr
            .contains("No space left on device (os error 28)\n help: free some space"),
        "{}",
        outcome.stderr
    );

    // What was reached is whole, and once there is space again the index knows of it.
    let run = lab.run("reg");
    assert!(run.join("checkpoints/best/manifest.json").is_file());
    disk.grow("20m");
    lab.succeed(&["ls", "--rebuild"]);
    let listed = lab.succeed(&["ls", "--json"]).json();
    assert!(
        ["failed", "interrupted"].contains(&listed[0]["status"].as_str().unwrap()),
        "{listed}"
    );
    assert_eq!(listed[0]["epoch"], 2);
}
