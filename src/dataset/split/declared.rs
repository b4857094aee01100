//! Splits that the data declares: the corpus's own, or a column's.

use std::collections::BTreeSet;

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
    let of_groups: Vec<(&str, BTreeSet<Split>)> = (groups(manifest).into_iter())
        .map(|(group, positions)| {
            (
                group,
                positions.iter().filter_map(|&at| sides.get(at).copied()).collect(),
            )
        })
        .collect();
    no_leaks(of_groups.iter().map(|(group, sides)| (*group, sides)))?;
    match Split::ALL.into_iter().find(|side| !sides.contains(side)) {
        Some(side) => Err(Error::EmptySide {
            side,
            left_out: manifest.faults.len(),
        }),
        None => Ok(sides),
    }
}

/// Refuses groups with more than one side.
///
/// # Errors
/// [`Error::Leak`], with all of them.
pub(in crate::dataset) fn no_leaks<'a>(
    groups: impl Iterator<Item = (&'a str, &'a BTreeSet<Split>)>,
) -> Result<(), Error> {
    let leaks: Vec<Leak> = groups
        .filter(|(_, sides)| sides.len() > 1)
        .map(|(group, sides)| Leak {
            group: group.to_owned(),
            sides: sides.iter().copied().collect(),
        })
        .collect();
    match leaks.is_empty() {
        true => Ok(()),
        false => Err(Error::Leak { leaks }),
    }
}
