//! TOML, read into Figment's values, with the place of each.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use figment::value::{Dict, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Mistake, Place, Text};
use super::path::KeyPath;
use super::shape::Shape;

/// Where a setting stands, in bytes of the layer's text.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    pub key: Range<usize>,
    /// Of a table: its header, or all of an inline table.
    pub value: Range<usize>,
}

/// Turns TOML into Figment's values and notes the places.
pub(super) struct Reading<'a> {
    text: &'a Text,
    /// Where the TOML begins in the text.
    offset: usize,
    pub spots: BTreeMap<KeyPath, Spot>,
    pub mistakes: Vec<Mistake>,
}

impl<'a> Reading<'a> {
    pub fn new(text: &'a Text, offset: usize) -> Self {
        Self {
            text,
            offset,
            spots: BTreeMap::new(),
            mistakes: Vec::new(),
        }
    }

    fn shifted(&self, span: &Range<usize>) -> Range<usize> {
        span.start + self.offset..span.end + self.offset
    }

    fn refuse(&mut self, span: Range<usize>, message: impl Into<String>, help: Option<String>) {
        let place = Place {
            text: Arc::clone(self.text),
            span: self.shifted(&span),
        };
        self.mistakes.push(Mistake::at(place, message).help(help));
    }

    pub fn syntax(&mut self, span: Range<usize>, message: &str) {
        let span = visible(self.text.inner(), self.shifted(&span));
        let place = Place {
            text: Arc::clone(self.text),
            span,
        };
        // What the parser says of anything that is no value.
        let label = match message.strip_prefix("string values must be quoted") {
            Some(_) if self.text.inner().get(place.span.clone()).is_none_or(str::is_empty) => "a value is missing here",
            Some(_) => "not a value; text needs quotes",
            None => message,
        };
        self.mistakes
            .push(Mistake::at(place, "this is not valid TOML").label(label.to_owned()));
    }

    pub fn table(&mut self, table: &DeTable<'_>, path: &KeyPath) -> Dict {
        let mut dict = Dict::new();
        for (key, value) in table {
            let name = key.get_ref();
            let path = path.key(name);
            let spot = Spot {
                key: self.shifted(&key.span()),
                value: self.shifted(&value.span()),
            };
            self.spots.insert(path.clone(), spot);
            dict.insert(name.clone().into_owned(), self.value(value, &path));
        }
        dict
    }

    /// A value that cannot be used is refused here and becomes [`Value::from(())`], which fits everywhere.
    fn value(&mut self, value: &Spanned<DeValue<'_>>, path: &KeyPath) -> Value {
        match value.get_ref() {
            DeValue::String(text) => Value::from(text.clone().into_owned()),
            DeValue::Boolean(truth) => Value::from(*truth),
            DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
                Ok(number) => Value::from(number),
                Err(_) => {
                    self.refuse(value.span(), format!("`{path}`: {digits} is too large a number"), None);
                    nothing()
                }
            },
            DeValue::Float(digits) => match digits.as_str().parse::<f64>() {
                Ok(number) if number.is_finite() => Value::from(number),
                _ => {
                    self.refuse(
                        value.span(),
                        format!("`{path}`: expected a finite number, found {digits}"),
                        None,
                    );
                    nothing()
                }
            },
            DeValue::Datetime(date) => {
                let help = format!("where it is meant as text, put it in quotes: \"{date}\"");
                self.refuse(value.span(), format!("`{path}`: no setting is a date"), Some(help));
                nothing()
            }
            DeValue::Array(items) => {
                let mut values = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    let path = path.index(index);
                    let span = self.shifted(&item.span());
                    self.spots.insert(
                        path.clone(),
                        Spot {
                            key: span.clone(),
                            value: span,
                        },
                    );
                    values.push(self.value(item, &path));
                }
                Value::from(values)
            }
            DeValue::Table(table) => Value::from(self.table(table, path)),
        }
    }

    /// The right side of an assignment: TOML where it is TOML, else text. What opens a bracket or a quote is meant as TOML; where
    /// only text can stand, `2026` is text.
    pub fn written(&mut self, written: &str, path: &KeyPath, shape: &Shape) -> Value {
        let text = || Value::from(written.to_owned());
        let opens = written.starts_with(['[', '{', '"', '\'']);
        if written.is_empty() || !opens && shape.wants_text(path.steps()) {
            return text();
        }
        let (value, errors) = DeValue::parse_recoverable(written);
        match (errors.first(), value.get_ref()) {
            (Some(error), _) if opens => {
                let span = error.span().unwrap_or(0..written.len());
                self.syntax(span, error.message());
                nothing()
            }
            (Some(_), _) | (None, DeValue::Datetime(_)) => text(),
            (None, _) => self.value(&value, path),
        }
    }
}

/// At the end of a text there is nothing to point at: its last character is shown instead.
fn visible(text: &str, span: Range<usize>) -> Range<usize> {
    if span.start < text.len() {
        return span;
    }
    let written = text.trim_end();
    let last = written.chars().next_back().map_or(0, char::len_utf8);
    written.len() - last..written.len()
}

/// Stands for a value that was refused already.
fn nothing() -> Value {
    Value::from(figment::value::Empty::Unit)
}
