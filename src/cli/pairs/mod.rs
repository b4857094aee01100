//! Experiments on pairs of a picture and a clip of music: what of `run`, `check` and `features` is different for them.
//!
//! Pairs are no manifest of examples (a million of them would take hundreds of megabytes): they stay the short list that the dataset
//! reads, beside one manifest of the pictures and one of the clips. Each picture and each clip has one array in the cache, which is read by
//! position when a batch needs it.

mod baselines;
pub mod check;
mod judge;
pub mod predict;
mod retrieve;
mod work;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use candle_core::Device;

use self::work::PairWork;
use super::failure::Failure;
use super::output;
use super::pipeline::{self, Sides};
use super::progress::Stage;
use super::run::{self, Begun, Origin, Place, Summary};
use crate::config::Resolved;
use crate::dataset::{LoadContext, PairCorpus, Split, split};
use crate::evaluate::Problem;
use crate::export::interface;
use crate::features::{self, FeatureSet, Normalize, PairRecipe, Recipe};
use crate::nn::{Network, PairPlan, PlanError};
use crate::predict::pairs::PairInterface;
use crate::train::loss::Loss;
use crate::train::{Emotions, Labels, PairOf};

/// What a network of pairs predicts.
pub const SCORE: &str = "score";

/// Pairs that were read, divided and matched with a network, before anything was decoded.
pub struct Prepared {
    pub corpus: PairCorpus,
    /// Of every pair; `None` where it is left out.
    pub splits: Vec<Option<Split>>,
    pub remarks: Vec<String>,
    pub recipe: PairRecipe,
    pub problem: Problem,
    /// The score of every pair.
    pub labels: Labels,
    /// Of one picture.
    pub image_shape: [usize; 3],
    /// Of one clip.
    pub audio_shape: [usize; 3],
    pub plan: PairPlan,
}

/// The arrays of all pictures and clips.
pub struct PairFeatures {
    pub images: FeatureSet,
    pub clips: FeatureSet,
}

impl PairFeatures {
    /// One name for both.
    pub fn key(&self) -> String {
        format!("{}+{}", self.images.key(), self.clips.key())
    }
}

/// Reads the pairs, divides them, and fits features and network to them.
pub fn prepare(resolved: &Resolved, cache: &Path) -> Result<Prepared, Failure> {
    let corpus = load(resolved, cache)?;
    fit_to(resolved, corpus)
}

/// Reads the pairs, and renders a synthetic corpus first.
fn load(resolved: &Resolved, cache: &Path) -> Result<PairCorpus, Failure> {
    let stage = Stage::start("data");
    let context = LoadContext {
        cache,
        progress: &|done, total| stage.count("songs and pictures rendered", done, total),
    };
    let corpus = resolved.experiment.dataset.load_pairs(&context)?;
    let matching = &corpus.matching;
    stage.finish(&format!(
        "{} of {} ({}) and {}",
        output::count(matching.pairs.len(), "pair"),
        output::count(matching.clips.len(), "clip"),
        output::count(matching.songs().0.len(), "song"),
        output::count(matching.images.len(), "picture")
    ));
    Ok(corpus)
}

