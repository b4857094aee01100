use std::path::PathBuf;

use serde::Serialize;

use super::experiment_args::SettingsArgs;
use super::failure::Failure;
use super::pipeline::{self, Prepared};
use super::{output, pairs};
use crate::dataset::{Split, split};
use crate::nn::{PlannedLayer, shape_text};
use crate::{config, files};

/// Check an experiment and print its plan, without doing any work.
///
/// Shows the examples of each split, the shape of the features, a table of the layers (with the floating-point operations
/// that one example takes), and what the cache will hold.
/// A synthetic corpus is rendered when it is not there yet.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A name in experiments/, or the path of an experiment file.
    #[arg(value_name = "EXPERIMENT")]
    experiment: String,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Write the split as a CSV file with the columns id, group and split, for `dataset.split = { kind = "file", file = … }`.
    #[arg(long, value_name = "FILE")]
    export_split: Option<PathBuf>,
    /// Print the plan as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Plan {
    experiment: String,
    settings: Vec<(String, String)>,
    splits: Vec<(&'static str, SplitSize)>,
    faults: Vec<String>,
    feature_shape: [usize; 3],
    feature_bytes: u64,
    layers: Vec<Layer>,
    parameters: usize,
    flops: u64,
    /// Of a training step, without what the optimiser keeps: features, and what each layer keeps for its backward pass.
    activation_bytes: u64,
    batch_size: usize,
}

#[derive(Serialize)]
struct SplitSize {
    examples: usize,
    groups: usize,
}

#[derive(Serialize)]
pub(super) struct Layer {
    layer: &'static str,
    settings: String,
    output: Vec<usize>,
    parameters: usize,
    flops: u64,
    /// Of one example in a training step.
    activation_bytes: u64,
}

impl Layer {
    /// For the table; `place` is where it stands.
    pub(super) fn row(&self, place: &str) -> [String; 5] {
        [
            match self.settings.as_str() {
                "" => format!("{place} {}", self.layer),
                settings => format!("{place} {}: {settings}", self.layer),
            },
            shape_text(&self.output),
            self.parameters.to_string(),
            output::short(self.flops),
            output::bytes(self.activation_bytes),
        ]
    }
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let resolved = args.settings.load(&args.experiment)?;
    args.settings.threads.start()?;
    let cache = &args.settings.cache.cache;
    if resolved.experiment.dataset.is_pairs() {
        return pairs::check::run(&resolved, cache, args.export_split.as_deref(), args.json);
    }
    let prepared = pipeline::prepare(&resolved, cache)?;
    if let Some(path) = &args.export_split {
        files::write_whole(path, &split::write(&prepared.manifest, &prepared.splits))?;
        output::item("split", &format!("written to {}", path.display()));
    }
    let batch_size = resolved.experiment.train.batch_size;
    let plan = Plan {
        experiment: resolved.experiment.experiment.name.clone(),
        settings: config::flatten(&resolved.experiment),
        splits: Split::ALL
            .iter()
            .map(|&split| (split.name(), size(&prepared, split)))
            .collect(),
        faults: prepared.manifest.faults.iter().map(ToString::to_string).collect(),
        feature_shape: prepared.shape,
        feature_bytes: (prepared.shape.iter().product::<usize>() * 4 * prepared.ids.len()) as u64,
        layers: prepared.plan.layers.iter().map(layer).collect(),
        parameters: prepared.plan.parameters(),
        flops: prepared.plan.flops(),
        activation_bytes: prepared.plan.activations().saturating_mul(FLOAT * batch_size as u64),
        batch_size,
    };
    match args.json {
        true => output::json(&plan),
        false => output::result(&text(&plan)),
    }
}

fn size(prepared: &Prepared, split: Split) -> SplitSize {
    let of_split = || {
        let examples = prepared.manifest.examples.iter().zip(&prepared.splits);
        examples
            .filter(move |(_, side)| **side == split)
            .map(|(example, _)| example.group.as_str())
    };
    SplitSize {
        examples: of_split().count(),
        groups: of_split().collect::<std::collections::BTreeSet<_>>().len(),
    }
}

pub(super) fn layer(layer: &PlannedLayer) -> Layer {
    Layer {
        layer: layer.name,
        settings: layer.detail.clone(),
        output: layer.output.clone(),
        parameters: layer.parameters,
        flops: layer.flops,
        activation_bytes: layer.activations.saturating_mul(FLOAT),
    }
}

/// Bytes of a float32.
const FLOAT: u64 = 4;

fn text(plan: &Plan) -> String {
    let mut lines = vec![format!("{} is sound", output::bold(&plan.experiment)), String::new()];
    for (name, size) in &plan.splits {
        let examples = output::count(size.examples, "example");
        lines.push(format!(
            "{name:<8} {examples} in {}",
            output::count(size.groups, "group")
        ));
    }
    lines.push(format!(
        "features {} float32 per example, {} in the cache",
        shape_text(&plan.feature_shape),
        output::bytes(plan.feature_bytes)
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
    table.add_row([
        "input".into(),
        shape_text(&plan.feature_shape),
        String::new(),
        String::new(),
        output::bytes(plan.feature_shape.iter().product::<usize>() as u64 * FLOAT),
    ]);
    for (index, layer) in plan.layers.iter().enumerate() {
        table.add_row(layer.row(&index.to_string()));
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
        "FLOPs of a forward pass and memory of a training step, both for one example;\na batch of {} needs {}",
        plan.batch_size,
        output::bytes(plan.activation_bytes)
    ));
    lines.join("\n")
}
