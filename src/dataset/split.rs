//! Which examples train, which validate, which test?
//!
//! [`assign`] is a pure function of ids, groups, targets, declared splits, settings and seed. The order of the examples
//! doesn't matter, and no group ever has examples on two sides.

mod deal;
mod declared;
mod error;
mod file;
mod folds;
mod random;
mod strata;

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(in crate::dataset) use declared::no_leaks;
pub use error::{Error, Leak};
pub use file::write;

use super::error::quoted;
use super::{Manifest, Target, Task};

/// The three sides of an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    Train,
    Val,
    Test,
}

impl Split {
    pub const ALL: [Self; 3] = [Self::Train, Self::Val, Self::Test];

    /// "train", "val", "test".
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }

    /// The side that tables call so: `train`; `val`, `valid`, `validation`, `dev`; `test`. Case doesn't matter.
    pub fn named(name: &str) -> Option<Self> {
        match name.trim().to_lowercase().as_str() {
            "train" | "training" => Some(Self::Train),
            "val" | "valid" | "validation" | "dev" => Some(Self::Val),
            "test" => Some(Self::Test),
            _ => None,
        }
    }
}

/// The `[dataset.split]` table: how the examples are divided. Groups never straddle a split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SplitSpec {
    /// Whole groups are drawn at random.
    Random {
        /// Shares of train, val and test in the examples, each above 0. They sum to 1, and are reached as well as whole
        /// groups allow.
        #[serde(default = "default_fractions")]
        #[schemars(inner(range(min = 0.0, max = 1.0)))]
        fractions: [f64; 3],
        /// Spread the classes (or fifths of the first target's values) evenly over the sides, as far as groups allow.
        #[serde(default)]
        stratify: bool,
        /// Default: the experiment's seed.
        #[serde(default)]
        seed: Option<u64>,
    },
    /// The split that the corpus was published with.
    Official,
    /// The split that a column of the table says.
    Column,
    /// The split that a CSV file says: a paper's, or one that `affect check EXPERIMENT --export-split FILE` wrote.
    File {
        /// With the columns `id` (or `group`) and `split`. The path is relative to the folder that the program runs in.
        file: PathBuf,
    },
    /// Groups are dealt into folds; fold `fold` tests, the next one validates.
    KFold {
        /// How many; at least 3, and at most as many as there are groups.
        #[schemars(range(min = 3))]
        folds: usize,
        /// The fold that tests, 0-based.
        #[serde(default)]
        fold: usize,
        /// Spread the classes (or fifths of the first target's values) evenly over the folds, as far as groups allow.
        #[serde(default)]
        stratify: bool,
        /// Default: the experiment's seed.
        #[serde(default)]
        seed: Option<u64>,
    },
    /// One group tests; of the others, some that are drawn at random validate.
    LeaveOneGroupOut {
        /// The group that tests, by its number in sorted order, 0-based.
        #[serde(default)]
        fold: usize,
        /// The share of the remaining groups that validates: at least one group, and never all.
        #[serde(default = "default_validation")]
        #[schemars(range(min = 0.0, max = 1.0))]
        validation: f64,
        /// Default: the experiment's seed.
        #[serde(default)]
        seed: Option<u64>,
    },
}

impl Default for SplitSpec {
    fn default() -> Self {
        Self::Random {
            fractions: default_fractions(),
            stratify: false,
            seed: None,
        }
    }
}

impl SplitSpec {
    /// Whether another seed of the experiment would make another split.
    pub fn goes_by_experiment_seed(&self) -> bool {
        match self {
            Self::Random { seed, .. } | Self::KFold { seed, .. } | Self::LeaveOneGroupOut { seed, .. } => {
                seed.is_none()
            }
            Self::Official | Self::Column | Self::File { .. } => false,
        }
    }

