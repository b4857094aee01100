//! Repeats of an experiment: a parent run with a child for each seed and fold.
//!
//! The parent prepares the data once, so that every mistake is told before the first child begins and features are computed
//! once. Its folder holds `plan.json`; its children are ordinary runs whose `parent_id` it is, made by processes of this
//! program. What is done can be told from the record alone, so `affect resume PARENT` does the rest after any interruption.

mod outcome;
mod plan;
mod processes;
mod telling;

use std::process::Command;
use std::time::{Duration, Instant};

use serde::Serialize;

pub use plan::Plan;

use self::outcome::{DoneRun, Together};
use self::plan::Variation;
use self::processes::Words;
use self::telling::Telling;
use super::failure::Failure;
use super::output;
use super::pairs;
use super::pipeline::{self, Sides};
use super::recording;
use super::report;
use super::run::{self, Place};
use crate::config::Resolved;
use crate::dataset::split;
use crate::features::FeatureSet;
use crate::report::{PageAt, Width};
use crate::track::record::final_figures;
use crate::track::{BaselineRow, Database, Recorder, ResultRow, RunDir, RunSummary, Status};

/// How long children whose parent is gone may take to save their state.
const CHILDREN_STOP_WITHIN: Duration = Duration::from_secs(30);

/// What is to be repeated, and how.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    pub seeds: u64,
    /// Whether every fold of the split is run.
    pub folds: bool,
    /// So many children at once.
    pub at_once: usize,
}

/// A parent that exists already.
pub struct Before {
    pub dir: RunDir,
    pub plan: Plan,
    pub data_fingerprint: String,
}

/// What the repeats came to, for `--json`.
#[derive(Debug, Serialize)]
pub struct Summary {
    run: String,
    folder: String,
    status: Status,
    seconds: f64,
    /// The children's ids, in the order of the plan.
    runs: Vec<String>,
    results: Vec<ResultRow>,
    baselines: Vec<BaselineRow>,
}

/// Carries out all repeats of an experiment.
pub fn begin(place: &Place, resolved: &Resolved, wanted: Wanted) -> Result<Summary, Failure> {
    let experiment = &resolved.experiment;
    carry_out(place, resolved, wanted.at_once, |folds| {
        let folds = match (wanted.folds, folds) {
            (false, _) => None,
            (true, 2..) => Some(folds),
            (true, _) => {
                return Err(Failure::Mistakes(resolved.mistake(
                    "dataset.split",
                    "`--folds all` needs a split with folds".to_owned(),
                    Some("write `kind = \"k-fold\"` with `folds = 5`, or `kind = \"leave-one-group-out\"`".to_owned()),
                )));
            }
        };
        let dir = RunDir::create(place.runs, &experiment.experiment.name)?;
        let plan = Plan::new(experiment.experiment.seed, wanted.seeds, folds);
        plan.write(&dir)?;
        Ok(Parent {
            dir,
            plan,
            before: None,
        })
    })
}

/// Does what is not done yet.
pub fn go_on(place: &Place, resolved: &Resolved, at_once: usize, before: Before) -> Result<Summary, Failure> {
    carry_out(place, resolved, at_once, |_| {
        Ok(Parent {
            dir: before.dir,
            plan: before.plan,
            before: Some(before.data_fingerprint),
        })
    })
}

struct Parent {
    dir: RunDir,
    plan: Plan,
    /// The fingerprint of the data when it began.
    before: Option<String>,
}

