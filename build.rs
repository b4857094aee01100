//! Notes, for the record of every run, what the program was built with: compiler, target and the versions of the crates
//! that its numbers depend on (from Cargo.lock). With the feature `cuda` it also builds what runs on the GPU.
#![allow(clippy::disallowed_methods)]

use std::path::Path;
use std::process::{Command, ExitCode};

#[cfg(feature = "cuda")]
#[path = "build/kernels.rs"]
mod kernels;
#[cfg(feature = "cuda")]
#[path = "build/stand_ins.rs"]
mod stand_ins;

/// The crates whose version can move a result.
const KEY_CRATES: [&str; 13] = [
    "candle-core",
    "candle-nn",
    "gemm",
    "rayon",
    "rand_chacha",
    "blake3",
    "realfft",
    "rustfft",
    "rubato",
    "symphonia",
    "safetensors",
    "rusqlite",
    "tensorboard-rs",
];

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=Cargo.lock");
    println!("cargo::rustc-check-cfg=cfg(cuda_stand_ins)");
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| ".".to_string());
    // A checkout without a lock file (none is published) leaves the list empty.
    let lock = std::fs::read_to_string(Path::new(&folder).join("Cargo.lock")).unwrap_or_default();
    println!(
        "cargo::rustc-env=AFFECT_CRATES={}",
        crates(&lock, &KEY_CRATES).join(";")
    );
    println!(
        "cargo::rustc-env=AFFECT_CUDARC={}",
        crates(&lock, &["cudarc"]).join(";")
    );
    println!("cargo::rustc-env=AFFECT_RUSTC={}", compiler().unwrap_or_default());
    let target = std::env::var("TARGET").unwrap_or_default();
    println!("cargo::rustc-env=AFFECT_TARGET={target}");
    match gpu(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error={error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(feature = "cuda")]
fn gpu(folder: &Path) -> Result<(), String> {
    println!("cargo::rerun-if-changed=build");
    stand_ins::build(folder)?;
    kernels::compile(folder)
}

#[cfg(not(feature = "cuda"))]
fn gpu(_folder: &Path) -> Result<(), String> {
    Ok(())
}

/// "name version" of these crates, in the order of the lock file.
fn crates(lock: &str, names: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut name = None;
    for line in lock.lines() {
        if let Some(value) = quoted(line, "name = ") {
            name = names.contains(&value).then_some(value);
        } else if let (Some(name), Some(version)) = (name, quoted(line, "version = ")) {
            found.push(format!("{name} {version}"));
        }
    }
    found
}

fn quoted<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.strip_prefix(key)?.strip_prefix('"')?.strip_suffix('"')
}

fn compiler() -> Option<String> {
    let rustc = std::env::var_os("RUSTC")?;
    let output = Command::new(rustc).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_string())
}
