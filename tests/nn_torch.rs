//! Every layer and every preset against PyTorch's values (scripts/reference/torch_nn.py): output, gradients of the input and of all
//! parameters, running averages, and the output in evaluation.

mod torch_support;

use affect::evaluate::Problem;
use affect::nn::spec::{LayerSpec, LinearSpec};
use affect::nn::{Mode, Network, NetworkPreset, NetworkSpec, Plan, Step};
use affect::train::gradients::Gradients;
use affect::train::loss::Loss;
use affect::train::optimizer::Optimizer;
use affect::train::{Labels, LossSpec, OptimizerSpec};
use candle_core::{DType, Device, Tensor, Var};
use serde::Deserialize;
use torch_support::{Comparison, noise_tensor, values};

#[derive(Deserialize)]
struct Golden<T> {
    cases: Vec<T>,
}

/// All or some of a tensor's values.
#[derive(Deserialize)]
struct Sample {
    shape: Vec<usize>,
    stride: usize,
    values: Vec<f64>,
    norm: f64,
    /// How far PyTorch's own float32 is from these values, which are float64's.
    float32: f64,
}

#[derive(Deserialize)]
struct Results {
    batch: usize,
    output: Sample,
    input_gradient: Sample,
    gradients: Vec<Sample>,
    buffers: Vec<Sample>,
    evaluated: Sample,
    /// Parameters that are 0, and gains of norms.
    zeros: Vec<usize>,
    gains: Vec<usize>,
}

#[derive(Deserialize)]
struct LayerCase {
    layers: String,
    shape: Vec<usize>,
    #[serde(flatten)]
    results: Results,
}

#[derive(Deserialize)]
struct PresetCase {
    preset: String,
    shape: Vec<usize>,
    outputs: usize,
    #[serde(flatten)]
    results: Results,
}

fn compare(comparison: &mut Comparison, kind: &str, case: &str, got: &Tensor, want: &Sample) {
    let got = values(got);
    assert_eq!(got.len(), want.shape.iter().product::<usize>(), "{kind} of {case}");
    let sampled: Vec<f64> = got.iter().step_by(want.stride).copied().collect();
    let shown = format!("{case} (PyTorch's float32: {:.1e})", want.float32);
    comparison.compare(kind, &shown, &sampled, &want.values);
    let norm = got.iter().map(|value| value * value).sum::<f64>().sqrt();
    comparison.compare("norm of the tensor", &shown, &[norm], &[want.norm]);
}

fn set_parameters(network: &Network, zeros: &[usize], gains: &[usize]) {
    for (index, (_, parameter)) in network.parameters().iter().enumerate() {
        let shape = parameter.dims();
        let fan = if shape.len() > 1 {
            shape[1..].iter().product()
        } else {
            4
        };
        let seed = 100 + index as u64;
        let tensor = if zeros.contains(&index) {
            Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap()
        } else if gains.contains(&index) {
            (noise_tensor(shape, seed, 0.25) + 1.0).unwrap()
        } else {
            noise_tensor(shape, seed, 1.0 / (fan as f64).sqrt())
        };
        parameter.set(&tensor).unwrap();
    }
}

