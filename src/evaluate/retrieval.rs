//! Finding the one by the other: how high are the clips that go with a picture ranked, and the other way round?
//!
//! **What is asked.** Every picture of a split is a query among all clips of the split, every clip one among all its pictures. The model
//! scores the query with each candidate, and candidates are ranked by that.
//!
//! **What is relevant.** Of some pairs of the split the true score is known. A candidate is relevant to a query where their pair has a
//! true score of at least `evaluate.relevant_score`; pairs that nobody scored are not relevant, although some of them would match. So figures
//! are low where few pairs are scored, for every method alike: they are to be compared with those of other methods on the same pairs.
//!
//! - **recall@k**: the share of queries with a relevant candidate among the first k (Karpathy and Fei-Fei 2015; Faghri et al. 2018).
//! - **mean-rank**: the mean over the queries of the rank of the best relevant candidate, 1 being the first.
//! - **ndcg**: Järvelin and Kekäläinen's (2002) normalised discounted cumulative gain over all candidates, with the true score as the gain (0
//!   where nobody scored the pair) and the discount 1 / log₂(rank + 1): scikit-learn's `ndcg_score`.
//!
//! Recall and rank are over the queries that have a relevant candidate, NDCG over those with a score above 0.
//!
//! **Ties.** Candidates of one score are in no order. Each figure is the expected one over all their orders, so a model that says the same
//! of every pair has exactly the figures of chance.

use rayon::prelude::*;

use super::bootstrap::{ENDS, Groups, draw, percentile};
use super::problem::check_length;
use super::{EvaluateError, Score};

/// Over all queries.
pub const RETRIEVAL_METRICS: [&str; 5] = ["recall@1", "recall@5", "recall@10", "mean-rank", "ndcg"];
/// The ranks that recall is taken at.
const DEPTHS: [usize; 3] = [1, 5, 10];
/// Pictures asked for clips.
pub const IMAGE_TO_MUSIC: &str = "image-to-music";
/// Clips asked for pictures.
pub const MUSIC_TO_IMAGE: &str = "music-to-image";

/// One query: in the order of [`RETRIEVAL_METRICS`], NaN where a figure is undefined.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer([f64; 5]);

impl Answer {
    /// In the order of [`RETRIEVAL_METRICS`]; NaN where a figure is undefined.
    pub fn figures(&self) -> [f64; 5] {
        self.0
    }
}

/// How well the candidates of a query are ranked.
///
/// `predicted`: what the model says of each candidate, the more the better. `known`: the candidates whose true score is known, each once,
/// with that score, at least 0. `relevant`: the least score of a relevant one.
///
/// # Errors
/// A prediction that is no number, a candidate that there is not.
pub fn answer(predicted: &[f32], known: &[(usize, f32)], relevant: f64) -> Result<Answer, EvaluateError> {
    super::problem::check_finite("the prediction", predicted, 1)?;
    let mut gains = vec![0.0f64; predicted.len()];
    let mut is_relevant = vec![false; predicted.len()];
    for &(candidate, score) in known {
        match (gains.get_mut(candidate), is_relevant.get_mut(candidate)) {
            (Some(gain), Some(is_relevant)) => {
                *gain = f64::from(score);
                *is_relevant = f64::from(score) >= relevant;
            }
            _ => return check_length("candidates", candidate + 1, predicted.len()).map(|()| Answer([f64::NAN; 5])),
        }
    }
    let mut order: Vec<usize> = (0..predicted.len()).collect();
    order.sort_by(|&a, &b| predicted[b].total_cmp(&predicted[a]).then(a.cmp(&b)));
    let mut figures = [f64::NAN; 5];
    let mut found = false;
    let mut gained = 0.0;
    let mut before = 0;
    // −0 and 0 are one score.
    for tied in order.chunk_by(|&a, &b| predicted[a] == predicted[b]) {
        let hits = tied.iter().filter(|&&candidate| is_relevant[candidate]).count();
        if hits > 0 && !found {
            found = true;
            for (figure, depth) in figures.iter_mut().zip(DEPTHS) {
                *figure = chance_of_one(tied.len(), hits, depth.saturating_sub(before));
            }
            // The expected place of the first of the relevant ones among the tied.
            figures[3] = before as f64 + (tied.len() + 1) as f64 / (hits + 1) as f64;
        }
        let gain: f64 = tied.iter().map(|&candidate| gains[candidate]).sum();
        if gain > 0.0 {
            let discounts: f64 = (before..before + tied.len()).map(discount).sum();
            gained += gain / tied.len() as f64 * discounts;
        }
        before += tied.len();
    }
    let mut ideal: Vec<f64> = gains.into_iter().filter(|gain| *gain > 0.0).collect();
    ideal.sort_by(|a, b| b.total_cmp(a));
    let best: f64 = ideal.iter().enumerate().map(|(rank, gain)| gain * discount(rank)).sum();
    if best > 0.0 {
        figures[4] = gained / best;
    }
    Ok(Answer(figures))
}

