//! How sure a figure is: 95 % intervals of the percentile bootstrap over groups.
//!
//! Examples of one song or one speaker are alike, so it is groups that are drawn, with replacement, as many as there
//! are, each with all its examples (cluster bootstrap: Davison & Hinkley 1997, section 3.8). Resample `i` draws from
//! the generator keyed by (seed, "bootstrap", i), and groups are taken in the order of their names: neither the number
//! of threads nor the order of the examples decides an interval (the latter up to rounding).
//!
//! A group is summed up once, exactly; a resample then only combines the groups' sums.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::classification::Confusion;
use super::moments::Moments;
use super::problem::{check_length, most_probable};
use super::regression::ConstantTruth;
use super::scores::{Summary, column};
use super::{EvaluateError, Problem, Score, Truth, score};
use crate::random::Generator;

/// Of these shares of the resamples the interval's ends are taken.
pub(super) const ENDS: (f64, f64) = (0.025, 0.975);

/// With fewer groups than this an interval says little: resamples of a handful of groups are much alike, and the interval comes out
/// too narrow (Cameron, Gelbach and Miller 2008).
pub const FEW_GROUPS: usize = 5;

/// [`score`] with confidence intervals. `groups` holds the group of each example, `[examples]`.
///
/// Resamples in which a metric is undefined (R² of a constant truth, the recall of a class that was not drawn) are
/// left out and counted in [`Score::undefined_resamples`]. There is no interval where the figure itself is undefined,
/// where there are fewer than two groups or two resamples, or where more than half of the resamples had to be left
/// out.
///
/// # Errors
/// Those of [`score`], and a number of groups that is not the number of examples.
pub fn score_with_intervals(
    problem: &Problem,
    truth: Truth,
    predicted: &[f32],
    groups: &[String],
    seed: u64,
    resamples: usize,
) -> Result<Vec<Score>, EvaluateError> {
    score_repeats_with_intervals(problem, &[(truth, predicted, groups)], seed, resamples)
}

/// As [`score_with_intervals`], for several repeats on examples of the same groups: each figure is the mean over the repeats. A resample
/// draws the same groups of every repeat, so the interval is that of the mean.
///
/// # Errors
/// As for [`score_with_intervals`]; also repeats whose groups differ.
pub fn score_repeats_with_intervals(
    problem: &Problem,
    repeats: &[(Truth, &[f32], &[String])],
    seed: u64,
    resamples: usize,
) -> Result<Vec<Score>, EvaluateError> {
    let mut of_repeats = Vec::new();
    let mut parts = Vec::new();
    let mut names: Option<Vec<&str>> = None;
    for &(truth, predicted, groups) in repeats {
        let examples = problem.check(truth, predicted)?;
        check_length("groups", examples, groups.len())?;
        of_repeats.push(score(problem, truth, predicted)?);
        let groups = Groups::of(groups);
        parts.push(Parts::of(problem, truth, predicted, &groups));
        match &names {
            Some(names) if *names != groups.names => return Err(EvaluateError::OtherGroups),
            _ => names = Some(groups.names),
        }
    }
    let mut scores = mean_of_repeats(&of_repeats);
    let groups = names.map_or(0, |names| names.len());
    if groups < 2 || resamples < 2 {
        return Ok(scores);
    }
    let draws: Vec<Vec<f64>> = (0..resamples as u64)
        .into_par_iter()
        .map_init(
            || vec![0u32; groups],
            |weights, resample| {
                draw(weights, seed, resample);
                let of_repeats: Vec<Vec<f64>> = parts
                    .iter()
                    .map(|parts| parts.combined(weights).values(ConstantTruth::Undefined))
                    .collect();
                let mean = |index: usize| mean(of_repeats.iter().filter_map(|values| values.get(index).copied()));
                (0..scores.len()).map(mean).collect()
            },
        )
        .collect();
    for (index, score) in scores.iter_mut().enumerate() {
        let mut values: Vec<f64> = draws
            .iter()
            .filter_map(|draw| draw.get(index).copied())
            .filter(|value| !value.is_nan())
            .collect();
        score.undefined_resamples = resamples - values.len();
        if !score.value.is_nan() && values.len() >= 2 && 2 * values.len() >= resamples {
            values.sort_by(f64::total_cmp);
            score.ci = percentile(&values, ENDS.0).zip(percentile(&values, ENDS.1));
        }
    }
    Ok(scores)
}

