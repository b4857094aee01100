//! Annotators who hear the truth, each a little wrong.

use super::emotion::Affect;
use crate::random::Generator;

/// Mean and sample standard deviation of the annotators' ratings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rating {
    /// 1 to 9.
    pub mean: f64,
    /// 0 for a single annotator.
    pub deviation: f64,
}

/// How a song was rated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratings {
    pub valence: Rating,
    pub arousal: Rating,
}

/// `annotators` ratings with `deviation` around the truth on the scale 1 to 9, cut at its ends.
pub fn rate(truth: Affect, annotators: usize, deviation: f64, generator: &mut Generator) -> Ratings {
    let mut of = |truth: f64| {
        let ratings: Vec<f64> = (0..annotators.max(1))
            .map(|_| (Affect::to_scale(truth) + deviation * generator.normal()).clamp(1.0, 9.0))
            .collect();
        let mean = ratings.iter().sum::<f64>() / ratings.len() as f64;
        let squares: f64 = ratings.iter().map(|rating| (rating - mean).powi(2)).sum();
        let degrees = ratings.len().saturating_sub(1).max(1) as f64;
        Rating {
            mean,
            deviation: (squares / degrees).sqrt(),
        }
    };
    Ratings {
        valence: of(truth.valence),
        arousal: of(truth.arousal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generator(song: u64) -> Generator {
        Generator::keyed(5, "ratings", &[song])
    }

    #[test]
    fn ratings_stay_on_the_scale() {
        let extreme = Affect {
            valence: 0.95,
            arousal: -0.95,
        };
        for song in 0..50 {
            for annotators in [1, 2, 10] {
                let ratings = rate(extreme, annotators, 4.0, &mut generator(song));
                assert!(
                    [ratings.valence, ratings.arousal]
                        .iter()
                        .all(|rating| (1.0..=9.0).contains(&rating.mean))
                );
            }
        }
    }

    #[test]
    fn many_annotators_find_the_truth_and_their_spread_is_stated() {
        let ratings = rate(
            Affect {
                valence: 0.25,
                arousal: -0.5,
            },
            4000,
            1.0,
            &mut generator(0),
        );
        assert!(
            (ratings.valence.mean - 6.0).abs() < 0.06 && (ratings.arousal.mean - 3.0).abs() < 0.06,
            "{ratings:?}"
        );
        assert!((ratings.valence.deviation - 1.0).abs() < 0.05, "{ratings:?}");
    }

    #[test]
    fn one_annotator_has_no_spread_and_a_perfect_one_no_error() {
        let truth = Affect {
            valence: 0.25,
            arousal: 0.0,
        };
        assert_eq!(rate(truth, 1, 1.0, &mut generator(1)).valence.deviation, 0.0);
        assert_eq!(
            rate(truth, 3, 0.0, &mut generator(1)).valence,
            Rating {
                mean: 6.0,
                deviation: 0.0
            }
        );
    }
}
