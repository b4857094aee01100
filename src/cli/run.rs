use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use super::experiment_args::SettingsArgs;
use super::failure::Failure;
use super::folders::RunsArg;
use super::output;
use super::pairs;
use super::pipeline::{self, Prepared, Sides, Unusable};
use super::recording;
use super::repeats::{self, Wanted};
use super::trained;
use super::work::{Done, Frame, Work};
use crate::config::{self, Experiment, Resolved};
use crate::dataset::split;
use crate::export::interface;
use crate::features::FeatureSet;
use crate::files;
use crate::nn::Network;
use crate::report::table::Comparison;
use crate::track::{
    BaselineRow, Circumstances, Database, MetricRow, Provenance, RecordSpec, Recorder, ResultRow, RunDir, RunHeader,
    Status,
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
    /// Repeat each experiment with so many seeds, from its own on; the split stays the same.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: Option<u64>,
    /// Run every fold of the split (k-fold or leave-one-group-out).
    #[arg(long, value_name = "all")]
    folds: Option<Folds>,
    /// Repeats to run at once; the threads are shared out. Default: one after the other.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// The parent of this run, which ends its standard input to stop it.
    #[arg(long, value_name = "RUN", hide = true, conflicts_with_all = ["seeds", "folds", "jobs"])]
    part_of: Option<String>,
    #[command(flatten)]
    runs: RunsArg,
    /// Tell where the time went, at the end and in profile.json.
    #[arg(long)]
    profile: bool,
    /// Print the results as JSON: an object, or a list for several experiments.
    #[arg(long)]
    json: bool,
}

/// Which folds are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Folds {
    All,
}

impl Args {
    /// `None` where nothing is repeated.
    fn repeats(&self) -> Option<Wanted> {
        (self.seeds.is_some() || self.folds.is_some()).then(|| Wanted {
            seeds: self.seeds.unwrap_or(1),
            folds: self.folds.is_some(),
            at_once: self.jobs.map_or(1, usize::from),
        })
    }

    /// With repeats, the split is that of the first seed for all.
    fn load(&self, name: &str) -> Result<Resolved, Failure> {
        let resolved = self.settings.load(name)?;
        if self.repeats().is_none() || !resolved.experiment.dataset.split().goes_by_experiment_seed() {
            return Ok(resolved);
        }
        let mut settings = self.settings.clone();
        settings
            .set
            .push(format!("dataset.split.seed={}", resolved.experiment.experiment.seed));
        settings.load(name)
    }
}

/// What a finished run came to, for `--json`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Ran {
    One(Summary),
    Repeats(repeats::Summary),
}

