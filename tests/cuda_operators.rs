//! The operators, the optimisers and whole steps on a GPU against those of the CPU, which are tested against PyTorch.
//!
//! Runs on any GPU, and on the emulator of `scripts/cuda-emulator.sh`; skips where there is neither.
#![cfg(feature = "cuda")]
#![allow(clippy::disallowed_methods, reason = "tests read the environment")]

use affect::nn::kernels::{self, Block, Cells, Direction, Function, Geometry, Norm, Order, Rectifier, Windows};
use affect::nn::{Mode, Network, NetworkPreset, NetworkSpec, Plan};
use affect::random::Generator;
use affect::train::gradients::Gradients;
use affect::train::optimizer::Optimizer;
use affect::train::spec::{DeviceSpec, PrecisionSpec};
use affect::train::{OptimizerSpec, TrainSpec, device};
use candle_core::{DType, Device, Result, Tensor, Var};

/// Largest relative difference, of the largest number.
const TOLERANCE: f32 = 1e-4;

/// A GPU, or `None` and the reason on standard error.
fn gpu() -> Option<Device> {
    gpu_with(PrecisionSpec::Float32, true)
}

fn gpu_with(precision: PrecisionSpec, deterministic: bool) -> Option<Device> {
    let spec = TrainSpec {
        device: DeviceSpec::Cuda(0),
        precision,
        deterministic,
        ..TrainSpec::default()
    };
    match device::open(&spec) {
        Ok(device) => Some(device),
        Err(error) => {
            assert!(
                std::env::var_os("AFFECT_NEEDS_GPU").is_none(),
                "AFFECT_NEEDS_GPU is set, and there is none: {error}"
            );
            eprintln!("skipped: {error}");
            None
        }
    }
}

fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut generator = Generator::keyed(seed, "cuda test", &[]);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| generator.normal() as f32).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor
        .flatten_all()
        .unwrap()
        .to_dtype(DType::F32)
        .unwrap()
        .to_vec1()
        .unwrap()
}

/// Checks two tensors, of which either may be on a GPU.
fn near(what: &str, gpu: &Tensor, cpu: &Tensor, tolerance: f32) {
    assert_eq!(gpu.dims(), cpu.dims(), "{what}");
    let (gpu, cpu) = (numbers(gpu), numbers(cpu));
    let size = cpu
        .iter()
        .filter(|value| value.is_finite())
        .fold(1e-3f32, |size, value| size.max(value.abs()));
    for (index, (a, b)) in gpu.iter().zip(&cpu).enumerate() {
        let same = a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * size;
        assert!(same, "{what}, number {index}: {a} on the GPU, {b} on the CPU");
    }
}

/// The output of an operator and the gradients of all its inputs.
fn with_gradients(inputs: &[Tensor], device: &Device, operator: &dyn Fn(&[Tensor]) -> Result<Tensor>) -> Vec<Tensor> {
    let vars: Vec<Var> = inputs
        .iter()
        .map(|input| Var::from_tensor(&input.to_device(device).unwrap()).unwrap())
        .collect();
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let out = operator(&tensors).unwrap();
    let weights = random(out.dims(), 99).to_device(device).unwrap();
    let gradients = (&out * weights).unwrap().sum_all().unwrap().backward().unwrap();
    let mut results = vec![out.detach()];
    results.extend(vars.iter().map(|var| gradients.get(var).expect("a gradient").clone()));
    results
}

fn compare(what: &str, gpu: &Device, inputs: &[Tensor], operator: &dyn Fn(&[Tensor]) -> Result<Tensor>) {
    compare_within(what, gpu, inputs, TOLERANCE, operator);
}

