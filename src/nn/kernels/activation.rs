//! Functions of single values, each with its derivative in one pass.
//!
//! Of Candle's, ReLU has gradient 1 at 0 (PyTorch: 0), GELU's two gradients have constants of six digits and NaN for large values, and
//! each takes about ten passes. Leaky ReLU there is a sum of two. NaN stays NaN in all of these.

use std::hint::select_unpredictable as select;
use std::mem::MaybeUninit;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::element::{Element, for_dtype, slice, with_slice, written};
use super::tape::apply1;
use crate::vector::on_vectors;

/// Elements that one task handles.
const CHUNK: usize = 1 << 14;

/// A function of one value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Function {
    /// max(0, x), with gradient 0 at 0.
    Relu,
    /// x above 0, `slope`·x elsewhere.
    LeakyRelu {
        slope: f64,
    },
    /// x above 0, `alpha`·(eˣ − 1) elsewhere.
    Elu {
        alpha: f64,
    },
    /// x·Φ(x), with the normal distribution's Φ (Hendrycks and Gimpel 2016).
    Gelu,
    /// Its approximation by a hyperbolic tangent.
    GeluTanh,
    Tanh,
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
}

/// Any shape → the same shape.
pub fn activation(input: &Tensor, function: Function) -> Result<Tensor> {
    apply1(&input.contiguous()?, Activation { function })
}

struct Activation {
    function: Function,
}

const SQRT_2_OVER_PI: f64 = 0.797_884_560_802_865_4;
const CUBIC: f64 = 0.044_715;

/// The normal distribution's Φ.
#[inline(always)]
fn distribution<T: Element>(x: T) -> T {
    T::from_f64(0.5) * (T::one() + (x * T::from_f64(std::f64::consts::FRAC_1_SQRT_2)).erf())
}

/// The argument of the hyperbolic tangent in GELU's approximation.
#[inline(always)]
fn gelu_inner<T: Element>(x: T) -> T {
    T::from_f64(SQRT_2_OVER_PI) * (x + T::from_f64(CUBIC) * x * x * x)
}

/// Some values. Each function has a loop of its own: with the choice within them they would not become vector instructions,
/// nor where a closure stays a call, since that is compiled for any machine.
#[inline(always)]
fn values<T: Element>(function: Function, out: &mut [MaybeUninit<T>], input: &[T]) {
    #[inline(always)]
    fn each<T: Element>(out: &mut [MaybeUninit<T>], input: &[T], value: impl Fn(T) -> T) {
        for (out, &x) in out.iter_mut().zip(input) {
            out.write(value(x));
        }
    }
    let (zero, one, half) = (T::zero(), T::one(), T::from_f64(0.5));
    match function {
        Function::Relu => each(
            out,
            input,
            #[inline(always)]
            |x| select(x < zero, zero, x),
        ),
        Function::LeakyRelu { slope } => {
            let slope = T::from_f64(slope);
            each(
                out,
                input,
                #[inline(always)]
                |x| select(x < zero, slope * x, x),
            );
        }
        Function::Elu { alpha } => {
            let alpha = T::from_f64(alpha);
            each(
                out,
                input,
                #[inline(always)]
                |x| select(x < zero, alpha * x.exp_m1(), x),
            );
        }
        Function::Gelu => each(
            out,
            input,
            #[inline(always)]
            |x| x * distribution(x),
        ),
        Function::GeluTanh => each(
            out,
            input,
            #[inline(always)]
            |x| half * x * (one + gelu_inner(x).tanh()),
        ),
        Function::Tanh => each(
            out,
            input,
            #[inline(always)]
            |x| x.tanh(),
        ),
        Function::Sigmoid => each(
            out,
            input,
            #[inline(always)]
            |x| x.sigmoid(),
        ),
    }
}

