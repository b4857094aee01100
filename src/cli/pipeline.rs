//! From a checked experiment to data that a network can train on: the stages that `run`, `check` and `features` share.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::output;
use super::progress::Stage;
use crate::config::{Experiment, Resolved};
use crate::dataset::{self, DatasetSpec, Fault, LoadContext, Manifest, OnError, Split, Target, Task, split};
use crate::evaluate::{Baseline, Problem, TaskKind};
use crate::features::{self, FeatureSet, Normalize, Progress, Recipe};
use crate::nn::{NetworkSpec, Plan};
use crate::train::Labels;
use crate::train::loss::Loss;
use crate::train::spec::Weighting;

/// A corpus that was read, divided and matched with a network, before any sound was decoded.
pub struct Prepared {
    pub manifest: Manifest,
    pub problem: Problem,
    pub labels: Labels,
    /// Of the annotators, `[examples, targets]`; NaN where unknown. `None` where the corpus does not say any.
    pub deviations: Option<Vec<f32>>,
    pub ids: Vec<String>,
    /// Of every example.
    pub splits: Vec<Split>,
    /// Shape of one example's features.
    pub shape: [usize; 3],
    pub plan: Plan,
}

/// Reads the annotations, divides the examples, and fits features and network to them.
pub fn prepare(resolved: &Resolved, cache: &Path) -> Result<Prepared, Failure> {
    fit_to(resolved, load_manifest(resolved, cache)?)
}

/// As [`prepare`], for commands that decode the audio next; see [`load_manifest_and_decode`].
pub fn prepare_and_decode(resolved: &Resolved, cache: &Path) -> Result<Prepared, Failure> {
    fit_to(resolved, load_manifest_and_decode(resolved, cache)?)
}

fn fit_to(resolved: &Resolved, mut manifest: Manifest) -> Result<Prepared, Failure> {
    let experiment = &resolved.experiment;
    let splits = split::assign(&manifest, experiment.dataset.split(), experiment.experiment.seed)?;
    let remarks = split::remarks(&manifest, &splits);
    remarks.iter().for_each(|remark| output::warning(remark));
    manifest.remarks.extend(remarks);
    let shape = feature_shape(resolved, &manifest, &splits)?;
    let (problem, labels) = problem(&manifest);
    let plan = plan(resolved, &experiment.model, &shape, problem.width())?;
    let deviations = deviations(&manifest, &problem);
    check_agreement(resolved, deviations.is_some())?;
    // Weights of targets or classes that there are not: better said now than after an hour of decoding.
    if let Err(error) = Loss::new(&experiment.loss, &problem, &labels, &[]) {
        let path = error.path().unwrap_or("loss");
        return Err(Failure::Mistakes(resolved.mistake(
            path,
            error.to_string(),
            error.hint(),
        )));
    }
    let ids = manifest.examples.iter().map(|example| example.id.clone()).collect();
    Ok(Prepared {
        shape,
        ids,
        manifest,
        problem,
        labels,
        deviations,
        splits,
        plan,
    })
}

fn deviations(manifest: &Manifest, problem: &Problem) -> Option<Vec<f32>> {
    let width = match problem.kind() {
        TaskKind::Regression => problem.width(),
        TaskKind::Classification => return None,
    };
    let known = manifest.examples.iter().any(|example| !example.deviations.is_empty());
    known.then(|| {
        let of = |example: &dataset::Example| {
            (0..width)
                .map(|target| example.deviations.get(target).copied().unwrap_or(f32::NAN))
                .collect::<Vec<f32>>()
        };
        manifest.examples.iter().flat_map(of).collect()
    })
}

/// What goes by the agreement of annotators needs a corpus that says it.
fn check_agreement(resolved: &Resolved, is_known: bool) -> Result<(), Failure> {
    let experiment = &resolved.experiment;
    let wants_human = (experiment.evaluate.baselines.iter().flatten()).any(|&baseline| baseline == Baseline::Human);
    let (path, what) = match (is_known, experiment.loss.weighting()) {
        (true, _) => return Ok(()),
        (false, Weighting::Agreement) => ("loss.weighting", "weighting by agreement"),
        (false, Weighting::None) if wants_human => ("evaluate.baselines", "the baseline \"human\""),
        (false, Weighting::None) => return Ok(()),
    };
    let message = format!("{what} needs the annotators' deviations, which the dataset does not have");
    Err(Failure::Mistakes(resolved.mistake(path, message, None)))
}

/// Reads the annotations and looks for the audio; renders a synthetic corpus first.
pub fn load_manifest(resolved: &Resolved, cache: &Path) -> Result<Manifest, Failure> {
    let experiment = &resolved.experiment;
    let manifest = load(&experiment.dataset, Media::of(experiment), cache)?;
    tell_remarks(&manifest);
    Ok(manifest)
}

fn tell_remarks(manifest: &Manifest) {
    for remark in &manifest.remarks {
        output::item("", remark);
    }
}

