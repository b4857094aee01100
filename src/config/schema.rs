//! The JSON Schema of an experiment file, for editors, and the ground on which files are checked.
//!
//! schemars derives it from the settings structs. What is changed here: TOML has no null, so an optional key is one that may be
//! left out and not one that may be null; a table whose `kind` has a default need not say it; `extends` is added; comments are
//! unwrapped to one line.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::Experiment;

/// The JSON Schema (draft 2020-12) of an experiment file.
pub fn schema() -> Value {
    let derived = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<Experiment>();
    let mut schema = derived.to_value();
    without_nulls(&mut schema);
    let defaults = default_kinds(&schema);
    for (definition, kind) in defaults {
        let pointer = format!("/$defs/{definition}/oneOf");
        for variant in schema
            .pointer_mut(&pointer)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            if variant.pointer("/properties/kind/const") == Some(&kind) {
                leave_out_kind(variant);
            }
        }
    }
    polish(&mut schema);
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".to_owned(), json!("affect experiment"));
        if let Some(properties) = root.get_mut("properties").and_then(Value::as_object_mut) {
            let mut ordered = Map::new();
            ordered.insert("extends".to_owned(), extends());
            ordered.append(properties);
            *properties = ordered;
        }
    }
    // The true default is the file's stem, which a schema cannot say.
    if let Some(name) = schema
        .pointer_mut("/$defs/About/properties/name")
        .and_then(Value::as_object_mut)
    {
        name.remove("default");
    }
    schema
}

fn extends() -> Value {
    json!({
        "title": "extends",
        "description": "Another experiment file, relative to this one, whose settings hold wherever this file says nothing. \
            Tables are merged key by key, arrays are replaced, and a table whose `kind` changes is replaced whole.",
        "type": "string",
    })
}

/// Removes every way of saying null: `["integer", "null"]`, `anyOf` with null, `"default": null`.
fn without_nulls(schema: &mut Value) {
    let is_null_schema = |schema: &Value| schema.get("type").and_then(Value::as_str) == Some("null");
    if let Value::Object(object) = schema {
        if let Some(Value::Array(types)) = object.get_mut("type") {
            types.retain(|name| name != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                object.insert("type".to_owned(), only);
            }
        }
        if object.get("default").is_some_and(Value::is_null) {
            object.remove("default");
        }
        if let Some(Value::Array(values)) = object.get_mut("enum") {
            values.retain(|value| !value.is_null());
        }
        if let Some(Value::Array(alternatives)) = object.get_mut("anyOf") {
            alternatives.retain(|alternative| !is_null_schema(alternative));
            if let [Value::Object(only)] = alternatives.as_slice() {
                let only = only.clone();
                object.shift_remove("anyOf");
                for (key, value) in only {
                    // What is said at the key is closer to it than what is said of its type.
                    object.entry(key).or_insert(value);
                }
            }
        }
        if let Some(default) = object.get_mut("default") {
            without_null_members(default);
        }
    }
    for child in children(schema) {
        without_nulls(child);
    }
}

fn without_null_members(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|_, member| !member.is_null());
            object.values_mut().for_each(without_null_members);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null_members),
        _ => {}
    }
}

/// Which definitions have a `kind` that a key of theirs gives by default: `("Recipe", "mel")`.
fn default_kinds(schema: &Value) -> Vec<(String, Value)> {
    let mut found: Vec<(String, Value)> = Vec::new();
    visit(schema, &mut |schema| {
        let definition = schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|name| name.strip_prefix("#/$defs/"));
        let kind = schema.pointer("/default/kind");
        if let (Some(definition), Some(kind)) = (definition, kind) {
            found.push((definition.to_owned(), kind.clone()));
        }
    });
    found
}

fn leave_out_kind(variant: &mut Value) {
    if let Some(Value::Array(required)) = variant.get_mut("required") {
        required.retain(|key| key != "kind");
    }
    if let Some(Value::Object(kind)) = variant.pointer_mut("/properties/kind")
        && let Some(name) = kind.get("const").cloned()
    {
        kind.insert("default".to_owned(), name);
    }
}

