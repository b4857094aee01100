//! Each layer of a network as ONNX operators, as it computes when it evaluates.

mod conv;
mod pool;
mod recurrent;

use super::graph::{Graph, Value, float, int, ints, text};
use crate::export::{Error, Values, Weights};
use crate::nn::kernels::Function;
use crate::nn::plan::PlannedLayer;
use crate::nn::spec::{Activation, LayerSpec, LinearTable};
use crate::nn::{NetworkSpec, Plan, definition};

/// All layers: `features` `[batch, channels, rows, frames]` → `[batch, outputs]`.
pub fn network(
    graph: &mut Graph,
    spec: &NetworkSpec,
    plan: &Plan,
    weights: &Weights,
    features: Value,
) -> Result<Value, Error> {
    let mut value = features;
    for (index, (layer, planned)) in spec.layers.iter().zip(&plan.layers).enumerate() {
        graph.scope = format!("layers.{index}");
        let mut lowering = Lowering {
            graph,
            weights,
            prefix: format!("layers.{index}"),
        };
        value = lowering.layer(layer, planned, &value)?;
    }
    Ok(value)
}

/// One layer on its way into the graph.
struct Lowering<'a> {
    graph: &'a mut Graph,
    weights: &'a Weights,
    /// What the names of its parameters begin with.
    prefix: String,
}

impl Lowering<'_> {
    fn layer(&mut self, spec: &LayerSpec, planned: &PlannedLayer, input: &str) -> Result<Value, Error> {
        let shape = planned.input.as_slice();
        if let Some(function) = definition::function(spec) {
            return Ok(self.activation(function, input));
        }
        match spec {
            LayerSpec::Conv2d(spec) => self.conv2d(spec, input),
            LayerSpec::Residual(spec) => self.residual(spec, shape, input),
            LayerSpec::BatchNorm(spec) => self.batch_norm(spec, shape, input),
            LayerSpec::LayerNorm(spec) => self.layer_norm(spec, input),
            LayerSpec::MaxPool2d(_)
            | LayerSpec::AvgPool2d(_)
            | LayerSpec::AdaptiveAvgPool2d(_)
            | LayerSpec::AdaptiveMaxPool2d(_) => self.pool(spec, shape, input),
            LayerSpec::GlobalPool(spec) => self.global_pool(spec, shape, input),
            LayerSpec::Flatten(_) => Ok(self.flatten(shape, input)),
            LayerSpec::Linear(spec) => self.linear(&spec.table(), shape, input),
            LayerSpec::Gru(spec) => self.gru(spec, shape, input),
            LayerSpec::AttentionPool(_) => self.attention_pool(shape, input),
            // Dropout does nothing here; the activations are done.
            LayerSpec::Dropout(_)
            | LayerSpec::Relu(_)
            | LayerSpec::LeakyRelu(_)
            | LayerSpec::Gelu(_)
            | LayerSpec::Elu(_)
            | LayerSpec::Tanh(_)
            | LayerSpec::Sigmoid(_) => Ok(input.to_owned()),
        }
    }

    /// A parameter of the layer, as a constant.
    fn parameter(&mut self, name: &str) -> Result<Value, Error> {
        let name = format!("{}.{name}", self.prefix);
        let Values { shape, values } = self.weights.get(&name)?;
        Ok(self.graph.floats(&name, shape, values))
    }

    /// A matrix `[rows, columns]` as `[columns, rows]`.
    fn transposed(&mut self, name: &str) -> Result<Value, Error> {
        let name = format!("{}.{name}", self.prefix);
        let Values { shape, values } = self.weights.get(&name)?;
        let &[rows, columns] = shape.as_slice() else {
            return Err(Error::Shape(format!("{name} is {shape:?}")));
        };
        let values: Vec<f32> = (0..columns)
            .flat_map(|column| values.iter().skip(column).step_by(columns.max(1)).copied())
            .collect();
        Ok(self
            .graph
            .floats(&format!("{name}.transposed"), &[columns, rows], &values))
    }

    fn activation(&mut self, function: Function, input: &str) -> Value {
        let (operator, attributes) = match function {
            Function::Relu => ("Relu", Vec::new()),
            Function::LeakyRelu { slope } => ("LeakyRelu", vec![float("alpha", slope)]),
            Function::Gelu => ("Gelu", vec![text("approximate", "none")]),
            Function::GeluTanh => ("Gelu", vec![text("approximate", "tanh")]),
            Function::Elu { alpha } => ("Elu", vec![float("alpha", alpha)]),
            Function::Tanh => ("Tanh", Vec::new()),
            Function::Sigmoid => ("Sigmoid", Vec::new()),
        };
        self.graph.node(operator, &[input], attributes)
    }

    fn activated(&mut self, activation: Option<Activation>, input: Value) -> Value {
        match activation {
            Some(activation) => self.activation(definition::activation(activation), &input),
            None => input,
        }
    }

    fn concatenated(&mut self, parts: &[Value], axis: usize) -> Value {
        match parts {
            [part] => part.clone(),
            parts => {
                let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                self.graph.node("Concat", &parts, vec![int("axis", axis)])
            }
        }
    }

    /// A size of 0 is the input's, and −1 what is left.
    fn reshaped(&mut self, input: &str, sizes: &[i64]) -> Value {
        let sizes = self.graph.integers("shape", sizes);
        self.graph.node("Reshape", &[input, &sizes], Vec::new())
    }

    fn flatten(&mut self, shape: &[usize], input: &str) -> Value {
        match shape.len() {
            1 => input.to_owned(),
            _ => self.graph.node("Flatten", &[input], vec![int("axis", 1)]),
        }
    }

    /// `[batch, frames, numbers]` of an image or a sequence.
    fn as_sequence(&mut self, shape: &[usize], input: &str) -> Value {
        match *shape {
            [channels, rows, frames] => {
                let flat = self.reshaped(input, &[0, (channels * rows) as i64, frames as i64]);
                self.graph.node("Transpose", &[&flat], vec![ints("perm", &[0, 2, 1])])
            }
            _ => input.to_owned(),
        }
    }

    fn linear(&mut self, table: &LinearTable, shape: &[usize], input: &str) -> Result<Value, Error> {
        let value = match table.per_frame {
            true => {
                let frames = self.as_sequence(shape, input);
                self.linear_of_frames(&frames)?
            }
            false => {
                let flat = self.flatten(shape, input);
                let (weight, bias) = (self.parameter("weight")?, self.parameter("bias")?);
                self.graph
                    .node("Gemm", &[&flat, &weight, &bias], vec![int("transB", 1)])
            }
        };
        Ok(self.activated(table.activation, value))
    }

    fn linear_of_frames(&mut self, frames: &str) -> Result<Value, Error> {
        let (weight, bias) = (self.transposed("weight")?, self.parameter("bias")?);
        let product = self.graph.node("MatMul", &[frames, &weight], Vec::new());
        Ok(self.graph.node("Add", &[&product, &bias], Vec::new()))
    }
}
