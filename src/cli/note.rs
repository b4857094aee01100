use super::failure::Failure;
use super::folders::RunsArg;
use super::output;
use crate::track::Database;

/// Write a note about a run; `affect show` has all of them.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An id, a unique beginning of one, or `latest`.
    #[arg(value_name = "RUN")]
    run: String,
    /// What is to be remembered.
    #[arg(value_name = "TEXT", required = true)]
    text: Vec<String>,
    #[command(flatten)]
    runs: RunsArg,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let text = args.text.join(" ");
    if text.trim().is_empty() {
        return Err(Failure::request("the note is empty", None));
    }
    let database = Database::open_existing(&args.runs.runs)?;
    let run = database.resolve(&args.run)?;
    database.note(&run, text.trim())?;
    output::note(&format!("noted for {}", run.id));
    Ok(())
}
