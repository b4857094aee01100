//! What a network has to beat: models that need none.
//!
//! A baseline learns from the training split alone; its one setting is chosen on the validation split from a grid. The
//! truth of the test split is not even passed in. Everything is computed in float64 on one thread, so a baseline is the
//! same on every run.

mod choose;
mod human;
mod logistic;
mod majority;
mod mean;
mod median;
mod neighbours;
mod pooling;
mod ridge;
mod softmax_loss;
mod standardize;
mod stratified;

use nalgebra::DMatrix;

use super::problem::check_length;
use super::{Baseline, EvaluateError, Problem, TaskKind, Truth};

pub use choose::{Choice, GRID};
pub use human::one_annotator;
pub use logistic::{ClassWeight, Logistic};
pub use neighbours::{NEIGHBOURS, Neighbours};
pub use pooling::pool;
pub use ridge::Ridge;

/// Examples of one split.
#[derive(Debug, Clone, Copy)]
pub struct Examples<'a> {
    /// What [`pool`] made of each example: rows of equal length. For mean and majority they may be empty.
    pub features: &'a [Vec<f64>],
    pub truth: Truth<'a>,
}

/// The predictions of a baseline for every split.
#[derive(Debug, Clone, PartialEq)]
pub struct BaselineOutput {
    /// `[examples, targets]`, or probabilities `[examples, classes]`, row after row.
    pub train: Vec<f32>,
    pub validation: Vec<f32>,
    pub test: Vec<f32>,
    /// The settings that the validation split decided; empty for mean and majority.
    pub chosen: Vec<Choice>,
    /// What a reader of the results should know, in one line: "alpha 10 for valence, 100 for arousal (…)".
    pub remark: String,
}

impl Baseline {
    /// As written in an experiment file and in the records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Median => "median",
            Self::Ridge => "ridge",
            Self::Majority => "majority",
            Self::Stratified => "stratified",
            Self::Logistic => "logistic",
            Self::Knn => "knn",
            Self::Human => "human",
            Self::Chance => "chance",
            Self::VaDistance => "va-distance",
        }
    }

    /// Those of pairs, the simplest first.
    pub const OF_PAIRS: [Self; 3] = [Self::Mean, Self::Chance, Self::VaDistance];

    /// Whether it is one of pairs only.
    pub fn is_of_pairs(self) -> bool {
        matches!(self, Self::Chance | Self::VaDistance)
    }

    /// Those that are computed unless others are asked for, the simplest first.
    pub fn for_problem(problem: &Problem) -> &'static [Self] {
        match problem {
            Problem::Regression { .. } => &[Self::Mean, Self::Ridge],
            Problem::Classification { .. } => &[Self::Majority, Self::Logistic],
        }
    }

    /// The one that knows nothing but the training split's truth, and that any model should beat.
    pub fn floor(task: TaskKind) -> Self {
        match task {
            TaskKind::Regression => Self::Mean,
            TaskKind::Classification => Self::Majority,
        }
    }

    /// What it is for; `None`: numbers and classes.
    pub fn task(self) -> Option<TaskKind> {
        match self {
            Self::Mean | Self::Median | Self::Ridge | Self::Human | Self::Chance | Self::VaDistance => {
                Some(TaskKind::Regression)
            }
            Self::Majority | Self::Stratified | Self::Logistic => Some(TaskKind::Classification),
            Self::Knn => None,
        }
    }

    /// Those that fit a task, as in the experiment file.
    pub fn names_for(task: TaskKind) -> Vec<&'static str> {
        let fits = |baseline: &Self| baseline.task().is_none_or(|of| of == task);
        Self::ALL.into_iter().filter(fits).map(Self::name).collect()
    }

    const ALL: [Self; 8] = [
        Self::Mean,
        Self::Median,
        Self::Ridge,
        Self::Majority,
        Self::Stratified,
        Self::Logistic,
        Self::Knn,
        Self::Human,
    ];

    /// Whether it looks at features, so that they have to be pooled for it.
    pub fn needs_features(self) -> bool {
        matches!(self, Self::Ridge | Self::Logistic | Self::Knn)
    }
}

