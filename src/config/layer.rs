//! One source of settings: the built-in defaults, a file, an environment variable or a `--set`.
//!
//! A layer keeps, beside its values, where each of them stands in its text. Figment merges the values and remembers for each
//! which layer it came from; the layer then says where.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use figment::value::{Dict, Value};
use miette::NamedSource;
use toml::de::DeTable;

use super::mistake::{Mistake, Place, Text};
use super::path::{KeyPath, Step};
use super::reading::{Reading, Spot};
use super::shape::Shape;

/// What is stronger wins. Layers of one rank stand side by side: their order decides only who wins a key that both set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rank {
    Default,
    /// By the distance from the end of the chain: the file that extends nothing is 0.
    File(usize),
    /// Stands directly under the layer that names it, whatever that one's rank.
    Preset,
    Environment,
    CommandLine,
}

/// Settings of one source, with their places.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub rank: Rank,
    /// As it is shown: the file's path, "environment variable `…`", "--set".
    pub name: String,
    pub content: Content,
    text: Option<Text>,
    spots: BTreeMap<KeyPath, Spot>,
    /// Where the first error of syntax is: what was read before it is sound, what comes after may not be.
    broken_at: Option<usize>,
}

/// What a layer sets.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Tables(Dict),
    /// A value inside an array that a weaker layer gives: merging tables cannot reach it.
    Inside {
        path: KeyPath,
        value: Value,
    },
}

/// Which part of a setting a mistake points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Key,
    Value,
}

impl Layer {
    /// Settings that nobody wrote.
    pub fn defaults(tables: Dict) -> Self {
        Self {
            rank: Rank::Default,
            name: "built-in defaults".to_owned(),
            content: Content::Tables(tables),
            text: None,
            spots: BTreeMap::new(),
            broken_at: None,
        }
    }

    /// The settings of the table at `path` that a preset stands for. All of them are written where its name is.
    pub fn preset(name: &str, path: &KeyPath, table: Dict, named_at: Place) -> Self {
        let mut spots = BTreeMap::new();
        let spot = Spot {
            key: named_at.span.clone(),
            value: named_at.span.clone(),
        };
        for (key, value) in &table {
            note_everywhere(value, path.key(key), &spot, &mut spots);
        }
        Self {
            rank: Rank::Preset,
            name: format!("preset `{name}`"),
            content: Content::Tables(nested(path.steps(), Value::from(table))),
            text: Some(named_at.text),
            spots,
            broken_at: None,
        }
    }

    /// The settings of a file. What is wrong with its syntax is added to `mistakes`; the rest is there all the same.
    pub fn file(rank: usize, text: Text, mistakes: &mut Vec<Mistake>) -> Self {
        let mut reading = Reading::new(&text, 0);
        let (table, errors) = DeTable::parse_recoverable(text.inner());
        let mut broken_at = None;
        for error in errors {
            let end = text.inner().len();
            let span = error.span().unwrap_or(end..end);
            broken_at = Some(broken_at.unwrap_or(end).min(span.start));
            reading.syntax(span, error.message());
        }
        let tables = reading.table(table.get_ref(), &KeyPath::root());
        mistakes.append(&mut reading.mistakes);
        Self {
            rank: Rank::File(rank),
            name: text.name().to_owned(),
            content: Content::Tables(tables),
            spots: reading.spots,
            text: Some(text),
            broken_at,
        }
    }

    /// An environment variable, such as `AFFECT_TRAIN__EPOCHS=3`; `None` when its name is not that of a setting.
    pub fn environment(name: &str, value: &str, shape: &Shape, mistakes: &mut Vec<Mistake>) -> Option<Self> {
        let setting = name.strip_prefix(PREFIX)?;
        if !setting.contains(SEPARATOR) {
            return None;
        }
        let shown = format!("environment variable `{name}`");
        let text = Arc::new(NamedSource::new(&shown, format!("{name}={value}")));
        let mut steps = Vec::new();
        let mut start = PREFIX.len();
        for part in setting.split(SEPARATOR) {
            let span = start..start + part.len();
            start = span.end + SEPARATOR.len();
            steps.push((Step::of(&part.to_lowercase()), span));
        }
        Self::assignment(Rank::Environment, text, steps, name.len() + 1, shape, mistakes)
    }

