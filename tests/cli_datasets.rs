//! `affect datasets`: the catalogue, and exactly the faults that were planted.

mod corpora_support;

use std::path::Path;

use affect::dataset::Split;
use corpora_support::deam;
use corpora_support::meld::{self, Nesting};
use corpora_support::{Outcome, affect, experiment, has_ffmpeg, imemnet, shared, write};
use serde_json::Value;

fn verify(folder: &Path, kind: &str, more: &[&str]) -> (Value, Outcome) {
    let arguments = [
        &["datasets", "verify", kind, "--root", "corpus", "--full", "--json"],
        more,
    ]
    .concat();
    let outcome = affect(folder, &arguments);
    (outcome.json(), outcome)
}

/// Names below the corpus's folder.
fn names(list: &Value) -> Vec<String> {
    let rows = list.as_array().unwrap().iter();
    let path = |row: &Value| row.as_str().or(row["path"].as_str()).unwrap().replace("corpus/", "");
    rows.map(path).collect()
}

#[test]
fn deams_planted_faults_are_reported_and_no_others() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    deam::generate(&folder.path().join("corpus"));
    for kind in ["deam-static", "deam-dynamic"] {
        let (report, outcome) = verify(folder.path(), kind, &[]);
        assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
        assert_eq!(report["complete"], false);
        assert_eq!(
            (report["found"].as_u64(), report["decoded"].as_u64()),
            (Some(12), Some(13))
        );
        assert_eq!(names(&report["missing"]), ["MEMD_audio/20.mp3"]);
        assert_eq!(names(&report["damaged"]), ["MEMD_audio/21.mp3", "MEMD_audio/22.mp3"]);
        assert_eq!(report["damaged"][0]["what"], "empty (0 bytes)");
        assert_eq!(
            names(&report["unexpected"]),
            ["MEMD_audio/._2.mp3", "MEMD_audio/9999.mp3", "MEMD_audio/notes.txt"]
        );
        assert_eq!(report["litter"], 1);
        let counts = match kind {
            "deam-static" => serde_json::json!([{ "of": "songs", "found": 15, "expected": 1802 }]),
            _ => serde_json::json!([]),
        };
        assert_eq!(report["counts"], counts);
        assert!(
            outcome
                .stderr
                .contains("fetch what is missing or damaged again (https://cvml.unige.ch"),
            "{}",
            outcome.stderr
        );
    }
    let outcome = affect(
        folder.path(),
        &["datasets", "verify", "deam-static", "--root", "corpus"],
    );
    assert_eq!(outcome.code, Some(2));
    for line in [
        "deam-static is not complete",
        "missing      1\n  MEMD_audio/20.mp3",
        "annotations  15 songs, of 1802 in the published files",
    ] {
        assert!(outcome.stdout.contains(line), "{line}: {}", outcome.stdout);
    }
}

#[test]
fn melds_planted_faults_are_reported_in_both_nestings() {
    if !has_ffmpeg() {
        return;
    }
    for nesting in [Nesting::Flat, Nesting::Nested] {
        let folder = tempfile::tempdir().unwrap();
        meld::generate(&folder.path().join("corpus"), nesting);
        let (report, outcome) = verify(folder.path(), "meld", &[]);
        assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
        let extension = if nesting == Nesting::Flat { "mp4" } else { "wav" };
        let place = |split: Split, name: &str| nesting.folder(split).join(name).to_str().unwrap().to_owned();
        // A missing file has no extension of its own.
        assert_eq!(names(&report["missing"]), [place(Split::Train, "dia0_utt1.mp4")]);
        let mut damaged = [
            place(Split::Train, &format!("dia2_utt3.{extension}")),
            place(Split::Val, &format!("dia1_utt1.{extension}")),
        ];
        damaged.sort();
        assert_eq!(names(&report["damaged"]), damaged);
        assert_eq!(names(&report["unexpected"]).len(), 9);
        assert_eq!(
            (report["litter"].as_u64(), report["found"].as_u64()),
            (Some(3), Some(34))
        );
        let found: Vec<u64> = report["counts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["found"].as_u64().unwrap())
            .collect();
        assert_eq!(found, [19, 9, 9]);
    }
}

#[test]
fn planted_faults_of_pictures_and_clips_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("corpus");
    imemnet::generate_pictures(&root);
    imemnet::generate_music(&root);
    imemnet::generate_matching(&root);
    let (report, outcome) = verify(folder.path(), "imemnet-c-image", &[]);
    assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
    assert_eq!(names(&report["missing"]), ["Objects_001_h.jpg"]);
    assert_eq!(names(&report["damaged"]), ["images/naps/People_002_v.jpg"]);
    assert_eq!(
        names(&report["unexpected"]),
        ["images/emotic/._frame_x1.png", "images/iaps/9999.jpg"]
    );
    assert_eq!(report["counts"][0]["found"], 29);
    let (report, _) = verify(folder.path(), "imemnet-c-music", &[]);
    assert_eq!(
        (names(&report["missing"]), report["found"].as_u64()),
        (vec!["799-1.wav".to_owned()], Some(18))
    );
    let (report, outcome) = verify(folder.path(), "imemnet", &[]);
    assert_eq!(outcome.code, Some(2));
    assert_eq!(report["counts"][1]["expected"], 26_115);
}

