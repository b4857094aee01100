//! The comparison as a table for a paper.

use super::sheet::{Cell, Sheet};
use super::{Comparison, Row, shown};
use crate::report::{Width, metric};

impl Comparison {
    /// A `table` environment, or several: needs `\usepackage{booktabs}`. The best value of a row is bold, the second underlined, the
    /// model's 95% interval in brackets. `caption` is plain text; `label` is what `\ref` takes.
    pub fn latex(&self, caption: &str, label: &str, width: Width) -> String {
        let label: String = label
            .chars()
            .filter(|character| character.is_ascii_alphanumeric() || "-_:.".contains(*character))
            .collect();
        let left = 1 + usize::from(self.has_targets());
        let sheet = Sheet {
            caption: caption.to_owned(),
            label: Some(label),
            header: self.header(),
            left,
            stays: left - 1,
            rows: self.rows.iter().map(|row| self.cells(row)).collect(),
        };
        format!("% needs \\usepackage{{booktabs}}\n{}", sheet.draw(width))
    }

    fn cells(&self, row: &Row) -> Vec<Cell> {
        let mut cells = vec![Cell::name(row.metric_label())];
        cells.extend(self.has_targets().then(|| Cell::name(&row.target)));
        for (index, (value, rank)) in row.values().into_iter().zip(row.ranks()).enumerate() {
            let mut text = shown(value);
            let mut latex = value.map_or_else(|| "--".to_owned(), number);
            if let (0, Some(deviation)) = (index, row.deviation.filter(|deviation| deviation.is_finite())) {
                latex = format!("{latex} $\\pm$ {}", number(deviation));
                text = row.shown_model();
            }
            let mut cell = Cell::value(&text, latex, rank);
            if let (0, Some((low, high)), Some(interval)) = (index, row.ci, row.interval()) {
                cell.latex = format!("{} [{}, {}]", cell.latex, number(low), number(high));
                cell.points += Cell::name(&format!(" {interval}")).points;
            }
            cells.push(cell);
        }
        cells
    }
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
        insta::assert_snapshot!(example().latex("Results on the test split (50%)", "tab:results_1", Width::Page), @r"
        % needs \usepackage{booktabs}
        \begin{table}
          \centering
          \caption{Results on the test split (50\%)}
          \label{tab:results_1}
          \begin{tabular}{llrrr}
            \toprule
            metric & target & model (95\% CI) & mean & ridge \\
            \midrule
            RMSE & valence\_50\% & \textbf{0.220} & 0.310 & \textbf{0.220} \\
             & average & \textbf{0.212} [0.200, 0.225] & 0.300 & \underline{0.250} \\
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
