//! The feature cache: whatever happens to the processes and the files, what is read is right.
#![allow(clippy::disallowed_methods, reason = "a test damages files on purpose")]

mod features_support;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use features_support::{Corpus, array, json, stderr, write_sound};

const SMALL: &str = "sample_rate = 8000\nduration = 1.0\nn_fft = 512\nhop_length = 256\nn_mels = 32";
/// Takes long enough to be interrupted.
const LARGE: &str = "sample_rate = 8000\nduration = 4.0\nn_fft = 2048\nhop_length = 64\nn_mels = 128";

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

#[test]
fn only_what_is_new_is_computed() {
    let mut corpus = Corpus::new(12, 1.0);
    corpus.experiment("", SMALL);
    let first = corpus.extract("cache", &[]);
    assert_eq!((&first["computed"], &first["examples"]), (&12.into(), &12.into()));
    assert_eq!(first["shape"], serde_json::json!([1, 32, 32]));
    assert_eq!(corpus.extract("cache", &[])["computed"], 0);
    corpus.add(10);
    let more = corpus.extract("cache", &[]);
    assert_eq!((&more["computed"], &more["examples"]), (&10.into(), &22.into()));
    // Another sound under an old name.
    write_sound(&corpus.song(3), 77.0, 1.0);
    assert_eq!(corpus.extract("cache", &[])["computed"], 1);
    // Other names for old sounds.
    std::fs::rename(corpus.song(4), corpus.path("wav/x.wav")).unwrap();
    std::fs::rename(corpus.song(5), corpus.song(4)).unwrap();
    std::fs::rename(corpus.path("wav/x.wav"), corpus.song(5)).unwrap();
    let before = corpus.features("cache").unwrap();
    assert_eq!(before.computed, 0);
    assert_eq!(array(&before, 4), array(&corpus.features("fresh").unwrap(), 4));
    // Other settings.
    corpus.experiment("", &SMALL.replace("n_mels = 32", "n_mels = 33"));
    assert_eq!(corpus.extract("cache", &[])["computed"], 22);
    // What comes after the cache is no other setting.
    corpus.experiment("", &format!("{SMALL}\nnormalize = \"train-statistics\""));
    assert_eq!(corpus.extract("cache", &[])["computed"], 0);
}

