//! Networks that leave as ONNX models: they must say what the program says, in tract and (with AFFECT_PYTHON) in onnxruntime, with and without
//! the front end in the model. Real clips are taken where AFFECT_SHARED_DATA has some, else rendered sound.

#[path = "reference_support/mod.rs"]
mod reference;
#[path = "torch_support/mod.rs"]
mod torch;

use std::path::{Path, PathBuf};

use affect::audio::{MelExtractor, ReadWindow, Scratch, load_windows};
use affect::export::onnx::{Form, model};
use affect::export::{Input, Interface, Output, Trained};
use affect::features::extractor::{Identity, Length, VERSION};
use affect::features::feature_set::Statistics;
use affect::features::{Extractor, MelRecipe, Normalize, Preset};
use affect::nn::{Mode, Network, NetworkPreset, NetworkSpec, Plan, Step};
use affect::predict::Model;
use affect::random::Generator;
use candle_core::Device;
use serde_json::{Value, json};
use torch::noise_tensor;

/// The larger of two batches.
const CLIPS: usize = 7;
const ALIKE: f32 = 1e-4;
const WITH_FRONT_END: f32 = 1e-3;

fn write(path: &Path, bytes: &[u8]) {
    affect::files::write_whole(path, bytes).unwrap();
}

/// A network whose running averages are not those of the beginning.
fn network(spec: &NetworkSpec, shape: &[usize], outputs: usize) -> (Plan, Network) {
    let plan = Plan::new(spec, shape, outputs).unwrap();
    let network = Network::new(spec, &plan, 11, &Device::Cpu).unwrap();
    let batch: Vec<usize> = std::iter::once(3).chain(shape.iter().copied()).collect();
    for step in 0..3 {
        let input = noise_tensor(&batch, 20 + step, 2.0);
        network
            .forward(
                &input,
                Mode::Train {
                    seed: 1,
                    step: Step::Known(step),
                },
            )
            .unwrap();
    }
    (plan, network)
}

fn output(names: usize, classes: bool) -> Output {
    let names = (0..names).map(|index| format!("n{index}")).collect();
    match classes {
        true => Output::Classification { classes: names },
        false => Output::Regression { targets: names },
    }
}

/// The largest difference, relative to 1 or to the largest value.
fn difference(got: &[Vec<f32>], want: &[Vec<f32>]) -> f32 {
    assert_eq!(got.len(), want.len());
    let largest = want
        .iter()
        .flatten()
        .fold(1.0f32, |largest, value| largest.max(value.abs()));
    let pairs = got.iter().zip(want).flat_map(|(got, want)| {
        assert_eq!(got.len(), want.len());
        got.iter().zip(want)
    });
    pairs.fold(0.0f32, |worst, (got, want)| match (got - want).abs() {
        difference if difference.is_nan() => f32::INFINITY,
        difference => worst.max(difference),
    }) / largest
}

/// A model's file, what goes into it, and what must come out, within a tolerance.
struct Question {
    name: String,
    model: PathBuf,
    shape: Vec<usize>,
    inputs: Vec<Vec<f32>>,
    wanted: Vec<Vec<f32>>,
    tolerance: f32,
}

/// Asks onnx's checker and onnxruntime, in batches of 1 and of all.
fn ask_onnxruntime(folder: &Path, questions: &[Question]) {
    let answers = reference::answers("onnx_models.py", |_| {
        let ask = |(index, question): (usize, &Question)| {
            let file = folder.join(format!("{index}.f32"));
            let bytes: Vec<u8> = question
                .inputs
                .iter()
                .flatten()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            write(&file, &bytes);
            json!({ "model": question.model, "inputs": file, "shape": question.shape })
        };
        questions.iter().enumerate().map(ask).collect()
    });
    let Some(answers) = answers else { return };
    assert_eq!(answers.len(), questions.len());
    let mut worst = [("", 0.0f32); 2];
    for (question, answer) in questions.iter().zip(&answers) {
        for batch in ["one", "all"] {
            let got: Vec<Vec<f32>> = serde_json::from_value(answer[batch].clone()).unwrap();
            let wanted = &question.wanted[..got.len()];
            let apart = difference(&got, wanted);
            assert!(
                apart <= question.tolerance,
                "{}, batch of {batch}: {apart:e}, {got:?} for {wanted:?}",
                question.name
            );
            let worst = &mut worst[usize::from(question.tolerance == WITH_FRONT_END)];
            if apart > worst.1 {
                *worst = (&question.name, apart);
            }
        }
        let metadata = &answer["metadata"];
        assert_eq!(metadata["affect.run"], "a-run", "{}", question.name);
        assert!(
            answer["inputs"]
                .as_str()
                .is_some_and(|name| name == "features" || name == "samples")
        );
    }
    println!("onnxruntime: features in {:?}, samples in {:?}", worst[0], worst[1]);
}

