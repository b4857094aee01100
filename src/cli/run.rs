use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use super::experiment_args::SettingsArgs;
use super::failure::Failure;
use super::folders::RunsArg;
use super::output;
use super::pipeline::{self, Prepared, Sides, Unusable};
use super::recording;
use super::work::{Done, Work};
use crate::config::{self, Resolved};
use crate::dataset::split;
use crate::features::FeatureSet;
use crate::files;
use crate::nn::Network;
use crate::report::table::Comparison;
use crate::track::{
    BaselineRow, Circumstances, Database, MetricRow, Provenance, Recorder, ResultRow, RunDir, RunHeader, Status,
};
use crate::train::checkpoint::State;
use crate::train::{Begin, device};

/// Run experiments: features, baselines, training, test, plots.
///
/// Several experiments are checked before the first one runs. One that fails does not keep the others from running.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Names in experiments/, or paths of experiment files.
    #[arg(required = true, value_name = "EXPERIMENT")]
    experiments: Vec<String>,
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    runs: RunsArg,
    /// Tell where the time went, at the end and in profile.json.
    #[arg(long)]
    profile: bool,
    /// Print the results as JSON: an object, or a list for several experiments.
    #[arg(long)]
    json: bool,
}

/// What a finished run came to, for `--json`.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    run: String,
    folder: String,
    status: Status,
    best_epoch: Option<u32>,
    epochs: u32,
    seconds: f64,
    results: Vec<ResultRow>,
    baselines: Vec<BaselineRow>,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let resolved = Failure::all(args.experiments.iter().map(|name| args.settings.load(name)))?;
    args.settings.start_threads()?;
    recording::listen_for_interrupts();
    check_several(args, &resolved)?;
    let place = Place {
        runs: &args.runs.runs,
        cache: &args.settings.cache.cache,
        json: args.json,
        profile: args.profile,
    };
    let mut summaries = Vec::new();
    let mut failed = None;
    for resolved in &resolved {
        if recording::interrupted() {
            let name = &resolved.experiment.experiment.name;
            return Err(Failure::Interrupted {
                message: format!("interrupted before {name} began"),
            });
        }
        match one(&place, resolved, None) {
            Ok(summary) => summaries.push(summary),
            Err(interrupted @ Failure::Interrupted { .. }) => return Err(interrupted),
            // The others go on: a night's work should not end with the first run that diverges.
            Err(failure) => failed = Some(failure.tell_now(failed)),
        }
    }
    if args.json {
        match (summaries.as_slice(), args.experiments.len()) {
            ([summary], 1) => output::json(summary)?,
            ([], 1) => {}
            (several, _) => output::json(&several)?,
        }
    }
    failed.map_or(Ok(()), Err)
}

/// What is wrong with the last of several experiments should be known before the first one has run for hours.
fn check_several(args: &Args, resolved: &[Resolved]) -> Result<(), Failure> {
    if resolved.len() < 2 {
        return Ok(());
    }
    Failure::all(resolved.iter().map(|resolved| {
        output::item("check", &resolved.experiment.experiment.name);
        pipeline::prepare(resolved, &args.settings.cache.cache).map(drop)
    }))
    .map(drop)
}

/// Where a run finds and leaves things.
pub(super) struct Place<'a> {
    pub runs: &'a Path,
    pub cache: &'a Path,
    /// Whether the results are printed as JSON, by the caller.
    pub json: bool,
    /// Whether to tell where the time went.
    pub profile: bool,
}

/// A run that was interrupted.
pub(super) struct Before {
    pub dir: RunDir,
    /// Where training stood; `None` before its first checkpoint.
    pub state: Option<State>,
    /// What was recorded up to there.
    pub metrics: Vec<MetricRow>,
    /// What the data and the features were then.
    pub data_fingerprint: String,
    pub parent_id: Option<String>,
}

