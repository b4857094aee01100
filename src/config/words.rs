//! How what does not fit is put into words.

use figment::value::Value;

use super::check::{At, Finding};
use super::nearest::nearest;
use super::path::KeyPath;
use super::shape::{Key, Limit, Shape, one_of};

/// A key that must be there is not.
pub(super) fn missing(key: &Key, table: &KeyPath, kind: Option<&str>) -> Finding {
    let needs = || format!("needs `{}`", key.name);
    let (message, label) = match (table.is_root(), kind) {
        (true, _) => (format!("missing table `[{}]`", key.name), None),
        (false, None) => (format!("missing key `{}` in `{table}`", key.name), Some(needs())),
        (false, Some(kind)) => (
            format!("missing key `{}` in `{table}`", key.name),
            Some(format!("kind = \"{kind}\" {}", needs())),
        ),
    };
    let description = key.description.as_deref();
    let help = match &key.shape {
        Shape::Table(_) => description.unwrap_or("a table").to_owned(),
        Shape::Tagged(tagged) => {
            let kinds = tagged.names().collect::<Vec<_>>().join(", ");
            format!("{}\nkinds: {kinds}", description.unwrap_or("a table"))
        }
        shape => match description {
            Some(description) => format!("`{}` is {}: {description}", key.name, shape.describe()),
            None => format!("`{}` is {}", key.name, shape.describe()),
        },
    };
    Finding::new(table.key(&key.name), At::Missing, message)
        .label(label)
        .help(help)
}

/// A text that is none of the choices. `kind_of`: the table whose `kind` it is.
pub(super) fn unknown_choice(path: &KeyPath, text: &str, choices: &[String], kind_of: Option<&KeyPath>) -> Finding {
    let message = match kind_of {
        Some(table) => format!("unknown kind {} of `{table}`", quoted(text)),
        None => format!("unknown value {} of `{path}`", quoted(text)),
    };
    let list = one_of(choices.iter().map(|choice| format!("\"{choice}\"")));
    let (label, help) = match nearest(text, choices.iter().map(String::as_str)) {
        Some(near) => (format!("expected {list}"), Some(format!("did you mean \"{near}\"?"))),
        None => (format!("expected {list}"), None),
    };
    Finding::new(path.clone(), At::Value, message).label(label).help(help)
}

/// A value of another type than the shape asks for.
pub(super) fn wrong_type(shape: &Shape, value: &Value, path: &KeyPath) -> Finding {
    let expected = format!("expected {}", shape.describe());
    let message = format!("`{path}`: {expected}, found {}", found(value));
    Finding::new(path.clone(), At::Value, message)
        .label(expected)
        .help(correction(shape, value))
}

/// What to write instead, where that is plain.
fn correction(shape: &Shape, value: &Value) -> Option<String> {
    match (shape, value) {
        (Shape::Integer { .. } | Shape::Number { .. } | Shape::Boolean | Shape::Either(_), Value::String(_, text)) => {
            let meant: Option<Value> = text
                .parse::<i64>()
                .map(Value::from)
                .or_else(|_| text.parse::<bool>().map(Value::from))
                .ok()
                .or_else(|| {
                    text.parse::<f64>()
                        .ok()
                        .filter(|number| number.is_finite())
                        .map(Value::from)
                });
            meant
                .filter(|meant| shape.takes(meant))
                .map(|_| format!("leave out the quotes: {text}"))
        }
        (Shape::Integer { .. } | Shape::Either(_), Value::Num(..)) => {
            let number = as_f64(value);
            let whole = number.fract() == 0.0 && number.abs() < 1e15;
            whole.then(|| format!("write it without the point: {number:.0}"))
        }
        (Shape::Text { choices }, Value::Num(..) | Value::Bool(..)) if choices.is_empty() => {
            Some(format!("put it in quotes: \"{}\"", scalar(value)))
        }
        (Shape::Array { items, .. }, value) if items.takes(value) && !matches!(value, Value::Dict(..)) => {
            Some(format!("write [{}]", scalar(value)))
        }
        (Shape::Array { items, .. }, Value::Dict(..)) if items.takes(value) => {
            Some("write its header in double brackets: [[…]]".to_owned())
        }
        (Shape::Table(_) | Shape::Tagged(_), Value::Array(_, items))
            if items.iter().all(|item| item.as_dict().is_some()) =>
        {
            Some("write its header in single brackets: […]".to_owned())
        }
        (Shape::Tagged(tagged), Value::String(_, text)) if tagged.variant(text).is_some() => {
            Some(format!("write {{ kind = \"{text}\" }}"))
        }
        _ => None,
    }
}

fn found(value: &Value) -> String {
    match value {
        Value::String(_, text) => format!("the string {}", quoted(text)),
        Value::Bool(..) => scalar(value),
        Value::Num(..) if value.to_i128().is_some() => format!("the integer {}", scalar(value)),
        Value::Num(..) => format!("the number {}", scalar(value)),
        Value::Array(_, items) if items.is_empty() => "an empty array".to_owned(),
        Value::Array(..) => "an array".to_owned(),
        Value::Dict(..) => "a table".to_owned(),
        Value::Char(..) | Value::Empty(..) => "nothing".to_owned(),
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(_, text) => quoted(text),
        Value::Bool(_, truth) => truth.to_string(),
        Value::Num(..) => match value.to_i128() {
            Some(number) => number.to_string(),
            None => format!("{:?}", as_f64(value)),
        },
        _ => String::new(),
    }
}

/// In quotes, on one line, and not longer than a line.
fn quoted(text: &str) -> String {
    const LONGEST: usize = 40;
    let short: String = text.chars().take(LONGEST).collect();
    let ellipsis = if text.chars().count() > LONGEST { "…" } else { "" };
    format!("{short:?}{ellipsis}")
}

/// A number of TOML; integers stand for themselves.
#[allow(clippy::cast_precision_loss)]
pub(super) fn as_f64(value: &Value) -> f64 {
    match value.to_i128() {
        Some(number) => number as f64,
        None => value.to_f64().unwrap_or_default(),
    }
}

/// Whether the ends of a range belong to it.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub low: bool,
    pub high: bool,
}

impl Ends {
    pub const INCLUSIVE: Self = Self { low: true, high: true };
}

/// Whether a limit belongs to the range; so it does where there is none.
pub(super) fn inclusive(limit: Option<Limit>) -> bool {
    limit.is_none_or(|limit| limit.inclusive)
}

/// "between 1 and 3", "above 0".
pub(super) fn range(min: Option<String>, max: Option<String>, ends: Ends) -> String {
    let above = |min: String| {
        if ends.low {
            format!("at least {min}")
        } else {
            format!("above {min}")
        }
    };
    let below = |max: String| {
        if ends.high {
            format!("at most {max}")
        } else {
            format!("below {max}")
        }
    };
    match (min, max) {
        (Some(min), Some(max)) if ends.low && ends.high => format!("between {min} and {max}"),
        (Some(min), Some(max)) => format!("{} and {}", above(min), below(max)),
        (Some(min), None) => above(min),
        (None, Some(max)) => below(max),
        (None, None) => "a number".to_owned(),
    }
}

/// `layers` holds what is called a layer.
pub(super) fn singular(key: &str) -> &str {
    key.strip_suffix('s').unwrap_or(key)
}
