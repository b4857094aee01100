//! Matching music and pictures, from the file to the report: rendered pairs, IMEMNet's own pairs with generated media, ranking.

mod corpora_support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use corpora_support::{Outcome, affect, experiment, imemnet, shared, write};

/// Small rendered pairs, small networks.
const EXPERIMENT: &str = r#"
[experiment]
seed = 3

[dataset]
kind = "synthetic-pairs"
songs = 100
clips_per_song = 2
seconds = 1.5
sample_rate = 8000
images = 200
image_size = 16

[features]
kind = "pair"
[features.image]
size = 16
[features.audio]
kind = "mel"
sample_rate = 8000
duration = 1.5
n_fft = 512
hop_length = 512
n_mels = 24
scale = { kind = "log" }
normalize = "train-statistics"

[[model.image.layers]]
conv2d = { channels = 12, kernel = 3, batch_norm = true, activation = "relu", max_pool = 2 }
[[model.image.layers]]
global_pool = {}
[[model.image.layers]]
dropout = 0.1
[[model.image.layers]]
batch_norm = {}
[[model.image.layers]]
linear = 8
[[model.image.layers]]
batch_norm = {}
[[model.audio.layers]]
conv2d = { channels = 12, kernel = 3, batch_norm = true, activation = "relu", max_pool = 2 }
[[model.audio.layers]]
global_pool = {}
[[model.audio.layers]]
batch_norm = {}
[[model.audio.layers]]
linear = 8
[[model.audio.layers]]
batch_norm = {}
[model.head]
join = "cosine"

[loss]
kind = "contrastive"
temperature = 0.3
score_weight = 5.0

[optimizer]
kind = "adam"
learning_rate = 5e-3

[train]
epochs = 10
batch_size = 16
early_stopping = { monitor = "val/pearson", patience = 6 }

[evaluate]
bootstrap = 200
"#;

struct Lab(tempfile::TempDir);

