//! Pairs of a picture and a clip: what training reads of them, their batches, and their losses.
//!
//! A pair is two numbers; its picture and its clip are read from their caches by position when a batch is made, and nothing else is in
//! memory. Pictures and clips are read side by side, each on a thread of its own, so that the wait is that of the slower of the two.

use candle_core::{DType, Device, Result, Tensor};

use super::batches::{Batch, Data, Preparation, Prepared, Transport};
use super::loss::{Loss, Total, predictions};
use crate::evaluate::Problem;
use crate::features::FeatureSet;
use crate::nn::{Mode, Network, PairOutputs, Side};

/// A pair by the numbers of its picture and its clip in their feature sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairOf {
    pub image: u32,
    pub clip: u32,
}

/// Valence and arousal (from 0 to 1) where they are known, else NaN.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Emotions {
    /// `[pictures, 2]`.
    pub images: Vec<f32>,
    /// `[clips, 2]`.
    pub clips: Vec<f32>,
}

impl Emotions {
    /// Of the picture and the clip of a pair: valence and arousal of each.
    fn of(&self, pair: PairOf) -> [f32; 4] {
        let at = |values: &[f32], number: u32, place: usize| {
            values.get(2 * number as usize + place).copied().unwrap_or(f32::NAN)
        };
        [
            at(&self.images, pair.image, 0),
            at(&self.images, pair.image, 1),
            at(&self.clips, pair.clip, 0),
            at(&self.clips, pair.clip, 1),
        ]
    }
}

/// What makes the examples of [`Data`] pairs: `Data::features` are then the clips'.
#[derive(Clone, Copy)]
pub struct Pairs<'a> {
    pub images: &'a FeatureSet,
    /// By example.
    pub list: &'a [PairOf],
    /// What is known of valence and arousal, and how much learning them counts; `None` where the network does not.
    pub emotions: Option<(&'a Emotions, f64)>,
    /// The names of pictures and of clips, for messages.
    pub names: [&'a [String]; 2],
}

impl Pairs<'_> {
    /// The clip and the picture of an example.
    pub(super) fn name(&self, example: usize) -> Option<String> {
        let pair = self.list.get(example)?;
        let [images, clips] = self.names;
        Some(format!(
            "{} {}",
            clips.get(pair.clip as usize)?,
            images.get(pair.image as usize)?
        ))
    }
}

/// What a batch of pairs has beside its clips, which are its inputs.
pub struct PairBatch {
    /// `[batch, 3, rows, columns]`.
    pub images: Tensor,
    pub pairs: Vec<PairOf>,
    /// `[batch]`.
    pub scores: Vec<f32>,
    /// Valence and arousal of pictures and clips, 0 where they are not known, and 1 or 0 for whether they are; both `[batch, 4]`, on the CPU.
    pub emotions: Option<(Tensor, Tensor)>,
}