    /// An argument of `--set`, such as `train.epochs=3`; `None` when it cannot be read, which is added to `mistakes`.
    pub fn command_line(argument: &str, shape: &Shape, mistakes: &mut Vec<Mistake>) -> Option<Self> {
        let text = Arc::new(NamedSource::new("--set", argument.to_owned()));
        let Some(equals) = argument.find('=') else {
            let place = Place {
                text,
                span: 0..argument.len(),
            };
            let mistake = Mistake::at(place, format!("`{argument}` sets nothing"))
                .label("there is no `=` in it".to_owned())
                .help("write `--set key=value`, as in `--set train.epochs=3`".to_owned());
            mistakes.push(mistake);
            return None;
        };
        let mut steps = Vec::new();
        let mut start = 0;
        let path = argument.get(..equals).unwrap_or("");
        for (index, part) in path.split(['.', '[', ']']).enumerate() {
            let span = start..start + part.len();
            start = span.end + 1;
            let name = part.trim();
            if !name.is_empty() {
                steps.push((Step::of(name), span));
            } else if !follows_index(path, index, &span) {
                let place = Place { text, span };
                let mistake = Mistake::at(place, format!("`{path}` is not the name of a setting"))
                    .label("there is no key here".to_owned())
                    .help("names look like `train.epochs` or `model.layers[0].dropout`".to_owned());
                mistakes.push(mistake);
                return None;
            }
        }
        Self::assignment(Rank::CommandLine, text, steps, equals + 1, shape, mistakes)
    }

