//! Layers that stand apart in the experiment file and are computed by one operator: a convolution (with its rectifier), the batch norm
//! behind it, a rectifier behind that, and max pool windows side by side.

use candle_core::{Result, Tensor};

use super::super::kernels::{Block, Order, Rectifier};
use super::super::network::Mode;
use super::conv2d::{Conv2d, fits, rectifier};
use super::norm::BatchNorm;
use super::{Layer, Pass};

/// The output of all layers, one after the other.
pub fn forward(layers: &[Layer], input: &Tensor, mode: Mode) -> Result<Tensor> {
    forward_from(layers, input, mode, 0)
}

/// As [`forward`]; the layers are counted from `first` on, by which they draw what is random.
pub fn forward_from(layers: &[Layer], input: &Tensor, mode: Mode, first: u64) -> Result<Tensor> {
    let mut value = input.clone();
    let mut index = 0;
    while let Some(rest) = layers.get(index..).filter(|rest| !rest.is_empty()) {
        match Fused::begins(rest) {
            Some(fused) => {
                value = fused.conv.convolve(&value, fused.norm, fused.block, mode)?;
                index += fused.layers;
            }
            None => {
                let layer = first + index as u64;
                value = rest[0].forward(&value, Pass { mode, layer })?;
                index += 1;
            }
        }
    }
    Ok(value)
}

/// The first layers of some, as one.
struct Fused<'a> {
    conv: &'a Conv2d,
    norm: Option<&'a BatchNorm>,
    block: Block,
    layers: usize,
}

impl<'a> Fused<'a> {
    /// `None` where the first layer is computed alone.
    fn begins(layers: &'a [Layer]) -> Option<Self> {
        let (Layer::Conv2d(conv), mut rest) = layers.split_first()? else {
            return None;
        };
        let mut block = conv.open()?;
        let mut norm = None;
        if let [Layer::BatchNorm(found), after @ ..] = rest {
            (norm, rest) = (Some(found), after);
            if block.rectifier != Rectifier::Identity {
                block.order = Order::RectifierFirst;
            }
        }
        if block.rectifier == Rectifier::Identity
            && let [Layer::Activation(function), after @ ..] = rest
            && let Some(rectifier) = rectifier(*function)
        {
            (block.rectifier, rest) = (rectifier, after);
        }
        if let [Layer::Pool(pool), after @ ..] = rest
            && let Some(window) = pool.max_tiles()
            && fits(window)
        {
            (block.window, rest) = (window, after);
        }
        let layers = layers.len() - rest.len();
        (layers > 1).then_some(Self {
            conv,
            norm,
            block,
            layers,
        })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::nn::builder::Builder;
    use crate::nn::kernels::Step;
    use crate::nn::plan::Plan;
    use crate::nn::spec::NetworkSpec;
    use crate::random::Generator;

    fn layers(text: &str) -> (Vec<Layer>, Vec<(String, Var)>) {
        let spec: NetworkSpec = toml::from_str(&format!("layers = [{text}, {{ linear = \"targets\" }}]")).unwrap();
        let plan = Plan::new(&spec, &[2, 9, 11], 1).unwrap();
        let mut builder = Builder::new(7, &Device::Cpu);
        let layers = spec
            .layers
            .iter()
            .zip(&plan.layers)
            .enumerate()
            .map(|(index, (layer, planned))| {
                Layer::new(&mut builder, &format!("layers.{index}"), layer, planned, 1).unwrap()
            });
        let mut layers: Vec<Layer> = layers.collect();
        layers.pop();
        // Gains of both signs, which decide what a maximum is of.
        for (index, (name, var)) in builder.parameters.iter().enumerate() {
            if var.dims().len() == 1 {
                let mut generator = Generator::keyed(5, name, &[index as u64]);
                let values: Vec<f32> = (0..var.elem_count()).map(|_| generator.normal() as f32).collect();
                var.set(&Tensor::from_vec(values, var.dims(), &Device::Cpu).unwrap())
                    .unwrap();
            }
        }
        (layers, builder.parameters)
    }

    const CONV: &str = "{ conv2d = { channels = 4, kernel = 3 } }";
    const RECTIFIED: &str = "{ conv2d = { channels = 4, kernel = 3, activation = \"relu\" } }";
    const LEAKY: &str = "{ conv2d = { channels = 4, kernel = 3, activation = \"leaky-relu\" } }";
    const NORM: &str = "{ batch_norm = {} }";
    const RELU: &str = "{ relu = {} }";
    const POOL: &str = "{ max_pool2d = 2 }";

    #[test]
    fn what_is_computed_at_once_is_what_the_layers_give_one_after_the_other() {
        let averaged = "{ avg_pool2d = 2 }";
        let overlapping = "{ max_pool2d = { window = 3, stride = 2 } }";
        for (sequence, at_once) in [
            (vec![CONV, NORM, RELU, POOL], 4),
            (vec![CONV, NORM, RELU, overlapping], 3),
            (vec![CONV, NORM, POOL], 3),
            (vec![CONV, RELU, POOL], 3),
            (vec![CONV, POOL, NORM], 2),
            (vec![RECTIFIED, NORM, POOL, "{ dropout = 0.5 }"], 3),
            (vec![RECTIFIED, NORM, RELU, POOL], 2),
            (vec![LEAKY, NORM, "{ max_pool2d = [1, 3] }", CONV], 3),
            (vec![RECTIFIED, averaged], 1),
            (vec!["{ conv2d = { channels = 4, activation = \"gelu\" } }", NORM], 1),
            (vec!["{ conv2d = { channels = 4, batch_norm = true } }", POOL], 1),
            (vec![NORM, RELU, POOL], 1),
        ] {
            let mut generator = Generator::keyed(3, "test", &[]);
            let values: Vec<f32> = (0..3 * 2 * 9 * 11).map(|_| generator.normal() as f32).collect();
            let input = Var::from_tensor(&Tensor::from_vec(values, (3, 2, 9, 11), &Device::Cpu).unwrap()).unwrap();
            for mode in [
                Mode::Train {
                    seed: 1,
                    step: Step::Known(2),
                },
                Mode::Evaluate,
            ] {
                let (layers, parameters) = layers(&sequence.join(", "));
                assert_eq!(
                    Fused::begins(&layers).map_or(1, |fused| fused.layers),
                    at_once,
                    "{sequence:?}"
                );
                let together = forward(&layers, &input, mode).unwrap();
                let mut alone = input.as_tensor().clone();
                for (layer, index) in layers.iter().zip(0..) {
                    alone = layer.forward(&alone, Pass { mode, layer: index }).unwrap();
                }
                assert_eq!(together.dims(), alone.dims());
                near(&together, &alone, &sequence);
                if matches!(mode, Mode::Evaluate) {
                    continue;
                }
                let [of_one, of_all] = [&together, &alone].map(|out| {
                    let weights = out.detach().affine(0.3, 1.0).unwrap();
                    (out * weights).unwrap().sum_all().unwrap().backward().unwrap()
                });
                let of_targets = format!("layers.{}.", layers.len());
                let parameters = parameters.iter().filter(|(name, _)| !name.starts_with(&of_targets));
                for var in parameters.map(|(_, var)| var).chain([&input]) {
                    near(of_one.get(var).unwrap(), of_all.get(var).unwrap(), &sequence);
                }
            }
        }
    }

    fn near(a: &Tensor, b: &Tensor, of: &[&str]) {
        let difference = (a - b).unwrap().abs().unwrap().max_all().unwrap();
        let size = b.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(difference.to_scalar::<f32>().unwrap() <= 1e-4 * size.max(1.0), "{of:?}");
    }
}
