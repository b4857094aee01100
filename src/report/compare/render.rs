//! A comparison for the terminal, for Markdown and LaTeX, and for other programs as CSV.

use std::fmt::Write as _;

use comfy_table::CellAlignment;

use super::{Compared, Table};
use crate::report::Width;
use crate::report::table::sheet::{Cell, Sheet};
use crate::report::table::{Rank, latex, plain};

impl Compared {
    /// For a terminal of `width` columns (`None`: as wide as it takes). No colour; the best value of a row carries a `*`.
    pub fn text(&self, width: Option<u16>) -> String {
        let mut parts = vec![self.legend().join("\n")];
        for table in self.tables() {
            let mut drawn = plain::ruled(width);
            drawn.set_header(&table.header);
            for row in &table.rows {
                drawn.add_row(
                    row.iter()
                        .enumerate()
                        .map(|(index, (text, rank))| match (index < table.left, rank) {
                            (true, _) => plain::one_line(text),
                            (false, Rank::Best) => format!("{text}*"),
                            (false, _) => format!("{text} "),
                        }),
                );
            }
            for index in table.left..table.header.len() {
                if let Some(column) = drawn.column_mut(index) {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
            parts.push(format!("{}\n{}", table.title, drawn.trim_fmt()));
        }
        if !self.sentences.is_empty() {
            parts.push(self.sentences.join("\n"));
        }
        parts.join("\n\n") + "\n"
    }

    /// GitHub tables; the best value of a row is bold.
    pub fn markdown(&self) -> String {
        let escape = |text: &String| plain::escape(text);
        let mut parts = vec![
            self.legend()
                .iter()
                .map(|line| format!("- {}", escape(line)))
                .collect::<Vec<_>>()
                .join("\n"),
        ];
        for table in self.tables() {
            let header: Vec<String> = table.header.iter().map(escape).collect();
            let rule: Vec<&str> = (0..table.header.len())
                .map(|index| if index < table.left { ":---" } else { "---:" })
                .collect();
            let mut lines = vec![
                format!("**{}**\n", table.title),
                format!("| {} |", header.join(" | ")),
                format!("| {} |", rule.join(" | ")),
            ];
            for row in &table.rows {
                let cells = row.iter().map(|(text, rank)| match rank {
                    Rank::Best => format!("**{}**", escape(text)),
                    _ => escape(text),
                });
                lines.push(format!("| {} |", cells.collect::<Vec<_>>().join(" | ")));
            }
            parts.push(lines.join("\n"));
        }
        if !self.sentences.is_empty() {
            parts.push(
                self.sentences
                    .iter()
                    .map(|text| format!("- {}", escape(text)))
                    .collect::<Vec<_>>()
                    .join("\n"),
            );
        }
        parts.join("\n\n") + "\n"
    }

    /// A `table` environment for each table, or several where one is too long or too wide: needs `\usepackage{booktabs}`. The best value
    /// of a row is bold, the second underlined.
    pub fn latex(&self, width: Width) -> String {
        let mut text = String::from("% needs \\usepackage{booktabs}\n");
        let mut line = |line: String| {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{line}");
        };
        for about in self.legend() {
            line(format!("% {}", plain::one_line(&about)));
        }
        for table in self.tables() {
            line(sheet(&table, width).draw(width).trim_end().to_owned());
        }
        for sentence in &self.sentences {
            line(format!("% {}", plain::one_line(sentence)));
        }
        text
    }

    /// One line for each figure of each group, or for each of its differences where it has several, with every digit; what there is not is
    /// empty.
    pub fn csv(&self) -> String {
        const HEADER: [&str; 20] = [
            "split",
            "metric",
            "target",
            "group",
            "n",
            "mean",
            "deviation",
            "ci_low",
            "ci_high",
            "reference",
            "difference",
            "difference_low",
            "difference_high",
            "better_in",
            "worse_in",
            "of",
            "wilcoxon_p",
            "wilcoxon_p_holm",
            "rank_biserial",
            "cohen_dz",
        ];
        let mut writer = csv::Writer::from_writer(Vec::new());
        let number = |value: Option<f64>| match value {
            Some(value) if value.is_finite() => value.to_string(),
            _ => String::new(),
        };
        let mut records: Vec<Vec<String>> = vec![HEADER.map(str::to_owned).to_vec()];
        for row in &self.results {
            for (group, figure) in self.groups.iter().zip(&row.values) {
                let Some(figure) = figure else { continue };
                let target = if row.target == "average" { "" } else { &row.target };
                let of_group: Vec<_> = (self.contrasts.iter().filter(|contrast| contrast.name == group.name))
                    .flat_map(|contrast| contrast.figures.iter().map(move |figure| (contrast, figure)))
                    .filter(|(_, figure)| figure.metric == row.metric && figure.target == target)
                    .map(Some)
                    .collect();
                let alone = [None];
                let paired = if of_group.is_empty() { &alone[..] } else { &of_group };
                for paired in paired {
                    let of = |value: fn(&super::PairedFigure) -> Option<f64>| {
                        number(paired.and_then(|(_, figure)| value(figure)))
                    };
                    let count = |value: fn(&super::PairedFigure) -> usize| {
                        paired.map_or_else(String::new, |(_, figure)| value(figure).to_string())
                    };
                    records.push(vec![
                        self.split.clone(),
                        row.metric.clone(),
                        row.target.clone(),
                        group.name.clone(),
                        figure.n.to_string(),
                        number(Some(figure.mean)),
                        number(figure.deviation),
                        number(figure.ci.map(|ci| ci.0)),
                        number(figure.ci.map(|ci| ci.1)),
                        paired.map_or_else(String::new, |(contrast, _)| contrast.reference.clone()),
                        of(|figure| Some(figure.difference)),
                        of(|figure| figure.ci.map(|ci| ci.0)),
                        of(|figure| figure.ci.map(|ci| ci.1)),
                        count(|figure| figure.better_in),
                        count(|figure| figure.worse_in),
                        count(|figure| figure.groups),
                        of(|figure| figure.wilcoxon.as_ref().map(|test| test.p)),
                        of(|figure| figure.wilcoxon.as_ref().map(|test| test.p_holm)),
                        of(|figure| figure.wilcoxon.as_ref().map(|test| test.effect)),
                        of(|figure| figure.effect),
                    ]);
                }
            }
        }
        for record in records {
            // Writing to memory does not fail, and all records have as many fields as the header.
            if writer.write_record(&record).is_err() {
                break;
            }
        }
        String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
    }
}

fn sheet(table: &Table, width: Width) -> Sheet {
    let names = |(text, _): &(String, Rank)| Cell::name(text);
    let value = |(text, rank): &(String, Rank)| Cell::value(text, latex::escape(text), *rank);
    Sheet {
        caption: table.title.to_owned(),
        label: None,
        header: (table.header.iter())
            .map(|name| match (width, name.as_str()) {
                (Width::Column, "difference") => "diff.".to_owned(),
                _ => name.clone(),
            })
            .collect(),
        left: table.left,
        // The target, where there is one.
        stays: usize::from(table.left > 1),
        rows: (table.rows.iter())
            .map(|row| {
                let (left, right) = row.split_at(table.left.min(row.len()));
                left.iter().map(names).chain(right.iter().map(value)).collect()
            })
            .collect(),
    }
}
