//! One list of figures for every task, as the records keep them.

use super::classification::Confusion;
use super::moments::Moments;
use super::problem::most_probable;
use super::regression::{ConstantTruth, RegressionMetrics};
use super::{EvaluateError, Problem, RETRIEVAL_METRICS, Truth};

/// Per target and averaged over the targets.
pub const REGRESSION_METRICS: [&str; 6] = ["mse", "rmse", "mae", "r2", "pearson", "ccc"];
/// Over all examples.
pub const CLASSIFICATION_METRICS: [&str; 4] = ["accuracy", "uar", "macro-f1", "weighted-f1"];
/// Those of [`REGRESSION_METRICS`] for valence and arousal, where a network of pairs has learned them beside the score.
pub const EMOTION_METRICS: [&str; 6] = ["va-mse", "va-rmse", "va-mae", "va-r2", "va-pearson", "va-ccc"];
/// Per class.
pub const CLASS_METRICS: [&str; 3] = ["precision", "recall", "f1"];

/// Whether a metric is one of all examples or targets, and not of a single class.
pub fn is_of_the_whole(metric: &str) -> bool {
    REGRESSION_METRICS.contains(&metric)
        || CLASSIFICATION_METRICS.contains(&metric)
        || RETRIEVAL_METRICS.contains(&metric)
        || EMOTION_METRICS.contains(&metric)
}

/// A figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// One of [`REGRESSION_METRICS`], [`CLASSIFICATION_METRICS`], [`CLASS_METRICS`], [`RETRIEVAL_METRICS`] or [`EMOTION_METRICS`].
    pub name: &'static str,
    /// The target or class; "" for the average over the targets, or the whole.
    pub target: String,
    /// NaN where the metric is undefined.
    pub value: f64,
    /// Ends of the 95 % confidence interval.
    pub ci: Option<(f64, f64)>,
    /// Resamples behind `ci` in which the metric was undefined; they were left out.
    pub undefined_resamples: usize,
}

/// Scores predictions `[examples, targets]`, or probabilities `[examples, classes]`, of which the largest (of equal
/// ones the first) is the predicted class.
///
/// Regression gives, for each metric, the plain average over the targets (target "") and then each target.
/// Classification gives the figures of the whole (target ""), then precision, recall and F1 of each class.
///
/// # Errors
/// Truth of another task, no examples, lengths that do not fit, values that are not finite, classes out of range.
pub fn score(problem: &Problem, truth: Truth, predicted: &[f32]) -> Result<Vec<Score>, EvaluateError> {
    problem.check(truth, predicted)?;
    let values = Summary::of_all(problem, truth, predicted).values(ConstantTruth::AsScikitLearn);
    Ok(name_all(problem, values))
}

/// Whether a larger value of a metric is better: `mae`, or with its split and target `val/mae/valence`.
pub fn higher_is_better(metric: &str) -> bool {
    let mut parts = metric.split('/');
    let first = parts.next().unwrap_or_default();
    let name = match (first, parts.next()) {
        ("train" | "val" | "test", Some(second)) => second,
        _ => first,
    };
    let name = name.strip_prefix("va-").unwrap_or(name);
    !matches!(name, "loss" | "mse" | "rmse" | "mae" | "mean-rank")
}

/// All that the figures of a set of examples depend on.
pub(super) enum Summary {
    /// One per target.
    Regression(Vec<Moments>),
    Classification(Confusion),
}

impl Summary {
    /// Of examples that are known to fit the problem.
    fn of_all(problem: &Problem, truth: Truth, predicted: &[f32]) -> Self {
        let width = problem.width();
        match truth {
            Truth::Values(truth) => Self::Regression(
                (0..width)
                    .map(|target| Moments::of(column(truth, predicted, width, target)))
                    .collect(),
            ),
            Truth::Classes(truth) => {
                let mut confusion = Confusion::empty(width);
                for (&truth, predicted) in truth.iter().zip(most_probable(predicted, width)) {
                    confusion.add(truth as usize * width + predicted as usize, 1);
                }
                Self::Classification(confusion)
            }
        }
    }

