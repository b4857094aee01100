//! The only place that writes to the terminal.

use std::io::{self, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, TableStyle};
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

/// Rows as CSV, for [`result`].
pub fn csv<H, R>(header: H, rows: R) -> Result<String, Failure>
where
    H: IntoIterator<Item: AsRef<[u8]>>,
    R: IntoIterator<Item: IntoIterator<Item: AsRef<[u8]>>>,
{
    let fault = |error: &dyn std::fmt::Display| Failure::Work {
        message: format!("cannot write the output as CSV: {error}"),
        hint: None,
    };
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(header).map_err(|error| fault(&error))?;
    for row in rows {
        writer.write_record(row).map_err(|error| fault(&error))?;
    }
    let bytes = writer.into_inner().map_err(|error| fault(&error))?;
    String::from_utf8(bytes).map_err(|error| fault(&error))
}

/// Text in bold, for [`result`].
pub fn bold(text: &str) -> String {
    format!("{BOLD}{text}{BOLD:#}")
}

/// A line about what is going on.
pub fn note(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// A line about what is going on, under a heading of at most ten characters, which may be empty: "  features  120 examples …".
pub fn item(heading: &str, text: &str) {
    note(&laid_out(heading, text, error_columns()));
}

/// Text beside a heading, broken between words where a terminal of `columns` would break it anywhere.
pub fn laid_out(heading: &str, text: &str, columns: Option<usize>) -> String {
    const INDENT: usize = 12;
    let mut laid_out = format!("{heading:>10}  ");
    let Some(room) = columns
        .map(|columns| columns.saturating_sub(INDENT + 1))
        .filter(|room| *room >= 20)
    else {
        return laid_out + text;
    };
    let mut filled = 0;
    for word in text.split_inclusive(' ') {
        let width = console::measure_text_width(word.trim_end());
        if filled > 0 && filled + width > room {
            laid_out.truncate(laid_out.trim_end().len());
            laid_out.push_str(&format!("\n{:INDENT$}", ""));
            filled = 0;
        }
        laid_out.push_str(word);
        filled += console::measure_text_width(word);
    }
    laid_out
}

/// A figure in a line: four decimals, powers of ten for large and tiny ones.
pub fn figure(value: f64) -> String {
    let magnitude = value.abs();
    match magnitude >= 1e6 || (magnitude < 1e-3 && magnitude > 0.0) {
        true => format!("{value:.3e}"),
        false => format!("{value:.4}"),
    }
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
    let mut theme = GraphicalTheme::unicode();
    theme.characters.error = "error:".into();
    let columns = error_columns().unwrap_or(100).clamp(40, 200);
    let handler = GraphicalReportHandler::new_themed(theme).with_width(columns);
    let drawn = mistakes.list().iter().map(|mistake| {
        let mut text = String::new();
        match handler.render_report(&mut text, mistake as &dyn Diagnostic) {
            Ok(()) => text.trim().to_owned(),
            Err(_) => format!("error: {mistake}"),
        }
    });
    let text = drawn.collect::<Vec<_>>().join("\n\n");
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Columns of the terminal behind stderr; `None` where there is none.
fn error_columns() -> Option<usize> {
    let columns = || usize::from(console::Term::stderr().size().1);
    io::stderr().is_terminal().then(columns)
}

/// Columns of the terminal behind stdout; `None` where there is none.
pub fn width() -> Option<usize> {
    let term = console::Term::stdout();
    io::stdout()
        .is_terminal()
        .then(|| usize::from(term.size().1).clamp(40, 200))
}

/// As [`width`], for tables.
pub fn table_width() -> Option<u16> {
    width().and_then(|width| u16::try_from(width).ok())
}

/// A table for [`result`], in the look of the results'. The columns `numbers` are aligned to the right; where the terminal is
/// too narrow, only the column `flexible` is broken into lines, so that ids stay in one piece.
pub fn table(header: &[&str], numbers: std::ops::Range<usize>, flexible: usize) -> comfy_table::Table {
    const RULES: TableStyle = TableStyle::new()
        .top_border(LineStyle::none().fill('─').junction('─'))
        .header_separator(LineStyle::none().fill('─').junction('─'))
        .bottom_border(LineStyle::none().fill('─').junction('─'));
    let mut table = comfy_table::Table::new();
    table.load_style(RULES);
    table.force_no_tty();
    if let Some(width) = table_width() {
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width);
    }
    table.set_header(header);
    for (index, column) in table.column_iter_mut().enumerate() {
        if numbers.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        if index != flexible {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table
}

/// "1.5 GB", in powers of ten.
pub fn bytes(count: u64) -> String {
    scaled(count, ["bytes", "kB", "MB", "GB", "TB"])
}

/// "1.5 MFLOP", in powers of ten.
pub fn flops(count: u64) -> String {
    scaled(count, ["FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP"])
}

/// "1.5 M", in powers of ten.
pub fn short(count: u64) -> String {
    scaled(count, ["", "k", "M", "G", "T"]).trim_end().to_owned()
}

/// The units grow by a factor of 1000 each.
fn scaled(count: u64, units: [&str; 5]) -> String {
    let [one, larger @ ..] = units;
    if count < 1000 {
        return format!("{count} {one}");
    }
    let mut value = count as f64;
    let mut unit = one;
    for larger in larger {
        value /= 1000.0;
        unit = larger;
        if value < 999.95 {
            break;
        }
    }
    format!("{value:.1} {unit}")
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
    fn long_lines_break_between_words() {
        let text = "ridge: alpha 10 for valence, alpha 10000 for arousal";
        assert_eq!(
            laid_out("baselines", text, None),
            " baselines  ridge: alpha 10 for valence, alpha 10000 for arousal"
        );
        assert_eq!(
            laid_out("baselines", text, Some(40)),
            " baselines  ridge: alpha 10 for\n            valence, alpha 10000 for\n            arousal"
        );
        assert_eq!(laid_out("", "a", Some(5)), "            a");
    }

    #[test]
    fn quantities_read_well() {
        assert_eq!(
            (figure(0.25), figure(0.0), figure(1.5e13), figure(-0.0002)),
            ("0.2500".into(), "0.0000".into(), "1.500e13".into(), "-2.000e-4".into())
        );
        assert_eq!(
            (bytes(999), bytes(1500), bytes(999_999), bytes(2_400_000_000)),
            ("999 bytes".into(), "1.5 kB".into(), "1.0 MB".into(), "2.4 GB".into())
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
