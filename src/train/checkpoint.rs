//! Checkpoints: everything that a run needs to go on, or to be used.
//!
//! A folder with `model.safetensors` (parameters, buffers and, where features are normalised with the training split's
//! figures, `features.mean` and `features.deviation`), `optimizer.safetensors`, `state.json` and, written last,
//! `manifest.json` with the BLAKE3 of the others.
//!
//! A new checkpoint is written beside the old one (`last.new`), then takes its place: the old one becomes `last.old`, the
//! new one `last`, and the old one is removed. After a crash at any point one of `last` and `last.old` is complete, and
//! [`load`] finds it by its manifest.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor, Var};
use serde::{Deserialize, Serialize};

use super::Error;
use super::early_stopping::EarlyStopping;
use super::schedule::Memory;
use crate::features::feature_set::Statistics;
use crate::files;
use crate::nn::Network;

const MODEL: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const STATE: &str = "state.json";
const MANIFEST: &str = "manifest.json";

/// Where training stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Epochs done.
    pub epoch: u32,
    /// Batches done, in all epochs: what dropout is keyed by.
    pub batches: u64,
    /// The optimiser's updates, for its bias correction and for the schedule.
    pub updates: u64,
    pub learning_rate: f64,
    pub seed: u64,
    pub early_stopping: EarlyStopping,
    pub schedule: Memory,
}

/// Writes a checkpoint in place of the one that `folder` holds.
pub fn save(
    folder: &Path,
    network: &Network,
    statistics: Option<&Statistics>,
    optimizer: &[(String, Tensor)],
    state: &State,
) -> Result<(), Error> {
    let fresh = sibling(folder, "new");
    files::remove_folder(&fresh)?;
    files::create_folder(&fresh)?;
    let mut model: Vec<(String, Tensor)> = network
        .parameters()
        .iter()
        .chain(network.buffers())
        .map(|(name, var)| (name.clone(), var.as_tensor().clone()))
        .collect();
    if let Some(statistics) = statistics {
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu);
        model.push(("features.mean".into(), tensor(&statistics.mean)?));
        model.push(("features.deviation".into(), tensor(&statistics.deviation)?));
    }
    let contents = [
        (MODEL, serialize(&model, folder)?),
        (OPTIMIZER, serialize(optimizer, folder)?),
        (STATE, json(state, folder)?),
    ];
    let mut manifest = BTreeMap::new();
    for (name, content) in &contents {
        files::write_whole(&fresh.join(name), content)?;
        manifest.insert(*name, blake3::hash(content).to_hex().to_string());
    }
    files::write_whole(&fresh.join(MANIFEST), &json(&manifest, folder)?)?;
    files::replace_folder(&fresh, folder, &sibling(folder, "old"))?;
    Ok(())
}

/// Loads parameters and buffers into `network` from the newest sound checkpoint at `folder`.
pub fn load(folder: &Path, network: &Network) -> Result<State, Error> {
    newest(folder, |candidate| {
        let files = Files::open(candidate)?;
        let state = files.state()?;
        put_into(network, &files.checked(MODEL)?, candidate)?;
        Ok(state)
    })
}

/// Loads the newest sound checkpoint in `checkpoints` (`last`, else `best`), with what the optimiser remembers, by name.
pub fn load_to_go_on(checkpoints: &Path, network: &Network) -> Result<(State, HashMap<String, Tensor>), Error> {
    last_or_best(checkpoints, |candidate| {
        let files = Files::open(candidate)?;
        let state = files.state()?;
        let memories = candle_core::safetensors::load_buffer(&files.checked(OPTIMIZER)?, network.device())?;
        put_into(network, &files.checked(MODEL)?, candidate)?;
        Ok((state, memories))
    })
}

/// Where training stands by the checkpoint that [`load_to_go_on`] loads; `None` where there was never one.
///
/// # Errors
/// [`Error::Checkpoint`] where there are checkpoints, but none is sound.
pub fn state_to_go_on(checkpoints: &Path) -> Result<Option<State>, Error> {
    let exists = |name| checkpoints.join(name).exists();
    if !["last", "last.old", "best", "best.old"].into_iter().any(exists) {
        return Ok(None);
    }
    last_or_best(checkpoints, |candidate| {
        let files = Files::open(candidate)?;
        files.checked(MODEL)?;
        files.checked(OPTIMIZER)?;
        files.state().map(Some)
    })
}

