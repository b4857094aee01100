use std::path::Path;

use serde::Serialize;

use super::failure::Failure;
use super::folders::{CacheArg, RunsArg};
use super::output;
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
    cuda: &'static str,
    ffmpeg: String,
    runs: String,
    cache: String,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let report = Report {
        program: Program::current(),
        machine: Machine::current(),
        cuda: "not in this build; networks run on the CPU",
        ffmpeg: ffmpeg(),
        runs: state(&args.runs.runs),
        cache: state(&args.cache.cache),
    };
    if args.json {
        return output::json(&report);
    }
    let Report { program, machine, .. } = &report;
    let rows = [
        (
            "affect",
            format!("{} ({} build, {})", program.version, program.profile, program.target),
        ),
        ("crates", program.crates.join(", ")),
        ("system", format!("{} on {}", machine.os, machine.architecture)),
        ("processor", machine.cpu.clone().unwrap_or_else(|| "unknown".into())),
        ("threads", machine.cores.to_string()),
        ("SIMD", machine.cpu_features.join(", ")),
        ("CUDA", report.cuda.into()),
        ("ffmpeg", report.ffmpeg.clone()),
        ("runs", report.runs.clone()),
        ("cache", report.cache.clone()),
    ];
    output::result(&rows.map(|(name, value)| format!("{name:<10} {value}")).join("\n"))
}

/// Whether a folder can be written, without leaving anything behind.
fn state(folder: &Path) -> String {
    let shown = folder.display();
    if !folder.exists() {
        return format!("{shown} is not there yet; it is made when it is needed");
    }
    match tempfile::tempfile_in(folder) {
        Ok(_) => format!("{shown} can be written"),
        Err(error) => format!("{shown} cannot be written: {error}"),
    }
}

fn ffmpeg() -> String {
    let answer = std::process::Command::new("ffmpeg").arg("-version").output();
    match answer {
        Ok(answer) if answer.status.success() => {
            let text = String::from_utf8_lossy(&answer.stdout).into_owned();
            text.lines().next().unwrap_or("installed").to_string()
        }
        _ => "not installed (needed only for AAC with more than two channels)".into(),
    }
}
