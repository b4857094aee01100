//! DEAM: its real annotation files, without its audio and with some of it, and a small corpus with real MP3 files and every trap.

mod corpora_support;

use std::path::{Path, PathBuf};

use affect::dataset::{DatasetSpec, Error, LoadContext, Manifest, OnError, Target, Task, split};
use affect::files;
use corpora_support::deam::{self, truth};
use corpora_support::{has_ffmpeg, result, train};

/// A folder with DEAM's annotations, copied from the shared data, and some files in `MEMD_audio/`.
#[allow(clippy::disallowed_methods, reason = "tests find the shared data by the environment")]
fn corpus(audio: &[&str]) -> Option<tempfile::TempDir> {
    const SONG_LEVEL: &str = "annotations/annotations averaged per song/song_level";
    let shared = std::env::var_os("AFFECT_SHARED_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let from = shared.join("deam").join(SONG_LEVEL);
    if !from.is_dir() {
        eprintln!(
            "skipped: no annotations of DEAM in {} (set AFFECT_SHARED_DATA)",
            from.display()
        );
        return None;
    }
    let root = tempfile::tempdir().unwrap();
    let to = root.path().join(SONG_LEVEL);
    files::create_folder(&to).unwrap();
    for songs in ["1_2000", "2000_2058"] {
        let name = format!("static_annotations_averaged_songs_{songs}.csv");
        files::write_whole(&to.join(&name), &std::fs::read(from.join(&name)).unwrap()).unwrap();
    }
    for name in audio {
        let path = root.path().join("MEMD_audio").join(name);
        files::create_folder(path.parent().unwrap()).unwrap();
        files::write_whole(&path, b"ID3").unwrap();
    }
    Some(root)
}

fn load(root: &Path, settings: &str) -> Result<Manifest, Error> {
    let text = format!("kind = 'deam-static'\nroot = {:?}\n{settings}", root.to_str().unwrap());
    let spec: DatasetSpec = toml::from_str(&text).unwrap();
    spec.load(&LoadContext {
        cache: Path::new("unused"),
        progress: &|_, _| {},
    })
}

#[test]
fn all_1802_songs_are_read_with_their_ratings() {
    let Some(root) = corpus(&[]) else { return };
    let manifest = load(root.path(), "on_error = 'zeros'").unwrap();
    assert_eq!((manifest.examples.len(), manifest.faults.len()), (1802, 1802));
    assert_eq!(manifest.annotation_files.len(), 2);
    assert_eq!(
        manifest.task,
        Task::Regression {
            targets: vec!["valence".into(), "arousal".into()]
        }
    );
    let target = |id: &str| manifest.examples.iter().find(|it| it.id == id).unwrap().target.clone();
    assert_eq!(target("2"), Target::Values(vec![3.1, 3.0]));
    assert_eq!(target("2000"), Target::Values(vec![5.8, 6.0]));
    assert_eq!(target("2001"), Target::Values(vec![3.2, 6.6]));
    assert!(manifest.examples.iter().all(|it| it.group == it.id));
    let last = manifest.examples.last().unwrap();
    assert_eq!((last.id.as_str(), last.source.line), ("2058", Some(59)));
    assert_eq!(manifest.remarks[0], "ratings as annotated, 1 to 9");
    assert!(
        manifest.remarks[1].contains("look swapped in DEAM's file"),
        "{:?}",
        manifest.remarks
    );
    assert_eq!(manifest.remarks.len(), 3);
    let deviations = |id: &str| {
        manifest
            .examples
            .iter()
            .find(|it| it.id == id)
            .unwrap()
            .deviations
            .clone()
    };
    assert_eq!(
        (deviations("2"), deviations("2001")),
        (vec![0.94, 0.63], vec![0.98, 0.8])
    );
    let sides = split::assign(&manifest, &split::SplitSpec::default(), 42).unwrap();
    let shares = split::Split::ALL.map(|side| sides.iter().filter(|it| **it == side).count());
    assert_eq!(shares, [1442, 180, 180]);
}

#[test]
fn skip_keeps_the_songs_that_are_there_whatever_their_extension() {
    let Some(root) = corpus(&["2.mp3", "3.wav", "2001.FLAC", "9999.mp3", "._4.mp3", "notes.txt"]) else {
        return;
    };
    let manifest = load(root.path(), "on_error = 'skip'\nscale = '-1..1'\ntargets = ['arousal']").unwrap();
    assert_eq!((manifest.examples.len(), manifest.faults.len()), (3, 1799));
    let read: Vec<_> = (manifest.examples.iter())
        .map(|it| {
            (
                it.media.path().file_name().unwrap().to_str().unwrap(),
                it.target.clone(),
            )
        })
        .collect();
    assert_eq!(
        read,
        [
            ("2.mp3", Target::Values(vec![-0.5])),
            ("3.wav", Target::Values(vec![-0.425])),
            ("2001.FLAC", Target::Values(vec![0.4])),
        ]
    );
    assert!(manifest.remarks[0].contains("1 to 9 mapped linearly to −1 to 1"));
    assert!(manifest.remarks[2].starts_with("1799 examples of 1802 left out"));
}

#[test]
fn missing_songs_fail_together() {
    let Some(root) = corpus(&["2.mp3"]) else { return };
    let error = load(root.path(), "").unwrap_err();
    let message = error.to_string();
    assert!(message.starts_with("1801 audio files cannot be used:\n"), "{message}");
    assert!(message.contains("MEMD_audio/3.mp3: missing (named in "), "{message}");
    assert!(message.ends_with("\n  … and 1791 more"), "{message}");
    let Some(empty) = corpus(&[]) else { return };
    let error = load(empty.path(), "on_error = 'skip'").unwrap_err();
    assert!(
        error.to_string().starts_with("all 1802 examples were left out"),
        "{error}"
    );
}

#[test]
fn the_fingerprint_is_that_of_the_data_and_not_of_the_place() {
    let (Some(here), Some(there)) = (corpus(&["2.mp3", "3.mp3"]), corpus(&["2.mp3", "3.mp3"])) else {
        return;
    };
    let fingerprint = |root: &Path, settings| load(root, settings).unwrap().fingerprint();
    let skip = "on_error = 'skip'";
    assert_eq!(fingerprint(here.path(), skip), fingerprint(there.path(), skip));
    assert_ne!(
        fingerprint(here.path(), skip),
        fingerprint(here.path(), "on_error = 'zeros'")
    );
    assert_ne!(
        fingerprint(here.path(), skip),
        fingerprint(here.path(), "on_error = 'skip'\nscale = '0..1'")
    );
}

#[test]
fn what_is_not_deam_is_refused() {
    let empty = tempfile::tempdir().unwrap();
    let error = load(empty.path(), "").unwrap_err();
    assert!(matches!(error, Error::NoAnnotations { .. }), "{error}");
    assert!(error.hint().unwrap().contains("affect datasets show"));
    let error = load(&empty.path().join("nowhere"), "").unwrap_err();
    assert!(matches!(error, Error::NoRoot { .. }), "{error}");
    let error = load(empty.path(), "targets = []").unwrap_err();
    assert!(error.to_string().contains("nothing to predict"), "{error}");
    let spec: DatasetSpec = toml::from_str("kind = 'deam-static'\nroot = 'x'\non_error = 'zeros'").unwrap();
    assert_eq!((spec.kind(), spec.on_error()), ("deam-static", OnError::Zeros));
}

#[test]
fn swapped_ratings_are_found_and_can_be_exchanged() {
    let root = tempfile::tempdir().unwrap();
    deam::annotations(root.path());
    let load = |settings: &str| load(root.path(), &format!("on_error = 'zeros'\nscale = '-1..1'\n{settings}")).unwrap();
    let value = |manifest: &Manifest, id: &str| match &manifest.examples.iter().find(|it| it.id == id).unwrap().target {
        Target::Values(values) => values.clone(),
        Target::Class(_) => Vec::new(),
    };
    let near = |values: &[f32], (a, b): (f64, f64)| {
        assert!(
            (f64::from(values[0]) - a).abs() < 0.01 && (f64::from(values[1]) - b).abs() < 0.01,
            "{values:?} {a} {b}"
        );
    };
    let checked = load("");
    let found = &checked.remarks[1];
    assert!(
        found.contains("songs up to 1000: valence") && found.contains("(n = 10): swapped, it seems"),
        "{found}"
    );
    assert!(found.ends_with("(n = 5): the right way round"), "{found}");
    let (valence, arousal) = truth(2);
    near(&value(&checked, "2"), (arousal, valence));
    let exchanged = load("valence_arousal_swap = 'up-to-1000'");
    near(&value(&exchanged, "2"), (valence, arousal));
    near(&value(&exchanged, "1001"), truth(1001));
    assert!(exchanged.remarks[1].starts_with("valence and arousal of 10 songs (up to 1000) exchanged"));
    let deviations = |manifest: &Manifest| manifest.examples[0].deviations.clone();
    assert_eq!(
        (deviations(&checked), deviations(&exchanged)),
        (vec![0.3, 0.2], vec![0.2, 0.3])
    );
    let silent = load("valence_arousal_swap = 'none'");
    assert_eq!(silent.remarks.len(), 2, "{:?}", silent.remarks);
}

fn dynamic(root: &Path, settings: &str) -> Result<Manifest, Error> {
    corpora_support::load("deam-dynamic", root, &format!("on_error = 'zeros'\n{settings}"))
}

#[test]
fn clips_are_labelled_with_the_mean_of_what_is_inside_them() {
    let root = tempfile::tempdir().unwrap();
    deam::annotations(root.path());
    let manifest = dynamic(root.path(), "end_seconds = 45.0").unwrap();
    let clips = |manifest: &Manifest, song: &str| -> Vec<(f64, Vec<f32>)> {
        let of_song = manifest.examples.iter().filter(|it| it.group == song);
        let values = |target: &Target| match target {
            Target::Values(values) => values.clone(),
            Target::Class(_) => Vec::new(),
        };
        of_song
            .map(|it| (it.media.window().start, values(&it.target)))
            .collect()
    };
    let starts = |manifest: &Manifest, song: &str| clips(manifest, song).iter().map(|it| it.0).collect::<Vec<_>>();
    assert_eq!(starts(&manifest, "2"), [15.0, 20.0, 25.0, 30.0, 35.0, 40.0]);
    // Ten annotations of each clip, which the generator puts around the song's value.
    for (_, values) in clips(&manifest, "2") {
        let (valence, arousal) = truth(2);
        assert!((f64::from(values[0]) - valence).abs() < 1e-4 && (f64::from(values[1]) - arousal).abs() < 1e-4);
    }
    // Song 4 has one annotation of ten between 20 s and 25 s, song 5 every other one, song 7 ends at 30 s.
    assert_eq!(starts(&manifest, "4"), [15.0, 25.0, 30.0, 35.0, 40.0]);
    assert_eq!(starts(&manifest, "5").len(), 6);
    assert_eq!(starts(&manifest, "7"), [15.0, 20.0, 25.0]);
    assert_eq!(manifest.examples[0].id, "2@15");
    let says = |text: &str| {
        assert!(
            manifest.remarks.iter().any(|it| it.contains(text)),
            "{text}: {:?}",
            manifest.remarks
        )
    };
    says("1 songs left out, because only one of the tables has them: 12");
    says("1 clips left out, because less than 0.5");
    says("6 clips have gaps");
    says("annotations as annotated, −1 to 1");
    // The full songs are annotated from 15 s to 52 s in one table and to 51.5 s in the other.
    let all = dynamic(root.path(), "").unwrap();
    assert_eq!(starts(&all, "2001"), [15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0]);
    let strict = dynamic(
        root.path(),
        "min_annotated = 1.0\nscale = '1..9'\ntargets = ['arousal']",
    )
    .unwrap();
    assert_eq!(starts(&strict, "5"), [0.0; 0]);
    let (_, values) = &clips(&strict, "2")[0];
    assert!((f64::from(values[0]) - (5.0 + 4.0 * truth(2).1)).abs() < 1e-3);
    assert!(!clips(&strict, "12").is_empty(), "arousal alone has song 12");
}

#[test]
fn sliding_windows_overlap_and_songs_that_lack_something_cost_their_own_clips_only() {
    let root = tempfile::tempdir().unwrap();
    deam::annotations(root.path());
    let settings = "windows = 'sliding'\nhop_seconds = 2.5\nend_seconds = 30.0\nclip_seconds = 10.0";
    let manifest = dynamic(root.path(), settings).unwrap();
    let ids: Vec<&str> = manifest
        .examples
        .iter()
        .filter(|it| it.group == "3")
        .map(|it| it.id.as_str())
        .collect();
    assert_eq!(ids, ["3@15", "3@17.5", "3@20"]);
    let error = dynamic(root.path(), "start_seconds = 300.0").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("no song has annotations for a clip of 5 s"),
        "{error}"
    );
    std::fs::remove_file(
        root.path()
            .join("annotations/annotations averaged per song/dynamic (per second annotations)/valence.csv"),
    )
    .unwrap();
    let error = dynamic(root.path(), "").unwrap_err();
    assert!(error.to_string().contains("valence.csv"), "{error}");
    assert!(dynamic(root.path(), "targets = ['arousal']").is_ok());
}

