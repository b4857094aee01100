//! The element types of the kernels, and the way from Candle's tensors to slices.

use std::mem::MaybeUninit;

use candle_core::{CpuStorage, DType, Layout, Result, Storage, Tensor, WithDType};
use rayon::prelude::*;

use super::conv::{correlate, products};
use super::elementary;

/// `f32` (training, on vectors) or `f64` (gradient checks, with the plain code that the vectors are tested against).
pub trait Element: WithDType + std::iter::Sum + Send + Sync {
    fn correlate(task: correlate::Correlate<Self>);
    fn products(task: products::Products<Self>);
    /// 1 / (1 + e⁻ˣ), as [`elementary`] or the system has it; the others too.
    fn sigmoid(self) -> Self;
    fn tanh(self) -> Self;
    fn exp(self) -> Self;
    /// eˣ − 1, for x up to 0.
    fn exp_m1(self) -> Self;
    fn erf(self) -> Self;
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

    #[inline(always)]
    fn exp(self) -> Self {
        elementary::exp(self)
    }

    #[inline(always)]
    fn exp_m1(self) -> Self {
        elementary::exp_m1(self)
    }

    #[inline(always)]
    fn erf(self) -> Self {
        elementary::erf(self)
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

    fn exp(self) -> Self {
        f64::exp(self)
    }

    fn exp_m1(self) -> Self {
        f64::exp_m1(self)
    }

    fn erf(self) -> Self {
        candle_core::cpu::erf::erf_f64(self)
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

/// New numbers, which `write` writes, so many at a time, from the index that it is given. They are not zeroed before, which would be a
/// pass over memory of its own.
///
/// # Safety
/// `write` writes every place that it is given.
#[allow(unsafe_code)]
pub unsafe fn written<T: Element>(
    len: usize,
    at_a_time: usize,
    write: impl Fn(usize, &mut [MaybeUninit<T>]) + Sync,
) -> Vec<T> {
    let mut values = Vec::with_capacity(len);
    let room: &mut [MaybeUninit<T>] = &mut values.spare_capacity_mut()[..len];
    room.par_chunks_mut(at_a_time)
        .enumerate()
        .for_each(|(index, room)| write(index * at_a_time, room));
    // SAFETY: there is room for so many, the chunks cover it, and every place of a chunk is written.
    unsafe {
        values.set_len(len);
    }
    values
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

/// Of `back(value, gradient)`: its sum, and the sum of its products with `value − mean`. Both slices are of one length.
///
/// The numbers are added in eight interleaved sums of their own type, 64 at a time, and these in `f64`.
#[inline(always)]
pub fn sum_and_moment<T: Element>(gradients: &[T], values: &[T], mean: f64, back: impl Fn(T, T) -> T) -> [f64; 2] {
    const BLOCK: usize = 64;
    let near = T::from_f64(mean);
    let mut totals = [0.0; 2];
    for (gradients, values) in gradients.chunks(BLOCK).zip(values.chunks(BLOCK)) {
        let mut sums = [T::zero(); EIGHT];
        let mut moments = [T::zero(); EIGHT];
        let ((gradients, last_gradients), (values, last)) = (gradients.as_chunks(), values.as_chunks());
        for (gradients, values) in gradients.iter().zip(values) {
            let (gradients, values): (&[T; EIGHT], &[T; EIGHT]) = (gradients, values);
            for lane in 0..EIGHT {
                let back = back(values[lane], gradients[lane]);
                sums[lane] += back;
                moments[lane] += back * (values[lane] - near);
            }
        }
        for (lane, (&gradient, &value)) in last_gradients.iter().zip(last).enumerate() {
            let back = back(value, gradient);
            sums[lane] += back;
            moments[lane] += back * (value - near);
        }
        for lane in 0..EIGHT {
            totals[0] += sums[lane].to_f64();
            totals[1] += moments[lane].to_f64();
        }
    }
    totals[1] -= (mean - near.to_f64()) * totals[0];
    totals
}

/// Values of loops that become a few vector instructions: one vector of `f32` on most machines.
pub const EIGHT: usize = 8;

/// The first N values; where not all are there (`FULL` is false), with `zero` after the last one.
#[inline(always)]
pub fn read<const FULL: bool, T: Copy, const N: usize>(values: &[T], zero: T) -> [T; N] {
    if FULL {
        return values.as_chunks::<N>().0[0];
    }
    let count = values.len().min(N);
    let mut first = [zero; N];
    first[..count].copy_from_slice(&values[..count]);
    first
}

/// Puts `values` where `target` begins: all of them, or as many as it has room for (`FULL` is false).
#[inline(always)]
pub fn put<const FULL: bool, T: Copy, const N: usize>(target: &mut [T], values: [T; N]) {
    if FULL {
        target.as_chunks_mut::<N>().0[0] = values;
        return;
    }
    let count = target.len().min(N);
    target[..count].copy_from_slice(&values[..count]);
}