fn check(comparison: &mut Comparison, case: &str, spec: &NetworkSpec, shape: &[usize], results: &Results) {
    let outputs = results.output.shape[1..].iter().product();
    let plan = Plan::new(spec, shape, outputs).unwrap_or_else(|error| panic!("{case}: {error}"));
    let network = Network::new(spec, &plan, 1, &Device::Cpu).unwrap();
    assert_eq!(network.parameters().len(), results.gradients.len(), "{case}");
    set_parameters(&network, &results.zeros, &results.gains);
    let batch: Vec<usize> = std::iter::once(results.batch).chain(shape.iter().copied()).collect();
    let input = Var::from_tensor(&noise_tensor(&batch, 1, 2.0)).unwrap();
    let out = network
        .forward(
            &input,
            Mode::Train {
                seed: 1,
                step: Step::Known(1),
            },
        )
        .unwrap();
    compare(comparison, "output", case, &out, &results.output);
    let objective = (&out * noise_tensor(out.dims(), 2, 1.0)).unwrap().sum_all().unwrap();
    let gradients = objective.backward().unwrap();
    let of = |var: &Var, name: &str| {
        gradients
            .get(var)
            .unwrap_or_else(|| panic!("{case}: no gradient for {name}"))
            .clone()
    };
    compare(
        comparison,
        "input gradient",
        case,
        &of(&input, "the input"),
        &results.input_gradient,
    );
    for ((name, parameter), want) in network.parameters().iter().zip(&results.gradients) {
        let elements: usize = want.shape.iter().product();
        assert_eq!(parameter.elem_count(), elements, "{case}: {name}");
        let kind = format!("gradient of {}", name.rsplit('.').next().unwrap());
        compare(
            comparison,
            &kind,
            &format!("{name} of {case}"),
            &of(parameter, name),
            want,
        );
    }
    assert_eq!(network.buffers().len(), results.buffers.len(), "{case}");
    for ((name, buffer), want) in network.buffers().iter().zip(&results.buffers) {
        compare(
            comparison,
            "running average",
            &format!("{name} of {case}"),
            buffer,
            want,
        );
    }
    let evaluated = network.forward(&input, Mode::Evaluate).unwrap();
    compare(comparison, "evaluation", case, &evaluated, &results.evaluated);
}

#[test]
fn layers() {
    let golden: Golden<LayerCase> = serde_json::from_str(include_str!("golden/nn/layers.json")).unwrap();
    let mut comparison = Comparison::default();
    for case in golden.cases {
        let spec: NetworkSpec = toml::from_str(&format!("layers = [{}, {{ flatten = {{}} }}]", case.layers)).unwrap();
        check(&mut comparison, &case.layers, &spec, &case.shape, &case.results);
    }
    comparison.finish();
}

/// Masks are drawn by generators of our own: nothing to compare.
fn without_dropout(mut spec: NetworkSpec) -> NetworkSpec {
    spec.layers.retain(|layer| !matches!(layer, LayerSpec::Dropout(_)));
    for layer in &mut spec.layers {
        match layer {
            LayerSpec::Conv2d(conv) => conv.dropout = None,
            LayerSpec::Linear(LinearSpec::Table(table)) => table.dropout = None,
            LayerSpec::Gru(gru) => gru.dropout = None,
            _ => {}
        }
    }
    spec
}

#[test]
fn presets() {
    let golden: Golden<PresetCase> = serde_json::from_str(include_str!("golden/nn/presets.json")).unwrap();
    assert_eq!(golden.cases.len(), NetworkPreset::ALL.len());
    let mut comparison = Comparison::default();
    for case in golden.cases {
        let preset = NetworkPreset::named(&case.preset).unwrap();
        assert_eq!(case.results.output.shape[1], case.outputs);
        let spec = without_dropout(preset.network());
        check(&mut comparison, &case.preset, &spec, &case.shape, &case.results);
    }
    comparison.finish();
}

#[derive(Deserialize)]
struct TrainingCase {
    optimizer: String,
    preset: String,
    shape: Vec<usize>,
    gains: Vec<usize>,
    losses: Vec<f64>,
    float32: f64,
    parameters: Vec<Sample>,
}

