//! Runs beside each other: only what differs, first settings, then results.
//!
//! Runs that differ only by seed, and the folds of one parent, are one [`Group`]: its figures are means over its runs. Groups are
//! compared in [`Pairs`], on the same test examples or not at all; what stands in the way is said.

mod contrast;
mod group;
mod render;
mod sentence;
mod settings;
mod tables;
mod units;

pub use units::{FlatTruth, flat_truth, problem_of};

use serde::Serialize;

pub use contrast::{Contrast, PairedFigure};
pub use group::{Group, Grouping, RunRecord, group};
pub use settings::SettingRow;
pub(super) use tables::Table;

use super::metric;
use super::table::reported_split;
use crate::evaluate::{is_of_the_whole, spread};
use crate::track::ResultRow;

/// Resamples behind the intervals of differences.
const RESAMPLES: usize = 2000;
/// Of the draws; a comparison is the same whenever it is made.
const SEED: u64 = 0;

/// What a comparison says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    pub groups: Vec<About>,
    /// Settings and circumstances that differ.
    pub settings: Vec<SettingRow>,
    /// "test".
    pub split: String,
    /// Figures that differ; all, where there is one group.
    pub results: Vec<FigureRow>,
    /// Groups against each other, and against baselines.
    pub contrasts: Vec<Contrast>,
    /// In words.
    pub sentences: Vec<String>,
    /// Why something is not compared, or is to be taken with care.
    pub warnings: Vec<String>,
}

/// A group, in the words of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct About {
    pub name: String,
    /// Ids, oldest first.
    pub runs: Vec<String>,
    pub seeds: Vec<u64>,
}

/// One figure of every group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FigureRow {
    pub metric: String,
    /// The target; "average" for the mean over several; "" where there is only the whole.
    pub target: String,
    /// As many as groups.
    pub values: Vec<Option<Figure>>,
}

/// What a group's runs come to in one figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figure {
    /// How many runs.
    pub n: usize,
    pub mean: f64,
    /// The runs' standard deviation (n − 1).
    pub deviation: Option<f64>,
    /// Ends of a 95 % interval: of the mean over the runs, after Student; of a single run its own, over the test examples.
    pub ci: Option<(f64, f64)>,
}

/// What is tested against what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pairs {
    pub models: Models,
    pub baselines: Baselines,
}

/// Whether all groups are tested against the first one only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Models {
    #[default]
    TheFirst,
    EachOther,
}

/// Whether each group is also tested against the baselines that its runs keep the predictions of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Baselines {
    #[default]
    Not,
    Too,
}

/// Compares groups.
pub fn compare(groups: &[Group], pairs: Pairs) -> Compared {
    let mut warnings = Vec::new();
    let split = groups
        .iter()
        .flat_map(|group| &group.runs)
        .map(|run| reported_split(&run.results))
        .next()
        .unwrap_or("test")
        .to_owned();
    let contrasts = contrast::all(groups, pairs, &split, &mut warnings);
    let unit = settings::unit(groups);
    Compared {
        groups: groups.iter().map(About::of).collect(),
        settings: settings::differing(groups),
        results: figures(groups, &split),
        sentences: sentence::of(&contrasts, &unit),
        split,
        contrasts,
        warnings,
    }
}

impl About {
    fn of(group: &Group) -> Self {
        Self {
            name: group.name.clone(),
            runs: group.runs.iter().map(|run| run.summary.id.clone()).collect(),
            seeds: group.runs.iter().map(|run| run.summary.seed).collect(),
        }
    }
}

fn figures(groups: &[Group], split: &str) -> Vec<FigureRow> {
    let mut keys: Vec<(&str, &str)> = Vec::new();
    for row in groups.iter().flat_map(|group| &group.runs).flat_map(|run| &run.results) {
        let key = (row.name.as_str(), row.target.as_str());
        if row.split == split && is_of_the_whole(key.0) && !keys.contains(&key) {
            keys.push(key);
        }
    }
    let several = keys.iter().any(|(_, target)| !target.is_empty());
    // The average over a single target says nothing new.
    let targets_of = |name: &str| {
        keys.iter()
            .filter(|(other, target)| *other == name && !target.is_empty())
            .count()
    };
    let single: Vec<&str> = keys
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| targets_of(name) == 1)
        .collect();
    keys.retain(|(name, target)| !target.is_empty() || !single.contains(name));
    keys.sort_by_key(|(name, target)| (metric::place(name), target.is_empty()));
    let rows = keys.into_iter().map(|(name, target)| FigureRow {
        metric: name.to_owned(),
        target: match target {
            "" if several => "average".to_owned(),
            other => other.to_owned(),
        },
        values: groups.iter().map(|group| figure(group, split, name, target)).collect(),
    });
    rows.filter(|row| groups.len() < 2 || row.values.windows(2).any(|pair| pair[0] != pair[1]))
        .collect()
}

fn figure(group: &Group, split: &str, name: &str, target: &str) -> Option<Figure> {
    let of = |row: &&ResultRow| row.split == split && row.name == name && row.target == target;
    let rows: Vec<&ResultRow> = group
        .runs
        .iter()
        .filter_map(|run| run.results.iter().find(of))
        .collect();
    let values: Vec<f64> = rows
        .iter()
        .map(|row| row.value)
        .filter(|value| value.is_finite())
        .collect();
    let spread = spread(&values)?;
    Some(Figure {
        n: spread.n,
        mean: spread.mean,
        deviation: spread.deviation,
        ci: match rows.as_slice() {
            [only] => only.ci,
            _ => spread.ci,
        },
    })
}
