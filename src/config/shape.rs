//! What an experiment file may hold: the JSON Schema, read once into types that can be walked beside a file.

use serde_json::Value;

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
    /// Reads a schema as [`super::schema`] makes it.
    pub fn of(schema: &Value) -> Self {
        Reader { root: schema }.shape(schema, 0)
    }

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

/// More levels than any settings have: a schema that refers to itself ends here.
const DEPTH: usize = 64;

struct Reader<'a> {
    root: &'a Value,
}

impl Reader<'_> {
    fn shape(&self, schema: &Value, depth: usize) -> Shape {
        if depth > DEPTH {
            return Shape::Anything;
        }
        if let Some(definition) = self.referred(schema) {
            return self.shape(definition, depth + 1);
        }
        for list in ["oneOf", "anyOf"] {
            if let Some(Value::Array(alternatives)) = schema.get(list) {
                return self.alternatives(alternatives, depth + 1);
            }
        }
        if let Some(choice) = schema.get("const").and_then(Value::as_str) {
            return Shape::Text {
                choices: vec![choice.to_owned()],
            };
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("boolean") => Shape::Boolean,
            Some("integer") => Shape::Integer {
                min: integer(schema, "minimum")
                    .max(integer(schema, "exclusiveMinimum").map(|limit| limit.saturating_add(1))),
                max: smaller(
                    integer(schema, "maximum"),
                    integer(schema, "exclusiveMaximum").map(|limit| limit.saturating_sub(1)),
                ),
            },
            Some("number") => Shape::Number {
                min: limit(schema, "minimum", "exclusiveMinimum"),
                max: limit(schema, "maximum", "exclusiveMaximum"),
            },
            Some("string") => Shape::Text {
                choices: strings(schema.get("enum")),
            },
            Some("array") => Shape::Array {
                items: Box::new(
                    schema
                        .get("items")
                        .map_or(Shape::Anything, |items| self.shape(items, depth + 1)),
                ),
                min: length(schema, "minItems").unwrap_or(0),
                max: length(schema, "maxItems"),
            },
            Some("object") => Shape::Table(self.table(schema, depth + 1)),
            _ => Shape::Anything,
        }
    }

    fn referred(&self, schema: &Value) -> Option<&Value> {
        let name = schema.get("$ref")?.as_str()?;
        self.root.pointer(name.strip_prefix('#')?)
    }

    fn table(&self, schema: &Value, depth: usize) -> Table {
        let required = strings(schema.get("required"));
        let properties = schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten();
        let keys = properties.map(|(name, property)| Key {
            name: name.clone(),
            description: self.description(property),
            required: required.contains(name),
            shape: self.shape(property, depth + 1),
        });
        Table {
            keys: keys.collect(),
            others: match schema.get("additionalProperties") {
                Some(Value::Bool(false)) => None,
                Some(others @ Value::Object(_)) => Some(Box::new(self.shape(others, depth + 1))),
                _ => Some(Box::new(Shape::Anything)),
            },
        }
    }

    /// What is said at the key; else what is said of its type.
    fn description(&self, property: &Value) -> Option<String> {
        let own = property.get("description").and_then(Value::as_str);
        let of_type = || self.referred(property)?.get("description")?.as_str();
        own.or_else(of_type).map(str::to_owned)
    }

    fn alternatives(&self, alternatives: &[Value], depth: usize) -> Shape {
        self.tagged(alternatives, depth)
            .or_else(|| self.one_key(alternatives, depth))
            .unwrap_or_else(|| self.either(alternatives, depth))
    }

    fn tagged(&self, alternatives: &[Value], depth: usize) -> Option<Shape> {
        let mut default = None;
        let variants = alternatives.iter().map(|alternative| {
            let name = alternative.pointer("/properties/kind/const")?.as_str()?.to_owned();
            if !strings(alternative.get("required")).contains(&"kind".to_owned()) {
                default = Some(name.clone());
            }
            Some(Variant {
                name,
                table: self.table(alternative, depth + 1),
            })
        });
        let variants = variants.collect::<Option<Vec<_>>>()?;
        Some(Shape::Tagged(Tagged { variants, default }))
    }

    fn one_key(&self, alternatives: &[Value], depth: usize) -> Option<Shape> {
        let keys = alternatives.iter().map(|alternative| {
            let table = self.table(alternative, depth + 1);
            match <[Key; 1]>::try_from(table.keys) {
                Ok([mut key]) if key.required && table.others.is_none() => {
                    key.description = alternative
                        .get("description")
                        .and_then(Value::as_str)
                        .map(str::to_owned);
                    Some(key)
                }
                _ => None,
            }
        });
        keys.collect::<Option<Vec<_>>>().map(Shape::OneKey)
    }

    /// Nested alternatives become one list, and so do choices of text.
    fn either(&self, alternatives: &[Value], depth: usize) -> Shape {
        let mut shapes: Vec<Shape> = Vec::new();
        let mut all_choices: Vec<String> = Vec::new();
        let mut text_at = None;
        for alternative in alternatives {
            let nested = match self.shape(alternative, depth + 1) {
                Shape::Either(nested) => nested,
                shape => vec![shape],
            };
            for shape in nested {
                match shape {
                    Shape::Text { choices } if !choices.is_empty() => {
                        text_at.get_or_insert(shapes.len());
                        all_choices.extend(choices);
                    }
                    shape => shapes.push(shape),
                }
            }
        }
        if let Some(at) = text_at {
            shapes.insert(at.min(shapes.len()), Shape::Text { choices: all_choices });
        }
        match <[Shape; 1]>::try_from(shapes) {
            Ok([only]) => only,
            Err(shapes) => Shape::Either(shapes),
        }
    }
}

fn integer(schema: &Value, key: &str) -> Option<i64> {
    let value = schema.get(key)?;
    // Limits may be written as floats; none comes near the ends of i64.
    #[allow(clippy::cast_possible_truncation)]
    value.as_i64().or_else(|| value.as_f64().map(|limit| limit as i64))
}

fn smaller(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    a.into_iter().chain(b).min()
}

fn limit(schema: &Value, inclusive: &str, exclusive: &str) -> Option<Limit> {
    let at = |key: &str, inclusive| schema.get(key)?.as_f64().map(|value| Limit { value, inclusive });
    at(inclusive, true).or_else(|| at(exclusive, false))
}

fn length(schema: &Value, key: &str) -> Option<usize> {
    usize::try_from(schema.get(key)?.as_u64()?).ok()
}

fn strings(values: Option<&Value>) -> Vec<String> {
    let values = values.and_then(Value::as_array).into_iter().flatten();
    values.filter_map(|value| value.as_str().map(str::to_owned)).collect()
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
