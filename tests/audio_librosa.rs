//! The audio front end against librosa: stored values for generated signals, and a live comparison on real recordings.
//!
//! The live one needs an interpreter with the packages of scripts/reference/requirements.txt in AFFECT_PYTHON, and real
//! recordings in AFFECT_SHARED_DATA or ../shared/data.

#![allow(
    clippy::disallowed_methods,
    reason = "a test reads the environment and writes its own scratch files"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use affect::audio::{
    Cut, MelExtractor, MelNorm, MelScale, MelSpec, MfccNorm, MfccSpec, PadMode, Power, ReadWindow, Resampler, RmsSpec,
    Scratch, WindowFunction, delta, load_windows_cut, mfcc, resample, rms,
};
use serde_json::Value;

/// As `signal` in scripts/reference/audio.py.
fn signal(samples: usize, seed: u32) -> Vec<f32> {
    let (mut state, mut phase, mut step) = (seed, 0_u32, 1_u32 << 24);
    (0..samples)
        .map(|i| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            step = step.wrapping_add(100_000);
            phase = phase.wrapping_add(step);
            let triangle = (phase >> 15) & 0x1_ffff;
            let triangle = if triangle < 0x1_0000 {
                triangle
            } else {
                0x1_ffff - triangle
            } as i32
                - 32_768;
            let noise = (state >> 16) as i32 - 32_768;
            let shift = (i >> 11) % 4 * 3;
            ((3 * triangle + noise) >> shift) as f32 / 131_072.0
        })
        .collect()
}

/// The settings of a recipe in librosa's names; what is left out is librosa's default.
fn spec(settings: &Value) -> MelSpec {
    let number = |key: &str, default: f64| settings[key].as_f64().unwrap_or(default);
    let word = |key: &str, default| settings[key].as_str().unwrap_or(default).to_owned();
    let sample_rate = number("sample_rate", 0.0);
    let n_fft = number("n_fft", 2048.0);
    MelSpec {
        sample_rate: sample_rate as u32,
        n_fft: n_fft as usize,
        hop_length: number("hop_length", 512.0) as usize,
        win_length: number("win_length", n_fft) as usize,
        window: serde_json::from_value::<WindowFunction>(word("window", "hann").into()).unwrap(),
        center: settings["center"].as_bool().unwrap_or(true),
        pad_mode: serde_json::from_value::<PadMode>(word("pad_mode", "constant").into()).unwrap(),
        power: if number("power", 2.0) == 2.0 {
            Power::Power
        } else {
            Power::Magnitude
        },
        n_mels: number("n_mels", 128.0) as usize,
        fmin: number("fmin", 0.0),
        fmax: number("fmax", sample_rate / 2.0),
        mel_scale: serde_json::from_value::<MelScale>(word("mel_scale", "slaney").into()).unwrap(),
        mel_norm: serde_json::from_value::<MelNorm>(word("mel_norm", "slaney").into()).unwrap(),
        scale: match &settings["scale"] {
            Value::Null => Default::default(),
            scale => serde_json::from_value(scale.clone()).unwrap(),
        },
    }
}

fn mel(spec: &MelSpec, samples: &[f32]) -> (usize, Vec<f32>) {
    let extractor = MelExtractor::new(spec).unwrap();
    let frames = extractor.frames(samples.len());
    let mut out = vec![0.0; frames * extractor.n_mels()];
    extractor.extract(&mut Scratch::default(), samples, &mut out).unwrap();
    (frames, out)
}

fn golden() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/audio/librosa.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn floats(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|value| value.as_f64().unwrap())
        .collect()
}

#[test]
fn spectrograms_are_librosas() {
    for case in golden()["cases"].as_array().unwrap() {
        let recipe = case["recipe"].as_str().unwrap();
        let spec = spec(&case["settings"]);
        let samples = signal(
            case["samples"].as_u64().unwrap() as usize,
            case["seed"].as_u64().unwrap() as u32,
        );
        let (frames, got) = mel(&spec, &samples);
        assert_eq!(frames as u64, case["frames"].as_u64().unwrap(), "{recipe}");
        let linear = matches!(spec.scale, affect::audio::Scale::Power);
        let mut worst = 0.0_f64;
        for (column, values) in floats(&case["columns"]).iter().zip(case["values"].as_array().unwrap()) {
            for (row, expected) in floats(values).iter().enumerate() {
                let got = f64::from(got[row * frames + *column as usize]);
                let error = (got - expected).abs() / if linear { expected.abs().max(1e-12) } else { 1.0 };
                worst = worst.max(error);
            }
        }
        println!("{recipe}: {worst:.2e}");
        assert!(worst < if linear { 1e-4 } else { 1e-3 }, "{recipe}: {worst}");
        let mean = got.iter().map(|&value| f64::from(value)).sum::<f64>() / got.len() as f64;
        let expected = case["mean"].as_f64().unwrap();
        assert!(
            (mean - expected).abs() < 1e-4 * expected.abs().max(1.0),
            "{recipe}: mean {mean} for {expected}"
        );
    }
}

