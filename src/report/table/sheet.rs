//! A table for LaTeX that fits where it goes: the page of an article, or one column of a paper that has two.
//!
//! What does not fit as it is is set in smaller type, then with its names in rows of their own above the figures, then as several tables
//! of fewer columns. Widths are estimated, on the safe side, from those of Computer Modern.

use std::fmt::Write as _;

use super::Rank;
use super::latex::escape;
use crate::report::Width;

/// A table before it is laid out. The first `left` columns are names.
pub(in crate::report) struct Sheet {
    pub caption: String,
    /// What `\ref` takes.
    pub label: Option<String>,
    pub header: Vec<String>,
    pub left: usize,
    /// The column of names that always stands beside the figures.
    pub stays: usize,
    pub rows: Vec<Vec<Cell>>,
}

/// A cell, and how wide it is in type of 10 points.
#[derive(Debug, Clone)]
pub(in crate::report) struct Cell {
    pub latex: String,
    pub points: f64,
}

impl Cell {
    pub fn name(text: &str) -> Self {
        Self {
            latex: escape(text),
            points: points(text),
        }
    }

    /// `latex` is how `text` is set.
    pub fn value(text: &str, latex: String, rank: Rank) -> Self {
        let (latex, bold) = match rank {
            Rank::Best => (format!("\\textbf{{{latex}}}"), 1.15),
            Rank::Second => (format!("\\underline{{{latex}}}"), 1.0),
            Rank::Other => (latex, 1.0),
        };
        Self {
            latex,
            points: bold * points(text),
        }
    }
}

/// A size of type.
#[derive(Debug, Clone, Copy)]
struct Type {
    command: &'static str,
    /// Widths against those at 10 points.
    scale: f64,
    /// Between two columns, and of a line, in points.
    air: f64,
    line: f64,
}

const TYPES: [Type; 4] = [
    Type {
        command: "",
        scale: 1.0,
        air: 12.0,
        line: 12.0,
    },
    Type {
        command: "\\small\\setlength{\\tabcolsep}{4pt}",
        scale: 0.925,
        air: 8.0,
        line: 11.0,
    },
    Type {
        command: "\\footnotesize\\setlength{\\tabcolsep}{3pt}",
        scale: 0.85,
        air: 6.0,
        line: 9.5,
    },
    Type {
        command: "\\scriptsize\\setlength{\\tabcolsep}{2pt}",
        scale: 0.8,
        air: 4.0,
        line: 8.0,
    },
];
const FOOTNOTE: Type = TYPES[2];
const SCRIPT: Type = TYPES[3];
/// What a page or column has room for, in points.
const HEIGHT: f64 = 550.0;

/// Where names stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    /// In columns; what is the same as in the row above is not repeated.
    Beside,
    /// In a row of their own, all but one; long ones are broken.
    Above,
}

impl Sheet {
    /// One or more `table` environments, `table*` where nothing else helps.
    pub fn draw(&self, width: Width) -> String {
        // A column of 84 mm; the page of LaTeX's article.
        let room = match width {
            Width::Column => 239.0,
            Width::Page => 345.0,
        };
        let columns: Vec<usize> = (0..self.header.len()).collect();
        let beside = |size: &&Type| {
            let lines = self.rows.len() as f64 + 1.0;
            let height = lines * size.line <= HEIGHT || size.scale <= SCRIPT.scale;
            height && self.width(&columns, Names::Beside, **size, room) <= room
        };
        let sizes = match width {
            Width::Column => &TYPES[..3],
            Width::Page => &TYPES[..],
        };
        if let Some(size) = sizes.iter().find(beside) {
            return self.tables(&[columns], Names::Beside, *size, room, "table");
        }
        for size in [FOOTNOTE, SCRIPT] {
            if self.width(&columns, Names::Above, size, room) <= room {
                return self.tables(&[columns], Names::Above, size, room, "table");
            }
        }
        if let Some(parts) = self.parts(room) {
            return self.tables(&parts, Names::Above, SCRIPT, room, "table");
        }
        match width {
            Width::Page => self.tables(&[columns], Names::Beside, SCRIPT, room, "table"),
            Width::Column => {
                let text = self.tables(&[columns], Names::Beside, SCRIPT, room, "table*");
                format!("% too wide for one column: table* spans both\n{text}")
            }
        }
    }

