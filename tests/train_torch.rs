//! Losses, optimisers, clipping and schedules against PyTorch's values (scripts/reference/torch_train.py).

mod torch_support;

use affect::evaluate::Problem;
use affect::train::gradients::Gradients;
use affect::train::loss::Loss;
use affect::train::optimizer::Optimizer;
use affect::train::schedule::{Length, Schedule};
use affect::train::spec::TrainSpec;
use affect::train::{Labels, LossSpec, OptimizerSpec, ScheduleSpec};
use candle_core::{Device, Tensor, Var};
use serde::Deserialize;
use torch_support::{Comparison, noise_tensor, values};

#[derive(Deserialize)]
struct Golden<T> {
    cases: Vec<T>,
}

fn golden<T: for<'a> Deserialize<'a>>(text: &str) -> Vec<T> {
    serde_json::from_str::<Golden<T>>(text).unwrap().cases
}

#[derive(Deserialize)]
struct LossCase {
    toml: String,
    case: String,
    outputs: usize,
    predicted: Vec<f32>,
    target: Vec<f32>,
    weights: Option<Vec<f32>>,
    value: f64,
    gradient: Vec<f64>,
}

#[test]
fn losses_and_their_gradients() {
    let mut comparison = Comparison::default();
    for case in golden::<LossCase>(include_str!("golden/train/losses.json")) {
        let spec: LossSpec = toml::from_str(&case.toml).unwrap();
        let examples = case.predicted.len() / case.outputs;
        let tensor = |values: &[f32]| Tensor::from_slice(values, (examples, case.outputs), &Device::Cpu).unwrap();
        let names = |letters: &str| letters.chars().take(case.outputs).map(String::from).collect();
        let (problem, target) = match spec {
            LossSpec::CrossEntropy(_) => {
                let classes: Vec<u32> = case.target.iter().map(|&class| class as u32).collect();
                let problem = Problem::Classification { classes: names("abcd") };
                (problem, Tensor::from_vec(classes, examples, &Device::Cpu).unwrap())
            }
            _ => {
                let problem = Problem::Regression { targets: names("ab") };
                (problem, tensor(&case.target))
            }
        };
        let loss = Loss::new(&spec, &problem, &Labels::Values(Vec::new()), &[]).unwrap();
        let predicted = Var::from_tensor(&tensor(&case.predicted)).unwrap();
        let weights = case.weights.as_deref().map(tensor);
        let mean = loss
            .total(&predicted, &target, weights.as_ref())
            .unwrap()
            .mean()
            .unwrap();
        let gradient = mean.backward().unwrap().remove(&predicted).unwrap();
        let name = format!("{}, {}", case.toml, case.case);
        let kind = spec.name();
        comparison.compare(&format!("{kind} value"), &name, &values(&mean), &[case.value]);
        comparison.compare(&format!("{kind} gradient"), &name, &values(&gradient), &case.gradient);
    }
    comparison.finish();
}

#[derive(Deserialize)]
struct OptimizerCase {
    toml: String,
    clip: String,
    norms: Vec<f64>,
    steps: Vec<Vec<f64>>,
}

/// f = Σ a·(p − c)² + Σ sin(3p), over a weight and a bias.
fn objective(parameters: &[(String, Var)]) -> Tensor {
    let mut sum = Tensor::zeros((), candle_core::DType::F32, &Device::Cpu).unwrap();
    for (index, (_, parameter)) in parameters.iter().enumerate() {
        let a = (noise_tensor(parameter.dims(), 3 + index as u64, 1.0).abs().unwrap() + 0.5).unwrap();
        let c = noise_tensor(parameter.dims(), 5 + index as u64, 1.0);
        let bowl = (a * (parameter.as_tensor() - c).unwrap().sqr().unwrap())
            .unwrap()
            .sum_all()
            .unwrap();
        let waves = (parameter.as_tensor() * 3.0).unwrap().sin().unwrap().sum_all().unwrap();
        sum = (sum + (bowl + waves).unwrap()).unwrap();
    }
    sum
}

#[test]
fn ten_steps_of_every_optimizer() {
    let mut comparison = Comparison::default();
    for case in golden::<OptimizerCase>(include_str!("golden/train/optimizers.json")) {
        let spec: OptimizerSpec = toml::from_str(&case.toml).unwrap();
        let clip: TrainSpec = toml::from_str(&case.clip).unwrap();
        let parameters: Vec<(String, Var)> = [("weight", vec![3, 4], 1), ("bias", vec![3], 2)]
            .into_iter()
            .map(|(name, shape, seed)| {
                (
                    name.to_owned(),
                    Var::from_tensor(&noise_tensor(&shape, seed, 1.0)).unwrap(),
                )
            })
            .collect();
        let mut optimizer = Optimizer::new(&spec, &parameters).unwrap();
        let mut norms = Vec::new();
        assert_eq!(case.steps.len(), 10);
        for want in &case.steps {
            let mut gradients = Gradients::take(&mut objective(&parameters).backward().unwrap(), &parameters);
            if let Some(limit) = clip.clip_value {
                gradients.clip_value(limit).unwrap();
            }
            if let Some(limit) = clip.clip_norm {
                let norm = gradients.norm().unwrap();
                gradients.clip_norm(norm, limit);
                norms.push(norm);
            }
            optimizer.step(&gradients).unwrap();
            let got: Vec<f64> = parameters.iter().flat_map(|(_, parameter)| values(parameter)).collect();
            let kind = case.toml.lines().next().unwrap();
            comparison.compare(kind, &format!("{} {}", case.toml, case.clip), &got, want);
        }
        if !case.norms.is_empty() {
            comparison.compare("gradient norms", &case.toml, &norms, &case.norms);
        }
    }
    comparison.finish();
}

const BASE: f64 = 0.02;
const LENGTH: Length = Length {
    epochs: 8,
    updates_per_epoch: 5,
};

#[derive(Deserialize)]
struct ScheduleCase {
    toml: String,
    rates: Vec<f64>,
}

#[test]
fn the_rate_of_every_update() {
    let mut comparison = Comparison::default();
    for case in golden::<ScheduleCase>(include_str!("golden/train/schedules.json")) {
        let spec: ScheduleSpec = toml::from_str(&case.toml).unwrap();
        let schedule = Schedule::new(&spec, BASE, LENGTH);
        assert_eq!(case.rates.len(), 40);
        for (update, want) in case.rates.iter().enumerate() {
            let name = format!("update {update} of {}", case.toml);
            comparison.compare(
                case.toml.lines().next().unwrap(),
                &name,
                &[schedule.rate(update as u64)],
                &[*want],
            );
        }
    }
    comparison.finish();
}

#[derive(Deserialize)]
struct PlateauCase {
    toml: String,
    maximize: bool,
    values: Vec<f64>,
    rates: Vec<f64>,
}

#[test]
fn plateaus() {
    let mut comparison = Comparison::default();
    for case in golden::<PlateauCase>(include_str!("golden/train/plateaus.json")) {
        let spec: ScheduleSpec = toml::from_str(&case.toml).unwrap();
        let mut schedule = Schedule::new(&spec, BASE, LENGTH);
        for (epoch, (value, want)) in case.values.iter().zip(&case.rates).enumerate() {
            let updates = 5 * (epoch as u64 + 1);
            schedule.validated(updates, *value, case.maximize);
            let name = format!("epoch {epoch} of {}, maximize {}", case.toml, case.maximize);
            comparison.compare("plateau", &name, &[schedule.rate(updates)], &[*want]);
        }
    }
    comparison.finish();
}
