//! `affect reproduce`: the same numbers from the record alone, or what differs.

#![allow(clippy::disallowed_methods, reason = "tests change what the program wrote")]

mod common;

use std::path::Path;

use common::Lab;

/// As by a colleague who sends a run's folder.
fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

#[test]
fn a_run_is_reproduced_from_its_folder_alone() {
    let lab = Lab::new();
    lab.succeed(&[
        "run",
        "reg.toml",
        "--set",
        "optimizer.learning_rate=0.02",
        "--threads",
        "2",
    ]);
    let run = lab.run("reg");
    let id = run.file_name().unwrap().to_str().unwrap().to_owned();
    // The experiment file is no longer what it was.
    lab.edit("reg.toml", "learning_rate = 0.01", "learning_rate = 0.5");
    let told = lab.succeed(&["reproduce", &id, "--threads", "1"]);
    assert!(told.stdout.contains(&format!("reproduces {id}: ")), "{}", told.stdout);
    assert!(told.stdout.contains("are the same, bit for bit"), "{}", told.stdout);
    assert!(told.stdout.contains("threads: 2, now 1"), "{}", told.stdout);
    let tagged: u32 = lab.query(&format!("SELECT COUNT(*) FROM tags WHERE tag = 'reproduces:{id}'"));
    assert_eq!(tagged, 1);
    // Somewhere else, without an index.
    copy_folder(&run, &lab.path("sent/reg").join(&id));
    let said = lab
        .succeed(&["reproduce", &format!("sent/reg/{id}"), "--runs", "own", "--json"])
        .json();
    assert_eq!((&said["same"], &said["different_figures"]), (&true.into(), &0.into()));
    assert!(said["figures"].as_u64().unwrap() > 50, "{said}");
}

#[test]
fn the_first_difference_is_named() {
    let lab = Lab::new();
    lab.succeed(&["run", "reg.toml"]);
    let log = lab.run("reg").join("log.jsonl");
    let text = std::fs::read_to_string(&log).unwrap();
    let second = text.match_indices("\"name\":\"loss\",\"epoch\":2").next().unwrap().0;
    let at = second + text[second..].find("\"value\":0.").unwrap() + "\"value\":0.0".len();
    let digit = text.as_bytes()[at];
    let other = if digit == b'5' { '6' } else { '5' };
    std::fs::write(&log, format!("{}{other}{}", &text[..at], &text[at + 1..])).unwrap();
    let told = lab.affect(&["reproduce", "latest"]);
    assert_eq!(told.code, Some(1), "{}", told.stderr);
    for expected in [
        "1 of ",
        "predictions.csv is the same",
        "the first that differs: train/loss of epoch 2",
        "nothing that is recorded has changed",
    ] {
        assert!(told.stdout.contains(expected), "{expected}: {}", told.stdout);
    }
}

#[test]
fn what_cannot_be_reproduced_is_told_at_once() {
    let lab = Lab::new();
    lab.succeed(&["run", "reg.toml"]);
    lab.edit("data/labels.csv", "00.wav,-0.800", "00.wav,-0.700");
    let complaint = lab.complaint(1, &["reproduce", "latest"]);
    assert!(complaint.contains("the data is not what it was"), "{complaint}");
    assert_eq!(lab.runs("reg").len(), 1);
    let log = lab.run("reg").join("log.jsonl");
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::write(&log, text.replace("\"finished\"", "\"fallen\"")).unwrap();
    let complaint = lab.complaint(2, &["reproduce", "latest"]);
    assert!(complaint.contains("is not finished"), "{complaint}");
    assert_eq!(lab.affect(&["reproduce", "nothing"]).code, Some(2));
}

#[test]
fn of_repeats_each_is_reproduced() {
    let lab = Lab::new();
    let parent = lab.succeed(&["run", "reg.toml", "--seeds", "2", "--json"]).json();
    let parent = parent["run"].as_str().unwrap();
    let said = lab.succeed(&["reproduce", parent, "--json"]).json();
    let said = said.as_array().unwrap();
    assert_eq!(said.len(), 2);
    assert!(said.iter().all(|one| one["same"] == true), "{said:?}");
}
