use std::path::Path;

use serde::Serialize;

use super::failure::Failure;
use super::folders::{CacheArg, RunsArg};
use super::output;
use crate::cuda::{self, Status};
use crate::files;
use crate::track::{Machine, Program};

/// Show what this machine and this build can do.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    runs: RunsArg,
    #[command(flatten)]
    cache: CacheArg,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    program: Program,
    machine: Machine,
    cuda: Status,
    ffmpeg: String,
    runs: String,
    cache: String,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let report = Report {
        program: Program::current(),
        machine: Machine::current(),
        cuda: cuda::status(),
        ffmpeg: ffmpeg(),
        runs: state(&args.runs.runs),
        cache: state(&args.cache.cache),
    };
    if args.json {
        return output::json(&report);
    }
    let Report { program, machine, .. } = &report;
    let mut rows = vec![
        (
            "affect".to_string(),
            format!("{} ({} build, {})", program.version, program.profile, program.target),
        ),
        ("crates".into(), program.crates.join(", ")),
        ("system".into(), format!("{} on {}", machine.os, machine.architecture)),
        (
            "processor".into(),
            machine.cpu.clone().unwrap_or_else(|| "unknown".into()),
        ),
        ("threads".into(), machine.cores.to_string()),
        ("SIMD".into(), machine.cpu_features.join(", ")),
    ];
    rows.extend(report.cuda.rows());
    rows.extend([
        ("ffmpeg".into(), report.ffmpeg.clone()),
        ("runs".into(), report.runs.clone()),
        ("cache".into(), report.cache.clone()),
    ]);
    let width = output::width();
    let lines: Vec<String> = rows
        .iter()
        .map(|(name, value)| output::laid_out(name, value, width))
        .collect();
    output::result(&lines.join("\n"))
}

/// Leaves nothing behind.
fn state(folder: &Path) -> String {
    let existing = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    match files::check_writable(existing) {
        Ok(()) if existing == folder => format!("`{}` can be written", folder.display()),
        Ok(()) => format!("`{}` is not there yet and can be made", folder.display()),
        Err(error) => error.to_string(),
    }
}

fn ffmpeg() -> String {
    let answer = std::process::Command::new("ffmpeg").arg("-version").output();
    match answer {
        Ok(answer) if answer.status.success() => {
            let text = String::from_utf8_lossy(&answer.stdout).into_owned();
            text.lines().next().unwrap_or("installed").to_string()
        }
        _ => "not installed (needed only for Opus, AC-3 and rare kinds of AAC)".into(),
    }
}