    /// The same split with another fold to test; itself where there are no folds.
    pub fn with_fold(&self, number: usize) -> Self {
        let mut changed = self.clone();
        if let Self::KFold { fold, .. } | Self::LeaveOneGroupOut { fold, .. } = &mut changed {
            *fold = number;
        }
        changed
    }
}

/// The side of every example, in the manifest's order.
///
/// # Errors
/// The settings contradict themselves or the data: see [`Error`]. In particular, no side is ever empty, and a declared split
/// that divides a group is refused.
pub fn assign(manifest: &Manifest, spec: &SplitSpec, seed: u64) -> Result<Vec<Split>, Error> {
    let sides = match spec {
        &SplitSpec::Random {
            fractions,
            stratify,
            seed: own,
        } => random::assign(manifest, fractions, stratify, own.unwrap_or(seed)),
        SplitSpec::Official => declared::assign(manifest, declared::By::Corpus),
        SplitSpec::Column => declared::assign(manifest, declared::By::Column),
        SplitSpec::File { file } => file::assign(manifest, file),
        &SplitSpec::KFold {
            folds,
            fold,
            stratify,
            seed: own,
        } => folds::k_fold(manifest, folds, fold, stratify, own.unwrap_or(seed)),
        &SplitSpec::LeaveOneGroupOut {
            fold,
            validation,
            seed: own,
        } => folds::leave_one_group_out(manifest, fold, validation, own.unwrap_or(seed)),
    }?;
    debug_assert!(Split::ALL.iter().all(|side| sides.contains(side)));
    Ok(sides)
}

/// What a reader of the results must know of the sides: classes that one of them lacks.
pub fn remarks(manifest: &Manifest, sides: &[Split]) -> Vec<String> {
    let Task::Classification { label, classes } = &manifest.task else {
        return Vec::new();
    };
    let lacking = |side: Split| {
        let mut there = vec![false; classes.len()];
        for (example, _) in manifest.examples.iter().zip(sides).filter(|(_, it)| **it == side) {
            if let Target::Class(class) = example.target
                && let Some(there) = there.get_mut(class as usize)
            {
                *there = true;
            }
        }
        let names = classes
            .iter()
            .zip(there)
            .filter(|(_, there)| !there)
            .map(|(name, _)| name.as_str());
        names.collect::<Vec<_>>()
    };
    let of_sides = Split::ALL.into_iter().map(|side| (side, lacking(side)));
    of_sides
        .filter(|(_, names)| !names.is_empty())
        .map(|(side, names)| format!("{} has no example of the {label} {}", side.name(), quoted(&names, 10)))
        .collect()
}

/// How many runs a split asks for when all its folds are wanted: the number of folds or groups; 1 for splits without folds.
pub fn folds(manifest: &Manifest, spec: &SplitSpec) -> usize {
    match *spec {
        SplitSpec::KFold { folds, .. } => folds,
        SplitSpec::LeaveOneGroupOut { .. } => groups(manifest).len(),
        SplitSpec::Random { .. } | SplitSpec::Official | SplitSpec::Column | SplitSpec::File { .. } => 1,
    }
}

/// The groups, sorted by name, with the positions of their examples.
fn groups(manifest: &Manifest) -> BTreeMap<&str, Vec<usize>> {
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (position, example) in manifest.examples.iter().enumerate() {
        groups.entry(&example.group).or_default().push(position);
    }
    groups
}

/// The sides of the examples, given those of the groups in sorted order.
fn spread(manifest: &Manifest, groups: &BTreeMap<&str, Vec<usize>>, side_of: impl Fn(usize) -> Split) -> Vec<Split> {
    let mut sides = vec![Split::Train; manifest.examples.len()];
    for (number, positions) in groups.values().enumerate() {
        for &position in positions {
            if let Some(side) = sides.get_mut(position) {
                *side = side_of(number);
            }
        }
    }
    sides
}

fn default_fractions() -> [f64; 3] {
    [0.8, 0.1, 0.1]
}

fn default_validation() -> f64 {
    0.2
}
