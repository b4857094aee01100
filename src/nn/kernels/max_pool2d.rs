//! Max pooling, as PyTorch's `MaxPool2d` and `AdaptiveMaxPool2d`: of equal values the first wins, NaN wins over everything.
//! Candle's own gradient is scaled by the window's size and misaligned where the size does not divide.

use std::hint::select_unpredictable as select;
use std::ops::Range;
use std::sync::Mutex;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::cells::{Cells, Windows};
use super::element::{Element, for_dtype, slice, with_slice};
use super::tape::apply1;
use crate::vector::on_vectors;

/// `[batch, channels, rows, columns]` → `[batch, channels, rows of cells, columns of cells]`.
pub fn max_pool2d(input: &Tensor, cells: Cells) -> Result<Tensor> {
    let operator = MaxPool2d {
        cells,
        winners: Mutex::new(Vec::new()),
        #[cfg(feature = "cuda")]
        winners_on_gpu: Mutex::new(None),
    };
    apply1(&input.contiguous()?, operator)
}

struct MaxPool2d {
    cells: Cells,
    /// For every output the index of its input within the plane, kept for the backward pass.
    winners: Mutex<Vec<u32>>,
    #[cfg(feature = "cuda")]
    winners_on_gpu: Mutex<Option<super::cuda::Winners>>,
}

impl MaxPool2d {
    fn forward<T: Element>(&self, input: &[T], plane: (usize, usize), out: (usize, usize)) -> (Vec<T>, Vec<u32>) {
        let (len, out_len) = (plane.0 * plane.1, out.0 * out.1);
        let planes = input.len().checked_div(len).unwrap_or(0);
        let mut values = vec![T::zero(); planes * out_len];
        let mut winners = vec![0u32; planes * out_len];
        values
            .par_chunks_mut(out_len.max(1))
            .zip(winners.par_chunks_mut(out_len.max(1)))
            .zip(input.par_chunks(len.max(1)))
            .for_each(|((values, winners), input)| {
                if self.cells == Cells::Windows(Windows::tiling((2, 2))) {
                    return on_vectors(
                        #[inline(always)]
                        || fours(input, plane.1, out, values, winners),
                    );
                }
                for row in 0..out.0 {
                    for column in 0..out.1 {
                        let rows = self.cells.rows(row, plane.0);
                        let (value, winner) = largest(input, plane.1, rows, self.cells.columns(column, plane.1));
                        values[row * out.1 + column] = value;
                        winners[row * out.1 + column] = winner;
                    }
                }
            });
        (values, winners)
    }
}

/// Windows of 2 × 2 side by side: the first largest value of each, and where it is. Without branches, so that it becomes vector instructions.
#[inline(always)]
fn fours<T: Element>(plane: &[T], width: usize, out: (usize, usize), values: &mut [T], winners: &mut [u32]) {
    let rows = values.chunks_mut(out.1).zip(winners.chunks_mut(out.1));
    for (row, (values, winners)) in rows.enumerate() {
        let first = 2 * row * width;
        let (above, below) = plane[first..][..2 * width].split_at(width);
        let pairs = above.as_chunks::<2>().0.iter().zip(below.as_chunks::<2>().0);
        for (column, ((value, winner), (above, below))) in values.iter_mut().zip(winners).zip(pairs).enumerate() {
            let place = (first + 2 * column) as u32;
            let (mut best, mut at) = (above[0], place);
            for (candidate, candidate_at) in [
                (above[1], place + 1),
                (below[0], place + width as u32),
                (below[1], place + width as u32 + 1),
            ] {
                #[allow(clippy::eq_op)] // NaN is the value that differs from itself
                let better = (candidate > best) | ((candidate != candidate) & (best == best));
                best = select(better, candidate, best);
                at = select(better, candidate_at, at);
            }
            (*value, *winner) = (best, at);
        }
    }
}

/// The first largest value of a cell, and where it is.
fn largest<T: Element>(plane: &[T], width: usize, rows: Range<usize>, columns: Range<usize>) -> (T, u32) {
    let mut winner = rows.start * width + columns.start;
    let mut value = plane[winner];
    for row in rows {
        for column in columns.clone() {
            let candidate = plane[row * width + column];
            #[allow(clippy::eq_op)] // NaN is the value that differs from itself
            if candidate > value || (candidate != candidate && value == value) {
                winner = row * width + column;
                value = candidate;
            }
        }
    }
    (value, winner as u32)
}

fn backward<T: Element>(gradient: &[T], winners: &[u32], plane: usize, out_plane: usize) -> Vec<T> {
    let planes = gradient.len().checked_div(out_plane).unwrap_or(0);
    let mut input = vec![T::zero(); planes * plane];
    input
        .par_chunks_mut(plane.max(1))
        .zip(
            gradient
                .par_chunks(out_plane.max(1))
                .zip(winners.par_chunks(out_plane.max(1))),
        )
        .for_each(|(input, (gradient, winners))| {
            for (&gradient, &winner) in gradient.iter().zip(winners) {
                input[winner as usize] += gradient;
            }
        });
    input
}