    /// Sets of columns that fit, each with the names; `None` where a single one does not.
    fn parts(&self, room: f64) -> Option<Vec<Vec<usize>>> {
        let names: Vec<usize> = (0..self.left).collect();
        let mut parts = vec![names.clone()];
        for column in self.left..self.header.len() {
            let last = parts.last_mut()?;
            last.push(column);
            if self.width(last, Names::Above, SCRIPT, room) <= room {
                continue;
            }
            last.pop();
            let fresh = [names.as_slice(), &[column]].concat();
            if last.len() == names.len() || self.width(&fresh, Names::Above, SCRIPT, room) > room {
                return None;
            }
            parts.push(fresh);
        }
        Some(parts)
    }

    /// Room for the name beside the figures, with names above: what these leave, but never so little that nothing fits.
    fn name_width(&self, columns: &[usize], size: Type, room: f64) -> f64 {
        const LEAST: f64 = 58.0;
        let figures = columns.iter().filter(|&&column| column >= self.left);
        let taken: f64 = figures
            .map(|&column| size.scale * self.natural(column, Names::Above) + size.air)
            .sum();
        (room - taken).max(LEAST)
    }

    fn natural(&self, column: usize, names: Names) -> f64 {
        let header = self.header.get(column).map_or("", String::as_str);
        let header = match names {
            Names::Beside => points(header),
            Names::Above => words(header).map(points).fold(0.0, f64::max),
        };
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.points).fold(header, f64::max)
    }

    fn width(&self, columns: &[usize], names: Names, size: Type, room: f64) -> f64 {
        let of = |&column: &usize| {
            let natural = size.scale * self.natural(column, names);
            match (names, column < self.left) {
                (Names::Above, true) if column != self.stays => -size.air,
                (Names::Above, true) => natural.min(self.name_width(columns, size, room)),
                _ => natural,
            }
        };
        let air = match names {
            Names::Beside => columns.len(),
            Names::Above => columns.len() - 1,
        };
        columns.iter().map(of).sum::<f64>() + air as f64 * size.air
    }

    fn tables(&self, parts: &[Vec<usize>], names: Names, size: Type, room: f64, environment: &str) -> String {
        let lines = (HEIGHT / size.line) as usize;
        let mut text = String::new();
        let mut number = 0;
        for columns in parts {
            for rows in self.pages(names, lines) {
                self.table(&mut text, columns, &rows, names, size, room, (environment, number));
                number += 1;
            }
        }
        text
    }

    /// Rows that fit one table each. With names above, those of one name are brought together.
    fn pages(&self, names: Names, lines: usize) -> Vec<Vec<&Vec<Cell>>> {
        let mut groups: Vec<(String, Vec<&Vec<Cell>>)> = Vec::new();
        for row in &self.rows {
            let name = match names {
                Names::Beside => String::new(),
                Names::Above => self.above(row),
            };
            match groups.iter_mut().find(|(known, _)| *known == name) {
                Some((_, rows)) => rows.push(row),
                None => groups.push((name, vec![row])),
            }
        }
        let mut pages: Vec<Vec<&Vec<Cell>>> = vec![Vec::new()];
        let mut used = 2;
        for (name, rows) in groups {
            // A name, its rule, and perhaps a second line.
            let above = if name.is_empty() { 0 } else { 3 };
            for (index, row) in rows.iter().enumerate() {
                let takes = 1 + if index == 0 { above } else { 0 };
                let whole = if index == 0 && !name.is_empty() {
                    above + rows.len()
                } else {
                    takes
                };
                if used + whole.min(lines / 2) > lines {
                    pages.push(Vec::new());
                    used = 2 + above;
                }
                used += takes;
                if let Some(page) = pages.last_mut() {
                    page.push(row);
                }
            }
        }
        pages
    }

    /// The names that stand in a row of their own.
    fn above(&self, row: &[Cell]) -> String {
        let names = row.iter().take(self.left).enumerate();
        let names = names.filter(|(column, _)| *column != self.stays);
        let names: Vec<&str> = names
            .map(|(_, cell)| cell.latex.as_str())
            .filter(|name| !name.is_empty())
            .collect();
        match names.as_slice() {
            [metric, group, reference] if self.left > 3 => format!("{metric}: {group} against {reference}"),
            names => names.join(", "),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "one table of a layout")]
    fn table(
        &self,
        text: &mut String,
        columns: &[usize],
        rows: &[&Vec<Cell>],
        names: Names,
        size: Type,
        room: f64,
        (environment, number): (&str, usize),
    ) {
        let shown: Vec<usize> = match names {
            Names::Beside => columns.to_vec(),
            Names::Above => (columns.iter().copied())
                .filter(|&column| column >= self.left || column == self.stays)
                .collect(),
        };
        let name_width = self.name_width(columns, size, room).floor();
        let broken = |column: usize| {
            names == Names::Above && column < self.left && size.scale * self.natural(column, names) > name_width
        };
        let mut form: String = (shown.iter())
            .map(|&column| match column < self.left {
                true if broken(column) => format!("p{{{name_width}pt}}"),
                true => "l".to_owned(),
                false => "r".to_owned(),
            })
            .collect();
        if names == Names::Above {
            form = format!("@{{}}{form}@{{}}");
        }
        let header: Vec<String> = (shown.iter().filter_map(|&column| self.header.get(column)))
            .map(|name| match names {
                Names::Above if name.contains(' ') => {
                    let words: Vec<String> = words(name).map(escape).collect();
                    format!("\\shortstack{{{}}}", words.join("\\\\"))
                }
                _ => escape(name),
            })
            .collect();
        let mut line = |indent: &str, line: &str| {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{indent}{line}");
        };
        line("", &format!("\\begin{{{environment}}}"));
        line("  ", "\\centering");
        if !size.command.is_empty() {
            line("  ", size.command);
        }
        let continued = if number == 0 { "" } else { " (continued)" };
        line("  ", &format!("\\caption{{{}{continued}}}", escape(&self.caption)));
        if let Some(label) = self.label.as_ref().filter(|_| number == 0) {
            line("  ", &format!("\\label{{{label}}}"));
        }
        line("  ", &format!("\\begin{{tabular}}{{{form}}}"));
        line("    ", "\\toprule");
        line("    ", &format!("{} \\\\", header.join(" & ")));
        let mut before: Option<String> = None;
        for row in rows {
            let name = match names {
                Names::Beside => row.first().map_or_else(String::new, |cell| cell.latex.clone()),
                Names::Above => self.above(row),
            };
            let fresh = before.as_ref() != Some(&name);
            if before.is_none() || (fresh && self.left > 1) {
                line("    ", "\\midrule");
            }
            if fresh && names == Names::Above && !name.is_empty() {
                let span = shown.len();
                let name =
                    format!("\\multicolumn{{{span}}}{{@{{}}p{{\\linewidth}}@{{}}}}{{\\raggedright {name}}} \\\\");
                line("    ", &name);
            }
            let cells: Vec<String> = (shown.iter())
                .map(|&column| match row.get(column) {
                    Some(_) if column == 0 && names == Names::Beside && self.left > 1 && !fresh => String::new(),
                    Some(cell) if broken(column) => format!("\\raggedright {}", breakable(&cell.latex)),
                    Some(cell) => cell.latex.clone(),
                    None => String::new(),
                })
                .collect();
            line("    ", &format!("{} \\\\", cells.join(" & ")));
            before = Some(name);
        }
        line("    ", "\\bottomrule");
        line("  ", "\\end{tabular}");
        line("", &format!("\\end{{{environment}}}"));
    }
}

