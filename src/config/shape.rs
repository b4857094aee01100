//! What an experiment file may hold: the JSON Schema, read once into types that can be walked beside a file.

use super::path::{KeyPath, Step};

/// What a value must look like.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    Anything,
    Boolean,
    Integer {
        min: Option<i64>,
        max: Option<i64>,
    },
    Number {
        min: Option<Limit>,
        max: Option<Limit>,
    },
    /// One of the choices; any text when there are none.
    Text {
        choices: Vec<String>,
    },
    Array {
        items: Box<Shape>,
        min: usize,
        max: Option<usize>,
    },
    Table(Table),
    /// A table whose `kind` decides which keys it has.
    Tagged(Tagged),
    /// A table with one key out of these: `{ conv2d = … }`.
    OneKey(Vec<Key>),
    /// Any of these, told apart by the type of the value.
    Either(Vec<Shape>),
}

/// A limit of a number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    pub value: f64,
    pub inclusive: bool,
}

/// A table with named keys.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    pub keys: Vec<Key>,
    /// The shape of keys that are not named; `None`: there may be none.
    pub others: Option<Box<Shape>>,
}

/// A table that comes in kinds.
#[derive(Debug, Clone)]
pub(super) struct Tagged {
    pub variants: Vec<Variant>,
    /// The kind where none is said.
    pub default: Option<String>,
}

/// One kind of a tagged table; its keys include `kind`.
#[derive(Debug, Clone)]
pub(super) struct Variant {
    pub name: String,
    pub table: Table,
}

/// A key of a table.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    pub required: bool,
    pub shape: Shape,
}

impl Table {
    pub fn key(&self, name: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.name.as_str())
    }
}

impl Tagged {
    pub fn variant(&self, name: &str) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.name == name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.variants.iter().map(|variant| variant.name.as_str())
    }
}

impl Shape {
    /// Where a `kind` has a default, in tables that are reached by keys alone: `features` → "mel".
    pub fn default_kinds(&self) -> Vec<(KeyPath, String)> {
        let mut found = Vec::new();
        self.collect_default_kinds(&KeyPath::root(), &mut found);
        found
    }

    fn collect_default_kinds(&self, path: &KeyPath, found: &mut Vec<(KeyPath, String)>) {
        let mut descend = |table: &Table| {
            for key in &table.keys {
                key.shape
                    .collect_default_kinds(&path.then(Step::Key(key.name.clone())), found);
            }
        };
        match self {
            Self::Table(table) => descend(table),
            Self::Tagged(tagged) => {
                tagged.variants.iter().for_each(|variant| descend(&variant.table));
                if let Some(kind) = &tagged.default
                    && !found.iter().any(|(other, _)| other == path)
                {
                    found.push((path.clone(), kind.clone()));
                }
            }
            _ => {}
        }
    }

    /// "an integer", "\"same\" or \"valid\"", "an array of 2 integers".
    pub fn describe(&self) -> String {
        match self {
            Self::Anything => "a value".to_owned(),
            Self::Boolean => "true or false".to_owned(),
            Self::Integer { .. } => "an integer".to_owned(),
            Self::Number { .. } => "a number".to_owned(),
            Self::Text { choices } if choices.is_empty() => "a string".to_owned(),
            Self::Text { choices } => one_of(choices.iter().map(|choice| format!("\"{choice}\""))),
            Self::Array { items, min, max } => match max {
                Some(max) if max == min => format!("an array of {min} {}", items.plural()),
                _ => format!("an array of {}", items.plural()),
            },
            Self::Table(_) | Self::Tagged(_) | Self::OneKey(_) => "a table".to_owned(),
            Self::Either(shapes) => one_of(shapes.iter().flat_map(|shape| match shape {
                Self::Text { choices } if !choices.is_empty() => {
                    choices.iter().map(|choice| format!("\"{choice}\"")).collect()
                }
                other => vec![other.describe()],
            })),
        }
    }

