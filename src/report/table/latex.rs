//! The comparison as a table for a paper.

use std::fmt::Write;

use super::{Comparison, Rank, Row, shown};
use crate::report::metric;

impl Comparison {
    /// A `table` environment: needs `\usepackage{booktabs}`. The best value of a row is bold, the second underlined, the
    /// model's 95% interval in brackets. `caption` is plain text; `label` is what `\ref` takes.
    pub fn latex(&self, caption: &str, label: &str) -> String {
        let columns = format!(
            "l{}{}",
            if self.has_targets() { "l" } else { "" },
            "r".repeat(1 + self.baselines.len())
        );
        let header: Vec<String> = self.header().iter().map(|name| escape(name)).collect();
        let label: String = label
            .chars()
            .filter(|character| character.is_ascii_alphanumeric() || "-_:.".contains(*character))
            .collect();
        let cells: Vec<Vec<String>> = (std::iter::once(self.header()))
            .chain(self.rows.iter().map(|row| self.plain_cells(row)))
            .collect();
        let mut text = String::from("% needs \\usepackage{booktabs}\n\\begin{table}\n  \\centering\n");
        text.push_str(&size(&cells));
        let mut line = |line: &str| {
            // Writing to a String does not fail.
            let _ = writeln!(text, "  {line}");
        };
        line(&format!("\\caption{{{}}}", escape(caption)));
        line(&format!("\\label{{{label}}}"));
        line(&format!("\\begin{{tabular}}{{{columns}}}"));
        line("  \\toprule");
        line(&format!("  {} \\\\", header.join(" & ")));
        let mut before: Option<&str> = None;
        for row in &self.rows {
            // A rule between metrics; the metric's name only in its first row.
            if before != Some(row.metric.as_str()) && (before.is_none() || self.has_targets()) {
                line("  \\midrule");
            }
            let first = before != Some(row.metric.as_str());
            before = Some(&row.metric);
            line(&format!("  {} \\\\", self.cells(row, first).join(" & ")));
        }
        line("  \\bottomrule");
        line("\\end{tabular}");
        text.push_str("\\end{table}\n");
        text
    }

    /// As many letters as a row takes.
    fn plain_cells(&self, row: &Row) -> Vec<String> {
        let mut cells = vec![row.metric_label().to_owned()];
        cells.extend(self.has_targets().then(|| row.target.clone()));
        cells.push(row.shown_model() + &row.interval().unwrap_or_default());
        cells.extend(row.baselines.iter().map(|&value| shown(value)));
        cells
    }

    fn cells(&self, row: &Row, first: bool) -> Vec<String> {
        let mut cells = vec![if first || !self.has_targets() {
            escape(row.metric_label())
        } else {
            String::new()
        }];
        if self.has_targets() {
            cells.push(escape(&row.target));
        }
        for (index, (value, rank)) in row.values().into_iter().zip(row.ranks()).enumerate() {
            let mut text = value.map_or_else(|| "--".to_owned(), number);
            if let (0, Some(deviation)) = (index, row.deviation.filter(|deviation| deviation.is_finite())) {
                text = format!("{text} $\\pm$ {}", number(deviation));
            }
            match rank {
                Rank::Best => text = format!("\\textbf{{{text}}}"),
                Rank::Second => text = format!("\\underline{{{text}}}"),
                Rank::Other => {}
            }
            if let (0, Some((low, high))) = (index, row.ci)
                && low.is_finite()
                && high.is_finite()
            {
                text = format!("{text} {{\\small [{}, {}]}}", number(low), number(high));
            }
            cells.push(text);
        }
        cells
    }
}

/// A line that makes type and columns so small that a table with these cells fits the page of an article: 345 points wide, 550 high.
/// Empty where it fits as it is.
pub(in crate::report) fn size(rows: &[Vec<String>]) -> String {
    /// A letter's width and the air between two columns in points; the height of a line.
    const NORMAL: (f64, f64, f64) = (4.9, 12.0, 12.0);
    const SMALLER: [(&str, f64, f64, f64); 3] = [
        ("\\small\\setlength{\\tabcolsep}{4pt}", 4.5, 8.0, 11.0),
        ("\\footnotesize\\setlength{\\tabcolsep}{3pt}", 4.1, 6.0, 9.5),
        ("\\scriptsize\\setlength{\\tabcolsep}{2pt}", 3.6, 4.0, 8.0),
    ];
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let letters: usize = (0..columns).map(widest).sum();
    let fits = |letter: f64, air: f64, line: f64| {
        letters as f64 * letter + columns as f64 * air <= 345.0 && rows.len() as f64 * line <= 550.0
    };
    if fits(NORMAL.0, NORMAL.1, NORMAL.2) {
        return String::new();
    }
    let smaller = SMALLER.iter().find(|(_, letter, air, line)| fits(*letter, *air, *line));
    let (command, ..) = smaller.unwrap_or(&SMALLER[2]);
    format!("  {command}\n")
}

/// With a real minus sign: `$-$0.100`; powers of ten as such.
fn number(value: f64) -> String {
    let text = metric::number(value);
    match text.split_once('e') {
        _ if text == "–" => "--".to_owned(),
        Some((mantissa, power)) => {
            let plain = |text: &str| text.replace('−', "-");
            format!("${} \\times 10^{{{}}}$", plain(mantissa), plain(power))
        }
        None => text.replace('−', "$-$"),
    }
}

/// Text for LaTeX.
pub(in crate::report) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => escaped.extend(['\\', character]),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            '\\' => escaped.push_str("\\textbackslash{}"),
            '<' => escaped.push_str("\\textless{}"),
            '>' => escaped.push_str("\\textgreater{}"),
            '²' => escaped.push_str("$^2$"),
            '±' => escaped.push_str("$\\pm$"),
            '−' => escaped.push_str("$-$"),
            '–' => escaped.push_str("--"),
            '…' => escaped.push_str("\\ldots{}"),
            '[' => escaped.push_str("{[}"),
            ']' => escaped.push_str("{]}"),
            character if character.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::*;

    #[test]
    fn a_paper_s_table() {
        insta::assert_snapshot!(example().latex("Results on the test split (50%)", "tab:results_1"), @r"
        % needs \usepackage{booktabs}
        \begin{table}
          \centering
          \caption{Results on the test split (50\%)}
          \label{tab:results_1}
          \begin{tabular}{llrrr}
            \toprule
            metric & target & model (95\% CI) & mean & ridge \\
            \midrule
            RMSE & valence\_50\% & \textbf{0.220} & \underline{0.310} & \textbf{0.220} \\
             & average & \textbf{0.212} {\small [0.200, 0.225]} & 0.300 & \underline{0.250} \\
            \midrule
            CCC & valence\_50\% & \textbf{0.500} & -- & $-$0.100 \\
            \bottomrule
          \end{tabular}
        \end{table}
        ");
    }

    #[test]
    fn nothing_of_a_name_is_taken_for_a_command() {
        assert_eq!(escape("a_b%\\input{x}"), "a\\_b\\%\\textbackslash{}input\\{x\\}");
        assert_eq!(number(-1.5e-7), "$-1.50 \\times 10^{-7}$");
    }
}
