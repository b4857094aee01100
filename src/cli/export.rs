use std::path::PathBuf;

use super::failure::Failure;
use super::folders::RunsArg;
use super::output;
use crate::track::{Database, Format};

/// Write the records of runs as tables for other programs.
///
/// The tables are runs, params, metrics, results, baselines, tags and notes, each a file of its own.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub struct Args {
    /// Ids, unique beginnings of them, or `latest`; a parent brings its children along. Default: all runs.
    #[arg(value_name = "RUN")]
    run: Vec<String>,
    /// Write runs.csv, params.csv … into this folder.
    #[arg(long, value_name = "DIR", group = "what")]
    csv: Option<PathBuf>,
    /// Write runs.parquet, params.parquet … into this folder, with types: pandas reads numbers, times and nulls as such.
    #[arg(long, value_name = "DIR", group = "what")]
    parquet: Option<PathBuf>,
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
    let mut lines = Vec::new();
    for (format, folder) in [(Format::Csv, &args.csv), (Format::Parquet, &args.parquet)] {
        let Some(folder) = folder else { continue };
        let written = database.export(format, folder, runs.as_deref())?;
        lines.extend(
            written
                .iter()
                .map(|(path, rows)| format!("{} ({})", path.display(), output::count(*rows, "row"))),
        );
    }
    output::result(&lines.join("\n"))
}