    /// Whether every setting that `path` may mean is free text.
    pub fn wants_text(&self, path: &[Step]) -> bool {
        let mut leaves = Vec::new();
        self.leaves(path, &mut leaves);
        let is_text = |shape: &&Self| matches!(shape, Self::Text { choices } if choices.is_empty());
        !leaves.is_empty() && leaves.iter().all(is_text)
    }

    fn leaves<'a>(&'a self, path: &[Step], found: &mut Vec<&'a Self>) {
        let Some((step, rest)) = path.split_first() else {
            found.push(self);
            return;
        };
        let named = |key: &&Key| matches!(step, Step::Key(name) if key.name == *name);
        match self {
            Self::Table(table) => table
                .keys
                .iter()
                .find(named)
                .iter()
                .for_each(|key| key.shape.leaves(rest, found)),
            Self::Tagged(tagged) => {
                let keys = tagged
                    .variants
                    .iter()
                    .filter_map(|variant| variant.table.keys.iter().find(named));
                keys.for_each(|key| key.shape.leaves(rest, found));
            }
            Self::OneKey(keys) => keys
                .iter()
                .find(named)
                .iter()
                .for_each(|key| key.shape.leaves(rest, found)),
            Self::Array { items, .. } if matches!(step, Step::Index(_)) => items.leaves(rest, found),
            Self::Either(shapes) => shapes.iter().for_each(|shape| shape.leaves(path, found)),
            _ => {}
        }
    }

    fn plural(&self) -> &'static str {
        match self {
            Self::Integer { .. } => "integers",
            Self::Number { .. } => "numbers",
            Self::Text { .. } => "strings",
            Self::Table(_) | Self::Tagged(_) | Self::OneKey(_) => "tables",
            Self::Array { .. } => "arrays",
            Self::Boolean => "booleans",
            Self::Anything | Self::Either(_) => "values",
        }
    }
}

/// "a", "a or b", "a, b or c".
pub(super) fn one_of(names: impl Iterator<Item = String>) -> String {
    let names: Vec<_> = names.collect();
    match names.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema;

    fn key<'a>(shape: &'a Shape, name: &str) -> &'a Shape {
        match shape {
            Shape::Table(table) => &table.key(name).unwrap().shape,
            Shape::OneKey(keys) => &keys.iter().find(|key| key.name == name).unwrap().shape,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_form_of_the_settings_is_recognised() {
        let experiment = Shape::of(&schema());
        assert!(matches!(
            key(&experiment, "optimizer"),
            Shape::Tagged(Tagged { default: None, .. })
        ));
        let Shape::Tagged(features) = key(&experiment, "features") else {
            panic!()
        };
        assert_eq!(features.default.as_deref(), Some("mel"));
        let Shape::Array {
            items: layer, min: 1, ..
        } = key(key(&experiment, "model"), "layers")
        else {
            panic!()
        };
        let conv2d = key(layer, "conv2d");
        assert_eq!(key(conv2d, "kernel").describe(), "an integer or an array of 2 integers");
        assert_eq!(
            key(conv2d, "padding").describe(),
            "\"same\", \"valid\", an integer or an array of 2 integers"
        );
        assert_eq!(key(layer, "linear").describe(), "\"targets\", an integer or a table");
        assert_eq!(
            key(conv2d, "max_pool").describe(),
            "an integer or an array of 2 integers"
        );
    }

    #[test]
    fn default_kinds_are_found_below_tagged_tables_too() {
        let kinds = Shape::of(&schema()).default_kinds();
        for (path, kind) in [
            ("features", "mel"),
            ("features.scale", "db"),
            ("dataset.split", "random"),
            ("schedule", "constant"),
        ] {
            assert!(
                kinds.contains(&(KeyPath::parse(path), kind.to_owned())),
                "{path}: {kinds:?}"
            );
        }
        assert!(!kinds.iter().any(|(path, _)| path.to_string() == "optimizer"));
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let schema = serde_json::json!({ "$ref": "#/$defs/A", "$defs": { "A": { "$ref": "#/$defs/A" } } });
        assert!(matches!(Shape::of(&schema), Shape::Anything));
    }
}
