//! Layer norm (Ba et al. 2016), as PyTorch's `LayerNorm`. Candle's own has no gradient. Statistics are summed in `f64`.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

#[cfg(feature = "cuda")]
use super::direct::give;
use super::element::{Element, for_dtype, slice, sum, with_slice};
use super::tape::apply3;
use crate::vector::on_vectors;

/// Rows whose gradients of gain and offset are summed by one task: part of the result's definition.
const GROUP: usize = 64;

/// `input` `[rows, width]`, `gain` and `offset` `[width]` → the same shape as `input`; each row has its own statistics.
pub fn layer_norm(input: &Tensor, gain: &Tensor, offset: &Tensor, epsilon: f64) -> Result<Tensor> {
    let operator = LayerNorm {
        epsilon,
        #[cfg(feature = "cuda")]
        on_gpu: std::sync::Mutex::new(None),
    };
    apply3(
        &input.contiguous()?,
        &gain.contiguous()?,
        &offset.contiguous()?,
        operator,
    )
}

struct LayerNorm {
    epsilon: f64,
    #[cfg(feature = "cuda")]
    on_gpu: std::sync::Mutex<Option<super::cuda::LayerNormed>>,
}

#[cfg(feature = "cuda")]
fn poisoned() -> candle_core::Error {
    candle_core::Error::Msg("a layer norm failed before".into())
}

