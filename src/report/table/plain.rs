//! The comparison for the terminal, for Markdown and for CSV.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

use super::{Comparison, Rank, shown};

impl Comparison {
    /// For a terminal of `width` columns (`None`: as wide as it takes). No colour; the best value of a row carries a `*`.
    pub fn text(&self, width: Option<u16>) -> String {
        let mut table = ruled(width);
        let intervals = self.has_intervals();
        let mut header = vec!["metric".to_owned()];
        if self.has_targets() {
            header.push("target".to_owned());
        }
        let left = header.len();
        header.push("model ".to_owned());
        if intervals {
            header.push("95% CI".to_owned());
        }
        header.extend(self.baselines.iter().map(|name| one_line(name) + " "));
        let columns = header.len();
        table.set_header(header);
        for row in &self.rows {
            let mut cells = vec![one_line(row.metric_label())];
            if self.has_targets() {
                cells.push(one_line(&row.target));
            }
            for (index, (value, rank)) in row.values().into_iter().zip(row.ranks()).enumerate() {
                // Numbers stay aligned: a blank where others have a star.
                let star = if rank == Rank::Best { '*' } else { ' ' };
                let text = if index == 0 { row.shown_model() } else { shown(value) };
                cells.push(format!("{text}{star}"));
                if index == 0 && intervals {
                    cells.push(row.interval().unwrap_or_default());
                }
            }
            table.add_row(cells);
        }
        for index in left..columns {
            if let Some(column) = table.column_mut(index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.trim_fmt()
    }

    /// A GitHub table; the best value of a row is bold.
    pub fn markdown(&self) -> String {
        let mut lines = vec![format!(
            "| {} |",
            self.header()
                .iter()
                .map(|name| escape(name))
                .collect::<Vec<_>>()
                .join(" | ")
        )];
        let left = 1 + usize::from(self.has_targets());
        let rule: Vec<&str> = (0..left + 1 + self.baselines.len())
            .map(|index| if index < left { ":---" } else { "---:" })
            .collect();
        lines.push(format!("| {} |", rule.join(" | ")));
        for row in &self.rows {
            let mut cells = vec![escape(row.metric_label())];
            if self.has_targets() {
                cells.push(escape(&row.target));
            }
            for (index, (value, rank)) in row.values().into_iter().zip(row.ranks()).enumerate() {
                let mut text = if index == 0 { row.shown_model() } else { shown(value) };
                if rank == Rank::Best {
                    text = format!("**{text}**");
                }
                if let (0, Some(interval)) = (index, row.interval()) {
                    text = format!("{text} {interval}");
                }
                cells.push(text);
            }
            lines.push(format!("| {} |", cells.join(" | ")));
        }
        lines.join("\n") + "\n"
    }

    /// One row a line with every digit: split, metric, target, model, ci_low, ci_high, then one column a baseline. Where there are any,
    /// the deviations over repeats and the ends of the baselines' intervals follow. Values that are missing or not finite are empty.
    pub fn csv(&self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let number = |value: Option<f64>| match value {
            Some(value) if value.is_finite() => value.to_string(),
            _ => String::new(),
        };
        let mut header: Vec<String> = ["split", "metric", "target", "model", "ci_low", "ci_high"]
            .map(str::to_owned)
            .to_vec();
        header.extend(self.baselines.iter().cloned());
        let deviations = self.rows.iter().any(|row| row.deviation.is_some());
        let intervals = self.rows.iter().any(|row| row.baseline_cis.iter().any(Option::is_some));
        if deviations {
            header.push("deviation".to_owned());
        }
        if intervals {
            let ends = self
                .baselines
                .iter()
                .flat_map(|name| [format!("{name}_ci_low"), format!("{name}_ci_high")]);
            header.extend(ends);
        }
        let records = self.rows.iter().map(|row| {
            let mut record = vec![self.split.clone(), row.metric.clone(), row.target.clone()];
            record.extend([row.model, row.ci.map(|ci| ci.0), row.ci.map(|ci| ci.1)].map(number));
            record.extend(row.baselines.iter().copied().map(number));
            if deviations {
                record.push(number(row.deviation));
            }
            if intervals {
                let ends = row
                    .baseline_cis
                    .iter()
                    .flat_map(|ci| [ci.map(|ci| ci.0), ci.map(|ci| ci.1)]);
                record.extend(ends.map(number));
            }
            record
        });
        for record in std::iter::once(header).chain(records) {
            // Writing to memory does not fail, and all records have as many fields as the header.
            if writer.write_record(&record).is_err() {
                break;
            }
        }
        let bytes = writer.into_inner().unwrap_or_default();
        String::from_utf8(bytes).unwrap_or_default()
    }

    pub(super) fn has_intervals(&self) -> bool {
        self.rows.iter().any(|row| row.interval().is_some())
    }

    /// Of Markdown and LaTeX: the interval stands in the model's column.
    pub(super) fn header(&self) -> Vec<String> {
        let mut header = vec!["metric".to_owned()];
        if self.has_targets() {
            header.push("target".to_owned());
        }
        header.push(if self.has_intervals() {
            "model (95% CI)".to_owned()
        } else {
            "model".to_owned()
        });
        header.extend(self.baselines.iter().map(|name| one_line(name)));
        header
    }
}

/// An empty table with three rules, for a terminal of `width` columns.
pub(in crate::report) fn ruled(width: Option<u16>) -> Table {
    const RULES: TableStyle = TableStyle::new()
        .top_border(LineStyle::none().fill('─').junction('─'))
        .header_separator(LineStyle::none().fill('─').junction('─'))
        .bottom_border(LineStyle::none().fill('─').junction('─'));
    let mut table = Table::new();
    table.load_style(RULES);
    // Without a width of its own, the table would ask the terminal: only the command line may.
    table.force_no_tty();
    match width {
        Some(width) => {
            table
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(width);
        }
        None => {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    table
}

/// Without control characters, which would move the terminal's cursor.
pub(in crate::report) fn one_line(text: &str) -> String {
    text.chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect()
}

/// For a cell of a Markdown table.
pub(in crate::report) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in one_line(text).chars() {
        match character {
            '\\' | '|' | '*' | '_' | '`' | '[' | ']' | '~' | '#' => escaped.extend(['\\', character]),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::tests::{example, result};
    use super::*;

    #[test]
    fn terminal() {
        insta::assert_snapshot!(example().text(None), @r"
        ───────────────────────────────────────────────────────────────────
         metric   target        model            95% CI    mean     ridge
        ───────────────────────────────────────────────────────────────────
         RMSE     valence_50%   0.220*                    0.310     0.220*
         RMSE     average       0.212*   [0.200, 0.225]   0.300     0.250
         CCC      valence_50%   0.500*                        –    −0.100
        ───────────────────────────────────────────────────────────────────
        ");
    }

    #[test]
    fn markdown() {
        insta::assert_snapshot!(example().markdown(), @r"
        | metric | target | model (95% CI) | mean | ridge |
        | :--- | :--- | ---: | ---: | ---: |
        | RMSE | valence\_50% | **0.220** | 0.310 | **0.220** |
        | RMSE | average | **0.212** [0.200, 0.225] | 0.300 | 0.250 |
        | CCC | valence\_50% | **0.500** | – | −0.100 |
        ");
    }

    #[test]
    fn csv() {
        insta::assert_snapshot!(example().csv(), @r"
        split,metric,target,model,ci_low,ci_high,mean,ridge
        test,rmse,valence_50%,0.22,,,0.31,0.22
        test,rmse,average,0.21234,0.2,0.225,0.3,0.25
        test,ccc,valence_50%,0.5,0.4,,,-0.1
        ");
    }

    #[test]
    fn without_targets_intervals_or_rows() {
        let table = Comparison::of(&[result("accuracy", "", 0.5, None)], &[], "test");
        assert_eq!(
            table.markdown(),
            "| metric | model |\n| :--- | ---: |\n| accuracy | 0.500 |\n"
        );
        let empty = Comparison::of(&[], &[], "test");
        assert!(empty.text(Some(40)).contains("metric"));
        assert_eq!(empty.csv(), "split,metric,target,model,ci_low,ci_high\n");
    }

    #[test]
    fn a_narrow_terminal_wraps_but_loses_nothing() {
        let text = example().text(Some(40));
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
    }
}