/// As [`load_manifest`]. But where audio files are missing, the others are decoded all the same before that is said, so that
/// one message names every file that cannot be used. Nothing is lost by it: what was decoded is in the cache.
pub fn load_manifest_and_decode(resolved: &Resolved, cache: &Path) -> Result<Manifest, Failure> {
    let dataset = &resolved.experiment.dataset;
    let mut problems = match load(dataset, Media::of(&resolved.experiment), cache) {
        Err(dataset::Error::Faulty(problems))
            if problems.rows.is_empty() && problems.examples_without_media < problems.examples =>
        {
            problems
        }
        Err(error) => return Err(error.into()),
        Ok(manifest) => {
            tell_remarks(&manifest);
            return Ok(manifest);
        }
    };
    output::warning(&format!(
        "{} missing or empty; the others are decoded first, so that all that cannot be used are named",
        match problems.media.len() {
            1 => "1 audio file is".to_owned(),
            several => format!("{several} audio files are"),
        }
    ));
    let manifest = load(&dataset.with_on_error(OnError::Zeros), Media::Needed, cache)?;
    // What is decoded does not depend on the split.
    let splits = vec![Split::Train; manifest.examples.len()];
    feature_shape(resolved, &manifest, &splits)?;
    let decoded = decode(
        ("features", &resolved.experiment.features),
        &manifest,
        &splits,
        OnError::Fail,
        cache,
    );
    if let Err(features::Error::Faults(faults)) = decoded {
        let known: BTreeSet<PathBuf> = problems.media.iter().map(|fault| fault.path.clone()).collect();
        let found = faults.into_iter().filter(|fault| !known.contains(&fault.path));
        problems.media.extend(found);
        problems.media.sort_by(|a, b| a.path.cmp(&b.path));
    }
    Err(dataset::Error::Faulty(problems).into())
}

/// Whether the dataset's recordings are going to be read.
#[derive(Clone, Copy)]
enum Media {
    Needed,
    NotNeeded,
}

impl Media {
    fn of(experiment: &Experiment) -> Self {
        match experiment.features.reads_media() {
            true => Self::Needed,
            false => Self::NotNeeded,
        }
    }
}

fn load(dataset: &DatasetSpec, media: Media, cache: &Path) -> Result<Manifest, dataset::Error> {
    let stage = Stage::start("data");
    let context = LoadContext {
        cache,
        progress: &|done, total| stage.count("songs rendered", done, total),
    };
    let manifest = match media {
        Media::Needed => dataset.load(&context)?,
        Media::NotNeeded => dataset.load_annotations(&context)?,
    };
    let groups: BTreeSet<&str> = manifest.examples.iter().map(|example| example.group.as_str()).collect();
    let examples = output::count(manifest.examples.len(), "example");
    let text = format!(
        "{examples} in {}, {}",
        output::count(groups.len(), "group"),
        describe(&manifest.task)
    );
    stage.finish(&text);
    Ok(manifest)
}

fn describe(task: &Task) -> String {
    match task {
        Task::Regression { targets } => format!("predicting {}", targets.join(" and ")),
        Task::Classification { label, classes } => format!("{} classes of {label}", classes.len()),
    }
}

fn feature_shape(resolved: &Resolved, manifest: &Manifest, splits: &[Split]) -> Result<[usize; 3], Failure> {
    let experiment = &resolved.experiment;
    let on_error = experiment.dataset.on_error();
    features::shape(&experiment.features, manifest, splits, on_error).map_err(|error| match error {
        features::Error::DurationNeeded { .. } | features::Error::Settings(_) => {
            let hint = error.hint();
            Failure::Mistakes(resolved.mistake("features", error.to_string(), hint))
        }
        other => other.into(),
    })
}

fn plan(resolved: &Resolved, spec: &NetworkSpec, shape: &[usize], outputs: usize) -> Result<Plan, Failure> {
    Plan::new(spec, shape, outputs).map_err(|error| {
        let help = format!("the network so far:\n{}", error.table());
        Failure::Mistakes(resolved.mistake(&error.path(), error.to_string(), Some(help)))
    })
}

fn problem(manifest: &Manifest) -> (Problem, Labels) {
    match &manifest.task {
        Task::Regression { targets } => {
            let values = manifest.examples.iter().flat_map(|example| match &example.target {
                Target::Values(values) => values.clone(),
                Target::Class(_) => Vec::new(),
            });
            (
                Problem::Regression {
                    targets: targets.clone(),
                },
                Labels::Values(values.collect()),
            )
        }
        Task::Classification { classes, .. } => {
            let labels = manifest.examples.iter().filter_map(|example| match example.target {
                Target::Class(class) => Some(class),
                Target::Values(_) => None,
            });
            (
                Problem::Classification {
                    classes: classes.clone(),
                },
                Labels::Classes(labels.collect()),
            )
        }
    }
}

/// Computes what the cache does not hold. `splits` has one entry per example.
pub fn extract_features(
    resolved: &Resolved,
    manifest: &Manifest,
    splits: &[Split],
    cache: &Path,
) -> Result<FeatureSet, Failure> {
    let experiment = &resolved.experiment;
    let on_error = experiment.dataset.on_error();
    let features = decode(("features", &experiment.features), manifest, splits, on_error, cache)?;
    tell_faults(&features, on_error);
    Ok(features)
}

