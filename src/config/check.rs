//! A value beside its shape: everything that does not fit, at once.

use figment::value::{Dict, Value};

use super::nearest::nearest;
use super::path::KeyPath;
use super::shape::{Key, Limit, Shape, Table, Tagged, one_of};
use super::words::{Ends, as_f64, inclusive, missing, range, singular, unknown_choice, wrong_type};

/// Something that does not fit, and the setting that it concerns.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    pub path: KeyPath,
    pub at: At,
    pub message: String,
    pub label: Option<String>,
    pub help: Option<String>,
}

/// What of a setting is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// Its name.
    Key,
    Value,
    /// It is not there: its table is shown.
    Missing,
}

impl Finding {
    pub fn new(path: KeyPath, at: At, message: impl Into<String>) -> Self {
        Self {
            path,
            at,
            message: message.into(),
            label: None,
            help: None,
        }
    }

    pub fn label(mut self, label: impl Into<Option<String>>) -> Self {
        self.label = label.into();
        self
    }

    pub fn help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into();
        self
    }
}

/// All that does not fit.
pub(super) fn check(shape: &Shape, value: &Value) -> Vec<Finding> {
    let mut checker = Checker {
        root: shape,
        found: Vec::new(),
    };
    checker.value(shape, value, &KeyPath::root());
    checker.found
}

struct Checker<'a> {
    root: &'a Shape,
    found: Vec<Finding>,
}

