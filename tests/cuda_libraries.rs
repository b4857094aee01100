//! A build with the feature `cuda` starts on every machine, says what is missing for a GPU, and calls NVIDIA's libraries
//! rightly where they are there. No GPU needed: small libraries of these names stand in for NVIDIA's.
#![cfg(all(feature = "cuda", target_os = "linux", target_env = "gnu"))]
#![allow(clippy::disallowed_methods)] // tests write what they like into their own folder

use std::path::Path;
use std::process::{Command, Output};

/// A driver with one device, as far as `affect doctor` asks.
const DRIVER: &str = r#"
#include <stdlib.h>
#include <string.h>
static int set(const char *name, int otherwise) { const char *v = getenv(name); return v ? atoi(v) : otherwise; }
int cuDriverGetVersion(int *v) { *v = set("PRETEND_CUDA", 99000); return 0; }
int cuInit(unsigned flags) { return flags ? 1 : set("PRETEND_INIT", 0); }
int cuGetErrorString(int e, const char **s) { *s = e == 999 ? "unknown error" : "another error"; return 0; }
int cuDeviceGetCount(int *n) { *n = set("PRETEND_COUNT", 1); return 0; }
int cuDeviceGet(int *d, int i) { *d = i + 40; return 0; }
int cuDeviceGetName(char *s, int n, int d) { strncpy(s, d == 40 ? "Pretended GPU" : "?", n); return 0; }
int cuDeviceGetAttribute(int *v, int a, int d) { *v = a == 75 && d == 40 ? 12 : a == 76 ? 1 : -1; return 0; }
int cuDeviceTotalMem_v2(size_t *v, int d) { *v = d == 40 ? 3ul << 30 : 0; return 0; }
static void *now = 0;
int cuCtxGetCurrent(void **c) { *c = now; return 0; }
int cuCtxSetCurrent(void *c) { now = c; return 0; }
int cuDevicePrimaryCtxRetain(void **c, int d) { *c = (void *)(long)d; return 0; }
int cuDevicePrimaryCtxRelease_v2(int d) { return d != 40 || now != 0; }
int cuMemGetInfo_v2(size_t *f, size_t *t) { *f = now == (void *)40 ? 2ul << 30 : 0; *t = 3ul << 30; return 0; }
"#;
const CUBLAS: &str = "int cublasGetProperty(int which, int *v) { *v = 13 - which; return 0; }";
const CUDNN: &str = "unsigned long cudnnGetVersion(void) { return 92107; }";
const NOTHING: &str = "int nothing;";

/// A function that takes more than registers hold, and variadic ones besides.
const ARGUMENTS_LIBRARY: &str = r#"
#include <stdarg.h>
double cudnnConvolutionForward(long a, double x, long b, float y, long c, long d, long e, long f, long g, long h,
                               double z0, double z1, double z2, double z3, double z4, double z5, double z6, double z7) {
    return a == 1 && b == 2 && c == 3 && d == 4 && e == 5 && f == 6 && g == 7 && h == 8 && x == 0.5 && y == 0.25f
        ? z0 + 10 * z1 + 100 * z2 + 1000 * z3 + 1e4 * z4 + 1e5 * z5 + 1e6 * z6 + 1e7 * z7 : -1;
}
double cudnnActivationForward(int n, ...) {
    va_list list; va_start(list, n); double sum = 0;
    for (int i = 0; i < n; i++) sum = sum * 10 + va_arg(list, double);
    va_end(list); return sum;
}
static int calls;
int cudnnGetVersion(void) { return __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED); }
"#;
const ARGUMENTS_PROGRAM: &str = r#"
#include <pthread.h>
#include <stdio.h>
double cudnnConvolutionForward(long, double, long, float, long, long, long, long, long, long,
                               double, double, double, double, double, double, double, double);
double cudnnActivationForward(int, ...);
int cudnnGetVersion(void);
int affect_load_libcudnn(char *, unsigned long);
static void *call(void *nothing) { for (int i = 0; i < 1000; i++) cudnnGetVersion(); return nothing; }
int main(void) {
    char text[4096];
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) pthread_create(&threads[i], 0, call, 0);
    for (int i = 0; i < 8; i++) pthread_join(threads[i], 0);
    printf("%d\n", cudnnGetVersion());
    for (int i = 0; i < 2; i++) {
        printf("%.0f\n", cudnnConvolutionForward(1, 0.5, 2, 0.25f, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8));
        printf("%.0f\n", cudnnActivationForward(9, 1., 2., 3., 4., 5., 6., 7., 8., 9.));
    }
    printf("%d %s", affect_load_libcudnn(text, sizeof text), text);
    fflush(stdout);
    cudnnActivationForward(0);
    /* Not in the library. */
    double cudnnSoftmaxForward(void);
    cudnnSoftmaxForward();
    return 0;
}
"#;

fn compile(source: &str, to: &Path, arguments: &[&str]) {
    let file = to.with_extension("source.c");
    std::fs::write(&file, source).unwrap();
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let status = Command::new(compiler)
        .arg("-o")
        .arg(to)
        .arg(&file)
        .args(arguments)
        .status();
    assert!(status.unwrap().success(), "{}", to.display());
}

fn library(folder: &Path, file: &str, source: &str) {
    compile(source, &folder.join(file), &["-shared", "-fPIC"]);
}

/// Libraries that pretend to be NVIDIA's.
fn pretended(folder: &Path) {
    library(folder, "libcuda.so.1", DRIVER);
    library(folder, "libcublas.so.13", CUBLAS);
    library(folder, "libcudnn.so.9", CUDNN);
    library(folder, "libcublasLt.so.13", NOTHING);
    library(folder, "libcurand.so.10", NOTHING);
}

