use serde::Serialize;

use super::experiment_args::SettingsArgs;
use super::failure::Failure;
use super::pipeline::Unusable;
use super::{output, pipeline};
use crate::nn::shape_text;

/// Extract the features of an experiment into the cache, and nothing else.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A name in experiments/, or the path of an experiment file.
    #[arg(value_name = "EXPERIMENT")]
    experiment: String,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Print what was done as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Extracted {
    key: String,
    folder: String,
    shape: [usize; 3],
    examples: usize,
    computed: usize,
    bytes: u64,
    faults: Vec<String>,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let resolved = args.settings.load(&args.experiment)?;
    args.settings.start_threads()?;
    let cache = &args.settings.cache.cache;
    let manifest = pipeline::load_manifest_and_decode(&resolved, cache)?;
    let features = pipeline::extract_features(&resolved, &manifest, cache)?;
    let faults = Unusable::of(&manifest, &features).faults;
    let extracted = Extracted {
        key: features.key().into(),
        folder: cache.join("features").join(features.key()).display().to_string(),
        shape: features.shape(),
        examples: features.len(),
        computed: features.computed,
        bytes: (features.len() * features.array_len() * 4) as u64,
        faults: faults.iter().map(ToString::to_string).collect(),
    };
    if args.json {
        return output::json(&extracted);
    }
    output::result(&format!(
        "{} of {} float32 ({}) in {}",
        output::count(extracted.examples, "example"),
        shape_text(&extracted.shape),
        output::bytes(extracted.bytes),
        extracted.folder
    ))
}
