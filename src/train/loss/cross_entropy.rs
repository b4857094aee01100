//! Softmax cross-entropy, as PyTorch's `CrossEntropyLoss` with weights and label smoothing.

use candle_core::{Result, Tensor};

use super::Total;

/// (1 − ε)·wᵧ·(−log pᵧ) + ε/K · Σ w_c·(−log p_c), each times the example's weight; to be divided by Σ wᵧ (times the example's weight).
pub fn total(
    logits: &Tensor,
    classes: &Tensor,
    class_weights: &[f32],
    smoothing: f64,
    weights: Option<&Tensor>,
) -> Result<Total> {
    let labels = classes.to_vec1::<u32>()?;
    let of_examples = match weights {
        Some(weights) => weights.to_dtype(candle_core::DType::F32)?.to_vec1::<f32>()?,
        None => vec![1.0; labels.len()],
    };
    let of_truth: Vec<f32> = labels
        .iter()
        .zip(&of_examples)
        .map(|(&class, example)| class_weights.get(class as usize).copied().unwrap_or(0.0) * example)
        .collect();
    let weight = of_truth.iter().map(|&weight| f64::from(weight)).sum();
    let device = logits.device();
    let column = |values: Vec<f32>| Tensor::from_vec(values, labels.len(), device)?.to_dtype(logits.dtype());
    let log_probability = candle_nn::ops::log_softmax(logits, 1)?;
    let truth = log_probability.gather(&classes.unsqueeze(1)?, 1)?.squeeze(1)?;
    let mut sum = (truth * column(of_truth)?)?.sum_all()?.neg()?;
    if smoothing > 0.0 {
        let of_classes = Tensor::new(class_weights, device)?.to_dtype(logits.dtype())?;
        let spread = log_probability.broadcast_mul(&of_classes)?.sum(1)?;
        let spread = (spread * column(of_examples)?)?.sum_all()?;
        let share = smoothing / class_weights.len().max(1) as f64;
        sum = (sum.affine(1.0 - smoothing, 0.0)? - spread.affine(share, 0.0)?)?;
    }
    Ok(Total { sum, weight })
}
