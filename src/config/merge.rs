//! Many layers, one experiment: Figment merges them, and every value still knows where it was written.
//!
//! Tables are merged key by key and arrays are replaced, with two additions of ours. A table whose `kind` changes in a stronger
//! layer is replaced whole, since keys of one kind mean nothing to another. And `--set model.layers[0].dropout=0.3` reaches into
//! an array that a weaker layer gives.

use std::collections::BTreeMap;

use figment::value::{Dict, Map, Tag, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::layer::{Content, Layer, Part, Rank, nested};
use super::mistake::{Mistake, Place};
use super::path::{KeyPath, Step};
use super::shape::Shape;

/// All settings, and where each was written.
#[derive(Debug, Clone)]
pub(super) struct Merged {
    pub figment: Figment,
    /// What Figment holds, as one value.
    pub tree: Value,
    /// Weakest first.
    layers: Vec<Layer>,
    replaced: Vec<Replaced>,
}

/// A table that was set aside because a stronger layer sets another `kind`.
#[derive(Debug, Clone)]
struct Replaced {
    path: KeyPath,
    layer: String,
    table: Dict,
}

impl Merged {
    /// Merges the layers, weakest first. What cannot be applied is left out and added to `mistakes`.
    pub fn of(mut layers: Vec<Layer>, mistakes: &mut Vec<Mistake>) -> Self {
        let replaced = replace_other_kinds(&mut layers);
        let mut figment = Figment::new();
        for (index, layer) in layers.iter().enumerate() {
            let tables = match &layer.content {
                Content::Tables(tables) => tables.clone(),
                Content::Inside { path, value } => match inside(&figment, path, value) {
                    Ok(tables) => tables,
                    Err(unreachable) => {
                        mistakes.extend(unreachable.mistake(layer, path));
                        Dict::new()
                    }
                },
            };
            figment = figment.merge(Numbered {
                index,
                name: &layer.name,
                tables,
            });
        }
        let tree = tables_of(&figment);
        Self {
            figment,
            tree: Value::from(tree),
            layers,
            replaced,
        }
    }

    /// Where the setting at `path` was written, or the nearest thing around it; `None` for what nobody wrote.
    pub fn place(&self, path: &KeyPath, part: Part) -> Option<Place> {
        self.placed(path, part).map(|(_, place)| place)
    }

    /// Where exactly this setting was written; `None` for what nobody wrote.
    pub fn exact(&self, path: &KeyPath) -> Option<Place> {
        let node = path.steps().iter().try_fold(&self.tree, child)?;
        self.layer(node.tag())?.place(path, Part::Value)
    }

    /// As [`Self::place`], with whether the text around it could be read.
    fn placed(&self, path: &KeyPath, part: Part) -> Option<(bool, Place)> {
        let mut tags = Vec::new();
        let mut node = &self.tree;
        for step in path.steps() {
            let Some(inner) = child(node, step) else { break };
            tags.push(inner.tag());
            node = inner;
        }
        (1..=tags.len()).rev().find_map(|length| {
            let layer = self.layer(*tags.get(length - 1)?)?;
            let prefix = path.prefix(length);
            let part = if length == path.steps().len() {
                part
            } else {
                Part::Value
            };
            Some((layer.is_sound_at(&prefix), layer.place(&prefix, part)?))
        })
    }

    /// Whether what was written at `path` was read before any error of syntax.
    pub fn is_sound_at(&self, path: &KeyPath) -> bool {
        self.placed(path, Part::Value).is_none_or(|(sound, _)| sound)
    }

    /// The number of the layer that a place is in, to put mistakes in order.
    pub fn order(&self, place: &Place) -> Option<usize> {
        self.layers.iter().position(|layer| layer.holds(place))
    }

    /// Where the table at `path` begins: in a file, if any file has it.
    pub fn header(&self, path: &KeyPath) -> Option<Place> {
        let in_file = self.layers.iter().rev().filter(|layer| layer.is_file());
        in_file
            .filter_map(|layer| layer.place(path, Part::Value))
            .next()
            .or_else(|| self.place(path, Part::Value))
    }

    /// Where a key was given that a stronger layer's `kind` made void.
    pub fn replaced(&self, table: &KeyPath, key: &str) -> Option<&str> {
        let holds = |replaced: &&Replaced| replaced.path == *table && replaced.table.contains_key(key);
        self.replaced.iter().find(holds).map(|replaced| replaced.layer.as_str())
    }

    fn layer(&self, tag: Tag) -> Option<&Layer> {
        let source = self.figment.get_metadata(tag)?.source.as_ref()?;
        self.layers.get(source.custom()?.parse::<usize>().ok()?)
    }
}

/// What is built in: the experiment's name, and the kind of each table that is mentioned without one.
pub(super) fn defaults(name: String, shape: &Shape, layers: &[Layer]) -> Layer {
    let mut figment = Figment::from(Numbered {
        index: 0,
        name: "",
        tables: nested(KeyPath::parse("experiment.name").steps(), Value::from(name)),
    });
    for (path, kind) in shape.default_kinds() {
        if layers.iter().any(|layer| layer.mentions(&path)) {
            let tables = nested(path.key("kind").steps(), Value::from(kind));
            figment = figment.merge(Numbered {
                index: 0,
                name: "",
                tables,
            });
        }
    }
    Layer::defaults(untagged(tables_of(&figment)))
}

/// What Figment knows a layer by: its number, kept in the metadata that each of the layer's values is tagged with.
struct Numbered<'a> {
    index: usize,
    name: &'a str,
    tables: Dict,
}