/// Carries out an experiment: all of it, or what is left of an interrupted run.
pub(super) fn one(place: &Place, resolved: &Resolved, before: Option<Before>) -> Result<Summary, Failure> {
    let started = Instant::now();
    let experiment = &resolved.experiment;
    let about = &experiment.experiment;
    let cache = place.cache;
    let title = match about.description.as_str() {
        "" => about.name.clone(),
        description => format!("{}: {description}", about.name),
    };
    output::item("experiment", &title);
    // A folder that cannot be written is found before any work.
    Database::open(place.runs)?;
    let device = device::open(experiment.train.device)?;
    let prepared = pipeline::prepare_and_decode(resolved, cache)?;
    let mut features = pipeline::extract_features(resolved, &prepared.manifest, &prepared.splits, cache)?;
    let sides = Sides::of(&prepared.splits, &features)?;
    pipeline::normalize(experiment, &mut features, &sides.train)?;
    let (train, val, test) = (sides.train.len(), sides.val.len(), sides.test.len());
    output::item("split", &format!("{train} train, {val} val, {test} test"));
    let network = Network::new(&experiment.model, &prepared.plan, about.seed, &device)?;
    let parameters = output::count(prepared.plan.parameters(), "parameter");
    let flops = output::flops(prepared.plan.flops());
    output::item("network", &format!("{parameters}, {flops} per example"));

    let data_fingerprint = data_fingerprint(&prepared, &features);
    if let Some(before) = &before
        && before.data_fingerprint != data_fingerprint
    {
        return Err(Failure::request(
            format!(
                "the data of run {} has changed since it was interrupted",
                before.dir.id()
            ),
            "bring the old files back, or begin a new run with `affect run`".to_owned(),
        ));
    }
    let dir = match &before {
        Some(before) => before.dir.clone(),
        None => RunDir::create(place.runs, &about.name)?,
    };
    // A run that never began leaves no folder; that it stays behind is not what the user must read.
    let clear = || {
        if before.is_none() {
            let _ = files::remove_folder(dir.path());
        }
    };
    let split = split::write(&prepared.manifest, &prepared.splits);
    files::write_whole(&dir.file("split.csv"), &split).inspect_err(|_| clear())?;
    let provenance = Provenance::collect(Circumstances {
        folder: Path::new("."),
        command_line: std::env::args().collect(),
        seed: about.seed,
        device: device::name(&device).into(),
        threads: rayon::current_num_threads(),
        data_fingerprint,
        feature_key: features.key().into(),
    });
    let config_toml = config::to_toml(experiment);
    let header = RunHeader {
        config_hash: blake3::hash(config_toml.as_bytes()).to_hex().to_string(),
        config_toml,
        tags: about.tags.clone(),
        parent_id: before.as_ref().and_then(|before| before.parent_id.clone()),
        provenance,
    };
    let recorder = match &before {
        None => Recorder::start(dir.clone(), place.runs, header.clone()),
        Some(before) => {
            let step = before.state.as_ref().map_or(0, |state| state.validated);
            Recorder::resume(dir.clone(), place.runs, header.clone(), step)
        }
    }
    .inspect_err(|_| clear())?;
    let begin = match before.as_ref().and_then(|before| before.state.as_ref()) {
        Some(state) => {
            output::item("resuming", &format!("{} after {}", dir.id(), state.place()));
            Begin::AfterLast
        }
        None => Begin::Fresh,
    };
    let work = Work {
        experiment,
        prepared: &prepared,
        features: &features,
        unusable: Unusable::of(&prepared.manifest, &features, experiment.dataset.on_error()),
        sides: &sides,
        network: &network,
        dir: &dir,
        recorder: &recorder,
        header: &header,
        started,
        begin,
        metrics: before.map_or_else(Vec::new, |before| before.metrics),
        profile: place.profile,
    };
    let done = {
        let _graceful = recording::Graceful::begin();
        work.carry_out()
    };
    match done {
        Ok(done) => {
            let finished = recorder
                .finish(done.status, None)
                .map_err(|error| Failure::from(error).in_mid_run())?;
            finished.complaints.iter().for_each(|text| output::warning(text));
            conclude(place, &dir, done, started)
        }
        Err(failure) => {
            let failure = failure.in_mid_run();
            let status = match failure {
                Failure::Interrupted { .. } => Status::Interrupted,
                _ => Status::Failed,
            };
            // The failure itself is what the user must read; that recording it failed too comes second.
            match recorder.finish(status, Some(failure.message())) {
                Ok(finished) => finished.complaints.iter().for_each(|text| output::warning(text)),
                Err(error) => output::warning(&error.to_string()),
            }
            output::item("run", &format!("{} ({})", dir.id(), status.name()));
            Err(failure)
        }
    }
}

/// Equal for equal annotations and equal media.
fn data_fingerprint(prepared: &Prepared, features: &FeatureSet) -> String {
    blake3::hash(format!("{} {}", prepared.manifest.fingerprint(), features.content()).as_bytes())
        .to_hex()
        .to_string()
}

/// The metrics of the table that ends a run; those of single classes are in the report.
const HEADLINE: [&str; 10] = [
    "mse",
    "rmse",
    "mae",
    "r2",
    "pearson",
    "ccc",
    "accuracy",
    "uar",
    "macro-f1",
    "weighted-f1",
];

/// The table that ends a run, and what to type next.
fn conclude(place: &Place, dir: &RunDir, done: Done, started: Instant) -> Result<Summary, Failure> {
    let seconds = started.elapsed().as_secs_f64();
    if !place.json {
        let comparison = Comparison::of_reported_split(&done.results, &done.baselines).only(&HEADLINE);
        let text = format!(
            "{}\nrun {} ({}, {})\nnext: open {} or type `tensorboard --logdir {}`",
            comparison.text(output::table_width()),
            output::bold(dir.id()),
            done.status.name(),
            output::seconds(seconds),
            dir.file("report.html").display(),
            place.runs.display()
        );
        match output::result(&text) {
            // The run is recorded; what follows it need not wait for a reader.
            Err(Failure::ClosedPipe) => {}
            written => written?,
        }
    }
    Ok(Summary {
        run: dir.id().into(),
        folder: dir.path().display().to_string(),
        status: done.status,
        best_epoch: done.fitted.best_epoch,
        epochs: done.fitted.epochs,
        seconds,
        results: done.results,
        baselines: done.baselines,
    })
}
