use std::collections::{HashMap, HashSet};

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::failure::Failure;
use super::folders::RunsArg;
use super::{output, since};
use crate::track::{Condition, Database, Error, Family, Key, Order, RunFilter, RunSummary, Status};

/// List the runs, newest first.
///
/// Runs that belong to a parent (repeats, folds) are counted in its row; `--all` shows them too. KEY is a column (`status`,
/// `seed`, `epoch`, `seconds`, …), a setting (`optimizer.learning_rate`) or a figure (`test/rmse`, `test/ccc/valence`); where a
/// figure is no final one, its last value of training counts (`val/loss`).
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only runs of this experiment.
    #[arg(long, value_name = "NAME")]
    experiment: Option<String>,
    /// Only runs with this status.
    #[arg(long, value_name = "STATUS", value_parser = status_parser())]
    status: Option<Status>,
    /// Only runs with this tag.
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Only runs made since then: a date (`2026-11-20`, UTC) or an age (`3h`, `2d`).
    #[arg(long, value_name = "WHEN", value_parser = since::parse)]
    since: Option<Timestamp>,
    /// Only runs of which this holds: a KEY, one of < <= > >= = !=, and a value, as in "test/rmse < 0.3"; can be given several
    /// times. Runs without such a value are left out.
    #[arg(long = "where", value_name = "CONDITION")]
    conditions: Vec<String>,
    /// Sort by this KEY, the lowest first.
    #[arg(long, value_name = "KEY", allow_hyphen_values = false)]
    sort: Option<String>,
    /// Turn the order round.
    #[arg(long)]
    reverse: bool,
    /// At most so many.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Show the id and these KEYs, separated by commas.
    #[arg(long, value_name = "KEYS", value_delimiter = ',')]
    columns: Vec<String>,
    /// Show the children of parent runs too, under their parents.
    #[arg(long)]
    all: bool,
    /// Make the index anew from the run folders first.
    #[arg(long)]
    rebuild: bool,
    #[command(flatten)]
    runs: RunsArg,
    /// Print as JSON.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print as CSV.
    #[arg(long)]
    csv: bool,
}

