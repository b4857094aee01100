use std::path::{Path, PathBuf};

use serde::Serialize;

use super::experiment_args::SettingsArgs;
use super::failure::Failure;
use super::pipeline::{Sides, Unusable};
use super::{feature_cache, output, pairs, pipeline};
use crate::config::Resolved;
use crate::dataset::{Manifest, Split, split};
use crate::features::export::{Exported, export};
use crate::features::timings::Timings;
use crate::features::{FeatureSet, Layout};
use crate::nn::shape_text;

/// Extract features into the cache, write them for other tools, tidy the cache.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A name in experiments/, or the path of an experiment file.
    #[arg(value_name = "EXPERIMENT", required_unless_present_any = ["list", "prune"])]
    experiment: Option<String>,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Write the arrays into DIR as .npy files. LAYOUT is `song-seg` (song_{id}_seg_{j}.npy, one for each clip) or `meld-arrays`
    /// (X_audio_train.npy, X_audio_val.npy and X_audio_test.npy). examples.csv says which array belongs to which example.
    #[arg(long, num_args = 2, value_names = ["LAYOUT", "DIR"], conflicts_with_all = ["list", "prune"])]
    export: Option<Vec<String>>,
    /// List the feature sets in the cache.
    #[arg(long, conflicts_with_all = ["experiment", "prune"])]
    list: bool,
    /// Remove the feature sets that were not used for longest, until the others take at most SIZE, such as 20GB. Without SIZE
    /// all go. Those that a process uses stay.
    #[arg(long, value_name = "SIZE", num_args = 0..=1, default_missing_value = "0", conflicts_with = "experiment")]
    #[arg(value_parser = feature_cache::parse_size)]
    prune: Option<u64>,
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
    damaged: Vec<String>,
    /// Seconds of all threads.
    seconds: Timings,
    #[serde(skip_serializing_if = "Option::is_none")]
    exported: Option<Exported>,
    /// Of pairs, which side.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<&'static str>,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let cache = &args.settings.cache.cache;
    if args.list {
        return feature_cache::list(cache, args.json);
    }
    if let Some(size) = args.prune {
        return feature_cache::prune(cache, size, args.json);
    }
    // Before any work.
    let target = args.export.as_deref().map(parse_export).transpose()?;
    let resolved = args.settings.load(args.experiment.as_deref().unwrap_or_default())?;
    args.settings.threads.start()?;
    let experiment = &resolved.experiment;
    if experiment.dataset.is_pairs() {
        return of_pairs(&resolved, args);
    }
    let manifest = pipeline::load_manifest_and_decode(&resolved, cache)?;
    let splits = split::assign(&manifest, experiment.dataset.split(), experiment.experiment.seed)?;
    let mut features = pipeline::extract_features(&resolved, &manifest, &splits, cache)?;
    let exported = target
        .map(|target| target.write(&resolved, &mut features, &manifest, &splits))
        .transpose()?;
    let unusable = Unusable::of(&manifest, &features, experiment.dataset.on_error());
    let extracted = Extracted {
        key: features.key().into(),
        folder: match &experiment.features {
            crate::features::Recipe::Npy(recipe) => recipe.folder.display().to_string(),
            _ => cache.join("features").join(features.key()).display().to_string(),
        },
        shape: features.shape(),
        examples: features.len(),
        computed: features.computed,
        bytes: (features.len() * features.array_len() * 4) as u64,
        faults: unusable.faults.iter().map(ToString::to_string).collect(),
        damaged: features.damaged.iter().map(ToString::to_string).collect(),
        seconds: features.timings,
        exported,
        of: None,
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
    ))?;
    match (&args.export, &extracted.exported) {
        (Some(export), Some(exported)) => output::result(&format!(
            "{} ({}) in {}",
            output::count(exported.files, "file"),
            output::bytes(exported.bytes),
            export.last().map_or("", String::as_str)
        )),
        _ => Ok(()),
    }
}

/// The arrays of all pictures and clips.
fn of_pairs(resolved: &Resolved, args: &Args) -> Result<(), Failure> {
    if args.export.is_some() {
        return Err(Failure::request(
            "the arrays of pairs have no layout that other tools know",
            "leave out `--export`; `affect features --list` says where they lie".to_owned(),
        ));
    }
    let cache = &args.settings.cache.cache;
    let prepared = pairs::prepare(resolved, cache)?;
    let features = pairs::extract(&prepared, cache)?;
    let sides = [("pictures", &features.images), ("clips", &features.clips)];
    let told = sides.map(|(what, features)| Extracted {
        key: features.key().into(),
        folder: cache.join("features").join(features.key()).display().to_string(),
        shape: features.shape(),
        examples: features.len(),
        computed: features.computed,
        bytes: (features.len() * features.array_len() * 4) as u64,
        faults: features.faults.iter().map(ToString::to_string).collect(),
        damaged: features.damaged.iter().map(ToString::to_string).collect(),
        seconds: features.timings,
        exported: None,
        of: Some(what),
    });
    if args.json {
        return output::json(&told);
    }
    for extracted in &told {
        output::result(&format!(
            "{} {} of float32 ({}) in {}",
            extracted.examples,
            extracted.of.unwrap_or_default(),
            output::bytes(extracted.bytes),
            extracted.folder
        ))?;
    }
    Ok(())
}

/// Where the arrays are written, and how.
struct Target {
    layout: Layout,
    folder: PathBuf,
}

fn parse_export(words: &[String]) -> Result<Target, Failure> {
    let [layout, folder] = words else {
        return Err(Failure::request("`--export` needs a layout and a folder", None));
    };
    match Layout::named(layout) {
        Some(layout) => Ok(Target {
            layout,
            folder: Path::new(folder).into(),
        }),
        None => Err(Failure::request(
            format!("there is no layout `{layout}`"),
            Some(format!("layouts: {}", Layout::ALL.map(Layout::name).join(", "))),
        )),
    }
}

impl Target {
    fn write(
        &self,
        resolved: &Resolved,
        features: &mut FeatureSet,
        manifest: &Manifest,
        splits: &[Split],
    ) -> Result<Exported, Failure> {
        let train = Sides::of(splits, features)?.train;
        pipeline::normalize(&resolved.experiment, features, &train)?;
        let exported = export(features, manifest, splits, self.layout, &self.folder)?;
        if exported.others > 0 {
            let others = output::count(exported.others, "other .npy file");
            output::warning(&format!(
                "{others} in `{}` that this export did not write; examples.csv names those that it did",
                self.folder.display()
            ));
        }
        Ok(exported)
    }
}
