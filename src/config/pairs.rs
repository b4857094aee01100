//! What datasets of pairs need of the other tables, and what only they can have.

use super::check::{At, Finding};
use super::path::KeyPath;
use super::rules::{Parts, at, name};
use super::shape::one_of;
use crate::dataset::{DatasetSpec, PairGroup, SplitSpec};
use crate::evaluate::Baseline;
use crate::features::Recipe;
use crate::train::spec::Weighting;

/// What does not fit.
pub(super) fn check(parts: &Parts, found: &mut Vec<Finding>) {
    let Some(dataset) = &parts.dataset else { return };
    let kind = dataset.kind();
    match dataset.is_pairs() {
        true => {
            needs_pairs_everywhere(parts, kind, found);
            check_split(dataset, found);
            check_emotions(parts, dataset, found);
        }
        false => has_no_pairs(parts, kind, found),
    }
}

fn needs_pairs_everywhere(parts: &Parts, kind: &str, found: &mut Vec<Finding>) {
    if let Some(features) = &parts.features
        && !matches!(features, Recipe::Pair(_))
    {
        let message = format!(
            "the dataset `{kind}` is pairs, but the features are of kind \"{}\"",
            name(features)
        );
        found.push(
            at("features.kind", message).label("must be \"pair\"".to_owned()).help(
                "write `[features]` with `kind = \"pair\"`, and below it `[features.image]` and `[features.audio]`"
                    .to_owned(),
            ),
        );
    }
    if let Some(model) = &parts.model
        && !model.is_pair()
    {
        let message = format!("the dataset `{kind}` is pairs, but the network has one branch");
        let finding = Finding::new(KeyPath::parse("model.image"), At::Missing, message);
        found.push(finding.label("needs `image`, `audio` and `head`".to_owned()).help(
            "write `[[model.image.layers]]`, `[[model.audio.layers]]`, and `[model.head]` with a `join`".to_owned(),
        ));
    }
    if parts
        .loss
        .as_ref()
        .is_some_and(|loss| loss.weighting() == Weighting::Agreement)
    {
        found.push(at("loss.weighting", "pairs have no annotators that could agree").label("not for pairs".to_owned()));
    }
    if parts.augment.as_ref().is_some_and(|augment| augment.mixup.is_some()) {
        found.push(at("augment.mixup", "mixtures of pairs are no pairs").label("not for pairs".to_owned()));
    }
    let baselines = parts.evaluate.as_ref().and_then(|evaluate| evaluate.baselines.as_ref());
    for (index, baseline) in baselines.into_iter().flatten().enumerate() {
        if !Baseline::OF_PAIRS.contains(baseline) {
            let message = format!("the baseline \"{}\" is not for pairs", baseline.name());
            let names = Baseline::OF_PAIRS
                .iter()
                .map(|baseline| format!("\"{}\"", baseline.name()));
            found.push(
                at(&format!("evaluate.baselines[{index}]"), message).help(format!("for pairs: {}", one_of(names))),
            );
        }
    }
}

fn check_split(dataset: &DatasetSpec, found: &mut Vec<Finding>) {
    let DatasetSpec::Imemnet(imemnet) = dataset else { return };
    if imemnet.group != PairGroup::SongAndImage {
        return;
    }
    let why = match imemnet.split {
        SplitSpec::Official => "the official split is one of pairs",
        SplitSpec::File { .. } => "a file divides songs or clips",
        _ => return,
    };
    found.push(
        at(
            "dataset.group",
            format!("{why}: it cannot be one by song and by picture"),
        )
        .help("write `dataset.split = { kind = \"random\" }`, or `group = \"song\"`".to_owned()),
    );
}

/// Valence and arousal must be known to be learned.
fn check_emotions(parts: &Parts, dataset: &DatasetSpec, found: &mut Vec<Finding>) {
    let DatasetSpec::Imemnet(imemnet) = dataset else { return };
    if imemnet.image_va.is_some() && imemnet.music_va.is_some() {
        return;
    }
    let help = "set `dataset.image_va` and `dataset.music_va` to the tables of IMEMNet-C";
    if parts.model.as_ref().is_some_and(|model| model.emotion.is_some()) {
        found.push(
            at(
                "model.emotion",
                "valence and arousal of pictures and clips are not known",
            )
            .help(help.to_owned()),
        );
    }
    let baselines = parts.evaluate.as_ref().and_then(|evaluate| evaluate.baselines.as_ref());
    let place = baselines.and_then(|list| list.iter().position(|it| *it == Baseline::VaDistance));
    if let Some(index) = place {
        let message = "the baseline \"va-distance\" needs valence and arousal of pictures and clips";
        found.push(at(&format!("evaluate.baselines[{index}]"), message).help(help.to_owned()));
    }
}

fn has_no_pairs(parts: &Parts, kind: &str, found: &mut Vec<Finding>) {
    let mut push = |path: &str, what: String| {
        let message = format!("{what} for pairs of music and pictures, which the dataset `{kind}` is not");
        found.push(at(path, message));
    };
    if matches!(parts.features, Some(Recipe::Pair(_))) {
        push("features.kind", "features of kind \"pair\" are".into());
    }
    if parts.model.as_ref().is_some_and(crate::nn::NetworkSpec::is_pair) {
        push("model", "a network of two branches is".into());
    }
    if let Some(loss) = parts.loss.as_ref().filter(|loss| loss.is_of_pairs()) {
        push("loss.kind", format!("the loss \"{}\" is", loss.name()));
    }
    let baselines = parts.evaluate.as_ref().and_then(|evaluate| evaluate.baselines.as_ref());
    for (index, baseline) in baselines.into_iter().flatten().enumerate() {
        if baseline.is_of_pairs() {
            push(
                &format!("evaluate.baselines[{index}]"),
                format!("the baseline \"{}\" is", baseline.name()),
            );
        }
    }
}