/// Some gradients times the derivative.
#[inline(always)]
fn derivatives<T: Element>(function: Function, out: &mut [MaybeUninit<T>], input: &[T], gradient: &[T]) {
    #[inline(always)]
    fn each<T: Element>(out: &mut [MaybeUninit<T>], input: &[T], gradient: &[T], value: impl Fn(T, T) -> T) {
        for (out, (&x, &g)) in out.iter_mut().zip(input.iter().zip(gradient)) {
            out.write(value(x, g));
        }
    }
    let (zero, one, half) = (T::zero(), T::one(), T::from_f64(0.5));
    match function {
        Function::Relu => each(
            out,
            input,
            gradient,
            #[inline(always)]
            |x, g| select(x > zero, g, zero),
        ),
        Function::LeakyRelu { slope } => {
            let slope = T::from_f64(slope);
            each(
                out,
                input,
                gradient,
                #[inline(always)]
                |x, g| select(x > zero, g, slope * g),
            );
        }
        Function::Elu { alpha } => {
            let alpha = T::from_f64(alpha);
            each(
                out,
                input,
                gradient,
                #[inline(always)]
                |x, g| select(x > zero, g, alpha * x.exp() * g),
            );
        }
        Function::Gelu => {
            let factor = T::from_f64(1.0 / std::f64::consts::TAU.sqrt());
            each(
                out,
                input,
                gradient,
                #[inline(always)]
                |x, g| {
                    let density = (zero - half * x * x).exp() * factor;
                    // 0 far out, where x may be infinite.
                    let slope = select(density > zero, x * density, zero);
                    (distribution(x) + slope) * g
                },
            );
        }
        Function::GeluTanh => {
            let (factor, cubic) = (T::from_f64(SQRT_2_OVER_PI), T::from_f64(3.0 * CUBIC));
            each(
                out,
                input,
                gradient,
                #[inline(always)]
                |x, g| {
                    let tanh = gelu_inner(x).tanh();
                    let rest = one - tanh * tanh;
                    let slope = half * x * rest * factor * (one + cubic * x * x);
                    (half * (one + tanh) + select(rest > zero, slope, zero)) * g
                },
            );
        }
        Function::Tanh => each(
            out,
            input,
            gradient,
            #[inline(always)]
            |x, g| {
                let value = x.tanh();
                g * (one - value * value)
            },
        ),
        Function::Sigmoid => each(
            out,
            input,
            gradient,
            #[inline(always)]
            |x, g| {
                let value = x.sigmoid();
                g * (value * (one - value))
            },
        ),
    }
}

#[allow(unsafe_code)]
fn forward<T: Element>(function: Function, input: &[T]) -> Vec<T> {
    // SAFETY: `values` writes as many places as there are inputs.
    unsafe {
        written(input.len(), CHUNK, |at, out| {
            let input = &input[at..][..out.len()];
            on_vectors(
                #[inline(always)]
                || values(function, out, input),
            );
        })
    }
}

#[allow(unsafe_code)]
fn backward<T: Element>(function: Function, input: &[T], gradient: &[T]) -> Vec<T> {
    // SAFETY: `derivatives` writes as many places as there are inputs and gradients.
    unsafe {
        written(gradient.len(), CHUNK, |at, out| {
            let (input, gradient) = (&input[at..][..out.len()], &gradient[at..][..out.len()]);
            on_vectors(
                #[inline(always)]
                || derivatives(function, out, input, gradient),
            );
        })
    }
}

impl CustomOp1 for Activation {
    fn name(&self) -> &'static str {
        "affect-activation"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let dtype = candle_core::backend::BackendStorage::dtype(storage);
        for_dtype!(dtype, T => {
            let out = forward::<T>(self.function, slice(storage, layout)?);
            Ok((<T as candle_core::WithDType>::to_cpu_storage_owned(out), layout.shape().clone()))
        })
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        storage: &candle_core::CudaStorage,
        layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        super::cuda::activation(self.function, storage, layout)
    }

    fn bwd(&self, input: &Tensor, _out: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        #[cfg(feature = "cuda")]
        if input.device().is_cuda() {
            return super::cuda::activation_gradient(self.function, input, gradient).map(Some);
        }
        for_dtype!(input.dtype(), T => {
            let values = with_slice::<T, _>(input, |input| {
                with_slice(gradient, |gradient| Ok(backward(self.function, input, gradient)))
            })?;
            Tensor::from_vec(values, input.dims(), input.device()).map(Some)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::{check_gradients, random};
    use super::*;
    use candle_core::{Device, Var};

    const ALL: [Function; 7] = [
        Function::Relu,
        Function::LeakyRelu { slope: 0.1 },
        Function::Elu { alpha: 0.7 },
        Function::Gelu,
        Function::GeluTanh,
        Function::Tanh,
        Function::Sigmoid,
    ];

    #[test]
    fn gradients_agree_with_finite_differences() {
        for function in ALL {
            check_gradients(&[random(&[3, 5], 1)], |inputs| activation(&inputs[0], function));
        }
    }

    #[test]
    fn the_gradient_of_relu_is_zero_at_zero() {
        let input = Var::new(&[-1.0f32, 0.0, 2.0], &Device::Cpu).unwrap();
        let out = activation(&input, Function::Relu).unwrap();
        assert_eq!(out.to_vec1::<f32>().unwrap(), [0.0, 0.0, 2.0]);
        let gradient = out.sum_all().unwrap().backward().unwrap();
        assert_eq!(gradient.get(&input).unwrap().to_vec1::<f32>().unwrap(), [0.0, 0.0, 1.0]);
    }

    #[test]
    fn far_values_stay_finite_and_nan_stays() {
        for function in ALL {
            let input = Var::new(&[-1e30f32, 1e30, f32::NAN], &Device::Cpu).unwrap();
            let out = activation(&input, function).unwrap();
            let gradient = out.sum_all().unwrap().backward().unwrap();
            let gradient = gradient.get(&input).unwrap().to_vec1::<f32>().unwrap();
            let out = out.to_vec1::<f32>().unwrap();
            assert!(
                out[..2].iter().chain(&gradient[..2]).all(|value| value.is_finite()),
                "{function:?}"
            );
            assert!(out[2].is_nan(), "{function:?}");
        }
    }
}