fn compare_within(
    what: &str,
    gpu: &Device,
    inputs: &[Tensor],
    tolerance: f32,
    operator: &dyn Fn(&[Tensor]) -> Result<Tensor>,
) {
    let there = with_gradients(inputs, gpu, operator);
    let here = with_gradients(inputs, &Device::Cpu, operator);
    for (index, (there, here)) in there.iter().zip(&here).enumerate() {
        let part = if index == 0 {
            "output".to_owned()
        } else {
            format!("gradient of input {}", index - 1)
        };
        near(&format!("{what}: {part}"), there, here, tolerance);
    }
}

#[test]
fn functions_of_single_values() {
    let Some(gpu) = gpu() else { return };
    for function in [
        Function::Relu,
        Function::LeakyRelu { slope: 0.1 },
        Function::Elu { alpha: 0.7 },
        Function::Gelu,
        Function::GeluTanh,
        Function::Tanh,
        Function::Sigmoid,
    ] {
        for shape in [&[1][..], &[3, 5, 70], &[300_001]] {
            compare(&format!("{function:?}"), &gpu, &[random(shape, 1)], &|inputs| {
                kernels::activation(&inputs[0], function)
            });
        }
        let far = Tensor::new(&[-1e30f32, 1e30, f32::NAN, 0.0, -0.0], &Device::Cpu).unwrap();
        let there = kernels::activation(&far.to_device(&gpu).unwrap(), function).unwrap();
        near(
            &format!("{function:?}, far out"),
            &there,
            &kernels::activation(&far, function).unwrap(),
            0.0,
        );
    }
}

#[test]
fn pooling() {
    let Some(gpu) = gpu() else { return };
    let windows = |size, stride, padding| Cells::Windows(Windows { size, stride, padding });
    for (shape, cells) in [
        ([2, 3, 4, 6], windows((2, 2), (2, 2), (0, 0))),
        ([1, 2, 5, 7], windows((2, 2), (2, 2), (0, 0))),
        ([2, 1, 6, 6], windows((3, 2), (1, 2), (0, 0))),
        ([2, 2, 5, 6], windows((3, 3), (2, 1), (1, 1))),
        ([2, 2, 5, 7], windows((2, 3), (3, 1), (0, 1))),
        ([2, 2, 5, 7], Cells::Grid(1, 1)),
        ([3, 2, 5, 7], Cells::Grid(2, 3)),
        ([1, 2, 2, 3], Cells::Grid(3, 5)),
        ([2, 3, 40, 50], Cells::Grid(1, 1)),
        ([2, 3, 40, 50], Cells::Grid(3, 4)),
    ] {
        compare(
            &format!("max {cells:?} of {shape:?}"),
            &gpu,
            &[random(&shape, 2)],
            &|inputs| kernels::max_pool2d(&inputs[0], cells),
        );
        compare(
            &format!("mean {cells:?} of {shape:?}"),
            &gpu,
            &[random(&shape, 2)],
            &|inputs| kernels::avg_pool2d(&inputs[0], cells),
        );
    }
    let tied = Tensor::new(&[[[[1.0f32, 1.0, f32::NAN], [1.0, 0.0, 3.0]]]], &Device::Cpu).unwrap();
    compare("ties and NaN", &gpu, &[tied], &|inputs| {
        kernels::max_pool2d(&inputs[0], Cells::Grid(1, 2))
    });
}

#[test]
fn norms() {
    let Some(gpu) = gpu() else { return };
    for shape in [[3, 2, 4, 5], [2, 3, 1, 1], [4, 70, 1, 3], [5, 3, 40, 33]] {
        let inputs = [random(&shape, 1), random(&shape[1..2], 2), random(&shape[1..2], 3)];
        compare(&format!("batch norm of {shape:?}"), &gpu, &inputs, &|inputs| {
            kernels::batch_norm(&inputs[0], &inputs[1], &inputs[2], 1e-5).map(|(out, _)| out)
        });
        // A mean that is large beside the deviation.
        let shifted = [(&inputs[0] + 1000.0).unwrap(), inputs[1].clone(), inputs[2].clone()];
        compare_within(
            &format!("shifted batch norm of {shape:?}"),
            &gpu,
            &shifted,
            1e-3,
            &|inputs| kernels::batch_norm(&inputs[0], &inputs[1], &inputs[2], 1e-3).map(|(out, _)| out),
        );
    }
    for (rows, width) in [(3, 5), (1, 2), (70, 3), (40, 700), (2000, 33)] {
        let inputs = [random(&[rows, width], 1), random(&[width], 2), random(&[width], 3)];
        compare(&format!("layer norm of {rows} × {width}"), &gpu, &inputs, &|inputs| {
            kernels::layer_norm(&inputs[0], &inputs[1], &inputs[2], 1e-5)
        });
    }
}