impl Provider for Numbered<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::from(self.name.to_owned(), self.index.to_string())
    }

    fn data(&self) -> figment::error::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.tables.clone()))
    }
}

fn tables_of(figment: &Figment) -> Dict {
    figment
        .data()
        .ok()
        .and_then(|mut profiles| profiles.remove(&Profile::Default))
        .unwrap_or_default()
}

/// Without the marks of where it came from, so that they are given anew.
fn untagged(tables: Dict) -> Dict {
    let fresh = |value: Value| match value {
        Value::Dict(_, inner) => Value::from(untagged(inner)),
        Value::String(_, text) => Value::from(text),
        other => other,
    };
    tables.into_iter().map(|(key, value)| (key, fresh(value))).collect()
}

fn child<'a>(value: &'a Value, step: &Step) -> Option<&'a Value> {
    match (value, step) {
        (Value::Dict(_, table), Step::Key(key)) => table.get(key),
        (Value::Array(_, items), Step::Index(index)) => items.get(*index),
        _ => None,
    }
}

/// Where a layer sets another `kind` than the weaker ones do, removes their table.
fn replace_other_kinds(layers: &mut [Layer]) -> Vec<Replaced> {
    let mut replaced = Vec::new();
    let mut start = 0;
    while let Some(rank) = layers.get(start).map(|layer| layer.rank) {
        let end = start + layers.iter().skip(start).take_while(|layer| layer.rank == rank).count();
        let (weaker, rest) = layers.split_at_mut(start);
        let mut kinds = BTreeMap::new();
        for layer in rest.iter().take(end - start) {
            kinds_of(layer, &mut kinds);
        }
        // Paths are ordered: outer tables come before those inside them.
        for (path, kind) in &kinds {
            let mut current = BTreeMap::new();
            weaker.iter().for_each(|layer| kinds_of(layer, &mut current));
            if current.get(path).is_some_and(|current| current != kind) {
                for layer in &mut *weaker {
                    let Some(table) = layer.remove(path) else { continue };
                    match layer.rank {
                        // The default kinds of tables inside it hold where those are still spoken of.
                        Rank::Default => keep_inner_kinds(layer, path, &table, rest),
                        _ => replaced.push(Replaced {
                            path: path.clone(),
                            layer: layer.name.clone(),
                            table,
                        }),
                    }
                }
            }
        }
        start = end;
    }
    replaced
}

