//! `affect check` for pairs: what is in the files, what the splits share, the network of two branches.

use std::path::Path;

use serde::Serialize;

use super::{Prepared, load};
use crate::cli::check::{Layer, layer};
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::config::{self, Resolved};
use crate::dataset::Split;
use crate::dataset::imemnet::Leak;
use crate::files;
use crate::nn::{PlannedLayer, shape_text};

/// Bytes of a float.
const FLOAT: u64 = 4;

#[derive(Serialize)]
struct Plan {
    experiment: String,
    settings: Vec<(String, String)>,
    pairs: usize,
    clips: usize,
    songs: usize,
    images: usize,
    /// Of the files.
    official: Vec<(&'static str, usize)>,
    /// What the files share, whatever the split.
    leaks: Vec<Leak>,
    /// Pairs of each side of the split that is asked for.
    splits: Vec<(&'static str, usize)>,
    /// Pictures that are on more than one side of it.
    images_on_several_sides: usize,
    faults: Vec<String>,
    remarks: Vec<String>,
    image_shape: [usize; 3],
    audio_shape: [usize; 3],
    /// Of all pictures and clips in the cache.
    feature_bytes: u64,
    /// Of a batch of pairs: pictures and clips as they are read.
    batch_bytes: u64,
    image_layers: Vec<Layer>,
    audio_layers: Vec<Layer>,
    /// The join, and what is behind it.
    head_layers: Vec<Layer>,
    /// For valence and arousal.
    emotion_layers: Vec<Layer>,
    parameters: usize,
    flops: u64,
    activation_bytes: u64,
    batch_size: usize,
}

pub fn run(resolved: &Resolved, cache: &Path, export_split: Option<&Path>, as_json: bool) -> Result<(), Failure> {
    let corpus = load(resolved, cache)?;
    let leaks = corpus.matching.leaks();
    for leak in &leaks {
        output::warning(&leak.remark());
    }
    let prepared = super::fit_to(resolved, corpus)?;
    if let Some(path) = export_split {
        files::write_whole(path, &prepared.split_file())?;
        output::item("split", &format!("of the clips, written to {}", path.display()));
    }
    let plan = plan(resolved, &prepared, leaks);
    match as_json {
        true => output::json(&plan),
        false => output::result(&text(&plan)),
    }
}

fn plan(resolved: &Resolved, prepared: &Prepared, leaks: Vec<Leak>) -> Plan {
    let matching = &prepared.corpus.matching;
    let count = |side: Split| prepared.splits.iter().filter(|it| **it == Some(side)).count();
    let official = |split: Split| matching.pairs.iter().filter(|pair| pair.split == split).count();
    let batch_size = resolved.experiment.train.batch_size;
    let bytes = |shape: [usize; 3]| shape.iter().product::<usize>() as u64 * FLOAT;
    let (image, audio) = (bytes(prepared.image_shape), bytes(prepared.audio_shape));
    let layers = |layers: &[PlannedLayer]| layers.iter().map(layer).collect::<Vec<Layer>>();
    let network = &prepared.plan;
    let mut head = vec![layer(&network.join)];
    head.extend(layers(&network.head.layers));
    let faults = prepared
        .corpus
        .images
        .faults
        .iter()
        .chain(&prepared.corpus.clips.faults);
    Plan {
        experiment: resolved.experiment.experiment.name.clone(),
        settings: config::flatten(&resolved.experiment),
        pairs: matching.pairs.len(),
        clips: matching.clips.len(),
        songs: matching.songs().0.len(),
        images: matching.images.len(),
        official: Split::ALL.map(|split| (split.name(), official(split))).into(),
        leaks,
        splits: Split::ALL.map(|split| (split.name(), count(split))).into(),
        images_on_several_sides: images_on_several_sides(prepared),
        faults: faults.map(ToString::to_string).collect(),
        remarks: prepared.remarks.clone(),
        image_shape: prepared.image_shape,
        audio_shape: prepared.audio_shape,
        feature_bytes: image * matching.images.len() as u64 + audio * matching.clips.len() as u64,
        batch_bytes: (image + audio) * batch_size as u64,
        image_layers: layers(&network.image.layers),
        audio_layers: layers(&network.audio.layers),
        head_layers: head,
        emotion_layers: layers(&network.emotion),
        parameters: network.parameters(),
        flops: network.flops(),
        activation_bytes: network.activations().saturating_mul(FLOAT * batch_size as u64),
        batch_size,
    }
}

fn images_on_several_sides(prepared: &Prepared) -> usize {
    let matching = &prepared.corpus.matching;
    let mut first: Vec<Option<Split>> = vec![None; matching.images.len()];
    let mut several = vec![false; matching.images.len()];
    for (pair, side) in matching.pairs.iter().zip(&prepared.splits) {
        let image = pair.image as usize;
        if let (Some(first), Some(several), Some(side)) = (first.get_mut(image), several.get_mut(image), side) {
            *several |= first.get_or_insert(*side) != side;
        }
    }
    several.into_iter().filter(|several| *several).count()
}

fn text(plan: &Plan) -> String {
    let mut lines = vec![
        format!("{}: the experiment is sound", output::bold(&plan.experiment)),
        String::new(),
        format!(
            "{} of {} ({}) and {}",
            output::count(plan.pairs, "pair"),
            output::count(plan.clips, "clip"),
            output::count(plan.songs, "song"),
            output::count(plan.images, "picture")
        ),
    ];
    for ((name, pairs), (_, in_file)) in plan.splits.iter().zip(&plan.official) {
        lines.push(format!(
            "{name:<8} {} ({in_file} in its file)",
            output::count(*pairs, "pair")
        ));
    }
    lines.extend(plan.remarks.iter().cloned());
    lines.push(format!(
        "features {} per picture, {} per clip, {} in the cache; a batch of {} pairs reads {}",
        shape_text(&plan.image_shape),
        shape_text(&plan.audio_shape),
        output::bytes(plan.feature_bytes),
        plan.batch_size,
        output::bytes(plan.batch_bytes)
    ));
    if !plan.faults.is_empty() {
        lines.push(format!(
            "faults   {} missing or unusable",
            output::count(plan.faults.len(), "file")
        ));
        lines.extend(plan.faults.iter().take(10).map(|fault| format!("         {fault}")));
    }
    lines.push(String::new());
    let mut table = output::table(&["layer", "output", "parameters", "FLOPs", "memory"], 2..5, 0);
    for (branch, layers) in [
        ("image", &plan.image_layers),
        ("audio", &plan.audio_layers),
        ("head", &plan.head_layers),
        ("emotion", &plan.emotion_layers),
    ] {
        for (index, layer) in layers.iter().enumerate() {
            table.add_row(layer.row(&format!("{branch} {index}")));
        }
    }
    table.add_row([
        "all".into(),
        String::new(),
        plan.parameters.to_string(),
        output::short(plan.flops),
        output::bytes(plan.activation_bytes / plan.batch_size.max(1) as u64),
    ]);
    lines.push(table.to_string());
    lines.push(format!(
        "FLOPs of a forward pass and memory of a training step, both for one pair;\na batch of {} needs {}",
        plan.batch_size,
        output::bytes(plan.activation_bytes)
    ));
    lines.join("\n")
}
