//! Examples to batches, prepared on a thread of their own while the network computes.

use std::sync::mpsc;

use candle_core::{Device, Result, Tensor};

use crate::evaluate::{Problem, Truth};
use crate::features::FeatureSet;

/// What is true of every example of a manifest.
#[derive(Debug, Clone, PartialEq)]
pub enum Labels {
    /// `[examples, targets]`.
    Values(Vec<f32>),
    /// One class index per example.
    Classes(Vec<u32>),
}

impl Labels {
    /// The labels of some examples, in their order.
    pub fn select(&self, problem: &Problem, examples: &[usize]) -> Self {
        let width = problem.width();
        match self {
            Self::Values(values) => Self::Values(
                examples
                    .iter()
                    .flat_map(|&example| values.iter().skip(example * width).take(width).copied())
                    .collect(),
            ),
            Self::Classes(classes) => Self::Classes(
                examples
                    .iter()
                    .filter_map(|&example| classes.get(example).copied())
                    .collect(),
            ),
        }
    }

    /// For scoring.
    pub fn truth(&self) -> Truth<'_> {
        match self {
            Self::Values(values) => Truth::Values(values),
            Self::Classes(classes) => Truth::Classes(classes),
        }
    }
}

/// Everything that training and testing read.
#[derive(Clone, Copy)]
pub struct Data<'a> {
    pub features: &'a FeatureSet,
    pub problem: &'a Problem,
    pub labels: &'a Labels,
    /// The examples' names, for messages.
    pub ids: &'a [String],
}

/// One batch on the device.
pub struct Batch {
    /// `[batch, channels, rows, frames]`.
    pub inputs: Tensor,
    /// `[batch, targets]`, or `[batch]` class indices (u32).
    pub targets: Tensor,
    /// Indices into the manifest.
    pub examples: Vec<usize>,
}

/// Batches that wait while the network computes.
const AHEAD: usize = 2;

/// Calls `work` with batches of `examples` in their order; the last one may be smaller. They are read from the cache's
/// mapped file on a thread of their own. `work` answers whether to go on.
pub fn for_each_batch<E: From<candle_core::Error>>(
    data: Data,
    examples: &[usize],
    batch_size: usize,
    device: &Device,
    mut work: impl FnMut(Batch) -> std::result::Result<bool, E>,
) -> std::result::Result<(), E> {
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(AHEAD);
        scope.spawn(move || {
            for chunk in examples.chunks(batch_size.max(1)) {
                if sender.send(batch(data, chunk, device)).is_err() {
                    break; // nobody listens any more
                }
            }
        });
        for batch in receiver {
            if !work(batch?)? {
                break;
            }
        }
        Ok(())
    })
}

fn batch(data: Data, examples: &[usize], device: &Device) -> Result<Batch> {
    let [channels, rows, frames] = data.features.shape();
    let mut inputs = vec![0.0f32; examples.len() * data.features.array_len()];
    for (&example, out) in examples.iter().zip(inputs.chunks_mut(data.features.array_len().max(1))) {
        data.features.read(example, out).map_err(candle_core::Error::wrap)?;
    }
    let targets = match data.labels.select(data.problem, examples) {
        Labels::Values(values) => Tensor::from_vec(values, (examples.len(), data.problem.width()), device)?,
        Labels::Classes(classes) => Tensor::from_vec(classes, examples.len(), device)?,
    };
    Ok(Batch {
        inputs: Tensor::from_vec(inputs, (examples.len(), channels, rows, frames), device)?,
        targets,
        examples: examples.to_vec(),
    })
}
