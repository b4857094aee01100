//! A comparison for the terminal, for Markdown and LaTeX, and for other programs as CSV.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use comfy_table::CellAlignment;

use super::sentence::p_value;
use super::{Compared, Figure, FigureRow};
use crate::report::metric::{self, Better};
use crate::report::table::{Rank, latex, plain};

/// A table before it is drawn. The first `left` columns are names.
struct Table {
    title: &'static str,
    header: Vec<String>,
    left: usize,
    rows: Vec<Vec<(String, Rank)>>,
}

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

    /// A `table` environment for each table: needs `\usepackage{booktabs}`. The best value of a row is bold, the second
    /// underlined.
    pub fn latex(&self) -> String {
        let mut text = String::from("% needs \\usepackage{booktabs}\n");
        let mut line = |line: String| {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{line}");
        };
        for about in self.legend() {
            line(format!("% {}", plain::one_line(&about)));
        }
        for table in self.tables() {
            let numbers = "r".repeat(table.header.len() - table.left);
            let header: Vec<String> = table.header.iter().map(|name| latex::escape(name)).collect();
            line("\\begin{table}\n  \\centering".to_owned());
            line(format!("  \\caption{{{}}}", latex::escape(table.title)));
            line(format!("  \\begin{{tabular}}{{{}{numbers}}}", "l".repeat(table.left)));
            line(format!("    \\toprule\n    {} \\\\\n    \\midrule", header.join(" & ")));
            for row in &table.rows {
                let cells = row.iter().map(|(text, rank)| {
                    let text = latex_cell(text);
                    match rank {
                        Rank::Best => format!("\\textbf{{{text}}}"),
                        Rank::Second => format!("\\underline{{{text}}}"),
                        Rank::Other => text,
                    }
                });
                line(format!("    {} \\\\", cells.collect::<Vec<_>>().join(" & ")));
            }
            line("    \\bottomrule\n  \\end{tabular}\n\\end{table}".to_owned());
        }
        for sentence in &self.sentences {
            line(format!("% {}", plain::one_line(sentence)));
        }
        text
    }

    /// One line for each figure of each group, with every digit; what there is not is empty.
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
                let paired = (self.contrasts.iter().filter(|contrast| contrast.name == group.name))
                    .flat_map(|contrast| contrast.figures.iter().map(move |figure| (contrast, figure)))
                    .find(|(_, figure)| figure.metric == row.metric && figure.target == target);
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
        for record in records {
            // Writing to memory does not fail, and all records have as many fields as the header.
            if writer.write_record(&record).is_err() {
                break;
            }
        }
        String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
    }

    /// "deam-cnn: 5 runs, seeds 1, 2, 3, 4, 5 (k3f9, …)".
    fn legend(&self) -> Vec<String> {
        let line = |about: &super::About| {
            // The runs of several folds have few seeds.
            let seeds: BTreeSet<u64> = about.seeds.iter().copied().collect();
            let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
            match about.runs.as_slice() {
                [only] => format!("{}: {only}, seed {}", about.name, seeds.join("")),
                runs => {
                    let suffixes: Vec<&str> = runs.iter().map(|id| id.rsplit('-').next().unwrap_or(id)).collect();
                    let word = if seeds.len() == 1 { "seed" } else { "seeds" };
                    let (runs, seeds, suffixes) = (runs.len(), shortened(&seeds), shortened(&suffixes));
                    format!("{}: {runs} runs ({suffixes}), {word} {seeds}", about.name)
                }
            }
        };
        self.groups.iter().map(line).collect()
    }

    fn tables(&self) -> Vec<Table> {
        let tables = [self.settings_table(), self.results_table(), self.contrasts_table()];
        tables.into_iter().filter(|table| !table.rows.is_empty()).collect()
    }

    fn names(&self) -> impl Iterator<Item = String> + '_ {
        self.groups.iter().map(|group| group.name.clone())
    }

    fn settings_table(&self) -> Table {
        let other = |text: &String| (text.clone(), Rank::Other);
        Table {
            title: "Settings that differ",
            header: std::iter::once("setting".to_owned()).chain(self.names()).collect(),
            left: 1,
            rows: (self.settings.iter())
                .map(|row| {
                    std::iter::once(other(&row.key))
                        .chain(row.values.iter().map(other))
                        .collect()
                })
                .collect(),
        }
    }

    fn results_table(&self) -> Table {
        let has_targets = self.results.iter().any(|row| !row.target.is_empty());
        let mut header = vec!["metric".to_owned()];
        if has_targets {
            header.push("target".to_owned());
        }
        let left = header.len();
        header.extend(self.names());
        let row = |row: &FigureRow| {
            let mut cells = vec![(metric::label(&row.metric).to_owned(), Rank::Other)];
            if has_targets {
                cells.push((row.target.clone(), Rank::Other));
            }
            // Three intervals side by side fit no page.
            let with_interval = self.groups.len() < 3;
            cells.extend(
                row.values
                    .iter()
                    .zip(ranks(row))
                    .map(|(figure, rank)| (shown(*figure, with_interval), rank)),
            );
            cells
        };
        Table {
            title: match self.split.as_str() {
                "val" => "Results (validation split)",
                _ => "Results",
            },
            header,
            left,
            rows: self.results.iter().map(row).collect(),
        }
    }

    fn contrasts_table(&self) -> Table {
        let header = [
            "metric",
            "target",
            "group",
            "difference",
            "95% CI",
            "better in",
            "p (Wilcoxon)",
            "rank r",
            "d",
        ];
        let mut rows = Vec::new();
        let figures = self
            .contrasts
            .iter()
            .flat_map(|contrast| contrast.figures.iter().map(move |figure| (contrast, figure)));
        let several = self
            .contrasts
            .iter()
            .any(|contrast| contrast.figures.iter().any(|figure| !figure.target.is_empty()));
        let mut figures: Vec<_> = figures.collect();
        figures.sort_by_key(|(_, figure)| (metric::place(&figure.metric), figure.target.is_empty()));
        // The average over a single target says nothing new.
        let mut targets: Vec<&str> = figures.iter().map(|(_, figure)| figure.target.as_str()).collect();
        targets.sort_unstable();
        targets.dedup();
        if targets.len() == 2 {
            figures.retain(|(_, figure)| !figure.target.is_empty());
        }
        for (contrast, figure) in figures {
            let target = match figure.target.as_str() {
                "" if several => "average",
                other => other,
            };
            let interval = figure
                .ci
                .map(|(low, high)| format!("[{}, {}]", metric::number(low), metric::number(high)));
            let effect = |value: Option<f64>| {
                value.map_or_else(|| "–".to_owned(), |value| metric::with_minus(&format!("{value:.2}")))
            };
            let test = figure.wilcoxon.as_ref();
            rows.push(
                [
                    metric::label(&figure.metric).to_owned(),
                    target.to_owned(),
                    contrast.name.clone(),
                    metric::number(figure.difference),
                    interval.unwrap_or_else(|| "–".to_owned()),
                    match figure.groups {
                        0 => "–".to_owned(),
                        groups => format!("{}/{groups}", figure.better_in),
                    },
                    test.map_or_else(|| "–".to_owned(), |test| p_value(test.p_holm).replace("= ", "")),
                    effect(test.map(|test| test.effect)),
                    effect(figure.effect),
                ]
                .map(|text| (text, Rank::Other))
                .to_vec(),
            );
        }
        Table {
            title: "Differences from the first, on the same test examples",
            header: header.map(str::to_owned).to_vec(),
            left: 3,
            rows,
        }
    }
}

