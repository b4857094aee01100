//! A report of a run, made from what the run left behind.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;

use super::table::{OUT_OF_FOLD, reported_split};
use super::{Again, Member, RunReport, Width, intervals, pooled, relative};
use crate::track::record::Record;
use crate::track::{Database, Error, Predictions, RunDir, RunSummary, Status};

const PREDICTIONS: &str = "predictions.csv";
/// Resamples behind intervals where the settings say none.
const RESAMPLES: usize = 1000;

/// Where a page is going to lie.
#[derive(Debug, Clone, Copy)]
pub struct PageAt<'a> {
    pub folder: &'a Path,
    /// The folder of all runs, as the user names it.
    pub runs: &'a Path,
}

/// All that is known of a run, and of its repeats where it has some. Examples have no media yet. What is missing or damaged in the run's
/// folder is left out, and remarked.
///
/// # Errors
/// An index that cannot be read.
pub fn read(database: &Database, run: &RunSummary, page: PageAt<'_>) -> Result<RunReport, Error> {
    let settings_toml = database.config_toml(&run.id)?;
    let settings: toml::Table = settings_toml.parse().unwrap_or_default();
    let text = |path: [&str; 2]| {
        let value = settings.get(path[0]).and_then(|table| table.get(path[1]));
        value.and_then(toml::Value::as_str).unwrap_or_default().to_owned()
    };
    let mut remarks = Vec::new();
    let mut best = None;
    let mut recorded = None;
    let mut began = None;
    match RunDir::open(&run.path).and_then(|dir| Record::read(&dir)) {
        Ok(record) => {
            remarks = record.remarks;
            best = record.best;
            began = Some(record.provenance.started_at);
            // The log has targets in the order of the data; the index has an order of its own.
            recorded = Some((record.metrics, record.results, record.baselines));
        }
        Err(error) => remarks.push(format!("The log cannot be read: {error}.")),
    }
    let provenance = std::fs::read(run.path.join("provenance.json"));
    let provenance = provenance.ok().and_then(|text| serde_json::from_slice(&text).ok());
    let children = database.children(&run.id)?;
    let members = members(database, &children, page)?;
    let (metrics, results, baselines) = match recorded {
        Some(recorded) => recorded,
        None => (
            database.metrics(&run.id)?,
            database.results(&run.id)?,
            database.baselines(&run.id)?,
        ),
    };
    remarks.extend(shared_remarks(&children));
    let split = reported_split(&results).to_owned();
    let (predictions, prediction_seeds) = match children.is_empty() {
        true => (own_predictions(run, &mut remarks), Vec::new()),
        false => predictions_of(&children, &split, &mut remarks),
    };
    let bootstrap = settings.get("evaluate").and_then(|table| table.get("bootstrap"));
    let bootstrap = bootstrap
        .and_then(toml::Value::as_integer)
        .and_then(|it| usize::try_from(it).ok());
    let places: Vec<(u64, &Path)> = match children.is_empty() {
        true => vec![(run.seed, run.path.as_path())],
        false => (children.iter().rev())
            .filter(|child| is_done(child))
            .map(|child| (child.seed, child.path.as_path()))
            .collect(),
    };
    // The mean over several seeds has another kind of interval.
    let baseline_intervals = match children.is_empty() || split == OUT_OF_FOLD {
        true => intervals::of_baselines(&baselines, &split, &places, run.seed, bootstrap.unwrap_or(RESAMPLES)),
        false => Vec::new(),
    };
    if let Some(error) = &run.error {
        remarks.push(format!("The run ended with an error: {error}"));
    }
    // Of a run that was resumed, from its first start on.
    let started = began.or(run.started_at);
    let seconds = started.zip(run.finished_at);
    let seconds = seconds.map_or(f64::NAN, |(started, finished)| {
        finished.duration_since(started).as_secs_f64()
    });
    let monitor = settings.get("train").and_then(|train| train.get("early_stopping"));
    let monitor = monitor
        .and_then(|stopping| stopping.get("monitor"))
        .and_then(toml::Value::as_str);
    Ok(RunReport {
        id: run.id.clone(),
        experiment: run.experiment.clone(),
        description: text(["experiment", "description"]),
        status: run.status,
        started_at: started.map_or_else(String::new, moment),
        seconds,
        seed: run.seed,
        device: run.device.clone(),
        best_epoch: best.map(|best| best.0),
        best_step: best.map(|best| best.1),
        monitor: monitor.unwrap_or_default().to_owned(),
        metrics,
        results,
        baselines,
        baseline_intervals,
        predictions,
        prediction_seeds,
        repeats: repeats(&members),
        commands: commands(&run.id, page),
        members: members.into_iter().map(|(member, _)| member).collect(),
        settings_toml,
        provenance: provenance.unwrap_or_default(),
        remarks,
        media: BTreeMap::new(),
        width: Width::default(),
    })
}

/// As a page shows it.
pub fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn is_done(run: &RunSummary) -> bool {
    matches!(run.status, Status::Completed | Status::StoppedEarly)
}

fn own_predictions(run: &RunSummary, remarks: &mut Vec<String>) -> Option<Predictions> {
    let path = run.path.join(PREDICTIONS);
    if !path.exists() {
        return None;
    }
    let read = Predictions::read(&path);
    read.inspect_err(|error| remarks.push(format!("The predictions cannot be read: {error}.")))
        .ok()
}