/// What `read` makes of the checkpoint at `folder` or, where that is damaged, of the one before; the first problem otherwise.
fn newest<T>(folder: &Path, read: impl Fn(&Path) -> Result<T, Error>) -> Result<T, Error> {
    read(folder).or_else(|first| read(&sibling(folder, "old")).map_err(|_| first))
}

/// As [`newest`], of `last` or else of `best`: both hold all that training needs.
fn last_or_best<T>(checkpoints: &Path, read: impl Fn(&Path) -> Result<T, Error>) -> Result<T, Error> {
    newest(&checkpoints.join("last"), &read)
        .or_else(|first| newest(&checkpoints.join("best"), &read).map_err(|_| first))
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
        serde_json::from_slice(&self.checked(STATE)?).map_err(|error| bad(self.folder, format!("{STATE}: {error}")))
    }
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>, Error> {
    std::fs::read(folder.join(name)).map_err(|error| bad(folder, format!("{name}: {error}")))
}

/// Nothing is changed where something is missing or does not fit.
fn put_into(network: &Network, model: &[u8], folder: &Path) -> Result<(), Error> {
    let tensors = candle_core::safetensors::load_buffer(model, network.device())?;
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

fn sibling(folder: &Path, suffix: &str) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_os_string();
    name.push(".");
    name.push(suffix);
    folder.with_file_name(name)
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
        let values = tensor.flatten_all()?.to_vec1::<f32>()?;
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        buffers.push((name.as_str(), tensor.dims().to_vec(), bytes));
    }
    let mut views = Vec::with_capacity(buffers.len());
    for (name, dims, bytes) in &buffers {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, dims.clone(), bytes)
            .map_err(|error| bad(folder, error.to_string()))?;
        views.push((*name, view));
    }
    safetensors::serialize(views, None).map_err(|error| bad(folder, error.to_string()))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use crate::nn::{NetworkSpec, Plan};

    fn network(seed: u64) -> Network {
        let spec: NetworkSpec =
            toml::from_str(r#"layers = [{ conv2d = { channels = 2, batch_norm = true } }, { linear = "targets" }]"#)
                .unwrap();
        let plan = Plan::new(&spec, &[1, 3, 4], 2).unwrap();
        Network::new(&spec, &plan, seed, &Device::Cpu).unwrap()
    }

    fn state(epoch: u32) -> State {
        State {
            epoch,
            batches: 10,
            updates: 10,
            learning_rate: 1e-3,
            seed: 1,
            early_stopping: EarlyStopping::default(),
            schedule: Memory::default(),
        }
    }

    fn weights(network: &Network) -> Vec<Vec<f32>> {
        network
            .parameters()
            .iter()
            .map(|(_, var)| var.flatten_all().unwrap().to_vec1().unwrap())
            .collect()
    }

    #[test]
    fn a_checkpoint_comes_back_and_replaces_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last");
        save(&path, &network(1), None, &[], &state(1)).unwrap();
        save(&path, &network(2), None, &[], &state(2)).unwrap();
        let loaded = network(3);
        assert_eq!(load(&path, &loaded).unwrap(), state(2));
        assert_eq!(weights(&loaded), weights(&network(2)));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_checkpoint_is_found_and_the_one_before_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last");
        save(&path, &network(1), None, &[], &state(1)).unwrap();
        std::fs::rename(&path, sibling(&path, "old")).unwrap(); // a crash between the two renames
        assert_eq!(load(&path, &network(3)).unwrap(), state(1));
        save(&sibling(&path, "x"), &network(2), None, &[], &state(2)).unwrap();
        std::fs::rename(sibling(&path, "x"), &path).unwrap();
        let model = path.join(MODEL);
        let mut bytes = std::fs::read(&model).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&model, bytes).unwrap();
        let loaded = network(3);
        assert_eq!(load(&path, &loaded).unwrap(), state(1));
        assert_eq!(weights(&loaded), weights(&network(1)));
    }
}