fn carry_out(
    place: &Place,
    resolved: &Resolved,
    at_once: usize,
    parent: impl FnOnce(usize) -> Result<Parent, Failure>,
) -> Result<Summary, Failure> {
    let started = Instant::now();
    let experiment = &resolved.experiment;
    run::announce(experiment);
    // A folder that cannot be written is found before any work.
    Database::open(place.runs)?;
    let (header, parent) = match experiment.dataset.is_pairs() {
        false => {
            let prepared = pipeline::prepare_and_decode(resolved, place.cache)?;
            let features = pipeline::extract_features(resolved, &prepared.manifest, &prepared.splits, place.cache)?;
            let parent = parent(split::folds(&prepared.manifest, experiment.dataset.split()))?;
            check_every_fold(resolved, &parent.plan, &prepared, &features)?;
            let fingerprint = run::data_fingerprint(&prepared, &features);
            (
                run::header(experiment, fingerprint, features.key().into(), None)?,
                parent,
            )
        }
        true => {
            let (prepared, features, fingerprint, folds) = pairs::prepare_repeats(resolved, place.cache)?;
            let parent = parent(folds)?;
            for fold in parent.plan.runs.iter().filter_map(|run| run.fold) {
                pairs::check_fold(resolved, &prepared, &features, fold)?;
            }
            (run::header(experiment, fingerprint, features.key(), None)?, parent)
        }
    };
    if parent
        .before
        .as_ref()
        .is_some_and(|before| *before != header.provenance.data_fingerprint)
    {
        return Err(run::data_has_changed(parent.dir.id()));
    }
    let recorder = match parent.before {
        None => Recorder::start(parent.dir.clone(), place.runs, header),
        Some(_) => Recorder::resume(parent.dir.clone(), place.runs, header, 0),
    }?;
    recorder.event("plan", serde_json::to_value(&parent.plan).unwrap_or_default());
    let id = parent.dir.id();
    let done = {
        let _graceful = recording::Graceful::begin();
        run_children(place, resolved, at_once, &parent)
    }
    .and_then(|runs| {
        let about = &experiment.experiment;
        let together = Together::of(&parent.plan, &runs, about.seed, experiment.evaluate.bootstrap)?;
        if let Some(predictions) = &together.predictions {
            predictions.write(&parent.dir.file("predictions.csv"))?;
        }
        if let Some(ensemble) = &together.ensemble {
            ensemble.write(&parent.dir.file("ensemble.csv"))?;
        }
        recorder.results(together.results.clone(), together.baselines.clone());
        Ok((runs, together))
    })
    .map_err(Failure::in_mid_run);
    let (status, error) = match &done {
        Ok(_) => (Status::Completed, None),
        Err(failure @ Failure::Interrupted { .. }) => (Status::Interrupted, Some(failure.message())),
        Err(failure) => (Status::Failed, Some(failure.message())),
    };
    match recorder.finish(status, error) {
        Ok(finished) => finished.complaints.iter().for_each(|text| output::warning(text)),
        Err(error) => output::warning(&error.to_string()),
    }
    write_page(place, id);
    let (runs, together) = done.inspect_err(|_| output::item("run", &format!("{id} ({})", status.name())))?;
    let seconds = started.elapsed().as_secs_f64();
    if !place.json {
        let text = format!(
            "{}\nrun {} ({}, {}, {})\nnext: open {}",
            together.text(&parent.plan, output::table_width()),
            output::bold(id),
            parent.plan.describe(),
            status.name(),
            output::seconds(seconds),
            parent.dir.file(crate::report::PAGE).display()
        );
        match output::result(&text) {
            Err(Failure::ClosedPipe) => {}
            written => written?,
        }
    }
    Ok(Summary {
        run: id.to_owned(),
        folder: parent.dir.path().display().to_string(),
        status,
        seconds,
        runs: runs.into_iter().map(|run| run.id).collect(),
        results: together.results,
        baselines: together.baselines,
    })
}

/// The page of the parent, whatever became of it. That it cannot be made takes nothing from the runs.
fn write_page(place: &Place, id: &str) {
    let write = || -> Result<(), Failure> {
        let database = Database::open(place.runs)?;
        let run = database.resolve(id)?;
        let page = PageAt {
            folder: &run.path,
            runs: place.runs,
        };
        Ok(report::draw(&database, &run, page, Width::default())?.write(&run.path)?)
    };
    if let Err(failure) = write() {
        output::warning(&format!(
            "the page of run {id} could not be made: {}",
            failure.message()
        ));
    }
}

/// A fold without readable examples is better found now than after the folds before it.
fn check_every_fold(
    resolved: &Resolved,
    plan: &Plan,
    prepared: &pipeline::Prepared,
    features: &FeatureSet,
) -> Result<(), Failure> {
    let experiment = &resolved.experiment;
    for fold in plan.runs.iter().filter_map(|run| run.fold) {
        let spec = experiment.dataset.split().with_fold(fold);
        let sides = split::assign(&prepared.manifest, &spec, experiment.experiment.seed)?;
        Sides::of(&sides, features)?;
    }
    Ok(())
}

/// Brings every run of the plan to its end.
fn run_children(place: &Place, resolved: &Resolved, at_once: usize, parent: &Parent) -> Result<Vec<DoneRun>, Failure> {
    let id = parent.dir.id();
    let jobs = jobs(place, parent)?;
    let at_once = at_once.clamp(1, jobs.len().max(1));
    let runs = parent.plan.runs.len();
    if jobs.len() < runs {
        let done = output::count(runs - jobs.len(), "run");
        output::item("resuming", &format!("{id}: {done} of {runs} done before"));
    }
    let program = std::env::current_exe().map_err(|error| Failure::Work {
        message: format!("cannot find this program's own file: {error}"),
        hint: None,
    })?;
    let threads = rayon::current_num_threads();
    let command = |job: usize, slot: usize| {
        let mut command = Command::new(&program);
        if let Some(job) = jobs.get(job) {
            job.arguments(&mut command, parent);
        }
        // The first ones get what is left over.
        let share = threads / at_once + usize::from(slot < threads % at_once);
        command
            .arg("--json")
            .arg("--part-of")
            .arg(id)
            .arg("--threads")
            .arg(share.max(1).to_string())
            .arg("--cache")
            .arg(place.cache)
            .arg("--runs")
            .arg(place.runs);
        if place.profile {
            command.arg("--profile");
        }
        // The settings are those of the parent, whatever the environment says.
        for (name, _) in std::env::vars_os() {
            if name
                .to_str()
                .is_some_and(|name| name.starts_with("AFFECT_") && name.contains("__"))
            {
                command.env_remove(name);
            }
        }
        command
    };
    let words = match at_once {
        1 => Words::Through,
        _ => Words::Watched,
    };
    let monitor = resolved.experiment.train.early_stopping.monitor.metric();
    let mut telling = Telling::new(&jobs, runs, words, monitor);
    processes::carry_out(jobs.len(), at_once, words, command, &mut telling)?;
    let (failed, not_begun) = (telling.failed, jobs.len() - telling.ended);
    let interrupted = telling.interrupted;
    if let Some(stage) = telling.stage {
        stage.finish(&format!("{} of {runs} done", runs - failed - interrupted - not_begun));
    }
    let left = failed + interrupted + not_begun;
    if recording::interrupted() || (interrupted > 0 && failed == 0) {
        let done = runs - left;
        return Err(Failure::Interrupted {
            message: format!("interrupted with {done} of {runs} runs done; `affect resume {id}` does the rest"),
        });
    }
    if left > 0 {
        return Err(Failure::Work {
            message: format!("{} of {runs} did not end well", output::count(left, "run")),
            hint: Some(format!(
                "their messages are above; `affect ls` lists them, and `affect resume {id}` tries them again"
            )),
        });
    }
    done_runs(place, parent)
}

