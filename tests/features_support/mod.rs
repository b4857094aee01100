//! A small corpus of WAV files, an experiment on it, and the program.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use affect::config::{Request, Resolved, Source, load};
use affect::dataset::{LoadContext, Manifest, Split, split};
use affect::features::{self, FeatureSet};
use affect::files;
use serde_json::Value;

/// Hz of the files.
pub const RATE: u32 = 8000;

/// `labels.csv`, `wav/` and a cache in a folder of its own.
pub struct Corpus {
    folder: tempfile::TempDir,
    songs: usize,
    seconds: f64,
}

impl Corpus {
    /// So many files of so many seconds, each another sound.
    pub fn new(songs: usize, seconds: f64) -> Self {
        let mut corpus = Self {
            folder: tempfile::tempdir().unwrap(),
            songs: 0,
            seconds,
        };
        files::create_folder(&corpus.path("wav")).unwrap();
        corpus.add(songs);
        corpus
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn song(&self, song: usize) -> PathBuf {
        self.path(&format!("wav/{song:03}.wav"))
    }

    /// More files.
    pub fn add(&mut self, songs: usize) {
        for song in self.songs..self.songs + songs {
            write_sound(&self.song(song), song as f64, self.seconds);
        }
        self.songs += songs;
        let rows = (0..self.songs).map(|song| {
            let target = (song % 7) as f64 / 7.0;
            let split = ["train", "train", "train", "val", "test"][song % 5];
            format!("wav/{song:03}.wav,{target},{},{split}\n", 1.0 - target)
        });
        self.table(&format!("file,valence,arousal,split\n{}", rows.collect::<String>()));
    }

    /// Another `labels.csv`.
    pub fn table(&self, text: &str) {
        files::write_whole(&self.path("labels.csv"), text.as_bytes()).unwrap();
    }

    /// The path of an experiment with these settings of `[dataset]` and `[features]`.
    pub fn experiment(&self, dataset: &str, features: &str) -> PathBuf {
        let path = self.path("experiment.toml");
        let root = self.folder.path().to_str().unwrap();
        let text = format!(
            r#"[dataset]
kind = "table"
root = {root:?}
file = "labels.csv"
audio = "file"
targets = ["valence", "arousal"]
split_column = "split"
split = {{ kind = "column" }}
{dataset}

[features]
{features}

[[model.layers]]
conv2d = {{ channels = 2 }}
[[model.layers]]
adaptive_avg_pool2d = 1
[[model.layers]]
linear = "targets"

[loss]
kind = "mse"
[optimizer]
kind = "adam"
learning_rate = 1e-3
[train]
epochs = 2
batch_size = 4
early_stopping = {{ monitor = "val/loss" }}
[evaluate]
baselines = ["mean"]
"#
        );
        files::write_whole(&path, text.as_bytes()).unwrap();
        path
    }

    /// The program on the experiment file, with a cache of this name.
    pub fn command(&self, subcommand: &str, cache: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("affect"));
        command
            .arg(subcommand)
            .arg("--cache")
            .arg(self.path(cache))
            .args(arguments)
            .current_dir(self.folder.path());
        command
    }

    /// `affect features experiment.toml --json`.
    pub fn extract(&self, cache: &str, arguments: &[&str]) -> Value {
        let arguments = [&["experiment.toml", "--json"], arguments].concat();
        json(&self.command("features", cache, &arguments).output().unwrap())
    }

    /// The experiment, its examples and their splits.
    pub fn load(&self) -> (Resolved, Manifest, Vec<Split>) {
        let resolved = load(&Request::new(Source::File(self.path("experiment.toml")))).unwrap();
        let experiment = &resolved.experiment;
        let context = LoadContext {
            cache: &self.path("cache"),
            progress: &|_, _| {},
        };
        let manifest = match experiment.features.reads_media() {
            true => experiment.dataset.load(&context).unwrap(),
            false => experiment.dataset.load_annotations(&context).unwrap(),
        };
        let splits = split::assign(&manifest, experiment.dataset.split(), 1).unwrap();
        (resolved, manifest, splits)
    }

    /// Its features, by the library.
    pub fn features(&self, cache: &str) -> Result<FeatureSet, features::Error> {
        let (resolved, manifest, splits) = self.load();
        let experiment = &resolved.experiment;
        features::load(
            &experiment.features,
            &manifest,
            &splits,
            experiment.dataset.on_error(),
            &self.path(cache),
            &|_| {},
        )
    }

    /// The one feature set's file in a cache.
    pub fn set_file(&self, cache: &str, name: &str) -> PathBuf {
        let sets = std::fs::read_dir(self.path(cache).join("features")).unwrap();
        let mut sets = sets.map(|set| set.unwrap().path()).filter(|path| path.is_dir());
        let set = sets.next().unwrap();
        assert_eq!(sets.next(), None);
        set.join(name)
    }
}

/// The array of an example.
pub fn array(features: &FeatureSet, example: usize) -> Vec<f32> {
    let mut array = vec![0.0; features.array_len()];
    features.read(example, &mut array).unwrap();
    array
}

/// A tone that slides, another for each `seed`.
pub fn write_sound(path: &Path, seed: f64, seconds: f64) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for index in 0..(seconds * f64::from(RATE)) as u32 {
        let time = f64::from(index) / f64::from(RATE);
        let phase = std::f64::consts::TAU * time * (200.0 + 31.0 * seed + 300.0 * time);
        writer.write_sample((phase.sin() * 12000.0) as i16).unwrap();
    }
    writer.finalize().unwrap();
}

/// What a command that went well printed.
pub fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", stderr(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