/// Descriptions on one line; titles for the alternatives that editors list; Rust's number formats turned into limits.
fn polish(schema: &mut Value) {
    if let Value::Object(object) = schema {
        if let Some(Value::String(description)) = object.get_mut("description") {
            *description = unwrapped(description);
        }
        if let Some(Value::String(format)) = object.shift_remove("format") {
            let limit = match format.as_str() {
                "uint8" => Some(json!(u8::MAX)),
                "uint16" => Some(json!(u16::MAX)),
                "uint32" => Some(json!(u32::MAX)),
                "int32" => Some(json!(i32::MAX)),
                _ => None,
            };
            if let Some(limit) = limit {
                object.entry("maximum").or_insert(limit);
            }
            if format == "int32" {
                object.entry("minimum").or_insert(json!(i32::MIN));
            }
        }
        if let Some(Value::Array(alternatives)) = object.get_mut("oneOf") {
            for alternative in alternatives {
                title(alternative);
            }
        }
        for (name, property) in object
            .get_mut("properties")
            .and_then(Value::as_object_mut)
            .into_iter()
            .flatten()
        {
            if let Value::Object(property) = property {
                property.entry("title").or_insert_with(|| json!(name));
            }
        }
    }
    for child in children(schema) {
        polish(child);
    }
}

/// A tagged table is called by its kind, a table of one key by the key, a string by itself.
fn title(alternative: &mut Value) {
    let only_key = || {
        let mut keys = alternative.get("properties")?.as_object()?.keys();
        let key = keys.next()?;
        keys.next().is_none().then(|| json!(key))
    };
    let name = alternative
        .get("const")
        .or_else(|| alternative.pointer("/properties/kind/const"))
        .cloned()
        .or_else(only_key);
    if let (Value::Object(alternative), Some(name)) = (alternative, name) {
        alternative.entry("title").or_insert(name);
    }
}

/// The lines of a paragraph are joined; paragraphs stay apart.
fn unwrapped(text: &str) -> String {
    let paragraphs = text
        .split("\n\n")
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

/// The schemas inside a schema.
fn children(schema: &mut Value) -> Vec<&mut Value> {
    let mut found = Vec::new();
    if let Value::Object(object) = schema {
        for (key, member) in object {
            match (key.as_str(), member) {
                ("properties" | "$defs" | "patternProperties", Value::Object(members)) => {
                    found.extend(members.values_mut())
                }
                ("oneOf" | "anyOf" | "allOf" | "prefixItems", Value::Array(members)) => found.extend(members),
                ("items" | "additionalProperties", member @ Value::Object(_)) => found.push(member),
                _ => {}
            }
        }
    }
    found
}

fn visit(schema: &Value, look: &mut impl FnMut(&Value)) {
    look(schema);
    match schema {
        Value::Object(object) => object.values().for_each(|member| visit(member, look)),
        Value::Array(items) => items.iter().for_each(|item| visit(item, look)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_it_is_null_and_every_table_is_closed() {
        let schema = schema();
        visit(&schema, &mut |value| {
            assert_ne!(value.get("type"), Some(&json!("null")), "{value}");
            assert!(!value.get("default").is_some_and(Value::is_null), "{value}");
            if value.get("type") == Some(&json!("object")) {
                assert!(value.get("additionalProperties").is_some(), "{value}");
            }
            assert!(
                !value
                    .get("description")
                    .and_then(Value::as_str)
                    .is_some_and(|text| text.contains('\n')),
                "{value}"
            );
        });
        assert_eq!(schema["properties"]["extends"]["type"], "string");
    }

    #[test]
    fn a_kind_with_a_default_may_be_left_out_and_others_may_not() {
        let schema = schema();
        let required = |definition: &str, kind: &str| {
            let variants = schema["$defs"][definition]["oneOf"].as_array().unwrap();
            let variant = variants
                .iter()
                .find(|variant| variant["properties"]["kind"]["const"] == kind)
                .unwrap();
            variant["required"].as_array().unwrap().contains(&json!("kind"))
        };
        assert!(
            !required("Recipe", "mel") && !required("SplitSpec", "random") && !required("ScheduleSpec", "constant")
        );
        assert!(required("OptimizerSpec", "adam") && required("SplitSpec", "k-fold"));
    }
}
