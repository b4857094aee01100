//! Matrix products of the layers.

use candle_core::{Result, Tensor};

/// `[rows, inner]` · `[inner, columns]` → `[rows, columns]`, on a GPU in the precision of the settings.
pub fn product(left: &Tensor, right: &Tensor) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if left.device().is_cuda() && super::cuda::settings().precision == super::cuda::Precision::Bf16 {
        return super::cuda::product_in_bfloat16(left, right);
    }
    if left.device().is_cpu() {
        return left.matmul(right);
    }
    // Candle's product on a GPU takes transposed matrices, but no parts of others.
    left.contiguous()?.matmul(right)
}