/// `rank` from 0.
fn discount(rank: usize) -> f64 {
    1.0 / (rank as f64 + 2.0).log2()
}

/// The probability that of `all` in random order, `hits` of them relevant, one is among the first `depth`.
fn chance_of_one(all: usize, hits: usize, depth: usize) -> f64 {
    if depth + hits > all {
        return 1.0;
    }
    // None of the first ones is relevant: (all − hits) / all · (all − hits − 1) / (all − 1) · …
    let none: f64 = (0..depth)
        .map(|place| (all - hits - place) as f64 / (all - place) as f64)
        .product();
    1.0 - none
}

/// All queries of one direction.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    pub answers: Vec<Answer>,
    /// What each query belongs to: the picture itself, or the clip's song.
    pub groups: Vec<String>,
}

/// What a group of queries adds: sums and counts of each figure.
type Sums = [(f64, f64); 5];

fn sums(answers: &Answers, members: &[usize]) -> Sums {
    let mut sums = Sums::default();
    for answer in members.iter().filter_map(|&member| answers.answers.get(member)) {
        for (sum, value) in sums.iter_mut().zip(answer.0).filter(|(_, value)| !value.is_nan()) {
            sum.0 += value;
            sum.1 += 1.0;
        }
    }
    sums
}

/// Means over the queries: for each metric the mean of both directions (target ""), then each direction; with 95 % intervals of the
/// bootstrap over groups of queries, the candidates being what they are. Resample `i` draws both directions' groups from the generator of
/// (seed, "bootstrap", i).
///
/// # Errors
/// A number of groups that is not the number of answers.
pub fn retrieval(
    image_to_music: &Answers,
    music_to_image: &Answers,
    seed: u64,
    resamples: usize,
) -> Result<Vec<Score>, EvaluateError> {
    let directions = [image_to_music, music_to_image];
    for direction in directions {
        check_length("groups", direction.answers.len(), direction.groups.len())?;
    }
    let parts: Vec<Vec<Sums>> = directions
        .iter()
        .map(|direction| {
            let groups = Groups::of(&direction.groups);
            groups.members.iter().map(|members| sums(direction, members)).collect()
        })
        .collect();
    let means = |weights: &[Vec<u32>]| -> Vec<f64> {
        let of_directions: Vec<[f64; 5]> = parts
            .iter()
            .zip(weights)
            .map(|(parts, weights)| {
                let mut total = Sums::default();
                for (part, &weight) in parts.iter().zip(weights).filter(|(_, weight)| **weight > 0) {
                    for (total, part) in total.iter_mut().zip(part) {
                        total.0 += f64::from(weight) * part.0;
                        total.1 += f64::from(weight) * part.1;
                    }
                }
                total.map(|(sum, count)| sum / count)
            })
            .collect();
        (0..RETRIEVAL_METRICS.len())
            .flat_map(|metric| {
                let of = |direction: usize| {
                    of_directions
                        .get(direction)
                        .and_then(|figures| figures.get(metric))
                        .copied()
                        .unwrap_or(f64::NAN)
                };
                [f64::midpoint(of(0), of(1)), of(0), of(1)]
            })
            .collect()
    };
    let once: Vec<Vec<u32>> = parts.iter().map(|parts| vec![1; parts.len()]).collect();
    let names = RETRIEVAL_METRICS
        .iter()
        .flat_map(|&name| ["", IMAGE_TO_MUSIC, MUSIC_TO_IMAGE].map(|target| (name, target)));
    let mut scores: Vec<Score> = names
        .zip(means(&once))
        .map(|((name, target), value)| Score {
            name,
            target: target.to_owned(),
            value,
            ci: None,
            undefined_resamples: 0,
        })
        .collect();
    if resamples < 2 || parts.iter().any(|parts| parts.len() < 2) {
        return Ok(scores);
    }
    let draws: Vec<Vec<f64>> = (0..resamples as u64)
        .into_par_iter()
        .map_init(
            || once.clone(),
            |weights, resample| {
                for weights in weights.iter_mut() {
                    draw(weights, seed, resample);
                }
                means(weights)
            },
        )
        .collect();
    for (index, score) in scores.iter_mut().enumerate() {
        let values = draws.iter().filter_map(|draw| draw.get(index).copied());
        let mut values: Vec<f64> = values.filter(|value| !value.is_nan()).collect();
        score.undefined_resamples = resamples - values.len();
        if !score.value.is_nan() && values.len() >= 2 && 2 * values.len() >= resamples {
            values.sort_by(f64::total_cmp);
            score.ci = percentile(&values, ENDS.0).zip(percentile(&values, ENDS.1));
        }
    }
    Ok(scores)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Generator;

    fn figures(predicted: &[f32], known: &[(usize, f32)]) -> [f64; 5] {
        answer(predicted, known, 0.5).unwrap().0
    }

    #[test]
    fn the_best_relevant_candidate_decides() {
        // Ranked 2, 0, 3, 1; relevant are 0 and 1.
        let found = figures(&[0.7, 0.1, 0.9, 0.3], &[(0, 0.8), (1, 0.6), (2, 0.4)]);
        assert_eq!(found[..4], [0.0, 1.0, 1.0, 2.0]);
        let gained = 0.4f32 as f64 + f64::from(0.8f32) * discount(1) + f64::from(0.6f32) * discount(3);
        let ideal = f64::from(0.8f32) + f64::from(0.6f32) * discount(1) + f64::from(0.4f32) * discount(2);
        assert!((found[4] - gained / ideal).abs() < 1e-12);
        // Nothing relevant: only NDCG is defined. Nothing known: nothing is.
        let found = figures(&[0.7, 0.1], &[(1, 0.2)]);
        assert!(found[..4].iter().all(|figure| figure.is_nan()) && (found[4] - discount(1)).abs() < 1e-12);
        assert!(figures(&[0.7], &[]).iter().all(|figure| figure.is_nan()));
        assert!(answer(&[0.7], &[(1, 0.5)], 0.5).is_err());
        assert!(answer(&[f32::NAN], &[(0, 0.5)], 0.5).is_err());
    }

    #[test]
    fn ties_are_the_mean_over_all_orders() {
        // Three of one score behind a better one; two of them are relevant.
        let known = [(1, 0.9), (3, 0.6)];
        let found = figures(&[0.9, 0.5, 0.5, 0.5], &known);
        let mut mean = [0.0; 5];
        let orders = [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]];
        for order in orders {
            let mut predicted = [0.9, 0.0, 0.0, 0.0];
            for (place, candidate) in order.into_iter().enumerate() {
                predicted[candidate] = 0.5 - place as f32 / 10.0;
            }
            for (mean, figure) in mean.iter_mut().zip(figures(&predicted, &known)) {
                *mean += figure / 6.0;
            }
        }
        for (found, mean) in found.into_iter().zip(mean) {
            assert!((found - mean).abs() < 1e-12, "{found} {mean}");
        }
    }

    #[test]
    fn one_score_for_all_is_chance() {
        let known: Vec<(usize, f32)> = (0..3).map(|candidate| (candidate, 1.0)).collect();
        let found = figures(&[0.0; 20], &known);
        assert!((found[0] - 3.0 / 20.0).abs() < 1e-12);
        assert!((found[3] - 21.0 / 4.0).abs() < 1e-12);
        // By drawing: one of the first ten is relevant.
        let mut generator = Generator::keyed(1, "test", &[]);
        let mut order: Vec<usize> = (0..20).collect();
        let hits = (0..20_000).filter(|_| {
            generator.shuffle(&mut order);
            order[..10].iter().any(|&candidate| candidate < 3)
        });
        let share = hits.count() as f64 / 20_000.0;
        assert!((found[2] - share).abs() < 0.01, "{} {share}", found[2]);
    }

    #[test]
    fn intervals_hold_the_mean_and_do_not_depend_on_the_order_of_queries() {
        let of = |reversed: bool| {
            let mut answers = Answers::default();
            let mut queries: Vec<u64> = (0..60).collect();
            if reversed {
                queries.reverse();
            }
            for query in queries {
                let mut generator = Generator::keyed(3, "test", &[query]);
                let predicted: Vec<f32> = (0..30).map(|_| generator.uniform() as f32).collect();
                let known = [((query % 30) as usize, 0.9), (((query + 7) % 30) as usize, 0.3)];
                answers.answers.push(answer(&predicted, &known, 0.5).unwrap());
                answers.groups.push(format!("song {}", query / 3));
            }
            retrieval(&answers, &answers, 5, 200).unwrap()
        };
        let scores = of(false);
        assert_eq!(scores.len(), 15);
        for score in &scores {
            let (low, high) = score.ci.unwrap();
            assert!(low <= score.value && score.value <= high, "{score:?}");
        }
        for (one, other) in scores.iter().zip(of(true)) {
            assert!((one.value - other.value).abs() < 1e-12 && one.ci.unwrap().0 - other.ci.unwrap().0 < 1e-9);
        }
        assert!(
            retrieval(&Answers::default(), &Answers::default(), 1, 100).unwrap()[0]
                .value
                .is_nan()
        );
    }
}
