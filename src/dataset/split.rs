//! Which examples train, which validate, which test?

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
}

/// The `[dataset.split]` table: how the examples are divided. Groups never straddle a split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SplitSpec {
    /// Whole groups are drawn at random.
    Random {
        /// Shares of train, val and test. They sum to 1.
        #[serde(default = "default_fractions")]
        fractions: [f64; 3],
        /// Spread the classes (or quantiles of the first target) evenly over the sides, as far as groups allow.
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
    /// Groups are dealt into folds; fold `fold` tests, the next one validates.
    KFold {
        #[schemars(range(min = 3))]
        folds: usize,
        /// 0-based.
        #[serde(default)]
        fold: usize,
        /// Default: the experiment's seed.
        #[serde(default)]
        seed: Option<u64>,
    },
    /// One group tests; of the others, every `1 / validation`-th validates.
    LeaveOneGroupOut {
        /// The group that tests, by its number in sorted order, 0-based.
        #[serde(default)]
        fold: usize,
        /// The share of the remaining groups that validates (at least one group).
        #[serde(default = "default_validation")]
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

fn default_fractions() -> [f64; 3] {
    [0.8, 0.1, 0.1]
}

fn default_validation() -> f64 {
    0.2
}
