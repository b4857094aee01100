//! 1 − the concordance correlation coefficient (Lin 1989) of a batch.
//!
//! CCC = 2·cov(x, y) / (var x + var y + (mean x − mean y)²), all moments divided by n (or weighted), as in `evaluate/ccc.rs`.

use candle_core::{Result, Tensor};

use super::Total;

/// Added to the denominator: a batch in which everything is constant and equal has a coefficient of 0 and no gradient.
const EPSILON: f64 = 1e-8;

/// The mean over the targets (by their weights) times the examples, so that batches of different sizes combine by their sizes.
pub fn total(predicted: &Tensor, target: &Tensor, targets: &[f32], weights: Option<&Tensor>) -> Result<Total> {
    let examples = predicted.dim(0)? as f64;
    let shares = match weights {
        Some(weights) => {
            let weights = weights.to_dtype(predicted.dtype())?;
            weights.broadcast_div(&(weights.sum_keepdim(0)? + f64::MIN_POSITIVE)?)?
        }
        None => predicted.ones_like()?.affine(1.0 / examples, 0.0)?,
    };
    let mean = |values: &Tensor| (values * &shares)?.sum_keepdim(0);
    let (predicted_mean, target_mean) = (mean(predicted)?, mean(target)?);
    let x = predicted.broadcast_sub(&predicted_mean)?;
    let y = target.broadcast_sub(&target_mean)?;
    let covariance = mean(&(&x * &y)?)?;
    let spread = (mean(&x.sqr()?)? + mean(&y.sqr()?)?)?;
    let denominator = ((spread + (predicted_mean - target_mean)?.sqr()?)? + EPSILON)?;
    let loss = ((covariance / denominator)? * -2.0)?.affine(1.0, 1.0)?;
    let of_targets = Tensor::new(targets, loss.device())?
        .to_dtype(loss.dtype())?
        .unsqueeze(0)?;
    let all: f64 = targets.iter().map(|&weight| f64::from(weight)).sum();
    Ok(Total {
        sum: (loss * of_targets)?.sum_all()?.affine(examples / all, 0.0)?,
        weight: examples,
    })
}
