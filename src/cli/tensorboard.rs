use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use super::failure::Failure;
use super::folders::RunsArg;
use super::output;
use crate::files;
use crate::track::{Database, RunSummary};

/// Start the installed TensorBoard on all runs, or on some.
///
/// Its exit status is that of this command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Ids, unique beginnings of them, or `latest`; a parent brings its children along. Default: all runs.
    #[arg(value_name = "RUN")]
    run: Vec<String>,
    /// The port that the page is served on. Default: TensorBoard's own, 6006.
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    #[command(flatten)]
    runs: RunsArg,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut arguments = logs(args)?;
    if let Some(port) = args.port {
        arguments.extend(["--port".into(), port.to_string().into()]);
    }
    let mut program = Command::new("tensorboard");
    program.args(&arguments);
    match become_it(program) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        ended => return ended.map_err(|error| did_not_start(&error)),
    }
    let mut module = python_with_it()?;
    module.args(&arguments);
    become_it(module).map_err(|error| did_not_start(&error))
}

/// Which folder it is to look into.
fn logs(args: &Args) -> Result<Vec<OsString>, Failure> {
    let database = Database::open_existing(&args.runs.runs)?;
    let mut runs = Vec::new();
    for reference in &args.run {
        let run = database.resolve(reference)?;
        runs.extend(database.children(&run.id)?);
        runs.push(run);
    }
    let all = || absolute(&args.runs.runs);
    let folder = match runs.as_slice() {
        [] => all(),
        some => linked(some).unwrap_or_else(|error| {
            output::warning(&format!("{error}; TensorBoard shows all runs instead"));
            all()
        }),
    };
    Ok(vec!["--logdir".into(), folder.into()])
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// A folder of links to the folders of `runs`, each in its experiment's folder as in the folder of all runs. With `--logdir_spec`, or
/// on a run's own folder, TensorBoard knows neither a run's name nor which of its folders are parts of one run, so that its hparams
/// page shows no figure.
///
/// The same runs have the same folder each time: TensorBoard takes the place of this process, so nobody can remove it afterwards.
fn linked(runs: &[RunSummary]) -> Result<PathBuf, files::Error> {
    let mut links: Vec<(PathBuf, PathBuf)> = (runs.iter())
        .map(|run| {
            let names = run.path.parent().and_then(Path::file_name).zip(run.path.file_name());
            let (experiment, id) = names.unwrap_or((run.experiment.as_ref(), run.id.as_ref()));
            (Path::new(experiment).join(id), absolute(&run.path))
        })
        .collect();
    links.sort();
    links.dedup();
    let mut hash = blake3::Hasher::new();
    for (name, target) in &links {
        for path in [name, target] {
            hash.update(path.as_os_str().as_encoded_bytes());
            hash.update(&[0]);
        }
    }
    let name = format!("affect-tensorboard-{}", &hash.finalize().to_hex()[..16]);
    let folder = std::env::temp_dir().join(name);
    for (name, target) in &links {
        files::link_folder(target, &folder.join(name))?;
    }
    Ok(folder)
}

/// Where it is installed for a Python, but its program is not on the PATH.
fn python_with_it() -> Result<Command, Failure> {
    let find = "import importlib.util as u, sys; sys.exit(u.find_spec('tensorboard') is None)";
    for python in ["python3", "python"] {
        let mut look = Command::new(python);
        look.args(["-c", find]);
        look.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if look.status().is_ok_and(|status| status.success()) {
            let mut command = Command::new(python);
            command.args(["-m", "tensorboard.main"]);
            return Ok(command);
        }
    }
    Err(Failure::Work {
        message: "TensorBoard is not installed: there is no `tensorboard` on the PATH, and no module of that name in `python3`"
            .to_owned(),
        hint: Some("install it with `pip install tensorboard`, and activate its environment".to_owned()),
    })
}

/// Signals and the exit status are then its own.
#[cfg(unix)]
fn become_it(mut command: Command) -> std::io::Result<ExitCode> {
    use std::os::unix::process::CommandExt as _;
    Err(command.exec())
}

#[cfg(not(unix))]
fn become_it(mut command: Command) -> std::io::Result<ExitCode> {
    let status = command.status()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

fn did_not_start(error: &std::io::Error) -> Failure {
    Failure::Work {
        message: format!("TensorBoard does not start: {error}"),
        hint: (error.kind() == ErrorKind::ArgumentListTooLong)
            .then(|| "leave the runs out: it then shows all of them".to_owned()),
    }
}
