use super::failure::Failure;
use super::folders::RunsArg;
use super::output;
use crate::track::Database;

/// Add tags to a run, or remove them.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An id, a unique beginning of one, or `latest`.
    #[arg(value_name = "RUN")]
    run: String,
    /// A word to find runs by: `affect ls --tag TAG`.
    #[arg(value_name = "TAG", required = true)]
    tags: Vec<String>,
    /// Take the tags away instead.
    #[arg(long)]
    remove: bool,
    #[command(flatten)]
    runs: RunsArg,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let database = Database::open_existing(&args.runs.runs)?;
    let run = database.resolve(&args.run)?;
    let tags: Vec<String> = args.tags.iter().map(|tag| tag.trim().to_owned()).collect();
    match args.remove {
        false => database.tag(&run, &tags, &[])?,
        true => {
            for tag in tags.iter().filter(|tag| !run.tags.contains(tag)) {
                output::warning(&format!("{} has no tag `{tag}`", run.id));
            }
            database.tag(&run, &[], &tags)?;
        }
    }
    let now = database.resolve(&run.id)?.tags;
    output::note(&match now.is_empty() {
        true => format!("{} has no tags", run.id),
        false => format!("{} has the tags {}", run.id, now.join(", ")),
    });
    Ok(())
}