/// A header's lines, where it is stacked.
fn words(header: &str) -> impl Iterator<Item = &str> {
    // What is in parentheses stays together.
    let (before, rest) = header.split_at(header.find(" (").unwrap_or(header.len()));
    let words = before.split(' ').chain([rest.trim_start()]);
    words.filter(|word| !word.is_empty())
}

/// With places where a long name may go on in the next line.
fn breakable(latex: &str) -> String {
    latex
        .replace('.', ".\\allowbreak{}")
        .replace("\\_", "\\_\\allowbreak{}")
}

/// How wide a text is in Computer Modern Roman of 10 points, rather too much than too little.
fn points(text: &str) -> f64 {
    let of = |letter: char| match letter {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '[' | ']' | '\'' | '!' => 2.8,
        'f' | 't' | 'r' | 's' | 'I' | '-' | '(' | ')' | ' ' => 4.0,
        'm' | 'w' | '−' | '±' | '+' | '=' | '<' | '>' | '×' | '%' | '&' => 8.3,
        'M' | 'W' => 10.3,
        'A'..='Z' => 7.5,
        '0'..='9' => 5.0,
        letter if letter.is_ascii() => 5.3,
        _ => 8.0,
    };
    // As a power of ten it is wider than it looks.
    let power = text.split_once('e').is_some_and(|(before, after)| {
        before.ends_with(|letter: char| letter.is_ascii_digit())
            && after.starts_with(|letter: char| letter == '−' || letter.is_ascii_digit())
    });
    text.chars().map(of).sum::<f64>() + if power { 16.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three rows of two metrics, with the same text in each of `columns` columns.
    fn sheet(text: &str, columns: usize) -> Sheet {
        let names = ["metric", "target"].map(str::to_owned);
        let groups = (0..columns).map(|_| "group a".to_owned());
        let row = |metric: &str, target: &str| {
            let names = [metric, target].map(Cell::name);
            let values = (0..columns).map(|_| Cell::value(text, escape(text), Rank::Other));
            names.into_iter().chain(values).collect()
        };
        Sheet {
            caption: "results".to_owned(),
            label: Some("tab:a".to_owned()),
            header: names.into_iter().chain(groups).collect(),
            left: 2,
            stays: 1,
            rows: vec![row("RMSE", "valence"), row("RMSE", "arousal"), row("CCC", "valence")],
        }
    }

    #[test]
    fn what_is_too_wide_for_a_column_is_laid_out_otherwise() {
        let count = |text: &str, what: &str| text.matches(what).count();
        let narrow = sheet("0.100", 2).draw(Width::Column);
        assert!(narrow.contains("\\begin{tabular}{llrr}"), "{narrow}");
        assert_eq!((count(&narrow, "RMSE"), count(&narrow, "\\midrule")), (1, 2));

        let above = sheet("0.113 ± 0.015", 3).draw(Width::Column);
        assert!(
            above.contains("\\multicolumn{4}") && above.contains("\\shortstack{group\\\\a}"),
            "{above}"
        );
        assert_eq!((count(&above, "RMSE"), count(&above, "\\begin{table}")), (1, 1));
        assert!(!sheet("0.113 ± 0.015", 3).draw(Width::Page).contains("multicolumn"));

        let parts = sheet("0.113 ± 0.015", 8).draw(Width::Column);
        let tables = count(&parts, "\\begin{table}");
        assert!(tables > 1, "{parts}");
        assert_eq!((count(&parts, "RMSE"), count(&parts, "\\shortstack")), (tables, 8));
        assert_eq!(
            (count(&parts, "\\label"), count(&parts, "(continued)")),
            (1, tables - 1)
        );

        let wide = sheet(&"w".repeat(60), 1).draw(Width::Column);
        assert!(
            wide.starts_with("% too wide for one column") && wide.contains("\\begin{table*}"),
            "{wide}"
        );
    }

    #[test]
    fn a_long_table_goes_on_in_another_one() {
        let mut long = sheet("0.100", 1);
        long.rows = (0..100).flat_map(|_| long.rows.clone()).collect();
        for width in [Width::Page, Width::Column] {
            let text = long.draw(width);
            assert!(text.contains("(continued)"), "{text}");
            assert_eq!(text.matches("0.100").count(), 300);
        }
    }
}
