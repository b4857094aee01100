use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::failure::Failure;
use super::folders::RunsArg;
use super::media;
use super::output;
use super::selection::{PairsArgs, Selection};
use crate::files;
use crate::report::{self, Output, PageAt, SeveralReport, Width, compare};
use crate::track::{Database, RunSummary};

/// Draw runs: a page that stands alone, figures (SVG, PNG) and tables (Markdown, CSV, LaTeX).
///
/// One run: its results next to its baselines, predictions, curves, worst examples, settings. A run with repeats: all of them, with mean and
/// deviation. Several runs: what differs between them, results as in `affect compare`, curves overlaid; runs that differ only by
/// seed are taken together. The page needs no network and no other file.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    pairs: PairsArgs,
    /// The folder for the page, figures and tables. Default: for one run its own folder; for several one in `reports` in the folder of runs.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How wide figures and LaTeX tables may be.
    #[arg(long, value_enum, default_value_t, value_name = "WIDTH")]
    width: FigureWidth,
    #[command(flatten)]
    runs: RunsArg,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum FigureWidth {
    /// One column of a paper: figures of 95 mm, tables of 84 mm.
    Column,
    /// 190 mm for figures of several panels, 95 mm for others.
    #[default]
    Page,
}

impl From<FigureWidth> for Width {
    fn from(width: FigureWidth) -> Self {
        match width {
            FigureWidth::Column => Self::Column,
            FigureWidth::Page => Self::Page,
        }
    }
}

/// The file in a folder that says which files of it are of a report.
const OURS: &str = "report.json";

pub fn run(args: &Args) -> Result<(), Failure> {
    args.selection.refuse_nothing("report")?;
    let database = Database::open_existing(&args.runs.runs)?;
    let folder = match args.selection.only(&database)? {
        Some(run) => one(args, &database, &run)?,
        None => several(args, &database)?,
    };
    output::result(&folder.join(report::PAGE).display().to_string())
}

fn one(args: &Args, database: &Database, run: &RunSummary) -> Result<PathBuf, Failure> {
    if !run.path.exists() {
        return Err(Failure::request(
            format!("the folder of run {} is gone: `{}`", run.id, run.path.display()),
            "bring it back, or take the run out of the index with `affect ls --rebuild`".to_owned(),
        ));
    }
    let folder = args.out.as_deref().unwrap_or(&run.path);
    let page = PageAt {
        folder,
        runs: &args.runs.runs,
    };
    let drawn = draw(database, run, page, args.width.into())?;
    match &args.out {
        None => drawn.write(folder)?,
        Some(folder) => write_into(folder, &drawn)?,
    }
    Ok(folder.to_path_buf())
}

/// The report of a run, from its record.
pub fn draw(database: &Database, run: &RunSummary, page: PageAt<'_>, width: Width) -> Result<Output, Failure> {
    let mut report = report::read(database, run, page)?;
    report.width = width;
    let children = database.children(&run.id)?;
    let children = children.into_iter().map(|child| child.path);
    let folders: Vec<PathBuf> = std::iter::once(run.path.clone()).chain(children).collect();
    media::add_to(&mut report, &folders, page.folder);
    Ok(Output::of_run(&report)?)
}

fn several(args: &Args, database: &Database) -> Result<PathBuf, Failure> {
    let runs = args.selection.finished(database)?;
    let folder = match &args.out {
        Some(folder) => folder.clone(),
        None => args.runs.runs.join("reports").join(name_for(&runs)),
    };
    let groups = args.selection.groups(database, runs)?;
    let compared = compare::compare(&groups, args.pairs.pairs());
    compared.warnings.iter().for_each(|warning| output::warning(warning));
    let page = PageAt {
        folder: &folder,
        runs: &args.runs.runs,
    };
    let typed = args.selection.typed() + &args.pairs.typed();
    let mut several = SeveralReport::read(database, &groups, compared, page, &typed)?;
    several.width = args.width.into();
    write_into(&folder, &Output::of_several(&several)?)?;
    Ok(folder)
}

/// The random parts of the first runs' ids, and a few digits that stand for all.
fn name_for(runs: &[RunSummary]) -> String {
    let ids: Vec<&str> = runs.iter().map(|run| run.id.as_str()).collect();
    let hash = blake3::hash(ids.join(" ").as_bytes()).to_hex();
    let suffixes = ids.iter().take(3).map(|id| id.rsplit('-').next().unwrap_or(id));
    let suffixes: Vec<&str> = suffixes.chain([&hash[..6]]).collect();
    suffixes.join("-")
}

/// Writes into a folder that may hold other things; only what an earlier report wrote there is replaced.
fn write_into(folder: &Path, drawn: &Output) -> Result<(), Failure> {
    let list = folder.join(OURS);
    let known: Vec<String> = (std::fs::read(&list).ok())
        .and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok())
        .and_then(|list| serde_json::from_value(list.get("files")?.clone()).ok())
        .unwrap_or_default();
    let mut files = drawn.files();
    files.push(OURS.to_owned());
    let is_foreign = |file: &&String| !known.contains(file) && folder.join(file).symlink_metadata().is_ok();
    if let Some(foreign) = files.iter().find(is_foreign) {
        return Err(Failure::request(
            format!(
                "`{}` is there already, and no report wrote it there",
                folder.join(foreign).display()
            ),
            "name another folder with `--out`".to_owned(),
        ));
    }
    // Before the files themselves: what a crash leaves can be written again.
    files::create_folder(folder)?;
    let mut listed = known;
    listed.extend(
        files
            .into_iter()
            .filter(|file| !listed.contains(file))
            .collect::<Vec<_>>(),
    );
    let text = serde_json::json!({ "made_by": "affect report", "files": listed });
    let text = serde_json::to_string_pretty(&text).unwrap_or_default() + "\n";
    files::write_whole(&list, text.as_bytes())?;
    Ok(drawn.write(folder)?)
}