/// Network, loss and optimiser together: ten updates on one batch.
#[test]
fn ten_updates_of_whole_networks() {
    let golden: Golden<TrainingCase> = serde_json::from_str(include_str!("golden/nn/training.json")).unwrap();
    let mut comparison = Comparison::default();
    for case in golden.cases {
        let spec = without_dropout(NetworkPreset::named(&case.preset).unwrap().network());
        let plan = Plan::new(&spec, &case.shape, 2).unwrap();
        let network = Network::new(&spec, &plan, 1, &Device::Cpu).unwrap();
        set_parameters(&network, &[], &case.gains);
        let problem = Problem::Regression {
            targets: vec!["a".into(), "b".into()],
        };
        let loss: LossSpec = toml::from_str("kind = \"mse\"").unwrap();
        let loss = Loss::new(&loss, &problem, &Labels::Values(Vec::new()), &[]).unwrap();
        let optimizer: OptimizerSpec = toml::from_str(match case.optimizer.as_str() {
            "adamw" => "kind = \"adamw\"\nlearning_rate = 1e-3\nweight_decay = 0.01\nepsilon = 1e-4",
            _ => "kind = \"sgd\"\nlearning_rate = 1e-2\nmomentum = 0.9",
        })
        .unwrap();
        let mut optimizer = Optimizer::new(&optimizer, network.parameters()).unwrap();
        let batch: Vec<usize> = std::iter::once(8).chain(case.shape.iter().copied()).collect();
        let (input, target) = (noise_tensor(&batch, 1, 2.0), noise_tensor(&[8, 2], 2, 1.0));
        let mut losses = Vec::new();
        for step in 0..10 {
            let out = network
                .forward(
                    &input,
                    Mode::Train {
                        seed: 1,
                        step: Step::Known(step),
                    },
                )
                .unwrap();
            let mean = loss.total(&out, &target, None).unwrap().mean().unwrap();
            losses.extend(values(&mean));
            let gradients = Gradients::take(&mut mean.backward().unwrap(), network.parameters());
            optimizer.step(&gradients).unwrap();
        }
        let name = format!(
            "{}, {} (PyTorch's float32: {:.1e})",
            case.preset, case.optimizer, case.float32
        );
        comparison.compare("loss", &name, &losses, &case.losses);
        for ((name, parameter), want) in network.parameters().iter().zip(&case.parameters) {
            let case = format!("{name} of {}, {}", case.preset, case.optimizer);
            compare(&mut comparison, "parameter", &case, parameter, want);
        }
    }
    comparison.finish();
}

#[derive(Deserialize)]
struct InitialCase {
    layers: String,
    shape: Vec<usize>,
    largest: Vec<f64>,
    deviation: Vec<f64>,
    count: Vec<usize>,
}

/// Bounds and deviations of the first values; they are draws, so the tolerance is that of their number.
#[test]
fn first_values() {
    let golden: Golden<InitialCase> = serde_json::from_str(include_str!("golden/nn/initial.json")).unwrap();
    for case in golden.cases {
        let end = "{ flatten = {} }, { linear = \"targets\" }";
        let spec: NetworkSpec = toml::from_str(&format!("layers = [{}, {end}]", case.layers)).unwrap();
        let plan = Plan::new(&spec, &case.shape, 2).unwrap();
        let network = Network::new(&spec, &plan, 5, &Device::Cpu).unwrap();
        let normal = case.layers.contains("normal") || case.layers.contains("orthogonal");
        for (index, (name, parameter)) in network.parameters().iter().take(case.count.len()).enumerate() {
            let got = values(parameter);
            assert_eq!(got.len(), case.count[index], "{name} of {}", case.layers);
            let mean = got.iter().sum::<f64>() / got.len() as f64;
            let deviation = (got.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (got.len() - 1) as f64).sqrt();
            let largest = got.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
            // Both are estimates: of a deviation with relative error 1/√(2n).
            let tolerance = 6.0 / (2.0 * got.len() as f64).sqrt();
            let close = |got: f64, want: f64, tolerance: f64| (got - want).abs() <= tolerance * want;
            assert!(
                close(deviation, case.deviation[index], tolerance),
                "{name} of {}: deviation {deviation}, PyTorch {}",
                case.layers,
                case.deviation[index]
            );
            let tolerance = if normal { 0.5 } else { 20.0 / got.len() as f64 };
            assert!(
                close(largest, case.largest[index], tolerance),
                "{name} of {}: largest {largest}, PyTorch {}",
                case.layers,
                case.largest[index]
            );
        }
    }
}