/// Mean and 1 / σ.
#[inline(always)]
fn statistics<T: Element>(row: &[T], epsilon: f64) -> (f64, f64) {
    let count = row.len().max(1) as f64;
    let mean = sum(row, |value, _| value) / count;
    let variance = sum(row, |value, _| (value - mean) * (value - mean)) / count;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

fn forward<T: Element>(epsilon: f64, input: &[T], gain: &[T], offset: &[T]) -> Vec<T> {
    let width = gain.len().max(1);
    let mut out = vec![T::zero(); input.len()];
    out.par_chunks_mut(width)
        .zip(input.par_chunks(width))
        .for_each(|(out, input)| {
            on_vectors(
                #[inline(always)]
                || {
                    let (mean, inverse) = statistics(input, epsilon);
                    for ((out, &input), (gain, offset)) in out.iter_mut().zip(input).zip(gain.iter().zip(offset)) {
                        *out = T::from_f64((input.to_f64() - mean) * inverse * gain.to_f64() + offset.to_f64());
                    }
                },
            );
        });
    out
}

/// The gradient of a row; what it adds to those of gain and offset.
#[inline(always)]
fn backward_of_row<T: Element>(
    epsilon: f64,
    (input, gain, gradient): (&[T], &[T], &[T]),
    out: &mut [T],
    (gain_sum, offset_sum): (&mut [f64], &mut [f64]),
) {
    let width = gain.len() as f64;
    let (mean, inverse) = statistics(input, epsilon);
    for ((x, g), (gain_sum, offset_sum)) in input.iter().zip(gradient).zip(gain_sum.iter_mut().zip(offset_sum)) {
        let g = g.to_f64();
        *gain_sum += g * ((x.to_f64() - mean) * inverse);
        *offset_sum += g;
    }
    let total = sum(gradient, |g, column| g * gain[column].to_f64()) / width;
    let product = sum(gradient, |g, column| {
        g * gain[column].to_f64() * ((input[column].to_f64() - mean) * inverse)
    }) / width;
    for ((out, x), (g, gain)) in out.iter_mut().zip(input).zip(gradient.iter().zip(gain)) {
        let normal = (x.to_f64() - mean) * inverse;
        *out = T::from_f64((g.to_f64() * gain.to_f64() - total - normal * product) * inverse);
    }
}

/// The gradients of input, gain and offset: with x̂ = (x − mean)/σ and h = g·gain, dx = (h − mean h − x̂·mean(h·x̂)) / σ.
fn backward<T: Element>(epsilon: f64, input: &[T], gain: &[T], gradient: &[T]) -> (Vec<T>, Vec<T>, Vec<T>) {
    let width = gain.len().max(1);
    let mut out = vec![T::zero(); input.len()];
    let sums: Vec<(Vec<f64>, Vec<f64>)> = out
        .par_chunks_mut(GROUP * width)
        .zip(input.par_chunks(GROUP * width).zip(gradient.par_chunks(GROUP * width)))
        .map(|(out, (input, gradient))| {
            let (mut gain_sum, mut offset_sum) = (vec![0.0; width], vec![0.0; width]);
            let rows = input.chunks(width).zip(gradient.chunks(width));
            for (out, (input, gradient)) in out.chunks_mut(width).zip(rows) {
                on_vectors(
                    #[inline(always)]
                    || backward_of_row(epsilon, (input, gain, gradient), out, (&mut gain_sum, &mut offset_sum)),
                );
            }
            (gain_sum, offset_sum)
        })
        .collect();
    let mut total = (vec![0.0; width], vec![0.0; width]);
    for (gain_sum, offset_sum) in sums {
        for column in 0..width {
            total.0[column] += gain_sum[column];
            total.1[column] += offset_sum[column];
        }
    }
    let cast = |values: Vec<f64>| values.into_iter().map(T::from_f64).collect();
    (out, cast(total.0), cast(total.1))
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "affect-layer-norm"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        gain: &CpuStorage,
        gain_layout: &Layout,
        offset: &CpuStorage,
        offset_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, width) = input_layout.shape().dims2()?;
        if width == 0 || gain_layout.dims() != [width] || offset_layout.dims() != [width] {
            candle_core::bail!("layer_norm: gain and offset need shape [{width}], which must not be empty")
        }
        let dtype = candle_core::backend::BackendStorage::dtype(input);
        for_dtype!(dtype, T => {
            let out = forward::<T>(
                self.epsilon,
                slice(input, input_layout)?,
                slice(gain, gain_layout)?,
                slice(offset, offset_layout)?,
            );
            Ok((<T as candle_core::WithDType>::to_cpu_storage_owned(out), input_layout.shape().clone()))
        })
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        first: &candle_core::CudaStorage,
        first_layout: &Layout,
        second: &candle_core::CudaStorage,
        second_layout: &Layout,
        third: &candle_core::CudaStorage,
        third_layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        let operands = ((first, first_layout), (second, second_layout), (third, third_layout));
        let (input, gain, offset) = operands;
        let (out, kept) = super::cuda::layer_norm(input, gain, offset, self.epsilon)?;
        *self.on_gpu.lock().map_err(|_| poisoned())? = Some(kept);
        Ok((out, first_layout.shape().clone()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        gain: &Tensor,
        offset: &Tensor,
        _out: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        #[cfg(feature = "cuda")]
        if let Some(kept) = &*self.on_gpu.lock().map_err(|_| poisoned())? {
            let given = super::cuda::layer_norm_gradient(input, gain, kept, gradient)?;
            return Ok((Some(given.0), give(gain, given.1)?, give(offset, given.2)?));
        }
        let device = input.device();
        for_dtype!(input.dtype(), T => {
            let (input_gradient, gain_gradient, offset_gradient) = with_slice::<T, _>(input, |input| {
                with_slice(gain, |gain| {
                    with_slice(gradient, |gradient| Ok(backward(self.epsilon, input, gain, gradient)))
                })
            })?;
            Ok((
                Some(Tensor::from_vec(input_gradient, input.dims(), device)?),
                Some(Tensor::from_vec(gain_gradient, gain.dims(), device)?),
                Some(Tensor::from_vec(offset_gradient, offset.dims(), device)?),
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::{check_gradients, random};
    use super::*;

    #[test]
    fn gradients_agree_with_finite_differences() {
        for (rows, width) in [(3, 5), (1, 2), (70, 3)] {
            check_gradients(
                &[random(&[rows, width], 1), random(&[width], 2), random(&[width], 3)],
                |inputs| layer_norm(&inputs[0], &inputs[1], &inputs[2], 1e-5),
            );
        }
    }
}
