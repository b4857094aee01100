//! Mean and deviation of rows of values.

use candle_core::{D, Result, Tensor};

/// What a row comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Figure {
    Mean,
    /// The root of the population variance plus `epsilon`: without it the gradient would be infinite where all values are equal.
    Deviation {
        epsilon: f64,
    },
}

/// `[batch, rows, values]` → `[batch, rows]` for each figure, in their order.
pub fn figures(values: &Tensor, wanted: &[Figure]) -> Result<Vec<Tensor>> {
    #[cfg(feature = "cuda")]
    if values.device().is_cuda() {
        return super::cuda::figures(values, wanted);
    }
    let mean = values.mean_keepdim(D::Minus1)?;
    let figure = |wanted: &Figure| match wanted {
        Figure::Mean => mean.squeeze(D::Minus1),
        Figure::Deviation { epsilon } => {
            let variance = values.broadcast_sub(&mean)?.sqr()?.mean(D::Minus1)?;
            (variance + *epsilon)?.sqrt()
        }
    };
    wanted.iter().map(figure).collect()
}
