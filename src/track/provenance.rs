//! Where the numbers of a run come from: provenance.json.
//!
//! Enough to tell, years later, whether two runs could have differed by anything but their settings: the program, the
//! crates it computes with, the code around it, the machine, the data.

use std::path::Path;
use std::process::{Command, Stdio};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::RunDir;
use super::time;
use crate::cuda::GpuOfRun;
use crate::files;

/// The file's name in the run's folder; where the numbers come from.
pub(super) const FILE: &str = "provenance.json";

/// The record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    pub started_at: Timestamp,
    /// As typed, the program first.
    pub command_line: Vec<String>,
    pub program: Program,
    /// The repository that the run was started in; `None` outside of one, or without git.
    pub git: Option<Git>,
    pub seed: u64,
    /// "cpu", "cuda:0".
    pub device: String,
    /// Of a run on a GPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<GpuOfRun>,
    pub threads: usize,
    pub machine: Machine,
    /// Equal for equal annotations and media.
    pub data_fingerprint: String,
    /// The key of the features in the cache.
    pub feature_key: String,
}

/// What was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    pub version: String,
    /// "debug" builds are slower; both compute the same.
    pub profile: String,
    /// "x86_64-unknown-linux-gnu".
    pub target: String,
    /// The compiler: "rustc 1.95.0 (…)".
    pub rustc: String,
    /// "candle-core 0.11.1", …: the crates whose version can move a result.
    pub crates: Vec<String>,
}

/// The code around the experiment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Git {
    /// The commit's full hash.
    pub commit: String,
    /// Whether files that git follows differ from that commit.
    pub dirty: bool,
}

/// What it ran on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    pub host: String,
    /// "Debian GNU/Linux 13 (trixie)"; without a name, the kind: "linux".
    pub os: String,
    pub kernel: Option<String>,
    pub architecture: String,
    pub cpu: Option<String>,
    /// How many threads run at once.
    pub cores: usize,
    /// The instruction sets that the program's kernels choose between, those that this machine has.
    pub cpu_features: Vec<String>,
}

/// What only the caller knows.
#[derive(Debug, Clone, PartialEq)]
pub struct Circumstances<'a> {
    /// The folder whose repository is noted: where the command was typed.
    pub folder: &'a Path,
    /// As typed, the program first.
    pub command_line: Vec<String>,
    pub seed: u64,
    pub device: String,
    pub gpu: Option<GpuOfRun>,
    pub threads: usize,
    pub data_fingerprint: String,
    pub feature_key: String,
}

impl Provenance {
    /// Looks around. Asks `git` if there is one; what cannot be found out is left out.
    pub fn collect(circumstances: Circumstances) -> Self {
        Self {
            started_at: time::now(),
            command_line: circumstances.command_line,
            program: Program::current(),
            git: Git::of(circumstances.folder),
            seed: circumstances.seed,
            device: circumstances.device,
            gpu: circumstances.gpu,
            threads: circumstances.threads,
            machine: Machine::current(),
            data_fingerprint: circumstances.data_fingerprint,
            feature_key: circumstances.feature_key,
        }
    }

    /// That of the run in `dir`; of one that was resumed, how it was begun.
    ///
    /// # Errors
    /// A file that is missing or cannot be read.
    pub fn read(dir: &RunDir) -> Result<Self, files::Error> {
        let path = dir.file(FILE);
        let text = std::fs::read(&path).map_err(files::Error::at("read", &path))?;
        serde_json::from_slice(&text).map_err(|error| files::Error::at("read", &path)(error.into()))
    }