fn fit_to(resolved: &Resolved, corpus: PairCorpus) -> Result<Prepared, Failure> {
    let experiment = &resolved.experiment;
    let Recipe::Pair(recipe) = &experiment.features else {
        return Err(features::Error::Pair.into());
    };
    let divided = corpus.sides(corpus.split(), experiment.experiment.seed)?;
    let mut remarks = corpus.matching.remarks.clone();
    remarks.extend(divided.remarks);
    remarks.iter().for_each(|remark| output::item("", remark));
    let splits = vec![Split::Train; corpus.images.examples.len()];
    let image = Recipe::Image(recipe.image.clone());
    let image_shape = features::shape(&image, &corpus.images, &splits, corpus.on_error())?;
    let splits = vec![Split::Train; corpus.clips.examples.len()];
    let audio = recipe.audio.recipe();
    let audio_shape = features::shape(&audio, &corpus.clips, &splits, corpus.on_error()).map_err(|error| {
        let below = |text: String| text.replace("`features.", "`features.audio.");
        let hint = error.hint().map(below);
        Failure::Mistakes(resolved.mistake("features.audio", below(error.to_string()), hint))
    })?;
    let plan = PairPlan::new(&experiment.model, &image_shape, &audio_shape).map_err(|error: PlanError| {
        let help = (!error.input.is_empty()).then(|| format!("the network so far:\n{}", error.table()));
        Failure::Mistakes(resolved.mistake(&error.path(), error.to_string(), help))
    })?;
    let problem = Problem::Regression {
        targets: vec![SCORE.into()],
    };
    let labels = Labels::Values(corpus.matching.pairs.iter().map(|pair| pair.score).collect());
    if let Err(error) = Loss::new(&experiment.loss, &problem, &labels, &[]) {
        let path = error.path().unwrap_or("loss");
        return Err(Failure::Mistakes(resolved.mistake(
            path,
            error.to_string(),
            error.hint(),
        )));
    }
    Ok(Prepared {
        splits: divided.sides,
        remarks,
        recipe: recipe.clone(),
        problem,
        labels,
        image_shape,
        audio_shape,
        plan,
        corpus,
    })
}

/// Computes what the caches do not hold.
pub fn extract(prepared: &Prepared, cache: &Path) -> Result<PairFeatures, Failure> {
    let corpus = &prepared.corpus;
    let image = Recipe::Image(prepared.recipe.image.clone());
    let images = pipeline::extract("pictures", &image, &corpus.images, corpus.on_error(), cache)?;
    let clips = pipeline::extract(
        "music",
        &prepared.recipe.audio.recipe(),
        &corpus.clips,
        corpus.on_error(),
        cache,
    )?;
    Ok(PairFeatures { images, clips })
}

impl Prepared {
    /// The pairs of each side whose picture and clip can be used.
    ///
    /// # Errors
    /// A side that is empty.
    pub fn sides(&self, features: &PairFeatures) -> Result<Sides, Failure> {
        self.sides_of(&self.splits, features)
    }

    /// As [`Self::sides`], of another division.
    fn sides_of(&self, splits: &[Option<Split>], features: &PairFeatures) -> Result<Sides, Failure> {
        let side = |wanted: Split| -> Result<Vec<usize>, Failure> {
            let pairs = self.corpus.matching.pairs.iter().zip(splits).enumerate();
            let usable = pairs.filter(|(_, (pair, split))| {
                **split == Some(wanted)
                    && features.images.is_available(pair.image as usize)
                    && features.clips.is_available(pair.clip as usize)
            });
            let of_side: Vec<usize> = usable.map(|(number, _)| number).collect();
            match of_side.is_empty() {
                false => Ok(of_side),
                true => Err(Failure::request(
                    format!(
                        "no pair with a readable picture and clip is left in the split `{}`",
                        wanted.name()
                    ),
                    Some("repair the files, or change `dataset.split`".to_string()),
                )),
            }
        };
        Ok(Sides {
            train: side(Split::Train)?,
            val: side(Split::Val)?,
            test: side(Split::Test)?,
        })
    }

    /// The pairs as training reads them.
    fn list(&self) -> Vec<PairOf> {
        let pairs = self.corpus.matching.pairs.iter();
        pairs
            .map(|pair| PairOf {
                image: pair.image,
                clip: pair.clip,
            })
            .collect()
    }

    /// What is known of valence and arousal.
    fn emotions(&self) -> Emotions {
        let flat = |known: &[Option<[f32; 2]>], count: usize| -> Vec<f32> {
            (0..count)
                .flat_map(|number| known.get(number).copied().flatten().unwrap_or([f32::NAN; 2]))
                .collect()
        };
        let matching = &self.corpus.matching;
        Emotions {
            images: flat(&matching.image_va, matching.images.len()),
            clips: flat(&matching.clip_va, matching.clips.len()),
        }
    }

    /// Equal for equal pairs and equal media.
    fn fingerprint(&self, features: &PairFeatures) -> String {
        let parts = [
            self.corpus.fingerprint(),
            features.images.content().to_owned(),
            features.clips.content().to_owned(),
        ];
        blake3::hash(parts.join(" ").as_bytes()).to_hex().to_string()
    }

