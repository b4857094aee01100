//! The element types of the kernels, and the way from Candle's tensors to slices.

use candle_core::{CpuStorage, DType, Layout, Result, Storage, Tensor, WithDType};

/// `f32` (training) or `f64` (gradient checks).
pub trait Element: WithDType + std::iter::Sum + Send + Sync {}

impl Element for f32 {}
impl Element for f64 {}

/// The elements of a contiguous tensor on the CPU, during a forward pass.
pub fn slice<'a, T: Element>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    let all = T::cpu_storage_as_slice(storage)?;
    match layout.contiguous_offsets() {
        Some((start, end)) => all
            .get(start..end)
            .ok_or_else(|| candle_core::Error::Msg("a tensor's layout reaches beyond its storage".into())),
        None => candle_core::bail!("this operator needs a contiguous tensor"),
    }
}

/// Calls `work` with the elements of `tensor`, which is made contiguous first.
pub fn with_slice<T: Element, R>(tensor: &Tensor, work: impl FnOnce(&[T]) -> Result<R>) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => work(slice::<T>(storage, layout)?),
        Storage::Cuda(_) | Storage::Metal(_) => {
            candle_core::bail!("this operator has no code for {:?}", tensor.device())
        }
    }
}

/// Runs an expression with `$t` bound to the element type of a [`DType`].
macro_rules! for_dtype {
    ($dtype:expr, $t:ident => $body:expr) => {
        match $dtype {
            candle_core::DType::F32 => {
                type $t = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $t = f64;
                $body
            }
            other => Err($crate::nn::kernels::element::unsupported(other)),
        }
    };
}
pub(super) use for_dtype;

/// The error for other element types.
pub fn unsupported(dtype: DType) -> candle_core::Error {
    candle_core::Error::UnsupportedDTypeForOp(dtype, "affect kernel").bt()
}