/// Computes what the cache does not hold of a part of the features; `stage` is what it is called.
pub fn extract(
    stage: &'static str,
    recipe: &Recipe,
    manifest: &Manifest,
    on_error: OnError,
    cache: &Path,
) -> Result<FeatureSet, Failure> {
    // What is decoded does not depend on the split.
    let splits = vec![Split::Train; manifest.examples.len()];
    let features = decode((stage, recipe), manifest, &splits, on_error, cache)?;
    tell_faults(&features, on_error);
    Ok(features)
}

fn tell_faults(features: &FeatureSet, on_error: OnError) {
    if !features.faults.is_empty() {
        let files = output::count(features.faults.len(), "file");
        let how = match on_error {
            OnError::Zeros => "kept as zeros",
            OnError::Skip | OnError::Fail => "left out",
        };
        output::warning(&format!("{files} cannot be used; their examples are {how}:"));
        list(&features.faults);
    }
    if !features.damaged.is_empty() {
        let files = match features.damaged.len() {
            1 => "1 file is".to_owned(),
            several => format!("{several} files are"),
        };
        output::warning(&format!("{files} damaged in part; what can be decoded is used:"));
        list(&features.damaged);
    }
}

fn list(faults: &[Fault]) {
    const SHOWN: usize = 10;
    for fault in faults.iter().take(SHOWN) {
        output::note(&format!("  {fault}"));
    }
    if let more @ 1.. = faults.len().saturating_sub(SHOWN) {
        output::note(&format!("  … and {more} more"));
    }
}

fn decode(
    (name, recipe): (&'static str, &Recipe),
    manifest: &Manifest,
    splits: &[Split],
    on_error: OnError,
    cache: &Path,
) -> Result<FeatureSet, features::Error> {
    let stage = Stage::start(name);
    let progress = |progress| match progress {
        Progress::Waiting => stage.line("", "waiting for another process that computes them"),
        Progress::Checking { done, total } => stage.count("files checked", done, total),
        Progress::Computing { done, total } => stage.count("files decoded", done, total),
    };
    let features = features::load(recipe, manifest, splits, on_error, cache, &progress)?;
    let shape = crate::nn::shape_text(&features.shape());
    stage.finish(&match recipe.reads_media() {
        true => {
            let cached = features.stored().saturating_sub(features.computed);
            format!(
                "{shape} per example, {} computed, {cached} from the cache",
                features.computed
            )
        }
        false => format!("{shape} per example, {} read where they lie", features.stored()),
    });
    Ok(features)
}

/// Normalises with the figures of the training examples, where the recipe asks for it.
pub fn normalize(experiment: &Experiment, features: &mut FeatureSet, train: &[usize]) -> Result<(), Failure> {
    if experiment.features.normalize() == Normalize::TrainStatistics {
        features.normalize_by(train)?;
    }
    Ok(())
}

/// What `on_error` had to deal with.
pub struct Unusable {
    /// Examples that were left out, or kept as zeros.
    pub examples: usize,
    /// What is wrong, each file once.
    pub faults: Vec<Fault>,
}

impl Unusable {
    /// Files may be missing, which the corpus's loader finds, or damaged, which decoding finds; both find some files.
    pub fn of(manifest: &Manifest, features: &FeatureSet, on_error: OnError) -> Self {
        let mut faults: BTreeMap<&Path, &Fault> = BTreeMap::new();
        for fault in manifest.faults.iter().chain(&features.faults) {
            faults.entry(&fault.path).or_insert(fault);
        }
        let not_in_manifest = match on_error {
            OnError::Skip => manifest.faults.len(),
            OnError::Fail | OnError::Zeros => 0,
        };
        Self {
            examples: not_in_manifest + features.len() - features.stored(),
            faults: faults.into_values().cloned().collect(),
        }
    }
}

/// The examples of each side whose features are there.
pub struct Sides {
    pub train: Vec<usize>,
    pub val: Vec<usize>,
    pub test: Vec<usize>,
}

impl Sides {
    /// # Errors
    /// A side that is empty once unreadable examples are left out.
    pub fn of(splits: &[Split], features: &FeatureSet) -> Result<Self, Failure> {
        let side = |wanted: Split| -> Result<Vec<usize>, Failure> {
            let examples: Vec<usize> = (0..splits.len())
                .filter(|&example| splits[example] == wanted && features.is_available(example))
                .collect();
            match examples.is_empty() {
                false => Ok(examples),
                true => Err(Failure::request(
                    format!("no readable example is left in the split `{}`", wanted.name()),
                    Some("repair the files, or change `dataset.split`".to_string()),
                )),
            }
        };
        Ok(Self {
            train: side(Split::Train)?,
            val: side(Split::Val)?,
            test: side(Split::Test)?,
        })
    }

    pub fn get(&self, split: Split) -> &[usize] {
        match split {
            Split::Train => &self.train,
            Split::Val => &self.val,
            Split::Test => &self.test,
        }
    }
}
