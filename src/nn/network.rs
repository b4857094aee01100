//! A network that can be run: parameters, buffers and the forward pass.

use candle_core::{Device, Result, Tensor, Var};

use super::builder::Builder;
use super::kernels::Step;
use super::layers::{self, Layer};
use super::pair::{PairNet, PairOutputs, PairPlan, Side};
use super::plan::Plan;
use super::spec::NetworkSpec;

/// Whether a forward pass trains.
#[derive(Debug, Clone, Copy)]
pub enum Mode {
    /// Batch norm uses and follows the batch; dropout draws its masks from `seed` and `step`.
    Train { seed: u64, step: Step },
    /// Batch norm uses the running averages (folded into the convolution); no dropout.
    Evaluate,
}

/// Parameters and buffers in the order of the layers, with names such as `layers.0.weight`.
pub struct Network {
    body: Body,
    parameters: Vec<(String, Var)>,
    buffers: Vec<(String, Var)>,
    device: Device,
}

/// What a batch goes through.
enum Body {
    Layers(Vec<Layer>),
    Pair(Box<PairNet>),
}

impl Network {
    /// Builds the network that `plan` was made from, with parameters drawn from `seed`.
    pub fn new(spec: &NetworkSpec, plan: &Plan, seed: u64, device: &Device) -> Result<Self> {
        let mut builder = Builder::new(seed, device);
        let mut layers = Vec::with_capacity(spec.layers.len());
        for (index, (layer, planned)) in spec.layers.iter().zip(&plan.layers).enumerate() {
            let prefix = format!("layers.{index}");
            layers.push(Layer::new(&mut builder, &prefix, layer, planned, plan.outputs)?);
        }
        Ok(Self {
            body: Body::Layers(layers),
            parameters: builder.parameters,
            buffers: builder.buffers,
            device: device.clone(),
        })
    }

    /// Builds the network of two branches that `plan` was made from.
    pub fn of_pairs(spec: &NetworkSpec, plan: &PairPlan, seed: u64, device: &Device) -> Result<Self> {
        let mut builder = Builder::new(seed, device);
        let net = PairNet::new(&mut builder, spec, plan)?;
        Ok(Self {
            body: Body::Pair(Box::new(net)),
            parameters: builder.parameters,
            buffers: builder.buffers,
            device: device.clone(),
        })
    }

    /// What the optimiser moves, in the order of the layers.
    pub fn parameters(&self) -> &[(String, Var)] {
        &self.parameters
    }

