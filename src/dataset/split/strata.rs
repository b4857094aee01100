//! What a group is made of: how many examples in all, and of each class or fifth.

use std::collections::BTreeMap;

use crate::dataset::{Manifest, Target};

/// Into how many parts the values of the first target are cut.
const QUANTILES: usize = 5;

/// Per group, in sorted order: the number of its examples, then, where `stratify` is set, how many of them are in each stratum.
pub(super) fn counts(manifest: &Manifest, groups: &BTreeMap<&str, Vec<usize>>, stratify: bool) -> Vec<Vec<u32>> {
    let strata = if stratify { strata(manifest) } else { Vec::new() };
    let columns = 1 + strata.iter().max().map_or(0, |last| last + 1);
    groups
        .values()
        .map(|positions| {
            let mut counts = vec![0; columns];
            for &position in positions {
                let stratum = strata.get(position).map(|stratum| stratum + 1);
                for column in [Some(0), stratum].into_iter().flatten() {
                    if let Some(count) = counts.get_mut(column) {
                        *count += 1;
                    }
                }
            }
            counts
        })
        .collect()
}

/// The stratum of each example: its class, or the fifth of all values that its first target falls into. Equal values share
/// a stratum.
fn strata(manifest: &Manifest) -> Vec<usize> {
    let first = |target: &Target| match target {
        Target::Values(values) => values.first().copied().unwrap_or_default(),
        Target::Class(class) => *class as f32,
    };
    let mut values: Vec<f32> = manifest.examples.iter().map(|example| first(&example.target)).collect();
    values.sort_by(f32::total_cmp);
    let cuts: Vec<f32> = (1..QUANTILES)
        .filter_map(|part| values.get(part * values.len() / QUANTILES).copied())
        .collect();
    manifest
        .examples
        .iter()
        .map(|example| match &example.target {
            Target::Class(class) => *class as usize,
            target => cuts.iter().filter(|cut| **cut <= first(target)).count(),
        })
        .collect()
}
