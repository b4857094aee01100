//! How far two models are apart on the same examples, metric by metric, and how sure that is.

use rayon::prelude::*;

use super::wilcoxon::{Wilcoxon, wilcoxon};
use crate::evaluate::bootstrap::{ENDS, Groups, Parts, draw, percentile};
use crate::evaluate::problem::check_length;
use crate::evaluate::regression::ConstantTruth;
use crate::evaluate::scores::{REGRESSION_METRICS, Summary, score};
use crate::evaluate::{EvaluateError, Problem, Truth, higher_is_better};

/// Of how many examples a correlation of a single group needs to say anything.
const FEWEST_FOR_CORRELATION: f64 = 3.0;

/// Two models' predictions of the same examples. Each model may have been trained several times: its figures are then the means
/// over its repeats.
#[derive(Debug, Clone, Copy)]
pub struct Paired<'a> {
    pub problem: &'a Problem,
    pub truth: Truth<'a>,
    /// The group of each example, `[examples]`.
    pub groups: &'a [String],
    /// The first model's repeats, each `[examples, targets]` or probabilities `[examples, classes]`.
    pub first: &'a [Vec<f32>],
    /// The second model's repeats, of which there may be another number.
    pub second: &'a [Vec<f32>],
}

/// The two models in one metric of one target.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    pub name: &'static str,
    /// The target or class; "" for the average over the targets, or the whole.
    pub target: String,
    pub first: f64,
    pub second: f64,
    /// first − second.
    pub difference: f64,
    /// Ends of the 95 % interval of the difference: percentile bootstrap over groups, both models on the same resample. `None`
    /// where the metric is undefined in more than half of the resamples, or there are fewer than two groups.
    pub ci: Option<(f64, f64)>,
    /// Groups in which the metric is defined for both (a correlation needs three examples and a truth that varies).
    pub groups: usize,
    /// Of those, how many have the first model better.
    pub first_better: usize,
    /// Of those, how many have the second model better.
    pub second_better: usize,
    /// On the differences of the groups' figures.
    pub wilcoxon: Option<Wilcoxon>,
    /// Cohen's d_z of the same differences.
    pub effect: Option<f64>,
}

