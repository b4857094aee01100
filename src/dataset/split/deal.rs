//! Deals whole groups to sides so that each side gets its share.
//!
//! What is minimised is the sum over sides and columns (all examples, and each stratum) of (count − share · total)² / total.
//! Groups are shuffled and dealt greedily, which makes the split random; single moves and swaps of groups then lower the rest
//! until none helps, which makes it near. Groups made of the same counts are interchangeable, so a swap is looked for between
//! kinds of groups and not between groups: for a corpus of songs there is one kind, or one per stratum.

use std::collections::BTreeMap;

use crate::random::Generator;

/// More kinds of groups than this are improved by moves alone: there are then so many groups that swaps add nothing, and
/// looking at all pairs would take long.
const KINDS_SWAPPED: usize = 200;
/// What counts as lower, beyond rounding.
const HELPS: f64 = -1e-9;
/// An end for the improvement that does not depend on rounding.
const MOST_CHANGES: usize = 10_000;

/// The side of each group.
///
/// `counts`: per group its examples per column; `shares`: per side, positive, summing to 1; at least as many groups as sides.
/// No side is left without a group.
pub(super) fn deal(counts: &[Vec<u32>], shares: &[f64], generator: &mut Generator) -> Vec<usize> {
    let mut order: Vec<usize> = (0..counts.len()).collect();
    generator.shuffle(&mut order);
    let mut table = Table::new(counts, shares);
    for &group in &order {
        let side = table.best_side(&counts[group]);
        table.put(group, side);
    }
    table.fill_empty_sides();
    table.improve();
    table.sides()
}

/// Groups on their sides.
struct Table<'a> {
    /// Examples of a group of this kind, per column.
    kinds: Vec<&'a [u32]>,
    /// Kind of each group.
    kind_of: Vec<usize>,
    /// Groups of each kind on each side, the last dealt last: `[kind][side]`.
    groups: Vec<Vec<Vec<usize>>>,
    /// Count less share, per side and column.
    excess: Vec<Vec<f64>>,
    /// 1 / total, per column; 0 for empty ones.
    weights: Vec<f64>,
}

impl<'a> Table<'a> {
    fn new(counts: &'a [Vec<u32>], shares: &[f64]) -> Self {
        let mut kinds: BTreeMap<&[u32], usize> = counts.iter().map(|it| (it.as_slice(), 0)).collect();
        for (number, kind) in kinds.values_mut().enumerate() {
            *kind = number;
        }
        let columns = counts.first().map_or(0, Vec::len);
        let totals: Vec<f64> = (0..columns)
            .map(|column| counts.iter().map(|it| f64::from(it[column])).sum())
            .collect();
        Self {
            kind_of: counts.iter().map(|it| kinds[it.as_slice()]).collect(),
            groups: vec![vec![Vec::new(); shares.len()]; kinds.len()],
            kinds: kinds.into_keys().collect(),
            excess: (shares.iter())
                .map(|share| totals.iter().map(|total| -share * total).collect())
                .collect(),
            weights: totals
                .iter()
                .map(|&total| if total > 0.0 { 1.0 / total } else { 0.0 })
                .collect(),
        }
    }

    /// How much the sum to be minimised grows when `side` gains `counts`, times `sign`.
    fn cost(&self, side: usize, counts: &[u32], sign: f64) -> f64 {
        (self.excess[side].iter().zip(counts).zip(&self.weights))
            .map(|((excess, &count), weight)| {
                let gain = sign * f64::from(count);
                gain * (gain + 2.0 * excess) * weight
            })
            .sum()
    }