fn doctor(libraries: Option<&Path>, environment: &[(&str, &str)], arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_affect"));
    command
        .arg("doctor")
        .args(arguments)
        .env_remove("AFFECT_CUDA_LIBRARIES")
        .envs(environment.iter().copied());
    if let Some(folder) = libraries {
        command.env("AFFECT_CUDA_LIBRARIES", folder);
    }
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{status}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// The rows about CUDA.
fn rows(text: &str) -> String {
    let from = text.find("      CUDA  ").unwrap();
    let rows: Vec<&str> = text[from..]
        .lines()
        .take_while(|line| !line.starts_with("    ffmpeg"))
        .map(str::trim)
        .collect();
    rows.join("\n")
}

#[test]
fn the_program_needs_none_of_nvidias_libraries_to_start() {
    let Ok(answer) = Command::new("readelf")
        .arg("-d")
        .arg(env!("CARGO_BIN_EXE_affect"))
        .output()
    else {
        return;
    };
    let text = String::from_utf8_lossy(&answer.stdout).into_owned();
    let needed: Vec<&str> = text.lines().filter(|line| line.contains("NEEDED")).collect();
    assert!(!needed.is_empty(), "{text}");
    for name in ["libcu", "libnv"] {
        assert!(!needed.iter().any(|line| line.contains(name)), "{needed:?}");
    }
}

#[test]
fn without_libraries_the_doctor_says_which_are_missing() {
    let report: serde_json::Value = serde_json::from_str(&doctor(None, &[], &["--json"])).unwrap();
    let cuda = &report["cuda"];
    if cuda["state"] == "ready" {
        return;
    }
    let text = doctor(None, &[], &[]);
    assert!(text.contains("for GPUs"), "{text}");
    for library in cuda["libraries"].as_array().unwrap() {
        if let Some(files) = library["missing"]["files"].as_array() {
            assert!(text.contains(files[0].as_str().unwrap()), "{library}: {text}");
        }
    }
}

#[test]
fn with_libraries_the_doctor_shows_the_devices() {
    let folder = tempfile::tempdir().unwrap();
    pretended(folder.path());
    let text = rows(&doctor(Some(folder.path()), &[], &[]));
    for part in [
        "for CUDA 99.0; built with CUDA",
        "GPU 0  Pretended GPU, compute capability 12.1, 3.0 GiB of memory, 2.0 GiB free",
        "cuBLAS  13.12.11",
        "cuDNN  9.21.7",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let report: serde_json::Value = serde_json::from_str(&doctor(Some(folder.path()), &[], &["--json"])).unwrap();
    assert!(report["cuda"]["gpus"][0]["name"] == "Pretended GPU", "{report}");
}

#[test]
fn a_driver_that_refuses_is_told_and_nothing_panics() {
    let folder = tempfile::tempdir().unwrap();
    pretended(folder.path());
    let told = |environment| rows(&doctor(Some(folder.path()), &[environment], &[]));
    for (environment, part) in [
        (("PRETEND_INIT", "999"), "NVIDIA's driver refuses cuInit: unknown error"),
        (
            ("PRETEND_INIT", "100"),
            "NVIDIA's driver knows no GPU that this process may use",
        ),
        (
            ("PRETEND_COUNT", "0"),
            "NVIDIA's driver knows no GPU that this process may use",
        ),
        (
            ("PRETEND_CUDA", "11040"),
            "NVIDIA's driver is for CUDA 11.4, and affect was built with CUDA",
        ),
    ] {
        let text = told(environment);
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_library_that_cannot_be_loaded_is_told_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("libcudnn.so.9"), "not a library").unwrap();
    let report: serde_json::Value = serde_json::from_str(&doctor(Some(folder.path()), &[], &["--json"])).unwrap();
    let Some(libraries) = report["cuda"]["libraries"].as_array() else {
        return;
    };
    let cudnn = libraries.iter().find(|library| library["name"] == "cuDNN").unwrap();
    if cudnn["found"].is_string() {
        return;
    }
    let complaint = cudnn["missing"]["complaints"][0].as_str().unwrap();
    assert!(
        complaint.contains("libcudnn.so.9") && !complaint.contains("No such file"),
        "{complaint}"
    );
    assert!(
        cudnn["missing"]["folders"][0] == folder.path().to_str().unwrap(),
        "{cudnn}"
    );
}

#[test]
fn stand_ins_pass_every_argument_on() {
    let archive = Path::new(env!("OUT_DIR")).join("libcudnn.a");
    if !archive.is_file() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    library(folder.path(), "libcudnn.so.9", ARGUMENTS_LIBRARY);
    let program = folder.path().join("program");
    let archive = archive.to_str().unwrap();
    compile(ARGUMENTS_PROGRAM, &program, &[archive, "-lpthread", "-ldl"]);
    let answer = Command::new(&program)
        .env("AFFECT_CUDA_LIBRARIES", folder.path())
        .output()
        .unwrap();
    let path = folder.path().join("libcudnn.so.9");
    let expected = format!(
        "8001\n87654321\n123456789\n87654321\n123456789\n1 p{}\n",
        path.display()
    );
    assert_eq!(String::from_utf8_lossy(&answer.stdout), expected);
    // A function that the library lacks ends the program with its name.
    let said = String::from_utf8_lossy(&answer.stderr).into_owned();
    assert!(said.contains("cudnnSoftmaxForward of libcudnn was called"), "{said}");
    assert!(!answer.status.success());
}