impl Lab {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("pairs.toml"), text);
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn succeed(&self, arguments: &[&str]) -> Outcome {
        let outcome = affect(self.0.path(), arguments);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        outcome
    }

    /// Runs `pairs.toml` into a folder of runs of its own; the run's folder, and what was said.
    fn run(&self, runs: &str, more: &[&str]) -> (PathBuf, Outcome) {
        let outcome = self.succeed(&[&["run", "pairs.toml", "--json", "--runs", runs], more].concat());
        (self.only_run(runs), outcome)
    }

    fn only_run(&self, runs: &str) -> PathBuf {
        let mut entries: Vec<PathBuf> = std::fs::read_dir(self.path(runs).join("pairs"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(entries.len(), 1, "{entries:?}");
        entries.remove(0)
    }
}

/// A figure of the test split.
fn figure(summary: &serde_json::Value, rows: &str, baseline: &str, name: &str, target: &str) -> Option<f64> {
    let row = summary[rows].as_array().unwrap().iter().find(|row| {
        row["split"] == "test"
            && row["name"] == name
            && row["target"] == target
            && (rows == "results" || row["baseline"] == baseline)
    })?;
    row["value"].as_f64()
}

#[test]
fn a_contrastive_network_finds_more_than_chance_and_the_report_says_so() {
    let lab = Lab::new(EXPERIMENT);
    let (run, outcome) = lab.run("runs", &["--profile"]);
    let summary = outcome.json();
    let model = |name: &str| figure(&summary, "results", "", name, "").unwrap();
    let baseline = |baseline: &str, name: &str| figure(&summary, "baselines", baseline, name, "");
    assert!(
        model("recall@10") > baseline("chance", "recall@10").unwrap() + 0.08,
        "{}",
        outcome.stdout
    );
    assert!(model("ndcg") > baseline("chance", "ndcg").unwrap() + 0.01);
    assert!(model("mean-rank") < baseline("chance", "mean-rank").unwrap());
    assert!(model("pearson") > 0.2 && model("mse") < baseline("mean", "mse").unwrap());
    // Chance has no scores, and a mean finds nothing.
    assert_eq!((baseline("chance", "mse"), baseline("mean", "recall@10")), (None, None));
    assert!(baseline("va-distance", "pearson").unwrap() > 0.1);
    for target in ["image-to-music", "music-to-image"] {
        assert!(figure(&summary, "results", "", "recall@1", target).is_some());
    }
    let row = summary["results"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["split"] == "test" && row["name"] == "recall@10");
    assert!(row.unwrap()["ci"].is_array(), "{row:?}");
    let page = std::fs::read_to_string(run.join("report.html")).unwrap();
    for part in [
        "recall@10",
        "NDCG",
        "mean rank",
        "va-distance",
        "chance",
        "image-to-music",
        "Retrieval on the test split",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let predictions = std::fs::read_to_string(run.join("predictions.csv")).unwrap();
    let mut lines = predictions.lines();
    assert_eq!(lines.next(), Some("split,id,group,score,score_predicted"));
    let pairs: usize = ["train", "val", "test"]
        .iter()
        .map(|side| {
            let corpus = std::fs::read_dir(lab.path("cache/synthetic-pairs")).unwrap();
            let corpus = corpus
                .map(|entry| entry.unwrap().path())
                .find(|path| path.is_dir())
                .unwrap();
            std::fs::read_to_string(corpus.join(format!("{side}_matching.txt")))
                .unwrap()
                .lines()
                .count()
        })
        .sum();
    assert_eq!(lines.count(), pairs);
    for name in [
        "split.csv",
        "interface.json",
        "baselines/mean.csv",
        "baselines/va-distance.csv",
        "tables/results.tex",
    ] {
        assert!(run.join(name).is_file(), "{name}");
    }
    // Every figure comes again from the record alone.
    let reproduced = lab.succeed(&["reproduce", "latest"]);
    assert!(reproduced.stdout.contains("bit for bit"), "{}", reproduced.stdout);
    let redrawn = lab.succeed(&["report", "latest", "--out", "page"]);
    assert!(
        redrawn.stderr.is_empty() || !redrawn.stderr.contains("error"),
        "{}",
        redrawn.stderr
    );
    ranking(&lab, &run);
}

/// Both ways, with the run that is there.
fn ranking(lab: &Lab, run: &Path) {
    let corpus = std::fs::read_dir(lab.path("cache/synthetic-pairs")).unwrap();
    let corpus = corpus
        .map(|entry| entry.unwrap().path())
        .find(|path| path.is_dir())
        .unwrap();
    let at = |name: &str| corpus.join(name).to_str().unwrap().to_owned();
    let ranked = lab.succeed(&[
        "predict",
        "latest",
        "--rank-for",
        &at("images/7.png"),
        &at("audio"),
        "--csv",
    ]);
    let lines: Vec<&str> = ranked.stdout.lines().collect();
    assert_eq!((lines[0], lines.len()), ("rank,score,file", 201));
    let scores: Vec<f64> = lines[1..]
        .iter()
        .map(|line| line.split(',').nth(1).unwrap().parse().unwrap())
        .collect();
    assert!(scores.is_sorted_by(|a, b| a >= b) && scores[0] > scores[199]);
    // A pair of the test split has the score that it was tested with.
    let predictions = std::fs::read_to_string(run.join("predictions.csv")).unwrap();
    let (pair, predicted) = predictions
        .lines()
        .filter(|line| line.starts_with("test,"))
        .map(|line| line.split(',').collect::<Vec<_>>())
        .map(|fields| (fields[1].to_owned(), fields[4].parse::<f64>().unwrap()))
        .next()
        .unwrap();
    let (clip, image) = pair.split_once(' ').unwrap();
    let (image, clip) = (at(&format!("images/{image}.png")), at(&format!("audio/{clip}.wav")));
    let both = [
        lab.succeed(&["predict", "latest", "--rank-for", &image, &clip, "--json"]),
        lab.succeed(&["predict", "latest", "--rank-for", &clip, &image, "--json", "--top", "3"]),
    ];
    for outcome in both {
        let score = outcome.json()["score"].as_f64().unwrap();
        assert!((score - predicted).abs() < 1e-5, "{score} {predicted}");
    }
    // What cannot be used is told of.
    let complains = |arguments: &[&str], code: i32, what: &str| {
        let outcome = affect(lab.0.path(), &[&["predict", "latest"], arguments].concat());
        assert_eq!(outcome.code, Some(code), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(what), "{what}: {}", outcome.stderr);
    };
    complains(&["--rank-for", &image, &image, &clip], 1, "it is no recording");
    complains(&["--rank-for", "none.png", &clip], 2, "none.png: missing");
    complains(&["--rank-for", &image, "pairs.toml"], 1, "pairs.toml");
    complains(&[&clip], 2, "has two branches");
    let outcome = affect(lab.0.path(), &["export", "latest", "--onnx", "model.onnx"]);
    assert_eq!(outcome.code, Some(2));
    assert!(
        outcome.stderr.contains("has two branches") && outcome.stderr.contains("--rank-for"),
        "{}",
        outcome.stderr
    );
}

/// The figures and files that must be the same.
fn left(run: &Path) -> Vec<Vec<u8>> {
    let names = [
        "predictions.csv",
        "checkpoints/best/model.safetensors",
        "checkpoints/last/model.safetensors",
        "checkpoints/last/optimizer.safetensors",
        "tables/results.csv",
    ];
    names
        .iter()
        .map(|name| std::fs::read(run.join(name)).unwrap())
        .collect()
}

/// Regression over a bilinear form, with the emotions of both sides, samples instead of a spectrogram, and a checkpoint at every update.
fn regression() -> String {
    EXPERIMENT
        .replace("join = \"cosine\"", "join = \"bilinear\"\nunits = 4\nlayers = [{ relu = {} }, { linear = \"targets\" }]\n[model.emotion]\nweight = 0.5")
        .replace("kind = \"contrastive\"\ntemperature = 0.3\nscore_weight = 5.0", "kind = \"smooth-l1\"")
        .replace("epochs = 10\n", "epochs = 4\ncheckpoint_minutes = 0.0\n")
        .replace("songs = 100", "songs = 30")
        .replace("images = 200", "images = 60")
        .replace(
            "n_fft = 512\nhop_length = 512\nn_mels = 24\nscale = { kind = \"log\" }\n",
            "",
        )
        .replace("[features.audio]\nkind = \"mel\"", "[features.audio]\nkind = \"waveform\"")
        .replace(
            "[[model.audio.layers]]\nconv2d = { channels = 12, kernel = 3, batch_norm = true, activation = \"relu\", max_pool = 2 }",
            "[[model.audio.layers]]\nconv2d = { channels = 8, kernel = [1, 16], stride = [1, 8], padding = 0, activation = \"relu\" }",
        )
        + "[augment]\ntime_shift = { frames = 3 }\n"
}

#[test]
fn regression_is_the_same_on_any_number_of_threads_and_resumed() {
    let lab = Lab::new(&regression());
    let (whole, outcome) = lab.run("whole", &["--threads", "2"]);
    let summary = outcome.json();
    for (name, target) in [
        ("va-rmse", "image-valence"),
        ("va-rmse", "music-arousal"),
        ("va-ccc", ""),
        ("rmse", ""),
    ] {
        let model = figure(&summary, "results", "", name, target).unwrap();
        assert!(model.is_finite(), "{name} {target}");
    }
    assert!(figure(&summary, "baselines", "va-distance", "va-rmse", "image-valence").is_some());
    let (single, _) = lab.run("single", &["--threads", "1"]);
    assert!(left(&whole) == left(&single), "threads change the result");

    // Interrupted, as by Ctrl-C, once training is under way.
    let mut child = Command::new(env!("CARGO_BIN_EXE_affect"))
        .args(["run", "pairs.toml", "--runs", "parts"])
        .current_dir(lab.0.path())
        .env_remove("AFFECT_CACHE")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let state = || {
        let run = std::fs::read_dir(lab.path("parts/pairs")).ok()?.next()?.ok()?.path();
        run.join("checkpoints/last/state.json").is_file().then_some(())
    };
    while state().is_none() && child.try_wait().unwrap().is_none() && begun.elapsed() < Duration::from_secs(100) {
        std::thread::sleep(Duration::from_millis(2));
    }
    let interrupted = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(interrupted.success());
    let code = child.wait().unwrap().code();
    if code == Some(130) {
        let outcome = lab.succeed(&["resume", "latest", "--runs", "parts"]);
        assert!(outcome.stderr.contains("resuming"), "{}", outcome.stderr);
    } else {
        // It was done before the signal came.
        assert_eq!(code, Some(0));
    }
    assert!(
        left(&whole) == left(&lab.only_run("parts")),
        "resuming changes the result"
    );
}

#[test]
fn repeats_make_a_parent_with_the_mean() {
    let text = EXPERIMENT
        .replace("epochs = 10", "epochs = 1")
        .replace("songs = 100", "songs = 30")
        .replace("images = 200", "images = 60");
    let lab = Lab::new(&text);
    let outcome = lab.succeed(&["run", "pairs.toml", "--seeds", "2"]);
    assert!(outcome.stdout.contains("recall@10"), "{}", outcome.stdout);
    assert!(lab.succeed(&["ls"]).stdout.contains("pairs"));
    let outcome = lab.succeed(&["features", "pairs.toml"]);
    assert!(outcome.stdout.contains("60 pictures of float32"), "{}", outcome.stdout);
}

#[test]
fn mistakes_are_told_before_any_work() {
    let check = |text: &str| {
        let lab = Lab::new(text);
        let outcome = affect(lab.0.path(), &["check", "pairs.toml"]);
        assert_eq!(outcome.code, Some(2), "{}{}", outcome.stdout, outcome.stderr);
        outcome.stderr
    };
    let says = |text: &str, parts: &[&str]| {
        let said = check(text);
        // Lines are wrapped.
        let flat: String = said
            .split_whitespace()
            .filter(|word| *word != "│")
            .collect::<Vec<_>>()
            .join(" ");
        for part in parts {
            assert!(flat.contains(part), "{part}: {said}");
        }
    };
    says(
        &EXPERIMENT.replace(
            "kind = \"pair\"\n[features.image]\nsize = 16\n[features.audio]\nkind = \"mel\"",
            "kind = \"mel\"",
        ),
        &["the dataset `synthetic-pairs` is pairs, but the features are of kind \"mel\""],
    );
    says(
        &EXPERIMENT.replace("[model.head]\njoin = \"cosine\"", ""),
        &["missing key `head` in `model`"],
    );
    says(
        &EXPERIMENT.replace(
            "linear = 8\n[[model.audio.layers]]\nbatch_norm = {}\n[model.head]",
            "linear = 6\n[model.head]",
        ),
        &["the embeddings have 8 and 6 numbers"],
    );
    says(
        &EXPERIMENT.replace("[[model.audio.layers]]\nlinear = 8\n", ""),
        &["the embeddings have 8 and 24 numbers"],
    );
    says(
        &EXPERIMENT
            .replace("[[model.image.layers]]\nglobal_pool = {}\n", "")
            .replacen("[[model.image.layers]]\nlinear = 8\n", "", 1),
        &["the branch ends with shape 12 × 8 × 8"],
    );
    says(
        &EXPERIMENT.replace("bootstrap = 200", "bootstrap = 200\nbaselines = [\"ridge\"]"),
        &[
            "the baseline \"ridge\" is not for pairs",
            "\"mean\", \"chance\" or \"va-distance\"",
        ],
    );
    says(
        &(EXPERIMENT.to_owned() + "[augment]\nmixup = { alpha = 0.2 }\n"),
        &["mixtures of pairs are no pairs"],
    );
    says(
        &EXPERIMENT.replace("duration = 1.5\n", ""),
        &["features.audio.duration"],
    );
    says(
        &EXPERIMENT.replace("n_fft = 512", "n_fft = 513"),
        &["`features.audio.n_fft` must be even"],
    );
    says(
        &EXPERIMENT.replace("temperature = 0.3", "temperature = 0.0"),
        &["loss.temperature"],
    );
    // What only pairs have.
    let quickstart = std::fs::read_to_string(experiment("quickstart")).unwrap();
    says(
        &quickstart.replace("kind = \"mse\"", "kind = \"contrastive\""),
        &["the loss \"contrastive\" is for pairs of music and pictures"],
    );
    says(
        &(quickstart + "[evaluate]\nbaselines = [\"chance\"]\n"),
        &["the baseline \"chance\" is for pairs"],
    );
}

#[test]
fn every_experiment_on_pairs_is_sound() {
    let lab = Lab::new("");
    for name in ["synthetic-match-contrastive", "synthetic-match-regression"] {
        let small = ["--set", "dataset.songs=10", "--set", "dataset.images=20"];
        let outcome = lab.succeed(&[&["check", &experiment(name), "--json"][..], &small].concat());
        assert!(outcome.json()["parameters"].as_u64().unwrap() > 10_000);
    }
    for name in ["imemnet-match-contrastive", "imemnet-match-regression"] {
        let rendered = [
            "--set",
            "dataset.kind=synthetic-pairs",
            "--set",
            "dataset.songs=10",
            "--set",
            "dataset.images=20",
            "--set",
            "dataset.seconds=1.0",
        ];
        let outcome = lab.succeed(&[&["check", &experiment(name), "--json"][..], &rendered].concat());
        assert_eq!(outcome.json()["image_shape"], serde_json::json!([3, 224, 224]));
    }
}

#[test]
fn missing_and_damaged_files_are_skipped_with_their_pairs_or_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("data");
    imemnet::generate_matching(&root);
    imemnet::generate_pictures(&root);
    imemnet::generate_music(&root);
    write(&root.join("clips/700-10.wav"), "no sound");
    let text = |on_error: &str| {
        let dataset = format!(
            "[dataset]\nkind = \"imemnet\"\nroot = \"data\"\non_error = \"{on_error}\"\nimage_va = \"image_va.csv\"\nmusic_va = \"music_va.csv\"\n\
             split = {{ kind = \"random\", fractions = [0.4, 0.3, 0.3] }}\n\n[features]"
        );
        let (before, rest) = EXPERIMENT.split_once("[dataset]").unwrap();
        let (_, after) = rest.split_once("[features]").unwrap();
        format!("{before}{dataset}{after}").replace("epochs = 10", "epochs = 1")
    };
    write(&folder.path().join("pairs.toml"), text("skip"));
    let outcome = affect(folder.path(), &["run", "pairs.toml", "--json"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("1 file cannot be used"), "{}", outcome.stderr);
    write(&folder.path().join("pairs.toml"), text("fail"));
    let outcome = affect(folder.path(), &["run", "pairs.toml"]);
    assert_eq!(outcome.code, Some(2));
    assert!(
        outcome.stderr.contains(&format!("{}.jpg: missing", imemnet::MISSING)),
        "{}",
        outcome.stderr
    );
}

/// IMEMNet's published pairs with pictures and music of our own: as many files, but tiny ones.
#[test]
fn the_real_pairs_are_learned_from_with_generated_media() {
    let Some(root) = shared("imemnet") else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (mut clips, mut arrays) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    for side in ["val", "test"] {
        let name = format!("cleaned/cleaned_{side}_matching.txt");
        let text = std::fs::read_to_string(root.join(&name)).unwrap();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            clips.insert(words.next().unwrap().to_owned());
            arrays.insert(words.next().unwrap().to_owned());
        }
        write(&data.join(&name), text);
    }
    assert_eq!((clips.len(), arrays.len()), (5422, 3689));
    for (number, name) in arrays.iter().enumerate() {
        write(&data.join("arrays").join(name), tiny_array(number));
    }
    for (number, clip) in clips.iter().enumerate() {
        let path = data.join(format!("clips/{clip}.wav"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        tiny_sound(&path, number);
    }
    let (before, rest) = EXPERIMENT.split_once("[dataset]").unwrap();
    let (_, after) = rest.split_once("[features]").unwrap();
    let dataset = "[dataset]\nkind = \"imemnet\"\nroot = \"data\"\nfiles = \"cleaned\"\ngroup = \"song-and-image\"\n\
                   split = { kind = \"random\", fractions = [0.6, 0.2, 0.2] }\n\n[features]";
    let text = format!("{before}{dataset}{after}")
        .replace("epochs = 10", "epochs = 1")
        .replace("duration = 1.5", "duration = 0.1");
    let text = text
        .replace("size = 16", "size = 8")
        .replace("bootstrap = 200", "bootstrap = 20");
    let text = text.replace(
        "n_fft = 512\nhop_length = 512\nn_mels = 24",
        "n_fft = 256\nhop_length = 256\nn_mels = 8",
    );
    write(&folder.path().join("pairs.toml"), text);
    let outcome = affect(folder.path(), &["run", "pairs.toml", "--json"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    for part in [
        "13270 pairs of 5422 clips",
        "3689 pictures",
        "3689 computed",
        "5422 computed",
    ] {
        assert!(outcome.stderr.contains(part), "{part}: {}", outcome.stderr);
    }
    // Without valence and arousal there is no such baseline, and that is said.
    assert!(outcome.stderr.contains("va-distance is left out"), "{}", outcome.stderr);
    assert!(figure(&outcome.json(), "results", "", "ndcg", "image-to-music").unwrap() > 0.0);
}

fn tiny_array(number: usize) -> Vec<u8> {
    let text = "{'descr': '|u1', 'fortran_order': False, 'shape': (8, 8, 3), }";
    let padded = format!("{text:<117}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(padded.len()).unwrap().to_le_bytes());
    bytes.extend(padded.bytes());
    bytes.extend((0..8 * 8 * 3).map(|place| ((place * 7 + number * 13) % 256) as u8));
    bytes
}

fn tiny_sound(path: &Path, number: usize) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for sample in 0..800 {
        let phase = f64::from(sample) * (0.1 + (number % 97) as f64 / 100.0);
        writer.write_sample((10_000.0 * phase.sin()) as i16).unwrap();
    }
    writer.finalize().unwrap();
}
