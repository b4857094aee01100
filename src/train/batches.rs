//! Examples to batches, prepared on a thread of their own while the network computes.

use std::sync::mpsc;

use candle_core::{DType, Device, Result, Tensor};

use super::augment::{Augment, pairing};
use super::loss::{Agreement, ExampleWeights};
use super::pairs::{self, PairBatch, Pairs};
use crate::evaluate::{Problem, Truth};
use crate::features::FeatureSet;
#[cfg(feature = "cuda")]
use crate::nn::kernels::cuda;

/// What is true of every example of a manifest.
#[derive(Debug, Clone, PartialEq)]
pub enum Labels {
    /// `[examples, targets]`.
    Values(Vec<f32>),
    /// One class index per example.
    Classes(Vec<u32>),
}

impl Labels {
    /// Labels of the same kind, of no example.
    pub fn none(&self) -> Self {
        match self {
            Self::Values(_) => Self::Values(Vec::new()),
            Self::Classes(_) => Self::Classes(Vec::new()),
        }
    }

    /// Adds others of the same kind.
    pub fn extend(&mut self, others: Self) {
        match (self, others) {
            (Self::Values(values), Self::Values(others)) => values.extend(others),
            (Self::Classes(classes), Self::Classes(others)) => classes.extend(others),
            (Self::Values(_), Self::Classes(_)) | (Self::Classes(_), Self::Values(_)) => {}
        }
    }

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
    /// What the corpus says about the agreement of its annotators, for losses that weigh by it.
    pub agreement: Option<Agreement<'a>>,
    /// Where the examples are pairs of a picture and a clip.
    pub pairs: Option<Pairs<'a>>,
}

impl Data<'_> {
    /// The names of examples.
    pub fn names(&self, examples: &[usize]) -> Vec<String> {
        let name = |&example: &usize| match &self.pairs {
            Some(pairs) => pairs.name(example),
            None => self.ids.get(example).cloned(),
        };
        examples.iter().filter_map(name).collect()
    }
}

/// One batch: its inputs on the device, all else on the CPU.
pub struct Batch {
    /// `[batch, channels, rows, frames]`, on the device. A GPU has the next batch in the same place: what is to be kept must be copied.
    pub inputs: Tensor,
    /// `[batch, targets]`, or `[batch]` class indices (u32).
    pub targets: Tensor,
    /// How much each value (or example, for classes) counts: `[batch, targets]` or `[batch]`.
    pub weights: Option<Tensor>,
    /// Where classes are mixed: the other class of each example.
    pub mixed: Option<Mixed>,
    /// The truth that predictions are scored against: where numbers are mixed, the mixture; where classes are, the greater part.
    pub labels: Labels,
    /// Indices into the manifest.
    pub examples: Vec<usize>,
    /// Of pairs, what belongs to the inputs, which are the clips.
    pub pair: Option<PairBatch>,
}

/// The other part of a mixture.
pub struct Mixed {
    /// The share of the example itself, ½ … 1.
    pub share: f64,
    /// `[batch]` class indices (u32).
    pub targets: Tensor,
    /// `[batch]`.
    pub weights: Option<Tensor>,
}

/// What is done to batches on their way.
#[derive(Debug, Clone, Copy, Default)]
pub struct Preparation<'a> {
    /// `None`: all examples count alike.
    pub weights: Option<&'a ExampleWeights>,
    /// `None` for validation and test.
    pub augment: Option<Augment<'a>>,
    /// Batches at the beginning that are passed over: they were done before an interruption.
    pub done: usize,
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
    preparation: Preparation,
    mut work: impl FnMut(Batch) -> std::result::Result<bool, E>,
) -> std::result::Result<(), E> {
    let transport = Transport::to(device, data, batch_size.min(examples.len()))?;
    let outcome = std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(AHEAD);
        let transport = &transport;
        scope.spawn(move || {
            for (number, chunk) in examples.chunks(batch_size.max(1)).enumerate().skip(preparation.done) {
                if sender
                    .send(prepared(data, chunk, transport, preparation, number))
                    .is_err()
                {
                    break; // nobody listens any more
                }
            }
        });
        for batch in receiver {
            if !work(batch?.arrived(transport)?)? {
                break;
            }
        }
        Ok(())
    });
    transport.rest();
    outcome
}

/// How the inputs of batches get to the device.
pub(super) enum Transport {
    /// They are where they are needed.
    Stay,
    /// Through page-locked memory, while the GPU works on the batch before.
    #[cfg(feature = "cuda")]
    Gpu(cuda::Feeder),
}

/// The inputs of one batch, to be written.
pub(super) enum Inputs {
    Here(Vec<f32>),
    #[cfg(feature = "cuda")]
    Gpu(cuda::Room),
}

/// The same when they are written.
pub(super) enum Written {
    Here(Vec<f32>),
    #[cfg(feature = "cuda")]
    Gpu(cuda::Loaded),
}

impl Transport {
    /// For batches of `data` with at most so many examples.
    #[cfg_attr(not(feature = "cuda"), allow(unused_variables))]
    fn to(device: &Device, data: Data, examples: usize) -> Result<Self> {
        #[cfg(feature = "cuda")]
        if device.is_cuda() {
            // Those that wait, the one that is written, and the one that is taken.
            let (arrays, size) = match data.pairs {
                None => (1, data.features.array_len()),
                Some(pairs) => (2, data.features.array_len().max(pairs.images.array_len())),
            };
            return cuda::Feeder::of(device, arrays, AHEAD + 2, examples * size).map(Self::Gpu);
        }
        Ok(Self::Stay)
    }

