//! Batch normalisation while training (Ioffe and Szegedy 2015; PyTorch's `BatchNorm2d`): each channel is brought to mean 0
//! and variance 1 over batch, rows and columns, then scaled by gamma and shifted by beta.
//!
//! Sums run in `f64`, plane by plane in order, one channel to a thread.

use std::sync::{Arc, Mutex};

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

#[cfg(feature = "cuda")]
use super::direct::give;
use super::element::{Element, for_dtype, slice, sum, sum_and_moment, with_slice};
use super::tape::apply3;
use crate::vector::on_vectors;

/// What a batch was normalised with, per channel; running averages are made of it.
#[derive(Debug, Clone, Default)]
pub struct BatchStatistics {
    pub mean: Vec<f64>,
    /// Population variance (divided by the count).
    pub variance: Vec<f64>,
    /// Values per channel.
    pub count: usize,
    /// Where they are on a GPU: all of the others are empty then.
    pub on_gpu: Option<OnGpu>,
}

/// Statistics that stay on the GPU.
#[cfg(feature = "cuda")]
pub type OnGpu = super::cuda::Statistics;
/// This build has no GPU.
#[cfg(not(feature = "cuda"))]
pub type OnGpu = std::convert::Infallible;

/// `input` `[batch, channels, rows, columns]`, `gamma` and `beta` `[channels]` → the same shape as `input`, and the batch's
/// statistics.
pub fn batch_norm(input: &Tensor, gamma: &Tensor, beta: &Tensor, epsilon: f64) -> Result<(Tensor, BatchStatistics)> {
    let statistics = Arc::new(Mutex::new(BatchStatistics::default()));
    let operator = BatchNorm {
        epsilon,
        statistics: Arc::clone(&statistics),
    };
    let out = apply3(
        &input.contiguous()?,
        &gamma.contiguous()?,
        &beta.contiguous()?,
        operator,
    )?;
    let statistics = statistics.lock().map_err(|_| poisoned())?.clone();
    Ok((out, statistics))
}

struct BatchNorm {
    epsilon: f64,
    statistics: Arc<Mutex<BatchStatistics>>,
}

fn poisoned() -> candle_core::Error {
    candle_core::Error::Msg("a batch norm pass failed before".into())
}

/// `[batch, channels, plane]`.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    channels: usize,
    plane: usize,
}

impl Sizes {
    fn new(dims: &[usize]) -> Result<Self> {
        let &[batch, channels, rows, columns] = dims else {
            candle_core::bail!("batch_norm takes [batch, channels, rows, columns], not {dims:?}")
        };
        Ok(Self {
            batch,
            channels,
            plane: rows * columns,
        })
    }

    /// The planes of one channel, image after image.
    fn planes<'a, T>(&self, values: &'a [T], channel: usize) -> impl Iterator<Item = &'a [T]> + use<'a, T> {
        values
            .chunks(self.plane.max(1))
            .skip(channel)
            .step_by(self.channels.max(1))
    }
}

fn statistics<T: Element>(sizes: Sizes, input: &[T]) -> BatchStatistics {
    let count = sizes.batch * sizes.plane;
    let (mean, variance) = (0..sizes.channels)
        .into_par_iter()
        .map(|channel| {
            on_vectors(
                #[inline(always)]
                || {
                    let mut total = 0.0;
                    for plane in sizes.planes(input, channel) {
                        total += sum(plane, |value, _| value);
                    }
                    let mean = total / count as f64;
                    let mut squares = 0.0;
                    for plane in sizes.planes(input, channel) {
                        squares += sum(plane, |value, _| (value - mean) * (value - mean));
                    }
                    (mean, squares / count as f64)
                },
            )
        })
        .unzip();
    BatchStatistics {
        mean,
        variance,
        count,
        on_gpu: None,
    }
}

fn forward<T: Element>(
    sizes: Sizes,
    statistics: &BatchStatistics,
    epsilon: f64,
    input: &[T],
    gamma: &[T],
    beta: &[T],
) -> Vec<T> {
    let mut out = vec![T::zero(); input.len()];
    out.par_chunks_mut(sizes.plane.max(1))
        .zip(input.par_chunks(sizes.plane.max(1)))
        .enumerate()
        .for_each(|(index, (out, input))| {
            let channel = index % sizes.channels;
            let scale = gamma[channel].to_f64() / (statistics.variance[channel] + epsilon).sqrt();
            let shift = T::from_f64(beta[channel].to_f64() - statistics.mean[channel] * scale);
            let scale = T::from_f64(scale);
            on_vectors(
                #[inline(always)]
                || {
                    for (out, &input) in out.iter_mut().zip(input) {
                        *out = input * scale + shift;
                    }
                },
            );
        });
    out
}

