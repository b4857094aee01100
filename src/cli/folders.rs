//! Where runs and caches are.

use std::path::PathBuf;

/// The folder of runs.
#[derive(Debug, Clone, clap::Args)]
pub struct RunsArg {
    /// The folder that runs land in.
    #[arg(long, value_name = "DIR", env = "AFFECT_RUNS", default_value = Self::DEFAULT)]
    pub runs: PathBuf,
}

impl RunsArg {
    pub const DEFAULT: &str = "runs";
}

/// The folder of what can be computed again.
#[derive(Debug, Clone, clap::Args)]
pub struct CacheArg {
    /// The folder for computed features and rendered corpora; it can be deleted at any time.
    #[arg(long, value_name = "DIR", env = "AFFECT_CACHE", default_value = "cache")]
    pub cache: PathBuf,
}

/// Where named experiments are looked for.
pub const EXPERIMENTS: &str = "experiments";
