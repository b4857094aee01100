//! Two branches that meet: an embedding of the picture, one of the clip, a join, and layers behind it.

use std::borrow::Borrow;

use candle_core::{Result, Tensor, Var};

use super::builder::{Builder, Fan};
use super::kernels::{linear, product};
use super::layers::{self, Layer};
use super::network::Mode;
use super::plan::{Plan, PlanError, PlannedLayer};
use super::spec::{BranchSpec, EmotionSpec, HeadSpec, Initialization, Join, LayerSpec, NetworkSpec};

/// Numbers that describe an emotion: valence and arousal.
pub const EMOTION: usize = 2;
/// Layers of the second branch and of the head are counted from here, so that no two of them draw one dropout mask.
const AUDIO_LAYERS: u64 = 1 << 20;
const HEAD_LAYERS: u64 = 1 << 21;
/// Added to a squared length before its root is taken: an embedding of zeros has a cosine of 0 with everything.
const EPSILON: f64 = 1e-12;

/// A network of two branches whose layers fit together.
#[derive(Debug, Clone, PartialEq)]
pub struct PairPlan {
    pub image: Plan,
    pub audio: Plan,
    pub join: PlannedLayer,
    /// Behind the join.
    pub head: Plan,
    /// The linear layers for valence and arousal, of the picture and of the clip.
    pub emotion: Vec<PlannedLayer>,
}

impl PairPlan {
    /// Infers the shapes for pictures and clips of these shapes. The network has one output: the score.
    ///
    /// # Errors
    /// Layers that do not fit; embeddings that the join cannot take; a branch or head that is missing.
    pub fn new(spec: &NetworkSpec, image: &[usize], audio: &[usize]) -> std::result::Result<Self, PlanError> {
        let missing = |at: &'static str| PlanError {
            at,
            layer: 0,
            message: "it is missing".into(),
            input: Vec::new(),
            so_far: Vec::new(),
        };
        let (Some(image_spec), Some(audio_spec), Some(head)) = (&spec.image, &spec.audio, &spec.head) else {
            return Err(missing("model.head.layers"));
        };
        let image = branch("model.image.layers", image_spec, image)?;
        let audio = branch("model.audio.layers", audio_spec, audio)?;
        let (of_image, of_audio) = (image.ends(), audio.ends());
        let joined = join(head, of_image, of_audio).map_err(|message| PlanError {
            message,
            ..missing("model.head.layers")
        })?;
        let emotion = spec.emotion.iter().flat_map(|_| [of_image, of_audio]);
        let emotion = emotion.map(|inputs| PlannedLayer {
            detail: format!("{inputs} → {EMOTION} (valence, arousal)"),
            parameters: (inputs + 1) * EMOTION,
            flops: 2 * (inputs * EMOTION) as u64,
            ..PlannedLayer::new("linear", &[inputs], vec![EMOTION])
        });
        Ok(Self {
            head: Plan::of_layers("model.head.layers", &head.layers, &joined.output, 1)?,
            emotion: emotion.collect(),
            join: joined,
            image,
            audio,
        })
    }

    /// Trainable numbers in all.
    pub fn parameters(&self) -> usize {
        let plans = [&self.image, &self.audio, &self.head];
        let others = self.emotion.iter().chain([&self.join]);
        plans.iter().map(|plan| plan.parameters()).sum::<usize>() + others.map(|layer| layer.parameters).sum::<usize>()
    }

    /// Floating-point operations of a forward pass for one pair.
    pub fn flops(&self) -> u64 {
        let plans = [&self.image, &self.audio, &self.head];
        let others = self.emotion.iter().chain([&self.join]);
        plans.iter().map(|plan| plan.flops()).sum::<u64>() + others.map(|layer| layer.flops).sum::<u64>()
    }

    /// Numbers of one pair that a training step keeps for its backward pass.
    pub fn activations(&self) -> u64 {
        let plans = [&self.image, &self.audio, &self.head];
        plans.iter().map(|plan| plan.activations()).sum()
    }
}

