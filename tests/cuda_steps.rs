//! Whole training steps on a GPU against those of the CPU, and recorded against launched one by one.
//!
//! Runs on any GPU, and on the emulator of `scripts/cuda-emulator.sh`; skips where there is neither.
#![cfg(feature = "cuda")]
#![allow(clippy::disallowed_methods, reason = "tests read the environment")]

mod cuda_support;

use std::cell::RefCell;
use std::time::Duration;

use affect::evaluate::Problem;
use affect::nn::kernels::cuda;
use affect::nn::{Mode, Network, NetworkPreset, NetworkSpec, Plan, Step};
use affect::train::gpu::{Said, Steps, Work};
use affect::train::gradients::Gradients;
use affect::train::loss::Loss;
use affect::train::optimizer::Optimizer;
use affect::train::spec::{CudaGraphSpec, PrecisionSpec};
use affect::train::{Labels, LossSpec, OptimizerSpec};
use candle_core::{DType, Device, Result, Tensor};
use cuda_support::{gpu, gpu_with, near, numbers, random};

/// Layers of all kinds.
const NETWORKS: [(&str, [usize; 3]); 8] = [
    (
        r#"{ conv2d = { channels = 6, batch_norm = true, activation = "relu", max_pool = 2 } },
           { residual = { channels = 6 } },
           { conv2d = { channels = 5, kernel = [3, 5], activation = "gelu", dropout = 0.3 } }, { batch_norm = {} },
           { adaptive_avg_pool2d = [2, 1] }, { linear = { units = 5, activation = "relu", dropout = 0.2 } },
           { layer_norm = {} }, { linear = "targets" }"#,
        [1, 14, 18],
    ),
    (
        r#"{ conv2d = { channels = 4, activation = "leaky-relu" } }, { batch_norm = {} }, { max_pool2d = { window = 3, stride = 2 } },
           { gru = { units = 5, layers = 2, bidirectional = true, dropout = 0.1 } }, { attention_pool = { units = 4 } },
           { linear = "targets" }"#,
        [2, 9, 12],
    ),
    (
        r#"{ conv2d = { channels = 4, batch_norm = true, activation = "elu" } }, { avg_pool2d = 2 },
           { linear = { units = 6, per_frame = true, activation = "tanh" } }, { gru = { units = 4, bidirectional = true } },
           { gru = { units = 4, bidirectional = true, output = "last" } }, { linear = "targets" }"#,
        [1, 8, 10],
    ),
    (
        r#"{ conv2d = { channels = 4 } }, { global_pool = { over = "frames" } }, { linear = 6 }, { linear = "targets" }"#,
        [1, 8, 10],
    ),
    (
        r#"{ conv2d = { channels = 4, activation = "relu" } }, { linear = { units = 6, per_frame = true } },
           { global_pool = { statistics = ["deviation", "mean", "mean"] } }, { linear = "targets" }"#,
        [1, 8, 10],
    ),
    // Of one frame in the end.
    (
        r#"{ conv2d = { channels = 3, batch_norm = true, activation = "relu", max_pool = [2, 3] } }, { layer_norm = { over = "last" } },
           { conv2d = { channels = 4, max_pool = [1, 2] } }, { gru = { units = 3, bidirectional = true, output = "last" } },
           { linear = "targets" }"#,
        [1, 8, 6],
    ),
    // A window of more places than a block pools.
    (
        r#"{ conv2d = { channels = 18, activation = "leaky-relu", max_pool = [17, 16] } }, { flatten = {} }, { linear = "targets" }"#,
        [1, 20, 40],
    ),
    (
        r#"{ conv2d = { channels = 4, kernel = 5, stride = 2, padding = 1, activation = "tanh", max_pool = 2 } }, { layer_norm = {} },
           { residual = { channels = 6, stride = 2, dropout = 0.2 } }, { elu = {} }, { max_pool2d = { window = 2, stride = 1 } },
           { residual = { channels = 6 } }, { adaptive_max_pool2d = [2, 2] }, { dropout = 0.2 }, { flatten = {} },
           { linear = 7 }, { batch_norm = {} }, { sigmoid = {} }, { gelu = {} }, { linear = "targets" }"#,
        [2, 26, 30],
    ),
];

