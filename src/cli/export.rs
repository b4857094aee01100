use std::path::PathBuf;

use super::failure::Failure;
use super::folders::RunsArg;
use super::output;
use crate::track::Database;

/// Write the records of runs as tables for other programs.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub struct Args {
    /// Ids, unique beginnings of them, or `latest`; a parent brings its children along. Default: all runs.
    #[arg(value_name = "RUN")]
    run: Vec<String>,
    /// Write runs.csv, params.csv, metrics.csv, results.csv, baselines.csv, tags.csv and notes.csv into this folder.
    #[arg(long, value_name = "DIR", group = "what")]
    csv: Option<PathBuf>,
    #[command(flatten)]
    runs: RunsArg,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let database = Database::open_existing(&args.runs.runs)?;
    let mut ids = Vec::new();
    for reference in &args.run {
        let run = database.resolve(reference)?;
        ids.extend(database.children(&run.id)?.into_iter().map(|child| child.id));
        ids.push(run.id);
    }
    let runs = Some(ids).filter(|ids| !ids.is_empty());
    let Some(folder) = &args.csv else {
        return Ok(());
    };
    let written = database.export_csv(folder, runs.as_deref())?;
    let lines = written
        .iter()
        .map(|(path, rows)| format!("{} ({})", path.display(), output::count(*rows, "row")));
    output::result(&lines.collect::<Vec<_>>().join("\n"))
}
