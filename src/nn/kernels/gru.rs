//! The recurrence of a gated recurrent unit (Cho et al. 2014), as PyTorch's `GRU`: reset gate, update gate, candidate, in this
//! order.
//!
//! The input's share of the gates is computed for all frames at once before, by a matrix product; what is left is sequential in the
//! frames and parallel in the examples. As a chain of Candle's operations every frame would add a dozen nodes to the graph, and the
//! gradient of each frame's slice would be as large as the whole sequence.
//!
//! Examples are handled `LANES` side by side: each number is an array of one value for each example, and loops over such arrays
//! become vector instructions. The gradients of the weights are one matrix product for each group of examples, then summed in the
//! order of the groups.

use std::sync::Mutex;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

#[cfg(feature = "cuda")]
use super::direct::give;
use super::element::{Element, for_dtype, slice, with_slice};
use super::matmul::{Matrix, multiply_add};
use super::tape::{self, apply3};
use crate::vector::on_vectors;

/// Examples that one task handles: part of the result's definition.
const LANES: usize = 8;

/// One value of each example of a group. Those beyond the last example are of no meaning.
type Lanes<T> = [T; LANES];

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
    let operator = Gru {
        direction,
        gates: Mutex::new(None),
        #[cfg(feature = "cuda")]
        on_gpu: Mutex::new(None),
    };
    apply3(
        &inputs.contiguous()?,
        &weight.contiguous()?,
        &bias.contiguous()?,
        operator,
    )
}

/// [`gru`] of two recurrences over the same frames, the first forward and the second backward → `[batch, frames, 2·units]`: the
/// states of the one, then those of the other.
pub fn gru_both_ways(inputs: [&Tensor; 2], weights: [&Tensor; 2], biases: [&Tensor; 2]) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if let Some(out) = super::cuda::gru_both_ways(inputs, weights, biases)? {
        return Ok(out);
    }
    let forward = gru(inputs[0], weights[0], biases[0], Direction::Forward)?;
    let backward = gru(inputs[1], weights[1], biases[1], Direction::Backward)?;
    tape::cat(&[forward, backward], 2)
}

struct Gru {
    direction: Direction,
    /// r, z, n and h_n of every unit, `[groups, frames, 4, units, LANES]`; kept for the backward pass.
    gates: Mutex<Option<CpuStorage>>,
    #[cfg(feature = "cuda")]
    on_gpu: Mutex<Option<super::cuda::Gates>>,
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