/// The loss that networks are trained with here.
fn squared_error() -> Loss {
    let problem = Problem::Regression {
        targets: vec!["a".into(), "b".into()],
    };
    let spec: LossSpec = toml::from_str("kind = \"mse\"").unwrap();
    Loss::new(&spec, &problem, &Labels::Values(Vec::new()), &[]).unwrap()
}

/// A network in training, on batches of numbers of its own.
struct Training {
    network: Network,
    optimizer: Optimizer,
    loss: Loss,
    /// On a GPU, with the place of the batches.
    steps: Option<(Steps, Tensor)>,
    clip_norm: Option<f64>,
    clip_value: Option<f64>,
    /// Whether the forward pass looks at its outputs, which no recording can do.
    looks: bool,
    batch: usize,
    shape: [usize; 3],
}

/// What a step came to: loss, norm of the gradients, outputs.
type Outcome = (f32, f64, Vec<f32>);

impl Training {
    fn new(device: &Device, spec: &NetworkSpec, batch: usize, shape: [usize; 3], optimizer: &str) -> Self {
        let plan = Plan::new(spec, &shape, 2).unwrap();
        let network = Network::new(spec, &plan, 7, device).unwrap();
        let optimizer: OptimizerSpec = toml::from_str(optimizer).unwrap();
        Self {
            optimizer: Optimizer::new(&optimizer, network.parameters()).unwrap(),
            network,
            loss: squared_error(),
            steps: None,
            clip_norm: None,
            clip_value: None,
            looks: false,
            batch,
            shape,
        }
        .with_graph(CudaGraphSpec::Off)
    }

    fn of_layers(device: &Device, layers: &str, shape: [usize; 3]) -> Self {
        let spec: NetworkSpec = toml::from_str(&format!("layers = [{layers}]")).unwrap();
        Self::new(device, &spec, 8, shape, "kind = \"adamw\"\nlearning_rate = 1e-3")
    }

    fn with_graph(mut self, graph: CudaGraphSpec) -> Self {
        let device = self.network.device();
        self.steps = device.is_cuda().then(|| {
            let desk = Tensor::zeros(&self.shape_of(self.batch), DType::F32, device).unwrap();
            (Steps::on(device, graph).unwrap(), desk)
        });
        self
    }

    fn shape_of(&self, batch: usize) -> [usize; 4] {
        let [channels, rows, columns] = self.shape;
        [batch, channels, rows, columns]
    }

    fn step(&mut self, step: u64) -> Outcome {
        self.step_of(step, self.batch).unwrap()
    }

    /// A step with so many examples, at most those of a batch.
    fn step_of(&mut self, step: u64, batch: usize) -> Result<Outcome> {
        let input = random(&self.shape_of(batch), 50 + step);
        let target = random(&[batch, 2], 80 + step);
        let seed = 3;
        let (mean, norm, outputs) = match &mut self.steps {
            None => {
                let step = Step::Known(step);
                let out = self.network.forward(&input, Mode::Train { seed, step }).unwrap();
                let mean = self.loss.total(&out, &target, None).unwrap().mean().unwrap();
                let mut gradients = Gradients::take(&mut mean.backward().unwrap(), self.network.parameters());
                let first = gradients.norm().unwrap();
                if let Some(limit) = self.clip_value {
                    gradients.clip_value(limit).unwrap();
                }
                if let Some(limit) = self.clip_norm {
                    gradients.clip_norm(gradients.norm().unwrap(), limit);
                }
                self.optimizer.step(&gradients).unwrap();
                (mean, Tensor::new(first, &Device::Cpu).unwrap(), out)
            }
            Some((steps, desk)) => {
                let desk = desk.narrow(0, 0, batch).unwrap();
                cuda::copy_over(&input.to_device(self.network.device()).unwrap(), &desk).unwrap();
                let (network, terms) = (&self.network, self.loss.terms(&target, None, None).unwrap());
                let mut work = Work {
                    network,
                    optimizer: &mut self.optimizer,
                    clip_norm: self.clip_norm,
                    clip_value: self.clip_value,
                    seed,
                    step,
                    inputs: &[&desk],
                    terms: &terms,
                };
                let looks = self.looks;
                let said = |mode| {
                    let outputs = network.forward(&desk, mode)?;
                    if looks {
                        outputs.to_vec2::<f32>()?;
                    }
                    Ok(Said { outputs, pair: None })
                };
                let outcome = steps.step(&mut work, &said, None)?;
                (outcome.mean, outcome.norm, outcome.outputs)
            }
        };
        Ok((mean.to_scalar()?, norm.to_scalar()?, numbers(&outputs)))
    }

