//! Pooling.

use super::Lowering;
use crate::export::Error;
use crate::export::onnx::graph::{Value, int, ints};
use crate::nn::definition::{self, PoolKind};
use crate::nn::kernels::{Cells, Windows};
use crate::nn::spec::{GlobalPoolSpec, LayerSpec, PoolOver, Statistic};

impl Lowering<'_> {
    pub(super) fn windows(&mut self, operator: &str, windows: Windows, input: &str) -> Value {
        let pair = |(rows, columns): (usize, usize)| [rows, columns];
        let [above, left] = pair(windows.padding);
        let mut attributes = vec![
            ints("kernel_shape", &pair(windows.size)),
            ints("strides", &pair(windows.stride)),
            ints("pads", &[above, left, above, left]),
        ];
        if operator == "AveragePool" {
            attributes.push(int("count_include_pad", 1));
        }
        self.graph.node(operator, &[input], attributes)
    }

    pub(super) fn pool(&mut self, spec: &LayerSpec, shape: &[usize], input: &str) -> Result<Value, Error> {
        let Some((kind, cells)) = definition::pool(spec) else {
            return Err(Error::Shape("not a pooling layer".into()));
        };
        let (&[_, rows, columns], operator) = (shape, operator(kind)) else {
            return Err(Error::Shape(format!("pooling of {shape:?}")));
        };
        let (grid_rows, grid_columns) = match cells {
            Cells::Windows(windows) => return Ok(self.windows(operator, windows, input)),
            Cells::Grid(rows, columns) => (rows, columns),
        };
        if (grid_rows, grid_columns) == (1, 1) {
            return Ok(self.whole_image(kind, input));
        }
        if rows.is_multiple_of(grid_rows) && columns.is_multiple_of(grid_columns) {
            let size = (rows / grid_rows, columns / grid_columns);
            return Ok(self.windows(operator, Windows::tiling(size), input));
        }
        Ok(match kind {
            PoolKind::Average => self.average_cells((rows, columns), (grid_rows, grid_columns), input),
            PoolKind::Max => {
                let by_row = self.largest_of_cells(2, rows, grid_rows, input);
                self.largest_of_cells(3, columns, grid_columns, &by_row)
            }
        })
    }

    /// One figure for each channel. Averages are taken along the frames first: onnxruntime's GlobalAveragePool adds all values of a channel one
    /// by one in 32 bits, which is off by 1e-4 for a spectrogram in decibels.
    pub(super) fn whole_image(&mut self, kind: PoolKind, input: &str) -> Value {
        match kind {
            PoolKind::Max => self.graph.node("GlobalMaxPool", &[input], Vec::new()),
            PoolKind::Average => [3, 2].into_iter().fold(input.to_owned(), |value, axis| {
                let axis = self.graph.integers("axis", &[axis]);
                self.graph
                    .node("ReduceMean", &[&value, &axis], vec![int("keepdims", 1)])
            }),
        }
    }

    /// Cells of unequal size: a product with the cells' weights for each direction.
    pub(super) fn average_cells(&mut self, image: (usize, usize), grid: (usize, usize), input: &str) -> Value {
        let rows = average_weights(image.0, grid.0);
        let rows = self
            .graph
            .floats(&format!("{}.rows", self.prefix), &[grid.0, image.0], &rows);
        let columns = average_weights(image.1, grid.1);
        let transposed: Vec<f32> = (0..image.1)
            .flat_map(|place| columns.iter().skip(place).step_by(image.1).copied())
            .collect();
        let columns = self
            .graph
            .floats(&format!("{}.columns", self.prefix), &[image.1, grid.1], &transposed);
        let by_column = self.graph.node("MatMul", &[input, &columns], Vec::new());
        self.graph.node("MatMul", &[&rows, &by_column], Vec::new())
    }

    /// The largest of each cell along one axis.
    pub(super) fn largest_of_cells(&mut self, axis: usize, size: usize, cells: usize, input: &str) -> Value {
        let axes = self.graph.integers("axis", &[axis as i64]);
        let parts: Vec<Value> = (0..cells)
            .map(|cell| {
                let range = cell_range(size, cells, cell);
                let start = self.graph.integers("start", &[range.start as i64]);
                let end = self.graph.integers("end", &[range.end as i64]);
                let part = self.graph.node("Slice", &[input, &start, &end, &axes], Vec::new());
                self.graph.node("ReduceMax", &[&part, &axes], vec![int("keepdims", 1)])
            })
            .collect();
        self.concatenated(&parts, axis)
    }

    pub(super) fn global_pool(&mut self, spec: &GlobalPoolSpec, shape: &[usize], input: &str) -> Result<Value, Error> {
        // What becomes one figure goes to the end: [batch, figures, values].
        let values = match (shape, spec.over) {
            (&[channels, rows, frames], PoolOver::Image) => {
                self.reshaped(input, &[0, channels as i64, (rows * frames) as i64])
            }
            (&[channels, rows, frames], PoolOver::Frames) => {
                self.reshaped(input, &[0, (channels * rows) as i64, frames as i64])
            }
            (&[_, _], _) => self.graph.node("Transpose", &[input], vec![ints("perm", &[0, 2, 1])]),
            _ => return Err(Error::Shape(format!("global_pool of {shape:?}"))),
        };
        let last = self.graph.integers("axis", &[2]);
        let keep = |keep| vec![int("keepdims", keep)];
        let figures: Vec<Value> = spec
            .statistics
            .iter()
            .map(|statistic| match statistic {
                Statistic::Mean => self.graph.node("ReduceMean", &[&values, &last], keep(0)),
                Statistic::Deviation => {
                    let mean = self.graph.node("ReduceMean", &[&values, &last], keep(1));
                    let distance = self.graph.node("Sub", &[&values, &mean], Vec::new());
                    let square = self.graph.node("Mul", &[&distance, &distance], Vec::new());
                    let variance = self.graph.node("ReduceMean", &[&square, &last], keep(0));
                    let epsilon = self.graph.scalar("epsilon", definition::DEVIATION_EPSILON as f32);
                    let raised = self.graph.node("Add", &[&variance, &epsilon], Vec::new());
                    self.graph.node("Sqrt", &[&raised], Vec::new())
                }
            })
            .collect();
        Ok(self.concatenated(&figures, 1))
    }
}

fn operator(kind: PoolKind) -> &'static str {
    match kind {
        PoolKind::Max => "MaxPool",
        PoolKind::Average => "AveragePool",
    }
}

fn cell_range(size: usize, cells: usize, cell: usize) -> std::ops::Range<usize> {
    cell * size / cells..((cell + 1) * size).div_ceil(cells)
}

fn average_weights(size: usize, cells: usize) -> Vec<f32> {
    let mut weights = vec![0.0; cells * size];
    for (cell, row) in weights.chunks_mut(size.max(1)).enumerate() {
        let range = cell_range(size, cells, cell);
        let share = 1.0 / range.len() as f32;
        row[range].fill(share);
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_unequal_size_have_weights_of_sum_one() {
        assert_eq!(average_weights(3, 2), [0.5, 0.5, 0.0, 0.0, 0.5, 0.5]);
        for row in average_weights(7, 5).chunks(7) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        }
        assert_eq!(cell_range(2, 4, 3), 1..2);
    }
}
