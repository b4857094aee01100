//! Convolutions and norms.

use super::Lowering;
use crate::export::Error;
use crate::export::onnx::graph::{Value, axis_from_end, float, int, ints};
use crate::nn::definition;
use crate::nn::kernels::Windows;
use crate::nn::spec::{BatchNormSpec, Conv2dSpec, LayerNormSpec, NormOver, ResidualSpec};

impl Lowering<'_> {
    pub(super) fn conv2d(&mut self, spec: &Conv2dSpec, input: &str) -> Result<Value, Error> {
        let geometry = definition::geometry(spec).map_err(Error::Shape)?;
        let pair = |(rows, columns): (usize, usize)| [rows, columns];
        let [above, left] = pair(geometry.padding);
        let weight = self.parameter("weight")?;
        let bias = match self.weights.find(&format!("{}.bias", self.prefix)) {
            Some(_) => Some(self.parameter("bias")?),
            None => None,
        };
        let mut inputs = vec![input, weight.as_str()];
        inputs.extend(bias.as_deref());
        let convolved = self.graph.node(
            "Conv",
            &inputs,
            vec![
                ints("kernel_shape", &pair(spec.kernel.get())),
                ints("strides", &pair(geometry.stride)),
                ints("dilations", &pair(geometry.dilation)),
                ints("pads", &[above, left, above, left]),
                int("group", geometry.groups),
            ],
        );
        let value = match spec.batch_norm {
            true => self.norm_of_channels("norm.", &BatchNormSpec::default(), &convolved)?,
            false => convolved,
        };
        let value = self.activated(spec.activation, value);
        Ok(match spec.max_pool {
            Some(pool) => self.windows("MaxPool", Windows::tiling(pool.get()), &value),
            None => value,
        })
    }

    /// Batch norm over the second axis.
    pub(super) fn norm_of_channels(&mut self, prefix: &str, spec: &BatchNormSpec, input: &str) -> Result<Value, Error> {
        let mut inputs = vec![input.to_owned()];
        for name in ["weight", "bias", "running_mean", "running_var"] {
            inputs.push(self.parameter(&format!("{prefix}{name}"))?);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let attributes = vec![float("epsilon", spec.epsilon)];
        Ok(self.graph.node("BatchNormalization", &inputs, attributes))
    }

    pub(super) fn batch_norm(&mut self, spec: &BatchNormSpec, shape: &[usize], input: &str) -> Result<Value, Error> {
        if shape.len() != 2 {
            return self.norm_of_channels("", spec, input);
        }
        // Of a sequence, the channels are last.
        let swapped = self.graph.node("Transpose", &[input], vec![ints("perm", &[0, 2, 1])]);
        let normalized = self.norm_of_channels("", spec, &swapped)?;
        Ok(self
            .graph
            .node("Transpose", &[&normalized], vec![ints("perm", &[0, 2, 1])]))
    }

    pub(super) fn layer_norm(&mut self, spec: &LayerNormSpec, input: &str) -> Result<Value, Error> {
        let (gain, offset) = (self.parameter("weight")?, self.parameter("bias")?);
        let axis = match spec.over {
            NormOver::Example => int("axis", 1),
            NormOver::Last => axis_from_end("axis", 1),
        };
        let attributes = vec![axis, float("epsilon", spec.epsilon)];
        Ok(self
            .graph
            .node("LayerNormalization", &[input, &gain, &offset], attributes))
    }

    pub(super) fn residual(&mut self, spec: &ResidualSpec, shape: &[usize], input: &str) -> Result<Value, Error> {
        let channels = shape.first().copied().unwrap_or(1);
        let (first, second, around) = definition::residual_parts(spec, channels);
        let outer = self.prefix.clone();
        let mut part = |name: &str, spec: &Conv2dSpec, input: &str| {
            self.prefix = format!("{outer}.{name}");
            self.conv2d(spec, input)
        };
        let value = part("first", &first, input)?;
        let value = part("second", &second, &value)?;
        let around = match around {
            Some(around) => part("around", &around, input)?,
            None => input.to_owned(),
        };
        self.prefix = outer;
        let sum = self.graph.node("Add", &[&value, &around], Vec::new());
        Ok(self.activated(Some(spec.activation), sum))
    }
}
