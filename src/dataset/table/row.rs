//! One row of the table.

use super::columns::{Column, Columns};
use crate::dataset::csv_file::{CsvFile, Row, number};
use crate::dataset::{Fault, Source, Split, Window};

/// An example before its class has a number.
pub(super) struct Draft {
    pub id: String,
    pub group: String,
    /// As the table has it.
    pub audio: String,
    pub window: Window,
    pub truth: Truth,
    pub split: Option<Split>,
    pub source: Source,
    pub line: u64,
}

/// What the table says is true.
pub(super) enum Truth {
    Values(Vec<f32>),
    Label(String),
}

/// Reads a row. Everything wrong in it is added to `problems`; `None` where something is.
pub(super) fn read(file: &CsvFile, row: &Row, columns: &Columns, problems: &mut Vec<Fault>) -> Option<Draft> {
    let mut cells = Cells {
        file,
        row,
        problems,
        sound: true,
    };
    let audio = cells.text(columns.audio.as_ref(), "the audio path");
    let truth = match &columns.label {
        Some(label) => cells
            .text(Some(label), "the label")
            .map(|label| Truth::Label(label.to_owned())),
        None => Some(Truth::Values(
            columns
                .targets
                .iter()
                .filter_map(|target| cells.target(target))
                .collect(),
        )),
    };
    let window = cells.window(columns);
    let id = match &columns.id {
        Some(column) => cells.text(Some(column), "the id").map(str::to_owned),
        None => audio.map(|audio| match &columns.start {
            Some(_) => format!("{audio}@{}", window.unwrap_or_default().start),
            None => audio.to_owned(),
        }),
    };
    let group = match &columns.group {
        Some(column) => cells.text(Some(column), "the group"),
        None => audio,
    };
    let split = columns.split.as_ref().and_then(|column| cells.split(column));
    if !cells.sound {
        return None;
    }
    Some(Draft {
        id: id?,
        group: group?.to_owned(),
        audio: audio?.to_owned(),
        window: window?,
        truth: truth?,
        split,
        source: file.source(row),
        line: row.line,
    })
}

/// The cells of a row, read with complaints.
struct Cells<'a> {
    file: &'a CsvFile,
    row: &'a Row,
    problems: &'a mut Vec<Fault>,
    /// Nothing was wrong so far.
    sound: bool,
}

impl<'a> Cells<'a> {
    fn complain(&mut self, what: String) {
        self.sound = false;
        self.problems.push(self.file.fault(self.row.line, what));
    }

    /// What is in `column`, which must not be empty.
    fn text(&mut self, column: Option<&Column>, meaning: &str) -> Option<&'a str> {
        let column = column?;
        let text = self.row.get(column.index);
        if text.is_empty() {
            self.complain(format!("{meaning} (column `{}`) is empty", column.name));
            return None;
        }
        Some(text)
    }

    fn target(&mut self, column: &Column) -> Option<f32> {
        let text = self.row.get(column.index);
        match number(text).map(|value| value as f32) {
            Ok(value) if value.is_finite() => Some(value),
            Ok(_) => {
                self.complain(format!(
                    "target `{}` is {text}, too large for a number here",
                    column.name
                ));
                None
            }
            Err(why) => {
                self.complain(format!("target `{}` {why}", column.name));
                None
            }
        }
    }

    fn window(&mut self, columns: &Columns) -> Option<Window> {
        let start = self.seconds(columns.start.as_ref())?.unwrap_or(0.0);
        let end = self.seconds(columns.end.as_ref())?;
        match end {
            Some(end) if end <= start => {
                let beginning = match &columns.start {
                    Some(column) => format!("`{}` ({start})", column.name),
                    None => "the beginning (0)".to_owned(),
                };
                let name = columns.end.as_ref().map_or("", |column| column.name.as_str());
                self.complain(format!("`{name}` ({end}) is not after {beginning}"));
                None
            }
            _ => Some(Window {
                start,
                duration: end.map(|end| end - start),
            }),
        }
    }

    /// `Some(None)`: no such column, or an empty cell. `None`: something is wrong with it.
    fn seconds(&mut self, column: Option<&Column>) -> Option<Option<f64>> {
        let Some(column) = column else {
            return Some(None);
        };
        let text = self.row.get(column.index);
        if text.is_empty() {
            return Some(None);
        }
        match number(text) {
            Ok(seconds) if seconds >= 0.0 => Some(Some(seconds)),
            Ok(seconds) => {
                self.complain(format!(
                    "`{}` is {seconds} seconds, before the beginning of the file",
                    column.name
                ));
                None
            }
            Err(why) => {
                self.complain(format!("`{}` {why}; it is the time in seconds", column.name));
                None
            }
        }
    }

    fn split(&mut self, column: &Column) -> Option<Split> {
        let text = self.text(Some(column), "the split")?;
        let split = match text.to_lowercase().as_str() {
            "train" | "training" => Some(Split::Train),
            "val" | "valid" | "validation" | "dev" => Some(Split::Val),
            "test" => Some(Split::Test),
            _ => None,
        };
        if split.is_none() {
            self.complain(format!(
                "`{}` is `{text}`, but must be `train`, `val` or `test`",
                column.name
            ));
        }
        split
    }
}