    #[cfg(feature = "cuda")]
    fn on_gpu(self) -> super::cuda::RecurrenceSizes {
        super::cuda::RecurrenceSizes {
            batch: self.batch,
            frames: self.frames,
            units: self.units,
        }
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

impl Sizes {
    fn groups(self) -> usize {
        self.batch.div_ceil(LANES)
    }

    /// Lanes that a group keeps.
    fn kept(self) -> usize {
        self.frames * 4 * self.units
    }
}

/// `out[row] = start(row) + Σ weights[row][column] · values[column]`, each row in the order of its columns.
#[inline(always)]
fn rows_times<T: Element>(weights: &[T], values: &[Lanes<T>], out: &mut [Lanes<T>], start: impl Fn(usize) -> Lanes<T>) {
    const ROWS: usize = 4;
    let columns = values.len();
    let (fours, rest) = out.as_chunks_mut::<ROWS>();
    let first = fours.len() * ROWS;
    for (index, four) in fours.iter_mut().enumerate() {
        let row = index * ROWS;
        let weights: [&[T]; ROWS] = std::array::from_fn(|r| &weights[(row + r) * columns..][..columns]);
        let mut sums: [Lanes<T>; ROWS] = std::array::from_fn(|r| start(row + r));
        for (column, values) in values.iter().enumerate() {
            for (sums, weights) in sums.iter_mut().zip(weights) {
                let weight = weights[column];
                for (sum, &value) in sums.iter_mut().zip(values) {
                    *sum += weight * value;
                }
            }
        }
        *four = sums;
    }
    for (index, out) in rest.iter_mut().enumerate() {
        let mut sums = start(first + index);
        for (&weight, values) in weights[(first + index) * columns..][..columns].iter().zip(values) {
            for (sum, &value) in sums.iter_mut().zip(values) {
                *sum += weight * value;
            }
        }
        *out = sums;
    }
}

/// A row of each example, side by side.
#[inline(always)]
fn gather<'a, T: Element>(target: &mut [Lanes<T>], row: impl Fn(usize) -> &'a [T], examples: usize) {
    for example in 0..examples {
        for (lanes, &value) in target.iter_mut().zip(row(example)) {
            lanes[example] = value;
        }
    }
}

#[inline(always)]
fn scatter<T: Element>(row: &mut [T], lanes: &[Lanes<T>], example: usize) {
    for (value, lanes) in row.iter_mut().zip(lanes) {
        *value = lanes[example];
    }
}

/// The states of a group's examples, and what is kept of them.
#[inline(always)]
fn group_forward<T: Element>(
    sizes: Sizes,
    inputs: &[T],
    (weight, bias): (&[T], &[T]),
    out: &mut [T],
    kept: &mut [Lanes<T>],
) {
    let Sizes { frames, units, .. } = sizes;
    let examples = out.len() / (frames * units);
    let mut state = vec![[T::zero(); LANES]; units];
    let mut input = vec![[T::zero(); LANES]; 3 * units];
    let mut recurrent = vec![[T::zero(); LANES]; 3 * units];
    for (frame, _) in sizes.walk() {
        let row = |example: usize| &inputs[(example * frames + frame) * 3 * units..][..3 * units];
        gather(&mut input, row, examples);
        rows_times(weight, &state, &mut recurrent, |gate| [bias[gate]; LANES]);
        let ((xr, rest), (hr, others)) = (input.split_at(units), recurrent.split_at(units));
        let ((xz, xn), (hz, hn)) = (rest.split_at(units), others.split_at(units));
        let kept = &mut kept[frame * 4 * units..][..4 * units];
        let (resets, kept) = kept.split_at_mut(units);
        let (updates, kept) = kept.split_at_mut(units);
        let (candidates, states) = kept.split_at_mut(units);
        states.copy_from_slice(hn);
        for unit in 0..units {
            for lane in 0..LANES {
                let reset = (xr[unit][lane] + hr[unit][lane]).sigmoid();
                let update = (xz[unit][lane] + hz[unit][lane]).sigmoid();
                let candidate = (xn[unit][lane] + reset * hn[unit][lane]).tanh();
                let before = state[unit][lane];
                state[unit][lane] = (T::one() - update) * candidate + update * before;
                resets[unit][lane] = reset;
                updates[unit][lane] = update;
                candidates[unit][lane] = candidate;
            }
        }
        for example in 0..examples {
            let row = &mut out[(example * frames + frame) * units..][..units];
            scatter(row, &state, example);
        }
    }
}

fn forward<T: Element>(sizes: Sizes, inputs: &[T], weight: &[T], bias: &[T]) -> (Vec<T>, Vec<T>) {
    let Sizes {
        batch, frames, units, ..
    } = sizes;
    let mut out = vec![T::zero(); batch * frames * units];
    let mut kept = vec![T::zero(); sizes.groups() * sizes.kept() * LANES];
    out.par_chunks_mut(LANES * frames * units)
        .zip(kept.par_chunks_mut(sizes.kept() * LANES))
        .zip(inputs.par_chunks(LANES * frames * 3 * units))
        .for_each(|((out, kept), inputs)| {
            on_vectors(
                #[inline(always)]
                || group_forward(sizes, inputs, (weight, bias), out, kept.as_chunks_mut().0),
            );
        });
    (out, kept)
}

struct Gradients<T> {
    inputs: Vec<T>,
    weight: Vec<T>,
    bias: Vec<T>,
}

/// The gradient of a group's inputs; in `recurrent`, alike, of what the recurrence adds to them; and its sum.
#[inline(always)]
fn group_backward<T: Element>(
    sizes: Sizes,
    transposed: &[T],
    (out, kept, gradient): (&[T], &[Lanes<T>], &[T]),
    (inputs, recurrent): (&mut [T], &mut [T]),
) -> Vec<f64> {
    let Sizes { frames, units, .. } = sizes;
    let examples = out.len() / (frames * units);
    let lanes = |count: usize| vec![[T::zero(); LANES]; count];
    let (mut given, mut previous, mut state) = (lanes(units), lanes(units), lanes(units));
    let (mut to_inputs, mut to_recurrent) = (lanes(3 * units), lanes(3 * units));
    let mut sums = vec![[0.0f64; LANES]; 3 * units];
    for (frame, before) in sizes.walk().into_iter().rev() {
        let states = |frame: usize| move |example: usize| &out[(example * frames + frame) * units..][..units];
        gather(
            &mut given,
            |example| &gradient[(example * frames + frame) * units..][..units],
            examples,
        );
        match before {
            Some(before) => gather(&mut previous, states(before), examples),
            None => previous.fill([T::zero(); LANES]),
        }
        let (resets, rest) = kept[frame * 4 * units..][..4 * units].split_at(units);
        let (updates, rest) = rest.split_at(units);
        let (candidates, hidden) = rest.split_at(units);
        let one = T::one();
        for unit in 0..units {
            for lane in 0..LANES {
                let (reset, update) = (resets[unit][lane], updates[unit][lane]);
                let (candidate, before) = (candidates[unit][lane], previous[unit][lane]);
                let g = given[unit][lane] + state[unit][lane];
                let to_candidate = g * (one - update) * (one - candidate * candidate);
                let to_update = g * (before - candidate) * update * (one - update);
                let to_reset = to_candidate * hidden[unit][lane] * reset * (one - reset);
                to_inputs[unit][lane] = to_reset;
                to_inputs[units + unit][lane] = to_update;
                to_inputs[2 * units + unit][lane] = to_candidate;
                to_recurrent[unit][lane] = to_reset;
                to_recurrent[units + unit][lane] = to_update;
                to_recurrent[2 * units + unit][lane] = to_candidate * reset;
                given[unit][lane] = g * update;
            }
        }
        rows_times(transposed, &to_recurrent, &mut state, |unit| given[unit]);
        for example in 0..examples {
            let at = (example * frames + frame) * 3 * units;
            scatter(&mut inputs[at..at + 3 * units], &to_inputs, example);
            scatter(&mut recurrent[at..at + 3 * units], &to_recurrent, example);
        }
        for (sums, values) in sums.iter_mut().zip(&to_recurrent) {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += value.to_f64();
            }
        }
    }
    sums.iter().map(|lanes| lanes[..examples].iter().sum()).collect()
}

