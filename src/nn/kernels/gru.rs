//! The recurrence of a gated recurrent unit (Cho et al. 2014), as PyTorch's `GRU`: reset gate, update gate, candidate, in this
//! order.
//!
//! The input's share of the gates is computed for all frames at once before, by a matrix product; what is left is sequential in the
//! frames and parallel in the examples. As a chain of Candle's operations every frame would add a dozen nodes to the graph, and the
//! gradient of each frame's slice would be as large as the whole sequence.
//!
//! Examples are handled in groups of `GROUP`; gradients of the weights are summed within a group frame by frame, and then over
//! the groups in order.

use std::sync::Mutex;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::activation::sigmoid;
use super::element::{Element, for_dtype, slice, with_slice};
use super::matmul::{Matrix, multiply_add};

/// Examples that one task handles: part of the result's definition.
const GROUP: usize = 8;

/// Which way the frames are walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Forward,
    Backward,
}

/// `inputs` `[batch, frames, 3·units]` (the input's share of the gates, with its bias), `weight` `[3·units, units]` and `bias`
/// `[3·units]` of the recurrence → the states `[batch, frames, units]`, frame by frame as the input. The first state is 0.
///
/// r = σ(x_r + h_r), z = σ(x_z + h_z), n = tanh(x_n + r·h_n), h' = (1 − z)·n + z·h, with (h_r, h_z, h_n) = weight·h + bias.
pub fn gru(inputs: &Tensor, weight: &Tensor, bias: &Tensor, direction: Direction) -> Result<Tensor> {
    inputs.contiguous()?.apply_op3(
        &weight.contiguous()?,
        &bias.contiguous()?,
        Gru {
            direction,
            gates: Mutex::new(Vec::new()),
        },
    )
}

struct Gru {
    direction: Direction,
    /// r, z, n and h_n of every frame, `[batch, frames, 4·units]` as `f64` or `f32` values in `f64`; kept for the backward pass.
    gates: Mutex<Vec<f64>>,
}

#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    frames: usize,
    units: usize,
    direction: Direction,
}

impl Sizes {
    fn new(inputs: &[usize], weight: &[usize], bias: &[usize], direction: Direction) -> Result<Self> {
        let (&[batch, frames, gates], &[rows, units]) = (inputs, weight) else {
            candle_core::bail!(
                "gru takes [batch, frames, 3·units] and a weight of 2 dimensions, not {inputs:?}, {weight:?}"
            )
        };
        if units == 0 || frames == 0 || gates != 3 * units || rows != gates || bias != [gates] {
            candle_core::bail!("gru: inputs {inputs:?}, weight {weight:?} and bias {bias:?} don't fit each other")
        }
        Ok(Self {
            batch,
            frames,
            units,
            direction,
        })
    }

    /// The frames in the order of the walk, each with the one before it.
    fn walk(self) -> Vec<(usize, Option<usize>)> {
        let mut order: Vec<usize> = (0..self.frames).collect();
        if self.direction == Direction::Backward {
            order.reverse();
        }
        let before = std::iter::once(None).chain(order.clone().into_iter().map(Some));
        order.into_iter().zip(before).collect()
    }
}