/// What all repeats remark.
fn shared_remarks(children: &[RunSummary]) -> Vec<String> {
    let remarks = |run: &RunSummary| {
        let record = RunDir::open(&run.path).and_then(|dir| Record::read(&dir));
        record.map(|record| record.remarks).unwrap_or_default()
    };
    let mut children = children.iter().filter(|child| is_done(child));
    let mut shared = children.next().map(remarks).unwrap_or_default();
    for child in children {
        let others = remarks(child);
        shared.retain(|remark| others.contains(remark));
    }
    shared
}

/// The test predictions of all repeats that are done, and the seed behind each where there are several.
fn predictions_of(children: &[RunSummary], split: &str, remarks: &mut Vec<String>) -> (Option<Predictions>, Vec<u64>) {
    let done: Vec<(u64, &Path)> = (children.iter().rev())
        .filter(|child| is_done(child))
        .map(|child| (child.seed, child.path.as_path()))
        .collect();
    if done.len() < children.len() {
        remarks.push(format!(
            "{} of {} runs are done: predictions are those of these.",
            done.len(),
            children.len()
        ));
    }
    let sets = pooled::of_seeds(&done, Path::new(PREDICTIONS), "test");
    let sets =
        sets.inspect_err(|error| remarks.push(format!("The predictions of the repeats cannot be read: {error}.")));
    let mut seeds: Vec<u64> = Vec::new();
    for (seed, _) in &done {
        if !seeds.contains(seed) {
            seeds.push(*seed);
        }
    }
    let several = seeds.len() > 1;
    let mut of_rows = Vec::new();
    let mut all: Option<Predictions> = None;
    for (seed, mut set) in seeds.into_iter().zip(sets.unwrap_or_default()) {
        for row in &mut set.rows {
            split.clone_into(&mut row.split);
        }
        if several {
            of_rows.resize(of_rows.len() + set.rows.len(), seed);
        }
        match &mut all {
            None => all = Some(set),
            Some(all) => all.rows.append(&mut set.rows),
        }
    }
    (all, of_rows)
}

/// The repeats, oldest first, each with its fold.
fn members(
    database: &Database,
    children: &[RunSummary],
    page: PageAt<'_>,
) -> Result<Vec<(Member, Option<u64>)>, Error> {
    let mut members = Vec::new();
    for child in children.iter().rev() {
        let params = database.params(&child.id)?;
        let fold = params.iter().find(|row| row.key == "dataset.split.fold");
        let fold = fold.and_then(|row| row.value.as_u64());
        members.push((member(database, child, page)?, fold, child.seed));
    }
    let folds_differ = members.windows(2).any(|pair| pair[0].1 != pair[1].1);
    let seeds_differ = members.windows(2).any(|pair| pair[0].2 != pair[1].2);
    let name = |seed: u64, fold: Option<u64>| match (fold.filter(|_| folds_differ), seeds_differ) {
        (Some(fold), true) => format!("seed {seed}, fold {fold}"),
        (Some(fold), false) => format!("fold {fold}"),
        (None, _) => format!("seed {seed}"),
    };
    Ok(members
        .into_iter()
        .map(|(mut member, fold, seed)| {
            member.name = name(seed, fold);
            (member, fold.filter(|_| folds_differ))
        })
        .collect())
}

/// One of several runs of a page; its name is its seed.
///
/// # Errors
/// An index that cannot be read.
pub(super) fn member(database: &Database, run: &RunSummary, page: PageAt<'_>) -> Result<Member, Error> {
    let record = RunDir::open(&run.path).and_then(|dir| Record::read(&dir));
    let own_page = run.path.join("report.html");
    Ok(Member {
        id: run.id.clone(),
        name: format!("seed {}", run.seed),
        status: run.status,
        best_epoch: record.ok().and_then(|record| record.best).map(|best| best.0),
        metrics: database.metrics(&run.id)?,
        results: database.results(&run.id)?,
        link: own_page.exists().then(|| relative(page.folder, &own_page)).flatten(),
        error: run.error.clone(),
    })
}

/// "10 folds", "3 seeds", "3 seeds of 10 folds"; "" without repeats.
fn repeats(members: &[(Member, Option<u64>)]) -> String {
    let count = |count: usize, word: &str| match count {
        1 => format!("1 {word}"),
        count => format!("{count} {word}s"),
    };
    let mut folds: Vec<u64> = members.iter().filter_map(|(_, fold)| *fold).collect();
    folds.sort_unstable();
    folds.dedup();
    match (members.len(), folds.len()) {
        (0, _) => String::new(),
        (runs, 0) => count(runs, "seed"),
        (runs, folds) if runs <= folds => count(folds, "fold"),
        (runs, folds) => format!("{} of {}", count(runs.div_ceil(folds), "seed"), count(folds, "fold")),
    }
}

/// What makes the numbers and the page of a run again.
pub fn commands(run: &str, page: PageAt<'_>) -> Vec<Again> {
    let runs = option(page.runs);
    let again = |what: &str, command: &str| Again {
        what: what.to_owned(),
        command: format!("affect {command} {run}{runs}"),
    };
    let mut commands = vec![
        again(
            "Train and test again, and compare every figure and every prediction with those of this page",
            "reproduce",
        ),
        again("Show the results and baselines as they are recorded", "show"),
        again("Draw this page, its figures and its tables again", "report"),
    ];
    let mut tested = again("Test against each baseline, on the same examples", "compare");
    tested.command.push_str(" --baselines");
    commands.push(tested);
    commands
}

/// What must stand behind a command so that it finds the runs: " --runs lab/runs", or nothing.
pub(super) fn option(runs: &Path) -> String {
    match runs.to_string_lossy() {
        usual if usual == "runs" => String::new(),
        name if name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "-_./".contains(letter)) =>
        {
            format!(" --runs {name}")
        }
        name => format!(" --runs '{}'", name.replace('\'', r"'\''")),
    }
}