/// As above, of one run.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    run: String,
    pub(super) folder: String,
    status: Status,
    best_epoch: Option<u32>,
    epochs: u32,
    seconds: f64,
    results: Vec<ResultRow>,
    baselines: Vec<BaselineRow>,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    if args.jobs.is_some() && args.repeats().is_none() {
        return Err(Failure::request(
            "`--jobs` says how many repeats run at once, but nothing is repeated",
            "add `--seeds N` or `--folds all`".to_owned(),
        ));
    }
    let resolved = Failure::all(args.experiments.iter().map(|name| args.load(name)))?;
    args.settings.threads.start()?;
    recording::listen_for_interrupts();
    if args.part_of.is_some() {
        recording::stop_when_stdin_ends();
    }
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
        let ran = match args.repeats() {
            None => one(&place, resolved, args.part_of.clone().map(Origin::Parent)).map(Ran::One),
            Some(wanted) => repeats::begin(&place, resolved, wanted).map(Ran::Repeats),
        };
        match ran {
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
        let cache = &args.settings.cache.cache;
        match resolved.experiment.dataset.is_pairs() {
            true => pairs::prepare(resolved, cache).map(drop),
            false => pipeline::prepare(resolved, cache).map(drop),
        }
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

/// Where a run comes from, if not from nothing.
pub(super) enum Origin {
    /// It is one of the repeats of this run.
    Parent(String),
    /// It goes on.
    Before(Box<Before>),
    /// It does again what this finished run did.
    Reproduces { id: String, data_fingerprint: String },
}

/// Says what is run.
pub(super) fn announce(experiment: &Experiment) {
    let about = &experiment.experiment;
    let title = match about.description.as_str() {
        "" => about.name.clone(),
        description => format!("{}: {description}", about.name),
    };
    output::item("experiment", &title);
}

pub(super) fn data_has_changed(run: &str) -> Failure {
    Failure::request(
        format!("the data of run {run} has changed since it was interrupted"),
        "bring the old files back, or begin a new run with `affect run`".to_owned(),
    )
}

/// What is known of a run before it begins. `data`: the fingerprint of its data; `features`: their key.
pub(super) fn header(
    experiment: &Experiment,
    data: String,
    features: String,
    parent_id: Option<String>,
) -> Result<RunHeader, Failure> {
    let about = &experiment.experiment;
    let device = device::open(&experiment.train)?;
    let provenance = Provenance::collect(Circumstances {
        folder: Path::new("."),
        command_line: std::env::args().collect(),
        seed: about.seed,
        device: device::name(&device),
        gpu: device::gpu_of_run(&device),
        threads: rayon::current_num_threads(),
        data_fingerprint: data,
        feature_key: features,
    });
    let config_toml = config::to_toml(experiment);
    // What is recorded changes no result.
    let of_effect = Experiment {
        record: RecordSpec::default(),
        ..experiment.clone()
    };
    Ok(RunHeader {
        config_hash: blake3::hash(config::to_toml(&of_effect).as_bytes())
            .to_hex()
            .to_string(),
        config_toml,
        tags: about.tags.clone(),
        parent_id,
        provenance,
    })
}

/// Carries out an experiment: all of it, or what is left of an interrupted run.
pub(super) fn one(place: &Place, resolved: &Resolved, origin: Option<Origin>) -> Result<Summary, Failure> {
    let started = Instant::now();
    let experiment = &resolved.experiment;
    announce(experiment);
    // A folder that cannot be written is found before any work.
    Database::open(place.runs)?;
    let device = device::open(&experiment.train)?;
    if !device.is_cpu() {
        output::item("device", &device::describe(&device, &experiment.train));
    }
    if experiment.dataset.is_pairs() {
        return pairs::run(place, resolved, origin, &device, started);
    }
    let prepared = pipeline::prepare_and_decode(resolved, place.cache)?;
    let mut features = pipeline::extract_features(resolved, &prepared.manifest, &prepared.splits, place.cache)?;
    let sides = Sides::of(&prepared.splits, &features)?;
    pipeline::normalize(experiment, &mut features, &sides.train)?;
    let (train, val, test) = (sides.train.len(), sides.val.len(), sides.test.len());
    output::item("split", &format!("{train} train, {val} val, {test} test"));
    let network = Network::new(&experiment.model, &prepared.plan, experiment.experiment.seed, &device)?;
    tell_network(prepared.plan.parameters(), prepared.plan.flops());
    let begun = Begun {
        data: data_fingerprint(&prepared, &features),
        features: features.key().into(),
        files: vec![
            ("split.csv", split::write(&prepared.manifest, &prepared.splits)),
            (
                interface::FILE,
                trained::interface(&experiment.features, &prepared)?.text().into_bytes(),
            ),
        ],
        started,
    };
    begun.record(place, experiment, origin, |frame| {
        let work = Work {
            frame,
            prepared: &prepared,
            features: &features,
            unusable: Unusable::of(&prepared.manifest, &features, experiment.dataset.on_error()),
            sides: &sides,
            network: &network,
        };
        work.carry_out()
    })
}

/// "1250 parameters, 3.1 MFLOPs per example".
pub(super) fn tell_network(parameters: usize, flops: u64) {
    let parameters = output::count(parameters, "parameter");
    output::item(
        "network",
        &format!("{parameters}, {} per example", output::flops(flops)),
    );
}

/// A run whose data and network are ready.
pub(super) struct Begun {
    /// The fingerprint of its data.
    pub data: String,
    /// The key of its features.
    pub features: String,
    /// What its folder gets at once: names and contents.
    pub files: Vec<(&'static str, Vec<u8>)>,
    pub started: Instant,
}

impl Begun {
    /// Makes the run's folder and record (or takes up those of an interrupted one), and does the work in it.
    pub fn record(
        self,
        place: &Place,
        experiment: &Experiment,
        origin: Option<Origin>,
        carry_out: impl FnOnce(Frame) -> Result<Done, Failure>,
    ) -> Result<Summary, Failure> {
        let (mut before, mut parent_id, mut reproduced) = (None, None, None);
        match origin {
            None => {}
            Some(Origin::Parent(parent)) => parent_id = Some(parent),
            Some(Origin::Before(it)) => {
                parent_id = it.parent_id.clone();
                before = Some(it);
            }
            Some(Origin::Reproduces { id, data_fingerprint }) => reproduced = Some((id, data_fingerprint)),
        }
        let mut header = header(experiment, self.data, self.features, parent_id)?;
        if let Some(before) = &before
            && before.data_fingerprint != header.provenance.data_fingerprint
        {
            return Err(data_has_changed(before.dir.id()));
        }
        if let Some((id, data_fingerprint)) = reproduced {
            let is = &header.provenance.data_fingerprint;
            if data_fingerprint != *is {
                return Err(Failure::Work {
                    message: format!(
                        "run {id} cannot be reproduced: the data is not what it was (fingerprint {data_fingerprint}, now {is})"
                    ),
                    hint: Some(
                        "bring the old files back; `split.csv` in the run's folder names its examples".to_owned(),
                    ),
                });
            }
            header.tags.push(format!("reproduces:{id}"));
        }
        let dir = match &before {
            Some(before) => before.dir.clone(),
            None => RunDir::create(place.runs, &experiment.experiment.name)?,
        };
        // A run that never began leaves no folder; that it stays behind is not what the user must read.
        let clear = || {
            if before.is_none() {
                let _ = files::remove_folder(dir.path());
            }
        };
        for (name, content) in &self.files {
            files::write_whole(&dir.file(name), content).inspect_err(|_| clear())?;
        }
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
        let started = self.started;
        let frame = Frame {
            experiment,
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
            carry_out(frame)
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
}

/// Equal for equal annotations and equal media.
pub(super) fn data_fingerprint(prepared: &Prepared, features: &FeatureSet) -> String {
    blake3::hash(format!("{} {}", prepared.manifest.fingerprint(), features.content()).as_bytes())
        .to_hex()
        .to_string()
}

/// The table that ends a run, and what to type next.
fn conclude(place: &Place, dir: &RunDir, done: Done, started: Instant) -> Result<Summary, Failure> {
    let seconds = started.elapsed().as_secs_f64();
    if !place.json {
        let comparison = Comparison::of_reported_split(&done.results, &done.baselines).of_the_whole();
        let elsewhere = match place.runs == Path::new(RunsArg::DEFAULT) {
            true => String::new(),
            false => format!(" --runs {}", place.runs.display()),
        };
        let text = format!(
            "{}\nrun {} ({}, {})\nnext: open {} or type `affect tensorboard{}`",
            comparison.text(output::table_width()),
            output::bold(dir.id()),
            done.status.name(),
            output::seconds(seconds),
            dir.file("report.html").display(),
            elsewhere
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
