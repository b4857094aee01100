//! The mel front end as ONNX operators: samples in, the recipe's spectrogram out.
//!
//! What `audio::MelExtractor` and `features::Extractor` compute, in the same order; the short-time Fourier transform is ONNX's `STFT`.

use super::graph::{Graph, Value, int, ints, text};
use crate::audio::{DbReference, MelSpec, PadMode, Power, Scale, analysis_window, mel_weights};
use crate::features::Normalize;
use crate::features::extractor::{Identity, Length};

/// `samples` `[batch, samples]` → `[batch, 1, mels, frames]`.
pub fn spectrogram(graph: &mut Graph, recipe: &Identity, samples: Value) -> Value {
    graph.scope = "frontend".into();
    let spec = recipe.mel.spectrogram();
    let samples = fit_length(graph, recipe.length, samples);
    let powers = powers(graph, &spec, samples);
    let mels = mels(graph, &spec, powers);
    let scaled = scale(graph, &spec, mels);
    let normalized = normalize(graph, recipe.mel.normalize, scaled);
    let fitted = match recipe.mel.frames {
        Some(frames) => fit(graph, normalized, 2, 3, frames),
        None => normalized,
    };
    let channel = graph.integers("channel", &[1]);
    graph.node("Unsqueeze", &[&fitted, &channel], Vec::new())
}

fn fit_length(graph: &mut Graph, length: Length, samples: Value) -> Value {
    match length {
        Length::Exact(count) => fit(graph, samples, 1, 2, count),
        Length::AtMost(Some(count)) => cut(graph, samples, 1, count),
        Length::AtMost(None) => samples,
    }
}

/// Cut or filled with zeros to `size` along `axis` of `rank`.
fn fit(graph: &mut Graph, value: Value, axis: usize, rank: usize, size: usize) -> Value {
    let mut pads = vec![0; 2 * rank];
    if let Some(end) = pads.get_mut(rank + axis) {
        *end = size as i64;
    }
    let pads = graph.integers("pads", &pads);
    let padded = graph.node("Pad", &[&value, &pads], vec![text("mode", "constant")]);
    cut(graph, padded, axis, size)
}

fn cut(graph: &mut Graph, value: Value, axis: usize, size: usize) -> Value {
    let start = graph.integers("start", &[0]);
    let end = graph.integers("end", &[size as i64]);
    let axis = graph.integers("axis", &[axis as i64]);
    graph.node("Slice", &[&value, &start, &end, &axis], Vec::new())
}

/// `[batch, frames, bins]`: power or magnitude.
fn powers(graph: &mut Graph, spec: &MelSpec, samples: Value) -> Value {
    let mut signal = samples;
    if spec.center {
        let half = (spec.n_fft / 2) as i64;
        let pads = graph.integers("centre", &[0, half, 0, half]);
        let mode = match spec.pad_mode {
            PadMode::Constant => "constant",
            PadMode::Reflect => "reflect",
        };
        signal = graph.node("Pad", &[&signal, &pads], vec![text("mode", mode)]);
    }
    let last = graph.integers("last", &[2]);
    let signal = graph.node("Unsqueeze", &[&signal, &last], Vec::new());
    let hop = graph.integer("hop", spec.hop_length as i64);
    let length = graph.integer("n_fft", spec.n_fft as i64);
    let mut window = vec![0.0; spec.n_fft];
    let lead = (spec.n_fft - spec.win_length) / 2;
    for (value, weight) in window.iter_mut().skip(lead).zip(analysis_window(spec)) {
        *value = weight;
    }
    let window = graph.floats("frontend.window", &[spec.n_fft], &window);
    let spectrum = graph.node("STFT", &[&signal, &hop, &window, &length], vec![int("onesided", 1)]);
    let parts = graph.integers("parts", &[3]);
    let powers = graph.node("ReduceSumSquare", &[&spectrum, &parts], vec![int("keepdims", 0)]);
    match spec.power {
        Power::Power => powers,
        Power::Magnitude => graph.node("Sqrt", &[&powers], Vec::new()),
    }
}

/// `[batch, mels, frames]`.
fn mels(graph: &mut Graph, spec: &MelSpec, powers: Value) -> Value {
    let bins = spec.n_fft / 2 + 1;
    let weights = graph.floats("frontend.mel", &[bins, spec.n_mels], &mel_weights(spec));
    let mels = graph.node("MatMul", &[&powers, &weights], Vec::new());
    graph.node("Transpose", &[&mels], vec![ints("perm", &[0, 2, 1])])
}

