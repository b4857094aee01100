//! Cross-validation: every group is tested on once.

use std::collections::BTreeSet;

use super::{Error, Split, deal::deal, groups, spread, strata};
use crate::dataset::Manifest;
use crate::random::Generator;

/// Groups are dealt into `folds` folds of about the same number of examples; `fold` tests, the next one validates. The folds
/// are the same whichever is asked for.
pub(super) fn k_fold(
    manifest: &Manifest,
    folds: usize,
    fold: usize,
    stratify: bool,
    seed: u64,
) -> Result<Vec<Split>, Error> {
    if folds < 3 {
        return Err(Error::TooFewFolds { folds });
    }
    if fold >= folds {
        return Err(Error::NoSuchFold { fold, folds });
    }
    let groups = groups(manifest);
    if groups.len() < folds {
        return Err(Error::TooFewGroups {
            found: groups.len(),
            needed: folds,
            part: "fold",
        });
    }
    let counts = strata::counts(manifest, &groups, stratify);
    let shares = vec![1.0 / folds as f64; folds];
    let fold_of = deal(&counts, &shares, &mut Generator::keyed(seed, "split", &[]));
    let validates = (fold + 1) % folds;
    Ok(spread(manifest, &groups, |group| match fold_of.get(group) {
        Some(&it) if it == fold => Split::Test,
        Some(&it) if it == validates => Split::Val,
        _ => Split::Train,
    }))
}

/// The group with number `fold` in sorted order tests; `validation` of the others, drawn at random, validate.
pub(super) fn leave_one_group_out(
    manifest: &Manifest,
    fold: usize,
    validation: f64,
    seed: u64,
) -> Result<Vec<Split>, Error> {
    if !(validation > 0.0 && validation < 1.0) {
        return Err(Error::Validation { validation });
    }
    let groups = groups(manifest);
    if groups.len() < 3 {
        return Err(Error::TooFewGroups {
            found: groups.len(),
            needed: 3,
            part: "of train, val and test",
        });
    }
    if fold >= groups.len() {
        return Err(Error::NoSuchFold {
            fold,
            folds: groups.len(),
        });
    }
    let mut others: Vec<usize> = (0..groups.len()).filter(|group| *group != fold).collect();
    Generator::keyed(seed, "split", &[fold as u64]).shuffle(&mut others);
    let share = (validation * others.len() as f64).round() as usize;
    others.truncate(share.clamp(1, others.len() - 1));
    let validates: BTreeSet<usize> = others.into_iter().collect();
    Ok(spread(manifest, &groups, |group| {
        if group == fold {
            Split::Test
        } else if validates.contains(&group) {
            Split::Val
        } else {
            Split::Train
        }
    }))
}