/// Compares the two models in every metric of [`score`]. Resample `i` draws from the generator keyed by (seed, "bootstrap", i),
/// so that the intervals of single models and those of differences come from the same resamples.
///
/// # Errors
/// Those of [`score`]; a model without predictions; a number of groups that is not that of the examples.
pub fn compare(paired: &Paired, seed: u64, resamples: usize) -> Result<Vec<Difference>, EvaluateError> {
    let scores = |repeats: &[Vec<f32>]| {
        repeats
            .iter()
            .map(|predicted| score(paired.problem, paired.truth, predicted))
            .collect::<Result<Vec<_>, _>>()
    };
    let (first, second) = (scores(paired.first)?, scores(paired.second)?);
    let (Some(names), false) = (first.first(), second.is_empty()) else {
        return Err(EvaluateError::Empty { what: "predictions" });
    };
    let examples = paired.problem.check_truth(paired.truth)?;
    check_length("groups", examples, paired.groups.len())?;
    let groups = Groups::of(paired.groups);
    let parts = |repeats: &[Vec<f32>]| -> Vec<Parts> {
        let of = |predicted: &Vec<f32>| Parts::of(paired.problem, paired.truth, predicted, &groups);
        repeats.iter().map(of).collect()
    };
    let (first_parts, second_parts) = (parts(paired.first), parts(paired.second));
    let count = groups.members.len();
    let drawn: Vec<Vec<f64>> = match count {
        0 | 1 => Vec::new(),
        _ => (0..resamples as u64)
            .into_par_iter()
            .map_init(
                || vec![0u32; count],
                |weights, resample| {
                    draw(weights, seed, resample);
                    let means = |parts: &[Parts]| {
                        means(
                            parts
                                .iter()
                                .map(|part| part.combined(weights).values(ConstantTruth::Undefined)),
                        )
                    };
                    subtract(&means(&first_parts), &means(&second_parts))
                },
            )
            .collect(),
    };
    let by_group: Vec<Vec<f64>> = (0..count)
        .into_par_iter()
        .map_init(
            || vec![0u32; count],
            |weights, group| {
                weights.fill(0);
                if let Some(weight) = weights.get_mut(group) {
                    *weight = 1;
                }
                let means = |parts: &[Parts]| means(parts.iter().map(|part| of_one_group(&part.combined(weights))));
                subtract(&means(&first_parts), &means(&second_parts))
            },
        )
        .collect();
    let mean_of = |scores: &[Vec<crate::evaluate::Score>]| {
        means(
            scores
                .iter()
                .map(|scores| scores.iter().map(|score| score.value).collect()),
        )
    };
    let (first_means, second_means) = (mean_of(&first), mean_of(&second));
    let at = |values: &[f64], index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    let column = |rows: &[Vec<f64>], index: usize| -> Vec<f64> {
        let values = rows.iter().map(|row| at(row, index));
        values.filter(|value| !value.is_nan()).collect()
    };
    Ok(names
        .iter()
        .enumerate()
        .map(|(index, score)| {
            let (first, second) = (at(&first_means, index), at(&second_means, index));
            let differences = column(&by_group, index);
            let sign = if higher_is_better(score.name) { 1.0 } else { -1.0 };
            Difference {
                name: score.name,
                target: score.target.clone(),
                first,
                second,
                difference: first - second,
                ci: interval(column(&drawn, index), drawn.len()).filter(|_| !(first - second).is_nan()),
                groups: differences.len(),
                first_better: differences
                    .iter()
                    .filter(|difference| sign * **difference > 0.0)
                    .count(),
                second_better: differences
                    .iter()
                    .filter(|difference| sign * **difference < 0.0)
                    .count(),
                wilcoxon: wilcoxon(&differences),
                effect: super::paired_t_test(&differences).map(|test| test.effect),
            }
        })
        .collect())
}