fn branch(at: &'static str, spec: &BranchSpec, input: &[usize]) -> std::result::Result<Plan, PlanError> {
    let plan = Plan::layers_only(at, &spec.layers, input, 1)?;
    match plan.shape() {
        [_] => Ok(plan),
        other => {
            let message = format!(
                "the branch ends with shape {}, but an embedding is a vector; end it with `linear = 64` or `flatten = {{}}`",
                super::shape_text(other)
            );
            Err(plan.error(at, spec.layers.len().saturating_sub(1), message))
        }
    }
}

fn join(head: &HeadSpec, image: usize, audio: usize) -> std::result::Result<PlannedLayer, String> {
    let alike = || match image == audio {
        true => Ok(()),
        false => Err(format!(
            "the embeddings have {image} and {audio} numbers, but this join needs two of one size: give both branches the same last layer"
        )),
    };
    let layer = |name, detail: String, output: usize, flops: usize| PlannedLayer {
        detail,
        flops: flops as u64,
        ..PlannedLayer::new(name, &[image, audio], vec![output])
    };
    match head.join {
        Join::Concat => Ok(layer("concat", format!("{image} and {audio}"), image + audio, 0)),
        Join::Product => alike().map(|()| layer("product", String::new(), image, image)),
        Join::Cosine => alike().map(|()| layer("cosine", String::new(), 1, 6 * image)),
        Join::Bilinear => {
            let units = head.units;
            let products = image.saturating_mul(audio).saturating_mul(units);
            Ok(PlannedLayer {
                parameters: products.saturating_add(units),
                ..layer(
                    "bilinear",
                    format!("{image} × {audio} → {units}"),
                    units,
                    products.saturating_mul(2),
                )
            })
        }
    }
}

/// What a forward pass over pairs gives.
pub struct PairOutputs {
    /// `[batch, 1]`.
    pub score: Tensor,
    /// Embeddings of the pictures, `[batch, numbers]`.
    pub image: Tensor,
    /// Embeddings of the clips, `[batch, numbers]`.
    pub audio: Tensor,
    /// Valence and arousal of the picture, then those of the clip: `[batch, 4]`.
    pub emotion: Option<Tensor>,
}

/// Two branches with their parameters.
pub(super) struct PairNet {
    image: Vec<Layer>,
    audio: Vec<Layer>,
    join: Join,
    /// `[units, image, audio]` and `[units]`.
    bilinear: Option<(Var, Var)>,
    head: Vec<Layer>,
    /// For the picture and for the clip: weight `[2, numbers]` and bias `[2]`.
    emotion: Option<[(Var, Var); 2]>,
}

impl PairNet {
    /// `spec` is what `plan` was made from.
    pub fn new(builder: &mut Builder, spec: &NetworkSpec, plan: &PairPlan) -> Result<Self> {
        let (Some(image), Some(audio), Some(head)) = (&spec.image, &spec.audio, &spec.head) else {
            candle_core::bail!("the network has no two branches");
        };
        let image = build(builder, "image.layers", &image.layers, &plan.image)?;
        let audio = build(builder, "audio.layers", &audio.layers, &plan.audio)?;
        let (of_image, of_audio) = (plan.image.ends(), plan.audio.ends());
        let bilinear = match head.join {
            Join::Bilinear => {
                // As in PyTorch: by the size of the first input.
                let fan = Fan {
                    into: of_image,
                    out: head.units,
                };
                let shape = [head.units, of_image, of_audio];
                let weight = builder.weight("join.weight".into(), &shape, fan, Initialization::Default)?;
                Some((
                    weight,
                    builder.bias("join.bias".into(), head.units, fan, Initialization::Default)?,
                ))
            }
            Join::Concat | Join::Product | Join::Cosine => None,
        };
        let layers = build(builder, "head.layers", &head.layers, &plan.head)?;
        let mut linear = |name: &str, inputs: usize| -> Result<(Var, Var)> {
            let fan = Fan {
                into: inputs,
                out: EMOTION,
            };
            let weight = builder.weight(
                format!("{name}.weight"),
                &[EMOTION, inputs],
                fan,
                Initialization::Default,
            )?;
            Ok((
                weight,
                builder.bias(format!("{name}.bias"), EMOTION, fan, Initialization::Default)?,
            ))
        };
        let emotion = match &spec.emotion {
            Some(EmotionSpec { .. }) => Some([linear("image.emotion", of_image)?, linear("audio.emotion", of_audio)?]),
            None => None,
        };
        Ok(Self {
            image,
            audio,
            join: head.join,
            bilinear,
            head: layers,
            emotion,
        })
    }