/// A run that is not done.
struct Job {
    /// In the plan, from 1.
    number: usize,
    variation: Variation,
    /// The run that was begun before and can go on.
    begun: Option<String>,
}

impl Job {
    fn arguments(&self, command: &mut Command, parent: &Parent) {
        match &self.begun {
            Some(id) => drop(command.arg("resume").arg(id)),
            None => {
                command.arg("run").arg(parent.dir.file("experiment.toml"));
                for setting in self.variation.overrides() {
                    command.arg("--set").arg(setting);
                }
            }
        }
    }
}

/// The children once none of them runs. Those of a parent that was killed stop by themselves within a step or two.
fn children_at_rest(place: &Place, parent: &Parent) -> Result<Vec<Child>, Failure> {
    let asked = Instant::now();
    let mut told = false;
    loop {
        let children = children(place, parent)?;
        let mut running = children.iter().filter(|child| !child.run.status.is_final());
        let Some(first) = running.next() else {
            return Ok(children);
        };
        if recording::interrupted() || asked.elapsed() > CHILDREN_STOP_WITHIN {
            return Err(Failure::request(
                format!("run {} ({}) is still running", first.run.id, first.variation.describe()),
                "wait for its end; then what is left can be done".to_owned(),
            ));
        }
        if !told {
            let count = output::count(1 + running.count(), "run");
            output::item("waiting", &format!("for {count} to stop"));
            told = true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What is left to do, by the record.
fn jobs(place: &Place, parent: &Parent) -> Result<Vec<Job>, Failure> {
    let children = children_at_rest(place, parent)?;
    let mut jobs = Vec::new();
    for (index, &variation) in parent.plan.runs.iter().enumerate() {
        let of_variation = || children.iter().filter(|child| child.variation == variation);
        if of_variation().any(Child::is_done) {
            continue;
        }
        let begun = of_variation().find(|child| child.run.path.exists());
        jobs.push(Job {
            number: index + 1,
            variation,
            begun: begun.map(|child| child.run.id.clone()),
        });
    }
    Ok(jobs)
}

fn done_runs(place: &Place, parent: &Parent) -> Result<Vec<DoneRun>, Failure> {
    let children = children(place, parent)?;
    let database = Database::open(place.runs)?;
    let mut runs = Vec::new();
    for &variation in &parent.plan.runs {
        let child = children
            .iter()
            .find(|child| child.variation == variation && child.is_done())
            .ok_or_else(|| Failure::Work {
                message: format!("the record of the run with {} is missing", variation.describe()),
                hint: Some(format!(
                    "`affect ls --rebuild` makes the index anew; then `affect resume {}`",
                    parent.dir.id()
                )),
            })?;
        let (results, baselines) = final_figures(&database, &child.run)?;
        runs.push(DoneRun {
            variation,
            results,
            baselines,
            folder: child.run.path.clone(),
            id: child.run.id.clone(),
        });
    }
    Ok(runs)
}

struct Child {
    variation: Variation,
    run: RunSummary,
}

impl Child {
    fn is_done(&self) -> bool {
        matches!(self.run.status, Status::Completed | Status::StoppedEarly)
    }
}

/// The runs that go back to the parent, the newest first.
fn children(place: &Place, parent: &Parent) -> Result<Vec<Child>, Failure> {
    let database = Database::open(place.runs)?;
    let mut children = Vec::new();
    for run in database.children(parent.dir.id())? {
        let params = database.params(&run.id)?;
        let fold = params
            .iter()
            .find(|row| row.key == "dataset.split.fold")
            .and_then(|row| row.value.as_u64());
        let fold = fold
            .and_then(|fold| usize::try_from(fold).ok())
            .filter(|_| parent.plan.has_folds());
        children.push(Child {
            variation: Variation { seed: run.seed, fold },
            run,
        });
    }
    Ok(children)
}
