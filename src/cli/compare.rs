use std::collections::HashSet;

use clap::ValueEnum;

use super::failure::Failure;
use super::folders::RunsArg;
use super::output;
use crate::report::compare::{self, Grouping, RunRecord};
use crate::track::{Database, Order, RunFilter, RunSummary, Status};

/// Compare runs: only what differs, first settings, then results.
///
/// Runs that differ only by seed are taken together, and so are the folds of one parent: mean ± standard deviation and 95 % interval
/// over the runs. Each group is held against the first one on the same test examples: the difference with a bootstrap interval
/// over groups of examples (songs, speakers), Wilcoxon's signed-rank test over those groups with Holm's correction, and effect
/// sizes (rank-biserial correlation, Cohen's d).
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Ids, unique beginnings of them, or `latest`; a parent stands for its children.
    #[arg(value_name = "RUN")]
    run: Vec<String>,
    /// All finished runs of this experiment; can be given several times.
    #[arg(long, value_name = "NAME")]
    experiment: Vec<String>,
    /// Take runs with the same value of this KEY together, whatever else differs; can be given several times.
    #[arg(long, value_name = "KEY")]
    group_by: Vec<String>,
    /// How to print.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    #[command(flatten)]
    runs: RunsArg,
    /// Print as JSON.
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Tables for the terminal.
    #[default]
    Text,
    /// GitHub tables.
    Markdown,
    /// One line for each figure of each group.
    Csv,
    /// Tables for a paper, with booktabs.
    Latex,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    if args.run.is_empty() && args.experiment.is_empty() {
        return Err(Failure::request(
            "no runs are named",
            "name them (`affect compare k3f9 latest`), or experiments (`--experiment a --experiment b`)".to_owned(),
        ));
    }
    let database = Database::open_existing(&args.runs.runs)?;
    let runs = chosen(&database, args)?;
    if let [only] = runs.as_slice() {
        return Err(Failure::request(
            format!("there is only one run to compare: {}", only.id),
            format!("name another one, or show it with `affect show {}`", only.id),
        ));
    }
    let grouping = grouping(&database, &args.group_by, &runs)?;
    let records = runs.into_iter().map(|run| RunRecord::read(&database, run));
    let groups = compare::group(records.collect::<Result<_, _>>()?, &grouping);
    let compared = compare::compare(&groups);
    compared.warnings.iter().for_each(|warning| output::warning(warning));
    if groups.len() == 1 && !args.json {
        output::note("the runs differ only by seed");
    }
    match (args.json, args.format) {
        (true, _) => output::json(&compared),
        (false, Format::Text) => output::result(&compared.text(output::table_width())),
        (false, Format::Markdown) => output::result(&compared.markdown()),
        (false, Format::Csv) => output::result(&compared.csv()),
        (false, Format::Latex) => output::result(&compared.latex()),
    }
}

/// The finished runs that are meant, each once, in the order of the request.
fn chosen(database: &Database, args: &Args) -> Result<Vec<RunSummary>, Failure> {
    let mut named = Vec::new();
    for reference in &args.run {
        let run = database.resolve(reference)?;
        match run.children {
            0 => named.push(run),
            _ => named.extend(database.children(&run.id)?.into_iter().rev()),
        }
    }
    for name in &args.experiment {
        let of_experiment = database.runs(&RunFilter {
            experiment: Some(name.clone()),
            order: Order::OldestFirst,
            ..RunFilter::default()
        })?;
        if of_experiment.is_empty() {
            return Err(Failure::request(
                format!("there are no runs of the experiment `{name}`"),
                "list the runs with `affect ls`".to_owned(),
            ));
        }
        // A parent's figures are its children's.
        named.extend(of_experiment.into_iter().filter(|run| run.children == 0));
    }
    let mut seen = HashSet::new();
    named.retain(|run| seen.insert(run.id.clone()));
    let is_done = |run: &RunSummary| matches!(run.status, Status::Completed | Status::StoppedEarly);
    for run in named.iter().filter(|run| !is_done(run)) {
        output::warning(&format!("{} is left out: it is {}", run.id, run.status.name()));
    }
    named.retain(is_done);
    if named.is_empty() {
        return Err(Failure::request(
            "none of the runs is finished",
            "list the runs with `affect ls`".to_owned(),
        ));
    }
    Ok(named)
}

fn grouping(database: &Database, keys: &[String], runs: &[RunSummary]) -> Result<Grouping, Failure> {
    if keys.is_empty() {
        return Ok(Grouping::Settings);
    }
    let mut values = vec![Vec::new(); runs.len()];
    for name in keys {
        let key = database.key(name.trim())?;
        let of_key = database.values(&key, runs)?;
        values
            .iter_mut()
            .zip(of_key)
            .for_each(|(values, value)| values.push(value));
    }
    Ok(Grouping::Values(values))
}
