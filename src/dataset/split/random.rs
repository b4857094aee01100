//! Whole groups, drawn at random.

use super::{Error, Split, deal::deal, groups, spread, strata};
use crate::dataset::Manifest;
use crate::random::Generator;

/// How far the fractions may sum up beside 1.
const TOLERANCE: f64 = 1e-6;

pub(super) fn assign(manifest: &Manifest, fractions: [f64; 3], stratify: bool, seed: u64) -> Result<Vec<Split>, Error> {
    let sum: f64 = fractions.iter().sum();
    if !sum.is_finite() || (sum - 1.0).abs() > TOLERANCE {
        return Err(Error::FractionSum { fractions });
    }
    for (fraction, side) in fractions.into_iter().zip(Split::ALL) {
        if fraction <= 0.0 {
            return Err(Error::Fraction { fraction, side });
        }
    }
    let groups = groups(manifest);
    if groups.len() < Split::ALL.len() {
        return Err(Error::TooFewGroups {
            found: groups.len(),
            needed: Split::ALL.len(),
            part: "of train, val and test",
        });
    }
    let counts = strata::counts(manifest, &groups, stratify);
    let shares = fractions.map(|fraction| fraction / sum);
    let sides = deal(&counts, &shares, &mut Generator::keyed(seed, "split", &[]));
    Ok(spread(manifest, &groups, |group| {
        let side = sides.get(group).and_then(|&side| Split::ALL.get(side));
        side.copied().unwrap_or(Split::Train)
    }))
}