    /// The side of every clip, as a file that `dataset.split = { kind = "file" }` reads; clips without a pair on any side are left out.
    pub fn split_file(&self) -> Vec<u8> {
        let mut sides: Vec<Option<Split>> = vec![None; self.corpus.clips.examples.len()];
        for (pair, side) in self.corpus.matching.pairs.iter().zip(&self.splits) {
            if let Some(of_clip) = sides.get_mut(pair.clip as usize) {
                *of_clip = of_clip.or(*side);
            }
        }
        let mut clips = self.corpus.clips.clone();
        let mut kept = Vec::new();
        let examples = std::mem::take(&mut clips.examples);
        for (example, side) in examples.into_iter().zip(sides) {
            if let Some(side) = side {
                clips.examples.push(example);
                kept.push(side);
            }
        }
        split::write(&clips, &kept)
    }
}

/// Numbers of pictures (or clips) that pairs name, sorted, each once.
fn unique(numbers: impl Iterator<Item = u32>) -> Vec<usize> {
    let all: BTreeSet<usize> = numbers.map(|number| number as usize).collect();
    all.into_iter().collect()
}

/// Carries out an experiment on pairs: all of it, or what is left of an interrupted run.
pub(super) fn run(
    place: &Place,
    resolved: &Resolved,
    origin: Option<Origin>,
    device: &Device,
    started: Instant,
) -> Result<Summary, Failure> {
    let experiment = &resolved.experiment;
    let prepared = prepare(resolved, place.cache)?;
    let mut features = extract(&prepared, place.cache)?;
    let sides = prepared.sides(&features)?;
    if prepared.recipe.audio.normalize() == Normalize::TrainStatistics {
        let pairs = &prepared.corpus.matching.pairs;
        let of_train = sides.train.iter().filter_map(|&pair| pairs.get(pair));
        features.clips.normalize_by(&unique(of_train.map(|pair| pair.clip)))?;
    }
    let (train, val, test) = (sides.train.len(), sides.val.len(), sides.test.len());
    output::item("split", &format!("{train} train, {val} val, {test} test pairs"));
    let network = Network::of_pairs(&experiment.model, &prepared.plan, experiment.experiment.seed, device)?;
    run::tell_network(prepared.plan.parameters(), prepared.plan.flops());
    let begun = Begun {
        data: prepared.fingerprint(&features),
        features: features.key(),
        files: vec![
            ("split.csv", prepared.split_file()),
            (
                interface::FILE,
                PairInterface::new(&prepared.recipe, &prepared.corpus.clips)?
                    .text()
                    .into_bytes(),
            ),
        ],
        started,
    };
    begun.record(place, experiment, origin, |frame| {
        let list = prepared.list();
        let emotions = prepared.emotions();
        let work = PairWork {
            frame,
            prepared: &prepared,
            features: &features,
            sides: &sides,
            network: &network,
            list: &list,
            emotions: &emotions,
        };
        work.carry_out()
    })
}

/// What a parent of repeats needs: everything is in the cache and every fold has pairs on each side. The fingerprint of the data, the key of the features,
/// and the number of folds.
pub(super) fn prepare_repeats(
    resolved: &Resolved,
    cache: &Path,
) -> Result<(Prepared, PairFeatures, String, usize), Failure> {
    let prepared = prepare(resolved, cache)?;
    let features = extract(&prepared, cache)?;
    let fingerprint = prepared.fingerprint(&features);
    let folds = split::folds(&prepared.corpus.clips, resolved.experiment.dataset.split());
    Ok((prepared, features, fingerprint, folds))
}

/// A fold without readable pairs is better found now than after the folds before it.
pub(super) fn check_fold(
    resolved: &Resolved,
    prepared: &Prepared,
    features: &PairFeatures,
    fold: usize,
) -> Result<(), Failure> {
    let experiment = &resolved.experiment;
    let spec = experiment.dataset.split().with_fold(fold);
    let divided = prepared.corpus.sides(&spec, experiment.experiment.seed)?;
    prepared.sides_of(&divided.sides, features).map(drop)
}
