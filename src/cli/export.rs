use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::folders::{CacheArg, RunsArg};
use super::output;
use super::trained::TrainedRun;
use crate::export::onnx::Form;
use crate::export::{onnx, parameters};
use crate::files;
use crate::track::{Database, Format};

/// Write a trained network, or the records of runs, for other programs.
///
/// A run's network, with the parameters that it was tested with: `--onnx` for runtimes, `--safetensors` or `--pytorch-state` for PyTorch. The
/// ONNX model takes `features` [batch, channels, rows, frames], the recipe's arrays before normalisation with the training split's figures; with
/// `--with-frontend` it takes `samples` [batch, samples], mono, at the recipe's rate. It gives `prediction` [batch, targets] in the units of the
/// training data, or `probabilities` [batch, classes]. Its metadata says the rest: affect.run, affect.settings (TOML), affect.outputs,
/// affect.sample_rate and affect.recipe, for reading; affect.interface and affect.input, which `affect predict` goes by.
///
/// Records: the tables runs, params, metrics, results, baselines, tags and notes, each a file of its own.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub struct Args {
    /// Ids, unique beginnings of them, or `latest`; a network also by the folder of its run. Of records, a parent brings its children along,
    /// and the default is all runs.
    #[arg(value_name = "RUN")]
    run: Vec<String>,
    /// Write the run's network as an ONNX model.
    #[arg(long, value_name = "FILE", group = "what", requires = "run")]
    onnx: Option<PathBuf>,
    /// The ONNX model begins with sound: the mel front end is part of it.
    #[arg(long, requires = "onnx")]
    with_frontend: bool,
    /// Write the run's parameters and running averages as safetensors. scripts/torch_module.py loads them into PyTorch.
    #[arg(long, value_name = "FILE", group = "what", requires = "run")]
    safetensors: Option<PathBuf>,
    /// Write the same as `torch.save` would write the module's state.
    #[arg(long, value_name = "FILE", group = "what", requires = "run")]
    pytorch_state: Option<PathBuf>,
    /// Write runs.csv, params.csv … into this folder.
    #[arg(long, value_name = "DIR", group = "what")]
    csv: Option<PathBuf>,
    /// Write runs.parquet, params.parquet … into this folder, with types: pandas reads numbers, times and nulls as such.
    #[arg(long, value_name = "DIR", group = "what")]
    parquet: Option<PathBuf>,
    #[command(flatten)]
    cache: CacheArg,
    #[command(flatten)]
    runs: RunsArg,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let mut lines = networks(args)?;
    lines.extend(records(args)?);
    output::result(&lines.join("\n"))
}

fn networks(args: &Args) -> Result<Vec<String>, Failure> {
    if args.onnx.is_none() && args.safetensors.is_none() && args.pytorch_state.is_none() {
        return Ok(Vec::new());
    }
    let [run] = args.run.as_slice() else {
        return Err(Failure::request(
            "one network is written at a time, but several runs are named",
            "name one run".to_owned(),
        ));
    };
    let run = TrainedRun::open(run, &args.runs, &args.cache.cache)?;
    let trained = run.trained();
    let mut lines = Vec::new();
    let mut write = |path: &Path, bytes: Vec<u8>, what: &str| -> Result<(), Failure> {
        files::write_whole(path, &bytes)?;
        let size = output::bytes(bytes.len() as u64);
        lines.push(format!("{} ({what} of run {}, {size})", path.display(), run.id()));
        Ok(())
    };
    if let Some(path) = &args.onnx {
        let (form, what) = match args.with_frontend {
            true => (Form::Samples, "ONNX, samples in"),
            false => (Form::Features, "ONNX, features in"),
        };
        write(path, onnx::model(&trained, form)?, what)?;
    }
    if let Some(path) = &args.safetensors {
        write(path, parameters::safetensors(&trained)?, "parameters")?;
    }
    if let Some(path) = &args.pytorch_state {
        write(path, parameters::pytorch_state(&trained)?, "PyTorch state")?;
    }
    Ok(lines)
}

fn records(args: &Args) -> Result<Vec<String>, Failure> {
    if args.csv.is_none() && args.parquet.is_none() {
        return Ok(Vec::new());
    }
    let database = Database::open_existing(&args.runs.runs)?;
    let mut ids = Vec::new();
    for reference in &args.run {
        let run = database.resolve(reference)?;
        ids.extend(database.children(&run.id)?.into_iter().map(|child| child.id));
        ids.push(run.id);
    }
    let runs = Some(ids).filter(|ids| !ids.is_empty());
    let mut lines = Vec::new();
    for (format, folder) in [(Format::Csv, &args.csv), (Format::Parquet, &args.parquet)] {
        let Some(folder) = folder else { continue };
        let written = database.export(format, folder, runs.as_deref())?;
        lines.extend(
            written
                .iter()
                .map(|(path, rows)| format!("{} ({})", path.display(), output::count(*rows, "row"))),
        );
    }
    Ok(lines)
}