    fn assignment(
        rank: Rank,
        text: Text,
        steps: Vec<(Step, Range<usize>)>,
        value_start: usize,
        shape: &Shape,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Self> {
        if steps.len() > DEEPEST {
            let place = Place {
                text: Arc::clone(&text),
                span: 0..value_start.saturating_sub(1),
            };
            mistakes.push(Mistake::at(
                place,
                "this is not the name of a setting: no settings are nested so deeply",
            ));
            return None;
        }
        let written = text.inner().get(value_start..).unwrap_or("");
        let offset = value_start + written.len() - written.trim_start().len();
        let written = written.trim();
        let path: KeyPath = steps.iter().map(|(step, _)| step.clone()).collect();
        let mut reading = Reading::new(&text, offset);
        let value = reading.written(written, &path, shape);
        for (length, (_, span)) in steps.iter().enumerate() {
            let spot = Spot {
                key: span.clone(),
                value: offset..offset + written.len(),
            };
            reading.spots.insert(path.prefix(length + 1), spot);
        }
        let sound = reading.mistakes.is_empty();
        mistakes.append(&mut reading.mistakes);
        let spots = reading.spots;
        let content = if steps.iter().any(|(step, _)| matches!(step, Step::Index(_))) {
            Content::Inside { path, value }
        } else {
            Content::Tables(nested(path.steps(), value))
        };
        sound.then(|| Self {
            rank,
            name: text.name().to_owned(),
            content,
            text: Some(text),
            spots,
            broken_at: None,
        })
    }

    /// What it says at `path`, outside of arrays.
    pub fn value(&self, path: &KeyPath) -> Option<&Value> {
        let Content::Tables(tables) = &self.content else {
            return None;
        };
        let (first, rest) = path.steps().split_first()?;
        let Step::Key(first) = first else { return None };
        rest.iter()
            .try_fold(tables.get(first)?, |value, step| match (value, step) {
                (Value::Dict(_, table), Step::Key(key)) => table.get(key),
                _ => None,
            })
    }

    /// Whether `place` is in its text.
    pub fn holds(&self, place: &Place) -> bool {
        self.text.as_ref().is_some_and(|text| Arc::ptr_eq(text, &place.text))
    }

    /// Where it says `path`.
    pub fn place(&self, path: &KeyPath, part: Part) -> Option<Place> {
        let spot = self.spots.get(path)?;
        let span = match part {
            Part::Key => spot.key.clone(),
            Part::Value => spot.value.clone(),
        };
        Some(Place {
            text: Arc::clone(self.text.as_ref()?),
            span,
        })
    }

    pub fn is_file(&self) -> bool {
        matches!(self.rank, Rank::File(_))
    }

    /// Whether anything is set at `path` or below it.
    pub fn mentions(&self, path: &KeyPath) -> bool {
        self.spots.contains_key(path)
    }

    /// Whether its text could be read to the end.
    pub fn is_whole(&self) -> bool {
        self.broken_at.is_none()
    }

    /// Whether what stands at `path` was read before any error of syntax.
    pub fn is_sound_at(&self, path: &KeyPath) -> bool {
        let end = self.spots.get(path).map(|spot| spot.key.end.max(spot.value.end));
        self.broken_at
            .is_none_or(|broken_at| end.is_some_and(|end| end < broken_at))
    }

    /// Takes `extends` out of it: the value, and where it stands.
    pub fn take_extends(&mut self) -> Option<(Value, Place)> {
        let path = KeyPath::root().key(EXTENDS);
        let Content::Tables(tables) = &mut self.content else {
            return None;
        };
        let value = tables.remove(EXTENDS)?;
        Some((value, self.place(&path, Part::Value)?))
    }

    /// Forgets the table at `path` and gives back what it held.
    pub fn remove(&mut self, path: &KeyPath) -> Option<Dict> {
        self.spots.retain(|spot, _| !spot.starts_with(path));
        let Content::Tables(tables) = &mut self.content else {
            return None;
        };
        let (last, parents) = path.steps().split_last()?;
        let mut table = tables;
        for step in parents {
            let Step::Key(key) = step else { return None };
            let Some(Value::Dict(_, inner)) = table.get_mut(key) else {
                return None;
            };
            table = inner;
        }
        match last {
            Step::Key(key) if matches!(table.get(key), Some(Value::Dict(..))) => table.remove(key)?.into_dict(),
            _ => None,
        }
    }
}

/// Gives `spot` to `value` and to all that it holds.
fn note_everywhere(value: &Value, path: KeyPath, spot: &Spot, spots: &mut BTreeMap<KeyPath, Spot>) {
    if let Value::Dict(_, table) = value {
        for (key, value) in table {
            note_everywhere(value, path.key(key), spot, spots);
        }
    }
    spots.insert(path, spot.clone());
}

/// No setting has more steps to it; far from what a stack can hold.
const DEEPEST: usize = 32;
/// The key that names the file underneath.
const EXTENDS: &str = "extends";
/// Environment variables that are settings start like this …
const PREFIX: &str = "AFFECT_";
/// … and have this between keys: `AFFECT_TRAIN__EPOCHS`.
const SEPARATOR: &str = "__";

/// Splitting `a[0].b` at brackets and dots leaves an empty part between `]` and `.`, and one after a last `]`.
fn follows_index(path: &str, part: usize, span: &Range<usize>) -> bool {
    let bytes = path.as_bytes();
    let before = part > 0 && span.start.checked_sub(1).and_then(|at| bytes.get(at)) == Some(&b']');
    before && bytes.get(span.start).is_none_or(|next| matches!(next, b'.' | b'['))
}

/// `a.b.c = value` as tables.
pub(super) fn nested(steps: &[Step], value: Value) -> Dict {
    let key = |step: &Step| match step {
        Step::Key(key) => key.clone(),
        Step::Index(index) => index.to_string(),
    };
    let Some((first, rest)) = steps.split_first() else {
        return Dict::new();
    };
    let inner = if rest.is_empty() {
        value
    } else {
        Value::from(nested(rest, value))
    };
    Dict::from([(key(first), inner)])
}