fn status_parser() -> impl clap::builder::TypedValueParser<Value = Status> {
    PossibleValuesParser::new(Status::ALL.map(Status::name))
        .try_map(|name| Status::from_name(&name).ok_or("there is no such status"))
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let folder = &args.runs.runs;
    if args.rebuild {
        rebuild(folder)?;
    }
    let filter = filter(args)?;
    let database = match Database::open_existing(folder) {
        Ok(database) => Some(database),
        Err(Error::NoRuns { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let mut listed = Listed::default();
    if let Some(database) = &database {
        let mut runs = database.runs(&filter)?;
        if args.all {
            runs = under_their_parents(runs);
            runs.truncate(args.limit.unwrap_or(usize::MAX));
        }
        for name in args.columns.iter().map(|name| name.trim()).filter(|name| *name != "id") {
            let key = database.key(name)?;
            listed.values.push(database.values(&key, &runs)?);
            listed.keys.push(key);
        }
        listed.runs = runs;
    }
    match (args.json, args.csv, args.columns.is_empty()) {
        (true, _, true) => output::json(&listed.runs),
        (true, _, false) => output::json(&listed.objects()),
        (false, true, columns) => output::result(&listed.csv(columns)?),
        (false, false, _) if listed.runs.is_empty() => {
            nothing(args, database.is_some());
            Ok(())
        }
        (false, false, true) => output::result(&listed.summary()),
        (false, false, false) => output::result(&listed.table()),
    }
}

fn rebuild(folder: &std::path::Path) -> Result<(), Failure> {
    let rebuilt = Database::rebuild(folder)?;
    output::note(&format!("{} in the index", output::count(rebuilt.runs, "run")));
    for folder in &rebuilt.without_log {
        output::warning(&format!("{} holds no log that can be read", folder.display()));
    }
    if let Some(path) = &rebuilt.set_aside {
        output::warning(&format!("the damaged index was kept as {}", path.display()));
    }
    Ok(())
}

fn filter(args: &Args) -> Result<RunFilter, Failure> {
    let conditions = args.conditions.iter().map(|text| Condition::parse(text));
    Ok(RunFilter {
        experiment: args.experiment.clone(),
        status: args.status,
        tag: args.tag.clone(),
        since: args.since,
        conditions: conditions.collect::<Result<_, _>>()?,
        family: if args.all { Family::All } else { Family::WithoutChildren },
        order: match (&args.sort, args.reverse) {
            (None, false) => Order::NewestFirst,
            (None, true) => Order::OldestFirst,
            (Some(key), false) => Order::Ascending(key.trim().to_owned()),
            (Some(key), true) => Order::Descending(key.trim().to_owned()),
        },
        // With children, rows are counted after they found their places.
        limit: args.limit.filter(|_| !args.all),
    })
}

fn nothing(args: &Args, is_indexed: bool) {
    let folder = args.runs.runs.display();
    let asked = args.status.is_some() || args.tag.is_some() || args.since.is_some() || !args.conditions.is_empty();
    output::note(&match &args.experiment {
        _ if is_indexed && asked => format!("no such runs in {folder}"),
        Some(name) => format!("no runs of {name} in {folder}"),
        None if is_indexed => format!("no runs yet in {folder}; `affect run quickstart` makes one"),
        None => format!(
            "no runs yet in {folder}; `affect run quickstart` makes one, `affect ls --rebuild` finds those of a lost index"
        ),
    });
}

/// Children directly after their parent, in the order of their beginnings; those whose parent is not there stay where they are.
fn under_their_parents(runs: Vec<RunSummary>) -> Vec<RunSummary> {
    let ids: HashSet<String> = runs.iter().map(|run| run.id.clone()).collect();
    let mut children: HashMap<String, Vec<RunSummary>> = HashMap::new();
    let mut heads = Vec::new();
    for run in runs {
        match run
            .parent_id
            .clone()
            .filter(|parent| ids.contains(parent) && *parent != run.id)
        {
            Some(parent) => children.entry(parent).or_default().push(run),
            None => heads.push(run),
        }
    }
    let mut listed = Vec::new();
    let mut next: Vec<RunSummary> = heads.into_iter().rev().collect();
    while let Some(run) = next.pop() {
        let mut below = children.remove(&run.id).unwrap_or_default();
        below.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        next.extend(below.into_iter().rev());
        listed.push(run);
    }
    // Parents that go back to each other: the index was changed by hand.
    listed.extend(children.into_values().flatten());
    listed
}

/// The runs, and the values of the columns that were asked for.
#[derive(Default)]
struct Listed {
    runs: Vec<RunSummary>,
    keys: Vec<Key>,
    /// As many as `keys`, each as long as `runs`.
    values: Vec<Vec<Value>>,
}

impl Listed {
    /// The id, indented under the parent where that is shown.
    fn ids(&self) -> Vec<String> {
        let shown: HashSet<&str> = self.runs.iter().map(|run| run.id.as_str()).collect();
        let id = |run: &RunSummary| match &run.parent_id {
            Some(parent) if shown.contains(parent.as_str()) => format!("└ {}", run.id),
            _ => run.id.clone(),
        };
        self.runs.iter().map(id).collect()
    }

    /// What people look at first.
    fn summary(&self) -> String {
        let has_parents = self.runs.iter().any(|run| run.children > 0);
        let mut header = vec!["run", "experiment", "status", "epoch", "seed"];
        if has_parents {
            header.push("children");
        }
        header.push("test");
        let last = header.len() - 1;
        let mut table = output::table(&header, 3..5, last);
        for (run, id) in self.runs.iter().zip(self.ids()) {
            let mut row = vec![
                id,
                run.experiment.clone(),
                run.status.name().to_owned(),
                match run.children {
                    0 => run.epoch.to_string(),
                    // A parent trains nothing itself.
                    _ => "–".to_owned(),
                },
                run.seed.to_string(),
            ];
            if has_parents {
                row.push(match run.children {
                    0 => String::new(),
                    children => output::count(children as usize, "run"),
                });
            }
            row.push(headline(run));
            table.add_row(row);
        }
        table.to_string()
    }

    fn table(&self) -> String {
        let is_number =
            |values: &Vec<Value>| values.iter().any(Value::is_number) && !values.iter().any(Value::is_string);
        let names = self.keys.iter().map(Key::name);
        let header: Vec<&str> = std::iter::once("run").chain(names).collect();
        let mut table = output::table(&header, 0..0, header.len() - 1);
        for (index, values) in self.values.iter().enumerate() {
            if let Some(column) = table.column_mut(index + 1).filter(|_| is_number(values)) {
                column.set_cell_alignment(comfy_table::CellAlignment::Right);
            }
        }
        for (index, id) in self.ids().into_iter().enumerate() {
            let values = self.keys.iter().zip(&self.values);
            let values = values.filter_map(|(key, values)| Some(cell(key.name(), values.get(index)?)));
            table.add_row(std::iter::once(id).chain(values));
        }
        table.to_string()
    }

    fn objects(&self) -> Vec<Map<String, Value>> {
        let object = |(index, run): (usize, &RunSummary)| {
            let mut object = Map::new();
            object.insert("id".to_owned(), run.id.clone().into());
            for (key, values) in self.keys.iter().zip(&self.values) {
                object.insert(key.name().to_owned(), values.get(index).cloned().unwrap_or_default());
            }
            object
        };
        self.runs.iter().enumerate().map(object).collect()
    }

    /// Every digit; empty where there is no value.
    fn csv(&self, default_columns: bool) -> Result<String, Failure> {
        if !default_columns {
            let names = self.keys.iter().map(Key::name);
            let row = |(index, run): (usize, &RunSummary)| {
                let values = self
                    .values
                    .iter()
                    .filter_map(move |values| values.get(index))
                    .map(plain);
                std::iter::once(run.id.clone()).chain(values).collect::<Vec<_>>()
            };
            return output::csv(
                std::iter::once("id").chain(names),
                self.runs.iter().enumerate().map(row),
            );
        }
        let objects = default_columns_of(&self.runs);
        let mut names: Vec<&String> = Vec::new();
        for object in &objects {
            let new: Vec<&String> = object.keys().filter(|name| !names.contains(name)).collect();
            names.extend(new);
        }
        let row = |object: &Map<String, Value>| {
            let value = |name: &&String| object.get(*name).map_or_else(String::new, plain);
            names.iter().map(value).collect::<Vec<_>>()
        };
        output::csv(names.iter().map(|name| name.as_str()), objects.iter().map(row))
    }
}

fn default_columns_of(runs: &[RunSummary]) -> Vec<Map<String, Value>> {
    let moment = |moment: Option<Timestamp>| moment.map_or(Value::Null, |moment| moment.to_string().into());
    let object = |run: &RunSummary| {
        let seconds = run.started_at.zip(run.finished_at.or(run.heartbeat_at));
        let seconds = seconds.map(|(start, end)| end.duration_since(start).as_secs_f64());
        let mut object = Map::new();
        for (name, value) in [
            ("id", run.id.clone().into()),
            ("experiment", run.experiment.clone().into()),
            ("status", run.status.name().into()),
            ("seed", run.seed.into()),
            ("device", run.device.clone().into()),
            ("created_at", moment(Some(run.created_at))),
            ("finished_at", moment(run.finished_at)),
            ("seconds", seconds.map_or(Value::Null, Value::from)),
            ("epoch", run.epoch.into()),
            ("parent_id", run.parent_id.clone().map_or(Value::Null, Value::from)),
            ("children", run.children.into()),
            ("tags", run.tags.join(" ").into()),
            ("error", run.error.clone().map_or(Value::Null, Value::from)),
        ] {
            object.insert(name.to_owned(), value);
        }
        for row in &run.headline {
            object.insert(format!("{}/{}", row.split, row.name), row.value.into());
        }
        object
    };
    runs.iter().map(object).collect()
}

/// A value in a table for people: settings as they were given, figures to four decimals.
fn cell(name: &str, value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::Number(number) if number.is_f64() && name.contains('/') => {
            number.as_f64().map_or_else(String::new, output::figure)
        }
        other => plain(other).lines().next().unwrap_or_default().to_owned(),
    }
}

/// A value for programs.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
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
