use super::failure::Failure;
use super::folders::RunsArg;
use super::output;
use crate::track::{Database, RunFilter, RunSummary};

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
    let runs = match folder.exists() {
        true => Database::open(folder)?.runs(&RunFilter {
            experiment: args.experiment.clone(),
            limit: args.limit,
            ..RunFilter::default()
        })?,
        false => Vec::new(),
    };
    if args.json {
        return output::json(&runs);
    }
    if runs.is_empty() {
        output::note("no runs yet; `affect run quickstart` makes one");
        return Ok(());
    }
    let mut table = output::table(&["run", "experiment", "status", "epoch", "seed", "test"], 3);
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
        (Some(error), true) => error.lines().next().unwrap_or_default().chars().take(60).collect(),
        _ => figures.join("  "),
    }
}