#[test]
fn convolutions_alone_and_with_what_follows() {
    let Some(gpu) = gpu() else { return };
    let plain = Geometry::default();
    let geometries = [
        (
            [2, 3, 8, 9],
            [4, 3, 3, 3],
            Geometry {
                padding: (1, 1),
                ..plain
            },
        ),
        ([2, 1, 9, 11], [5, 1, 3, 5], plain),
        (
            [3, 4, 10, 12],
            [6, 2, 3, 3],
            Geometry {
                groups: 2,
                padding: (1, 2),
                ..plain
            },
        ),
        (
            [2, 2, 11, 13],
            [3, 2, 3, 2],
            Geometry {
                stride: (2, 3),
                padding: (1, 0),
                dilation: (2, 1),
                groups: 1,
            },
        ),
        ([2, 3, 7, 6], [4, 3, 1, 1], plain),
    ];
    for (input, kernel, geometry) in geometries {
        let operands = [random(&input, 1), random(&kernel, 2), random(&kernel[..1], 3)];
        for (rectifier, window) in [
            (Rectifier::Identity, (1, 1)),
            (Rectifier::Relu, (1, 1)),
            (Rectifier::Relu, (2, 2)),
            (Rectifier::Leaky { slope: 0.1 }, (1, 3)),
            (Rectifier::Identity, (2, 1)),
        ] {
            let block = Block {
                rectifier,
                window,
                ..Block::plain(geometry)
            };
            let what = format!("{kernel:?} on {input:?}, {block:?}");
            compare(&what, &gpu, &operands, &|inputs| {
                kernels::conv_block(&inputs[0], &inputs[1], &inputs[2], block)
            });
            for order in [Order::NormFirst, Order::RectifierFirst] {
                let norm = Some(Norm::Batch { epsilon: 1e-3 });
                let block = Block { norm, order, ..block };
                let mut operands = operands.to_vec();
                operands.extend([random(&kernel[..1], 4), random(&kernel[..1], 5)]);
                let what = format!("{kernel:?} on {input:?}, {block:?}");
                let run = |inputs: &[Tensor]| {
                    let affine = (&inputs[3], &inputs[4]);
                    Ok(kernels::normalized_conv_block(&inputs[0], &inputs[1], &inputs[2], affine, block)?.0)
                };
                compare_within(&what, &gpu, &operands, 3e-4, &run);
                // Without gradients, by constants.
                let block = Block {
                    norm: Some(Norm::Constant),
                    ..block
                };
                let affine = (&operands[3], &operands[4]);
                let constant = |device: &Device| {
                    let [x, w, b, g, s] = [&operands[0], &operands[1], &operands[2], affine.0, affine.1]
                        .map(|tensor| tensor.to_device(device).unwrap());
                    kernels::normalized_conv_block(&x, &w, &b, (&g, &s), block).unwrap().0
                };
                near(&what, &constant(&gpu), &constant(&Device::Cpu), TOLERANCE);
            }
        }
    }
}

