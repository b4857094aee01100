//! The command line: one file per subcommand, each an `Args` struct and a `run` function.
//!
//! Only this folder prints, reads the environment and decides the exit status: 0 done; 1 the work failed; 2 the request was
//! wrong; 130 interrupted after the state was saved. Results go to stdout, everything else to stderr.

mod check;
mod compare;
mod completions;
mod datasets;
mod doctor;
mod experiment_args;
mod export;
mod failure;
mod feature_cache;
mod features;
mod folders;
mod ls;
mod media;
mod note;
mod output;
mod pairs;
mod pipeline;
mod predict;
mod profile;
mod progress;
mod recording;
mod repeats;
mod report;
mod reproduce;
mod restore;
mod resume;
mod rm;
mod run;
mod schema;
mod selection;
mod show;
mod since;
mod tag;
mod tensorboard;
mod trained;
mod work;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use output::ColorChoice;

/// Declared experiments on emotion in audio: features, training, records and reports in one program.
#[derive(Debug, Parser)]
#[command(name = "affect", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    /// Whether to use colour.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    color: ColorChoice,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Resume(resume::Args),
    Reproduce(reproduce::Args),
    Check(check::Args),
    Features(features::Args),
    Datasets(datasets::Args),
    Ls(ls::Args),
    Show(show::Args),
    Compare(compare::Args),
    Report(report::Args),
    Tag(tag::Args),
    Note(note::Args),
    Rm(rm::Args),
    Restore(restore::Args),
    Predict(predict::Args),
    Export(export::Args),
    Tensorboard(tensorboard::Args),
    Schema(schema::Args),
    Completions(completions::Args),
    Doctor(doctor::Args),
}

/// A decoder's panic becomes an error that names the file (and a runtime's one that names the model); a trace on the terminal beside it would only alarm.
fn keep_contained_panics_quiet() {
    let standard = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !crate::contained::panics_are_contained() {
            standard(info);
        }
    }));
}

/// Reads the command line, does the work and says how it went.
pub fn main() -> ExitCode {
    keep_contained_panics_quiet();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are results; everything else is a wrong request. A closed pipe is no error.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    cli.color.apply();
    let result = match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Resume(args) => resume::run(&args),
        Command::Reproduce(args) => reproduce::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Features(args) => features::run(&args),
        Command::Datasets(args) => datasets::run(&args),
        Command::Ls(args) => ls::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Tag(args) => tag::run(&args),
        Command::Note(args) => note::run(&args),
        Command::Rm(args) => rm::run(&args),
        Command::Restore(args) => restore::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Tensorboard(args) => match tensorboard::run(&args) {
            Ok(status) => return status,
            Err(failure) => Err(failure),
        },
        Command::Schema(args) => schema::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Doctor(args) => doctor::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
