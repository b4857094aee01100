//! The real binary, run in a folder of its own beside a corpus of 24 short tones.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests write what they like into their own folder"
)]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

/// How many examples the corpus has.
pub const EXAMPLES: usize = 24;

/// A folder with `data/` (24 tones of 0.3 s and their table), `reg.toml` (two targets) and `cls.toml` (three classes).
pub struct Lab {
    folder: TempDir,
}

/// What a command came to.
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Lab {
    pub fn new() -> Self {
        let lab = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let mut table = String::from("file,valence,arousal,emotion,speaker,side\n");
        std::fs::create_dir_all(lab.path("data/audio")).unwrap();
        for index in 0..EXAMPLES {
            let (frequency, amplitude) = (200.0 + 60.0 * index as f64, 0.1 + 0.03 * (index % 7) as f64);
            write_tone(&lab.path(&format!("data/audio/{index:02}.wav")), frequency, amplitude);
            table.push_str(&format!(
                "{index:02}.wav,{:.3},{amplitude:.3},{},s{},{}\n",
                frequency / 1000.0 - 1.0,
                ["low", "mid", "high"][index / 8],
                index % 6,
                ["train", "train", "val", "test"][index % 4],
            ));
        }
        lab.write("data/labels.csv", &table);
        lab.write("reg.toml", &experiment(r#"targets = ["valence", "arousal"]"#, "mse"));
        lab.write(
            "cls.toml",
            &experiment("label = \"emotion\"\ngroup = \"speaker\"", "cross-entropy"),
        );
        lab
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    pub fn read(&self, relative: &str) -> String {
        std::fs::read_to_string(self.path(relative)).unwrap()
    }

    pub fn write(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Changes a file by replacing `from`, which must be there, once.
    pub fn edit(&self, relative: &str, from: &str, to: &str) {
        let text = self.read(relative);
        assert!(text.contains(from), "`{from}` is not in {relative}");
        self.write(relative, &text.replacen(from, to, 1));
    }

    /// As `reg.toml`, but training diverges in its second step.
    pub fn diverging(&self, batch_size: usize) -> String {
        let text = self.read("reg.toml");
        let (before, rest) = text.split_once("[[model.layers]]").unwrap();
        let (_, after) = rest.split_once("[loss]").unwrap();
        let layers = "[[model.layers]]\nconv2d = { channels = 4, kernel = 3 }\n".repeat(6);
        format!("{before}{layers}[[model.layers]]\nlinear = \"targets\"\n\n[loss]{after}")
            .replace("learning_rate = 0.01", "learning_rate = 1000")
            .replace("batch_size = 4", &format!("batch_size = {batch_size}"))
    }

    /// The program, in this folder and with nothing of this machine's settings.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> std::process::Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_affect"));
        command.args(arguments).current_dir(self.folder.path());
        for name in ["AFFECT_RUNS", "AFFECT_CACHE", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs the program to its end. Whatever happens, it must not panic.
    pub fn affect<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Outcome {
        let output = assert_cmd::Command::from_std(self.command(arguments))
            .timeout(Duration::from_secs(120))
            .output()
            .unwrap();
        let outcome = Outcome {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
        outcome
    }

    /// As [`affect`](Self::affect), for commands that must succeed.
    pub fn succeed<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Outcome {
        let outcome = self.affect(arguments);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        outcome
    }

    /// What the program complains about, from its first complaint on; stdout must be empty.
    pub fn complaint<S: AsRef<OsStr>>(&self, status: i32, arguments: &[S]) -> String {
        let outcome = self.affect(arguments);
        assert_eq!(outcome.code, Some(status), "{}", outcome.stderr);
        assert_eq!(outcome.stdout, "");
        outcome.complaint()
    }

    /// Starts the program with both outputs piped.
    pub fn spawn<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Child {
        self.command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// `affect run NAME.toml` with these options, which must succeed, and the folder of the run that it made.
    pub fn run_anew(&self, name: &str, options: &[&str]) -> (PathBuf, Outcome) {
        let before = self.runs(name);
        let outcome = self.succeed(&[&["run", &format!("{name}.toml")], options].concat());
        let mut made = self.runs(name);
        made.retain(|run| !before.contains(run));
        assert_eq!(made.len(), 1, "{made:?}");
        (made.remove(0), outcome)
    }

    /// The folders of an experiment's runs, by name. Names of the same second are in no order of time.
    pub fn runs(&self, experiment: &str) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.path("runs").join(experiment)) else {
            return Vec::new();
        };
        let mut runs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        runs.sort();
        runs
    }

    /// The folder of an experiment's only run.
    pub fn run(&self, experiment: &str) -> PathBuf {
        let runs = self.runs(experiment);
        assert_eq!(runs.len(), 1, "{runs:?}");
        runs.into_iter().next().unwrap()
    }

    pub fn database(&self) -> Connection {
        Connection::open(self.path("runs/affect.sqlite")).unwrap()
    }

    /// The first column of the first row.
    pub fn query<T: rusqlite::types::FromSql>(&self, query: &str) -> T {
        self.database().query_row(query, [], |row| row.get(0)).unwrap()
    }
}

impl Outcome {
    /// stderr from the first error or warning on, without the lines that end a stage (they have times in them).
    pub fn complaint(&self) -> String {
        let begins = |line: &&str| ["error:", "warning:"].iter().any(|start| line.starts_with(start));
        let lines = self.stderr.lines().skip_while(|line| !begins(line));
        let lines = lines.filter(|line| !(line.starts_with("    ") && line.ends_with(" s)")));
        lines.collect::<Vec<_>>().join("\n")
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// A small disk, for root on Linux; gone when it is dropped, also by a test that fails.
pub struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    pub fn mount(at: &'a Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(at)
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(at)),
            _ => {
                eprintln!("skipped: a small disk cannot be mounted here");
                None
            }
        }
    }

    /// Makes room.
    pub fn grow(&self, size: &str) {
        let grown = std::process::Command::new("mount")
            .args(["-o", &format!("remount,size={size}")])
            .arg(self.0)
            .status();
        assert!(grown.unwrap().success());
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0).status();
    }
}

fn write_tone(path: &Path, frequency: f64, amplitude: f64) {
    write_tone_of(path, frequency, amplitude, 0.3);
}

/// A tone of so many seconds; the folders above it are made.
pub fn write_tone_of(path: &Path, frequency: f64, amplitude: f64, seconds: f64) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    const RATE: u32 = 8000;
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = hound::WavWriter::create(path, spec).unwrap();
    for sample in 0..(f64::from(RATE) * seconds).round() as u32 {
        let phase = std::f64::consts::TAU * frequency * f64::from(sample) / f64::from(RATE);
        file.write_sample((32767.0 * amplitude * phase.sin()) as i16).unwrap();
    }
    file.finalize().unwrap();
}

fn experiment(task: &str, loss: &str) -> String {
    format!(
        r#"[experiment]
description = "a tiny experiment"
tags = ["tiny"]
seed = 7

[dataset]
kind = "table"
root = "data"
file = "labels.csv"
audio = "file"
audio_root = "audio"
{task}

[dataset.split]
kind = "random"
fractions = [0.5, 0.25, 0.25]

[features]
kind = "mel"
sample_rate = 8000
duration = 0.3
n_fft = 256
hop_length = 128
n_mels = 16
normalize = "train-statistics"

[[model.layers]]
conv2d = {{ channels = 4, kernel = 3, batch_norm = true, activation = "relu", max_pool = 2 }}
[[model.layers]]
conv2d = {{ channels = 8, kernel = 3, activation = "relu" }}
[[model.layers]]
adaptive_avg_pool2d = 1
[[model.layers]]
dropout = 0.1
[[model.layers]]
linear = "targets"

[loss]
kind = "{loss}"

[optimizer]
kind = "adam"
learning_rate = 0.01

[train]
epochs = 2
batch_size = 4
"#
    )
}
