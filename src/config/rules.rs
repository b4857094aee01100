//! What single settings cannot say: whether they make sense together.
//!
//! Each rule looks at the tables that could be read, so that a mistake in one table does not hide those in another. Rules that
//! need the data or the shapes of the network belong to the parts that know them.

use std::collections::BTreeSet;
use std::fmt::Display;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::dataset::{DatasetSpec, DeamDynamicSpec, SplitSpec};
use crate::evaluate::EvaluateSpec;
use crate::features::{AudioRecipe, Recipe};
use crate::nn::NetworkSpec;
use crate::train::{AugmentSpec, LossSpec, TrainSpec};

use super::About;
use super::check::{At, Finding};
use super::merge::Merged;
use super::path::KeyPath;
use super::{pairs, task};

/// The tables of an experiment that could be read.
#[derive(Debug, Default)]
pub(super) struct Parts {
    about: Option<About>,
    pub dataset: Option<DatasetSpec>,
    pub features: Option<Recipe>,
    pub model: Option<NetworkSpec>,
    pub loss: Option<LossSpec>,
    train: Option<TrainSpec>,
    pub augment: Option<AugmentSpec>,
    pub evaluate: Option<EvaluateSpec>,
}

impl Parts {
    /// The tables in which nothing was found wrong.
    pub fn sound(merged: &Merged, found: &[Finding]) -> Self {
        Self {
            about: sound(merged, found, "experiment"),
            dataset: sound(merged, found, "dataset"),
            features: sound(merged, found, "features"),
            model: sound(merged, found, "model"),
            loss: sound(merged, found, "loss"),
            train: sound(merged, found, "train"),
            augment: sound(merged, found, "augment"),
            evaluate: sound(merged, found, "evaluate"),
        }
    }
}

fn sound<T: DeserializeOwned>(merged: &Merged, found: &[Finding], table: &str) -> Option<T> {
    let path = KeyPath::root().key(table);
    let is_sound = !found.iter().any(|finding| finding.path.starts_with(&path));
    if is_sound {
        merged.figment.extract_inner(table).ok()
    } else {
        None
    }
}

/// All that does not make sense.
pub(super) fn check(parts: &Parts) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(about) = &parts.about {
        check_about(about, &mut found);
    }
    if let Some(dataset) = &parts.dataset {
        check_dataset(dataset, &mut found);
        found.extend(task::check(
            dataset,
            parts.loss.as_ref(),
            parts.train.as_ref(),
            parts.evaluate.as_ref(),
        ));
    }
    if let (Some(dataset), Some(features)) = (&parts.dataset, &parts.features) {
        check_media(dataset, features, &mut found);
    }
    match &parts.features {
        Some(Recipe::Mel(recipe)) => check_mel(recipe, "features", &mut found),
        Some(Recipe::Pair(recipe)) => {
            if let AudioRecipe::Mel(recipe) = &recipe.audio {
                check_mel(recipe, "features.audio", &mut found);
            }
        }
        Some(Recipe::Image(_) | Recipe::Waveform(_) | Recipe::Npy(_)) | None => {}
    }
    for misfit in parts.model.iter().flat_map(NetworkSpec::misfits) {
        let layer = misfit.layer.map(|index| KeyPath::parse(misfit.list).index(index));
        let path = misfit.keys.iter().fold(layer, |path, key| {
            Some(path.unwrap_or_else(|| KeyPath::parse("model")).key(key))
        });
        let at = if misfit.layer.is_some() { At::Value } else { At::Missing };
        let finding = Finding::new(path.unwrap_or_default(), at, misfit.message);
        found.push(finding.label(misfit.label).help(misfit.help));
    }
    for misfit in parts
        .augment
        .iter()
        .flat_map(|augment| augment.misfits(parts.loss.as_ref()))
    {
        let path = misfit
            .path
            .iter()
            .fold(KeyPath::parse("augment"), |path, key| path.key(key));
        found.push(Finding::new(path, At::Value, misfit.message).label(misfit.label));
    }
    pairs::check(parts, &mut found);
    if let Some(baselines) = parts.evaluate.as_ref().and_then(|evaluate| evaluate.baselines.as_ref()) {
        no_duplicates("evaluate.baselines", baselines.iter().map(name), &mut found);
    }
    found
}

pub(super) fn at(path: &str, message: impl Into<String>) -> Finding {
    Finding::new(KeyPath::parse(path), At::Value, message)
}

