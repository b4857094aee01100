use std::path::Path;

use serde::Serialize;

use super::experiment_args::{ThreadsArg, settings_of};
use super::failure::Failure;
use super::folders::{CacheArg, RunsArg};
use super::output;
use super::recording;
use super::repeats;
use super::run::{self, Origin, Place};
use super::trained::find;
use crate::track::record::{self, Record};
use crate::track::{Database, RunDir, Status};

/// Repeat a run from its record alone, and say whether its numbers come out the same.
///
/// The repetition is a run of its own, with the settings of the run's experiment.toml and nothing else. Every figure and every
/// prediction is compared bit for bit. Of a run with repeats, each is reproduced. Exit status 1: something differs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An id, a unique beginning of one, `latest`, or the folder of a run.
    #[arg(value_name = "RUN")]
    run: String,
    #[command(flatten)]
    threads: ThreadsArg,
    #[command(flatten)]
    cache: CacheArg,
    #[command(flatten)]
    runs: RunsArg,
    /// Print the comparison as JSON.
    #[arg(long)]
    json: bool,
}

/// What came out, for `--json`.
#[derive(Debug, Serialize)]
struct Reproduced {
    run: String,
    reproduced_by: String,
    same: bool,
    /// How many were compared.
    figures: usize,
    different_figures: usize,
    first_difference: Option<String>,
    same_predictions: bool,
    /// What was another when the run was made.
    changes: Vec<String>,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let dir = find(&args.run, &args.runs)?;
    let dirs = match repeats::Plan::read(dir.path())? {
        None => vec![dir],
        Some(_) => children(args, &dir)?,
    };
    args.threads.start()?;
    recording::listen_for_interrupts();
    let mut reproduced = Vec::new();
    for dir in &dirs {
        if dirs.len() > 1 {
            output::note("");
        }
        reproduced.push(one(args, dir)?);
    }
    if args.json {
        match reproduced.as_slice() {
            [one] => output::json(one)?,
            several => output::json(&several)?,
        }
    }
    let different = reproduced.iter().filter(|it| !it.same).count();
    match (different, reproduced.len()) {
        (0, _) => Ok(()),
        (_, 1) => Err(Failure::Told { status: 1 }),
        (different, all) => Err(Failure::Work {
            message: format!("{different} of {all} runs are not reproduced"),
            hint: None,
        }),
    }
}

fn children(args: &Args, parent: &RunDir) -> Result<Vec<RunDir>, Failure> {
    let mut children = Database::open_existing(&args.runs.runs)?.children(parent.id())?;
    children.retain(|run| matches!(run.status, Status::Completed | Status::StoppedEarly));
    children.reverse();
    if children.is_empty() {
        return Err(Failure::request(
            format!("run {} has no finished runs that could be reproduced", parent.id()),
            format!("`affect resume {}` finishes them", parent.id()),
        ));
    }
    children.iter().map(|run| Ok(RunDir::open(&run.path)?)).collect()
}

fn one(args: &Args, dir: &RunDir) -> Result<Reproduced, Failure> {
    let was = Record::read(dir)?;
    if !matches!(was.status, Some(Status::Completed | Status::StoppedEarly)) {
        let status = was.status.map_or("not finished", Status::name);
        return Err(Failure::request(
            format!(
                "run {} is {status}: only the numbers of a finished run can be reproduced",
                dir.id()
            ),
            format!("`affect resume {}` finishes an interrupted run", dir.id()),
        ));
    }
    let resolved = settings_of(dir)?;
    let place = Place {
        runs: &args.runs.runs,
        cache: &args.cache.cache,
        json: true,
        profile: false,
    };
    let origin = Origin::Reproduces {
        id: dir.id().to_owned(),
        data_fingerprint: was.provenance.data_fingerprint.clone(),
    };
    let summary = run::one(&place, &resolved, Some(origin))?;
    let again = RunDir::open(Path::new(&summary.folder))?;
    let is = Record::read(&again)?;
    let differences = was.differences(&is);
    let same_predictions = record::same_file(dir, &again, "predictions.csv")?;
    let figure = |value: Option<f64>| value.map_or_else(|| "nothing".to_owned(), |value| format!("{value:?}"));
    let reproduced = Reproduced {
        run: dir.id().to_owned(),
        reproduced_by: again.id().to_owned(),
        same: differences.is_empty() && same_predictions,
        figures: was.len(),
        different_figures: differences.len(),
        first_difference: differences
            .first()
            .map(|first| format!("{} was {}, is now {}", first.what, figure(first.was), figure(first.is))),
        same_predictions,
        changes: was.provenance.changes(&is.provenance),
    };
    if !args.json {
        output::result(&text(&reproduced))?;
    }
    Ok(reproduced)
}

fn text(reproduced: &Reproduced) -> String {
    let Reproduced { run, reproduced_by, .. } = reproduced;
    let figures = output::count(reproduced.figures, "figure");
    let mut lines = match reproduced.same {
        true => vec![format!(
            "{} reproduces {}: {figures} and all predictions are the same, bit for bit",
            output::bold(reproduced_by),
            output::bold(run)
        )],
        false => vec![format!(
            "{} does not reproduce {}: {} of {figures} differ, predictions.csv {}",
            output::bold(reproduced_by),
            output::bold(run),
            reproduced.different_figures,
            match reproduced.same_predictions {
                true => "is the same",
                false => "differs",
            }
        )],
    };
    if let Some(first) = &reproduced.first_difference {
        lines.push(format!("  the first that differs: {first}"));
    }
    if !reproduced.changes.is_empty() {
        lines.push("  around it, this has changed:".to_owned());
        lines.extend(reproduced.changes.iter().map(|change| format!("    {change}")));
    } else if !reproduced.same {
        lines.push("  around it, nothing that is recorded has changed".to_owned());
    }
    lines.join("\n")
}
