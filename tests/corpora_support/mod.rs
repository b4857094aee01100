//! Small corpora in the layouts of the field's corpora, with real encoded sound and every trap in them, and the program to run
//! on them.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests write what they like into their own folder, and find the shared data by the environment"
)]

pub mod deam;
pub mod imemnet;
pub mod meld;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use affect::dataset::{DatasetSpec, Error, LoadContext, Manifest};

/// Whether ffmpeg can be called; says so where it can't.
pub fn has_ffmpeg() -> bool {
    let has = Command::new("ffmpeg")
        .arg("-version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !has {
        eprintln!("skipped: ffmpeg is not installed, so no corpus can be encoded");
    }
    has
}

/// Encodes with ffmpeg; `arguments` end with the path of the result, whose folder is made.
pub fn ffmpeg(arguments: &[&str]) {
    let path = Path::new(arguments.last().unwrap());
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-v", "error", "-y"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Writes a file and its folders.
pub fn write(path: &Path, content: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// The real annotation files, where there are any; says so where not.
pub fn shared(folder: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("AFFECT_SHARED_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let path = shared.join(folder);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: there is no {} (set AFFECT_SHARED_DATA)", path.display());
    None
}

/// A file of tests/golden.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// Loads `kind` at `root` with more settings in TOML.
pub fn load(kind: &str, root: &Path, settings: &str) -> Result<Manifest, Error> {
    spec(kind, root, settings).load(&LoadContext {
        cache: Path::new("unused"),
        progress: &|_, _| {},
    })
}

pub fn spec(kind: &str, root: &Path, settings: &str) -> DatasetSpec {
    toml::from_str(&format!(
        "kind = {kind:?}\nroot = {:?}\n{settings}",
        root.to_str().unwrap()
    ))
    .unwrap()
}

/// What the program came to.
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }
}

/// Runs the program in `folder`.
pub fn affect(folder: &Path, arguments: &[&str]) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_affect"));
    command.args(arguments).current_dir(folder);
    for name in ["AFFECT_RUNS", "AFFECT_CACHE", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    let output = command.output().unwrap();
    let outcome = Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    outcome
}

/// The path of an experiment that comes with the program.
pub fn experiment(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("experiments")
        .join(format!("{name}.toml"));
    path.to_str().unwrap().to_owned()
}

/// Trains an experiment that comes with the program on the corpus at `root`, with `settings` on top; what `--json` said.
pub fn train(folder: &Path, name: &str, root: &Path, settings: &[&str]) -> (serde_json::Value, Outcome) {
    let (path, root) = (experiment(name), format!("dataset.root={:?}", root.to_str().unwrap()));
    let mut arguments = vec!["run", &path, "--json", "--set", &root, "--set", "train.epochs=2"];
    for setting in settings {
        arguments.extend(["--set", setting]);
    }
    let outcome = affect(folder, &arguments);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let summary = outcome.json();
    assert!(summary["results"].as_array().is_some_and(|results| !results.is_empty()));
    (summary, outcome)
}

/// The value of one metric of the test split.
pub fn result(summary: &serde_json::Value, name: &str) -> f64 {
    let rows = summary["results"].as_array().unwrap();
    let row = (rows.iter())
        .find(|row| row["split"] == "test" && row["name"] == name && row["target"] == "")
        .unwrap();
    row["value"].as_f64().unwrap()
}