fn mean_of_repeats(repeats: &[Vec<Score>]) -> Vec<Score> {
    let Some(first) = repeats.first() else {
        return Vec::new();
    };
    let mut scores = first.clone();
    for (index, score) in scores.iter_mut().enumerate() {
        let values = repeats.iter().filter_map(|scores| scores.get(index));
        score.value = mean(values.map(|score| score.value));
    }
    scores
}

/// Of one value: that value, bit for bit.
fn mean(mut values: impl Iterator<Item = f64>) -> f64 {
    let Some(first) = values.next() else {
        return f64::NAN;
    };
    let (sum, count) = values.fold((first, 1.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

/// How often each group is in the resample.
pub(super) fn draw(weights: &mut [u32], seed: u64, resample: u64) {
    weights.fill(0);
    let mut generator = Generator::keyed(seed, "bootstrap", &[resample]);
    for _ in 0..weights.len() {
        if let Some(weight) = weights.get_mut(generator.below(weights.len())) {
            *weight += 1;
        }
    }
}

/// Linear between the two nearest of the sorted values, as NumPy's default.
pub(super) fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let position = share * (sorted.len().checked_sub(1)? as f64);
    let below = *sorted.get(position.floor() as usize)?;
    let above = *sorted.get(position.ceil() as usize)?;
    Some(below + (above - below) * position.fract())
}

/// The examples of each group, groups sorted by name.
pub(super) struct Groups<'a> {
    names: Vec<&'a str>,
    pub members: Vec<Vec<usize>>,
}

impl<'a> Groups<'a> {
    pub fn of(groups: &'a [String]) -> Self {
        let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (example, group) in groups.iter().enumerate() {
            members.entry(group).or_default().push(example);
        }
        let (names, members) = members.into_iter().unzip();
        Self { names, members }
    }
}

/// What each group adds to a summary.
pub(super) enum Parts {
    /// Per target, per group.
    Regression(Vec<Vec<Moments>>),
    /// Per group the cells of the confusion matrix that it touches, with counts.
    Classification {
        classes: usize,
        cells: Vec<Vec<(usize, u64)>>,
    },
}

impl Parts {
    pub fn of(problem: &Problem, truth: Truth, predicted: &[f32], groups: &Groups) -> Self {
        let width = problem.width();
        match truth {
            Truth::Values(truth) => Self::Regression(
                (0..width)
                    .map(|target| {
                        let pairs: Vec<(f32, f32)> = column(truth, predicted, width, target).collect();
                        let of_group = |members: &Vec<usize>| {
                            Moments::of(members.iter().filter_map(|&example| pairs.get(example).copied()))
                        };
                        groups.members.iter().map(of_group).collect()
                    })
                    .collect(),
            ),
            Truth::Classes(truth) => {
                let predicted = most_probable(predicted, width);
                let of_group = |members: &Vec<usize>| {
                    let mut cells: BTreeMap<usize, u64> = BTreeMap::new();
                    for &example in members {
                        if let (Some(&truth), Some(&predicted)) = (truth.get(example), predicted.get(example)) {
                            *cells.entry(truth as usize * width + predicted as usize).or_default() += 1;
                        }
                    }
                    cells.into_iter().collect()
                };
                Self::Classification {
                    classes: width,
                    cells: groups.members.iter().map(of_group).collect(),
                }
            }
        }
    }

    pub fn combined(&self, weights: &[u32]) -> Summary {
        match self {
            Self::Regression(targets) => Summary::Regression(
                targets
                    .iter()
                    .map(|groups| {
                        let drawn = weights.iter().zip(groups).filter(|&(&weight, _)| weight > 0);
                        Moments::combined(drawn.map(|(&weight, part)| (f64::from(weight), part)))
                    })
                    .collect(),
            ),
            Self::Classification { classes, cells } => {
                let mut confusion = Confusion::empty(*classes);
                for (&weight, cells) in weights.iter().zip(cells) {
                    for &(cell, count) in cells {
                        confusion.add(cell, u64::from(weight) * count);
                    }
                }
                Summary::Classification(confusion)
            }
        }
    }
}

#[cfg(test)]
mod tests;
