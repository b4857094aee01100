//! Checkpoints: everything that a run needs to go on, or to be used.
//!
//! A checkpoint is a folder with `model.safetensors` (parameters, buffers and, where features are normalised with the training
//! split's figures, `features.mean` and `features.deviation`), `optimizer.safetensors`, `state.json`, in the middle of an epoch
//! `running.safetensors` (the epoch's figures so far) and, written last, `manifest.json` with the BLAKE3 of the others.
//!
//! The folder of a run's checkpoints holds `last`, those before it (`last-1`, `last-2` …) and `best`. A new one is written beside them
//! (`last.new`). Then the oldest is removed, the others move up by one, and the new one takes its place; where only one is kept,
//! the old one waits as `last.old` until the new one is in place. After a crash or a power cut at any point at least one complete
//! checkpoint is there, under one of these names. Readers look at all of them, pass over the damaged ones, and take the one in which
//! most is done.

mod kept;
mod state;

pub use kept::{Checkpoints, load_tested, state_to_go_on};
pub use state::State;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};
use serde::Serialize;

use super::Error;
use crate::features::feature_set::Statistics;
use crate::files;
use crate::nn::Network;

const MODEL: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const STATE: &str = "state.json";
const RUNNING: &str = "running.safetensors";
const MANIFEST: &str = "manifest.json";
const FEATURE_MEAN: &str = "features.mean";
const FEATURE_DEVIATION: &str = "features.deviation";

/// What a checkpoint is made of.
pub struct Content<'a> {
    pub network: &'a Network,
    pub statistics: Option<&'a Statistics>,
    /// What the optimiser remembers, by name.
    pub optimizer: Vec<(String, Tensor)>,
    /// The figures since the last validation; empty after a validation.
    pub running: Vec<(String, Tensor)>,
    pub state: State,
}

/// What a checkpoint gives back beside the network's parameters.
pub struct Loaded {
    pub state: State,
    pub optimizer: HashMap<String, Tensor>,
    pub running: HashMap<String, Tensor>,
}

impl Content<'_> {
    /// Writes a new folder. What is there is removed, and so is what could not be written whole: on a full disk the room is needed
    /// for saying so.
    fn write(&self, folder: &Path) -> Result<(), Error> {
        files::remove_folder(folder)?;
        files::create_folder(folder)?;
        self.write_files(folder).inspect_err(|_| {
            let _ = files::remove_folder(folder);
        })
    }

    fn write_files(&self, folder: &Path) -> Result<(), Error> {
        let mut model: Vec<(String, Tensor)> = self
            .network
            .parameters()
            .iter()
            .chain(self.network.buffers())
            .map(|(name, var)| (name.clone(), var.as_tensor().clone()))
            .collect();
        if let Some(statistics) = self.statistics {
            let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu);
            model.push((FEATURE_MEAN.into(), tensor(&statistics.mean)?));
            model.push((FEATURE_DEVIATION.into(), tensor(&statistics.deviation)?));
        }
        let mut contents = vec![
            (MODEL, serialize(&model, folder)?),
            (OPTIMIZER, serialize(&self.optimizer, folder)?),
            (STATE, json(&self.state, folder)?),
        ];
        if !self.running.is_empty() {
            contents.push((RUNNING, serialize(&self.running, folder)?));
        }
        let mut manifest = BTreeMap::new();
        for (name, content) in &contents {
            files::write_whole(&folder.join(name), content)?;
            manifest.insert(*name, blake3::hash(content).to_hex().to_string());
        }
        files::write_whole(&folder.join(MANIFEST), &json(&manifest, folder)?)?;
        Ok(())
    }
}

/// The files of a checkpoint, and what they must hash to.
struct Files<'a> {
    folder: &'a Path,
    manifest: BTreeMap<String, String>,
}

impl<'a> Files<'a> {
    fn open(folder: &'a Path) -> Result<Self, Error> {
        let manifest = read(folder, MANIFEST)?;
        let manifest =
            serde_json::from_slice(&manifest).map_err(|error| bad(folder, format!("{MANIFEST}: {error}")))?;
        Ok(Self { folder, manifest })
    }

    fn checked(&self, name: &str) -> Result<Vec<u8>, Error> {
        let content = read(self.folder, name)?;
        match self.manifest.get(name) {
            Some(hash) if *hash == blake3::hash(&content).to_hex().as_str() => Ok(content),
            _ => Err(bad(self.folder, format!("{name} is damaged"))),
        }
    }