#[test]
fn of_two_processes_one_computes_and_the_other_waits() {
    let corpus = Corpus::new(24, 4.0);
    corpus.experiment("", LARGE);
    let start = || {
        let mut command = corpus.command("features", "cache", &["experiment.toml", "--json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let processes: Vec<_> = (0..3).map(|_| start()).collect();
    let mut computed = 0;
    for process in processes {
        let output = process.wait_with_output().unwrap();
        computed += json(&output)["computed"].as_u64().unwrap();
    }
    assert_eq!(computed, 24);
    let index = String::from_utf8(bytes(&corpus.set_file("cache", "index"))).unwrap();
    assert_eq!(index.lines().count(), 24);
}

/// The files that must not depend on interruptions.
fn set(corpus: &Corpus, cache: &str) -> (Vec<u8>, Vec<u8>) {
    let file = |name| bytes(&corpus.set_file(cache, name));
    (file("data.f32"), file("index"))
}

#[test]
fn a_killed_extraction_goes_on_and_leaves_the_same_bytes() {
    let corpus = Corpus::new(30, 4.0);
    corpus.experiment("", LARGE);
    corpus.extract("whole", &[]);
    let whole = set(&corpus, "whole");
    for percent in [0, 1, 30, 60, 95] {
        let cache = format!("killed-{percent}");
        let mut process = corpus
            .command("features", &cache, &["experiment.toml", "--json"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let written = || {
            let sets = std::fs::read_dir(corpus.path(&cache).join("features")).ok()?;
            let set = sets.flatten().map(|set| set.path()).find(|path| path.is_dir())?;
            Some(std::fs::metadata(set.join("data.f32")).ok()?.len())
        };
        while written().is_none_or(|written| written * 100 < whole.0.len() as u64 * percent)
            && process.try_wait().unwrap().is_none()
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        process.kill().unwrap();
        let killed = !process.wait().unwrap().success();
        let resumed = corpus.extract(&cache, &[]);
        assert!(set(&corpus, &cache) == whole, "killed at {percent}%");
        if killed && percent < 50 {
            assert_ne!(resumed["computed"], 0, "killed at {percent}%");
        }
    }
}

/// What a crash can leave at any point: a torn index, with the data of some more records, or of half a record.
#[test]
fn a_torn_index_and_torn_data_are_overwritten_with_the_same_bytes() {
    let corpus = Corpus::new(10, 1.0);
    corpus.experiment("", SMALL);
    corpus.extract("cache", &[]);
    let (data, index) = set(&corpus, "cache");
    let record = data.len() / 10;
    let line = index.len() / 10;
    for (lines, records) in [
        (0.0, 0.0),
        (0.5, 1.5),
        (3.0, 3.0),
        (3.9, 6.3),
        (7.1, 10.0),
        (9.99, 10.0),
    ] {
        let cut = |bytes: &[u8], size: usize, count: f64| bytes[..(size as f64 * count) as usize].to_vec();
        std::fs::write(corpus.set_file("cache", "index"), cut(&index, line, lines)).unwrap();
        std::fs::write(corpus.set_file("cache", "data.f32"), cut(&data, record, records)).unwrap();
        let computed = corpus.extract("cache", &[])["computed"].as_u64().unwrap();
        assert_eq!(computed, 10 - lines as u64);
        assert!(
            set(&corpus, "cache") == (data.clone(), index.clone()),
            "{lines} lines, {records} records"
        );
    }
}

#[test]
fn damage_is_found_and_repaired_and_never_read() {
    let corpus = Corpus::new(10, 1.0);
    corpus.experiment("", SMALL);
    corpus.extract("cache", &[]);
    let path = corpus.set_file("cache", "data.f32");
    let sound = corpus.features("cache").unwrap();
    let arrays: Vec<_> = (0..10).map(|example| array(&sound, example)).collect();
    let mut data = bytes(&path);
    let record = data.len() / 10;
    data[3 * record + 17] ^= 1;
    data[8 * record] ^= 128;
    std::fs::write(&path, &data).unwrap();
    let repaired = corpus.features("cache").unwrap();
    assert_eq!(repaired.computed, 2);
    data.truncate(9 * record + 5);
    std::fs::write(&path, &data).unwrap();
    let rebuilt = corpus.features("cache").unwrap();
    assert!((1..=3).contains(&rebuilt.computed), "{}", rebuilt.computed);
    for features in [&repaired, &rebuilt] {
        let _ = features.len();
    }
    let again: Vec<_> = (0..10).map(|example| array(&rebuilt, example)).collect();
    assert!(again == arrays);
    // An index that is not text at all.
    std::fs::write(corpus.set_file("cache", "index"), [0xff; 1000]).unwrap();
    assert_eq!(corpus.extract("cache", &[])["computed"], 10);
    assert_eq!(corpus.extract("cache", &[])["computed"], 0);
}

#[test]
fn a_file_shortened_while_it_is_read_is_an_error_and_no_crash() {
    let corpus = Corpus::new(10, 1.0);
    corpus.experiment("", SMALL);
    let features = corpus.features("cache").unwrap();
    let path = corpus.set_file("cache", "data.f32");
    std::fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(5)
        .unwrap();
    let mut out = vec![0.0; features.array_len()];
    let error = features.read(7, &mut out).unwrap_err();
    assert!(error.to_string().contains("data.f32"), "{error}");
}

#[test]
fn bad_files_are_told_together_and_zeros_keep_their_place() {
    let corpus = Corpus::new(10, 1.0);
    std::fs::write(corpus.song(2), b"").unwrap();
    std::fs::write(corpus.song(5), b"not sound at all").unwrap();
    std::fs::remove_file(corpus.song(6)).unwrap();
    corpus.experiment("", SMALL);
    let output = corpus
        .command("features", "cache", &["experiment.toml"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    for name in ["002.wav", "005.wav", "006.wav"] {
        assert!(said.contains(name), "{said}");
    }
    corpus.experiment("on_error = \"zeros\"", SMALL);
    let zeros = corpus.extract("cache", &[]);
    assert_eq!((&zeros["examples"], &zeros["computed"]), (&10.into(), &0.into()));
    assert_eq!(zeros["faults"].as_array().unwrap().len(), 3);
    let features = corpus.features("cache").unwrap();
    assert!(array(&features, 5).iter().all(|&value| value == 0.0) && features.is_available(5));
    assert!(array(&features, 4).iter().any(|&value| value != 0.0));
}

#[test]
fn a_clip_behind_the_end_is_named_and_the_others_are_used() {
    let corpus = Corpus::new(5, 1.0);
    corpus.table(
        "file,start,end,valence,arousal,split\nwav/000.wav,0.5,1.0,0,0,train\nwav/000.wav,3.0,3.5,0,0,train\n\
         wav/001.wav,0,0.5,0,0,val\nwav/002.wav,0,0.5,1,1,test\n",
    );
    let columns = "start = \"start\"\nend = \"end\"";
    corpus.experiment(
        &format!("{columns}\non_error = \"skip\""),
        &SMALL.replace("duration = 1.0", ""),
    );
    let features = corpus.features("cache").unwrap();
    assert_eq!((features.stored(), features.shape()), (3, [1, 32, 16]));
    assert!(features.is_available(0) && !features.is_available(1));
    assert_eq!(features.faults.len(), 1);
    assert!(
        features.faults[0].to_string().contains("ends before 3 s"),
        "{}",
        features.faults[0]
    );
}

#[test]
fn the_cache_is_listed_and_pruned_and_sets_in_use_stay() {
    let corpus = Corpus::new(10, 1.0);
    corpus.experiment("", SMALL);
    corpus.extract("cache", &[]);
    corpus.experiment("", &SMALL.replace("n_mels = 32", "n_mels = 16"));
    corpus.extract("cache", &[]);
    let run = |arguments: &[&str]| corpus.command("features", "cache", arguments).output().unwrap();
    let listed = json(&run(&["--list", "--json"]));
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let shapes: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|set| set["shape"].clone())
        .collect();
    assert!(shapes.contains(&serde_json::json!([1, 16, 32])), "{shapes:?}");
    let text = String::from_utf8(run(&["--list"]).stdout).unwrap();
    assert!(
        text.contains("16 mels at 8 kHz, n_fft 512, hop 256, dB") && text.contains("10"),
        "{text}"
    );

    let in_use = corpus.features("cache").unwrap();
    let pruned = json(&run(&["--prune", "--json"]));
    assert_eq!(pruned["removed"].as_array().unwrap().len(), 1);
    assert_eq!(pruned["kept_in_use"].as_array().unwrap().len(), 1);
    assert_eq!(array(&in_use, 9).len(), 16 * 32);
    assert_eq!(
        json(&run(&["--prune", "1GB", "--json"]))["removed"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
    drop(in_use);
    assert_eq!(
        json(&run(&["--prune", "0", "--json"]))["removed"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(json(&run(&["--list", "--json"])), serde_json::json!([]));
    for wrong in [
        &["--prune", "lots"][..],
        &["--list", "--prune"],
        &["--list", "experiment.toml"],
        &[],
    ] {
        assert_eq!(run(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

/// In a cache that one may read and not write, what is there is used. (The superuser may write everywhere.)
#[cfg(unix)]
#[test]
fn a_cache_that_cannot_be_written_is_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let corpus = Corpus::new(5, 1.0);
    corpus.experiment("", SMALL);
    corpus.extract("cache", &[]);
    let folders = [
        corpus.set_file("cache", ""),
        corpus.path("cache/features"),
        corpus.path("cache"),
    ];
    let mode = |mode: u32| {
        for folder in &folders {
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode)).unwrap();
            for file in std::fs::read_dir(folder).unwrap().flatten() {
                if file.path().is_file() {
                    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode & 0o666)).unwrap();
                }
            }
        }
    };
    mode(0o555);
    if std::fs::write(corpus.path("cache/probe"), b"").is_ok() {
        println!("skipped: this user may write everywhere");
    } else {
        assert_eq!(corpus.extract("cache", &[])["computed"], 0);
    }
    mode(0o755);
}
