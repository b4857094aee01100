//! Pooling over windows, over a grid, and over everything.

use std::fmt::Write as _;

use candle_core::{Result, Tensor};

use super::super::kernels::{self, Cells, Figure, Windows, tape};
use super::super::plan::{PlannedLayer, count, shape_text};
use super::super::spec::{GlobalPoolSpec, Pair, PoolOver, PoolSpec, Statistic};
use super::image;

/// Added to the variance under the root: the gradient of the root is infinite at 0.
pub const EPSILON: f64 = 1e-5;

pub fn grid(pair: Pair) -> Cells {
    let (rows, columns) = pair.get();
    Cells::Grid(rows, columns)
}

pub fn windows(spec: &PoolSpec) -> Cells {
    Cells::Windows(match spec {
        PoolSpec::Size(pair) => Windows::tiling(pair.get()),
        PoolSpec::Table(table) => Windows {
            size: table.window.get(),
            stride: table.stride.unwrap_or(table.window).get(),
            padding: (table.padding[0], table.padding[1]),
        },
    })
}

pub fn plan_windows(name: &'static str, spec: &PoolSpec, shape: &[usize]) -> std::result::Result<PlannedLayer, String> {
    let (channels, rows, columns) = image(name, shape)?;
    let cells = windows(spec);
    let Cells::Windows(windows) = cells else {
        return Err(format!("{name} needs windows"));
    };
    let (size, stride, padding) = (windows.size, windows.stride, windows.padding);
    if 2 * padding.0 > size.0 || 2 * padding.1 > size.1 {
        return Err(format!(
            "the padding of {name} must be at most half of the window, {} × {}",
            size.0, size.1
        ));
    }
    let (out_rows, out_columns) = cells.count((rows, columns)).ok_or_else(|| {
        format!(
            "the window of {name}, {} × {}, is larger than {rows} × {columns}",
            size.0, size.1
        )
    })?;
    let output = vec![channels, out_rows, out_columns];
    let mut detail = format!("{} × {}", size.0, size.1);
    if stride != size {
        let _ = write!(detail, ", stride {} × {}", stride.0, stride.1);
    }
    if padding != (0, 0) {
        let _ = write!(detail, ", padding {} × {}", padding.0, padding.1);
    }
    Ok(PlannedLayer {
        detail,
        flops: count(&output).saturating_mul(count(&[size.0, size.1])),
        ..PlannedLayer::new(name, shape, output)
    })
}

pub fn plan_grid(name: &'static str, pair: Pair, shape: &[usize]) -> std::result::Result<PlannedLayer, String> {
    let (channels, _, _) = image(name, shape)?;
    let (rows, columns) = pair.get();
    Ok(PlannedLayer {
        detail: format!("{rows} × {columns}"),
        flops: count(shape),
        ..PlannedLayer::new(name, shape, vec![channels, rows, columns])
    })
}

pub fn plan_global(spec: &GlobalPoolSpec, shape: &[usize]) -> std::result::Result<PlannedLayer, String> {
    let figures = match (shape, spec.over) {
        (&[channels, _, _], PoolOver::Image) => channels,
        (&[channels, rows, _], PoolOver::Frames) => channels * rows,
        (&[_, numbers], _) => numbers,
        _ => {
            return Err(format!(
                "global_pool needs an image or a sequence, but the layer before gives {}",
                shape_text(shape)
            ));
        }
    };
    let names: Vec<&str> = spec.statistics.iter().map(|statistic| name(*statistic)).collect();
    let over = match spec.over {
        PoolOver::Image => "",
        PoolOver::Frames => ", over the frames",
    };
    Ok(PlannedLayer {
        detail: format!("{}{over}", names.join(", ")),
        flops: count(shape) * spec.statistics.len() as u64 * 2,
        // The deviation keeps the differences from the mean.
        activations: count(shape) + (figures * spec.statistics.len()) as u64,
        ..PlannedLayer::new("global_pool", shape, vec![figures * spec.statistics.len()])
    })
}

fn name(statistic: Statistic) -> &'static str {
    match statistic {
        Statistic::Mean => "mean",
        Statistic::Deviation => "deviation",
    }
}

/// Maxima or averages of cells.
pub struct Pool {
    cells: Cells,
    kind: Kind,
}

enum Kind {
    Max,
    Average,
}

impl Pool {
    pub fn max(cells: Cells) -> Self {
        Self { cells, kind: Kind::Max }
    }

    pub fn average(cells: Cells) -> Self {
        Self {
            cells,
            kind: Kind::Average,
        }
    }

    /// The size of windows that lie side by side, of maxima.
    pub fn max_tiles(&self) -> Option<(usize, usize)> {
        match (&self.kind, self.cells) {
            (Kind::Max, Cells::Windows(windows)) if windows == Windows::tiling(windows.size) => Some(windows.size),
            _ => None,
        }
    }

    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        match self.kind {
            Kind::Max => kernels::max_pool2d(input, self.cells),
            Kind::Average => kernels::avg_pool2d(input, self.cells),
        }
    }
}

/// Figures of whole channels.
pub struct GlobalPool {
    over: PoolOver,
    figures: Vec<Figure>,
}

impl GlobalPool {
    pub fn new(spec: &GlobalPoolSpec) -> Self {
        let figure = |statistic: &Statistic| match statistic {
            Statistic::Mean => Figure::Mean,
            Statistic::Deviation => Figure::Deviation { epsilon: EPSILON },
        };
        Self {
            over: spec.over,
            figures: spec.statistics.iter().map(figure).collect(),
        }
    }

    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        // What becomes one figure goes to the end: [batch, figures, values].
        let values = match (input.dims(), self.over) {
            (&[batch, channels, rows, frames], PoolOver::Image) => {
                tape::reshape(input, (batch, channels, rows * frames))?
            }
            (&[batch, channels, rows, frames], PoolOver::Frames) => {
                tape::reshape(input, (batch, channels * rows, frames))?
            }
            _ => tape::turn(input)?,
        };
        tape::cat(&kernels::figures(&values, &self.figures)?, 1)
    }
}
