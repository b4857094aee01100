//! Compiles the program's own GPU kernels, `src/nn/kernels/cuda/source/*.cu`, to PTX: `NAME.cu` becomes `NAME.ptx` in
//! `OUT_DIR`, where `include_str!(concat!(env!("OUT_DIR"), "/NAME.ptx"))` finds it. The driver makes machine code of it for
//! the device that it meets, so one build serves that compute capability and every later one.

use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCES: &str = "src/nn/kernels/cuda/source";

/// The lowest compute capability that CUDA 13 knows (Turing). `CUDA_COMPUTE_CAP` asks for another.
const LOWEST_CAPABILITY: &str = "75";

const HOW_TO_GET_NVCC: &str = "`scripts/cuda-toolchain.sh FOLDER` puts a CUDA toolkit into a folder without root; \
     then `source FOLDER/env.sh`. With a toolkit of your own, set CUDA_HOME to it or put its nvcc on the PATH";

/// A missing folder, or one without sources, is nothing to do.
pub fn compile(manifest_folder: &Path) -> Result<(), String> {
    for name in ["NVCC", "NVCC_CCBIN", "CUDA_HOME", "CUDA_PATH", "CUDA_COMPUTE_CAP"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let folder = manifest_folder.join(SOURCES);
    // The nearest folder that exists: cargo would run this again and again for a path that does not.
    if let Some(watched) = folder.ancestors().find(|path| path.is_dir()) {
        println!("cargo::rerun-if-changed={}", watched.display());
    }
    let nvcc = nvcc()?;
    println!(
        "cargo::rustc-env=AFFECT_CUDA_TOOLKIT={}",
        release(&nvcc).unwrap_or_default()
    );
    println!("cargo::rustc-env=AFFECT_CUDA_CAPABILITY={}", capability());
    let sources = sources(&folder)?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    std::thread::scope(|scope| {
        let running: Vec<_> = sources
            .iter()
            .map(|source| scope.spawn(|| compile_one(&nvcc, source, &out)))
            .collect();
        running.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err("a thread that ran nvcc panicked".into()))
        })
    })
}

fn sources(folder: &Path) -> Result<Vec<PathBuf>, String> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let unreadable = |error: std::io::Error| format!("cannot read `{}`: {error}", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "cu") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn compile_one(nvcc: &Path, source: &Path, out: &Path) -> Result<(), String> {
    let name = source
        .file_stem()
        .ok_or_else(|| format!("`{}` has no name", source.display()))?;
    let target = out.join(name).with_extension("ptx");
    let capability = capability();
    let mut command = Command::new(nvcc);
    command
        .args(["-ptx", "-O3", "-std=c++17", "--fmad=true"])
        .arg(format!("-arch=compute_{capability}"))
        .arg("-o")
        .arg(&target)
        .arg(source);
    if let Some(compiler) = std::env::var_os("NVCC_CCBIN") {
        command.arg("-ccbin").arg(compiler);
    }
    let answer = command
        .output()
        .map_err(|error| format!("cannot run `{}`: {error}. {HOW_TO_GET_NVCC}", nvcc.display()))?;
    if answer.status.success() {
        return Ok(());
    }
    // Each line of an error is a message of its own to cargo.
    let said = [answer.stdout, answer.stderr].concat();
    for line in String::from_utf8_lossy(&said).lines().filter(|line| !line.is_empty()) {
        println!("cargo::error={line}");
    }
    Err(format!(
        "`{}` could not compile `{}` for compute capability {capability} ({})",
        nvcc.display(),
        source.display(),
        answer.status
    ))
}

/// "13.0" of "Cuda compilation tools, release 13.0, V13.0.88".
fn release(nvcc: &Path) -> Option<String> {
    let answer = Command::new(nvcc).arg("--version").output().ok()?;
    let text = String::from_utf8(answer.stdout).ok()?;
    let (release, _) = text.split_once("release ")?.1.split_once(',')?;
    Some(release.to_string())
}

/// "90" of "9.0" and "90", "90a" of "90a".
fn capability() -> String {
    let asked = std::env::var("CUDA_COMPUTE_CAP").unwrap_or_default();
    let asked: String = asked.chars().filter(char::is_ascii_alphanumeric).collect();
    if asked.is_empty() {
        LOWEST_CAPABILITY.to_string()
    } else {
        asked
    }
}

/// `$NVCC`, `$CUDA_HOME/bin`, `$CUDA_PATH/bin`, the folders of `$PATH`, the usual place.
fn nvcc() -> Result<PathBuf, String> {
    let program = if cfg!(windows) { "nvcc.exe" } else { "nvcc" };
    let asked = std::env::var_os("NVCC").map(PathBuf::from);
    let toolkits = ["CUDA_HOME", "CUDA_PATH"].iter().filter_map(std::env::var_os);
    let toolkits = toolkits.map(|folder| Path::new(&folder).join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = toolkits
        .chain(std::env::split_paths(&path))
        .chain([PathBuf::from("/usr/local/cuda/bin")]);
    asked
        .into_iter()
        .chain(folders.map(|folder| folder.join(program)))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| format!("nvcc was not found (NVCC, CUDA_HOME, CUDA_PATH, PATH). {HOW_TO_GET_NVCC}"))
}
