//! max(0, x) with gradient 0 at 0, as in PyTorch (Candle's is 1 there). NaN stays NaN.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::element::{Element, for_dtype, slice, with_slice};

/// Elements that one task handles.
const CHUNK: usize = 1 << 14;

/// Any shape → the same shape.
pub fn relu(input: &Tensor) -> Result<Tensor> {
    input.contiguous()?.apply_op1(Relu)
}

struct Relu;

fn forward<T: Element>(input: &[T]) -> Vec<T> {
    let mut out = vec![T::zero(); input.len()];
    out.par_chunks_mut(CHUNK)
        .zip(input.par_chunks(CHUNK))
        .for_each(|(out, input)| {
            for (out, &input) in out.iter_mut().zip(input) {
                *out = if input < T::zero() { T::zero() } else { input };
            }
        });
    out
}

fn backward<T: Element>(out: &[T], gradient: &[T]) -> Vec<T> {
    let mut input = vec![T::zero(); gradient.len()];
    input
        .par_chunks_mut(CHUNK)
        .zip(out.par_chunks(CHUNK).zip(gradient.par_chunks(CHUNK)))
        .for_each(|(input, (out, gradient))| {
            for (input, (&out, &gradient)) in input.iter_mut().zip(out.iter().zip(gradient)) {
                *input = if out > T::zero() { gradient } else { T::zero() };
            }
        });
    input
}

impl CustomOp1 for Relu {
    fn name(&self) -> &'static str {
        "affect-relu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let dtype = candle_core::backend::BackendStorage::dtype(storage);
        for_dtype!(dtype, T => {
            let out = forward::<T>(slice(storage, layout)?);
            Ok((<T as candle_core::WithDType>::to_cpu_storage_owned(out), layout.shape().clone()))
        })
    }

    fn bwd(&self, _input: &Tensor, out: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        for_dtype!(out.dtype(), T => {
            let values = with_slice::<T, _>(out, |out| with_slice(gradient, |gradient| Ok(backward(out, gradient))))?;
            Tensor::from_vec(values, out.dims(), out.device()).map(Some)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::{check_gradients, random};
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn gradient_agrees_with_finite_differences_and_is_zero_at_zero() {
        check_gradients(&[random(&[3, 5], 1)], |inputs| relu(&inputs[0]));
        let input = Var::new(&[-1.0f32, 0.0, 2.0], &Device::Cpu).unwrap();
        let out = relu(&input).unwrap();
        assert_eq!(out.to_vec1::<f32>().unwrap(), [0.0, 0.0, 2.0]);
        let gradient = out.sum_all().unwrap().backward().unwrap();
        assert_eq!(gradient.get(&input).unwrap().to_vec1::<f32>().unwrap(), [0.0, 0.0, 1.0]);
    }
}
