//! Groups against each other, on the same test examples.

use serde::Serialize;

use super::group::Group;
use super::units::{Of, Tested};
use super::{Baselines, Models, Pairs, RESAMPLES, SEED};
use crate::evaluate::paired::{self, Method, Paired, holm, paired_t_test};
use crate::evaluate::{FEW_GROUPS, higher_is_better};
use crate::report::{baseline_predictions, metric};

/// One group against another, or against a baseline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contrast {
    /// The group's name.
    pub name: String,
    /// The other's.
    pub reference: String,
    /// Of the test split.
    pub examples: usize,
    /// Songs, speakers, …
    pub groups: usize,
    pub figures: Vec<PairedFigure>,
}

/// The two in one metric of one target. Differences are the group's figure less the reference's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairedFigure {
    pub metric: String,
    /// The target; "" for the average over the targets, or the whole.
    pub target: String,
    pub higher_is_better: bool,
    pub value: f64,
    pub reference: f64,
    pub difference: f64,
    /// Ends of the 95 % interval of the difference, by the bootstrap over groups.
    pub ci: Option<(f64, f64)>,
    /// Groups of examples in which the figure is defined for both.
    pub groups: usize,
    pub better_in: usize,
    pub worse_in: usize,
    /// Wilcoxon's signed-rank test over those groups.
    pub wilcoxon: Option<RankTest>,
    /// Cohen's d_z of the groups' differences.
    pub effect: Option<f64>,
    /// The paired t-test over the seeds that both have.
    pub seeds: Option<SeedTest>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RankTest {
    /// The smaller of the two rank sums.
    pub statistic: f64,
    pub pairs: usize,
    pub p: f64,
    /// Corrected after Holm for all tests of this figure that the comparison makes.
    pub p_holm: f64,
    /// "exact" or "normal".
    pub method: &'static str,
    /// The matched-pairs rank-biserial correlation.
    pub effect: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SeedTest {
    pub seeds: usize,
    pub t: f64,
    pub p: f64,
    pub effect: f64,
}

/// A group's model, or one of the baselines beside it.
struct Contestant<'g> {
    name: String,
    group: &'g Group,
    of: Of<'g>,
    tested: Result<Tested, String>,
}

impl<'g> Contestant<'g> {
    fn new(name: String, group: &'g Group, of: Of<'g>, split: &str) -> Self {
        Self {
            tested: Tested::of(group, of, split),
            name,
            group,
            of,
        }
    }
}

/// What cannot be compared is left out and named in `warnings`.
pub(super) fn all(groups: &[Group], pairs: Pairs, split: &str, warnings: &mut Vec<String>) -> Vec<Contrast> {
    let models: Vec<Contestant> = (groups.iter())
        .map(|group| Contestant::new(group.name.clone(), group, Of::Model, split))
        .collect();
    let mut contrasts = Vec::new();
    let mut contrast = |reference: &Contestant, other: &Contestant| match one(reference, other, split) {
        Ok(contrast) => contrasts.push(contrast),
        Err(what) => warnings.push(what),
    };
    for (place, reference) in models.iter().enumerate() {
        let others = models.iter().skip(place + 1);
        match (place, pairs.models) {
            (0, _) | (_, Models::EachOther) => others.for_each(|other| contrast(reference, other)),
            (_, Models::TheFirst) => {}
        }
    }
    if pairs.baselines == Baselines::Too {
        for model in &models {
            for baseline in baselines_of(model.group) {
                let name = match groups.len() {
                    1 => baseline.to_owned(),
                    _ => format!("{baseline} ({})", model.name),
                };
                contrast(
                    &Contestant::new(name, model.group, Of::Baseline(baseline), split),
                    model,
                );
            }
        }
    }
    if let Some((first, others)) = groups.split_first() {
        others.iter().for_each(|other| warn_of_data(first, other, warnings));
    }
    if let Some(contrast) = contrasts.first().filter(|contrast| contrast.groups < FEW_GROUPS) {
        warnings.push(format!(
            "the test examples are in {} groups only: the intervals are too narrow, and no test can find anything",
            contrast.groups
        ));
    }
    correct(&mut contrasts);
    contrasts
}

/// The baselines of which every run of the group keeps the predictions, the simplest first.
fn baselines_of(group: &Group) -> Vec<&str> {
    let Some(first) = group.runs.first() else {
        return Vec::new();
    };
    let is_kept = |name: &&str| {
        let file = baseline_predictions(name);
        group.runs.iter().all(|run| run.summary.path.join(&file).exists())
    };
    let mut names: Vec<&str> = first.baselines.iter().map(String::as_str).filter(is_kept).collect();
    names.sort_by_key(|name| metric::place_of_baseline(name));
    names
}

