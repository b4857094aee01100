//! Presets: names that stand for many settings of a table.
//!
//! A layer that names a preset puts it directly under itself: what the layer (or a stronger one) says beside it wins, and what
//! weaker layers say of the table no longer holds, as with a table whose `kind` changes. So `--set features.preset=…` gives that
//! preset whatever the file says of its features. A layer that names the preset which holds already changes nothing.

use figment::value::{Dict, Value};

use super::layer::{Layer, Part};
use super::path::KeyPath;
use crate::features::{AudioRecipe, Preset, Recipe};
use crate::nn::NetworkPreset;

/// A table that knows presets.
struct Table {
    path: &'static str,
    /// All settings of a preset, `kind` included; `None` for a name that is none.
    named: fn(&str) -> Option<Dict>,
}

const TABLES: [Table; 3] = [
    Table {
        path: "features",
        named: |name| settings(&Recipe::Mel(Preset::named(name)?.recipe())),
    },
    Table {
        path: "features.audio",
        named: |name| settings(&AudioRecipe::Mel(Preset::named(name)?.recipe())),
    },
    Table {
        path: "model",
        named: |name| settings(&NetworkPreset::named(name)?.network()),
    },
];

/// The key that names a preset.
const PRESET: &str = "preset";

/// Adds the layers of the presets that `layers` name, weakest first.
pub(super) fn lay(mut layers: Vec<Layer>) -> Vec<Layer> {
    for table in TABLES {
        layers = lay_table(layers, &table);
    }
    layers
}

fn lay_table(layers: Vec<Layer>, table: &Table) -> Vec<Layer> {
    let path = KeyPath::parse(table.path);
    let preset = path.key(PRESET);
    let mut laid: Vec<Layer> = Vec::with_capacity(layers.len() + 1);
    let mut current = None;
    let mut rest = layers.into_iter().peekable();
    while let Some(rank) = rest.peek().map(|layer| layer.rank) {
        let mut side_by_side = Vec::new();
        while let Some(layer) = rest.next_if(|layer| layer.rank == rank) {
            side_by_side.push(layer);
        }
        let named = side_by_side.iter().rev().find_map(|layer| {
            let name = layer.value(&preset)?.as_str()?.to_owned();
            let settings = (table.named)(&name)?;
            Some((name, settings, layer.place(&preset, Part::Value)?))
        });
        if let Some((name, settings, place)) = named
            && current.as_ref() != Some(&name)
        {
            for weaker in &mut laid {
                weaker.remove(&path);
            }
            laid.push(Layer::preset(&name, &path, settings, place));
            current = Some(name);
        }
        laid.append(&mut side_by_side);
    }
    laid
}

/// A table as it is written, without the name of the preset and without what is not set.
fn settings(table: &impl serde::Serialize) -> Option<Dict> {
    // By way of TOML, so that numbers are of the types that they have in a file.
    let table = toml::Table::try_from(table).ok()?;
    let Ok(Value::Dict(_, mut settings)) = Value::serialize(table) else {
        return None;
    };
    settings.remove(PRESET);
    Some(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_has_settings() {
        for preset in Preset::ALL {
            let settings = (TABLES[0].named)(preset.name()).unwrap();
            assert_eq!(settings.get("kind").and_then(Value::as_str), Some("mel"));
            assert!(!settings.contains_key(PRESET) && !settings.contains_key("win_length"));
        }
        for preset in NetworkPreset::ALL {
            let settings = (TABLES[2].named)(preset.name()).unwrap();
            assert!(settings.contains_key("layers") && !settings.contains_key(PRESET));
        }
    }
}