    /// As in provenance.json.
    pub fn to_json(&self) -> String {
        // A struct of texts and numbers is always JSON.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

impl Program {
    /// This program.
    pub fn current() -> Self {
        let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
        Self {
            version: env!("CARGO_PKG_VERSION").to_string(),
            profile: profile.to_string(),
            target: env!("AFFECT_TARGET").to_string(),
            rustc: env!("AFFECT_RUSTC").to_string(),
            crates: env!("AFFECT_CRATES")
                .split(';')
                .filter(|entry| !entry.is_empty())
                .map(String::from)
                .collect(),
        }
    }
}

impl Git {
    /// The state of the repository that `folder` is in. Takes no lock and changes nothing.
    pub fn of(folder: &Path) -> Option<Self> {
        let ask = |arguments: &[&str]| {
            let output = Command::new("git")
                .arg("--no-optional-locks")
                .arg("-C")
                .arg(folder)
                .args(arguments)
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .output()
                .ok()?;
            output
                .status
                .success()
                .then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
        };
        let commit = ask(&["rev-parse", "--verify", "HEAD"])?;
        // Files that git does not follow are not asked for: data folders can hold millions.
        let changes = ask(&["status", "--porcelain", "--untracked-files=no"])?;
        Some(Self {
            commit,
            dirty: !changes.is_empty(),
        })
    }
}

impl Machine {
    /// This machine.
    pub fn current() -> Self {
        Self {
            host: gethostname::gethostname().to_string_lossy().into_owned(),
            os: os_name().unwrap_or_else(|| std::env::consts::OS.to_string()),
            kernel: read_line("/proc/sys/kernel/osrelease"),
            architecture: std::env::consts::ARCH.to_string(),
            cpu: cpu_name(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            cpu_features: cpu_features(),
        }
    }
}

fn read_line(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().next().map(|line| line.trim().to_string())
}

/// os-release(5).
fn os_name() -> Option<String> {
    let text = std::fs::read_to_string("/etc/os-release").ok()?;
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"').to_string())
}

/// As Linux tells it: "model name" on x86; other architectures may have none.
fn cpu_name() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<String> {
    let found = [
        ("sse4.2", std::is_x86_feature_detected!("sse4.2")),
        ("avx", std::is_x86_feature_detected!("avx")),
        ("avx2", std::is_x86_feature_detected!("avx2")),
        ("fma", std::is_x86_feature_detected!("fma")),
        ("avx512f", std::is_x86_feature_detected!("avx512f")),
        ("avx512bw", std::is_x86_feature_detected!("avx512bw")),
    ];
    found
        .iter()
        .filter(|(_, there)| *there)
        .map(|(name, _)| (*name).to_string())
        .collect()
}

#[cfg(target_arch = "aarch64")]
fn cpu_features() -> Vec<String> {
    let found = [
        ("neon", std::arch::is_aarch64_feature_detected!("neon")),
        ("fp16", std::arch::is_aarch64_feature_detected!("fp16")),
        ("sve", std::arch::is_aarch64_feature_detected!("sve")),
    ];
    found
        .iter()
        .filter(|(_, there)| *there)
        .map(|(name, _)| (*name).to_string())
        .collect()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn cpu_features() -> Vec<String> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(folder: &Path, arguments: &[&str]) -> bool {
        Command::new("git")
            .arg("-C")
            .arg(folder)
            .args([
                "-c",
                "user.name=t",
                "-c",
                "user.email=t@example.org",
                "-c",
                "commit.gpgsign=false",
            ])
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    #[test]
    fn the_record_survives_its_file() {
        let provenance = Provenance::collect(Circumstances {
            folder: Path::new("/nonexistent"),
            command_line: vec!["affect".to_string(), "run".to_string()],
            seed: 42,
            device: "cpu".to_string(),
            gpu: None,
            threads: 2,
            data_fingerprint: "d".to_string(),
            feature_key: "f".to_string(),
        });
        assert_eq!(
            serde_json::from_str::<Provenance>(&provenance.to_json()).unwrap(),
            provenance
        );
        assert_eq!(provenance.git, None);
        assert!(
            provenance.program.rustc.starts_with("rustc "),
            "{:?}",
            provenance.program
        );
        assert!(
            provenance
                .program
                .crates
                .iter()
                .any(|entry| entry.starts_with("candle-core 0."))
        );
    }

    #[test]
    fn the_repository_is_clean_until_a_followed_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("experiment.toml");
        crate::files::write_whole(&file, b"a").unwrap();
        if !git(folder.path(), &["init", "-q"]) {
            eprintln!("skipped: there is no git");
            return;
        }
        assert_eq!(Git::of(folder.path()), None, "a repository without a commit");
        assert!(git(folder.path(), &["add", "."]) && git(folder.path(), &["commit", "-q", "-m", "first"]));
        let clean = Git::of(folder.path()).unwrap();
        assert!(!clean.dirty && clean.commit.len() == 40, "{clean:?}");
        crate::files::write_whole(&file, b"b").unwrap();
        assert_eq!(Git::of(folder.path()), Some(Git { dirty: true, ..clean }));
    }
}
