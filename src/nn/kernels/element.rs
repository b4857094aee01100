//! The element types of the kernels, and the way from Candle's tensors to slices.

use candle_core::{CpuStorage, DType, Layout, Result, Storage, Tensor, WithDType};

use super::conv::{correlate, products};
use super::elementary;

/// `f32` (training, on vectors) or `f64` (gradient checks, with the plain code that the vectors are tested against).
pub trait Element: WithDType + std::iter::Sum + Send + Sync {
    fn correlate(task: correlate::Correlate<Self>);
    fn products(task: products::Products<Self>);
    /// 1 / (1 + e⁻ˣ), as [`elementary`] or the system has it.
    fn sigmoid(self) -> Self;
    fn tanh(self) -> Self;
    /// The values of a storage of this type.
    fn owned(storage: CpuStorage) -> Option<Vec<Self>>;
}

impl Element for f32 {
    fn correlate(task: correlate::Correlate<Self>) {
        correlate::vectors(task);
    }

    fn products(task: products::Products<Self>) {
        products::vectors(task);
    }

    #[inline(always)]
    fn sigmoid(self) -> Self {
        elementary::sigmoid(self)
    }

    #[inline(always)]
    fn tanh(self) -> Self {
        elementary::tanh(self)
    }

    fn owned(storage: CpuStorage) -> Option<Vec<Self>> {
        match storage {
            CpuStorage::F32(values) => Some(values),
            _ => None,
        }
    }
}

impl Element for f64 {
    fn correlate(task: correlate::Correlate<Self>) {
        correlate::plain(task);
    }

    fn products(task: products::Products<Self>) {
        products::plain(task);
    }

    fn sigmoid(self) -> Self {
        1.0 / (1.0 + (-self).exp())
    }

    fn tanh(self) -> Self {
        f64::tanh(self)
    }

    fn owned(storage: CpuStorage) -> Option<Vec<Self>> {
        match storage {
            CpuStorage::F64(values) => Some(values),
            _ => None,
        }
    }
}

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

/// The sum of `map(value, index)` in eight interleaved sums of `f64`: vector additions in a fixed order.
#[inline(always)]
pub fn sum<T: Element>(values: &[T], map: impl Fn(f64, usize) -> f64) -> f64 {
    let mut lanes = [0.0f64; 8];
    let chunks = values.chunks_exact(8);
    let rest = chunks.remainder();
    for (chunk_index, chunk) in chunks.enumerate() {
        for (lane, value) in chunk.iter().enumerate() {
            lanes[lane] += map(value.to_f64(), chunk_index * 8 + lane);
        }
    }
    let start = values.len() - rest.len();
    let tail: f64 = rest
        .iter()
        .enumerate()
        .map(|(index, value)| map(value.to_f64(), start + index))
        .sum();
    lanes.iter().sum::<f64>() + tail
}

/// Two sums of what `map` makes of pairs of values, each as [`sum`] adds. `a` and `b` are of one length.
#[inline(always)]
pub fn sums_of_pairs<T: Element>(a: &[T], b: &[T], map: impl Fn(T, T) -> [f64; 2]) -> [f64; 2] {
    let mut lanes = [[0.0f64; 8]; 2];
    let ((eights, rest), (others, other_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in eights.iter().zip(others) {
        for lane in 0..8 {
            let [first, second] = map(a[lane], b[lane]);
            lanes[0][lane] += first;
            lanes[1][lane] += second;
        }
    }
    let mut totals = lanes.map(|lanes| lanes.iter().sum::<f64>());
    for (&a, &b) in rest.iter().zip(other_rest) {
        let [first, second] = map(a, b);
        totals[0] += first;
        totals[1] += second;
    }
    totals
}