fn shortened<T: AsRef<str>>(names: &[T]) -> String {
    const SHOWN: usize = 6;
    let mut text: Vec<&str> = names.iter().take(SHOWN).map(AsRef::as_ref).collect();
    if names.len() > SHOWN {
        text.push("…");
    }
    text.join(", ")
}

/// "0.512 ± 0.013 [0.496, 0.528]".
fn shown(figure: Option<Figure>, with_interval: bool) -> String {
    let Some(figure) = figure else { return "–".to_owned() };
    let mut text = metric::number(figure.mean);
    if let Some(deviation) = figure.deviation {
        text.push_str(&format!(" ± {}", metric::number(deviation)));
    }
    if let Some((low, high)) = figure
        .ci
        .filter(|ci| with_interval && ci.0.is_finite() && ci.1.is_finite())
    {
        text.push_str(&format!(" [{}, {}]", metric::number(low), metric::number(high)));
    }
    text
}

/// Values that look the same share a place; of two none is second.
fn ranks(row: &FigureRow) -> Vec<Rank> {
    let mut means: Vec<f64> = row.values.iter().flatten().map(|figure| figure.mean).collect();
    means.sort_by(|a, b| match metric::better(&row.metric) {
        Better::Lower => a.total_cmp(b),
        Better::Higher => b.total_cmp(a),
    });
    let count = means.len();
    let mut places: Vec<String> = means.into_iter().map(metric::number).collect();
    places.dedup();
    let place = |figure: &Option<Figure>| {
        let text = metric::number((*figure)?.mean);
        places.iter().position(|place| *place == text)
    };
    let rank = |figure| match place(figure) {
        Some(0) if places.len() > 1 => Rank::Best,
        Some(1) if count > 2 => Rank::Second,
        _ => Rank::Other,
    };
    row.values.iter().map(rank).collect()
}

/// Numbers with TeX's signs.
fn latex_cell(text: &str) -> String {
    let escaped = latex::escape(text);
    escaped
        .replace('±', "$\\pm$")
        .replace('−', "$-$")
        .replace('–', "--")
        .replace('…', "\\ldots")
}
