//! The tables that a comparison is shown as, before they are drawn.

use std::collections::BTreeSet;

use super::sentence::p_value;
use super::{About, Compared, Figure, FigureRow};
use crate::report::metric::{self, Better};
use crate::report::table::Rank;

/// A table before it is drawn. The first `left` columns are names.
pub(in crate::report) struct Table {
    pub title: &'static str,
    pub header: Vec<String>,
    pub left: usize,
    pub rows: Vec<Vec<(String, Rank)>>,
}

impl Compared {
    /// "deam-cnn: 5 runs, seeds 1, 2, 3, 4, 5 (k3f9, …)".
    pub(in crate::report) fn legend(&self) -> Vec<String> {
        let line = |about: &About| {
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

    pub(in crate::report) fn tables(&self) -> Vec<Table> {
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
        // One reference for all is in the title.
        let references = self
            .contrasts
            .windows(2)
            .any(|pair| pair[0].reference != pair[1].reference)
            || self.contrasts.first().map(|contrast| &contrast.reference)
                != self.groups.first().map(|group| &group.name);
        let mut header = vec!["metric", "target", "group"];
        header.extend(references.then_some("against"));
        let left = header.len();
        header.extend(["difference", "95% CI", "better in"]);
        header.extend(match self.contrasts.len() {
            0 | 1 => ["p (Wilcoxon)", "rank r", "d"],
            _ => ["p (Holm)", "rank r", "d"],
        });
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
        let mut order: Vec<String> = Vec::new();
        for (_, figure) in &figures {
            if !order.contains(&figure.target) {
                order.push(figure.target.clone());
            }
        }
        figures.sort_by_key(|(_, figure)| {
            let target = order.iter().position(|target| *target == figure.target);
            (metric::place(&figure.metric), figure.target.is_empty(), target)
        });
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
            let mut cells = vec![
                metric::label(&figure.metric).to_owned(),
                target.to_owned(),
                contrast.name.clone(),
            ];
            cells.extend(references.then(|| contrast.reference.clone()));
            cells.extend([
                metric::number(figure.difference),
                interval.unwrap_or_else(|| "–".to_owned()),
                match figure.groups {
                    0 => "–".to_owned(),
                    groups => format!("{}/{groups}", figure.better_in),
                },
                test.map_or_else(|| "–".to_owned(), |test| p_value(test.p_holm).replace("= ", "")),
                effect(test.map(|test| test.effect)),
                effect(figure.effect),
            ]);
            rows.push(cells.into_iter().map(|text| (text, Rank::Other)).collect());
        }
        Table {
            title: match references {
                true => "Differences on the same test examples",
                false => "Differences from the first, on the same test examples",
            },
            header: header.into_iter().map(str::to_owned).collect(),
            left,
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

/// Values that look the same share a place; none is second where none is worse.
fn ranks(row: &FigureRow) -> Vec<Rank> {
    let mut means: Vec<f64> = row.values.iter().flatten().map(|figure| figure.mean).collect();
    means.sort_by(|a, b| match metric::better(&row.metric) {
        Better::Lower => a.total_cmp(b),
        Better::Higher => b.total_cmp(a),
    });
    let mut places: Vec<String> = means.into_iter().map(metric::number).collect();
    places.dedup();
    let place = |figure: &Option<Figure>| {
        let text = metric::number((*figure)?.mean);
        places.iter().position(|place| *place == text)
    };
    let rank = |figure| match place(figure) {
        Some(0) if places.len() > 1 => Rank::Best,
        Some(1) if places.len() > 2 => Rank::Second,
        _ => Rank::Other,
    };
    row.values.iter().map(rank).collect()
}