impl Checker<'_> {
    fn value(&mut self, shape: &Shape, value: &Value, path: &KeyPath) {
        match (shape, value) {
            // Refused already.
            (_, Value::Empty(..)) | (Shape::Anything, _) | (Shape::Boolean, Value::Bool(..)) => {}
            (Shape::Integer { min, max }, Value::Num(..)) if value.to_i128().is_some() => {
                let number = value.to_i128().unwrap_or_default();
                let low = min.is_some_and(|min| number < i128::from(min));
                let high = max.is_some_and(|max| number > i128::from(max));
                if low || high {
                    let wanted = range(
                        min.map(|min| min.to_string()),
                        max.map(|max| max.to_string()),
                        Ends::INCLUSIVE,
                    );
                    self.out_of_range(path, &wanted, &number.to_string());
                }
            }
            (Shape::Number { min, max }, Value::Num(..)) => {
                let number = as_f64(value);
                let low = min.is_some_and(|min| number < min.value || (number <= min.value && !min.inclusive));
                let high = max.is_some_and(|max| number > max.value || (number >= max.value && !max.inclusive));
                if low || high {
                    let ends = Ends {
                        low: inclusive(*min),
                        high: inclusive(*max),
                    };
                    let limit = |limit: Limit| limit.value.to_string();
                    self.out_of_range(path, &range(min.map(limit), max.map(limit), ends), &number.to_string());
                }
            }
            (Shape::Text { choices }, Value::String(_, text)) => {
                if !choices.is_empty() && !choices.contains(text) {
                    self.found.push(unknown_choice(path, text, choices, None));
                }
            }
            (Shape::Array { items, min, max }, Value::Array(_, values)) => {
                self.length(shape, path, values.len(), *min, *max);
                for (index, item) in values.iter().enumerate() {
                    self.value(items, item, &path.index(index));
                }
            }
            (Shape::Table(table), Value::Dict(_, dict)) => self.table(table, dict, path, None),
            (Shape::Tagged(tagged), Value::Dict(_, dict)) => self.tagged(tagged, dict, path),
            (Shape::OneKey(keys), Value::Dict(_, dict)) => self.one_key(keys, dict, path),
            (Shape::Either(shapes), _) => self.either(shape, shapes, value, path),
            _ => self.found.push(wrong_type(shape, value, path)),
        }
    }

    fn out_of_range(&mut self, path: &KeyPath, wanted: &str, number: &str) {
        let finding = Finding::new(
            path.clone(),
            At::Value,
            format!("`{path}` must be {wanted}, not {number}"),
        );
        self.found.push(finding.label("out of range".to_owned()));
    }

    fn length(&mut self, shape: &Shape, path: &KeyPath, length: usize, min: usize, max: Option<usize>) {
        let wanted = match max {
            Some(max) if max == min && length != min => format!("expected {}", shape.describe()),
            Some(max) if length > max => format!("expected at most {max} entries"),
            _ if length < min => format!("expected at least {min} {}", if min == 1 { "entry" } else { "entries" }),
            _ => return,
        };
        let found = match length {
            0 => "none".to_owned(),
            length => length.to_string(),
        };
        let finding = Finding::new(path.clone(), At::Value, format!("`{path}`: {wanted}, found {found}"));
        self.found.push(finding.label(wanted));
    }

    /// `kind`: where the keys are those of one kind of a tagged table, that kind and all the others.
    fn table(&mut self, table: &Table, dict: &Dict, path: &KeyPath, kind: Option<(&str, &Tagged)>) {
        let mut suggested = Vec::new();
        for (name, value) in dict {
            let path = path.key(name);
            match (table.key(name), &table.others) {
                (Some(key), _) => self.value(&key.shape, value, &path),
                (None, Some(others)) => self.value(others, value, &path),
                (None, None) => {
                    let absent = table.names().filter(|key| !dict.contains_key(*key));
                    let near = nearest(name, absent).or_else(|| nearest(name, table.names()));
                    suggested.extend(near.map(str::to_owned));
                    let finding = self.unknown_key(table, name, &path, near, kind);
                    self.found.push(finding);
                }
            }
        }
        for key in &table.keys {
            if key.required && !dict.contains_key(&key.name) && !suggested.contains(&key.name) {
                self.found.push(missing(key, path, kind.map(|(kind, _)| kind)));
            }
        }
    }

    fn unknown_key(
        &self,
        table: &Table,
        name: &str,
        path: &KeyPath,
        near: Option<&str>,
        kind: Option<(&str, &Tagged)>,
    ) -> Finding {
        let parent = path.parent().unwrap_or_default();
        let label = match kind {
            Some((kind, _)) => format!("not a key of `{parent}` with kind = \"{kind}\""),
            None if parent.is_root() => "not a table of an experiment".to_owned(),
            None => format!("not a key of `{parent}`"),
        };
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => self.where_else(name, kind).unwrap_or_else(|| {
                let names: Vec<_> = table.names().collect();
                match names.as_slice() {
                    [] => "nothing can be set here".to_owned(),
                    names => format!("valid here: {}", names.join(", ")),
                }
            }),
        };
        Finding::new(path.clone(), At::Key, format!("unknown key `{name}`"))
            .label(label)
            .help(help)
    }

    /// Another kind of the table, or another table, that has a key of this name.
    fn where_else(&self, name: &str, kind: Option<(&str, &Tagged)>) -> Option<String> {
        let kinds = kind.iter().flat_map(|(_, tagged)| &tagged.variants);
        let kinds: Vec<_> = kinds.filter(|variant| variant.table.key(name).is_some()).collect();
        if !kinds.is_empty() {
            let kinds = one_of(kinds.iter().map(|variant| format!("\"{}\"", variant.name)));
            return Some(format!("`{name}` belongs to kind = {kinds}"));
        }
        let Shape::Table(root) = self.root else { return None };
        let has = |shape: &Shape| match shape {
            Shape::Table(table) => table.key(name).is_some(),
            Shape::Tagged(tagged) => tagged.variants.iter().any(|variant| variant.table.key(name).is_some()),
            _ => false,
        };
        let table = root.keys.iter().find(|key| has(&key.shape))?;
        Some(format!("`{name}` is a key of `[{}]`", table.name))
    }

    fn tagged(&mut self, tagged: &Tagged, dict: &Dict, path: &KeyPath) {
        let kind_path = path.key("kind");
        match dict.get("kind") {
            Some(Value::String(_, kind)) => match tagged.variant(kind) {
                Some(variant) => self.table(&variant.table, dict, path, Some((kind, tagged))),
                None => {
                    let choices: Vec<_> = tagged.names().map(str::to_owned).collect();
                    self.found.push(unknown_choice(&kind_path, kind, &choices, Some(path)));
                }
            },
            Some(Value::Empty(..)) => {}
            Some(other) => {
                let shape = Shape::Text {
                    choices: tagged.names().map(str::to_owned).collect(),
                };
                self.found.push(wrong_type(&shape, other, &kind_path));
            }
            None => match tagged.default.as_deref().and_then(|kind| tagged.variant(kind)) {
                Some(variant) => self.table(&variant.table, dict, path, Some((&variant.name, tagged))),
                None => {
                    let kinds = one_of(tagged.names().map(|kind| format!("\"{kind}\"")));
                    let finding = Finding::new(kind_path, At::Missing, format!("missing key `kind` in `{path}`"));
                    self.found.push(
                        finding
                            .label("which kind?".to_owned())
                            .help(format!("`kind` is {kinds}")),
                    );
                }
            },
        }
    }

    fn one_key(&mut self, keys: &[Key], dict: &Dict, path: &KeyPath) {
        let names = || keys.iter().map(|key| key.name.as_str());
        let what = path.last_key().map_or("key", singular);
        let list = || format!("{what}s: {}", names().collect::<Vec<_>>().join(", "));
        let mut known = Vec::new();
        for (name, value) in dict {
            let path = path.key(name);
            if let Some(key) = keys.iter().find(|key| key.name == *name) {
                known.push(name.as_str());
                self.value(&key.shape, value, &path);
            } else {
                let help = match nearest(name, names()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => list(),
                };
                let finding = Finding::new(path, At::Key, format!("unknown {what} `{name}`"));
                self.found.push(finding.label(format!("not a {what}")).help(help));
            }
        }
        if dict.is_empty() {
            let finding = Finding::new(path.clone(), At::Value, format!("`{path}` is empty"));
            self.found.push(finding.label(format!("which {what}?")).help(list()));
        } else if known.len() > 1 {
            let message = format!(
                "`{path}` holds `{}`: each {what} needs a table of its own",
                known.join("` and `")
            );
            let help = match path.parent() {
                Some(parent) => format!("write `[[{parent}]]` before each"),
                None => list(),
            };
            self.found
                .push(Finding::new(path.clone(), At::Value, message).help(help));
        }
    }

    /// The alternative that is meant is the one whose type the value has.
    fn either(&mut self, shape: &Shape, shapes: &[Shape], value: &Value, path: &KeyPath) {
        let fewest = shapes
            .iter()
            .filter(|alternative| alternative.takes(value))
            .map(|alternative| {
                let mut attempt = Checker {
                    root: self.root,
                    found: Vec::new(),
                };
                match (alternative, value) {
                    (Shape::Text { choices }, Value::String(_, text))
                        if !choices.is_empty() && !choices.contains(text) =>
                    {
                        let finding = unknown_choice(path, text, choices, None);
                        attempt
                            .found
                            .push(finding.label(format!("expected {}", shape.describe())));
                    }
                    _ => attempt.value(alternative, value, path),
                }
                attempt.found
            })
            .min_by_key(Vec::len);
        match fewest {
            Some(found) => self.found.extend(found),
            None => self.found.push(wrong_type(shape, value, path)),
        }
    }
}

impl Shape {
    /// Whether a value is of the type, whatever its content.
    pub(super) fn takes(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Anything, _)
            | (_, Value::Empty(..))
            | (Self::Boolean, Value::Bool(..))
            | (Self::Number { .. }, Value::Num(..))
            | (Self::Text { .. }, Value::String(..))
            | (Self::Array { .. }, Value::Array(..))
            | (Self::Table(_) | Self::Tagged(_) | Self::OneKey(_), Value::Dict(..)) => true,
            (Self::Integer { .. }, Value::Num(..)) => value.to_i128().is_some(),
            (Self::Either(shapes), value) => shapes.iter().any(|shape| shape.takes(value)),
            _ => false,
        }
    }
}