/// What a choice is called in the file; of a tagged table, its kind.
pub(super) fn name<T: Serialize>(choice: &T) -> String {
    let written = serde_json::to_value(choice).unwrap_or_default();
    let text = written.get("kind").unwrap_or(&written).as_str();
    text.unwrap_or_default().to_owned()
}

fn check_about(about: &About, found: &mut Vec<Finding>) {
    let name = &about.name;
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    let goes_on_well = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    if !starts_well || !name.chars().all(goes_on_well) {
        let finding = at("experiment.name", format!("`{name}` cannot be the name of an experiment"))
            .label("not a name for a folder".to_owned())
            .help("use letters, digits, `-`, `_` and `.`, a letter or digit first; without `experiment.name`, it is the file's name".to_owned());
        found.push(finding);
    }
    for (index, tag) in about.tags.iter().enumerate() {
        if tag.trim().is_empty() || tag.trim() != tag || tag.contains([',', '\n', '\r']) {
            let finding = at(&format!("experiment.tags[{index}]"), format!("{tag:?} cannot be a tag"))
                .help("tags have no commas, no line breaks and no spaces at their ends".to_owned());
            found.push(finding);
        }
    }
    no_duplicates("experiment.tags", &about.tags, found);
}

/// `list`: an array of names.
fn no_duplicates<T: Display>(list: &str, names: impl IntoIterator<Item = T>, found: &mut Vec<Finding>) {
    let mut seen = BTreeSet::new();
    for (index, name) in names.into_iter().enumerate() {
        let name = name.to_string();
        if seen.contains(&name) {
            found.push(at(
                &format!("{list}[{index}]"),
                format!("`{name}` stands twice in `{list}`"),
            ));
        }
        seen.insert(name);
    }
}

fn check_dataset(dataset: &DatasetSpec, found: &mut Vec<Finding>) {
    check_split(dataset, found);
    let targets: Vec<String> = match dataset {
        DatasetSpec::Table(table) => {
            if table.label.is_some() && !table.targets.is_empty() {
                let finding = at("dataset.label", "`dataset` has both `targets` and `label`")
                    .help("give `targets` to predict numbers, or `label` to predict classes".to_owned());
                found.push(finding);
            } else if table.label.is_none() && table.targets.is_empty() {
                let finding = Finding::new(
                    KeyPath::parse("dataset.targets"),
                    At::Missing,
                    "`dataset` has neither `targets` nor `label`",
                )
                .label("what is to be predicted?".to_owned())
                .help("give `targets` (columns of numbers) or `label` (a column of classes)".to_owned());
                found.push(finding);
            }
            table.targets.clone()
        }
        DatasetSpec::DeamStatic(deam) => deam_targets(&deam.targets, found),
        DatasetSpec::DeamDynamic(deam) => {
            check_clips(deam, found);
            deam_targets(&deam.targets, found)
        }
        DatasetSpec::Synthetic(synthetic) => deam_targets(&synthetic.targets, found),
        DatasetSpec::ImemnetCImage(imemnet) => deam_targets(&imemnet.targets, found),
        DatasetSpec::ImemnetCMusic(imemnet) => deam_targets(&imemnet.targets, found),
        DatasetSpec::Meld(_) | DatasetSpec::Imemnet(_) | DatasetSpec::SyntheticPairs(_) => Vec::new(),
    };
    no_duplicates("dataset.targets", targets, found);
}

fn check_clips(deam: &DeamDynamicSpec, found: &mut Vec<Finding>) {
    if let Some(end) = deam.end_seconds
        && end < deam.start_seconds + deam.clip_seconds
    {
        let first = deam.start_seconds + deam.clip_seconds;
        let finding = at("dataset.end_seconds", "no clip ends before `dataset.end_seconds`")
            .label(format!("must be at least {first}, where the first clip ends"));
        found.push(finding);
    }
}

fn deam_targets(targets: &[crate::dataset::spec::DeamTarget], found: &mut Vec<Finding>) -> Vec<String> {
    if targets.is_empty() {
        let finding = at("dataset.targets", "`dataset.targets` is empty").label("what is to be predicted?".to_owned());
        found.push(finding);
    }
    targets.iter().map(name).collect()
}

/// How far the sum of the fractions may be from 1: three thirds with six digits pass.
const SUM_TOLERANCE: f64 = 1e-5;