/// Fits a baseline on `train`, chooses its setting on `validation`, and predicts all three splits. `test` holds the
/// pooled features of the test examples. `seed` decides what is drawn.
///
/// # Errors
/// A baseline for the other task, [`Baseline::Human`] (which needs more than this: [`one_annotator`]), no training examples, truth or features that do not fit together or are not finite.
pub fn fit_and_predict(
    baseline: Baseline,
    problem: &Problem,
    train: Examples,
    validation: Examples,
    test: &[Vec<f64>],
    seed: u64,
) -> Result<BaselineOutput, EvaluateError> {
    let examples = problem.check_truth(train.truth)?;
    check_length("features of the training split", examples, train.features.len())?;
    let validating = validation_examples(problem, validation)?;
    check_length(
        "features of the validation split",
        validating,
        validation.features.len(),
    )?;
    let inputs = Inputs {
        problem,
        train,
        validation,
        test,
    };
    match (baseline, problem, train.truth, validation.truth) {
        (Baseline::Mean, Problem::Regression { .. }, Truth::Values(truth), _) => {
            Ok(inputs.constant(&mean::mean(truth, problem.width())))
        }
        (Baseline::Median, Problem::Regression { .. }, Truth::Values(truth), _) => {
            Ok(inputs.constant(&median::median(truth, problem.width())))
        }
        (Baseline::Stratified, Problem::Classification { classes }, Truth::Classes(truth), _) => {
            let shares = majority::shares(truth, classes.len());
            let guesses = |examples: usize, split| stratified::guesses(&shares, examples, seed, split);
            Ok(BaselineOutput {
                train: guesses(train.features.len(), 0),
                validation: guesses(validation.features.len(), 1),
                test: guesses(test.len(), 2),
                chosen: Vec::new(),
                remark: String::new(),
            })
        }
        (Baseline::Knn, Problem::Regression { targets }, Truth::Values(truth), Truth::Values(validation)) => {
            choose::neighbours_of_values(&inputs.matrices()?, targets, truth, validation)
        }
        (Baseline::Knn, Problem::Classification { classes }, Truth::Classes(truth), Truth::Classes(validation)) => {
            choose::neighbours_of_classes(&inputs.matrices()?, classes.len(), truth, validation)
        }
        (Baseline::Majority, Problem::Classification { classes }, Truth::Classes(truth), _) => {
            let mut output = inputs.constant(&majority::shares(truth, classes.len()));
            output.remark = majority::remark(truth, classes);
            Ok(output)
        }
        (Baseline::Ridge, Problem::Regression { targets }, Truth::Values(truth), Truth::Values(validation)) => {
            choose::ridge(&inputs.matrices()?, targets, truth, validation)
        }
        (
            Baseline::Logistic,
            Problem::Classification { classes },
            Truth::Classes(truth),
            Truth::Classes(validation),
        ) => choose::logistic(&inputs.matrices()?, classes.len(), truth, validation),
        _ => Err(EvaluateError::Baseline {
            baseline: baseline.name(),
            needs: match baseline.task() {
                _ if baseline == Baseline::Human => "corpora that publish their annotators' deviations",
                Some(TaskKind::Regression) => "regression",
                Some(TaskKind::Classification) => "classification",
                None => "truth of the same kind in all splits",
            },
            task: problem.task(),
            choices: Baseline::for_problem(problem)
                .iter()
                .map(|baseline| format!("`{}`", baseline.name()))
                .collect::<Vec<_>>()
                .join(", "),
        }),
    }
}

/// An empty validation split is allowed: the settings then keep their defaults.
fn validation_examples(problem: &Problem, validation: Examples) -> Result<usize, EvaluateError> {
    match problem.check_truth(validation.truth) {
        Err(EvaluateError::Empty { what: "examples" }) => Ok(0),
        checked => checked,
    }
}

struct Inputs<'a> {
    problem: &'a Problem,
    train: Examples<'a>,
    validation: Examples<'a>,
    test: &'a [Vec<f64>],
}

impl Inputs<'_> {
    /// The same row for every example.
    fn constant(&self, row: &[f32]) -> BaselineOutput {
        debug_assert_eq!(row.len(), self.problem.width());
        BaselineOutput {
            train: row.repeat(self.train.features.len()),
            validation: row.repeat(self.validation.features.len()),
            test: row.repeat(self.test.len()),
            chosen: Vec::new(),
            remark: String::new(),
        }
    }

    fn matrices(&self) -> Result<Matrices, EvaluateError> {
        let width = self.train.features.first().map_or(0, Vec::len);
        if width == 0 {
            return Err(EvaluateError::NoFeatures);
        }
        Ok(Matrices {
            train: matrix(self.train.features, width)?,
            validation: matrix(self.validation.features, width)?,
            test: matrix(self.test, width)?,
        })
    }
}

/// Features of each split, `[examples, features]`.
struct Matrices {
    train: DMatrix<f64>,
    validation: DMatrix<f64>,
    test: DMatrix<f64>,
}

fn matrix(rows: &[Vec<f64>], width: usize) -> Result<DMatrix<f64>, EvaluateError> {
    for row in rows {
        check_length("features of an example", width, row.len())?;
    }
    Ok(DMatrix::from_row_iterator(
        rows.len(),
        width,
        rows.iter().flatten().copied(),
    ))
}

/// Says which value is not finite.
fn check_matrix(what: &'static str, values: &DMatrix<f64>) -> Result<(), EvaluateError> {
    for (column, of_column) in values.column_iter().enumerate() {
        if let Some((example, &value)) = of_column.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            return Err(EvaluateError::NotFinite {
                what,
                example,
                column,
                value,
            });
        }
    }
    Ok(())
}

/// Row after row, as float32.
fn rows(values: &DMatrix<f64>) -> Vec<f32> {
    values.transpose().iter().map(|&value| value as f32).collect()
}

#[cfg(test)]
mod tests;
