//! Why a split cannot be made.

use std::path::PathBuf;

use super::Split;
use crate::dataset::error::quoted;

/// Why a split cannot be made, and what to change.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the fractions {fractions:?} of `dataset.split` sum to {}, not 1", rounded(fractions.iter().sum()))]
    FractionSum { fractions: [f64; 3] },

    #[error("the fraction {fraction} of `dataset.split` leaves {} empty", side.name())]
    Fraction { fraction: f64, side: Split },

    #[error("`dataset.split.validation` is {validation}, but must be above 0 and below 1")]
    Validation { validation: f64 },

    #[error("`dataset.split.folds` is {folds}, but a fold each to test and to validate and one to train on make 3")]
    TooFewFolds { folds: usize },

    #[error("`dataset.split.fold` is {fold}, but there are {folds}, numbered from 0 to {}", folds.saturating_sub(1))]
    NoSuchFold { fold: usize, folds: usize },

    /// `needed`: one per side or fold.
    #[error("the data has {found} {}, but the split needs at least {needed}: one for each {}", plural(*found), part)]
    TooFewGroups {
        found: usize,
        needed: usize,
        part: &'static str,
    },

    /// `undeclared`: their ids.
    #[error(
        "{} of {examples} examples have no declared split: {}", undeclared.len(),
        quoted(undeclared, 3)
    )]
    Undeclared {
        examples: usize,
        undeclared: Vec<String>,
        kind: &'static str,
    },

    #[error("the declared split leaks: {} on more than one side:\n{}", are(leaks.len()), listed(leaks))]
    Leak { leaks: Vec<Leak> },

    /// The file of a split that is one.
    #[error("`{}` cannot be used as a split: {what}", path.display())]
    File { path: PathBuf, what: String },

    #[error("the declared split has no {} examples", side.name())]
    EmptySide { side: Split, left_out: usize },
}

/// A group on several sides.
#[derive(Debug, Clone, PartialEq)]
pub struct Leak {
    pub group: String,
    /// At least two.
    pub sides: Vec<Split>,
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::FractionSum { .. } => "write shares of train, val and test, such as `fractions = [0.8, 0.1, 0.1]`".into(),
            Self::Fraction { .. } => {
                "train, val and test each need a share above 0: training stops early by val, and results come from test".into()
            }
            Self::Validation { .. } => "write the share of groups that validates, such as `validation = 0.2`".into(),
            Self::TooFewFolds { .. } => "write `folds = 5`, or use `kind = \"random\"`".into(),
            Self::NoSuchFold { .. } => "change `dataset.split.fold`".into(),
            Self::TooFewGroups { found, .. } => {
                let mut hint = "add data, or group by something that has more values (`dataset.group`)".to_owned();
                if *found >= 3 {
                    hint.push_str(", or ask for fewer folds");
                }
                hint
            }
            Self::Undeclared { kind: "official", .. } => {
                "this corpus was published without a split: use `kind = \"random\"`, `\"k-fold\"`, or a table with \
                 `split_column`"
                    .into()
            }
            Self::Undeclared { kind: "file", .. } => {
                "`dataset.split.file` needs a row for every example (or group): `affect check EXPERIMENT --export-split FILE` writes one".into()
            }
            Self::File { .. } => {
                "it is a CSV file with the columns `id` (or `group`) and `split`: train, val or test".into()
            }
            Self::Undeclared { .. } => {
                "`kind = \"column\"` is for tables: set `dataset.split_column` to the column that says it".into()
            }
            Self::Leak { .. } => {
                "a model that heard a speaker or song in training is not tested on an unknown one: correct the split, or draw \
                 one with `dataset.split.kind = \"random\"`"
                    .into()
            }
            Self::EmptySide { left_out: 0, .. } => {
                "declare examples for it, or draw a split with `dataset.split.kind = \"random\"`".into()
            }
            Self::EmptySide { left_out, .. } => format!(
                "{left_out} examples were left out for want of usable audio: look at the data, or draw a split with \
                 `dataset.split.kind = \"random\"`"
            ),
        })
    }
}

fn rounded(sum: f64) -> f64 {
    (sum * 1e6).round() / 1e6
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "group" } else { "groups" }
}

fn are(groups: usize) -> String {
    if groups == 1 {
        "1 group is".into()
    } else {
        format!("{groups} groups are")
    }
}

fn listed(leaks: &[Leak]) -> String {
    const SHOWN: usize = 10;
    let mut lines: Vec<String> = leaks
        .iter()
        .take(SHOWN)
        .map(|leak| {
            let sides: Vec<_> = leak.sides.iter().map(|side| side.name()).collect();
            format!("  `{}` in {}", leak.group, sides.join(" and "))
        })
        .collect();
    if leaks.len() > SHOWN {
        lines.push(format!("  … and {} more", leaks.len() - SHOWN));
    }
    lines.join("\n")
}
