//! What every command that takes an experiment has in common.

use std::path::Path;

use super::failure::Failure;
use super::folders::{CacheArg, EXPERIMENTS};
use crate::config::{self, Request, Resolved};
use crate::track::RunDir;

#[derive(Debug, Clone, clap::Args)]
pub struct SettingsArgs {
    /// Change a setting, as in `--set optimizer.learning_rate=1e-4`; can be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The experiment's seed, as `--set experiment.seed=N`.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// Where the network runs, as `--set train.device=…`.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    #[command(flatten)]
    pub threads: ThreadsArg,
    #[command(flatten)]
    pub cache: CacheArg,
}

/// The size of the thread pool that all work shares.
#[derive(Debug, Clone, clap::Args)]
pub struct ThreadsArg {
    /// Threads for all work. Results do not depend on it. Default: one per core.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl SettingsArgs {
    /// Loads and checks an experiment, with the environment and the command line on top.
    pub fn load(&self, experiment: &str) -> Result<Resolved, Failure> {
        let mut overrides = self.set.clone();
        if let Some(seed) = self.seed {
            overrides.push(format!("experiment.seed={seed}"));
        }
        if let Some(device) = &self.device {
            overrides.push(format!("train.device={device:?}"));
        }
        let source = config::find(experiment, Path::new(EXPERIMENTS))?;
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Ok(config::load(&Request {
            source,
            environment,
            overrides,
        })?)
    }
}

impl ThreadsArg {
    /// Starts the pool. Once per process, before any work.
    pub fn start(&self) -> Result<(), Failure> {
        let threads = self.threads.map_or(0, usize::from);
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global()
            .map_err(|error| Failure::request(format!("cannot start {threads} threads: {error}"), None))
    }
}

/// The settings that a run was made with, whatever the environment says today.
pub fn settings_of(run: &RunDir) -> Result<Resolved, Failure> {
    let file = run.file("experiment.toml").display().to_string();
    Ok(config::load(&Request {
        source: config::find(&file, Path::new(EXPERIMENTS))?,
        environment: Vec::new(),
        overrides: Vec::new(),
    })?)
}
