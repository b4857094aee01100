//! Questions put to a live Python reference.

use std::io::Write;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// Runs a script of scripts/reference/ with these arguments, and `input` to read. `false`, and a word on it, where `AFFECT_PYTHON` names no
/// interpreter.
#[allow(dead_code, reason = "each test file uses a part of it")]
pub fn runs(script: &str, arguments: &[&str], input: &str) -> bool {
    let Some(mut asked) = start(script, arguments) else {
        return false;
    };
    asked.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    assert!(asked.wait_with_output().unwrap().status.success());
    true
}

fn start(script: &str, arguments: &[&str]) -> Option<Child> {
    #[expect(
        clippy::disallowed_methods,
        reason = "tests are told where things are by the environment"
    )]
    let Ok(python) = std::env::var("AFFECT_PYTHON") else {
        println!("skipped: AFFECT_PYTHON is not set");
        return None;
    };
    let mut command = Command::new(python);
    command.arg(format!("{}/scripts/reference/{script}", env!("CARGO_MANIFEST_DIR")));
    let piped = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    Some(piped.spawn().unwrap())
}

/// What the script of scripts/reference/ answers; `None`, and a word on it, where `AFFECT_PYTHON` names no interpreter with the packages of
/// scripts/reference/requirements.txt.
pub fn answers(script: &str, questions: impl FnOnce(u64) -> Vec<Value>) -> Option<Vec<Value>> {
    let seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    println!("seed {seed}");
    let mut asked = start(script, &["answer"])?;
    let questions = serde_json::to_vec(&questions(seed)).unwrap();
    asked.stdin.take().unwrap().write_all(&questions).unwrap();
    let answered = asked.wait_with_output().unwrap();
    assert!(answered.status.success());
    Some(serde_json::from_slice(&answered.stdout).unwrap())
}