#[test]
fn resampling_follows_soxr() {
    for case in golden()["resampled"].as_array().unwrap() {
        let rate = |key: &str| case[key].as_u64().unwrap() as u32;
        let source = signal(case["samples"].as_u64().unwrap() as usize, rate("seed"));
        let got = resample(&source, rate("source"), rate("target"), Resampler::SoxrHq).unwrap();
        assert_eq!(got.len() as u64, case["length"].as_u64().unwrap());
        let mut worst = 0.0_f64;
        for (at, values) in floats(&case["at"]).iter().zip(case["values"].as_array().unwrap()) {
            for (offset, expected) in floats(values).iter().enumerate() {
                worst = worst.max((f64::from(got[*at as usize + offset]) - expected).abs());
            }
        }
        println!("{} to {} Hz: {worst:.2e}", rate("source"), rate("target"));
        // −80 dB of full scale.
        assert!(worst < 1e-4, "{} to {} Hz: {worst}", rate("source"), rate("target"));
    }
}

/// The largest difference to a case's `values`, which are columns of `got`, `[rows, frames]`.
fn worst_of_columns(got: &[f32], frames: usize, case: &Value) -> f64 {
    let columns = floats(&case["columns"]);
    let mut worst = 0.0_f64;
    for (column, values) in columns.iter().zip(case["values"].as_array().unwrap()) {
        let values = floats(values);
        assert_eq!(got.len(), values.len() * frames);
        for (row, expected) in values.iter().enumerate() {
            worst = worst.max((f64::from(got[row * frames + *column as usize]) - expected).abs());
        }
    }
    worst
}

fn golden_signal() -> Vec<f32> {
    signal(12_345, 1)
}

/// The settings of a recipe.
fn settings(golden: &Value, recipe: &str) -> Value {
    let cases = golden["cases"].as_array().unwrap();
    cases.iter().find(|case| case["recipe"] == recipe).unwrap()["settings"].clone()
}

#[test]
fn cepstra_are_librosas() {
    let golden = golden();
    for case in golden["mfcc"].as_array().unwrap() {
        let spec = spec(&settings(&golden, case["recipe"].as_str().unwrap()));
        let (frames, decibels) = mel(&spec, &golden_signal());
        let wanted = MfccSpec {
            n_mfcc: case["n_mfcc"].as_u64().unwrap() as usize,
            norm: if case["norm"] == "none" {
                MfccNorm::None
            } else {
                MfccNorm::Ortho
            },
            lifter: case["lifter"].as_f64().unwrap(),
        };
        let got = mfcc(&decibels, spec.n_mels, &wanted).unwrap();
        let worst = worst_of_columns(&got, frames, case);
        println!("{wanted:?}: {worst:.2e}");
        // The lifter multiplies by up to 12.
        assert!(
            worst < if wanted.lifter > 0.0 { 1e-2 } else { 2e-3 },
            "{wanted:?}: {worst}"
        );
    }
}

#[test]
fn slopes_are_librosas() {
    let golden = golden();
    let spec = spec(&settings(&golden, "meld"));
    let (frames, decibels) = mel(&spec, &golden_signal());
    let wanted = MfccSpec {
        n_mfcc: 20,
        norm: MfccNorm::Ortho,
        lifter: 0.0,
    };
    let cepstra = mfcc(&decibels, spec.n_mels, &wanted).unwrap();
    for case in golden["delta"].as_array().unwrap() {
        let setting = |key: &str| case[key].as_u64().unwrap() as usize;
        let (width, order) = (setting("width"), setting("order"));
        let got = delta(&cepstra, frames, width, order).unwrap();
        let worst = worst_of_columns(&got, frames, case);
        println!("width {width}, order {order}: {worst:.2e}");
        assert!(worst < 1e-3, "width {width}, order {order}: {worst}");
    }
}

#[test]
fn loudness_is_librosas() {
    for case in golden()["rms"].as_array().unwrap() {
        let setting = |key: &str| case[key].as_u64().unwrap() as usize;
        let spec = RmsSpec {
            frame_length: setting("frame_length"),
            hop_length: setting("hop_length"),
            center: case["center"].as_bool().unwrap(),
            pad_mode: serde_json::from_value(case["pad_mode"].clone()).unwrap(),
        };
        let (got, expected) = (rms(&golden_signal(), &spec).unwrap(), floats(&case["values"]));
        assert_eq!(got.len(), expected.len(), "{spec:?}");
        for (got, expected) in got.iter().zip(&expected) {
            let error = (f64::from(*got) - expected).abs();
            assert!(error <= 1e-6 * expected, "{got} for {expected}: {spec:?}");
        }
    }
}

