//! Other tools' layouts: what is written is what is read, by us and by NumPy, and what does not fit is named.
#![allow(
    clippy::disallowed_methods,
    reason = "a test reads the environment and writes files of its own"
)]

mod features_support;

use std::path::Path;
use std::process::Command;

use features_support::{Corpus, array, json, stderr};

const MEL: &str = "sample_rate = 8000\nduration = 1.0\nn_fft = 512\nhop_length = 256\nn_mels = 32";
const CLIPS: &str = "file,start,end,valence,arousal,split\n\
    wav/001.wav,1.0,2.0,0.1,0.2,train\nwav/000.wav,0.0,1.0,0.2,0.3,train\nwav/001.wav,0.0,1.0,0.3,0.4,train\n\
    wav/002.wav,0.0,1.0,0.4,0.5,val\nwav/003.wav,0.0,1.0,0.5,0.6,test\nwav/003.wav,0.5,1.5,0.6,0.7,test\n";
const COLUMNS: &str = "start = \"start\"\nend = \"end\"";

fn clips() -> Corpus {
    let corpus = Corpus::new(4, 2.0);
    corpus.table(CLIPS);
    corpus.experiment(COLUMNS, MEL);
    corpus
}

fn npy(layout: &str) -> String {
    format!("kind = \"npy\"\nfolder = \"out\"\nlayout = {layout:?}")
}

/// The settings name the folder relative to where the program runs; the library's tests give it whole.
fn npy_at(corpus: &Corpus, layout: &str) -> String {
    npy(layout).replace("\"out\"", &format!("{:?}", corpus.path("out").to_str().unwrap()))
}