#[test]
fn every_layer() {
    let golden: Value = serde_json::from_str(include_str!("golden/nn/layers.json")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut cases: Vec<(String, Vec<usize>, usize)> = golden["cases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|case| {
            let sizes = |value: &Value| -> Vec<usize> { serde_json::from_value(value.clone()).unwrap() };
            let outputs = sizes(&case["output"]["shape"])[1..].iter().product();
            (
                case["layers"].as_str().unwrap().to_owned(),
                sizes(&case["shape"]),
                outputs,
            )
        })
        .collect();
    for (layers, outputs) in [
        ("{ adaptive_avg_pool2d = [4, 3] }", 24),
        ("{ adaptive_max_pool2d = [4, 3] }", 24),
        ("{ adaptive_max_pool2d = [3, 2] }", 12),
        ("{ adaptive_avg_pool2d = [3, 11] }", 66),
        (
            "{ gru = { units = 3, layers = 2, bidirectional = true, output = \"last\" } }",
            6,
        ),
        ("{ linear = { units = 4, per_frame = true } }, { batch_norm = {} }", 44),
        ("{ linear = { units = 4, per_frame = true } }, { global_pool = {} }", 8),
    ] {
        cases.push((layers.to_owned(), vec![2, 9, 11], outputs));
    }
    let mut questions = Vec::new();
    let mut worst = 0.0f32;
    for (index, (layers, shape, outputs)) in cases.iter().enumerate() {
        let text = format!("layers = [{}, {{ flatten = {{}} }}]", layers.replace('\n', " "));
        let spec: NetworkSpec = toml::from_str(&text).unwrap();
        let (plan, network) = network(&spec, shape, *outputs);
        let &[channels, rows, frames] = shape.as_slice() else {
            panic!("{layers}")
        };
        let interface = Interface::new([channels, rows, frames], Input::Npy, output(*outputs, index % 2 == 1));
        let statistics = (index % 3 == 0).then(|| Statistics {
            mean: (0..channels * rows).map(|row| row as f32 * 0.1).collect(),
            deviation: (0..channels * rows).map(|row| 1.0 + row as f32 * 0.05).collect(),
        });
        let trained = Trained {
            spec: &spec,
            plan: &plan,
            network: &network,
            statistics: statistics.as_ref(),
            interface: &interface,
            run: "a-run",
            experiment: "layers",
            settings: &text,
        };
        let bytes = model(&trained, Form::Features).unwrap();
        assert_eq!(bytes, model(&trained, Form::Features).unwrap());
        assert!(model(&trained, Form::Samples).unwrap_err().to_string().contains("npy"));
        let path = folder.path().join(format!("{index}.onnx"));
        write(&path, &bytes);
        let size = shape.iter().product();
        let inputs: Vec<Vec<f32>> = (0..CLIPS as u64)
            .map(|clip| torch::noise(size, 50 + clip, 2.0))
            .collect();
        let wanted = Model::of_network(interface.clone(), network, statistics)
            .outputs(inputs.clone())
            .unwrap();
        let got = Model::of_onnx(&path).unwrap().outputs(inputs.clone()).unwrap();
        let apart = difference(&got, &wanted);
        assert!(apart <= ALIKE, "{layers}: {apart:e}");
        worst = worst.max(apart);
        questions.push(Question {
            name: layers.clone(),
            model: path,
            shape: shape.clone(),
            inputs,
            wanted,
            tolerance: ALIKE,
        });
    }
    println!("tract: {worst:e} at most, over {} cases", questions.len());
    ask_onnxruntime(folder.path(), &questions);
}

/// Real clips, or rendered ones: 0.7 s to 40 s, some with silence.
fn clips(sample_rate: u32) -> Vec<Vec<f32>> {
    #[expect(
        clippy::disallowed_methods,
        reason = "tests are told where things are by the environment"
    )]
    let data = std::env::var_os("AFFECT_SHARED_DATA").map(PathBuf::from);
    if let Some(data) = data {
        let speech = ["03a01Nc", "08b10Nc", "13b10Ec", "11b03Wa"].map(|name| format!("emodb/wav/{name}.wav"));
        let music = ["Middle", "High", "Low"].map(|name| format!("music/{name}.mp3"));
        let paths: Vec<PathBuf> = speech.iter().chain(&music).map(|name| data.join(name)).collect();
        if paths.iter().all(|path| path.is_file()) {
            let window = ReadWindow {
                start: 0.0,
                duration: Some(35.0),
            };
            let load = |path: &PathBuf| load_windows(path, &[window], sample_rate, Default::default()).unwrap();
            return paths.iter().map(|path| load(path).windows.remove(0)).collect();
        }
    }
    println!("skipped: no real clips, rendered ones instead");
    (0..CLIPS)
        .map(|clip| {
            let mut generator = Generator::keyed(clip as u64, "clip", &[]);
            let seconds = [0.7, 2.0, 3.0, 5.5, 30.0, 40.0, 8.0][clip];
            let count = (seconds * f64::from(sample_rate)) as usize;
            let tone = 110.0 * 1.7f64.powi(clip as i32);
            (0..count)
                .map(|index| {
                    let time = index as f64 / f64::from(sample_rate);
                    let loud = 0.5 + 0.5 * (time * 3.0).sin();
                    ((time * tone * std::f64::consts::TAU).sin() * 0.3 * loud + generator.normal() * 0.02) as f32
                })
                .collect()
        })
        .collect()
}