    pub fn inputs(&self, length: usize) -> Result<Inputs> {
        match self {
            Self::Stay => Ok(Inputs::Here(vec![0.0; length])),
            #[cfg(feature = "cuda")]
            Self::Gpu(feeder) => feeder.room(length).map(Inputs::Gpu),
        }
    }

    /// The inputs where the network reads them, which is the same place in each batch on a GPU: `number` tells the inputs of one batch apart.
    #[cfg_attr(not(feature = "cuda"), allow(unused_variables))]
    fn arrived(&self, written: Written, number: usize, shape: [usize; 4]) -> Result<Tensor> {
        match (self, written) {
            (_, Written::Here(numbers)) => Tensor::from_vec(numbers, shape.to_vec(), &Device::Cpu),
            #[cfg(feature = "cuda")]
            (Self::Gpu(feeder), Written::Gpu(loaded)) => feeder.lay(loaded, number, shape.to_vec()),
            #[cfg(feature = "cuda")]
            (Self::Stay, Written::Gpu(_)) => candle_core::bail!("a batch is on a GPU without a feeder"),
        }
    }

    fn rest(self) {
        match self {
            Self::Stay => {}
            #[cfg(feature = "cuda")]
            Self::Gpu(feeder) => feeder.rest(),
        }
    }
}

impl Inputs {
    pub fn numbers(&mut self) -> Result<&mut [f32]> {
        match self {
            Self::Here(numbers) => Ok(numbers),
            #[cfg(feature = "cuda")]
            Self::Gpu(room) => room.numbers(),
        }
    }

    pub fn send(self) -> Result<Written> {
        match self {
            Self::Here(numbers) => Ok(Written::Here(numbers)),
            #[cfg(feature = "cuda")]
            Self::Gpu(room) => room.send().map(Written::Gpu),
        }
    }
}

/// A batch whose inputs are on their way.
pub(super) struct Prepared {
    pub inputs: Written,
    pub shape: [usize; 4],
    /// Of pairs: the pictures, in the shape that is said.
    pub images: Option<(Written, [usize; 4])>,
    /// All but these.
    pub batch: Batch,
}

impl Prepared {
    fn arrived(self, transport: &Transport) -> Result<Batch> {
        let mut batch = self.batch;
        batch.inputs = transport.arrived(self.inputs, 0, self.shape)?;
        if let (Some((images, shape)), Some(pair)) = (self.images, &mut batch.pair) {
            pair.images = transport.arrived(images, 1, shape)?;
        }
        Ok(batch)
    }
}

/// `number`: of the batch in its epoch.
fn prepared(
    data: Data,
    examples: &[usize],
    transport: &Transport,
    preparation: Preparation,
    number: usize,
) -> Result<Prepared> {
    if let Some(pairs) = data.pairs {
        return pairs::prepared(data, pairs, examples, transport, preparation);
    }
    let shape = data.features.shape();
    let [channels, rows, frames] = shape;
    let device = &Device::Cpu;
    let mut written = transport.inputs(examples.len() * data.features.array_len())?;
    let inputs = written.numbers()?;
    for (&example, out) in examples.iter().zip(inputs.chunks_mut(data.features.array_len().max(1))) {
        data.features.read(example, out).map_err(candle_core::Error::wrap)?;
        if let Some(augment) = preparation.augment {
            augment.example(example, shape, out);
        }
    }
    let mut labels = data.labels.select(data.problem, examples);
    let mut weights = preparation.weights.map(|weights| weights.select(examples));
    let pairing = preparation.augment.and_then(|augment| {
        let spec = augment.spec.mixup.as_ref()?;
        Some(pairing(spec, augment.seed, augment.epoch, number, examples.len()))
    });
    let mut mixed = None;
    if let Some(pairing) = pairing {
        pairing.mix(inputs);
        match &mut labels {
            Labels::Values(values) => {
                pairing.mix(values);
                if let Some(weights) = &mut weights {
                    pairing.mix(weights);
                }
            }
            Labels::Classes(classes) => {
                let others = weights.as_deref().map(|weights| pairing.partners(weights));
                mixed = Some(Mixed {
                    share: pairing.share,
                    targets: Tensor::from_vec(pairing.partners(classes), examples.len(), device)?,
                    weights: others
                        .map(|others| Tensor::from_vec(others, examples.len(), device))
                        .transpose()?,
                });
            }
        }
    }
    let width = data.problem.width();
    let targets = match &labels {
        Labels::Values(values) => Tensor::from_slice(values, (examples.len(), width), device)?,
        Labels::Classes(classes) => Tensor::from_slice(classes, examples.len(), device)?,
    };
    let batch = Batch {
        inputs: Tensor::zeros(0, DType::F32, device)?,
        weights: weights
            .map(|weights| Tensor::from_vec(weights, targets.shape(), device))
            .transpose()?,
        targets,
        mixed,
        labels,
        examples: examples.to_vec(),
        pair: None,
    };
    Ok(Prepared {
        inputs: written.send()?,
        shape: [examples.len(), channels, rows, frames],
        images: None,
        batch,
    })
}