fn forward<T: Element>(sizes: Sizes, inputs: &[T], weight: &[T], bias: &[T]) -> (Vec<T>, Vec<f64>) {
    let Sizes {
        batch, frames, units, ..
    } = sizes;
    let mut out = vec![T::zero(); batch * frames * units];
    let mut gates = vec![0.0f64; batch * frames * 4 * units];
    out.par_chunks_mut(GROUP * frames * units)
        .zip(gates.par_chunks_mut(GROUP * frames * 4 * units))
        .zip(inputs.par_chunks(GROUP * frames * 3 * units))
        .for_each(|((out, gates), inputs)| {
            let examples = out.len() / (frames * units);
            let mut state = vec![T::zero(); examples * units];
            let mut recurrent = vec![T::zero(); examples * 3 * units];
            for (frame, _) in sizes.walk() {
                for row in recurrent.chunks_mut(3 * units) {
                    row.copy_from_slice(bias);
                }
                multiply_add(
                    Matrix::new(&state, examples, units),
                    Matrix::new(weight, 3 * units, units).transposed(),
                    &mut recurrent,
                );
                for example in 0..examples {
                    let at = example * frames + frame;
                    let x = &inputs[at * 3 * units..][..3 * units];
                    let h = &recurrent[example * 3 * units..][..3 * units];
                    let kept = &mut gates[at * 4 * units..][..4 * units];
                    for unit in 0..units {
                        let of = |gate: usize| (x[gate * units + unit].to_f64(), h[gate * units + unit].to_f64());
                        let ((xr, hr), (xz, hz), (xn, hn)) = (of(0), of(1), of(2));
                        let reset = sigmoid(xr + hr);
                        let update = sigmoid(xz + hz);
                        let candidate = (xn + reset * hn).tanh();
                        let slot = &mut state[example * units + unit];
                        *slot = T::from_f64((1.0 - update) * candidate + update * slot.to_f64());
                        out[at * units + unit] = *slot;
                        kept[unit] = reset;
                        kept[units + unit] = update;
                        kept[2 * units + unit] = candidate;
                        kept[3 * units + unit] = hn;
                    }
                }
            }
        });
    (out, gates)
}

struct Gradients<T> {
    inputs: Vec<T>,
    weight: Vec<T>,
    bias: Vec<T>,
}

fn backward<T: Element>(sizes: Sizes, weight: &[T], out: &[T], gates: &[f64], gradient: &[T]) -> Gradients<T> {
    let Sizes {
        batch, frames, units, ..
    } = sizes;
    let mut inputs = vec![T::zero(); batch * frames * 3 * units];
    let sums: Vec<(Vec<T>, Vec<f64>)> = inputs
        .par_chunks_mut(GROUP * frames * 3 * units)
        .zip(out.par_chunks(GROUP * frames * units))
        .zip(gates.par_chunks(GROUP * frames * 4 * units))
        .zip(gradient.par_chunks(GROUP * frames * units))
        .map(|(((inputs, out), gates), gradient)| {
            let examples = out.len() / (frames * units);
            let mut weight_sum = vec![T::zero(); 3 * units * units];
            let mut bias_sum = vec![0.0f64; 3 * units];
            let mut state = vec![T::zero(); examples * units];
            let mut state_gradient = vec![T::zero(); examples * units];
            let mut recurrent = vec![T::zero(); examples * 3 * units];
            for (frame, before) in sizes.walk().into_iter().rev() {
                for example in 0..examples {
                    let at = example * frames + frame;
                    let kept = &gates[at * 4 * units..][..4 * units];
                    for unit in 0..units {
                        let cell = example * units + unit;
                        let previous =
                            before.map_or(0.0, |before| out[(example * frames + before) * units + unit].to_f64());
                        let [reset, update, candidate, hn] = [0, 1, 2, 3].map(|gate| kept[gate * units + unit]);
                        let g = gradient[at * units + unit].to_f64() + state_gradient[cell].to_f64();
                        let to_candidate = g * (1.0 - update) * (1.0 - candidate * candidate);
                        let to_update = g * (previous - candidate) * update * (1.0 - update);
                        let to_reset = to_candidate * hn * reset * (1.0 - reset);
                        let row = &mut inputs[at * 3 * units..][..3 * units];
                        row[unit] = T::from_f64(to_reset);
                        row[units + unit] = T::from_f64(to_update);
                        row[2 * units + unit] = T::from_f64(to_candidate);
                        let row = &mut recurrent[example * 3 * units..][..3 * units];
                        for (gate, value) in [to_reset, to_update, to_candidate * reset].into_iter().enumerate() {
                            row[gate * units + unit] = T::from_f64(value);
                            bias_sum[gate * units + unit] += value;
                        }
                        state_gradient[cell] = T::from_f64(g * update);
                        state[cell] = T::from_f64(previous);
                    }
                }
                let gradients = Matrix::new(&recurrent, examples, 3 * units);
                multiply_add(gradients, Matrix::new(weight, 3 * units, units), &mut state_gradient);
                if before.is_some() {
                    multiply_add(
                        gradients.transposed(),
                        Matrix::new(&state, examples, units),
                        &mut weight_sum,
                    );
                }
            }
            (weight_sum, bias_sum)
        })
        .collect();
    let mut weight = vec![T::zero(); 3 * units * units];
    let mut bias = vec![0.0f64; 3 * units];
    for (weight_sum, bias_sum) in sums {
        weight
            .iter_mut()
            .zip(weight_sum)
            .for_each(|(total, part)| *total += part);
        bias.iter_mut().zip(bias_sum).for_each(|(total, part)| *total += part);
    }
    Gradients {
        inputs,
        weight,
        bias: bias.into_iter().map(T::from_f64).collect(),
    }
}