/// The gradients of input, gamma and beta.
///
/// With x̂ = (x − mean) / σ and n values per channel: dβ = Σg, dγ = Σg·x̂, dx = γ/σ · (g − dβ/n − x̂·dγ/n).
fn backward<T: Element>(
    sizes: Sizes,
    statistics: &BatchStatistics,
    epsilon: f64,
    input: &[T],
    gamma: &[T],
    gradient: &[T],
) -> (Vec<T>, Vec<T>, Vec<T>) {
    let count = statistics.count as f64;
    let inverse = |channel: usize| 1.0 / (statistics.variance[channel] + epsilon).sqrt();
    let sums: Vec<(f64, f64)> = (0..sizes.channels)
        .into_par_iter()
        .map(|channel| {
            let (mean, inverse) = (statistics.mean[channel], inverse(channel));
            on_vectors(
                #[inline(always)]
                || {
                    let mut totals = [0.0; 2];
                    for (input, gradient) in sizes.planes(input, channel).zip(sizes.planes(gradient, channel)) {
                        let sums = sum_and_moment(
                            gradient,
                            input,
                            mean,
                            #[inline(always)]
                            |_, gradient| gradient,
                        );
                        totals = [totals[0] + sums[0], totals[1] + sums[1]];
                    }
                    (totals[0], totals[1] * inverse)
                },
            )
        })
        .collect();
    let mut input_gradient = vec![T::zero(); input.len()];
    input_gradient
        .par_chunks_mut(sizes.plane.max(1))
        .zip(
            input
                .par_chunks(sizes.plane.max(1))
                .zip(gradient.par_chunks(sizes.plane.max(1))),
        )
        .enumerate()
        .for_each(|(index, (out, (input, gradient)))| {
            let channel = index % sizes.channels;
            let (beta_sum, gamma_sum) = sums[channel];
            let inverse = inverse(channel);
            // dx = a·g + b·x + c
            let scale = gamma[channel].to_f64() * inverse;
            let slope = -scale * gamma_sum / count * inverse;
            let offset = -scale * beta_sum / count - slope * statistics.mean[channel];
            let (scale, slope, offset) = (T::from_f64(scale), T::from_f64(slope), T::from_f64(offset));
            on_vectors(
                #[inline(always)]
                || {
                    for (out, (&input, &gradient)) in out.iter_mut().zip(input.iter().zip(gradient)) {
                        *out = scale * gradient + slope * input + offset;
                    }
                },
            );
        });
    let gamma_gradient = sums.iter().map(|sums| T::from_f64(sums.1)).collect();
    let beta_gradient = sums.iter().map(|sums| T::from_f64(sums.0)).collect();
    (input_gradient, gamma_gradient, beta_gradient)
}

impl CustomOp3 for BatchNorm {
    fn name(&self) -> &'static str {
        "affect-batch-norm"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        gamma: &CpuStorage,
        gamma_layout: &Layout,
        beta: &CpuStorage,
        beta_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let sizes = Sizes::new(input_layout.dims())?;
        if gamma_layout.dims() != [sizes.channels] || beta_layout.dims() != [sizes.channels] {
            candle_core::bail!("batch_norm: gamma and beta need shape [{}]", sizes.channels)
        }
        let dtype = candle_core::backend::BackendStorage::dtype(input);
        for_dtype!(dtype, T => {
            let values = slice::<T>(input, input_layout)?;
            let statistics = statistics(sizes, values);
            let out = forward(sizes, &statistics, self.epsilon, values, slice(gamma, gamma_layout)?, slice(beta, beta_layout)?);
            *self.statistics.lock().map_err(|_| poisoned())? = statistics;
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
        let sizes = Sizes::new(first_layout.dims())?;
        if second_layout.dims() != [sizes.channels] || third_layout.dims() != [sizes.channels] {
            candle_core::bail!("batch_norm: gamma and beta need shape [{}]", sizes.channels)
        }
        let (input, gamma, beta) = operands;
        let (out, statistics) = super::cuda::batch_norm(input, gamma, beta, self.epsilon)?;
        *self.statistics.lock().map_err(|_| poisoned())? = BatchStatistics {
            on_gpu: Some(statistics),
            ..BatchStatistics::default()
        };
        Ok((out, first_layout.shape().clone()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        gamma: &Tensor,
        #[cfg_attr(not(feature = "cuda"), allow(unused_variables))] beta: &Tensor,
        _out: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let sizes = Sizes::new(input.dims())?;
        let statistics = self.statistics.lock().map_err(|_| poisoned())?;
        #[cfg(feature = "cuda")]
        if let Some(statistics) = &statistics.on_gpu {
            let given = super::cuda::batch_norm_gradient(input, gamma, statistics, gradient)?;
            return Ok((Some(given.0), give(gamma, given.1)?, give(beta, given.2)?));
        }
        let device = input.device();
        for_dtype!(input.dtype(), T => {
            let (input_gradient, gamma_gradient, beta_gradient) = with_slice::<T, _>(input, |input| {
                with_slice(gamma, |gamma| {
                    with_slice(gradient, |gradient| {
                        Ok(backward(sizes, &statistics, self.epsilon, input, gamma, gradient))
                    })
                })
            })?;
            Ok((
                Some(Tensor::from_vec(input_gradient, input.dims(), device)?),
                Some(Tensor::from_vec(gamma_gradient, sizes.channels, device)?),
                Some(Tensor::from_vec(beta_gradient, sizes.channels, device)?),
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
        for shape in [[3, 2, 4, 5], [2, 3, 1, 1], [1, 1, 3, 9]] {
            check_gradients(
                &[random(&shape, 1), random(&shape[1..2], 2), random(&shape[1..2], 3)],
                |inputs| batch_norm(&inputs[0], &inputs[1], &inputs[2], 1e-5).map(|(out, _)| out),
            );
        }
    }

    #[test]
    fn the_output_has_mean_beta_and_deviation_gamma() {
        let input = random(&[4, 2, 3, 5], 1);
        let (gamma, beta) = (random(&[2], 2), random(&[2], 3));
        let (out, statistics) = batch_norm(&input, &gamma, &beta, 0.0).unwrap();
        assert_eq!(statistics.count, 60);
        let channel = out
            .narrow(1, 1, 1)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f64>()
            .unwrap();
        let mean = channel.iter().sum::<f64>() / 60.0;
        let deviation = (channel.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 60.0).sqrt();
        let expected = |tensor: &Tensor| tensor.to_vec1::<f64>().unwrap()[1];
        assert!((mean - expected(&beta)).abs() < 1e-12 && (deviation - expected(&gamma).abs()).abs() < 1e-12);
    }
}