fn check_split(dataset: &DatasetSpec, found: &mut Vec<Finding>) {
    match dataset.split() {
        SplitSpec::Random { fractions, .. } => {
            let sum: f64 = fractions.iter().sum();
            for (index, fraction) in fractions.iter().enumerate() {
                if *fraction <= 0.0 {
                    let side = ["train", "val", "test"].get(index).unwrap_or(&"");
                    let finding = at(
                        &format!("dataset.split.fractions[{index}]"),
                        format!("the share of {side} is {fraction}"),
                    )
                    .label("must be above 0".to_owned());
                    found.push(finding);
                }
            }
            if (sum - 1.0).abs() > SUM_TOLERANCE {
                let finding = at("dataset.split.fractions", "`dataset.split.fractions` must sum to 1")
                    .label(format!("sums to {}", rounded(sum)))
                    .help("the shares of train, val and test, such as [0.8, 0.1, 0.1]".to_owned());
                found.push(finding);
            }
        }
        SplitSpec::Column => match dataset {
            DatasetSpec::Table(table) if table.split_column.is_some() => {}
            DatasetSpec::Table(_) => {
                let finding = at("dataset.split.kind", "a split by column needs `dataset.split_column`")
                    .help("name the column that says train, val or test".to_owned());
                found.push(finding);
            }
            _ => {
                found.push(at(
                    "dataset.split.kind",
                    "only datasets of kind = \"table\" can be split by a column",
                ));
            }
        },
        SplitSpec::KFold { folds, fold, .. } => {
            if fold >= folds {
                let finding = at("dataset.split.fold", format!("there is no fold {fold}"))
                    .label(format!("{folds} folds are numbered 0 to {}", folds.saturating_sub(1)));
                found.push(finding);
            }
        }
        SplitSpec::LeaveOneGroupOut { validation, .. } => {
            if *validation <= 0.0 || *validation >= 1.0 {
                let finding = at(
                    "dataset.split.validation",
                    format!("the share that validates is {validation}"),
                )
                .label("must be above 0 and below 1".to_owned());
                found.push(finding);
            }
        }
        SplitSpec::Official | SplitSpec::File { .. } => {}
    }
}

/// Six digits at most.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

/// Pictures have no spectrograms.
fn check_media(dataset: &DatasetSpec, features: &Recipe, found: &mut Vec<Finding>) {
    if dataset.is_pairs() || matches!(features, Recipe::Pair(_)) {
        return; // `pairs` looks at those
    }
    let pictures = matches!(dataset, DatasetSpec::ImemnetCImage(_));
    let (what, help) = match (features, pictures) {
        (Recipe::Mel(_) | Recipe::Waveform(_), true) => ("pictures", "kind = \"image\" makes arrays of pictures"),
        (Recipe::Image(_), false) => ("sound", "kind = \"mel\" makes spectrograms of sound"),
        _ => return,
    };
    let message = format!(
        "the dataset `{}` is made of {what}, features of kind \"{}\" are not",
        dataset.kind(),
        name(features)
    );
    found.push(at("features.kind", message).help(help.to_owned()));
}

/// `table`: the one that the recipe is.
fn check_mel(recipe: &crate::features::recipe::MelRecipe, table: &str, found: &mut Vec<Finding>) {
    let key = |name: &str| format!("{table}.{name}");
    let nyquist = f64::from(recipe.sample_rate) / 2.0;
    if !recipe.n_fft.is_multiple_of(2) {
        found.push(at(
            &key("n_fft"),
            format!("`{table}.n_fft` must be even, not {}", recipe.n_fft),
        ));
    }
    if let Some(win_length) = recipe.win_length.filter(|length| *length > recipe.n_fft) {
        let finding = at(
            &key("win_length"),
            format!("the window of {win_length} samples is longer than the transform"),
        )
        .label(format!("must be at most `{table}.n_fft`, which is {}", recipe.n_fft));
        found.push(finding);
    }
    if let Some(fmax) = recipe.fmax.filter(|fmax| *fmax > nyquist) {
        let finding = at(
            &key("fmax"),
            format!("`{table}.fmax` is {fmax} Hz, above half of the sample rate"),
        )
        .label(format!("must be at most {nyquist}"))
        .help(format!("`{table}.sample_rate` is {} Hz", recipe.sample_rate));
        found.push(finding);
    }
    let fmax = recipe.fmax.unwrap_or(nyquist);
    if recipe.fmin >= fmax {
        let (path, label) = match recipe.fmax {
            Some(_) => (
                key("fmax"),
                format!("must be above `{table}.fmin`, which is {}", recipe.fmin),
            ),
            None => (key("fmin"), format!("must be below half of the sample rate, {nyquist}")),
        };
        found.push(at(&path, format!("no frequencies between {} and {fmax} Hz", recipe.fmin)).label(label));
    }
}