    /// `[batch, 3, rows, columns]` → `[batch, numbers]`.
    pub fn embed_image(&self, input: &Tensor, mode: Mode) -> Result<Tensor> {
        layers::forward_from(&self.image, input, mode, 0)
    }

    /// `[batch, 1, rows, frames]` → `[batch, numbers]`.
    pub fn embed_audio(&self, input: &Tensor, mode: Mode) -> Result<Tensor> {
        layers::forward_from(&self.audio, input, mode, AUDIO_LAYERS)
    }

    /// Two embeddings → `[batch, 1]`.
    pub fn score(&self, image: &Tensor, audio: &Tensor, mode: Mode) -> Result<Tensor> {
        let joined = match (self.join, &self.bilinear) {
            (Join::Concat, _) => Tensor::cat(&[image, audio], 1)?,
            (Join::Product, _) => (image * audio)?,
            (Join::Bilinear, Some((weight, bias))) => bilinear(image, audio, weight, bias)?,
            (Join::Cosine | Join::Bilinear, _) => (normalized(image)? * normalized(audio)?)?.sum_keepdim(1)?,
        };
        layers::forward_from(&self.head, &joined, mode, HEAD_LAYERS)
    }

    /// Valence and arousal by an embedding, `[batch, 2]`.
    pub fn emotion_of(&self, embedding: &Tensor, side: Side) -> Result<Option<Tensor>> {
        let Some(of_sides) = &self.emotion else { return Ok(None) };
        let (weight, bias) = match side {
            Side::Image => &of_sides[0],
            Side::Audio => &of_sides[1],
        };
        Ok(Some(linear(embedding, weight, bias)?))
    }
}

/// The picture or the clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Image,
    Audio,
}

fn build(builder: &mut Builder, prefix: &str, specs: &[LayerSpec], plan: &Plan) -> Result<Vec<Layer>> {
    let layers = specs.iter().zip(&plan.layers).enumerate();
    layers
        .map(|(index, (spec, planned))| Layer::new(builder, &format!("{prefix}.{index}"), spec, planned, plan.outputs))
        .collect()
}

/// Each row divided by its length.
pub fn normalized(embedding: &Tensor) -> Result<Tensor> {
    let length = (embedding.sqr()?.sum_keepdim(1)? + EPSILON)?.sqrt()?;
    embedding.broadcast_div(&length)
}

/// u `[batch, m]`, v `[batch, n]`, W `[units, m, n]`, b `[units]` → `[batch, units]`.
fn bilinear(u: &Tensor, v: &Tensor, weight: &Var, bias: &Var) -> Result<Tensor> {
    let (units, m, n) = weight.dims3()?;
    let of_units = (0..units)
        .map(|unit| {
            let weight = weight.narrow(0, unit, 1)?.reshape((m, n))?;
            (product(u, &weight)? * v)?.sum_keepdim(1)
        })
        .collect::<Result<Vec<Tensor>>>()?;
    Tensor::cat(&of_units.iter().map(Borrow::borrow).collect::<Vec<&Tensor>>(), 1)?.broadcast_add(bias)
}
