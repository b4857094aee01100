use super::failure::Failure;
use super::folders::RunsArg;
use super::output;
use crate::track::{Database, Error, RunFilter, RunSummary};

/// List the runs, newest first.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only runs of this experiment.
    #[arg(long, value_name = "NAME")]
    experiment: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Make the index anew from the run folders first.
    #[arg(long)]
    rebuild: bool,
    #[command(flatten)]
    runs: RunsArg,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let folder = &args.runs.runs;
    if args.rebuild {
        let rebuilt = Database::rebuild(folder)?;
        output::note(&format!("{} in the index", output::count(rebuilt.runs, "run")));
        for folder in &rebuilt.without_log {
            output::warning(&format!("{} holds no log that can be read", folder.display()));
        }
        if let Some(path) = &rebuilt.set_aside {
            output::warning(&format!("the damaged index was kept as {}", path.display()));
        }
    }
    let filter = RunFilter {
        experiment: args.experiment.clone(),
        limit: args.limit,
        ..RunFilter::default()
    };
    let (runs, is_indexed) = match Database::open_existing(folder) {
        Ok(database) => (database.runs(&filter)?, true),
        Err(Error::NoRuns { .. }) => (Vec::new(), false),
        Err(error) => return Err(error.into()),
    };
    if args.json {
        return output::json(&runs);
    }
    if runs.is_empty() {
        let folder = folder.display();
        output::note(&match &args.experiment {
            Some(name) => format!("no runs of {name} in {folder}"),
            None if is_indexed => format!("no runs yet in {folder}; `affect run quickstart` makes one"),
            None => format!(
                "no runs yet in {folder}; `affect run quickstart` makes one, `affect ls --rebuild` finds those of a lost index"
            ),
        });
        return Ok(());
    }
    let mut table = output::table(&["run", "experiment", "status", "epoch", "seed", "test"], 3..5, 5);
    for run in &runs {
        table.add_row([
            run.id.clone(),
            run.experiment.clone(),
            run.status.name().into(),
            run.epoch.to_string(),
            run.seed.to_string(),
            headline(run),
        ]);
    }
    output::result(&table.to_string())
}

/// The figures that people look at first.
fn headline(run: &RunSummary) -> String {
    let figure = |name: &str| {
        let row = run.headline.iter().find(|row| row.name == name)?;
        Some(format!("{name} {:.4}", row.value))
    };
    let figures: Vec<String> = ["rmse", "ccc", "accuracy", "uar"]
        .into_iter()
        .filter_map(figure)
        .collect();
    match (&run.error, figures.is_empty()) {
        (Some(error), true) => first_words(error),
        _ => figures.join("  "),
    }
}

/// The beginning of an error: `affect show` has all of it.
fn first_words(error: &str) -> String {
    const SHOWN: usize = 60;
    let line = error.lines().next().unwrap_or_default();
    match line.chars().count() > SHOWN || error.lines().count() > 1 {
        true => line.chars().take(SHOWN).chain(['…']).collect(),
        false => line.to_owned(),
    }
}
