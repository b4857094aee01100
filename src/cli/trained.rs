//! A run's network, ready to be used.

use std::path::Path;

use candle_core::Device;

use super::experiment_args::settings_of;
use super::failure::Failure;
use super::folders::RunsArg;
use super::output;
use super::pipeline;
use super::repeats;
use crate::config::{self, Resolved};
use crate::export::interface::FILE;
use crate::export::{Input, Interface, Output, Trained};
use crate::features::feature_set::Statistics;
use crate::features::{Extractor, Recipe};
use crate::nn::{Network, Plan};
use crate::track::{Database, RunDir};
use crate::train::checkpoint;

/// What a network with these features and this task takes and gives.
pub fn interface(recipe: &Recipe, prepared: &pipeline::Prepared) -> Result<Interface, Failure> {
    let input = match recipe {
        Recipe::Mel(recipe) => Input::Mel {
            recipe: Box::new(Extractor::new(recipe, &prepared.manifest)?.identity()),
        },
        Recipe::Image(_) => Input::Image,
        Recipe::Waveform(_) => Input::Waveform,
        Recipe::Npy(_) => Input::Npy,
        Recipe::Pair(_) => return Err(crate::features::Error::Pair.into()),
    };
    Ok(Interface::new(prepared.shape, input, Output::from(&prepared.problem)))
}

/// A run's network with the parameters that the run was tested with.
pub struct TrainedRun {
    dir: RunDir,
    resolved: Resolved,
    plan: Plan,
    pub network: Network,
    pub statistics: Option<Statistics>,
    pub interface: Interface,
    settings: String,
}

impl TrainedRun {
    /// `run`: an id, a unique beginning of one, `latest`, or the folder of a run.
    ///
    /// # Errors
    /// No such run; a run with repeats, of which one must be chosen; a run without a sound checkpoint.
    pub fn open(run: &str, runs: &RunsArg, cache: &Path) -> Result<Self, Failure> {
        let dir = find(run, runs)?;
        if repeats::Plan::read(dir.path())?.is_some() {
            return Err(several(&dir, runs));
        }
        let resolved = settings_of(&dir)?;
        let experiment = &resolved.experiment;
        if experiment.model.is_pair() {
            return Err(Failure::request(
                format!(
                    "the network of run {} has two branches, and such a network neither predicts for single recordings nor leaves as a file \
                     for other programs",
                    dir.id()
                ),
                format!(
                    "`affect predict {} --rank-for picture.jpg MUSIC…` ranks by it; its parameters are in {}",
                    dir.id(),
                    dir.file("checkpoints/best/model.safetensors").display()
                ),
            ));
        }
        let interface = read_interface(&dir, &resolved, cache)?;
        let plan = Plan::new(&experiment.model, &interface.shape, interface.output.width())
            .map_err(|error| Failure::request(format!("the network of run {}: {error}", dir.id()), None))?;
        let network = Network::new(&experiment.model, &plan, experiment.experiment.seed, &Device::Cpu)?;
        let restore_best = experiment.train.early_stopping.restore_best;
        let statistics = checkpoint::load_tested(&dir.file("checkpoints"), &network, restore_best)?;
        if let Some(statistics) = &statistics
            && statistics.mean.len() != interface.shape[0] * interface.shape[1]
        {
            return Err(Failure::request(
                format!("the checkpoint of run {} does not fit its features", dir.id()),
                None,
            ));
        }
        Ok(Self {
            settings: config::to_toml(experiment),
            dir,
            plan,
            network,
            statistics,
            interface,
            resolved,
        })
    }

    /// The run's id.
    pub fn id(&self) -> &str {
        self.dir.id()
    }

    /// For the ways out of the program.
    pub fn trained(&self) -> Trained<'_> {
        let experiment = &self.resolved.experiment;
        Trained {
            spec: &experiment.model,
            plan: &self.plan,
            network: &self.network,
            statistics: self.statistics.as_ref(),
            interface: &self.interface,
            run: self.dir.id(),
            experiment: &experiment.experiment.name,
            settings: &self.settings,
        }
    }
}

/// By the index of runs; a folder that was sent by somebody is in no index.
pub fn find(run: &str, runs: &RunsArg) -> Result<RunDir, Failure> {
    let path = Path::new(run);
    match path.join("experiment.toml").is_file() {
        true => Ok(RunDir::open(path)?),
        false => Ok(RunDir::open(&Database::open_existing(&runs.runs)?.resolve(run)?.path)?),
    }
}

fn several(dir: &RunDir, runs: &RunsArg) -> Failure {
    let children = Database::open_existing(&runs.runs).and_then(|database| database.children(dir.id()));
    let names: Vec<String> = children.into_iter().flatten().map(|child| child.id).take(5).collect();
    Failure::request(
        format!("run {} has repeats, each with a network of its own", dir.id()),
        match names.is_empty() {
            true => "name one of them".to_owned(),
            false => format!("name one of them: {} …", names.join(", ")),
        },
    )
}

/// Of the run's folder; of a run from before there was such a file, by the data that it was trained on.
fn read_interface(dir: &RunDir, resolved: &Resolved, cache: &Path) -> Result<Interface, Failure> {
    let path = dir.file(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            Interface::parse(&text).map_err(|what| Failure::request(format!("{}: {what}", path.display()), None))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            output::warning(&format!(
                "run {} has no {FILE}; what its network takes is worked out from the data again",
                dir.id()
            ));
            let prepared = pipeline::prepare(resolved, cache)?;
            interface(&resolved.experiment.features, &prepared)
        }
        Err(error) => Err(Failure::request(
            format!("cannot read {}: {error}", path.display()),
            None,
        )),
    }
}
