//! What does a trained network say about new recordings?
//!
//! A [`Model`] is a run's network, or an ONNX file with the same metadata; a [`Reader`] takes a file through the front end of the
//! training and through the model, as a whole or in windows that slide over it. A network of pairs ranks files of one kind for one of
//! the other ([`pairs`]).

pub mod files;
mod onnx;
pub mod pairs;
mod recording;

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

pub use onnx::OnnxModel;
pub use recording::{Reader, Recording, Span};

use crate::export::onnx::Form;
use crate::export::{Input, Interface};
use crate::features::feature_set::Statistics;
use crate::nn::{Mode, Network};
use crate::train::loss::predictions;
use crate::{audio, features};

/// Why there is no prediction.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "the model was trained on `{kind}` features; only models that were trained on sound (`mel`) predict for recordings"
    )]
    NotSound { kind: String },
    #[error("{}: {what}", path.display())]
    Model { path: PathBuf, what: String },
    #[error("{}: its metadata has no `{key}`, so it is not known what the model takes and gives", path.display())]
    NoMetadata { path: PathBuf, key: &'static str },
    #[error("the model cannot be run: {0}")]
    Run(String),
    #[error("the model predicts {0} here, which is no number")]
    NotFinite(f32),
    #[error("{}", .0.reason())]
    Sound(audio::Error),
    #[error("{0}")]
    Empty(String),
    #[error(transparent)]
    Features(#[from] features::Error),
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoMetadata { .. } => {
                Some("models by `affect export RUN --onnx FILE` have it; for others see `affect export --help`".into())
            }
            Self::Features(error) => error.hint(),
            _ => None,
        }
    }
}

/// A trained network that can be asked.
pub struct Model {
    interface: Interface,
    engine: Engine,
}

enum Engine {
    Network {
        network: Box<Network>,
        statistics: Option<Statistics>,
    },
    Onnx(Box<OnnxModel>),
}

impl Model {
    /// Of a run.
    pub fn of_network(interface: Interface, network: Network, statistics: Option<Statistics>) -> Self {
        Self {
            interface,
            engine: Engine::Network {
                network: Box::new(network),
                statistics,
            },
        }
    }

    /// Of an ONNX file.
    ///
    /// # Errors
    /// [`Error::Model`] for what is no model that can be run, [`Error::NoMetadata`].
    pub fn of_onnx(path: &Path) -> Result<Self, Error> {
        let (interface, model) = OnnxModel::open(path)?;
        Ok(Self {
            interface,
            engine: Engine::Onnx(Box::new(model)),
        })
    }

    /// What it takes and gives.
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// What is fed to it.
    pub fn form(&self) -> Form {
        match &self.engine {
            Engine::Network { .. } => Form::Features,
            Engine::Onnx(model) => model.form(),
        }
    }

    /// For recordings.
    ///
    /// # Errors
    /// [`Error::NotSound`]; a recipe that does not work.
    pub fn reader(&self) -> Result<Reader<'_>, Error> {
        match &self.interface.input {
            Input::Mel { recipe } => Ok(Reader::new(self, features::Extractor::again(recipe)?)),
            other => Err(Error::NotSound {
                kind: other.kind().into(),
            }),
        }
    }

    /// The outputs for some inputs ([`Self::form`]), one after the other: targets in the units of the training data, or probabilities.
    ///
    /// # Errors
    /// [`Error::NotFinite`], [`Error::Run`].
    pub fn outputs(&self, inputs: Vec<Vec<f32>>) -> Result<Vec<Vec<f32>>, Error> {
        let outputs = match &self.engine {
            Engine::Onnx(model) => inputs
                .into_iter()
                .map(|input| model.run(&self.interface, input))
                .collect::<Result<Vec<_>, Error>>()?,
            Engine::Network { network, statistics } => {
                let [channels, rows, frames] = self.interface.shape;
                let count = inputs.len();
                let mut values = inputs.concat();
                if let Some(statistics) = statistics {
                    for array in values.chunks_mut((channels * rows * frames).max(1)) {
                        statistics.apply(array, frames);
                    }
                }
                let batch = Tensor::from_vec(values, (count, channels, rows, frames), &Device::Cpu)?;
                let batch = batch.to_device(network.device())?;
                let outputs = network.forward(&batch, Mode::Evaluate)?.detach();
                let outputs = predictions(&self.interface.output.problem(), &outputs)?;
                outputs
                    .chunks(self.interface.output.width().max(1))
                    .map(<[f32]>::to_vec)
                    .collect()
            }
        };
        match outputs.iter().flatten().find(|value| !value.is_finite()) {
            Some(&value) => Err(Error::NotFinite(value)),
            None => Ok(outputs),
        }
    }
}