    /// Parameters, running averages and what the optimiser remembers.
    fn state(&self) -> Vec<(String, Tensor)> {
        let vars = self.network.parameters().iter().chain(self.network.buffers());
        vars.map(|(name, var)| (name.clone(), var.as_tensor().clone()))
            .chain(self.optimizer.state().unwrap())
            .collect()
    }
}

/// Losses, and an output and the state afterwards.
fn trained(device: &Device, layers: &str, shape: [usize; 3], steps: u64) -> (Vec<f32>, Vec<(String, Tensor)>) {
    let mut training = Training::of_layers(device, layers, shape);
    let losses = (0..steps).map(|step| training.step(step).0).collect();
    let input = random(&[8, shape[0], shape[1], shape[2]], 1).to_device(device).unwrap();
    let evaluated = training.network.forward(&input, Mode::Evaluate).unwrap();
    let mut all = vec![("evaluated".to_owned(), evaluated)];
    all.extend(training.state());
    (losses, all)
}

/// The same steps one by one and recorded, with a learning rate that changes and a batch of another size in between.
#[test]
fn recorded_steps_give_the_bits_of_steps_one_by_one() {
    let Some(gpu) = gpu() else { return };
    for (layers, shape) in NETWORKS {
        for (clip_norm, clip_value) in [(None, None), (Some(0.5), Some(0.1))] {
            let run = |graph: CudaGraphSpec| {
                let mut training = Training::of_layers(&gpu, layers, shape).with_graph(graph);
                (training.clip_norm, training.clip_value) = (clip_norm, clip_value);
                let outcomes: Vec<Outcome> = (0..9u32)
                    .map(|step| {
                        training.optimizer.set_learning_rate(1e-3 / f64::from(1 + step));
                        if step == 7 {
                            // A convolution that needs more memory than those that are recorded.
                            let larger = random(&training.shape_of(30), 1).to_device(&gpu).unwrap();
                            training.network.forward(&larger, Mode::Evaluate).unwrap();
                        }
                        training.step_of(step.into(), if step == 6 { 5 } else { 8 }).unwrap()
                    })
                    .collect();
                let summary = training.steps.as_ref().and_then(|(steps, _)| steps.summary());
                (outcomes, training.state(), summary)
            };
            let (one_by_one, at_once) = (run(CudaGraphSpec::Off), run(CudaGraphSpec::On));
            assert_eq!(one_by_one.2, None);
            assert_eq!(
                at_once.2.as_deref(),
                Some("steps are launched as a CUDA graph"),
                "{layers}"
            );
            for (step, (a, b)) in one_by_one.0.iter().zip(&at_once.0).enumerate() {
                assert_eq!(a, b, "{layers}, step {step}");
            }
            for ((name, a), (_, b)) in one_by_one.1.iter().zip(&at_once.1) {
                assert_eq!(numbers(a), numbers(b), "{layers}: {name}");
            }
        }
    }
}

