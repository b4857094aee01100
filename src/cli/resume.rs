use std::path::Path;

use super::failure::Failure;
use super::folders::{CacheArg, RunsArg};
use super::output;
use super::recording;
use super::run::{self, Before, Place};
use crate::config::{self, Request};
use crate::track::{Database, RunDir, RunSummary, Status};
use crate::train::checkpoint;

/// Go on with an interrupted run; on the CPU the result is bit for bit that of an uninterrupted one.
///
/// Training goes on after the last sound checkpoint, with the settings, the seed and the split of the run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An id, a unique beginning of one, or `latest`.
    #[arg(value_name = "RUN")]
    run: String,
    /// Threads for all work. Results do not depend on it. Default: one per core.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    #[command(flatten)]
    cache: CacheArg,
    #[command(flatten)]
    runs: RunsArg,
    /// Tell where the time went, at the end and in profile.json.
    #[arg(long)]
    profile: bool,
    /// Print the results as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let database = Database::open_existing(&args.runs.runs)?;
    let summary = database.resolve(&args.run)?;
    refuse_what_is_done(&summary)?;
    let dir = RunDir::open(&summary.path)?;
    let source = config::find(
        &dir.file("experiment.toml").display().to_string(),
        Path::new(super::folders::EXPERIMENTS),
    )?;
    // The run's own settings, whatever the environment says today.
    let resolved = config::load(&Request {
        source,
        environment: Vec::new(),
        overrides: Vec::new(),
    })?;
    super::experiment_args::start_threads(args.threads)?;
    recording::listen_for_interrupts();
    let state = checkpoint::state_to_go_on(&dir.file("checkpoints"))?;
    let step = state.as_ref().map_or(0, |state| state.validated);
    let metrics = match &state {
        Some(_) => database.metrics(&summary.id)?,
        None => Vec::new(),
    };
    drop(database);
    let before = Before {
        dir,
        state,
        metrics: metrics.into_iter().filter(|row| row.step <= step).collect(),
        data_fingerprint: summary.data_fingerprint,
        parent_id: summary.parent_id,
    };
    let place = Place {
        runs: &args.runs.runs,
        cache: &args.cache.cache,
        json: args.json,
        profile: args.profile,
    };
    let summary = run::one(&place, &resolved, Some(before))?;
    match args.json {
        true => output::json(&summary),
        false => Ok(()),
    }
}

fn refuse_what_is_done(run: &RunSummary) -> Result<(), Failure> {
    let (what, hint) = match run.status {
        Status::Completed | Status::StoppedEarly => (
            format!("is {}: there is nothing left to do", run.status.name()),
            format!("`affect show {}` shows its results", run.id),
        ),
        Status::Running | Status::Queued => (
            "is still running".to_owned(),
            "wait for its end, or stop it with Ctrl-C".to_owned(),
        ),
        Status::Failed | Status::Interrupted => return Ok(()),
    };
    Err(Failure::request(format!("run {} {what}", run.id), hint))
}
