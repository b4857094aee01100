use super::failure::Failure;
use super::output;
use crate::config;

/// Print the JSON Schema of experiment files, for editors that complete and check.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_: &Args) -> Result<(), Failure> {
    output::json(&config::schema())
}
