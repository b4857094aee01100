//! The strength of regularisation, chosen on the validation split.

use nalgebra::DMatrix;

use super::super::EvaluateError;
use super::super::classification::Confusion;
use super::super::problem::most_probable;
use super::logistic::{ClassWeight, LogisticProblem};
use super::neighbours::{NEIGHBOURS, Neighbours};
use super::ridge::RidgeEquations;
use super::{BaselineOutput, Matrices, rows};

/// The strengths that are tried: ridge's alpha (larger: stronger) and logistic regression's C (larger: weaker).
pub const GRID: [f64; 8] = [1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3, 1e4];

/// What is used without a validation split: scikit-learn's default for both.
const DEFAULT: f64 = 1.0;

/// A setting that the validation split decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// "alpha", "C" or "k".
    pub name: &'static str,
    /// The target that it is for; "" for all.
    pub target: String,
    /// One of [`GRID`], or of [`NEIGHBOURS`].
    pub value: f64,
}

/// Ridge regression with an alpha for each target: that of the least squared error on the validation split, of equal
/// ones the largest.
pub(super) fn ridge(
    matrices: &Matrices,
    targets: &[String],
    truth: &[f32],
    validation: &[f32],
) -> Result<BaselineOutput, EvaluateError> {
    let truth = columns(truth, targets.len());
    let validation = columns(validation, targets.len());
    let equations = RidgeEquations::new(&matrices.train, &truth)?;
    let grid: &[f64] = if validation.nrows() == 0 { &[DEFAULT] } else { &GRID };
    let mut best: Vec<(f64, f64)> = vec![(f64::INFINITY, DEFAULT); targets.len()];
    let mut output = [&matrices.train, &matrices.validation, &matrices.test]
        .map(|split| DMatrix::zeros(split.nrows(), targets.len()));
    for &alpha in grid.iter().rev() {
        let ridge = equations.solve(alpha)?;
        let predicted = [
            ridge.predict(&matrices.train)?,
            ridge.predict(&matrices.validation)?,
            ridge.predict(&matrices.test)?,
        ];
        let [_, on_validation, _] = &predicted;
        for (target, best) in best.iter_mut().enumerate() {
            let error = (on_validation.column(target) - validation.column(target)).norm_squared();
            if error < best.0 {
                *best = (error, alpha);
                for (output, predicted) in output.iter_mut().zip(&predicted) {
                    output.set_column(target, &predicted.column(target));
                }
            }
        }
    }
    let chosen: Vec<Choice> = targets
        .iter()
        .zip(best)
        .map(|(target, (_, value))| Choice {
            name: "alpha",
            target: target.clone(),
            value,
        })
        .collect();
    let [train, validation, test] = output.map(|predicted| rows(&predicted));
    Ok(BaselineOutput {
        train,
        validation,
        test,
        remark: remark(&chosen, grid.len()),
        chosen,
    })
}

/// Logistic regression with the C of the highest UAR on the validation split; of equal ones that of the least log
/// loss, then the smallest.
pub(super) fn logistic(
    matrices: &Matrices,
    classes: usize,
    truth: &[u32],
    validation: &[u32],
) -> Result<BaselineOutput, EvaluateError> {
    let mut problem = LogisticProblem::new(&matrices.train, truth, classes, ClassWeight::None)?;
    let grid: &[f64] = if validation.is_empty() { &[DEFAULT] } else { &GRID };
    let mut best = None;
    let mut unfinished = Vec::new();
    for &c in grid {
        let logistic = problem.solve(c)?;
        if !logistic.converged {
            unfinished.push(c);
        }
        let probabilities = logistic.predict(&matrices.validation)?;
        let uar = Confusion::of(validation, &most_probable(&rows(&probabilities), classes), classes)?
            .metrics()
            .uar;
        let quality = (uar, -log_loss(&probabilities, validation));
        let better = best
            .as_ref()
            .is_none_or(|(so_far, ..): &((f64, f64), _, _)| quality > *so_far);
        if better {
            best = Some((quality, c, logistic));
        }
    }
    let Some((_, c, logistic)) = best else {
        return Err(EvaluateError::Empty { what: "settings" });
    };
    let chosen = vec![Choice {
        name: "C",
        target: String::new(),
        value: c,
    }];
    let mut remark = remark(&chosen, grid.len());
    if logistic.single_class {
        remark = "the training split holds one class only: it is always predicted".into();
    }
    if !unfinished.is_empty() {
        remark.push_str(&format!("; did not converge for C {unfinished:?}"));
    }
    Ok(BaselineOutput {
        train: rows(&logistic.predict(&matrices.train)?),
        validation: rows(&logistic.predict(&matrices.validation)?),
        test: rows(&logistic.predict(&matrices.test)?),
        chosen,
        remark,
    })
}

/// The neighbours without a validation split: scikit-learn's default.
const DEFAULT_NEIGHBOURS: usize = 5;

/// The numbers of neighbours to try; more than there are examples make no difference.
fn neighbours_to_try(examples: usize, is_validated: bool) -> Vec<usize> {
    if !is_validated {
        return vec![DEFAULT_NEIGHBOURS];
    }
    let fewer = NEIGHBOURS.iter().take_while(|&&k| k == 1 || k <= examples);
    fewer.copied().collect()
}