#[test]
fn steps_that_cannot_be_recorded_go_on_one_by_one() {
    let Some(gpu) = gpu() else { return };
    let (layers, shape) = NETWORKS[0];
    let training = |graph: CudaGraphSpec, looks: bool| {
        let mut training = Training::of_layers(&gpu, layers, shape).with_graph(graph);
        training.looks = looks;
        training
    };
    let mut plain = training(CudaGraphSpec::Off, false);
    let mut looking = training(CudaGraphSpec::Auto, true);
    for step in 0..24 {
        assert_eq!(plain.step(step), looking.step(step), "step {step}");
        if let Some((steps, _)) = looking.steps.as_mut().filter(|_| step % 4 == 3) {
            steps.waited(Duration::from_millis(1));
        }
    }
    let told = looking.steps.as_ref().and_then(|(steps, _)| steps.summary()).unwrap();
    assert!(
        told.starts_with("steps are launched one by one: they cannot be recorded ("),
        "{told}"
    );
    let mut only = training(CudaGraphSpec::On, true);
    (0..3).for_each(|step| drop(only.step(step)));
    let error = only.step_of(3, 8).unwrap_err().to_string();
    assert!(
        error.starts_with("`train.cuda_graph` is \"on\", but a step cannot be recorded: "),
        "{error}"
    );
}

/// What a recording cannot hold is told, and leaves everything as it was.
#[test]
fn what_cannot_be_recorded_is_refused() {
    let Some(gpu) = gpu() else { return };
    let ones = Tensor::ones(4, DType::F32, &gpu).unwrap();
    let doubled = || (&ones * 2.0).map(|_| ());
    doubled().unwrap();
    assert!(cuda::record(&gpu, doubled).is_ok());
    let refused = |what: &str, work: &dyn Fn() -> Result<()>| {
        assert!(cuda::record(&gpu, work).is_err(), "{what} was recorded");
    };
    refused("a number for the host", &|| ones.to_vec1::<f32>().map(|_| ()));
    let left = RefCell::new(None);
    refused("an array that stays", &|| {
        *left.borrow_mut() = Some((&ones * 3.0)?);
        Ok(())
    });
    // Its memory went with the recording.
    std::mem::forget(left.take());
    refused(
        "a wait, which spoils the recording, with arrays given up after it",
        &|| {
            let doubled = (&ones * 2.0)?;
            let _ = gpu.synchronize();
            drop(doubled);
            Ok(())
        },
    );
    refused("numbers that nobody has copied before", &|| {
        Tensor::new(&[1.5f32, 7.25, 3.125], &gpu).map(|_| ())
    });
    assert_eq!(numbers(&(&ones * 2.0).unwrap()), [2.0; 4]);
}

#[test]
fn networks_train_as_on_the_cpu() {
    let Some(gpu) = gpu() else { return };
    for (layers, shape) in NETWORKS {
        let ((there, after_there), (here, after_here)) =
            (trained(&gpu, layers, shape, 3), trained(&Device::Cpu, layers, shape, 3));
        for (a, b) in there.iter().zip(&here) {
            assert!((a - b).abs() < 1e-4 * b.abs().max(1.0), "{layers}: {there:?} {here:?}");
        }
        for ((name, there), (_, here)) in after_there.iter().zip(&after_here) {
            // Adam's first steps are as long where a gradient is 0 but for rounding, as that of a bias before a norm.
            near(&format!("{layers}: {name}"), there, here, 5e-3);
        }
    }
}

#[test]
fn so_they_do_with_batches_of_one() {
    let Some(gpu) = gpu() else { return };
    for (layers, shape) in NETWORKS {
        // Without a batch there is nothing that vectors could be normalised by.
        if layers.contains("{ linear = 7 }, { batch_norm = {} }") {
            continue;
        }
        let losses = |device: &Device| {
            let spec: NetworkSpec = toml::from_str(&format!("layers = [{layers}]")).unwrap();
            let optimizer = "kind = \"sgd\"\nlearning_rate = 1e-3";
            let mut training = Training::new(device, &spec, 1, shape, optimizer);
            (0..3).map(|step| training.step(step).0).collect::<Vec<f32>>()
        };
        let (there, here) = (losses(&gpu), losses(&Device::Cpu));
        for (a, b) in there.iter().zip(&here) {
            assert!((a - b).abs() < 1e-4 * b.abs().max(1.0), "{layers}: {there:?} {here:?}");
        }
    }
}

