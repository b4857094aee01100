//! Questions put to a live Python reference.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

/// What the script of scripts/reference/ answers; `None`, and a word on it, where `AFFECT_PYTHON` names no interpreter with the packages of
/// scripts/reference/requirements.txt.
pub fn answers(script: &str, questions: impl FnOnce(u64) -> Vec<Value>) -> Option<Vec<Value>> {
    #[expect(
        clippy::disallowed_methods,
        reason = "tests are told where things are by the environment"
    )]
    let Ok(python) = std::env::var("AFFECT_PYTHON") else {
        println!("skipped: AFFECT_PYTHON is not set");
        return None;
    };
    let seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    println!("seed {seed}");
    let mut asked = Command::new(python)
        .arg(format!("{}/scripts/reference/{script}", env!("CARGO_MANIFEST_DIR")))
        .arg("answer")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let questions = serde_json::to_vec(&questions(seed)).unwrap();
    asked.stdin.take().unwrap().write_all(&questions).unwrap();
    let answered = asked.wait_with_output().unwrap();
    assert!(answered.status.success());
    Some(serde_json::from_slice(&answered.stdout).unwrap())
}