/// The features of a preset, with what else recipes can say in some of them.
fn recipe(preset: NetworkPreset) -> MelRecipe {
    use affect::audio::{DbReference, PadMode, Power, Scale, WindowFunction};
    let speech = MelRecipe {
        sample_rate: 16_000,
        duration: Some(3.0),
        n_fft: 1024,
        hop_length: 400,
        n_mels: 64,
        ..MelRecipe::default()
    };
    match preset {
        NetworkPreset::DeamCnn => Preset::DeamDynamic.recipe(),
        NetworkPreset::Music2emotion | NetworkPreset::Music2emotion4 => Preset::Music2emotion.recipe(),
        NetworkPreset::MeldCnn => Preset::Meld128.recipe(),
        NetworkPreset::Crnn => MelRecipe {
            win_length: Some(800),
            window: WindowFunction::Hamming,
            pad_mode: PadMode::Reflect,
            power: Power::Magnitude,
            scale: Scale::Db {
                reference: DbReference::One,
                top_db: 60.0,
                amin: 1e-5,
            },
            ..speech
        },
        NetworkPreset::AttentionCrnn => MelRecipe {
            center: false,
            scale: Scale::Log { offset: 1e-6 },
            normalize: Normalize::TrainStatistics,
            ..speech
        },
    }
}

fn identity(mut mel: MelRecipe) -> Identity {
    let extractor = MelExtractor::new(&mel.spectrogram()).unwrap();
    let samples = (mel.duration.unwrap() * f64::from(mel.sample_rate)).round() as usize;
    let (length, frames) = match mel.frames {
        Some(frames) => (Length::AtMost(Some(samples)), frames),
        None => (Length::Exact(samples), extractor.frames(samples)),
    };
    if mel.normalize == Normalize::TrainStatistics {
        mel.normalize = Normalize::None;
    }
    Identity {
        version: VERSION,
        shape: [1, mel.n_mels, frames],
        length,
        mel,
    }
}

