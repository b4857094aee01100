//! A JSON Schema, read into a [`Shape`].

use serde_json::Value;

use super::shape::{Key, Limit, Shape, Table, Tagged, Variant};

impl Shape {
    /// Reads a schema as [`super::schema`] makes it.
    pub fn of(schema: &Value) -> Self {
        Reader { root: schema }.shape(schema, 0)
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