struct Request {
    path: PathBuf,
    recipe: &'static str,
    window: ReadWindow,
    cut: Cut,
}

#[test]
fn real_recordings_come_out_as_from_librosa() {
    let Some(python) = std::env::var_os("AFFECT_PYTHON") else {
        eprintln!("skipped: AFFECT_PYTHON does not name an interpreter with librosa");
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let data = std::env::var_os("AFFECT_SHARED_DATA").map_or_else(|| root.join("../shared/data"), PathBuf::from);
    let mut files: Vec<PathBuf> = ["Middle", "High", "Low"]
        .map(|name| data.join(format!("music/{name}.mp3")))
        .into();
    files.extend(["03a01Nc", "08b10Nc", "13b10Ec", "11b03Wa"].map(|name| data.join(format!("emodb/wav/{name}.wav"))));
    if files.iter().any(|path| !path.is_file()) {
        eprintln!("skipped: no recordings in `{}`", data.display());
        return;
    }
    let golden = golden();
    let settings = |recipe: &str| settings(&golden, recipe);
    let mut requests = Vec::new();
    for path in &files {
        for (recipe, start, duration, cut) in [
            ("deam", 1.5, 5.0, Cut::AfterResampling),
            ("music2emotion", 0.0, 30.0, Cut::AfterResampling),
            ("meld", 0.0, 3.0, Cut::AfterResampling),
            ("meld", 0.0, 3.0, Cut::BeforeResampling),
            ("music2emotion", 0.3333, 1.7777, Cut::BeforeResampling),
        ] {
            let start = if path.extension().is_some_and(|extension| extension == "wav") {
                0.0
            } else {
                start
            };
            let window = ReadWindow {
                start,
                duration: Some(duration),
            };
            requests.push(Request {
                path: path.clone(),
                recipe,
                window,
                cut,
            });
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let list: Vec<Value> = requests
        .iter()
        .map(|request| {
            serde_json::json!({
                "path": request.path, "recipe": request.recipe, "sample_rate": settings(request.recipe)["sample_rate"],
                "start": request.window.start, "duration": request.window.duration,
                "cut": request.cut,
            })
        })
        .collect();
    let list_path = folder.path().join("requests.json");
    std::fs::write(&list_path, serde_json::to_vec(&list).unwrap()).unwrap();
    let script = root.join("scripts/reference/audio.py");
    let status = Command::new(python)
        .arg(script)
        .arg("live")
        .arg(&list_path)
        .arg(folder.path())
        .status()
        .unwrap();
    assert!(status.success(), "the reference script failed");

    let mut worst = [0.0_f64; 2];
    for (i, request) in requests.iter().enumerate() {
        let reference = |kind: &str| -> Vec<f32> {
            let bytes = std::fs::read(folder.path().join(format!("{i}.{kind}"))).unwrap();
            bytes
                .as_chunks::<4>()
                .0
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes))
                .collect()
        };
        let spec = spec(&settings(request.recipe));
        let (samples, expected) = (reference("samples"), reference("mel"));
        let (_, equal) = mel(&spec, &samples);
        let loaded = load_windows_cut(
            &request.path,
            &[request.window],
            spec.sample_rate,
            Resampler::SoxrHq,
            request.cut,
        )
        .unwrap();
        assert_eq!(loaded.windows[0].len(), samples.len(), "{}", request.path.display());
        let (_, whole) = mel(&spec, &loaded.windows[0]);
        let [equal, whole] = [equal, whole].map(|got| {
            assert_eq!(got.len(), expected.len());
            let differences = got.iter().zip(&expected).map(|(a, b)| f64::from((a - b).abs()));
            (
                differences.clone().fold(0.0, f64::max),
                differences.sum::<f64>() / got.len() as f64,
            )
        });
        println!(
            "{:<14} {:<14} {:?} equal samples: max {:.5} mean {:.6} dB; from the file: max {:.5} mean {:.6} dB",
            request.path.file_name().unwrap().display(),
            request.recipe,
            request.cut,
            equal.0,
            equal.1,
            whole.0,
            whole.1,
        );
        worst = [worst[0].max(equal.0), worst[1].max(whole.0)];
    }
    println!(
        "largest difference: {:.5} dB for equal samples, {:.5} dB from the file",
        worst[0], worst[1]
    );
    assert!(worst[0] <= 0.01 && worst[1] <= 0.02, "{worst:?} dB");
}
