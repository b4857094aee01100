//! From files, environment and command line to one checked experiment.

use std::path::PathBuf;
use std::sync::OnceLock;

use super::Experiment;
use super::check::{self, At, Finding};
use super::extends::{self, Chain};
use super::layer::{Layer, Part};
use super::merge::{self, Merged};
use super::mistake::{Mistake, Mistakes};
use super::path::KeyPath;
use super::preset;
use super::rules::{self, Parts};
use super::schema;
use super::shape::Shape;
use super::source::Source;

/// What the user asked for. Later fields are stronger.
#[derive(Debug, Clone)]
pub struct Request {
    pub source: Source,
    /// All of the environment; those that are settings are picked out: `AFFECT_` in front and `__` between keys, as in
    /// `AFFECT_DATASET__ROOT`.
    pub environment: Vec<(String, String)>,
    /// `key=value`, as in `train.epochs=3` or `model.layers[0].conv2d.channels=8`.
    pub overrides: Vec<String>,
}

impl Request {
    /// An experiment as its source has it.
    pub fn new(source: Source) -> Self {
        Self {
            source,
            environment: Vec::new(),
            overrides: Vec::new(),
        }
    }
}

/// A checked experiment that still knows where its settings were written.
#[derive(Debug, Clone)]
pub struct Resolved {
    pub experiment: Experiment,
    shown: String,
    files: Vec<PathBuf>,
    merged: Merged,
}

/// Where a setting was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file, "environment variable `…`", or "--set".
    pub file: String,
    /// 1-based.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
}

impl Resolved {
    /// A mistake in the setting at `path` (`model.layers[3]`) that only another part of the program can find. It points at the
    /// place where the setting was written; for one that was not written, at the table around it.
    pub fn mistake(&self, path: &str, message: impl Into<String>, help: Option<String>) -> Mistakes {
        let path = KeyPath::parse(path);
        let message = message.into();
        let mistake = match self.merged.place(&path, Part::Value) {
            Some(place) => Mistake::at(place, message),
            None => Mistake::of_file(&self.shown, format!("{message} (in {})", self.shown)),
        };
        mistake.help(help).into()
    }

    /// Where the setting at `path` was written; `None` for what stands at its default.
    pub fn origin(&self, path: &str) -> Option<Origin> {
        let place = self.merged.exact(&KeyPath::parse(path))?;
        let (line, column) = place.line_and_column();
        Some(Origin {
            file: place.text.name().to_owned(),
            line,
            column,
        })
    }

    /// The files that were read, those that are extended first.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

/// Reads, merges and checks. Relative paths among the settings (`dataset.root`) stay as they are written: they are relative to
/// the folder in which the program runs, wherever the file is.
///
/// # Errors
///
/// All mistakes, each with its place: errors of syntax, files that are not there, unknown and missing keys, values of the
/// wrong type or out of range, and settings that make no sense together.
pub fn load(request: &Request) -> Result<Resolved, Mistakes> {
    let shape = shape();
    let mut mistakes = Vec::new();
    let Chain {
        mut layers,
        files,
        complete,
    } = extends::chain(&request.source, &mut mistakes);
    if layers.is_empty() {
        // The experiment's own file could not be read: nothing else can be said of it.
        Mistakes::none(std::mem::take(&mut mistakes))?;
    }
    let mut environment = request.environment.clone();
    environment.sort();
    layers.extend(
        environment
            .iter()
            .filter_map(|(name, value)| Layer::environment(name, value, shape, &mut mistakes)),
    );
    layers.extend(
        request
            .overrides
            .iter()
            .filter_map(|argument| Layer::command_line(argument, shape, &mut mistakes)),
    );
    for layer in layers.iter_mut().filter(|layer| !layer.is_file()) {
        if let Some((_, place)) = layer.take_extends() {
            mistakes.push(Mistake::at(place, "`extends` can be said in a file only"));
        }
    }

    let mut layers = preset::lay(layers);
    layers.insert(0, merge::defaults(request.source.default_name(), shape, &layers));
    let merged = Merged::of(layers, &mut mistakes);
    let mut found = check::check(shape, &merged.tree);
    let parts = Parts::sound(&merged, &found);
    if complete {
        found.extend(rules::check(&parts));
    } else {
        // What was not read may hold what is missing, and what comes after an error of syntax is guesswork.
        found.retain(|finding| finding.at != At::Missing && merged.is_sound_at(&finding.path));
    }
    let shown = request.source.shown();
    mistakes.extend(found.into_iter().map(|finding| mistake(finding, &merged, &shown)));
    put_in_order(&mut mistakes, &merged);
    Mistakes::none(mistakes)?;

    match merged.figment.extract() {
        Ok(experiment) => Ok(Resolved {
            experiment,
            shown,
            files,
            merged,
        }),
        Err(error) => Err(unforeseen(error, &merged, &shown)),
    }
}

fn shape() -> &'static Shape {
    static SHAPE: OnceLock<Shape> = OnceLock::new();
    SHAPE.get_or_init(|| Shape::of(&schema()))
}

/// Layer by layer, in the order of the text; what belongs to no place comes last.
fn put_in_order(mistakes: &mut [Mistake], merged: &Merged) {
    mistakes.sort_by_key(|mistake| {
        let place = mistake.place();
        let layer = place.and_then(|place| merged.order(place));
        (
            place.is_none(),
            layer.unwrap_or(usize::MAX),
            place.map(|place| place.span.start),
        )
    });
}

fn mistake(finding: Finding, merged: &Merged, shown: &str) -> Mistake {
    let Finding {
        path,
        at,
        message,
        label,
        mut help,
    } = finding;
    let table = path.parent().unwrap_or_default();
    let place = match at {
        At::Key => merged.place(&path, Part::Key),
        At::Value => merged.place(&path, Part::Value),
        At::Missing => merged.header(&table),
    };
    if let (At::Missing, Some(key)) = (at, path.last_key())
        && let Some(layer) = merged.replaced(&table, key)
    {
        let lost = format!("`{layer}` gives it, but for another kind: a table whose `kind` changes is replaced whole");
        help = Some(help.map_or(lost.clone(), |help| format!("{help}\n{lost}")));
    }
    match place {
        Some(place) => Mistake::at(place, message).label(label).help(help),
        None => Mistake::of_file(shown, format!("{message} in {shown}")).help(help),
    }
}

/// The settings pass all checks and still cannot be read: the schema and the settings disagree. Shown as well as may be.
fn unforeseen(error: figment::Error, merged: &Merged, shown: &str) -> Mistakes {
    let mistakes = error.into_iter().map(|error| {
        let path = KeyPath::parse(&error.path.join("."));
        mistake(Finding::new(path, At::Value, error.kind.to_string()), merged, shown)
    });
    let mut mistakes: Vec<_> = mistakes.collect();
    if mistakes.is_empty() {
        mistakes.push(Mistake::of_file(shown, format!("cannot read {shown}")));
    }
    let first = mistakes.remove(0);
    mistakes
        .into_iter()
        .map(Mistakes::from)
        .fold(first.into(), Mistakes::and)
}
