//! From a checked experiment to data that a network can train on: the stages that `run`, `check` and `features` share.

use std::path::Path;

use super::failure::Failure;
use super::output;
use super::progress::Stage;
use crate::config::Resolved;
use crate::dataset::{LoadContext, Manifest, OnError, Split, Target, Task, split};
use crate::evaluate::Problem;
use crate::features::{Extractor, FeatureSet, Progress, Recipe, extract};
use crate::nn::{NetworkSpec, Plan};
use crate::train::Labels;

/// A corpus that was read, divided and matched with a network, before any sound was decoded.
pub struct Prepared {
    pub manifest: Manifest,
    pub problem: Problem,
    pub labels: Labels,
    pub ids: Vec<String>,
    /// Of every example.
    pub splits: Vec<Split>,
    /// Shape of one example's features.
    pub shape: [usize; 3],
    pub plan: Plan,
}

/// Reads the annotations, divides the examples, and fits features and network to them.
pub fn prepare(resolved: &Resolved, cache: &Path) -> Result<Prepared, Failure> {
    let manifest = load_manifest(resolved, cache)?;
    let experiment = &resolved.experiment;
    let splits = split::assign(&manifest, experiment.dataset.split(), experiment.experiment.seed)?;
    let extractor = fit_recipe(resolved, &experiment.features, &manifest)?;
    let (problem, labels) = problem(&manifest);
    let plan = plan(resolved, &experiment.model, &extractor.shape(), problem.width())?;
    let ids = manifest.examples.iter().map(|example| example.id.clone()).collect();
    Ok(Prepared {
        shape: extractor.shape(),
        ids,
        manifest,
        problem,
        labels,
        splits,
        plan,
    })
}

/// Reads the annotations; renders a synthetic corpus first.
pub fn load_manifest(resolved: &Resolved, cache: &Path) -> Result<Manifest, Failure> {
    let stage = Stage::start("data");
    let manifest = resolved.experiment.dataset.load(&LoadContext {
        cache,
        progress: &|done, total| stage.update(done, total),
    })?;
    let groups: std::collections::BTreeSet<&str> =
        manifest.examples.iter().map(|example| example.group.as_str()).collect();
    let examples = output::count(manifest.examples.len(), "example");
    let text = format!(
        "{examples} in {}, {}",
        output::count(groups.len(), "group"),
        describe(&manifest.task)
    );
    stage.finish(&text);
    for remark in &manifest.remarks {
        output::note(&format!("{:>10}  {remark}", ""));
    }
    Ok(manifest)
}

fn describe(task: &Task) -> String {
    match task {
        Task::Regression { targets } => format!("predicting {}", targets.join(" and ")),
        Task::Classification { label, classes } => format!("{} classes of {label}", classes.len()),
    }
}

fn fit_recipe(resolved: &Resolved, recipe: &Recipe, manifest: &Manifest) -> Result<Extractor, Failure> {
    Extractor::new(recipe, manifest).map_err(|error| {
        let hint = error.hint();
        Failure::Mistakes(resolved.mistake("features", error.to_string(), hint))
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

/// Computes what the cache does not hold.
pub fn extract_features(
    recipe: &Recipe,
    manifest: &Manifest,
    on_error: OnError,
    cache: &Path,
) -> Result<FeatureSet, Failure> {
    let stage = Stage::start("features");
    let features = extract(recipe, manifest, on_error, cache, &|progress| match progress {
        Progress::Waiting => stage.line("  features  waiting for another process that computes them"),
        Progress::Checking { done, total } => {
            stage.message("files checked");
            stage.update(done, total);
        }
        Progress::Computing { done, total } => {
            stage.message("files decoded");
            stage.update(done, total);
        }
    })?;
    let computed = features.computed;
    let cached = features.len() - features.faults.len().min(features.len()) - computed.min(features.len());
    stage.finish(&format!(
        "{} per example, {computed} computed, {cached} from the cache",
        crate::nn::shape_text(&features.shape())
    ));
    if !features.faults.is_empty() {
        output::warning(&format!(
            "{} could not be read; their examples are {}:",
            output::count(features.faults.len(), "file"),
            match on_error {
                OnError::Zeros => "kept as zeros",
                OnError::Skip | OnError::Fail => "left out",
            }
        ));
        for fault in features.faults.iter().take(10) {
            output::note(&format!("  {fault}"));
        }
    }
    Ok(features)
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