/// Value by value; NaN where one is.
fn means(rows: impl Iterator<Item = Vec<f64>>) -> Vec<f64> {
    let mut sums: Vec<f64> = Vec::new();
    let mut count = 0.0;
    for row in rows {
        count += 1.0;
        if sums.is_empty() {
            sums = row;
        } else {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
    }
    sums.iter_mut().for_each(|sum| *sum /= count);
    sums
}

fn subtract(first: &[f64], second: &[f64]) -> Vec<f64> {
    first.iter().zip(second).map(|(first, second)| first - second).collect()
}

fn interval(mut values: Vec<f64>, resamples: usize) -> Option<(f64, f64)> {
    if values.len() < 2 || 2 * values.len() < resamples {
        return None;
    }
    values.sort_by(f64::total_cmp);
    percentile(&values, ENDS.0).zip(percentile(&values, ENDS.1))
}

/// The figures of one group; NaN for correlations that a group of that kind has not.
fn of_one_group(summary: &Summary) -> Vec<f64> {
    let mut values = summary.values(ConstantTruth::Undefined);
    let Summary::Regression(targets) = summary else {
        return values;
    };
    let width = targets.len() + 1;
    for (metric, values) in REGRESSION_METRICS.iter().zip(values.chunks_mut(width)) {
        if !matches!(*metric, "r2" | "pearson" | "ccc") {
            continue;
        }
        for (target, moments) in targets.iter().enumerate() {
            if moments.count < FEWEST_FOR_CORRELATION || moments.spread_truth <= 0.0 {
                for place in [0, target + 1] {
                    if let Some(value) = values.get_mut(place) {
                        *value = f64::NAN;
                    }
                }
            }
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Generator;

    fn problem() -> Problem {
        Problem::Regression {
            targets: vec!["valence".into()],
        }
    }

    fn find<'a>(differences: &'a [Difference], name: &str) -> &'a Difference {
        differences
            .iter()
            .find(|difference| difference.name == name && difference.target.is_empty())
            .unwrap()
    }

    /// Twelve speakers with ten examples each; the first model's errors are `scale` times the second's.
    fn two_models(scale: f32) -> Vec<Difference> {
        let mut generator = Generator::keyed(5, "test", &[]);
        let groups: Vec<String> = (0..120).map(|example| format!("s{}", example / 10)).collect();
        let truth: Vec<f32> = (0..120).map(|_| generator.normal() as f32).collect();
        let errors: Vec<f32> = (0..120).map(|_| generator.normal() as f32 / 2.0).collect();
        let with = |scale: f32| {
            truth
                .iter()
                .zip(&errors)
                .map(|(t, e)| t + scale * e)
                .collect::<Vec<f32>>()
        };
        let paired = Paired {
            problem: &problem(),
            truth: Truth::Values(&truth),
            groups: &groups,
            first: &[with(scale)],
            second: &[with(1.0)],
        };
        compare(&paired, 1, 500).unwrap()
    }

    #[test]
    fn a_model_with_half_the_errors_is_better_in_every_group() {
        let differences = two_models(0.5);
        let mae = find(&differences, "mae");
        assert!((mae.first - mae.second / 2.0).abs() < 1e-6);
        assert!(mae.difference < 0.0 && mae.ci.unwrap().1 < 0.0, "{mae:?}");
        assert_eq!((mae.groups, mae.first_better, mae.second_better), (12, 12, 0));
        let wilcoxon = mae.wilcoxon.unwrap();
        assert_eq!((wilcoxon.p, wilcoxon.effect), (2.0 / 4096.0, -1.0));
        let ccc = find(&differences, "ccc");
        assert!(
            ccc.difference > 0.0 && ccc.ci.unwrap().0 > 0.0 && ccc.first_better == 12,
            "{ccc:?}"
        );
        assert!(ccc.effect.unwrap() > 0.5);
    }

    #[test]
    fn equal_models_do_not_differ() {
        let differences = two_models(1.0);
        let mae = find(&differences, "mae");
        assert_eq!((mae.difference, mae.ci, mae.wilcoxon), (0.0, Some((0.0, 0.0)), None));
        assert_eq!((mae.first_better, mae.second_better, mae.effect), (0, 0, None));
    }

    #[test]
    fn groups_of_one_example_have_errors_and_no_correlations() {
        let truth = [0.0, 1.0, 2.0, 3.0];
        let groups = ["a", "b", "c", "d"].map(String::from);
        let paired = Paired {
            problem: &problem(),
            truth: Truth::Values(&truth),
            groups: &groups,
            first: &[vec![0.1, 1.1, 2.1, 3.1], vec![0.2, 1.2, 2.2, 3.2]],
            second: &[vec![0.5, 1.5, 2.5, 3.5]],
        };
        let differences = compare(&paired, 1, 200).unwrap();
        let (mae, ccc) = (find(&differences, "mae"), find(&differences, "ccc"));
        // The mean of the repeats' errors, 0.1 and 0.2.
        assert!((mae.first - 0.15).abs() < 1e-6 && mae.groups == 4);
        assert_eq!((ccc.groups, ccc.wilcoxon), (0, None));
        assert!(ccc.difference > 0.0 && ccc.ci.is_some());
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let truth = [0.0, 1.0];
        let groups = [String::new()];
        let models = [vec![0.0, 1.0]];
        let paired = Paired {
            problem: &problem(),
            truth: Truth::Values(&truth),
            groups: &groups,
            first: &models,
            second: &models,
        };
        assert!(matches!(compare(&paired, 1, 10), Err(EvaluateError::Length { .. })));
        let nothing = Paired { second: &[], ..paired };
        assert!(matches!(compare(&nothing, 1, 10), Err(EvaluateError::Empty { .. })));
    }
}