    /// The figures, in the order of [`name_all`].
    pub fn values(&self, constant: ConstantTruth) -> Vec<f64> {
        match self {
            Self::Regression(targets) => {
                let metrics: Vec<[f64; 6]> = targets
                    .iter()
                    .map(|moments| RegressionMetrics::of(moments, constant).values())
                    .collect();
                let mut values = Vec::with_capacity(REGRESSION_METRICS.len() * (metrics.len() + 1));
                for metric in 0..REGRESSION_METRICS.len() {
                    let of_targets = || metrics.iter().filter_map(|values| values.get(metric).copied());
                    values.push(of_targets().sum::<f64>() / metrics.len() as f64);
                    values.extend(of_targets());
                }
                values
            }
            Self::Classification(confusion) => {
                let metrics = confusion.metrics();
                let mut values = vec![metrics.accuracy, metrics.uar, metrics.macro_f1, metrics.weighted_f1];
                for class in metrics.per_class {
                    values.extend([class.precision, class.recall, class.f1]);
                }
                values
            }
        }
    }
}

/// Pairs of (truth, predicted) of one target out of rows of `width`.
pub(super) fn column<'a>(
    truth: &'a [f32],
    predicted: &'a [f32],
    width: usize,
    target: usize,
) -> impl Iterator<Item = (f32, f32)> + Clone + 'a {
    let of = move |values: &'a [f32]| values.iter().skip(target).step_by(width.max(1)).copied();
    of(truth).zip(of(predicted))
}

/// Gives the values of [`Summary::values`] their names.
fn name_all(problem: &Problem, values: Vec<f64>) -> Vec<Score> {
    let names: Vec<(&'static str, String)> = match problem {
        Problem::Regression { targets } => REGRESSION_METRICS
            .iter()
            .flat_map(|&name| {
                std::iter::once((name, String::new())).chain(targets.iter().map(move |target| (name, target.clone())))
            })
            .collect(),
        Problem::Classification { classes } => (CLASSIFICATION_METRICS.iter().map(|&name| (name, String::new())))
            .chain((classes.iter()).flat_map(|class| CLASS_METRICS.iter().map(move |&name| (name, class.clone()))))
            .collect(),
    };
    names
        .into_iter()
        .zip(values)
        .map(|((name, target), value)| Score {
            name,
            target,
            value,
            ci: None,
            undefined_resamples: 0,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(scores: &[Score], name: &str, target: &str) -> f64 {
        scores
            .iter()
            .find(|score| score.name == name && score.target == target)
            .unwrap()
            .value
    }

    #[test]
    fn targets_and_their_average() {
        let problem = Problem::Regression {
            targets: vec!["valence".into(), "arousal".into()],
        };
        let truth = [0.0, 1.0, 1.0, 3.0];
        let scores = score(&problem, Truth::Values(&truth), &[0.0, 2.0, 1.0, 5.0]).unwrap();
        assert_eq!(scores.len(), 6 * 3);
        assert_eq!(find(&scores, "mse", "valence"), 0.0);
        assert_eq!(find(&scores, "mse", "arousal"), 2.5);
        assert_eq!(find(&scores, "mse", ""), 1.25);
        assert_eq!(find(&scores, "rmse", ""), 2.5f64.sqrt() / 2.0);
    }

    #[test]
    fn the_whole_and_its_classes() {
        let problem = Problem::Classification {
            classes: vec!["anger".into(), "joy".into()],
        };
        let scores = score(&problem, Truth::Classes(&[0, 1, 1]), &[0.9, 0.1, 0.6, 0.4, 0.2, 0.8]).unwrap();
        assert_eq!(scores.len(), 4 + 2 * 3);
        assert_eq!(find(&scores, "uar", ""), 0.75);
        assert_eq!(find(&scores, "recall", "joy"), 0.5);
        assert_eq!(find(&scores, "precision", "anger"), 0.5);
    }

    #[test]
    fn which_way_is_better() {
        for metric in ["loss", "mse", "rmse", "mae", "val/loss", "val/mae/valence", "mae/loss"] {
            assert!(!higher_is_better(metric), "{metric}");
        }
        for metric in [
            "ccc",
            "val/uar",
            "r2/valence",
            "recall/loss",
            "accuracy",
            "test/ccc/mae",
        ] {
            assert!(higher_is_better(metric), "{metric}");
        }
    }
}
