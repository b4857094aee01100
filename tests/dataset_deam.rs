//! `kind = "deam-static"`: DEAM's real annotation files, without its audio and with some of it.

use std::path::{Path, PathBuf};

use affect::dataset::{DatasetSpec, Error, LoadContext, Manifest, OnError, Target, Task, split};
use affect::files;

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
    assert_eq!(manifest.remarks.len(), 2);
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
    assert!(manifest.remarks[0].contains("(rating − 5) / 4"));
    assert!(manifest.remarks[1].starts_with("1799 examples of 1802 left out"));
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
    assert!(matches!(error, Error::NoDeamAnnotations { .. }), "{error}");
    assert!(error.hint().unwrap().contains("MEMD_audio"));
    let error = load(&empty.path().join("nowhere"), "").unwrap_err();
    assert!(matches!(error, Error::NoRoot { .. }), "{error}");
    let error = load(empty.path(), "targets = []").unwrap_err();
    assert!(error.to_string().contains("nothing to predict"), "{error}");
    let spec: DatasetSpec = toml::from_str("kind = 'deam-static'\nroot = 'x'\non_error = 'zeros'").unwrap();
    assert_eq!((spec.kind(), spec.on_error()), ("deam-static", OnError::Zeros));
}