#[test]
fn data_gets_no_gradient_and_a_second_backward_is_an_error() {
    let Some(gpu) = gpu() else { return };
    let data = random(&[2, 1, 6, 6], 1).to_device(&gpu).unwrap();
    let kernel = Var::from_tensor(&random(&[2, 1, 3, 3], 2).to_device(&gpu).unwrap()).unwrap();
    let bias = Tensor::zeros(2, DType::F32, &gpu).unwrap();
    let out = kernels::conv2d(&data, &kernel, &bias, Geometry::default()).unwrap();
    let sum = out.sum_all().unwrap();
    assert!(sum.backward().unwrap().get(&data).is_none());
    assert!(sum.backward().is_err());
    let wrong = Tensor::zeros(3, DType::F32, &gpu).unwrap();
    assert!(kernels::conv2d(&data, &kernel, &wrong, Geometry::default()).is_err());
}

#[test]
fn sequences() {
    let Some(gpu) = gpu() else { return };
    for direction in [Direction::Forward, Direction::Backward] {
        for (batch, frames, units) in [(2, 5, 3), (9, 1, 1), (3, 7, 40), (1, 4, 350)] {
            let inputs = [
                random(&[batch, frames, 3 * units], 1),
                (random(&[3 * units, units], 2) * (1.0 / (units as f64).sqrt())).unwrap(),
                random(&[3 * units], 3),
            ];
            compare(
                &format!("gru of {units} units, {direction:?}"),
                &gpu,
                &inputs,
                &|inputs| kernels::gru(&inputs[0], &inputs[1], &inputs[2], direction),
            );
        }
    }
    for shape in [&[6, 2, 3, 4][..], &[1, 1, 1, 1], &[5, 4, 3]] {
        let wide = if shape.len() == 4 {
            shape[1] * shape[2]
        } else {
            shape[2]
        };
        let inputs = [random(shape, 1), random(&[3, wide], 2), random(&[3], 3)];
        compare(&format!("linear of frames {shape:?}"), &gpu, &inputs, &|inputs| {
            kernels::linear_of_frames(&inputs[0], &inputs[1], &inputs[2])
        });
    }
    let too_many = random(&[1, 1, 3 * 2000], 1).to_device(&gpu).unwrap();
    let weight = Tensor::zeros((6000, 2000), DType::F32, &gpu).unwrap();
    let bias = Tensor::zeros(6000, DType::F32, &gpu).unwrap();
    // The forward pass takes more units than the backward pass.
    assert!(kernels::gru(&too_many, &weight, &bias, Direction::Forward).is_ok());
    let weight = Var::from_tensor(&weight).unwrap();
    let out = kernels::gru(&too_many, &weight, &bias, Direction::Forward).unwrap();
    let error = out.sum_all().unwrap().backward().unwrap_err().to_string();
    assert!(error.contains("2000 units are too many for the GPU"), "{error}");
}

#[test]
fn dropout_draws_the_masks_of_the_cpu() {
    let Some(gpu) = gpu() else { return };
    for count in [1, 7, 8, 9, 1000, 100_003] {
        for probability in [0.1, 0.5, 0.9] {
            let masks = |device: &Device| {
                let ones = Var::from_tensor(&Tensor::ones(count, DType::F32, device).unwrap()).unwrap();
                let generator = Generator::keyed(7, "dropout", &[3, count as u64]);
                let out = kernels::dropout(&ones, probability, generator).unwrap();
                let gradient = out.sum_all().unwrap().backward().unwrap().get(&ones).unwrap().clone();
                (numbers(&out), numbers(&gradient))
            };
            assert_eq!(masks(&gpu), masks(&Device::Cpu), "{count} {probability}");
        }
    }
}

const OPTIMIZERS: [&str; 9] = [
    "kind = \"adam\"\nweight_decay = 0.1",
    "kind = \"adamw\"\nweight_decay = 0.1\ndecay_on = \"weights\"",
    "kind = \"adamw\"",
    "kind = \"sgd\"\nmomentum = 0.0\nweight_decay = 0.1",
    "kind = \"sgd\"\nmomentum = 0.9",
    "kind = \"sgd\"\nmomentum = 0.9\nnesterov = true",
    "kind = \"rmsprop\"",
    "kind = \"rmsprop\"\ncentered = true\nmomentum = 0.5\nweight_decay = 0.1",
    "kind = \"rmsprop\"\nmomentum = 0.5",
];