    fn best_side(&self, counts: &[u32]) -> usize {
        let costs = (0..self.excess.len()).map(|side| (side, self.cost(side, counts, 1.0)));
        costs.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(side, _)| side)
    }

    fn shift(&mut self, kind: usize, side: usize, sign: f64) {
        for (excess, &count) in self.excess[side].iter_mut().zip(self.kinds[kind]) {
            *excess += sign * f64::from(count);
        }
    }

    fn put(&mut self, group: usize, side: usize) {
        let kind = self.kind_of[group];
        self.groups[kind][side].push(group);
        self.shift(kind, side, 1.0);
    }

    fn move_one(&mut self, kind: usize, from: usize, to: usize) {
        if let Some(group) = self.groups[kind][from].pop() {
            self.shift(kind, from, -1.0);
            self.put(group, to);
        }
    }

    fn groups_on(&self, side: usize) -> usize {
        self.groups.iter().map(|sides| sides[side].len()).sum()
    }

    /// Every (kind, from, to) of which there is a group to move and another that stays behind.
    fn moves(&self) -> impl Iterator<Item = (usize, usize, usize)> + '_ {
        let sides = self.excess.len();
        let movable: Vec<bool> = (0..sides).map(|side| self.groups_on(side) > 1).collect();
        (0..self.kinds.len())
            .flat_map(move |kind| (0..sides).map(move |from| (kind, from)))
            .filter(move |&(kind, from)| movable[from] && !self.groups[kind][from].is_empty())
            .flat_map(move |(kind, from)| (0..sides).filter(move |to| *to != from).map(move |to| (kind, from, to)))
    }

    fn move_cost(&self, kind: usize, from: usize, to: usize) -> f64 {
        self.cost(from, self.kinds[kind], -1.0) + self.cost(to, self.kinds[kind], 1.0)
    }

    fn fill_empty_sides(&mut self) {
        for side in 0..self.excess.len() {
            if self.groups_on(side) > 0 {
                continue;
            }
            let cheapest = self
                .moves()
                .filter(|(_, _, to)| *to == side)
                .min_by(|a, b| self.move_cost(a.0, a.1, a.2).total_cmp(&self.move_cost(b.0, b.1, b.2)));
            if let Some((kind, from, to)) = cheapest {
                self.move_one(kind, from, to);
            }
        }
    }

    fn improve(&mut self) {
        for _ in 0..MOST_CHANGES {
            if let Some((kind, from, to)) = self.helpful_move() {
                self.move_one(kind, from, to);
            } else if let Some((kind, from, other, to)) = self.helpful_swap() {
                self.move_one(kind, from, to);
                self.move_one(other, to, from);
            } else {
                return;
            }
        }
    }

    fn helpful_move(&self) -> Option<(usize, usize, usize)> {
        self.moves()
            .find(|&(kind, from, to)| self.move_cost(kind, from, to) < HELPS)
    }

    fn helpful_swap(&self) -> Option<(usize, usize, usize, usize)> {
        self.swaps().find(|&swap| self.swap_cost(swap) < HELPS)
    }

    /// Every (kind, side, other kind, other side) of which both sides have a group.
    fn swaps(&self) -> impl Iterator<Item = (usize, usize, usize, usize)> + '_ {
        let sides = self.excess.len();
        let kinds = if self.kinds.len() > KINDS_SWAPPED {
            0
        } else {
            self.kinds.len()
        };
        (0..kinds)
            .flat_map(move |kind| (0..sides).map(move |from| (kind, from)))
            .filter(|&(kind, from)| !self.groups[kind][from].is_empty())
            .flat_map(move |(kind, from)| {
                (0..kinds)
                    .filter(move |other| *other != kind)
                    .flat_map(move |other| (from + 1..sides).map(move |to| (kind, from, other, to)))
            })
            .filter(|&(_, _, other, to)| !self.groups[other][to].is_empty())
    }

    fn swap_cost(&self, (kind, from, other, to): (usize, usize, usize, usize)) -> f64 {
        let [out, back] = [kind, other].map(|it| self.kinds[it]);
        let change = |side: usize, gained: &[u32], lost: &[u32]| -> f64 {
            (self.excess[side].iter().zip(gained).zip(lost).zip(&self.weights))
                .map(|(((excess, &gained), &lost), weight)| {
                    let gain = f64::from(gained) - f64::from(lost);
                    gain * (gain + 2.0 * excess) * weight
                })
                .sum()
        };
        change(from, back, out) + change(to, out, back)
    }

    fn sides(&self) -> Vec<usize> {
        let mut sides = vec![0; self.kind_of.len()];
        for kind in &self.groups {
            for (side, groups) in kind.iter().enumerate() {
                for &group in groups {
                    sides[group] = side;
                }
            }
        }
        sides
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dealt(sizes: &[u32], shares: &[f64], seed: u64) -> Vec<u32> {
        let counts: Vec<Vec<u32>> = sizes.iter().map(|&size| vec![size]).collect();
        let sides = deal(&counts, shares, &mut Generator::keyed(seed, "split", &[]));
        let mut sums = vec![0; shares.len()];
        for (side, size) in sides.into_iter().zip(sizes) {
            sums[side] += size;
        }
        sums
    }

    #[test]
    fn singletons_are_dealt_exactly() {
        for seed in 0..20 {
            assert_eq!(dealt(&[1; 100], &[0.8, 0.1, 0.1], seed), [80, 10, 10]);
            assert_eq!(dealt(&[1; 10], &[0.2; 5], seed), [2; 5]);
        }
    }

    #[test]
    fn a_large_group_that_comes_late_does_not_land_on_a_small_side() {
        let sizes: Vec<u32> = std::iter::once(50).chain([1; 100]).collect();
        for seed in 0..50 {
            assert_eq!(dealt(&sizes, &[0.8, 0.1, 0.1], seed), [120, 15, 15], "seed {seed}");
        }
    }

    #[test]
    fn swaps_find_what_moves_do_not() {
        for seed in 0..50 {
            assert_eq!(dealt(&[5, 5, 4, 3, 3], &[0.5, 0.5], seed), [10, 10], "seed {seed}");
        }
    }

    #[test]
    fn no_side_is_empty_however_small_its_share() {
        for seed in 0..20 {
            let sums = dealt(&[40, 50, 60], &[0.98, 0.01, 0.01], seed);
            assert!(sums.iter().all(|sum| *sum > 0), "{sums:?}");
        }
    }

    #[test]
    fn the_seed_decides_who_is_where() {
        let counts = vec![vec![1]; 30];
        let sides = |seed| deal(&counts, &[0.8, 0.1, 0.1], &mut Generator::keyed(seed, "split", &[]));
        assert_eq!(sides(1), sides(1));
        assert_ne!(sides(1), sides(2));
    }
}
