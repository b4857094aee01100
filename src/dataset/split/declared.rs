//! Splits that the data declares: the corpus's own, or a column's.

use super::error::Leak;
use super::{Error, Split, groups};
use crate::dataset::Manifest;

/// Who is asked to have declared the split.
#[derive(Debug, Clone, Copy)]
pub(super) enum By {
    Corpus,
    Column,
}

impl By {
    fn kind(self) -> &'static str {
        match self {
            Self::Corpus => "official",
            Self::Column => "column",
        }
    }
}

pub(super) fn assign(manifest: &Manifest, by: By) -> Result<Vec<Split>, Error> {
    let sides: Vec<Split> = manifest.examples.iter().filter_map(|example| example.split).collect();
    if sides.len() < manifest.examples.len() {
        let undeclared = manifest.examples.iter().filter(|example| example.split.is_none());
        return Err(Error::Undeclared {
            examples: manifest.examples.len(),
            undeclared: undeclared.map(|example| example.id.clone()).collect(),
            kind: by.kind(),
        });
    }
    let leaks: Vec<Leak> = groups(manifest)
        .into_iter()
        .filter_map(|(group, positions)| {
            let mut sides: Vec<Split> = positions.iter().filter_map(|&at| sides.get(at).copied()).collect();
            sides.sort();
            sides.dedup();
            (sides.len() > 1).then(|| Leak {
                group: group.to_owned(),
                sides,
            })
        })
        .collect();
    if !leaks.is_empty() {
        return Err(Error::Leak { leaks });
    }
    match Split::ALL.into_iter().find(|side| !sides.contains(side)) {
        Some(side) => Err(Error::EmptySide {
            side,
            left_out: manifest.faults.len(),
        }),
        None => Ok(sides),
    }
}