#[test]
fn updates_are_those_of_the_cpu() {
    let Some(gpu) = gpu() else { return };
    for text in OPTIMIZERS {
        let spec: OptimizerSpec = toml::from_str(text).unwrap();
        for clip in [None, Some(0.5)] {
            // More parameters than one launch takes, some of them longer than a block.
            let sizes: Vec<Vec<usize>> = (0..70)
                .map(|index| if index == 3 { vec![70, 130] } else { vec![1 + index] })
                .collect();
            let run = |device: &Device| {
                let parameters: Vec<(String, Var)> = sizes
                    .iter()
                    .zip(0..)
                    .map(|(size, seed)| {
                        let var = Var::from_tensor(&random(size, seed).to_device(device).unwrap()).unwrap();
                        (format!("p{seed}"), var)
                    })
                    .collect();
                let mut optimizer = Optimizer::new(&spec, &parameters).unwrap();
                for step in 0..3u64 {
                    let mut sum = Tensor::zeros((), DType::F32, device).unwrap();
                    for ((_, var), seed) in parameters.iter().zip(100..) {
                        let pull = random(var.dims(), seed + step).to_device(device).unwrap();
                        sum = (sum + (var.as_tensor() * pull).unwrap().sum_all().unwrap()).unwrap();
                    }
                    let mut gradients = Gradients::take(&mut sum.backward().unwrap(), &parameters);
                    gradients.scale(0.7);
                    if device.is_cpu() {
                        let norm = gradients.norm().unwrap();
                        if let Some(limit) = clip {
                            gradients.clip_norm(norm, limit);
                        }
                        optimizer.step(&gradients).unwrap();
                    } else {
                        let norm = gradients.norm_on_gpu(&parameters, device).unwrap();
                        let known = gradients.norm().unwrap();
                        assert!((norm.to_scalar::<f64>().unwrap() - known).abs() < 1e-6 * known);
                        optimizer.step_on_gpu(&gradients, &norm, clip).unwrap();
                    }
                }
                let mut all: Vec<Tensor> = parameters.iter().map(|(_, var)| var.as_tensor().clone()).collect();
                all.extend(optimizer.state().unwrap().into_iter().map(|(_, tensor)| tensor));
                all
            };
            for (index, (there, here)) in run(&gpu).iter().zip(&run(&Device::Cpu)).enumerate() {
                near(&format!("{text}, tensor {index}"), there, here, 1e-5);
            }
        }
    }
}

#[test]
fn gradients_that_are_no_numbers_change_nothing() {
    let Some(gpu) = gpu() else { return };
    let spec: OptimizerSpec = toml::from_str("kind = \"adam\"").unwrap();
    let var = Var::from_tensor(&random(&[5], 1).to_device(&gpu).unwrap()).unwrap();
    let before = numbers(&var);
    let parameters = [("p".to_owned(), var.clone())];
    let mut optimizer = Optimizer::new(&spec, &parameters).unwrap();
    let loss = (var.as_tensor() * f64::NAN).unwrap().sum_all().unwrap();
    let gradients = Gradients::take(&mut loss.backward().unwrap(), &parameters);
    let norm = gradients.norm_on_gpu(&parameters, &gpu).unwrap();
    optimizer.step_on_gpu(&gradients, &norm, None).unwrap();
    assert!(norm.to_scalar::<f64>().unwrap().is_nan());
    assert_eq!(numbers(&var), before);
}

