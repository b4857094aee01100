//! Adaptive average pooling, as PyTorch's `AdaptiveAvgPool2d`: cell `i` of `n` averages the rows from `⌊i·size/n⌋` to
//! `⌈(i+1)·size/n⌉`. Sums run in `f64`, row by row.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::element::{Element, for_dtype, slice, with_slice};

/// `[batch, channels, rows, columns]` → `[batch, channels, grid.0, grid.1]`.
pub fn adaptive_avg_pool2d(input: &Tensor, grid: (usize, usize)) -> Result<Tensor> {
    input.contiguous()?.apply_op1(AdaptiveAvgPool2d { grid })
}

struct AdaptiveAvgPool2d {
    grid: (usize, usize),
}

/// The rows (or columns) that a cell averages.
fn cell(index: usize, cells: usize, size: usize) -> std::ops::Range<usize> {
    index * size / cells..((index + 1) * size).div_ceil(cells)
}

impl AdaptiveAvgPool2d {
    /// Calls `work(cell, rows, columns)` for every cell of a plane.
    fn for_each_cell(
        &self,
        plane: (usize, usize),
        mut work: impl FnMut(usize, std::ops::Range<usize>, std::ops::Range<usize>),
    ) {
        for row in 0..self.grid.0 {
            for column in 0..self.grid.1 {
                work(
                    row * self.grid.1 + column,
                    cell(row, self.grid.0, plane.0),
                    cell(column, self.grid.1, plane.1),
                );
            }
        }
    }

    fn forward<T: Element>(&self, input: &[T], plane: (usize, usize)) -> Vec<T> {
        let (len, cells) = (plane.0 * plane.1, self.grid.0 * self.grid.1);
        let mut out = vec![T::zero(); input.len() / len.max(1) * cells];
        out.par_chunks_mut(cells)
            .zip(input.par_chunks(len.max(1)))
            .for_each(|(out, input)| {
                self.for_each_cell(plane, |cell, rows, columns| {
                    let count = rows.len() * columns.len();
                    let sum: f64 = rows
                        .flat_map(|row| &input[row * plane.1..][columns.clone()])
                        .map(|value| value.to_f64())
                        .sum();
                    out[cell] = T::from_f64(sum / count as f64);
                });
            });
        out
    }

    fn backward<T: Element>(&self, gradient: &[T], plane: (usize, usize)) -> Vec<T> {
        let (len, cells) = (plane.0 * plane.1, self.grid.0 * self.grid.1);
        let mut input = vec![T::zero(); gradient.len() / cells * len];
        input
            .par_chunks_mut(len.max(1))
            .zip(gradient.par_chunks(cells))
            .for_each(|(input, gradient)| {
                self.for_each_cell(plane, |cell, rows, columns| {
                    let share = T::from_f64(gradient[cell].to_f64() / (rows.len() * columns.len()) as f64);
                    for row in rows {
                        for value in &mut input[row * plane.1..][columns.clone()] {
                            *value += share;
                        }
                    }
                });
            });
        input
    }
}

impl CustomOp1 for AdaptiveAvgPool2d {
    fn name(&self) -> &'static str {
        "affect-adaptive-avg-pool2d"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, channels, rows, columns) = layout.shape().dims4()?;
        if rows * columns == 0 || self.grid.0 * self.grid.1 == 0 {
            candle_core::bail!(
                "adaptive_avg_pool2d: {rows} × {columns} cannot be averaged over {:?} cells",
                self.grid
            )
        }
        let dtype = candle_core::backend::BackendStorage::dtype(storage);
        for_dtype!(dtype, T => {
            let out = self.forward::<T>(slice(storage, layout)?, (rows, columns));
            Ok((
                <T as candle_core::WithDType>::to_cpu_storage_owned(out),
                Shape::from((batch, channels, self.grid.0, self.grid.1)),
            ))
        })
    }

    fn bwd(&self, input: &Tensor, _out: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (_, _, rows, columns) = input.dims4()?;
        for_dtype!(input.dtype(), T => {
            let values = with_slice::<T, _>(gradient, |gradient| Ok(self.backward(gradient, (rows, columns))))?;
            Tensor::from_vec(values, input.dims(), input.device()).map(Some)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::{check_gradients, random};
    use super::*;
    use candle_core::Device;

    #[test]
    fn gradients_agree_with_finite_differences() {
        for (shape, grid) in [([2, 3, 4, 6], (1, 1)), ([1, 2, 5, 7], (2, 3)), ([1, 1, 2, 3], (3, 5))] {
            check_gradients(&[random(&shape, 5)], |inputs| adaptive_avg_pool2d(&inputs[0], grid));
        }
    }

    #[test]
    fn cells_overlap_where_the_size_does_not_divide() {
        let input = Tensor::new(&[[[[1.0f32, 2.0, 3.0, 4.0, 5.0]]]], &Device::Cpu).unwrap();
        let out = adaptive_avg_pool2d(&input, (1, 2))
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        assert_eq!(out, [2.0, 4.0]);
    }
}
