//! Functions of single values, each with its derivative in one pass.
//!
//! Of Candle's, ReLU has gradient 1 at 0 (PyTorch: 0), GELU's two gradients have constants of six digits and NaN for large values, and
//! each takes about ten passes. Leaky ReLU there is a sum of two. NaN stays NaN in all of these.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::element::{Element, for_dtype, slice, with_slice};
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
    input.contiguous()?.apply_op1(Activation { function })
}

struct Activation {
    function: Function,
}

const SQRT_2_OVER_PI: f64 = 0.797_884_560_802_865_4;
const CUBIC: f64 = 0.044_715;

impl Function {
    fn value(self, x: f64) -> f64 {
        match self {
            Self::Relu => {
                if x < 0.0 {
                    0.0
                } else {
                    x
                }
            }
            Self::LeakyRelu { slope } => {
                if x < 0.0 {
                    slope * x
                } else {
                    x
                }
            }
            Self::Elu { alpha } => {
                if x < 0.0 {
                    alpha * x.exp_m1()
                } else {
                    x
                }
            }
            Self::Gelu => x * normal_distribution(x),
            Self::GeluTanh => 0.5 * x * (1.0 + gelu_inner(x).tanh()),
            Self::Tanh => x.tanh(),
            Self::Sigmoid => sigmoid(x),
        }
    }

    /// At `x`.
    fn derivative(self, x: f64) -> f64 {
        match self {
            Self::Relu => f64::from(u8::from(x > 0.0)),
            Self::LeakyRelu { slope } => {
                if x > 0.0 {
                    1.0
                } else {
                    slope
                }
            }
            Self::Elu { alpha } => {
                if x > 0.0 {
                    1.0
                } else {
                    alpha * x.exp()
                }
            }
            Self::Gelu => {
                let density = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
                // 0 far out, where x may be infinite.
                let slope = if density > 0.0 { x * density } else { 0.0 };
                normal_distribution(x) + slope
            }
            Self::GeluTanh => {
                let tanh = gelu_inner(x).tanh();
                let rest = 1.0 - tanh * tanh;
                let slope = if rest > 0.0 {
                    0.5 * x * rest * SQRT_2_OVER_PI * (1.0 + 3.0 * CUBIC * x * x)
                } else {
                    0.0
                };
                0.5 * (1.0 + tanh) + slope
            }
            Self::Tanh => 1.0 - x.tanh().powi(2),
            Self::Sigmoid => sigmoid(x) * (1.0 - sigmoid(x)),
        }
    }
}

fn normal_distribution(x: f64) -> f64 {
    0.5 * (1.0 + candle_core::cpu::erf::erf_f64(x * std::f64::consts::FRAC_1_SQRT_2))
}

fn gelu_inner(x: f64) -> f64 {
    SQRT_2_OVER_PI * (x + CUBIC * x * x * x)
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Some values. What is not on vectors goes by way of `f64`.
#[inline(always)]
fn values<T: Element>(function: Function, out: &mut [T], input: &[T]) {
    let pairs = out.iter_mut().zip(input);
    match function {
        Function::Relu => pairs.for_each(|(out, &x)| *out = if x < T::zero() { T::zero() } else { x }),
        Function::LeakyRelu { slope } => {
            let slope = T::from_f64(slope);
            pairs.for_each(|(out, &x)| *out = if x < T::zero() { slope * x } else { x });
        }
        Function::Tanh => pairs.for_each(|(out, &x)| *out = x.tanh()),
        Function::Sigmoid => pairs.for_each(|(out, &x)| *out = x.sigmoid()),
        Function::Elu { .. } | Function::Gelu | Function::GeluTanh => {
            pairs.for_each(|(out, &x)| *out = T::from_f64(function.value(x.to_f64())));
        }
    }
}

/// Some gradients times the derivative.
#[inline(always)]
fn derivatives<T: Element>(function: Function, out: &mut [T], input: &[T], gradient: &[T]) {
    let triples = out.iter_mut().zip(input.iter().zip(gradient));
    match function {
        Function::Relu => triples.for_each(|(out, (&x, &g))| *out = if x > T::zero() { g } else { T::zero() }),
        Function::LeakyRelu { slope } => {
            let slope = T::from_f64(slope);
            triples.for_each(|(out, (&x, &g))| *out = if x > T::zero() { g } else { slope * g });
        }
        Function::Tanh => triples.for_each(|(out, (&x, &g))| {
            let value = x.tanh();
            *out = g * (T::one() - value * value);
        }),
        Function::Sigmoid => triples.for_each(|(out, (&x, &g))| {
            let value = x.sigmoid();
            *out = g * (value * (T::one() - value));
        }),
        Function::Elu { .. } | Function::Gelu | Function::GeluTanh => {
            triples.for_each(|(out, (&x, &g))| *out = T::from_f64(g.to_f64() * function.derivative(x.to_f64())));
        }
    }
}

fn forward<T: Element>(function: Function, input: &[T]) -> Vec<T> {
    let mut out = vec![T::zero(); input.len()];
    out.par_chunks_mut(CHUNK)
        .zip(input.par_chunks(CHUNK))
        .for_each(|(out, input)| {
            on_vectors(
                #[inline(always)]
                || values(function, out, input),
            );
        });
    out
}

fn backward<T: Element>(function: Function, input: &[T], gradient: &[T]) -> Vec<T> {
    let mut out = vec![T::zero(); gradient.len()];
    out.par_chunks_mut(CHUNK)
        .zip(input.par_chunks(CHUNK).zip(gradient.par_chunks(CHUNK)))
        .for_each(|(out, (input, gradient))| {
            on_vectors(
                #[inline(always)]
                || derivatives(function, out, input, gradient),
            );
        });
    out
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

    fn bwd(&self, input: &Tensor, _out: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
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