/// Layers of all kinds.
const NETWORKS: [(&str, [usize; 3]); 3] = [
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
           { linear = { units = 6, per_frame = true, activation = "tanh" } }, { gru = { units = 4, output = "last" } },
           { linear = "targets" }"#,
        [1, 8, 10],
    ),
];

/// The loss of one step on numbers of its own.
fn one_step(network: &Network, optimizer: &mut Optimizer, batch: usize, shape: [usize; 3], step: u64) -> Tensor {
    let device = network.device();
    let input = random(&[batch, shape[0], shape[1], shape[2]], 50 + step)
        .to_device(device)
        .unwrap();
    let target = random(&[batch, 2], 80 + step).to_device(device).unwrap();
    let out = network.forward(&input, Mode::Train { seed: 3, step }).unwrap();
    let loss = (out - target).unwrap().sqr().unwrap().mean_all().unwrap();
    let gradients = Gradients::take(&mut loss.backward().unwrap(), network.parameters());
    match device.is_cpu() {
        true => optimizer.step(&gradients).unwrap(),
        false => {
            let norm = gradients.norm_on_gpu(network.parameters(), device).unwrap();
            optimizer.step_on_gpu(&gradients, &norm, None).unwrap();
        }
    }
    loss.detach()
}

/// Parameters, running averages and outputs after some steps.
fn trained(device: &Device, layers: &str, shape: [usize; 3], steps: u64) -> (Vec<f32>, Vec<(String, Tensor)>) {
    let spec: NetworkSpec = toml::from_str(&format!("layers = [{layers}]")).unwrap();
    let plan = Plan::new(&spec, &shape, 2).unwrap();
    let network = Network::new(&spec, &plan, 7, device).unwrap();
    let spec: OptimizerSpec = toml::from_str("kind = \"adamw\"\nlearning_rate = 1e-3").unwrap();
    let mut optimizer = Optimizer::new(&spec, network.parameters()).unwrap();
    let mut losses = Vec::new();
    for step in 0..steps {
        losses.push(
            one_step(&network, &mut optimizer, 8, shape, step)
                .to_scalar::<f32>()
                .unwrap(),
        );
    }
    let input = random(&[8, shape[0], shape[1], shape[2]], 1).to_device(device).unwrap();
    let mut all = vec![("evaluated".to_owned(), network.forward(&input, Mode::Evaluate).unwrap())];
    let vars = network.parameters().iter().chain(network.buffers());
    all.extend(vars.map(|(name, var)| (name.clone(), var.as_tensor().clone())));
    (losses, all)
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
            let plan = Plan::new(&preset.network(), &shape, 2).unwrap();
            let network = Network::new(&preset.network(), &plan, 7, device).unwrap();
            let spec: OptimizerSpec = toml::from_str("kind = \"adamw\"\nlearning_rate = 1e-4").unwrap();
            let mut optimizer = Optimizer::new(&spec, network.parameters()).unwrap();
            let mut losses = Vec::new();
            for step in 0..steps {
                losses.push(one_step(&network, &mut optimizer, 4, shape, step));
            }
            Tensor::stack(&losses, 0).unwrap().to_vec1::<f32>().unwrap()
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
    let (layers, shape) = NETWORKS[0];
    let here = trained(&Device::Cpu, layers, shape, 3).0;
    for (precision, deterministic, tolerance) in [
        (PrecisionSpec::Float32, false, 1e-4),
        (PrecisionSpec::Tf32, true, 3e-2),
        (PrecisionSpec::Bf16, true, 1e-1),
        (PrecisionSpec::Bf16, false, 1e-1),
    ] {
        let Some(gpu) = gpu_with(precision, deterministic) else {
            return;
        };
        let there = trained(&gpu, layers, shape, 3).0;
        for (a, b) in there.iter().zip(&here) {
            assert!(
                (a - b).abs() < tolerance * b.abs().max(1.0),
                "{precision:?}: {there:?} {here:?}"
            );
        }
    }
    gpu();
}