/// Nearest neighbours with a number for each target: that of the least squared error on the validation split, of equal ones the
/// largest.
pub(super) fn neighbours_of_values(
    matrices: &Matrices,
    targets: &[String],
    truth: &[f32],
    validation: &[f32],
) -> Result<BaselineOutput, EvaluateError> {
    let truth = columns(truth, targets.len());
    let validation = columns(validation, targets.len());
    let neighbours = Neighbours::fit(&matrices.train, &truth)?;
    let tried = neighbours_to_try(truth.nrows(), validation.nrows() > 0);
    let on_validation = neighbours.predict(&matrices.validation, &tried)?;
    let choose = |target: usize| {
        let mut best = (f64::INFINITY, DEFAULT_NEIGHBOURS);
        for (&k, predicted) in tried.iter().zip(&on_validation).rev() {
            let error = (predicted.column(target) - validation.column(target)).norm_squared();
            if error < best.0 {
                best = (error, k);
            }
        }
        best.1
    };
    let best: Vec<usize> = (0..targets.len()).map(choose).collect();
    let predict = |x: &DMatrix<f64>| -> Result<Vec<f32>, EvaluateError> {
        let mut output = DMatrix::zeros(x.nrows(), targets.len());
        for (target, predicted) in neighbours.predict(x, &best)?.iter().enumerate() {
            output.set_column(target, &predicted.column(target));
        }
        Ok(rows(&output))
    };
    let chosen: Vec<Choice> = targets
        .iter()
        .zip(&best)
        .map(|(target, &k)| of_neighbours(k, target))
        .collect();
    Ok(BaselineOutput {
        train: predict(&matrices.train)?,
        validation: predict(&matrices.validation)?,
        test: predict(&matrices.test)?,
        remark: neighbours_remark(&chosen, tried.len()),
        chosen,
    })
}

/// Nearest neighbours with the number of the highest UAR on the validation split; of equal ones the largest.
pub(super) fn neighbours_of_classes(
    matrices: &Matrices,
    classes: usize,
    truth: &[u32],
    validation: &[u32],
) -> Result<BaselineOutput, EvaluateError> {
    let one_hot = DMatrix::from_fn(truth.len(), classes, |example, class| {
        f64::from(u8::from(truth.get(example).is_some_and(|&of| of as usize == class)))
    });
    let neighbours = Neighbours::fit(&matrices.train, &one_hot)?;
    let tried = neighbours_to_try(truth.len(), !validation.is_empty());
    let mut best = (f64::NEG_INFINITY, DEFAULT_NEIGHBOURS);
    if !validation.is_empty() {
        let predicted = neighbours.predict(&matrices.validation, &tried)?;
        for (&k, predicted) in tried.iter().zip(&predicted).rev() {
            let confusion = Confusion::of(validation, &most_probable(&rows(predicted), classes), classes)?;
            let uar = confusion.metrics().uar;
            if uar > best.0 {
                best = (uar, k);
            }
        }
    }
    let predict = |x: &DMatrix<f64>| -> Result<Vec<f32>, EvaluateError> {
        Ok(neighbours.predict(x, &[best.1])?.first().map(rows).unwrap_or_default())
    };
    let chosen = vec![of_neighbours(best.1, "")];
    Ok(BaselineOutput {
        train: predict(&matrices.train)?,
        validation: predict(&matrices.validation)?,
        test: predict(&matrices.test)?,
        remark: neighbours_remark(&chosen, tried.len()),
        chosen,
    })
}

fn of_neighbours(k: usize, target: &str) -> Choice {
    Choice {
        name: "k",
        target: target.to_owned(),
        value: k as f64,
    }
}

fn neighbours_remark(chosen: &[Choice], tried: usize) -> String {
    let how = match tried {
        0 | 1 => "there is no validation split to choose it on",
        _ => "chosen on the validation split from 1 to 75",
    };
    format!("{} ({how})", settings(chosen))
}

fn columns(values: &[f32], width: usize) -> DMatrix<f64> {
    let rows = values.len() / width.max(1);
    DMatrix::from_row_iterator(rows, width, values.iter().map(|&value| f64::from(value)))
}

/// Mean of −log p of the true class. A probability of 0 counts as the smallest that float64 has.
fn log_loss(probabilities: &DMatrix<f64>, truth: &[u32]) -> f64 {
    let sum: f64 = truth
        .iter()
        .enumerate()
        .filter_map(|(example, &class)| probabilities.get((example, class as usize)))
        .map(|probability| -probability.max(f64::MIN_POSITIVE).ln())
        .sum();
    sum / truth.len().max(1) as f64
}

fn settings(chosen: &[Choice]) -> String {
    let settings: Vec<String> = chosen
        .iter()
        .map(|choice| match choice.target.as_str() {
            "" => format!("{} {}", choice.name, choice.value),
            target => format!("{} {} for {target}", choice.name, choice.value),
        })
        .collect();
    settings.join(", ")
}

fn remark(chosen: &[Choice], tried: usize) -> String {
    let settings = settings(chosen);
    if tried < 2 {
        return format!("{settings} (there is no validation split to choose it on)");
    }
    let at_the_end = |choice: &&Choice| GRID.first() == Some(&choice.value) || GRID.last() == Some(&choice.value);
    let end = match chosen.iter().find(at_the_end) {
        Some(_) => ", an end of the grid",
        None => "",
    };
    format!("{settings} (chosen on the validation split from 1e-3 to 1e4{end})")
}