#[test]
fn the_real_tables_are_complete_but_for_the_media() {
    let Some(root) = shared("meld") else { return };
    let folder = tempfile::tempdir().unwrap();
    let outcome = affect(
        folder.path(),
        &["datasets", "verify", "meld", "--root", root.to_str().unwrap(), "--json"],
    );
    assert_eq!(outcome.code, Some(2));
    let report = outcome.json();
    assert!(
        report["counts"]
            .as_array()
            .unwrap()
            .iter()
            .all(|it| it["found"] == it["expected"])
    );
    assert_eq!(report["missing"].as_array().unwrap().len(), 13_708);
    assert!(
        outcome.stderr.contains("none of the files is there: check `--root`"),
        "{}",
        outcome.stderr
    );
    let root = shared("imemnet").unwrap();
    let outcome = affect(
        folder.path(),
        &["datasets", "verify", "imemnet", "--root", root.to_str().unwrap()],
    );
    assert!(outcome.stdout.contains("8795 pairs in val\n"), "{}", outcome.stdout);
    assert!(
        outcome.stdout.contains("missing      1\n  train_matching.txt"),
        "{}",
        outcome.stdout
    );
    assert_eq!(outcome.code, Some(2));
}

#[test]
fn the_catalogue_is_listed_and_every_corpus_shown() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = affect(folder.path(), &["datasets", "list", "--json"]);
    let kinds: Vec<String> = outcome
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["kind"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        kinds,
        [
            "deam-static",
            "deam-dynamic",
            "meld",
            "imemnet",
            "imemnet-c-image",
            "imemnet-c-music"
        ]
    );
    let table = affect(folder.path(), &["datasets", "list"]).stdout;
    for kind in &kinds {
        assert!(table.contains(kind.as_str()));
        let shown = affect(folder.path(), &["datasets", "show", kind]).stdout;
        for heading in [
            "source       https://",
            "licence      ",
            "cite         ",
            "The folder that `dataset.root` names:",
        ] {
            assert!(shown.contains(heading), "{heading}: {shown}");
        }
        let report = affect(folder.path(), &["datasets", "show", kind, "--json"]).json();
        for name in report["experiments"].as_array().unwrap() {
            assert!(Path::new(&experiment(name.as_str().unwrap())).is_file());
        }
    }
    let outcome = affect(folder.path(), &["datasets", "show", "daem"]);
    assert_eq!(outcome.code, Some(2));
    assert!(
        outcome.stderr.contains("there is no corpus `daem`") && outcome.stderr.contains("corpora: deam-static"),
        "{}",
        outcome.stderr
    );
    let outcome = affect(folder.path(), &["datasets", "verify", "meld"]);
    assert_eq!(outcome.code, Some(2));
    assert!(
        outcome.stderr.contains("`data/meld` does not exist"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_split_is_written_read_back_and_kept_with_the_run() {
    let folder = tempfile::tempdir().unwrap();
    imemnet::generate_music(&folder.path().join("corpus"));
    let path = experiment("imemnet-c-music-va");
    let small = [
        "--set",
        "dataset.root=\"corpus\"",
        "--set",
        "features.duration=1.0",
        "--set",
        "dataset.on_error=\"skip\"",
        "--set",
        "train.epochs=1",
    ];
    let fractions = ["--set", "dataset.split.fractions=[0.5,0.25,0.25]", "--seed", "3"];
    let write_split = [
        &["check", &path, "--export-split", "split.csv"],
        &small[..],
        &fractions[..],
    ]
    .concat();
    let outcome = affect(folder.path(), &write_split);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let written = std::fs::read_to_string(folder.path().join("split.csv")).unwrap();
    assert!(written.starts_with("id,group,split\n700-10,700,"), "{written}");
    assert_eq!(written.lines().count(), 19);

    // Another seed, the same split; the run keeps it.
    let from_file = [
        "--set",
        "dataset.split={kind=\"file\",file=\"split.csv\"}",
        "--seed",
        "9",
        "--json",
    ];
    let outcome = affect(folder.path(), &[&["run", &path], &small[..], &from_file[..]].concat());
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let run = folder.path().join(outcome.json()["folder"].as_str().unwrap());
    assert_eq!(std::fs::read_to_string(run.join("split.csv")).unwrap(), written);

    let complaint = |text: &str| {
        write(&folder.path().join("split.csv"), text);
        let outcome = affect(
            folder.path(),
            &[&["check", &path], &small[..], &from_file[..4]].concat(),
        );
        assert_eq!(outcome.code, Some(2), "{}", outcome.stdout);
        outcome.stderr
    };
    let one_song = |side: &str| {
        written
            .replacen("700,train", &format!("700,{side}"), 1)
            .replacen("700,test", &format!("700,{side}"), 1)
    };
    let (train, test) = (one_song("train"), one_song("test"));
    let leaking = if train == written { test } else { train };
    assert!(
        complaint(&leaking).contains("1 group is on more than one side:\n  `700` in"),
        "{leaking}"
    );
    assert!(complaint("id,split\n700-10,train\n").contains("17 of 18 examples have no declared split"));
    assert!(complaint("id,split\n700-10,holdout\n").contains("split is \"holdout\", not train, val or test"));
    assert!(complaint("a,b\n1,2\n").contains("it has no column `split`"));
    assert!(
        complaint("group,split\n700,train\n701,train\n702,train\n703,train\n704,train\n705,test\n")
            .contains("has no val examples")
    );
}
