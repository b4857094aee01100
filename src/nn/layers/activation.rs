//! Functions of single values.

use candle_core::{Result, Tensor};

use super::super::kernels::{self, Function};
use super::super::plan::{PlannedLayer, count};
use super::super::spec::{Activation, GeluForm, LayerSpec};

pub fn plan(spec: &LayerSpec, shape: &[usize]) -> PlannedLayer {
    let (name, detail) = match spec {
        LayerSpec::LeakyRelu(spec) => ("leaky_relu", format!("slope {}", spec.slope)),
        LayerSpec::Gelu(spec) => match spec.form {
            GeluForm::Exact => ("gelu", String::new()),
            GeluForm::Tanh => ("gelu", "by tanh".into()),
        },
        LayerSpec::Elu(spec) => ("elu", format!("alpha {}", spec.alpha)),
        LayerSpec::Tanh(_) => ("tanh", String::new()),
        LayerSpec::Sigmoid(_) => ("sigmoid", String::new()),
        _ => ("relu", String::new()),
    };
    PlannedLayer {
        detail,
        flops: count(shape),
        ..PlannedLayer::new(name, shape, shape.to_vec())
    }
}

/// The function of a layer that is nothing else.
pub fn of_layer(spec: &LayerSpec) -> Option<Function> {
    Some(match spec {
        LayerSpec::Relu(_) => Function::Relu,
        LayerSpec::LeakyRelu(spec) => Function::LeakyRelu { slope: spec.slope },
        LayerSpec::Gelu(spec) => match spec.form {
            GeluForm::Exact => Function::Gelu,
            GeluForm::Tanh => Function::GeluTanh,
        },
        LayerSpec::Elu(spec) => Function::Elu { alpha: spec.alpha },
        LayerSpec::Tanh(_) => Function::Tanh,
        LayerSpec::Sigmoid(_) => Function::Sigmoid,
        _ => return None,
    })
}

/// The function behind a name.
pub fn function(activation: Activation) -> Function {
    match activation {
        Activation::Relu => Function::Relu,
        Activation::LeakyRelu => Function::LeakyRelu { slope: 0.01 },
        Activation::Gelu => Function::Gelu,
        Activation::GeluTanh => Function::GeluTanh,
        Activation::Elu => Function::Elu { alpha: 1.0 },
        Activation::Tanh => Function::Tanh,
        Activation::Sigmoid => Function::Sigmoid,
    }
}

/// As in the experiment file.
pub fn name(activation: Activation) -> &'static str {
    match activation {
        Activation::Relu => "relu",
        Activation::LeakyRelu => "leaky-relu",
        Activation::Gelu => "gelu",
        Activation::GeluTanh => "gelu-tanh",
        Activation::Elu => "elu",
        Activation::Tanh => "tanh",
        Activation::Sigmoid => "sigmoid",
    }
}

pub fn apply(value: &Tensor, activation: Option<Activation>) -> Result<Tensor> {
    match activation {
        Some(activation) => kernels::activation(value, function(activation)),
        None => Ok(value.clone()),
    }
}
