//! Average pooling, as PyTorch's `AvgPool2d` (padding counts as zeros) and `AdaptiveAvgPool2d`. Sums run in `f64`, row by row.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::cells::Cells;
use super::element::{Element, for_dtype, slice, with_slice};
use super::tape::apply1;

/// `[batch, channels, rows, columns]` → `[batch, channels, rows of cells, columns of cells]`.
pub fn avg_pool2d(input: &Tensor, cells: Cells) -> Result<Tensor> {
    apply1(&input.contiguous()?, AvgPool2d { cells })
}

struct AvgPool2d {
    cells: Cells,
}

/// Calls `work(cell, rows, columns)` for every cell of an image.
fn for_each_cell(
    cells: Cells,
    image: (usize, usize),
    count: (usize, usize),
    mut work: impl FnMut(usize, std::ops::Range<usize>, std::ops::Range<usize>),
) {
    for row in 0..count.0 {
        for column in 0..count.1 {
            work(
                row * count.1 + column,
                cells.rows(row, image.0),
                cells.columns(column, image.1),
            );
        }
    }
}

impl AvgPool2d {
    fn count(&self, image: (usize, usize)) -> Result<(usize, usize)> {
        match self.cells.count(image) {
            Some(count) => Ok(count),
            None => candle_core::bail!("avg_pool2d: {image:?} cannot be divided into {:?}", self.cells),
        }
    }

    fn forward<T: Element>(&self, input: &[T], plane: (usize, usize), count: (usize, usize)) -> Vec<T> {
        let (len, cells) = (plane.0 * plane.1, count.0 * count.1);
        let mut out = vec![T::zero(); input.len() / len.max(1) * cells];
        out.par_chunks_mut(cells)
            .zip(input.par_chunks(len.max(1)))
            .for_each(|(out, input)| {
                for_each_cell(self.cells, plane, count, |cell, rows, columns| {
                    let divisor = self.cells.divisor(&rows, &columns);
                    let sum: f64 = rows
                        .flat_map(|row| &input[row * plane.1..][columns.clone()])
                        .map(|value| value.to_f64())
                        .sum();
                    out[cell] = T::from_f64(sum / divisor as f64);
                });
            });
        out
    }

    fn backward<T: Element>(&self, gradient: &[T], plane: (usize, usize), count: (usize, usize)) -> Vec<T> {
        let (len, cells) = (plane.0 * plane.1, count.0 * count.1);
        let mut input = vec![T::zero(); gradient.len() / cells * len];
        input
            .par_chunks_mut(len.max(1))
            .zip(gradient.par_chunks(cells))
            .for_each(|(input, gradient)| {
                for_each_cell(self.cells, plane, count, |cell, rows, columns| {
                    let divisor = self.cells.divisor(&rows, &columns);
                    let share = T::from_f64(gradient[cell].to_f64() / divisor as f64);
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

impl CustomOp1 for AvgPool2d {
    fn name(&self) -> &'static str {
        "affect-avg-pool2d"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, channels, rows, columns) = layout.shape().dims4()?;
        let count = self.count((rows, columns))?;
        let dtype = candle_core::backend::BackendStorage::dtype(storage);
        for_dtype!(dtype, T => {
            let out = self.forward::<T>(slice(storage, layout)?, (rows, columns), count);
            Ok((
                <T as candle_core::WithDType>::to_cpu_storage_owned(out),
                Shape::from((batch, channels, count.0, count.1)),
            ))
        })
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        storage: &candle_core::CudaStorage,
        layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        super::cuda::average_pool(self.cells, storage, layout)
    }

    fn bwd(&self, input: &Tensor, _out: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        #[cfg(feature = "cuda")]
        if input.device().is_cuda() {
            return super::cuda::average_pool_gradient(self.cells, input, gradient).map(Some);
        }
        let (_, _, rows, columns) = input.dims4()?;
        let count = self.count((rows, columns))?;
        for_dtype!(input.dtype(), T => {
            let values = with_slice::<T, _>(gradient, |gradient| Ok(self.backward(gradient, (rows, columns), count)))?;
            Tensor::from_vec(values, input.dims(), input.device()).map(Some)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::cells::Windows;
    use super::super::gradient_check::{check_gradients, random};
    use super::*;
    use candle_core::Device;

    #[test]
    fn gradients_agree_with_finite_differences() {
        for (shape, grid) in [([2, 3, 4, 6], (1, 1)), ([1, 2, 5, 7], (2, 3)), ([1, 1, 2, 3], (3, 5))] {
            let cells = Cells::Grid(grid.0, grid.1);
            check_gradients(&[random(&shape, 5)], |inputs| avg_pool2d(&inputs[0], cells));
        }
        for (size, stride, padding) in [
            ((2, 2), (2, 2), (0, 0)),
            ((3, 2), (1, 2), (1, 1)),
            ((2, 3), (3, 1), (0, 1)),
        ] {
            let cells = Cells::Windows(Windows { size, stride, padding });
            check_gradients(&[random(&[2, 2, 5, 6], 5)], |inputs| avg_pool2d(&inputs[0], cells));
        }
    }

    #[test]
    fn cells_overlap_where_the_size_does_not_divide() {
        let input = Tensor::new(&[[[[1.0f32, 2.0, 3.0, 4.0, 5.0]]]], &Device::Cpu).unwrap();
        let out = avg_pool2d(&input, Cells::Grid(1, 2)).unwrap();
        assert_eq!(out.flatten_all().unwrap().to_vec1::<f32>().unwrap(), [2.0, 4.0]);
    }

    #[test]
    fn windows_that_do_not_fit_are_errors() {
        let input = random(&[1, 1, 3, 3], 1);
        for (size, padding) in [((4, 4), (0, 0)), ((2, 2), (2, 0))] {
            let cells = Cells::Windows(Windows {
                size,
                stride: size,
                padding,
            });
            assert!(avg_pool2d(&input, cells).is_err());
        }
    }
}
