//! A linear layer for each frame, of an image as it lies in memory.
//!
//! An image's frames are its columns. Turning it into a sequence first would copy it, and its gradient, several times; a matrix product
//! takes either way.
//!
//! Examples are handled in groups of [`GROUP`]; the weights' gradients are summed within a group example by example, and then over the
//! groups in order.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::element::{Element, for_dtype, slice, with_slice};
use super::matmul::{Matrix, multiply_add};
use super::tape::{self, apply3};

/// Examples that one task handles: part of the result's definition.
const GROUP: usize = 4;

/// `input` `[batch, channels, rows, frames]` (a frame's numbers are its channels' rows, one after the other) or `[batch, frames, numbers]`,
/// `weight` `[units, numbers]`, `bias` `[units]` → `[batch, frames, units]`.
pub fn linear_of_frames(input: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    if input.device().is_cuda() {
        return on_gpu(input, weight, bias);
    }
    apply3(
        &input.contiguous()?,
        &weight.contiguous()?,
        &bias.contiguous()?,
        LinearOfFrames,
    )
}

/// One matrix product over all frames: a GPU turns an image into a sequence in no time.
fn on_gpu(input: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let sizes = Sizes::new(input.dims(), weight.dims(), bias.dims())?;
    let frames = match sizes.order {
        Frames::Rows => input.contiguous()?,
        Frames::Columns => tape::turn(&tape::reshape(input, (sizes.batch, sizes.numbers, sizes.frames))?)?,
    };
    let rows = tape::reshape(&frames, (sizes.batch * sizes.frames, sizes.numbers))?;
    let out = super::linear(&rows, weight, bias)?;
    tape::reshape(&out, (sizes.batch, sizes.frames, sizes.units))
}

struct LinearOfFrames;

/// How an example's numbers lie.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Frames {
    /// One after the other.
    Rows,
    /// As the columns of an image.
    Columns,
}

#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    frames: usize,
    numbers: usize,
    units: usize,
    order: Frames,
}

impl Sizes {
    fn new(input: &[usize], weight: &[usize], bias: &[usize]) -> Result<Self> {
        let (batch, frames, numbers, order) = match *input {
            [batch, channels, rows, frames] => (batch, frames, channels * rows, Frames::Columns),
            [batch, frames, numbers] => (batch, frames, numbers, Frames::Rows),
            _ => candle_core::bail!("a linear layer for each frame takes images or sequences, not {input:?}"),
        };
        match *weight {
            [units, columns] if columns == numbers && bias == [units] && frames * numbers * units > 0 => Ok(Self {
                batch,
                frames,
                numbers,
                units,
                order,
            }),
            _ => candle_core::bail!(
                "a linear layer for each frame: {input:?}, weight {weight:?} and bias {bias:?} don't fit each other"
            ),
        }
    }

    fn example(self) -> usize {
        self.frames * self.numbers
    }

    /// `[frames, numbers]` of an example.
    fn matrix<T>(self, example: &[T]) -> Matrix<'_, T> {
        match self.order {
            Frames::Rows => Matrix::new(example, self.frames, self.numbers),
            Frames::Columns => Matrix::new(example, self.numbers, self.frames).transposed(),
        }
    }
}

fn forward<T: Element>(sizes: Sizes, input: &[T], weight: &[T], bias: &[T]) -> Vec<T> {
    let weight = Matrix::new(weight, sizes.units, sizes.numbers).transposed();
    let mut out = vec![T::zero(); sizes.batch * sizes.frames * sizes.units];
    out.par_chunks_mut(sizes.frames * sizes.units)
        .zip(input.par_chunks(sizes.example()))
        .for_each(|(out, example)| {
            out.chunks_mut(sizes.units).for_each(|row| row.copy_from_slice(bias));
            multiply_add(sizes.matrix(example), weight, out);
        });
    out
}

struct Gradients<T> {
    input: Option<Vec<T>>,
    weight: Vec<T>,
    bias: Vec<T>,
}