#[test]
fn what_is_exported_is_read_back_value_for_value() {
    for layout in ["song-seg", "meld-arrays"] {
        let corpus = clips();
        let exported = corpus.extract("cache", &["--export", layout, "out"]);
        let mel = corpus.features("cache").unwrap();
        assert_eq!(exported["exported"]["arrays"], 6, "{exported}");
        let names: Vec<String> = names(&corpus.path("out"));
        match layout {
            "song-seg" => assert_eq!(
                names,
                [
                    "examples.csv",
                    "song_000_seg_0.npy",
                    "song_001_seg_0.npy",
                    "song_001_seg_1.npy",
                    "song_002_seg_0.npy",
                    "song_003_seg_0.npy",
                    "song_003_seg_1.npy"
                ]
            ),
            _ => assert_eq!(
                names,
                [
                    "X_audio_test.npy",
                    "X_audio_train.npy",
                    "X_audio_val.npy",
                    "examples.csv"
                ]
            ),
        }
        // The recordings are not needed any more.
        std::fs::remove_dir_all(corpus.path("wav")).unwrap();
        corpus.experiment(COLUMNS, &npy_at(&corpus, layout));
        let read = corpus.features("cache").unwrap();
        assert_eq!((read.shape(), read.len()), (mel.shape(), 6));
        for example in 0..6 {
            assert!(
                array(&read, example) == array(&mel, example),
                "{layout}, example {example}"
            );
        }
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_list_of_examples_says_which_row_is_whose() {
    let corpus = clips();
    corpus.extract("cache", &["--export", "meld-arrays", "out"]);
    let text = std::fs::read_to_string(corpus.path("out/examples.csv")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "file,row,id,group,split,valence,arousal");
    assert_eq!(lines[1], "X_audio_train.npy,0,wav/001.wav@1,wav/001.wav,train,0.1,0.2");
    assert_eq!(lines[2], "X_audio_train.npy,1,wav/000.wav@0,wav/000.wav,train,0.2,0.3");
    assert_eq!(lines.len(), 7);
}

#[test]
fn a_run_trains_from_the_arrays_as_from_the_recordings() {
    let corpus = clips();
    corpus.experiment(COLUMNS, &format!("{MEL}\nnormalize = \"train-statistics\""));
    let run = |name: &str| {
        let output = corpus
            .command("run", "cache", &["experiment.toml", "--json", "--runs", name])
            .output();
        json(&output.unwrap())["results"].clone()
    };
    let of_recordings = run("runs-mel");
    corpus.extract("cache", &["--export", "song-seg", "out"]);
    std::fs::remove_dir_all(corpus.path("wav")).unwrap();
    // What was exported is what the network saw.
    corpus.experiment(COLUMNS, &npy("song-seg"));
    assert_eq!(run("runs-npy"), of_recordings);
    let check = corpus
        .command("check", "cache", &["experiment.toml", "--json"])
        .output()
        .unwrap();
    assert_eq!(json(&check)["feature_shape"], serde_json::json!([1, 32, 32]));
}

/// A version 1 header and zeros.
fn write_npy(path: &Path, descr: &str, fortran: &str, shape: &str, data: usize) {
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
    while (10 + text.len() + 1) % 64 != 0 {
        text.push(' ');
    }
    text.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.bytes());
    bytes.extend(vec![0; data]);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn error(corpus: &Corpus) -> String {
    let error = corpus.features("cache").err().unwrap();
    format!("{error}\n{}", error.hint().unwrap_or_default())
}

#[test]
fn arrays_that_do_not_fit_the_dataset_are_refused() {
    let corpus = clips();
    corpus.experiment(COLUMNS, &npy_at(&corpus, "meld-arrays"));
    let file = |split: &str| corpus.path(&format!("out/X_audio_{split}.npy"));
    assert!(
        error(&corpus).contains("X_audio_train.npy` cannot be used: missing"),
        "{}",
        error(&corpus)
    );
    let sound = || {
        for (split, count) in [("train", 3), ("val", 1), ("test", 2)] {
            write_npy(
                &file(split),
                "<f4",
                "False",
                &format!("({count}, 8, 9, 1)"),
                count * 8 * 9 * 4,
            );
        }
    };
    sound();
    assert_eq!(corpus.features("cache").unwrap().shape(), [1, 8, 9]);
    for (descr, fortran, shape, says) in [
        ("<f2", "False", "(3, 8, 9, 1)", "\"<f2\"; expected float32 or float64"),
        (">f4", "False", "(3, 8, 9, 1)", "\">f4\""),
        ("<f4", "True", "(3, 8, 9, 1)", "Fortran order"),
        (
            "<f4",
            "False",
            "(2, 8, 9, 1)",
            "(2, 8, 9, 1): 2 arrays, but the split `train` has 3 examples",
        ),
        (
            "<f4",
            "False",
            "(3, 8, 9, 2)",
            "its shape is (3, 8, 9, 2); expected (examples, mels, frames, 1)",
        ),
        ("<f4", "False", "(3, 8, 7, 1)", "arrays of shape (8, 9)"),
        ("<f4", "False", "(3, 0, 9, 1)", "no values in it"),
        ("<f4", "False", "(3, 80, 90, 1)", "cut short"),
    ] {
        write_npy(&file("train"), descr, fortran, shape, 3 * 8 * 9 * 8);
        let said = error(&corpus);
        assert!(said.contains(says) && said.contains("X_audio_"), "{said}");
    }
    sound();
    // Three dimensions, and doubles.
    write_npy(&file("train"), "<f8", "False", "(3, 8, 9)", 3 * 8 * 9 * 8);
    assert_eq!(corpus.features("cache").unwrap().stored(), 6);
}

#[test]
fn files_of_single_clips_are_handled_as_on_error_says() {
    let corpus = clips();
    corpus.extract("cache", &["--export", "song-seg", "out"]);
    std::fs::write(corpus.path("out/song_000_seg_0.npy"), b"PK").unwrap();
    std::fs::remove_file(corpus.path("out/song_003_seg_1.npy")).unwrap();
    corpus.experiment(COLUMNS, &npy_at(&corpus, "song-seg"));
    let said = error(&corpus);
    assert!(
        said.contains("song_000_seg_0.npy: it is not a .npy file") && said.contains("seg_1.npy: missing"),
        "{said}"
    );
    corpus.experiment(
        &format!("{COLUMNS}\non_error = \"zeros\""),
        &npy_at(&corpus, "song-seg"),
    );
    let features = corpus.features("cache").unwrap();
    assert_eq!((features.stored(), features.faults.len()), (4, 2));
    assert!(array(&features, 5).iter().all(|&value| value == 0.0));
    // A clip more than the dataset has.
    write_npy(&corpus.path("out/song_002_seg_1.npy"), "<f4", "False", "(32, 32)", 4096);
    assert!(
        error(&corpus).contains("`002` has 1 clips in the dataset, but there is"),
        "{}",
        error(&corpus)
    );
}

#[test]
fn a_file_that_changes_after_it_was_opened_is_not_read() {
    let corpus = clips();
    corpus.extract("cache", &["--export", "song-seg", "out"]);
    corpus.experiment(COLUMNS, &npy_at(&corpus, "song-seg"));
    let features = corpus.features("cache").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    write_npy(&corpus.path("out/song_000_seg_0.npy"), "<f4", "False", "(32, 32)", 4096);
    let error = features.read(1, &mut vec![0.0; features.array_len()]).unwrap_err();
    assert!(error.to_string().contains("changed after it was opened"), "{error}");
}

#[test]
fn a_wrong_layout_and_old_files_are_told() {
    let corpus = clips();
    let run = |arguments: &[&str]| corpus.command("features", "cache", arguments).output().unwrap();
    let wrong = run(&["experiment.toml", "--export", "song", "out"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        stderr(&wrong).contains("layouts: song-seg, meld-arrays"),
        "{}",
        stderr(&wrong)
    );
    write_npy(&corpus.path("out/song_9_seg_0.npy"), "<f4", "False", "(1, 1)", 4);
    let warned = run(&["experiment.toml", "--export", "song-seg", "out"]);
    assert!(stderr(&warned).contains("1 other .npy file"), "{}", stderr(&warned));
}

/// NumPy reads what is written, with the values that the library gives.
#[test]
fn numpy_reads_the_files() {
    let Some(python) = std::env::var_os("AFFECT_PYTHON") else {
        println!("skipped: AFFECT_PYTHON is not set");
        return;
    };
    let corpus = clips();
    corpus.extract("cache", &["--export", "meld-arrays", "out"]);
    corpus.extract("cache", &["--export", "song-seg", "out"]);
    let script = "import numpy as np, sys\n\
        train = np.load('out/X_audio_train.npy', mmap_mode='r')\n\
        clip = np.load('out/song_001_seg_1.npy')\n\
        assert train.shape == (3, 32, 32, 1) and train.dtype == np.float32 and train.flags['C_CONTIGUOUS']\n\
        assert clip.shape == (32, 32) and (train[0, :, :, 0] == clip).all()\n\
        sys.stdout.buffer.write(clip.tobytes())";
    let output = Command::new(python)
        .args(["-c", script])
        .current_dir(corpus.path(""))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let values: Vec<f32> = output
        .stdout
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    assert!(values == array(&corpus.features("cache").unwrap(), 0));
}
