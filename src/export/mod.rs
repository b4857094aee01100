//! How does a trained network leave the program?
//!
//! As an ONNX model ([`onnx`]), with or without the mel front end in the graph, and as named parameters for PyTorch ([`parameters`]). What
//! both carry beside the numbers is the network's [`Interface`]: what it takes, and what it gives.

pub mod interface;
pub mod onnx;
pub mod parameters;

pub use interface::{Input, Interface, Output};

use std::collections::HashMap;

use candle_core::DType;

use crate::features::feature_set::Statistics;
use crate::nn::{Network, NetworkSpec, Plan};

/// A trained network, and where it comes from.
pub struct Trained<'a> {
    pub spec: &'a NetworkSpec,
    pub plan: &'a Plan,
    pub network: &'a Network,
    /// The training split's figures, where features are normalised with them.
    pub statistics: Option<&'a Statistics>,
    pub interface: &'a Interface,
    /// The run's id.
    pub run: &'a str,
    /// The experiment's name.
    pub experiment: &'a str,
    /// The resolved experiment file.
    pub settings: &'a str,
}

/// A network that cannot leave in this form.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "the front end can be part of the model only where features are mel spectrograms, not where they are `{kind}`"
    )]
    NoFrontEnd { kind: String },
    #[error("the network has no parameter `{0}`; this is a fault of the program, please report it")]
    NoParameter(String),
    #[error("the layers do not fit their shapes ({0}); this is a fault of the program, please report it")]
    Shape(String),
    #[error("the model would be {bytes} bytes; an ONNX file holds at most 2 GiB")]
    TooLarge { bytes: usize },
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    #[error(transparent)]
    File(#[from] crate::files::Error),
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoFrontEnd { .. } => Some("leave out `--with-frontend`".into()),
            Self::TooLarge { .. } => Some("write the parameters with `--safetensors`".into()),
            _ => None,
        }
    }
}

/// The values of a tensor, with its shape.
#[derive(Debug, Clone, PartialEq)]
struct Values {
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// Parameters and running averages by name.
struct Weights(HashMap<String, Values>);

impl Weights {
    fn of(network: &Network) -> Result<Self, Error> {
        let all = network.parameters().iter().chain(network.buffers());
        all.map(|(name, var)| {
            let values = var.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
            let shape = var.dims().to_vec();
            Ok((name.clone(), Values { shape, values }))
        })
        .collect::<Result<_, Error>>()
        .map(Self)
    }

    fn get(&self, name: &str) -> Result<&Values, Error> {
        self.0.get(name).ok_or_else(|| Error::NoParameter(name.to_owned()))
    }

    fn find(&self, name: &str) -> Option<&Values> {
        self.0.get(name)
    }
}
