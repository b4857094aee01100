use super::experiment_args::{ThreadsArg, settings_of};
use super::failure::Failure;
use super::folders::{CacheArg, RunsArg};
use super::output;
use super::recording;
use super::repeats;
use super::run::{self, Before, Origin, Place};
use crate::track::record::Record;
use crate::track::{Database, RunDir, RunSummary, Status};
use crate::train::checkpoint;
use crate::train::spec::DeviceSpec;

/// Go on with an interrupted run, to the same result, on the CPU bit for bit.
///
/// Training goes on after the last sound checkpoint, with the settings, the seed and the split of the run. Of a run with
/// repeats, what is not done is done.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An id, a unique beginning of one, or `latest`.
    #[arg(value_name = "RUN")]
    run: String,
    #[command(flatten)]
    threads: ThreadsArg,
    /// Go on with another device than the run began with; from there on the numbers are that device's. Not for repeats.
    #[arg(long, value_name = "DEVICE")]
    device: Option<DeviceSpec>,
    /// Of a run with repeats: so many of them at once; the threads are shared out. Default: one after the other.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// The parent of this run, which ends its standard input to stop it.
    #[arg(long, value_name = "RUN", hide = true, conflicts_with = "jobs")]
    part_of: Option<String>,
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
    let mut resolved = settings_of(&dir)?;
    if let Some(device) = args.device {
        resolved.experiment.train.device = device;
    }
    args.threads.start()?;
    recording::listen_for_interrupts();
    if args.part_of.is_some() {
        recording::stop_when_stdin_ends();
    }
    let place = Place {
        runs: &args.runs.runs,
        cache: &args.cache.cache,
        json: args.json,
        profile: args.profile,
    };
    if let Some(plan) = repeats::Plan::read(dir.path())? {
        if args.device.is_some() {
            return Err(Failure::request(
                format!(
                    "run {} has repeats, which keep the device that they began with",
                    summary.id
                ),
                "leave `--device` out".to_owned(),
            ));
        }
        drop(database);
        let before = repeats::Before {
            dir,
            plan,
            data_fingerprint: summary.data_fingerprint,
        };
        let summary = repeats::go_on(&place, &resolved, args.jobs.map_or(1, usize::from), before)?;
        return match args.json {
            true => output::json(&summary),
            false => Ok(()),
        };
    }
    let state = checkpoint::state_to_go_on(&dir.file("checkpoints"))?;
    let step = state.as_ref().map_or(0, |state| state.validated);
    let metrics = match &state {
        // In the order in which they were recorded, which is that of the page.
        Some(_) => match Record::read(&dir) {
            Ok(record) => record.metrics,
            Err(_) => database.metrics(&summary.id)?,
        },
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
    let summary = run::one(&place, &resolved, Some(Origin::Before(Box::new(before))))?;
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
