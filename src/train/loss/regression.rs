//! Losses that are a mean over values.

use candle_core::{Device, Result, Tensor};

use super::Total;

/// |x| with gradient 0 at 0, as in PyTorch.
pub fn absolute(difference: &Tensor) -> Result<Tensor> {
    difference * difference.detach().sign()?
}

/// x² / (2β) below β, |x| − β / 2 above.
pub fn smooth_l1(difference: &Tensor, beta: f64) -> Result<Tensor> {
    // With d = |x| and q = min(d, β): q² / (2β) + (d − q).
    let distance = absolute(difference)?;
    let near = distance.minimum(beta)?;
    near.sqr()?.affine(0.5 / beta, 0.0)? + (distance - near)?
}

/// `distance` `[batch, targets]`, weighted by target and by example.
pub fn total(distance: &Tensor, targets: &[f32], weights: Option<&Tensor>) -> Result<Total> {
    let alike = targets.iter().all(|&weight| weight == 1.0);
    if alike && weights.is_none() {
        return Ok(Total {
            sum: distance.sum_all()?,
            weight: distance.elem_count() as f64,
        });
    }
    let weights = value_weights(distance, targets, weights)?;
    Ok(Total {
        sum: (distance * &weights)?.sum_all()?,
        weight: weights
            .to_dtype(candle_core::DType::F64)?
            .sum_all()?
            .to_scalar::<f64>()?,
    })
}

/// The product of the weights of targets and examples, `[batch, targets]`, on the CPU.
pub fn value_weights(like: &Tensor, targets: &[f32], weights: Option<&Tensor>) -> Result<Tensor> {
    let of_targets = Tensor::new(targets, &Device::Cpu)?
        .to_dtype(like.dtype())?
        .broadcast_as(like.shape())?;
    match weights {
        Some(weights) => of_targets * weights.to_dtype(like.dtype())?,
        None => of_targets.contiguous(),
    }
}
