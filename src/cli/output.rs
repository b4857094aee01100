//! The only place that writes to the terminal.

use std::io::{self, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
use serde::Serialize;

use super::failure::Failure;
use crate::config::Mistakes;

/// When colour is used. `auto`: on a terminal, unless NO_COLOR is set.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub enum ColorChoice {
    #[default]
    Auto,
    Always,
    Never,
}

impl ColorChoice {
    pub fn apply(self) {
        match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

const BOLD: Style = Style::new().bold();
const ERROR: Style = AnsiColor::Red.on_default().bold();
const HELP: Style = AnsiColor::Cyan.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// Writes a result to stdout, with a line end.
pub fn result(text: &str) -> Result<(), Failure> {
    let mut stdout = anstream::stdout().lock();
    let written = writeln!(stdout, "{}", text.trim_end_matches('\n')).and_then(|()| stdout.flush());
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::ClosedPipe,
        _ => Failure::Work {
            message: format!("cannot write the output: {error}"),
            hint: None,
        },
    })
}

/// Writes a result to stdout as JSON.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    match serde_json::to_string_pretty(value) {
        Ok(text) => result(&text),
        Err(error) => Err(Failure::Work {
            message: format!("cannot write the output as JSON: {error}"),
            hint: None,
        }),
    }
}

/// Text in bold, for [`result`].
pub fn bold(text: &str) -> String {
    format!("{BOLD}{text}{BOLD:#}")
}

/// A line about what is going on.
pub fn note(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Something that the user should know and that stops nothing.
pub fn warning(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{WARNING}warning{WARNING:#}: {text}");
}

pub fn error(message: &str, hint: Option<&str>) {
    let mut stderr = anstream::stderr().lock();
    let _ = writeln!(stderr, "{ERROR}error{ERROR:#}: {message}");
    if let Some(hint) = hint {
        let _ = writeln!(stderr, " {HELP}help{HELP:#}: {hint}");
    }
}

/// All mistakes of an experiment file, each at its place.
pub fn mistakes(mistakes: &Mistakes) {
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode()).with_width(width().unwrap_or(100));
    let mut text = String::new();
    if handler.render_report(&mut text, mistakes as &dyn Diagnostic).is_err() {
        text = mistakes.to_string();
    }
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Columns of the terminal behind stdout; `None` where there is none.
pub fn width() -> Option<usize> {
    let term = console::Term::stdout();
    io::stdout()
        .is_terminal()
        .then(|| usize::from(term.size().1).clamp(40, 200))
}

/// A table for [`result`]; the columns from `first_number` on are aligned to the right.
pub fn table(header: &[&str], first_number: usize) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
    table.force_no_tty();
    table.set_header(header);
    for column in table.column_iter_mut().skip(first_number) {
        column.set_cell_alignment(comfy_table::CellAlignment::Right);
    }
    table
}

/// "1.5 GB", in powers of ten.
pub fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["bytes", "kB", "MB", "GB"] {
        if value < 1000.0 {
            return match unit {
                "bytes" => format!("{count} bytes"),
                _ => format!("{value:.1} {unit}"),
            };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

/// "8.1 s", "3 min 20 s", "2 h 05 min".
pub fn seconds(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// "1 file", "2 files".
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_well() {
        assert_eq!(
            (bytes(999), bytes(1500), bytes(2_400_000_000)),
            ("999 bytes".into(), "1.5 kB".into(), "2.4 GB".into())
        );
        assert_eq!(
            (seconds(8.14), seconds(200.0), seconds(7500.0)),
            ("8.1 s".into(), "3 min 20 s".into(), "2 h 05 min".into())
        );
        assert_eq!(
            (count(1, "file"), count(3, "file")),
            ("1 file".into(), "3 files".into())
        );
    }
}