    /// What is kept beside the parameters: running averages.
    pub fn buffers(&self) -> &[(String, Var)] {
        &self.buffers
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// `[batch, channels, rows, columns]` → `[batch, outputs]`.
    pub fn forward(&self, input: &Tensor, mode: Mode) -> Result<Tensor> {
        match &self.body {
            Body::Layers(layers) => layers::forward(layers, input, mode),
            Body::Pair(_) => candle_core::bail!("a network of two branches takes pairs"),
        }
    }

    /// Whether a forward pass in training takes, on a GPU, nothing but operators of our own, so that its backward pass can be that of
    /// [`super::kernels::tape`]. All layers do; what joins two branches does not.
    pub fn fits_on_tape(&self) -> bool {
        matches!(self.body, Body::Layers(_))
    }

    fn pair_net(&self) -> Result<&PairNet> {
        match &self.body {
            Body::Pair(net) => Ok(net),
            Body::Layers(_) => candle_core::bail!("the network has no two branches"),
        }
    }

    /// Pictures `[batch, 3, rows, columns]` and clips `[batch, 1, rows, frames]`, pair by pair.
    ///
    /// # Errors
    /// The network has no two branches.
    pub fn forward_pairs(&self, image: &Tensor, audio: &Tensor, mode: Mode) -> Result<PairOutputs> {
        let net = self.pair_net()?;
        let image = net.embed_image(image, mode)?;
        let audio = net.embed_audio(audio, mode)?;
        let emotions = [
            net.emotion_of(&image, Side::Image)?,
            net.emotion_of(&audio, Side::Audio)?,
        ];
        Ok(PairOutputs {
            score: net.score(&image, &audio, mode)?,
            image,
            audio,
            emotion: match emotions {
                [Some(image), Some(audio)] => Some(Tensor::cat(&[&image, &audio], 1)?),
                _ => None,
            },
        })
    }

    /// Embeddings `[batch, numbers]` of pictures or clips, and their valence and arousal `[batch, 2]` where the network has learned them;
    /// in evaluation.
    ///
    /// # Errors
    /// As [`Self::forward_pairs`].
    pub fn embed(&self, inputs: &Tensor, side: Side) -> Result<(Tensor, Option<Tensor>)> {
        let net = self.pair_net()?;
        let embedding = match side {
            Side::Image => net.embed_image(inputs, Mode::Evaluate)?,
            Side::Audio => net.embed_audio(inputs, Mode::Evaluate)?,
        };
        let emotion = net.emotion_of(&embedding, side)?;
        Ok((embedding, emotion))
    }

    /// Scores `[batch, 1]` of embeddings of pictures and of clips, pair by pair; in evaluation.
    ///
    /// # Errors
    /// As [`Self::forward_pairs`].
    pub fn score_embedded(&self, image: &Tensor, audio: &Tensor) -> Result<Tensor> {
        self.pair_net()?.score(image, audio, Mode::Evaluate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Generator;

    fn training(step: u64) -> Mode {
        Mode::Train {
            seed: 1,
            step: Step::Known(step),
        }
    }

    fn network(layers: &str, input: &[usize], outputs: usize) -> Network {
        let spec: NetworkSpec = toml::from_str(&format!("layers = [{layers}]")).unwrap();
        let plan = Plan::new(&spec, input, outputs).unwrap();
        Network::new(&spec, &plan, 7, &Device::Cpu).unwrap()
    }

    fn input(shape: &[usize]) -> Tensor {
        let mut generator = Generator::keyed(3, "test", &[]);
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| generator.normal() as f32).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    const CNN: &str = r#"
        { conv2d = { channels = 4, batch_norm = true, activation = "relu", max_pool = 2 } },
        { conv2d = { channels = 6, kernel = [3, 5], dropout = 0.5 } },
        { adaptive_avg_pool2d = [2, 1] },
        { linear = { units = 5, activation = "relu" } },
        { linear = "targets" }"#;

    #[test]
    fn the_plan_counts_what_is_built_and_every_parameter_gets_a_gradient() {
        let spec: NetworkSpec = toml::from_str(&format!("layers = [{CNN}]")).unwrap();
        let plan = Plan::new(&spec, &[1, 9, 11], 3).unwrap();
        let network = Network::new(&spec, &plan, 7, &Device::Cpu).unwrap();
        let built: usize = network.parameters().iter().map(|(_, var)| var.elem_count()).sum();
        assert_eq!(built, plan.parameters());
        let out = network.forward(&input(&[4, 1, 9, 11]), training(1)).unwrap();
        assert_eq!(out.dims(), [4, 3]);
        let gradients = out.sqr().unwrap().mean_all().unwrap().backward().unwrap();
        for (name, var) in network.parameters() {
            assert!(gradients.get(var).is_some(), "no gradient for {name}");
        }
    }

    #[test]
    fn evaluation_uses_the_running_averages() {
        let network = network(
            r#"{ conv2d = { channels = 3, batch_norm = true } }, { adaptive_avg_pool2d = 1 }, { linear = "targets" }"#,
            &[1, 6, 6],
            2,
        );
        let batch = input(&[8, 1, 6, 6]);
        for step in 0..400 {
            network.forward(&batch, training(step)).unwrap();
        }
        // After many passes over one batch the averages are the batch's, but for the bias of the variance.
        let train = network.forward(&batch, training(0)).unwrap().to_vec2::<f32>().unwrap();
        let evaluate = network
            .forward(&batch, Mode::Evaluate)
            .unwrap()
            .to_vec2::<f32>()
            .unwrap();
        for (a, b) in train.iter().flatten().zip(evaluate.iter().flatten()) {
            assert!((a - b).abs() < 5e-3, "{a} {b}");
        }
    }

    #[test]
    fn dropout_is_keyed_by_step_and_absent_in_evaluation() {
        let network = network(r#"{ dropout = 0.5 }, { linear = "targets" }"#, &[1, 4, 4], 2);
        let batch = input(&[2, 1, 4, 4]);
        let run = |mode| network.forward(&batch, mode).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(run(training(1)), run(training(1)));
        assert_ne!(run(training(1)), run(training(2)));
        assert_eq!(run(Mode::Evaluate), run(Mode::Evaluate));
    }
}
