//! A network's parameters and running averages by name, for PyTorch.
//!
//! Names are those of the checkpoints: `layers.0.weight`, `layers.0.norm.running_mean`, `layers.3.weight_ih_l0_reverse`; normalisation with the
//! training split's figures is `features.mean` and `features.deviation`. `scripts/torch_module.py` builds the module whose state has these
//! names from the settings beside them.

use std::collections::HashMap;
use std::io::{Cursor, Write as _};

use safetensors::tensor::{Dtype, TensorView};
use serde::Serialize;
use zip::write::SimpleFileOptions;

use super::{Error, Trained, Values, Weights};

/// The key of the metadata of [`safetensors()`]. Its value is JSON: `interface`, `run`, `experiment` and `settings` (TOML).
pub const METADATA: &str = "affect";

#[derive(Serialize)]
struct About<'a> {
    interface: &'a super::Interface,
    run: &'a str,
    experiment: &'a str,
    settings: &'a str,
}

fn about(trained: &Trained) -> String {
    let about = About {
        interface: trained.interface,
        run: trained.run,
        experiment: trained.experiment,
        settings: trained.settings,
    };
    serde_json::to_string(&about).unwrap_or_default()
}

/// In the order of the layers, parameters first.
fn named(trained: &Trained) -> Result<Vec<(String, Values)>, Error> {
    let mut weights = Weights::of(trained.network)?;
    let network = trained.network;
    let mut all = Vec::new();
    for (name, _) in network.parameters().iter().chain(network.buffers()) {
        if let Some(values) = weights.0.remove(name) {
            all.push((name.clone(), values));
        }
    }
    if let Some(statistics) = trained.statistics {
        for (name, values) in [
            ("features.mean", &statistics.mean),
            ("features.deviation", &statistics.deviation),
        ] {
            let shape = vec![values.len()];
            let values = values.clone();
            all.push((name.to_owned(), Values { shape, values }));
        }
    }
    Ok(all)
}

/// A safetensors file. Equal networks give equal bytes.
///
/// # Errors
/// [`Error::Tensor`] where a tensor cannot be read.
pub fn safetensors(trained: &Trained) -> Result<Vec<u8>, Error> {
    let tensors = named(trained)?;
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|(_, values)| values.bytes()).collect();
    let fault = |error: safetensors::SafeTensorError| Error::Shape(error.to_string());
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, values), bytes)| {
            let view = TensorView::new(Dtype::F32, values.shape.clone(), bytes).map_err(fault)?;
            Ok((name.as_str(), view))
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let metadata = HashMap::from([(METADATA.to_owned(), about(trained))]);
    safetensors::serialize(views, Some(metadata)).map_err(fault)
}

/// What `torch.save(module.state_dict(), file)` writes: a zip archive with a pickle and a file for each tensor. `torch.load` reads it,
/// also with `weights_only=True`. `extra/affect.json` in it is what the safetensors file has as metadata.
///
/// # Errors
/// [`Error::Tensor`] where a tensor cannot be read.
pub fn pytorch_state(trained: &Trained) -> Result<Vec<u8>, Error> {
    let tensors = named(trained)?;
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .with_alignment(64);
    let mut write = |name: String, content: &[u8]| -> Result<(), Error> {
        archive
            .start_file(name, options)
            .map_err(|error| Error::Shape(error.to_string()))?;
        archive
            .write_all(content)
            .map_err(|error| Error::Shape(error.to_string()))
    };
    write("state/data.pkl".into(), &pickle(&tensors))?;
    write("state/byteorder".into(), b"little")?;
    for (index, (_, values)) in tensors.iter().enumerate() {
        write(format!("state/data/{index}"), &values.bytes())?;
    }
    write("state/version".into(), b"3\n")?;
    write("state/extra/affect.json".into(), about(trained).as_bytes())?;
    let archive = archive.finish().map_err(|error| Error::Shape(error.to_string()))?;
    Ok(archive.into_inner())
}

impl Values {
    fn bytes(&self) -> Vec<u8> {
        self.values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }
}

/// A pickle (protocol 2) of a dictionary of tensors whose storages lie beside it.
fn pickle(tensors: &[(String, Values)]) -> Vec<u8> {
    let mut pickle = Pickle(vec![0x80, 2]);
    pickle.code(b"}(");
    for (index, (name, values)) in tensors.iter().enumerate() {
        pickle.text(name);
        pickle.code(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        pickle.text("storage");
        pickle.code(b"ctorch\nFloatStorage\n");
        pickle.text(&index.to_string());
        pickle.text("cpu");
        pickle.number(values.values.len());
        pickle.code(b"tQ");
        pickle.number(0);
        let strides = values.shape.iter().scan(values.values.len(), |left, &size| {
            *left /= size.max(1);
            Some(*left)
        });
        let strides: Vec<usize> = strides.collect();
        for sizes in [&values.shape, &strides] {
            pickle.code(b"(");
            sizes.iter().for_each(|&size| pickle.number(size));
            pickle.code(b"t");
        }
        // No gradient, no hooks.
        pickle.code(b"\x89ccollections\nOrderedDict\n)RtR");
    }
    pickle.code(b"u.");
    pickle.0
}

struct Pickle(Vec<u8>);

impl Pickle {
    fn code(&mut self, code: &[u8]) {
        self.0.extend_from_slice(code);
    }

    fn text(&mut self, text: &str) {
        self.0.push(b'X');
        self.0.extend((text.len() as u32).to_le_bytes());
        self.0.extend(text.as_bytes());
    }

    fn number(&mut self, number: usize) {
        match i32::try_from(number) {
            Ok(number) => {
                self.0.push(b'J');
                self.0.extend(number.to_le_bytes());
            }
            Err(_) => {
                self.0.extend([0x8a, 8]);
                self.0.extend((number as u64).to_le_bytes());
            }
        }
    }
}
