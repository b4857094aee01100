use super::failure::Failure;
use super::folders::RunsArg;
use super::output;
use crate::track::{Database, Error, Removal};

/// Throw runs away; `affect restore` brings them back.
///
/// Their folders move to `.trash` in the runs folder. A parent takes its children along.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Ids, unique beginnings of them, or `latest`.
    #[arg(value_name = "RUN", required = true)]
    run: Vec<String>,
    /// Delete them for good, also those in the trash.
    #[arg(long)]
    purge: bool,
    #[command(flatten)]
    runs: RunsArg,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let database = Database::open_existing(&args.runs.runs)?;
    let (mut runs, mut trashed) = (Vec::new(), Vec::new());
    for reference in &args.run {
        match database.resolve(reference) {
            Ok(run) => runs.push(run),
            Err(error @ (Error::UnknownRun { .. } | Error::NoRuns { .. })) if args.purge => {
                // It may have been thrown away before.
                trashed.push(database.resolve_trashed(reference).map_err(|_| error)?);
            }
            Err(error) => return Err(error.into()),
        }
    }
    let removal = if args.purge { Removal::Purge } else { Removal::Trash };
    let mut removed = database.remove(&runs, removal)?;
    for dir in trashed {
        database.purge(&dir)?;
        removed.push(dir.id().to_owned());
    }
    let what = output::count(removed.len(), "run");
    output::note(&match args.purge {
        true => format!("{what} deleted"),
        false => format!(
            "{what} thrown away; `affect restore {}` brings back what was asked for",
            args.run.join(" ")
        ),
    });
    output::result(&removed.join("\n"))
}