fn backward<T: Element>(sizes: Sizes, input: &[T], weight: &[T], gradient: &[T], of_input: bool) -> Gradients<T> {
    let Sizes {
        frames, numbers, units, ..
    } = sizes;
    let weight = Matrix::new(weight, units, numbers);
    let mut inputs = vec![T::zero(); if of_input { input.len() } else { 0 }];
    let mut of_groups: Vec<&mut [T]> = inputs.chunks_mut(GROUP * sizes.example()).collect();
    of_groups.resize_with(sizes.batch.div_ceil(GROUP), Default::default);
    let parts: Vec<(Vec<T>, Vec<f64>)> = of_groups
        .into_par_iter()
        .zip(input.par_chunks(GROUP * sizes.example()))
        .zip(gradient.par_chunks(GROUP * frames * units))
        .map(|((targets, inputs), gradients)| {
            let (mut of_weight, mut of_bias) = (vec![T::zero(); units * numbers], vec![0.0f64; units]);
            let mut targets = targets.chunks_mut(sizes.example());
            for (example, gradient) in inputs.chunks(sizes.example()).zip(gradients.chunks(frames * units)) {
                for row in gradient.chunks(units) {
                    of_bias
                        .iter_mut()
                        .zip(row)
                        .for_each(|(sum, value)| *sum += value.to_f64());
                }
                let gradient = Matrix::new(gradient, frames, units);
                multiply_add(gradient.transposed(), sizes.matrix(example), &mut of_weight);
                if let Some(target) = targets.next() {
                    match sizes.order {
                        Frames::Rows => multiply_add(gradient, weight, target),
                        Frames::Columns => multiply_add(weight.transposed(), gradient.transposed(), target),
                    }
                }
            }
            (of_weight, of_bias)
        })
        .collect();
    let (mut of_weight, mut of_bias) = (vec![T::zero(); units * numbers], vec![0.0f64; units]);
    for (weights, biases) in parts {
        of_weight
            .iter_mut()
            .zip(weights)
            .for_each(|(total, part)| *total += part);
        of_bias.iter_mut().zip(biases).for_each(|(total, part)| *total += part);
    }
    Gradients {
        input: of_input.then_some(inputs),
        weight: of_weight,
        bias: of_bias.into_iter().map(T::from_f64).collect(),
    }
}

impl CustomOp3 for LinearOfFrames {
    fn name(&self) -> &'static str {
        "affect-linear-of-frames"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let sizes = Sizes::new(input_layout.dims(), weight_layout.dims(), bias_layout.dims())?;
        let dtype = candle_core::backend::BackendStorage::dtype(input);
        for_dtype!(dtype, T => {
            let out = forward::<T>(
                sizes,
                slice(input, input_layout)?,
                slice(weight, weight_layout)?,
                slice(bias, bias_layout)?,
            );
            Ok((
                <T as candle_core::WithDType>::to_cpu_storage_owned(out),
                Shape::from((sizes.batch, sizes.frames, sizes.units)),
            ))
        })
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let sizes = Sizes::new(input.dims(), weight.dims(), bias.dims())?;
        let device = input.device();
        for_dtype!(input.dtype(), T => {
            let gradients: Gradients<T> = with_slice(input, |values| with_slice(weight, |weight| {
                with_slice(gradient, |gradient| Ok(backward(sizes, values, weight, gradient, input.track_op())))
            }))?;
            Ok((
                gradients.input.map(|values| Tensor::from_vec(values, input.dims(), device)).transpose()?,
                Some(Tensor::from_vec(gradients.weight, weight.dims(), device)?),
                Some(Tensor::from_vec(gradients.bias, bias.dims(), device)?),
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::{check_gradients, random};
    use super::*;

    const SHAPES: [&[usize]; 4] = [&[6, 2, 3, 4], &[1, 1, 1, 1], &[5, 4, 3], &[2, 1, 6]];

    fn parameters(shape: &[usize]) -> [Tensor; 2] {
        let numbers = if shape.len() == 4 {
            shape[1] * shape[2]
        } else {
            shape[2]
        };
        [random(&[3, numbers], 2), random(&[3], 3)]
    }

    #[test]
    fn agrees_with_a_product_of_the_frames_in_a_row() {
        for shape in SHAPES {
            let (input, [weight, bias]) = (random(shape, 1), parameters(shape));
            let out = linear_of_frames(&input, &weight, &bias).unwrap();
            let sequence = match shape.len() {
                4 => input.flatten(1, 2).unwrap().transpose(1, 2).unwrap(),
                _ => input,
            };
            let products = sequence
                .contiguous()
                .unwrap()
                .broadcast_matmul(&weight.t().unwrap())
                .unwrap();
            let difference = (out - products.broadcast_add(&bias).unwrap()).unwrap().abs().unwrap();
            assert!(
                difference.max_all().unwrap().to_scalar::<f64>().unwrap() < 1e-12,
                "{shape:?}"
            );
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        for shape in SHAPES {
            let [weight, bias] = parameters(shape);
            check_gradients(&[random(shape, 1), weight, bias], |inputs| {
                linear_of_frames(&inputs[0], &inputs[1], &inputs[2])
            });
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        let (weight, bias) = (random(&[3, 5], 2), random(&[3], 3));
        for shape in [vec![1, 2, 3, 4], vec![1, 4, 6], vec![4, 5], vec![1, 0, 5]] {
            assert!(
                linear_of_frames(&random(&shape, 1), &weight, &bias).is_err(),
                "{shape:?}"
            );
        }
    }
}