#[test]
fn every_preset_with_and_without_its_front_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut questions = Vec::new();
    for preset in NetworkPreset::ALL {
        let recipe = recipe(preset);
        let by_training = recipe.normalize == Normalize::TrainStatistics;
        let identity = identity(recipe);
        let (shape, classes) = (identity.shape, matches!(preset, NetworkPreset::MeldCnn));
        let outputs = if classes { 7 } else { 2 };
        let spec = preset.network();
        let (plan, network) = network(&spec, &shape, outputs);
        let input = Input::Mel {
            recipe: Box::new(identity.clone()),
        };
        let interface = Interface::new(shape, input, output(outputs, classes));
        let statistics = by_training.then(|| Statistics {
            mean: vec![-5.0; shape[1]],
            deviation: vec![3.0; shape[1]],
        });
        let trained = Trained {
            spec: &spec,
            plan: &plan,
            network: &network,
            statistics: statistics.as_ref(),
            interface: &interface,
            run: "a-run",
            experiment: preset.name(),
            settings: "",
        };
        let paths = [Form::Features, Form::Samples].map(|form| {
            let path = folder.path().join(format!("{}-{}.onnx", preset.name(), form.name()));
            write(&path, &model(&trained, form).unwrap());
            path
        });
        let extractor = Extractor::again(&identity).unwrap();
        let sounds = clips(identity.mel.sample_rate);
        let mut scratch = Scratch::default();
        let arrays: Vec<Vec<f32>> = (sounds.iter())
            .map(|samples| extractor.array(&mut scratch, samples.clone()).unwrap())
            .collect();
        let wanted = Model::of_network(interface.clone(), network, statistics)
            .outputs(arrays.clone())
            .unwrap();

        let [of_features, of_samples] = paths.each_ref().map(|path| Model::of_onnx(path).unwrap());
        assert_eq!(of_features.interface(), &interface);
        let got = of_features.outputs(arrays.clone()).unwrap();
        let apart = difference(&got, &wanted);
        assert!(apart <= ALIKE, "{}: {apart:e}", preset.name());
        let fitted: Vec<Vec<f32>> = (sounds.iter())
            .map(|samples| {
                let mut samples = samples.clone();
                extractor.fit(&mut samples);
                samples
            })
            .collect();
        let got = of_samples.outputs(fitted).unwrap();
        let apart_from_samples = difference(&got, &wanted);
        assert!(
            apart_from_samples <= WITH_FRONT_END,
            "{}: {apart_from_samples:e}",
            preset.name()
        );
        println!(
            "tract, {}: features in {apart:.1e}, samples in {apart_from_samples:.1e}",
            preset.name()
        );

        let [features_in, samples_in] = paths;
        let name = preset.name().to_owned();
        questions.push(Question {
            name: format!("{name}, features in"),
            model: features_in,
            shape: shape.to_vec(),
            inputs: arrays,
            wanted: wanted.clone(),
            tolerance: ALIKE,
        });
        // In a batch all have one length: the model cuts and fills.
        let longest = sounds.iter().map(Vec::len).max().unwrap();
        let same_length = match identity.length {
            Length::Exact(_) => longest,
            // Here frames are padded behind normalisation, so samples must not be.
            Length::AtMost(_) => sounds.iter().map(Vec::len).min().unwrap(),
        };
        let inputs: Vec<Vec<f32>> = (sounds.iter())
            .map(|samples| {
                let mut samples = samples.clone();
                samples.resize(same_length, 0.0);
                samples
            })
            .collect();
        let wanted = match identity.length {
            Length::Exact(_) => wanted,
            Length::AtMost(_) => {
                let arrays = inputs
                    .iter()
                    .map(|samples| extractor.array(&mut scratch, samples.clone()).unwrap());
                of_features.outputs(arrays.collect()).unwrap()
            }
        };
        questions.push(Question {
            name: format!("{name}, samples in"),
            model: samples_in,
            shape: vec![same_length],
            inputs,
            wanted,
            tolerance: WITH_FRONT_END,
        });
    }
    ask_onnxruntime(folder.path(), &questions);
}

#[test]
fn a_model_from_elsewhere_with_the_same_metadata() {
    let interface = Interface::new([1, 4, 5], Input::Npy, output(2, false));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("elsewhere.onnx");
    if !reference::runs("onnx_models.py", &["make", path.to_str().unwrap()], &interface.text()) {
        return;
    }
    let model = Model::of_onnx(&path).unwrap();
    assert_eq!(model.interface(), &interface);
    let outputs = model
        .outputs(vec![vec![0.5; 20], (0..20).map(|value| value as f32).collect()])
        .unwrap();
    assert_eq!(outputs, [vec![1.0, 1.5], vec![19.0, 28.5]]);
}

#[test]
fn what_is_no_model_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.onnx");
    let refused = |bytes: &[u8]| {
        write(&path, bytes);
        Model::of_onnx(&path).err().unwrap().to_string()
    };
    assert!(refused(b"").contains("no ONNX model"));
    assert!(refused(b"RIFF....WAVEfmt").contains("no ONNX model"));
    let spec: NetworkSpec = toml::from_str("layers = [{ linear = \"targets\" }]").unwrap();
    let (plan, network) = network(&spec, &[1, 4, 5], 2);
    let interface = Interface::new([1, 4, 5], Input::Npy, output(2, false));
    let of = |interface: &Interface| {
        let trained = Trained {
            spec: &spec,
            plan: &plan,
            network: &network,
            statistics: None,
            interface,
            run: "a-run",
            experiment: "x",
            settings: "",
        };
        model(&trained, Form::Features).unwrap()
    };
    let good = of(&interface);
    assert!(refused(&of(&Interface::new([1, 4, 6], Input::Npy, output(2, false)))).contains("cannot be run"));
    assert!(refused(&of(&Interface::new([1, 4, 5], Input::Npy, output(3, false)))).contains("metadata names"));
    // Whatever is damaged: an error or a model, no panic.
    let mut generator = Generator::keyed(1, "damage", &[]);
    for _ in 0..300 {
        let mut bytes = good.clone();
        for _ in 0..1 + generator.below(4) {
            let place = generator.below(bytes.len());
            bytes[place] ^= 1 << generator.below(8);
        }
        bytes.truncate(bytes.len() - generator.below(3) * generator.below(20));
        write(&path, &bytes);
        if let Ok(model) = Model::of_onnx(&path) {
            let _ = model.outputs(vec![vec![0.5; 20]]);
        }
    }
}