#[test]
fn both_experiments_train_on_real_mp3_files() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("deam");
    deam::generate(&root);
    let skip = "dataset.on_error=\"skip\"";
    let fractions = "dataset.split.fractions=[0.5,0.25,0.25]";
    let (summary, outcome) = train(folder.path(), "deam-dynamic-cnn", &root, &[skip, fractions]);
    assert!(result(&summary, "mse").is_finite());
    assert!(
        outcome
            .stderr
            .contains("1 songs left out, because only one of the tables has them: 12"),
        "{}",
        outcome.stderr
    );
    let (summary, outcome) = train(folder.path(), "deam-static-music2emotion", &root, &[skip, fractions]);
    assert!(result(&summary, "mae").is_finite());
    assert!(outcome.stderr.contains("swapped, it seems"), "{}", outcome.stderr);
    // Without the setting, every file that cannot be used is named, the damaged one too.
    let (path, root) = (
        corpora_support::experiment("deam-dynamic-cnn"),
        format!("dataset.root={:?}", root.to_str().unwrap()),
    );
    let outcome = corpora_support::affect(folder.path(), &["run", &path, "--set", &root]);
    assert_eq!(outcome.code, Some(2));
    for name in ["20.mp3: missing", "21.mp3: empty (0 bytes)", "22.mp3"] {
        assert!(outcome.stderr.contains(name), "{name}: {}", outcome.stderr);
    }
}