fn warn_of_data(reference: &Group, other: &Group, warnings: &mut Vec<String>) {
    let data = |group: &Group| group.runs.first().map(|run| run.summary.data_fingerprint.clone());
    if data(reference) != data(other) {
        warnings.push(format!(
            "{} and {} were trained on other data (its fingerprint differs)",
            reference.name, other.name
        ));
    }
}

fn one(reference: &Contestant, other: &Contestant, split: &str) -> Result<Contrast, String> {
    let refuse = |what: &str| format!("{} is not tested against {}: {what}", other.name, reference.name);
    let tested = reference.tested.as_ref().map_err(|what| refuse(what))?;
    let second = other.tested.as_ref().map_err(|what| refuse(what))?;
    if let Some(misfit) = tested.misfit(second) {
        return Err(refuse(&format!("they {misfit}")));
    }
    let truth = tested.flat_truth();
    let paired = Paired {
        problem: &tested.problem(),
        truth: truth.as_truth(),
        groups: &tested.groups,
        first: &second.repeats,
        second: &tested.repeats,
    };
    let differences = paired::compare(&paired, SEED, RESAMPLES).map_err(|error| refuse(&error.to_string()))?;
    let figures = differences
        .into_iter()
        .filter(|difference| crate::evaluate::is_of_the_whole(difference.name));
    let mut names = tested.groups.clone();
    names.sort();
    names.dedup();
    Ok(Contrast {
        name: other.name.clone(),
        reference: reference.name.clone(),
        examples: tested.ids.len(),
        groups: names.len(),
        figures: figures
            .map(|difference| PairedFigure {
                seeds: match reference.of {
                    Of::Model => over_seeds(reference.group, other.group, split, difference.name, &difference.target),
                    Of::Baseline(_) => None,
                },
                metric: difference.name.to_owned(),
                higher_is_better: higher_is_better(difference.name),
                target: difference.target,
                value: difference.first,
                reference: difference.second,
                difference: difference.difference,
                ci: difference.ci,
                groups: difference.groups,
                better_in: difference.first_better,
                worse_in: difference.second_better,
                wilcoxon: difference.wilcoxon.map(|test| RankTest {
                    statistic: test.positive.min(test.negative),
                    pairs: test.pairs,
                    p: test.p,
                    p_holm: test.p,
                    method: match test.method {
                        Method::Exact => "exact",
                        Method::Normal => "normal",
                    },
                    effect: test.effect,
                }),
                effect: difference.effect,
            })
            .collect(),
    })
}

/// Runs with the same seed are pairs: they share the split and the order of the examples.
fn over_seeds(reference: &Group, other: &Group, split: &str, metric: &str, target: &str) -> Option<SeedTest> {
    let of = |group: &Group, seed: u64| {
        let mut runs = group.runs.iter().filter(|run| run.summary.seed == seed);
        // Several runs of one seed are folds, not pairs.
        let (run, None) = (runs.next()?, runs.next()) else {
            return None;
        };
        let rows = run.results.iter();
        let mut of_figure = rows.filter(|row| row.split == split && row.name == metric && row.target == target);
        of_figure.next().map(|row| row.value)
    };
    let seeds = other.runs.iter().map(|run| run.summary.seed);
    let differences: Vec<f64> = seeds
        .filter_map(|seed| Some(of(other, seed)? - of(reference, seed)?))
        .collect();
    let test = paired_t_test(&differences)?;
    Some(SeedTest {
        seeds: test.pairs,
        t: test.t,
        p: test.p,
        effect: test.effect,
    })
}

fn correct(contrasts: &mut [Contrast]) {
    let keys: Vec<(String, String)> = (contrasts.iter().flat_map(|contrast| &contrast.figures))
        .map(|figure| (figure.metric.clone(), figure.target.clone()))
        .collect();
    for (metric, target) in keys {
        let mut tests: Vec<&mut RankTest> = (contrasts.iter_mut().flat_map(|contrast| &mut contrast.figures))
            .filter(|figure| figure.metric == metric && figure.target == target)
            .filter_map(|figure| figure.wilcoxon.as_mut())
            .collect();
        let corrected = holm(&tests.iter().map(|test| test.p).collect::<Vec<_>>());
        tests.iter_mut().zip(corrected).for_each(|(test, p)| test.p_holm = p);
    }
}