/// `examples`: of `data`, which are pairs.
pub(super) fn prepared(
    data: Data,
    pairs: Pairs,
    examples: &[usize],
    transport: &Transport,
    preparation: Preparation,
) -> Result<Prepared> {
    let device = &Device::Cpu;
    let of_batch: Vec<PairOf> = examples
        .iter()
        .filter_map(|&example| pairs.list.get(example).copied())
        .collect();
    let mut written_images = transport.inputs(of_batch.len() * pairs.images.array_len())?;
    let mut written_clips = transport.inputs(of_batch.len() * data.features.array_len())?;
    let (to_images, clips) = (written_images.numbers()?, written_clips.numbers()?);
    let (images, read_clips) = std::thread::scope(|scope| {
        let images = scope.spawn(|| {
            let numbers: Vec<usize> = of_batch.iter().map(|pair| pair.image as usize).collect();
            read_into(pairs.images, &numbers, to_images)
        });
        let numbers: Vec<usize> = of_batch.iter().map(|pair| pair.clip as usize).collect();
        let read_clips = read_into(data.features, &numbers, clips);
        let images = images
            .join()
            .unwrap_or_else(|_| Err(candle_core::Error::Msg("the pictures' reader stopped".into())));
        (images, read_clips)
    });
    images?;
    read_clips?;
    let shape = data.features.shape();
    if let Some(augment) = preparation.augment {
        for (&example, out) in examples.iter().zip(clips.chunks_mut(data.features.array_len().max(1))) {
            augment.example(example, shape, out);
        }
    }
    let labels = data.labels.select(data.problem, examples);
    let scores = match &labels {
        super::Labels::Values(values) => values.clone(),
        super::Labels::Classes(_) => Vec::new(),
    };
    let count = of_batch.len();
    let [channels, rows, columns] = pairs.images.shape();
    let emotions = pairs
        .emotions
        .map(|(emotions, _)| {
            let values: Vec<f32> = of_batch.iter().flat_map(|&pair| emotions.of(pair)).collect();
            let known = values
                .iter()
                .map(|value| f32::from(u8::from(value.is_finite())))
                .collect();
            let values = values
                .iter()
                .map(|value| if value.is_finite() { *value } else { 0.0 })
                .collect();
            Ok::<_, candle_core::Error>((
                Tensor::from_vec::<_, f32>(values, (count, 4), device)?,
                Tensor::from_vec::<_, f32>(known, (count, 4), device)?,
            ))
        })
        .transpose()?;
    let batch = Batch {
        inputs: Tensor::zeros(0, DType::F32, device)?,
        targets: Tensor::from_slice(&scores, (count, 1), device)?,
        weights: None,
        mixed: None,
        labels,
        examples: examples.to_vec(),
        pair: Some(PairBatch {
            images: Tensor::zeros(0, DType::F32, device)?,
            pairs: of_batch,
            scores,
            emotions,
        }),
    };
    Ok(Prepared {
        inputs: written_clips.send()?,
        shape: [count, shape[0], shape[1], shape[2]],
        images: Some((written_images.send()?, [count, channels, rows, columns])),
        batch,
    })
}

/// The arrays of some examples, one behind the other.
fn read(features: &FeatureSet, numbers: &[usize]) -> Result<Vec<f32>> {
    let mut values = vec![0.0f32; numbers.len() * features.array_len()];
    read_into(features, numbers, &mut values)?;
    Ok(values)
}

/// The same into `values`, which has room for all. One that stands there twice is read once.
fn read_into(features: &FeatureSet, numbers: &[usize], values: &mut [f32]) -> Result<()> {
    let size = features.array_len();
    for (place, &number) in numbers.iter().enumerate() {
        let (before, rest) = values.split_at_mut(place * size);
        let out = rest.get_mut(..size).unwrap_or_default();
        let earlier = numbers.iter().take(place).position(|&it| it == number);
        match earlier.and_then(|earlier| before.get(earlier * size..(earlier + 1) * size)) {
            Some(array) => out.copy_from_slice(array),
            None => features.read(number, out).map_err(candle_core::Error::wrap)?,
        }
    }
    Ok(())
}

/// What a forward pass gives, of examples or of pairs.
pub(super) struct Outputs {
    /// `[batch, outputs]`.
    pub predicted: Tensor,
    pair: Option<PairOutputs>,
}

impl Outputs {
    pub fn of(network: &Network, batch: &Batch, mode: Mode) -> Result<Self> {
        match &batch.pair {
            None => Ok(Self {
                predicted: network.forward(&batch.inputs, mode)?,
                pair: None,
            }),
            Some(pair) => {
                let outputs = network.forward_pairs(&pair.images, &batch.inputs, mode)?;
                Ok(Self {
                    predicted: outputs.score.clone(),
                    pair: Some(outputs),
                })
            }
        }
    }

    /// For a GPU's steps.
    #[cfg(feature = "cuda")]
    pub fn said(self) -> super::gpu::Said {
        super::gpu::Said {
            outputs: self.predicted,
            pair: self.pair,
        }
    }

    /// Cut off from what they were computed from, which they would keep in memory.
    pub fn detach(self) -> Result<Self> {
        self.map(|tensor| Ok(tensor.detach()))
    }

    /// In the CPU's memory.
    pub fn on_host(self) -> Result<Self> {
        self.map(|tensor| tensor.to_device(&Device::Cpu))
    }

    fn map(self, with: impl Fn(Tensor) -> Result<Tensor>) -> Result<Self> {
        let of_pair = |pair: PairOutputs| -> Result<PairOutputs> {
            Ok(PairOutputs {
                score: with(pair.score)?,
                image: with(pair.image)?,
                audio: with(pair.audio)?,
                emotion: pair.emotion.map(&with).transpose()?,
            })
        };
        Ok(Self {
            pair: self.pair.map(of_pair).transpose()?,
            predicted: with(self.predicted)?,
        })
    }

