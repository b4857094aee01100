use clap::ValueEnum;

use super::failure::Failure;
use super::folders::RunsArg;
use super::output;
use super::selection::{PairsArgs, Selection};
use crate::report::{Width, compare};
use crate::track::Database;

/// Compare runs: only what differs, first settings, then results.
///
/// Runs that differ only by seed are taken together, and so are the folds of one parent: mean ± standard deviation and 95 % interval
/// over the runs. Each group is held against the first one on the same test examples: the difference with a bootstrap interval
/// over groups of examples (songs, speakers), Wilcoxon's signed-rank test over those groups with Holm's correction, and effect
/// sizes (rank-biserial correlation, Cohen's d). Holm's correction counts all tests of one figure (say, CCC of arousal) that the
/// command makes: all pairs, and all baselines.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    pairs: PairsArgs,
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
    args.selection.refuse_nothing("compare")?;
    let database = Database::open_existing(&args.runs.runs)?;
    let runs = args.selection.finished(&database)?;
    if let ([only], false) = (runs.as_slice(), args.pairs.baselines) {
        return Err(Failure::request(
            format!("there is only one run to compare: {}", only.id),
            format!(
                "name another one, add `--baselines`, or show it with `affect show {}`",
                only.id
            ),
        ));
    }
    let groups = args.selection.groups(&database, runs)?;
    let compared = compare::compare(&groups, args.pairs.pairs());
    compared.warnings.iter().for_each(|warning| output::warning(warning));
    let nothing_kept = args.pairs.baselines
        && compared
            .contrasts
            .iter()
            .all(|contrast| is_model(&compared, &contrast.reference));
    if nothing_kept && compared.warnings.is_empty() {
        output::warning("the runs keep no predictions of baselines, so nothing is tested against them");
    }
    if let ([group], false) = (groups.as_slice(), args.json)
        && group.runs.len() > 1
    {
        output::note("the runs differ only by seed");
    }
    match (args.json, args.format) {
        (true, _) => output::json(&compared),
        (false, Format::Text) => output::result(&compared.text(output::table_width())),
        (false, Format::Markdown) => output::result(&compared.markdown()),
        (false, Format::Csv) => output::result(&compared.csv()),
        (false, Format::Latex) => output::result(&compared.latex(Width::default())),
    }
}

fn is_model(compared: &compare::Compared, name: &str) -> bool {
    compared.groups.iter().any(|group| group.name == name)
}