impl CustomOp3 for Gru {
    fn name(&self) -> &'static str {
        "affect-gru"
    }

    fn cpu_fwd(
        &self,
        inputs: &CpuStorage,
        inputs_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let sizes = Sizes::new(
            inputs_layout.dims(),
            weight_layout.dims(),
            bias_layout.dims(),
            self.direction,
        )?;
        let dtype = candle_core::backend::BackendStorage::dtype(inputs);
        for_dtype!(dtype, T => {
            let (out, gates) = forward::<T>(
                sizes,
                slice(inputs, inputs_layout)?,
                slice(weight, weight_layout)?,
                slice(bias, bias_layout)?,
            );
            *self.gates.lock().map_err(|_| poisoned())? = gates;
            Ok((
                <T as candle_core::WithDType>::to_cpu_storage_owned(out),
                Shape::from((sizes.batch, sizes.frames, sizes.units)),
            ))
        })
    }

    fn bwd(
        &self,
        inputs: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        out: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let sizes = Sizes::new(inputs.dims(), weight.dims(), bias.dims(), self.direction)?;
        let gates = self.gates.lock().map_err(|_| poisoned())?;
        let device = inputs.device();
        for_dtype!(inputs.dtype(), T => {
            let gradients = with_slice::<T, _>(weight, |weight| {
                with_slice(out, |out| {
                    with_slice(gradient, |gradient| Ok(backward(sizes, weight, out, &gates, gradient)))
                })
            })?;
            Ok((
                Some(Tensor::from_vec(gradients.inputs, inputs.dims(), device)?),
                Some(Tensor::from_vec(gradients.weight, weight.dims(), device)?),
                Some(Tensor::from_vec(gradients.bias, bias.dims(), device)?),
            ))
        })
    }
}

fn poisoned() -> candle_core::Error {
    candle_core::Error::Msg("a pass of a gru failed before".into())
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::{check_gradients, random};
    use super::*;

    #[test]
    fn gradients_agree_with_finite_differences() {
        for (batch, frames, units) in [(2, 4, 3), (10, 2, 2), (1, 1, 1)] {
            for direction in [Direction::Forward, Direction::Backward] {
                check_gradients(
                    &[
                        random(&[batch, frames, 3 * units], 1),
                        random(&[3 * units, units], 2),
                        random(&[3 * units], 3),
                    ],
                    |inputs| gru(&inputs[0], &inputs[1], &inputs[2], direction),
                );
            }
        }
    }

    #[test]
    fn walking_backward_is_walking_forward_over_reversed_frames() {
        let (inputs, weight, bias) = (random(&[3, 5, 6], 1), random(&[6, 2], 2), random(&[6], 3));
        let reversed = inputs.flip(&[1]).unwrap();
        let forward = gru(&reversed, &weight, &bias, Direction::Forward)
            .unwrap()
            .flip(&[1])
            .unwrap();
        let backward = gru(&inputs, &weight, &bias, Direction::Backward).unwrap();
        assert_eq!(forward.to_vec3::<f64>().unwrap(), backward.to_vec3::<f64>().unwrap());
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        let (weight, bias) = (random(&[6, 2], 2), random(&[6], 3));
        for shape in [vec![1, 3, 5], vec![1, 0, 6], vec![3, 6]] {
            assert!(gru(&random(&shape, 1), &weight, &bias, Direction::Forward).is_err());
        }
    }
}
