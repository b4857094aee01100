use super::failure::Failure;
use super::folders::RunsArg;
use super::output;
use crate::track::Database;

/// Bring runs back that were thrown away; without RUN, list them.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Ids, unique beginnings of them, or `latest`; a parent brings its children along.
    #[arg(value_name = "RUN")]
    run: Vec<String>,
    #[command(flatten)]
    runs: RunsArg,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let database = Database::open_existing(&args.runs.runs)?;
    if args.run.is_empty() {
        let trashed = database.trashed()?;
        if trashed.is_empty() {
            output::note("the trash is empty");
            return Ok(());
        }
        let lines = trashed.iter().map(|dir| format!("{}  {}", dir.id(), dir.experiment()));
        return output::result(&lines.collect::<Vec<_>>().join("\n"));
    }
    let mut dirs = Vec::new();
    for reference in &args.run {
        let dir = database.resolve_trashed(reference)?;
        if !dirs.contains(&dir) {
            dirs.push(dir);
        }
    }
    let mut restored: Vec<String> = Vec::new();
    for dir in dirs.iter() {
        // It may have come back with its parent.
        if dir.path().exists() {
            restored.extend(database.restore(dir)?);
        }
    }
    output::note(&format!("{} brought back", output::count(restored.len(), "run")));
    output::result(&restored.join("\n"))
}
