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