fn poisoned() -> candle_core::Error {
    candle_core::Error::Msg("a pooling pass failed before".into())
}

impl CustomOp1 for MaxPool2d {
    fn name(&self) -> &'static str {
        "affect-max-pool2d"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, channels, rows, columns) = layout.shape().dims4()?;
        let Some(out) = self.cells.count((rows, columns)) else {
            candle_core::bail!("max_pool2d: {rows} × {columns} cannot be divided into {:?}", self.cells)
        };
        if u32::try_from(rows * columns).is_err() {
            candle_core::bail!("max_pool2d: planes of {rows} × {columns} are too large")
        }
        let dtype = candle_core::backend::BackendStorage::dtype(storage);
        for_dtype!(dtype, T => {
            let (values, winners) = self.forward::<T>(slice(storage, layout)?, (rows, columns), out);
            if let Ok(mut kept) = self.winners.lock() {
                *kept = winners;
            }
            Ok((
                <T as candle_core::WithDType>::to_cpu_storage_owned(values),
                Shape::from((batch, channels, out.0, out.1)),
            ))
        })
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        storage: &candle_core::CudaStorage,
        layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        let (out, shape, winners) = super::cuda::max_pool(self.cells, storage, layout)?;
        *self.winners_on_gpu.lock().map_err(|_| poisoned())? = Some(winners);
        Ok((out, shape))
    }

    fn bwd(&self, input: &Tensor, out: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        #[cfg(feature = "cuda")]
        if let Some(winners) = &*self.winners_on_gpu.lock().map_err(|_| poisoned())? {
            return super::cuda::max_pool_gradient(self.cells, input, winners, gradient).map(Some);
        }
        let (_, _, rows, columns) = input.dims4()?;
        let (_, _, out_rows, out_columns) = out.dims4()?;
        let winners = self.winners.lock().map_err(|_| poisoned())?;
        for_dtype!(input.dtype(), T => {
            let values = with_slice::<T, _>(gradient, |gradient| {
                Ok(backward(gradient, &winners, rows * columns, out_rows * out_columns))
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

    #[test]
    fn gradients_agree_with_finite_differences() {
        for (shape, size, stride, padding) in [
            ([2, 3, 4, 6], (2, 2), (2, 2), (0, 0)),
            ([1, 2, 5, 7], (2, 2), (2, 2), (0, 0)),
            ([1, 1, 6, 6], (3, 2), (1, 2), (0, 0)),
            ([2, 1, 1, 9], (1, 4), (1, 4), (0, 0)),
            ([2, 1, 5, 6], (3, 3), (2, 1), (1, 1)),
        ] {
            let cells = Cells::Windows(Windows { size, stride, padding });
            check_gradients(&[random(&shape, 5)], |inputs| max_pool2d(&inputs[0], cells));
        }
        for (rows, columns) in [(1, 1), (2, 3), (7, 4)] {
            check_gradients(&[random(&[2, 2, 5, 7], 5)], |inputs| {
                max_pool2d(&inputs[0], Cells::Grid(rows, columns))
            });
        }
    }

    #[test]
    fn windows_of_two_by_two_are_as_all_others() {
        for (rows, columns) in [(2, 2), (5, 7), (4, 33), (3, 2)] {
            // Few different values, so that many are equal; every eleventh is NaN.
            let plane: Vec<f32> = (0..rows * columns)
                .map(|place| {
                    if place % 11 == 7 {
                        f32::NAN
                    } else {
                        (place * 7 % 5) as f32
                    }
                })
                .collect();
            let out = (rows / 2, columns / 2);
            let (mut values, mut winners) = (vec![0.0; out.0 * out.1], vec![0; out.0 * out.1]);
            fours(&plane, columns, out, &mut values, &mut winners);
            for (index, (value, &winner)) in values.iter().zip(&winners).enumerate() {
                let (row, column) = (2 * (index / out.1), 2 * (index % out.1));
                let (largest, place) = largest(&plane, columns, row..row + 2, column..column + 2);
                assert_eq!((value.to_bits(), winner), (largest.to_bits(), place));
            }
        }
    }

    #[test]
    fn the_first_of_equal_values_gets_the_gradient_and_nan_wins() {
        let input = Var::new(&[[[[1.0f32, 1.0], [1.0, 0.0]]]], &Device::Cpu).unwrap();
        let out = max_pool2d(&input, Cells::Windows(Windows::tiling((2, 2)))).unwrap();
        let gradient = out.sum_all().unwrap().backward().unwrap();
        let gradient = gradient
            .get(&input)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        assert_eq!(gradient, [1.0, 0.0, 0.0, 0.0]);
        let input = Tensor::new(&[[[[1.0f32, f32::NAN], [5.0, 0.0]]]], &Device::Cpu).unwrap();
        let out = max_pool2d(&input, Cells::Windows(Windows::tiling((2, 2))))
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        assert!(out[0].is_nan());
    }
}