/// Over rows and frames of each example.
fn reduce(graph: &mut Graph, operator: &str, value: &str) -> Value {
    let axes = graph.integers("axes", &[1, 2]);
    graph.node(operator, &[value, &axes], vec![int("keepdims", 1)])
}

fn scale(graph: &mut Graph, spec: &MelSpec, mels: Value) -> Value {
    let smallest = f32::MIN_POSITIVE;
    match spec.scale {
        Scale::Power => mels,
        Scale::Log { offset } => {
            let offset = graph.scalar("offset", offset as f32);
            let raised = graph.node("Add", &[&mels, &offset], Vec::new());
            let smallest = graph.scalar("smallest", smallest);
            let raised = graph.node("Max", &[&raised, &smallest], Vec::new());
            graph.node("Log", &[&raised], Vec::new())
        }
        Scale::Db {
            reference,
            top_db,
            amin,
        } => {
            let factor = match spec.power {
                Power::Power => 10.0,
                Power::Magnitude => 20.0,
            };
            let amin = (amin as f32).max(smallest);
            let least = graph.scalar("amin", amin);
            let factor_of_ln = graph.scalar("decibels", factor / std::f32::consts::LN_10);
            let raised = graph.node("Max", &[&mels, &least], Vec::new());
            let logarithm = graph.node("Log", &[&raised], Vec::new());
            let decibels = graph.node("Mul", &[&logarithm, &factor_of_ln], Vec::new());
            let largest = reduce(graph, "ReduceMax", &decibels);
            let (relative, floor) = match reference {
                DbReference::Max => {
                    let relative = graph.node("Sub", &[&decibels, &largest], Vec::new());
                    (relative, graph.scalar("floor", -top_db as f32))
                }
                DbReference::One => {
                    let zero = graph.scalar("zero", factor * amin.max(1.0).log10());
                    let relative = graph.node("Sub", &[&decibels, &zero], Vec::new());
                    let below = graph.scalar("below", factor * amin.max(1.0).log10() + top_db as f32);
                    (relative, graph.node("Sub", &[&largest, &below], Vec::new()))
                }
            };
            match top_db > 0.0 {
                true => graph.node("Max", &[&relative, &floor], Vec::new()),
                false => relative,
            }
        }
    }
}

/// By the example's own figures; with the training split's it is done behind the front end.
fn normalize(graph: &mut Graph, how: Normalize, value: Value) -> Value {
    let zero = graph.scalar("zero", 0.0);
    let (shifted, width, vanishes) = match how {
        Normalize::None | Normalize::TrainStatistics => return value,
        Normalize::Standard => {
            let mean = reduce(graph, "ReduceMean", &value);
            let shifted = graph.node("Sub", &[&value, &mean], Vec::new());
            let squares = graph.node("Mul", &[&shifted, &shifted], Vec::new());
            let variance = reduce(graph, "ReduceMean", &squares);
            let deviation = graph.node("Sqrt", &[&variance], Vec::new());
            // What rounding leaves of a constant: in 32 bits more than in the program's 64.
            let rounding = graph.scalar("rounding", 8.0 * f32::EPSILON);
            let size = graph.node("Abs", &[&mean], Vec::new());
            let least = graph.node("Mul", &[&size, &rounding], Vec::new());
            let vanishes = graph.node("LessOrEqual", &[&deviation, &least], Vec::new());
            (shifted, deviation, vanishes)
        }
        Normalize::MinMax => {
            let low = reduce(graph, "ReduceMin", &value);
            let high = reduce(graph, "ReduceMax", &value);
            let shifted = graph.node("Sub", &[&value, &low], Vec::new());
            let width = graph.node("Sub", &[&high, &low], Vec::new());
            let vanishes = graph.node("LessOrEqual", &[&width, &zero], Vec::new());
            (shifted, width, vanishes)
        }
    };
    let one = graph.scalar("one", 1.0);
    let divisor = graph.node("Where", &[&vanishes, &one, &width], Vec::new());
    let divided = graph.node("Div", &[&shifted, &divisor], Vec::new());
    graph.node("Where", &[&vanishes, &zero, &divided], Vec::new())
}
