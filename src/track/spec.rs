//! The `[record]` table of an experiment file.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What TensorBoard is shown of a run beside its figures. Changes no result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RecordSpec {
    /// When the distributions of weights and gradients are recorded: `{ every = 5 }` (after the first epoch and every fifth), or
    /// `"never"`.
    pub histograms: Histograms,
    /// So many training examples are shown as the network sees them in the first epoch, before and after augmentation; 0: none.
    #[schemars(range(max = 100))]
    pub examples: usize,
}

impl Default for RecordSpec {
    fn default() -> Self {
        Self {
            histograms: Histograms::default(),
            examples: 4,
        }
    }
}

impl RecordSpec {
    /// Whether nothing was said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// When the distributions of weights and gradients are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Histograms {
    Never,
    /// After the first epoch, and after every so many.
    Every(NonZeroU32),
}

impl Default for Histograms {
    fn default() -> Self {
        Self::Every(NonZeroU32::MIN.saturating_add(4))
    }
}

impl Histograms {
    /// Whether those at the end of `epoch`, 1-based, are wanted.
    pub fn after(self, epoch: u32) -> bool {
        match self {
            Self::Never => false,
            Self::Every(every) => epoch == 1 || epoch % every == 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_epoch_is_always_among_them() {
        let epochs = |toml: &str| {
            let spec: RecordSpec = toml::from_str(toml).unwrap();
            (1..=7)
                .filter(|&epoch| spec.histograms.after(epoch))
                .collect::<Vec<_>>()
        };
        assert_eq!(epochs(""), [1, 5]);
        assert_eq!(epochs("histograms = { every = 3 }"), [1, 3, 6]);
        assert_eq!(epochs("histograms = { every = 1 }"), [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(epochs("histograms = \"never\""), [0; 0]);
    }
}
