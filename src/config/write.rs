//! Resolved settings, written down: as a file that can be run again, and as a flat list.

use std::fmt::Write;

use toml::{Table, Value};

use super::Experiment;

/// All settings of an experiment as TOML, defaults included: loading it gives the same experiment.
pub fn to_toml(experiment: &Experiment) -> String {
    match Table::try_from(experiment) {
        Ok(tables) => document(&tables),
        // Only for settings that no file can hold: a path that is not UTF-8, an integer beyond 64 bits.
        Err(error) => format!("# These settings cannot be written as TOML: {error}\n"),
    }
}

/// Every setting by its path: `("optimizer.learning_rate", "0.001")`, `("model.layers.0.conv2d.channels", "16")`. Strings are
/// bare, arrays of plain values are written as in TOML, settings that are not set are left out.
pub fn flatten(experiment: &Experiment) -> Vec<(String, String)> {
    let mut list = Vec::new();
    if let Ok(tables) = Table::try_from(experiment) {
        for (name, value) in &tables {
            flatten_into(name, value, &mut list);
        }
    }
    list
}

fn flatten_into(path: &str, value: &Value, list: &mut Vec<(String, String)>) {
    match value {
        Value::Table(table) if !table.is_empty() => {
            for (key, value) in table {
                flatten_into(&format!("{path}.{key}"), value, list);
            }
        }
        Value::Array(items) if items.iter().any(|item| item.is_table() || item.is_array()) => {
            for (index, item) in items.iter().enumerate() {
                flatten_into(&format!("{path}.{index}"), item, list);
            }
        }
        Value::String(text) => list.push((path.to_owned(), text.clone())),
        other => list.push((path.to_owned(), inline(other))),
    }
}

/// Tables of the first two levels get a header, so do the entries of arrays of tables; what is deeper stands inline.
fn document(tables: &Table) -> String {
    let mut text = String::new();
    for (name, value) in tables {
        match value {
            Value::Table(table) => section(&mut text, name, table),
            other => line(&mut text, name, other),
        }
    }
    text.trim_start().to_owned()
}

fn section(text: &mut String, name: &str, table: &Table) {
    let is_section = |value: &Value| value.is_table() || is_array_of_tables(value);
    // A table that only has tables inside needs no header of its own.
    if table.is_empty() || table.values().any(|value| !is_section(value)) {
        let _ = write!(text, "\n[{name}]\n");
    }
    for (key, value) in table.iter().filter(|(_, value)| !is_section(value)) {
        line(text, key, value);
    }
    for (key, value) in table {
        match value {
            Value::Table(inner) => {
                let _ = write!(text, "\n[{name}.{key}]\n");
                inner.iter().for_each(|(key, value)| line(text, key, value));
            }
            Value::Array(items) if is_array_of_tables(value) => {
                for item in items.iter().filter_map(Value::as_table) {
                    let _ = write!(text, "\n[[{name}.{key}]]\n");
                    item.iter().for_each(|(key, value)| line(text, key, value));
                }
            }
            _ => {}
        }
    }
}

fn is_array_of_tables(value: &Value) -> bool {
    value
        .as_array()
        .is_some_and(|items| !items.is_empty() && items.iter().all(Value::is_table))
}

/// `key = value`, the value inline.
fn line(text: &mut String, key: &str, value: &Value) {
    let bare = !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    let _ = if bare {
        writeln!(text, "{key} = {}", inline(value))
    } else {
        writeln!(text, "{} = {}", Value::from(key), inline(value))
    };
}

/// As TOML, with small and large numbers as `1e-10` and not with all their zeros.
fn inline(value: &Value) -> String {
    match value {
        Value::Float(number) if number.is_finite() => format!("{number:?}"),
        other => other.to_string(),
    }
}
