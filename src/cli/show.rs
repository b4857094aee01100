use serde::Serialize;

use super::failure::Failure;
use super::folders::RunsArg;
use super::output;
use crate::report::table::Comparison;
use crate::track::record::final_figures;
use crate::track::{ArtifactRow, BaselineRow, Database, NoteRow, ParamRow, ResultRow, RunSummary};

/// Show a run: settings, results next to baselines, files.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An id, a unique beginning of one, or `latest`.
    #[arg(value_name = "RUN")]
    run: String,
    #[command(flatten)]
    runs: RunsArg,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown {
    run: RunSummary,
    results: Vec<ResultRow>,
    baselines: Vec<BaselineRow>,
    params: Vec<ParamRow>,
    artifacts: Vec<ArtifactRow>,
    notes: Vec<NoteRow>,
    /// The runs that go back to this one.
    children: Vec<String>,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let database = Database::open_existing(&args.runs.runs)?;
    let run = database.resolve(&args.run)?;
    let (results, baselines) = final_figures(&database, &run)?;
    let shown = Shown {
        results,
        baselines,
        params: database.params(&run.id)?,
        artifacts: database.artifacts(&run.id)?,
        notes: database.notes(&run.id)?,
        children: database
            .children(&run.id)?
            .into_iter()
            .rev()
            .map(|child| child.id)
            .collect(),
        run,
    };
    match args.json {
        true => output::json(&shown),
        false => output::result(&text(&shown)),
    }
}

fn text(shown: &Shown) -> String {
    let run = &shown.run;
    let time = |moment: Option<jiff::Timestamp>| {
        moment.map_or_else(
            || "–".into(),
            |moment| moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        )
    };
    let mut lines = vec![
        format!("{} {}", output::bold(&run.id), run.status.name()),
        format!("experiment {}", run.experiment),
        format!("started    {}", time(run.started_at)),
        format!("finished   {}", time(run.finished_at)),
        format!("epochs     {}", run.epoch),
        format!("seed       {}, {}", run.seed, run.device),
        format!("folder     {}", run.path.display()),
    ];
    if let Some(parent) = &run.parent_id {
        lines.push(format!("parent     {parent}"));
    }
    if !shown.children.is_empty() {
        lines.push(format!("children   {}", shown.children.join(", ")));
    }
    if !run.tags.is_empty() {
        lines.push(format!("tags       {}", run.tags.join(", ")));
    }
    lines
        .extend((shown.notes.iter()).map(|note| format!("note       {}: {}", note.at.strftime("%Y-%m-%d"), note.text)));
    if let Some(error) = &run.error {
        lines.push(format!("error      {error}"));
    }
    if !shown.results.is_empty() {
        let comparison = Comparison::of_reported_split(&shown.results, &shown.baselines);
        lines.extend([String::new(), comparison.text(output::table_width())]);
    }
    lines.extend([String::new(), output::bold("settings")]);
    lines.extend(shown.params.iter().map(|param| {
        // The database keeps lists and truth values as texts, so quotes would say nothing.
        let value = match &param.value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        format!("  {} = {value}", param.key)
    }));
    lines.extend([String::new(), output::bold("files")]);
    lines.extend(
        shown
            .artifacts
            .iter()
            .map(|file| format!("  {} ({})", file.path, output::bytes(file.bytes))),
    );
    lines.join("\n")
}