#[test]
fn the_same_steps_give_the_same_bits() {
    let Some(gpu) = gpu() else { return };
    for (layers, shape) in NETWORKS {
        let [(losses, one), (again, other)] = [0, 1].map(|_| trained(&gpu, layers, shape, 3));
        assert_eq!(losses, again);
        for ((name, a), (_, b)) in one.iter().zip(&other) {
            assert_eq!(numbers(a), numbers(b), "{name}");
        }
    }
}

/// Shape of an example for each preset: a spectrogram, small but where the preset asks for one size.
fn shape_for(preset: NetworkPreset) -> [usize; 3] {
    match preset {
        NetworkPreset::MeldCnn => [1, 128, 128],
        _ => [1, 32, 48],
    }
}

/// `AFFECT_STEPS` (default 2) steps of each preset from the same start, with dropout and AdamW.
#[test]
fn presets_train_as_on_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let steps: u64 = std::env::var("AFFECT_STEPS")
        .ok()
        .and_then(|steps| steps.parse().ok())
        .unwrap_or(2);
    for preset in NetworkPreset::ALL {
        let shape = shape_for(preset);
        let losses = |device: &Device| {
            let optimizer = "kind = \"adamw\"\nlearning_rate = 1e-4";
            let training = Training::new(device, &preset.network(), 4, shape, optimizer);
            // Recorded where there are steps enough for it.
            let graph = if steps > 4 {
                CudaGraphSpec::On
            } else {
                CudaGraphSpec::Off
            };
            let mut training = training.with_graph(graph);
            (0..steps).map(|step| training.step(step).0).collect::<Vec<f32>>()
        };
        let (there, here) = (losses(&gpu), losses(&Device::Cpu));
        let apart = |range: std::ops::Range<usize>| {
            let pairs = there.iter().zip(&here).skip(range.start).take(range.len());
            pairs
                .map(|(a, b)| (a - b).abs() / b.abs().max(1e-2))
                .fold(0.0, f32::max)
        };
        let (early, late) = (apart(0..10), apart(0..steps as usize));
        println!(
            "{}: the losses of {steps} steps are within {late:.1e}, the first ten within {early:.1e}",
            preset.name()
        );
        // Rounding grows from step to step.
        assert!(
            early < 1e-3 && late < 5e-2,
            "{}: {there:?} on the GPU, {here:?} on the CPU",
            preset.name()
        );
    }
}

/// The precision is one for the process: the tests of this file would change each other's. Run alone, as a process of its own.
#[test]
#[ignore = "changes the precision of the whole process: `cargo test … -- --ignored --test-threads=1`"]
fn other_precisions_and_measured_algorithms() {
    for (layers, shape) in NETWORKS {
        let here = trained(&Device::Cpu, layers, shape, 5).0;
        for (precision, deterministic, tolerance) in [
            (PrecisionSpec::Float32, false, 1e-4),
            (PrecisionSpec::Tf32, true, 3e-2),
            (PrecisionSpec::Bf16, true, 1e-1),
            (PrecisionSpec::Bf16, false, 1e-1),
        ] {
            let Some(gpu) = gpu_with(precision, deterministic) else {
                return;
            };
            let mut training = Training::of_layers(&gpu, layers, shape).with_graph(CudaGraphSpec::On);
            let there: Vec<f32> = (0..5).map(|step| training.step(step).0).collect();
            for (a, b) in there.iter().zip(&here) {
                assert!(
                    (a - b).abs() < tolerance * b.abs().max(1.0),
                    "{precision:?}: {there:?} {here:?}"
                );
            }
        }
    }
    gpu();
}