    /// The loss of the batch, on the CPU. Of pairs it is that of the score, or the contrastive one, and that of the emotions.
    pub fn total(&self, loss: &Loss, batch: &Batch, data: Data) -> Result<Total> {
        let (Some(outputs), Some(pair)) = (&self.pair, &batch.pair) else {
            return loss.total(&self.predicted, &batch.targets, batch.weights.as_ref());
        };
        let total = loss.of_pairs(outputs, pair, &batch.targets)?;
        let weight = data.pairs.and_then(|pairs| pairs.emotions).map(|(_, weight)| weight);
        match (weight, &outputs.emotion, &pair.emotions) {
            (Some(weight), Some(predicted), Some((truth, known))) => {
                let count = f64::from(known.sum_all()?.to_scalar::<f32>()?).max(1.0);
                let squares = ((predicted - truth)?.sqr()? * known)?.sum_all()?;
                let factor = weight * total.weight / count;
                Ok(Total {
                    sum: (total.sum + squares.affine(factor, 0.0)?)?,
                    weight: total.weight,
                })
            }
            _ => Ok(total),
        }
    }
}

/// Embeddings of pictures or of clips, in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// `[items, size]`.
    pub values: Vec<f32>,
    pub size: usize,
    /// Valence and arousal, `[items, 2]`, where the network has learned them.
    pub emotions: Option<Vec<f32>>,
}

/// What a network makes of the pictures or clips `items` of `features`. Each is looked at once. `progress` hears how many are done.
///
/// # Errors
/// Features that cannot be read; an embedding that is no number.
pub fn embed(
    network: &Network,
    side: Side,
    features: &FeatureSet,
    items: &[usize],
    batch_size: usize,
    mut progress: impl FnMut(usize),
) -> std::result::Result<Embedded, super::Error> {
    let [channels, rows, columns] = features.shape();
    let mut embedded = Embedded {
        values: Vec::new(),
        size: 0,
        emotions: None,
    };
    for some in items.chunks(batch_size.max(1)) {
        let inputs = Tensor::from_vec(
            read(features, some)?,
            (some.len(), channels, rows, columns),
            network.device(),
        )?;
        let (embedding, emotion) = network.embed(&inputs, side)?;
        embedded.size = embedding.dim(1)?;
        let values = on_host(&embedding)?;
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(super::Error::Embedding {
                value: f64::from(*value),
            });
        }
        embedded.values.extend(values);
        if let Some(emotion) = emotion {
            embedded.emotions.get_or_insert_default().extend(on_host(&emotion)?);
        }
        progress(some.len());
    }
    Ok(embedded)
}

/// Pairs whose scores are computed at once.
const AT_ONCE: usize = 4096;

/// The scores of pairs of embeddings, by their positions: (picture, clip).
///
/// # Errors
/// A score that is no number.
pub fn scores(
    network: &Network,
    images: &Embedded,
    clips: &Embedded,
    pairs: impl Iterator<Item = (usize, usize)>,
) -> std::result::Result<Vec<f32>, super::Error> {
    let problem = Problem::Regression {
        targets: vec![String::new()],
    };
    let pairs: Vec<(usize, usize)> = pairs.collect();
    let mut all = Vec::with_capacity(pairs.len());
    for some in pairs.chunks(AT_ONCE) {
        let gather = |embedded: &Embedded, of: fn(&(usize, usize)) -> usize| -> Result<Tensor> {
            let size = embedded.size;
            let values: Vec<f32> = some
                .iter()
                .flat_map(|pair| embedded.values.iter().skip(of(pair) * size).take(size).copied())
                .collect();
            Tensor::from_vec(values, (some.len(), size), network.device())
        };
        let (image, clip) = (gather(images, |pair| pair.0)?, gather(clips, |pair| pair.1)?);
        let scored = predictions(&problem, &network.score_embedded(&image, &clip)?)?;
        if let Some(value) = scored.iter().find(|value| !value.is_finite()) {
            return Err(super::Error::Embedding {
                value: f64::from(*value),
            });
        }
        all.extend(scored);
    }
    Ok(all)
}

fn on_host(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor
        .to_dtype(DType::F32)?
        .to_device(&Device::Cpu)?
        .flatten_all()?
        .to_vec1::<f32>()
}