/// Puts back the kinds of tables inside `table`, which stood at `path` of the default layer, as far as `others` mention these tables.
fn keep_inner_kinds(defaults: &mut Layer, path: &KeyPath, table: &Dict, others: &[Layer]) {
    let removed = Layer::defaults(nested(path.steps(), Value::from(table.clone())));
    let mut kinds = BTreeMap::new();
    kinds_of(&removed, &mut kinds);
    for (inner, kind) in kinds {
        if inner == *path || !others.iter().any(|layer| layer.mentions(&inner)) {
            continue;
        }
        if let Content::Tables(tables) = &mut defaults.content {
            let numbered = |tables| Numbered {
                index: 0,
                name: "",
                tables,
            };
            let kept = nested(inner.key("kind").steps(), Value::from(kind));
            let figment = Figment::from(numbered(tables.clone())).merge(numbered(kept));
            *tables = untagged(tables_of(&figment));
        }
    }
}

/// The `kind` of every table of a layer.
fn kinds_of(layer: &Layer, kinds: &mut BTreeMap<KeyPath, String>) {
    fn collect(table: &Dict, path: &KeyPath, kinds: &mut BTreeMap<KeyPath, String>) {
        for (key, value) in table {
            match value {
                Value::String(_, kind) if key == "kind" && !path.is_root() => {
                    kinds.insert(path.clone(), kind.clone());
                }
                Value::Dict(_, inner) => collect(inner, &path.key(key), kinds),
                _ => {}
            }
        }
    }
    if let Content::Tables(tables) = &layer.content {
        collect(tables, &KeyPath::root(), kinds);
    }
}

/// Why a value could not be put into an array.
struct Unreachable {
    /// How many steps of the path lead to what is in the way.
    depth: usize,
    why: String,
}

impl Unreachable {
    fn mistake(self, layer: &Layer, path: &KeyPath) -> Option<Mistake> {
        let at = path.prefix(self.depth + 1);
        let place = layer.place(&at, Part::Key)?;
        Some(Mistake::at(place, format!("there is no `{at}`")).label(self.why))
    }
}

/// The tables that replace the array around `path` with one where `path` holds `value`. The array's other values keep their
/// tags, so that they are still known to come from where they were written.
fn inside(figment: &Figment, path: &KeyPath, value: &Value) -> Result<Dict, Unreachable> {
    let keys = path
        .steps()
        .iter()
        .take_while(|step| matches!(step, Step::Key(_)))
        .count();
    let (outside, within) = path.steps().split_at(keys);
    let unset = || Unreachable {
        depth: keys,
        why: format!("`{}` is not set", path.prefix(keys)),
    };
    let tree = Value::from(tables_of(figment));
    let mut array = &tree;
    for step in outside {
        array = child(array, step).ok_or_else(unset)?;
    }
    let mut array = array.clone();
    put(&mut array, within, value).map_err(|Unreachable { depth, why }| Unreachable {
        depth: depth + keys,
        why,
    })?;
    Ok(nested(outside, array))
}

fn put(target: &mut Value, steps: &[Step], value: &Value) -> Result<(), Unreachable> {
    let Some((step, rest)) = steps.split_first() else {
        *target = value.clone();
        return Ok(());
    };
    let here = |why: String| Unreachable { depth: 0, why };
    let inner = match (target, step) {
        (Value::Dict(_, table), Step::Key(key)) => table.entry(key.clone()).or_insert_with(|| Value::from(Dict::new())),
        (Value::Array(_, items), Step::Index(index)) => {
            let count = items.len();
            items.get_mut(*index).ok_or_else(|| match count {
                0 => here("the array is empty".to_owned()),
                1 => here("the array has one entry, 0".to_owned()),
                _ => here(format!("the array has {count} entries, 0 to {}", count - 1)),
            })?
        }
        (_, Step::Key(_)) => return Err(here("what is around it is not a table".to_owned())),
        (_, Step::Index(_)) => return Err(here("what is around it is not an array".to_owned())),
    };
    put(inner, rest, value).map_err(|Unreachable { depth, why }| Unreachable { depth: depth + 1, why })
}