fn backward<T: Element>(sizes: Sizes, weight: &[T], out: &[T], kept: &[T], gradient: &[T]) -> Gradients<T> {
    let Sizes {
        batch, frames, units, ..
    } = sizes;
    let mut inputs = vec![T::zero(); batch * frames * 3 * units];
    let transposed: Vec<T> = (0..units)
        .flat_map(|unit| weight.iter().skip(unit).step_by(units).copied())
        .collect();
    let walk = sizes.walk();
    let parts: Vec<(Vec<T>, Vec<f64>)> = inputs
        .par_chunks_mut(LANES * frames * 3 * units)
        .zip(out.par_chunks(LANES * frames * units))
        .zip(kept.par_chunks(sizes.kept() * LANES))
        .zip(gradient.par_chunks(LANES * frames * units))
        .map(|(((inputs, out), kept), gradient)| {
            let mut recurrent = vec![T::zero(); inputs.len()];
            let bias = on_vectors(
                #[inline(always)]
                || {
                    group_backward(
                        sizes,
                        &transposed,
                        (out, kept.as_chunks().0, gradient),
                        (inputs, &mut recurrent),
                    )
                },
            );
            // The state before each.
            let mut previous = vec![T::zero(); out.len()];
            for (previous, out) in previous.chunks_mut(frames * units).zip(out.chunks(frames * units)) {
                for &(frame, before) in &walk {
                    if let Some(before) = before {
                        previous[frame * units..][..units].copy_from_slice(&out[before * units..][..units]);
                    }
                }
            }
            let rows = out.len() / units;
            let mut weight = vec![T::zero(); 3 * units * units];
            multiply_add(
                Matrix::new(&recurrent, rows, 3 * units).transposed(),
                Matrix::new(&previous, rows, units),
                &mut weight,
            );
            (weight, bias)
        })
        .collect();
    let mut weight = vec![T::zero(); 3 * units * units];
    let mut bias = vec![0.0f64; 3 * units];
    for (of_weight, of_bias) in parts {
        weight
            .iter_mut()
            .zip(of_weight)
            .for_each(|(total, part)| *total += part);
        bias.iter_mut().zip(of_bias).for_each(|(total, part)| *total += part);
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
            *self.gates.lock().map_err(|_| poisoned())? = Some(<T as candle_core::WithDType>::to_cpu_storage_owned(gates));
            Ok((
                <T as candle_core::WithDType>::to_cpu_storage_owned(out),
                Shape::from((sizes.batch, sizes.frames, sizes.units)),
            ))
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
        let (inputs, weight, bias) = operands;
        let sizes = Sizes::new(inputs.1.dims(), weight.1.dims(), bias.1.dims(), self.direction)?;
        let gpu = super::cuda::Gpu::of(candle_core::backend::BackendStorage::device(inputs.0));
        let address = |(storage, layout)| {
            let view = super::cuda::view::<f32>(storage, layout)?;
            Ok::<_, candle_core::Error>(gpu.address_of_view(&view))
        };
        let recurrence = super::cuda::Recurrence {
            weight: address(weight)?,
            bias: address(bias)?,
            direction: self.direction,
        };
        let (out, gates) = super::cuda::gru(&gpu, sizes.on_gpu(), &[address(inputs)?], &[recurrence])?;
        *self.on_gpu.lock().map_err(|_| poisoned())? = Some(gates);
        let shape = Shape::from((sizes.batch, sizes.frames, sizes.units));
        Ok((gpu.storage(out), shape))
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
        #[cfg(feature = "cuda")]
        if let Some(gates) = &*self.on_gpu.lock().map_err(|_| poisoned())? {
            let gpu = super::cuda::Gpu::of_tensor(inputs)?;
            let recurrence = super::cuda::Recurrence {
                weight: super::cuda::address_within(weight)?,
                bias: super::cuda::address_within(bias)?,
                direction: self.direction,
            };
            let gradients = super::cuda::gru_gradient(&gpu, sizes.on_gpu(), &[recurrence], (out, gates), gradient)?;
            let Some(gradients) = gradients.into_iter().next() else {
                candle_core::bail!("gru: no gradients of the one direction")
            };
            return Ok((
                Some(gradients.inputs),
                give(weight, gradients.weight)?,
                give(bias, gradients.bias)?,
            ));
        }
        let Some(gates) = self.gates.lock().map_err(|_| poisoned())?.take() else {
            candle_core::bail!("gru: the backward pass ran before, and what it needs is gone")
        };
        let device = inputs.device();
        for_dtype!(inputs.dtype(), T => {
            let gates = T::owned(gates).unwrap_or_default();
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
        for (batch, frames, units) in [(2, 4, 3), (10, 2, 2), (1, 1, 1), (3, 3, 5)] {
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