    fn state(&self) -> Result<State, Error> {
        State::parse(&self.checked(STATE)?).map_err(|why| bad(self.folder, format!("{STATE}: {why}")))
    }

    /// Everything, with the parameters put into `network`.
    fn load(&self, network: &Network) -> Result<Loaded, Error> {
        let state = self.state()?;
        let tensors = |name| -> Result<HashMap<String, Tensor>, Error> {
            let content = self.checked(name)?;
            candle_core::safetensors::load_buffer(&content, network.device())
                .map_err(|error| bad(self.folder, format!("{name}: {error}")))
        };
        let running = match state.running.batches {
            0 => HashMap::new(),
            _ => tensors(RUNNING)?,
        };
        let optimizer = tensors(OPTIMIZER)?;
        put_into(network, &tensors(MODEL)?, self.folder)?;
        Ok(Loaded {
            state,
            optimizer,
            running,
        })
    }

    /// The figures that features are normalised with, where the model has any.
    fn statistics(&self) -> Result<Option<Statistics>, Error> {
        let content = self.checked(MODEL)?;
        let tensors = candle_core::safetensors::load_buffer(&content, &Device::Cpu)
            .map_err(|error| bad(self.folder, format!("{MODEL}: {error}")))?;
        match (tensors.get(FEATURE_MEAN), tensors.get(FEATURE_DEVIATION)) {
            (Some(mean), Some(deviation)) => Ok(Some(Statistics {
                mean: mean.to_vec1()?,
                deviation: deviation.to_vec1()?,
            })),
            _ => Ok(None),
        }
    }

    /// Whether every file is what it was.
    fn verify(&self) -> Result<(), Error> {
        self.manifest.keys().try_for_each(|name| self.checked(name).map(drop))
    }
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>, Error> {
    std::fs::read(folder.join(name)).map_err(|error| bad(folder, format!("{name}: {error}")))
}

/// Nothing is changed where something is missing or does not fit.
fn put_into(network: &Network, tensors: &HashMap<String, Tensor>, folder: &Path) -> Result<(), Error> {
    let vars: Vec<&(String, Var)> = network.parameters().iter().chain(network.buffers()).collect();
    for (name, var) in &vars {
        match tensors.get(name) {
            Some(tensor) if tensor.shape() == var.shape() => {}
            Some(tensor) => {
                return Err(bad(
                    folder,
                    format!("{name} has shape {:?}, not {:?}", tensor.dims(), var.dims()),
                ));
            }
            None => return Err(bad(folder, format!("{name} is missing"))),
        }
    }
    for (name, var) in vars {
        if let Some(tensor) = tensors.get(name) {
            var.set(tensor)?;
        }
    }
    Ok(())
}

fn bad(path: &Path, why: impl Into<String>) -> Error {
    Error::Checkpoint {
        path: path.to_path_buf(),
        why: why.into(),
    }
}

fn json<T: Serialize>(value: &T, folder: &Path) -> Result<Vec<u8>, Error> {
    serde_json::to_vec_pretty(value).map_err(|error| bad(folder, error.to_string()))
}

/// Safetensors bytes; equal tensors give equal bytes.
fn serialize(tensors: &[(String, Tensor)], folder: &Path) -> Result<Vec<u8>, Error> {
    let mut buffers = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let flat = tensor.flatten_all()?;
        let (kind, bytes): (_, Vec<u8>) = match tensor.dtype() {
            DType::U32 => {
                let values = flat.to_vec1::<u32>()?;
                let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                (safetensors::Dtype::U32, bytes)
            }
            _ => {
                let values = flat.to_vec1::<f32>()?;
                let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                (safetensors::Dtype::F32, bytes)
            }
        };
        buffers.push((name.as_str(), tensor.dims().to_vec(), kind, bytes));
    }
    let mut views = Vec::with_capacity(buffers.len());
    for (name, dims, kind, bytes) in &buffers {
        let view = safetensors::tensor::TensorView::new(*kind, dims.clone(), bytes)
            .map_err(|error| bad(folder, error.to_string()))?;
        views.push((*name, view));
    }
    safetensors::serialize(views, None).map_err(|error| bad(folder, error.to_string()))
}
