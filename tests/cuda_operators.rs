//! The operators, the losses and the optimisers on a GPU against those of the CPU, which are tested against PyTorch.
//!
//! Runs on any GPU, and on the emulator of `scripts/cuda-emulator.sh`; skips where there is neither.
#![cfg(feature = "cuda")]

mod cuda_support;

use affect::evaluate::Problem;
use affect::nn::kernels::{
    self, Block, Cells, Direction, Figure, Function, Geometry, Norm, Order, Rectifier, Windows, cuda,
};
use affect::nn::{PairOutputs, Step};
use affect::random::Generator;
use affect::train::gradients::Gradients;
use affect::train::loss::{Loss, Terms};
use affect::train::optimizer::Optimizer;
use affect::train::pairs::{PairBatch, PairOf};
use affect::train::{Labels, LossSpec, Mixed, OptimizerSpec};
use candle_core::{DType, Device, Result, Tensor, Var};
use cuda_support::{TOLERANCE, gpu, near, numbers, random};

/// The output of an operator and the gradients of its inputs, but for the first `data`.
fn with_gradients(
    inputs: &[Tensor],
    data: usize,
    device: &Device,
    operator: &dyn Fn(&[Tensor]) -> Result<Tensor>,
) -> Vec<Tensor> {
    let there = |input: &Tensor| input.to_device(device).unwrap();
    let vars: Vec<Var> = (inputs[data..].iter())
        .map(|input| Var::from_tensor(&there(input)).unwrap())
        .collect();
    let mut tensors: Vec<Tensor> = inputs[..data].iter().map(there).collect();
    tensors.extend(vars.iter().map(|var| var.as_tensor().clone()));
    let out = operator(&tensors).unwrap();
    let weights = random(out.dims(), 99).to_device(device).unwrap();
    let gradients = (&out * weights).unwrap().sum_all().unwrap().backward().unwrap();
    let mut results = vec![out.detach()];
    results.extend(vars.iter().map(|var| gradients.get(var).expect("a gradient").clone()));
    results
}

fn compare(what: &str, gpu: &Device, inputs: &[Tensor], operator: &dyn Fn(&[Tensor]) -> Result<Tensor>) {
    compare_within(what, gpu, (inputs, 0), TOLERANCE, operator);
}

fn compare_within(
    what: &str,
    gpu: &Device,
    (inputs, data): (&[Tensor], usize),
    tolerance: f32,
    operator: &dyn Fn(&[Tensor]) -> Result<Tensor>,
) {
    let there = with_gradients(inputs, data, gpu, operator);
    let here = with_gradients(inputs, data, &Device::Cpu, operator);
    for (index, (there, here)) in there.iter().zip(&here).enumerate() {
        let part = if index == 0 {
            "output".to_owned()
        } else {
            format!("gradient of input {}", data + index - 1)
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
            (&shifted, 0),
            1e-3,
            &|inputs| kernels::batch_norm(&inputs[0], &inputs[1], &inputs[2], 1e-3).map(|(out, _)| out),
        );
    }
    // As many channels as a flattened image has numbers.
    let many = 70_000;
    let inputs = [random(&[3, many, 1, 1], 1), random(&[many], 2), random(&[many], 3)];
    compare("batch norm of vectors", &gpu, &inputs, &|inputs| {
        kernels::batch_norm(&inputs[0], &inputs[1], &inputs[2], 1e-3).map(|(out, _)| out)
    });
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
                compare_within(&what, &gpu, (&operands, 0), 3e-4, &run);
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

/// A convolution of one channel over images that are data keeps no sums on a GPU: it has kernels of its own.
#[test]
fn first_layers() {
    let Some(gpu) = gpu() else { return };
    let blocks = [
        ([2, 1, 70, 150], 17, (1, 1), (2, 2)),
        ([3, 1, 33, 65], 1, (0, 0), (1, 1)),
        ([2, 1, 5, 3], 40, (2, 1), (1, 2)),
        ([1, 1, 64, 100], 16, (1, 1), (5, 3)),
        ([2, 1, 67, 140], 3, (0, 3), (3, 4)),
        ([2, 1, 40, 9], 8, (1, 1), (32, 1)),
        ([1, 1, 3, 3], 2, (0, 0), (1, 1)),
    ];
    for (number, (input, filters, padding, window)) in blocks.into_iter().enumerate() {
        let geometry = Geometry {
            padding,
            ..Geometry::default()
        };
        let per_filter = |seed| random(&[filters], seed);
        // Such as levels in decibels: far from zero beside their deviation.
        let images = (random(&input, 1) * 10.0).unwrap();
        let images = if number % 2 == 0 {
            images
        } else {
            (images - 40.0).unwrap()
        };
        let operands = [
            images,
            (random(&[filters, 1, 3, 3], 2) * 0.3).unwrap(),
            per_filter(3),
            per_filter(4),
            per_filter(5),
        ];
        for (rectifier, order) in [
            (Rectifier::Relu, Order::NormFirst),
            (Rectifier::Relu, Order::RectifierFirst),
            (Rectifier::Leaky { slope: 0.1 }, Order::RectifierFirst),
            (Rectifier::Identity, Order::NormFirst),
        ] {
            let block = Block {
                rectifier,
                order,
                window,
                ..Block::plain(geometry)
            };
            let what = format!("{filters} filters on {input:?}, {block:?}");
            compare_within(&what, &gpu, (&operands[..3], 1), TOLERANCE, &|inputs| {
                kernels::conv_block(&inputs[0], &inputs[1], &inputs[2], block)
            });
            let normalized = |norm, inputs: &[Tensor]| {
                let (affine, norm) = ((&inputs[3], &inputs[4]), Some(norm));
                let block = Block { norm, ..block };
                Ok(kernels::normalized_conv_block(&inputs[0], &inputs[1], &inputs[2], affine, block)?.0)
            };
            compare_within(&what, &gpu, (&operands, 1), 3e-4, &|inputs| {
                normalized(Norm::Batch { epsilon: 1e-3 }, inputs)
            });
            let constant = |device: &Device| {
                let there: Vec<Tensor> = operands
                    .iter()
                    .map(|tensor| tensor.to_device(device).unwrap())
                    .collect();
                normalized(Norm::Constant, &there).unwrap()
            };
            near(&what, &constant(&gpu), &constant(&Device::Cpu), TOLERANCE);
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
        for (batch, frames, units) in [(2, 5, 3), (9, 1, 1), (3, 7, 40), (1, 4, 350), (1, 3, 1100)] {
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
    for (batch, frames, numbers) in [(2, 5, 3), (1, 1, 1), (3, 300, 7), (2, 9, 400)] {
        let inputs = [
            random(&[batch, frames, numbers], 1),
            (random(&[batch, frames], 2) * 3.0).unwrap(),
        ];
        compare(
            &format!("attention over {frames} × {numbers}"),
            &gpu,
            &inputs,
            &|inputs| kernels::attention(&inputs[0], &inputs[1]),
        );
        let (mean, deviation) = (Figure::Mean, Figure::Deviation { epsilon: 1e-5 });
        for wanted in [&[mean][..], &[deviation], &[mean, deviation], &[deviation, mean, mean]] {
            compare(
                &format!("{wanted:?} of {frames} × {numbers}"),
                &gpu,
                &inputs[..1],
                &|inputs| Tensor::cat(&kernels::figures(&inputs[0], wanted)?, 1),
            );
        }
        let alike = Tensor::ones((batch, frames, numbers), DType::F32, &Device::Cpu).unwrap();
        compare("the mean of equal values", &gpu, &[alike], &|inputs| {
            kernels::figures(&inputs[0], &[mean]).map(|mut figures| figures.remove(0))
        });
        let weight = random(&[numbers + 1, numbers], 3);
        let rows = inputs[0].reshape((batch * frames, numbers)).unwrap();
        compare("a linear layer without a bias", &gpu, &[rows, weight], &|inputs| {
            kernels::linear_without_bias(&inputs[0], &inputs[1])
        });
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
    let cell = cuda::StepCell::take(&gpu).unwrap();
    for count in [1, 7, 8, 9, 1000, 100_003] {
        for probability in [0.1, 0.5, 0.9] {
            let masks = |device: &Device, step: Step| {
                let ones = Var::from_tensor(&Tensor::ones(count, DType::F32, device).unwrap()).unwrap();
                let generator = Generator::keyed(7, "dropout", &[3, count as u64]);
                let out = kernels::dropout(&ones, probability, &generator, step).unwrap();
                let gradient = out.sum_all().unwrap().backward().unwrap().get(&ones).unwrap().clone();
                (numbers(&out), numbers(&gradient))
            };
            // A step beyond 32 bits too, and one that lies on the GPU.
            for step in [0, 1, 5 << 32 | 7] {
                let here = masks(&Device::Cpu, Step::Known(step));
                assert_eq!(masks(&gpu, Step::Known(step)), here, "{count} {probability}");
                cell.cell().set_step(step).unwrap();
                assert_eq!(masks(&gpu, Step::OnGpu(cell.cell())), here, "{count} {probability}");
            }
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
                let cell = device.is_cuda().then(|| cuda::StepCell::take(device).unwrap());
                for step in 0..3u64 {
                    let mut sum = Tensor::zeros((), DType::F32, device).unwrap();
                    for ((_, var), seed) in parameters.iter().zip(100..) {
                        let pull = random(var.dims(), seed + step).to_device(device).unwrap();
                        sum = (sum + (var.as_tensor() * pull).unwrap().sum_all().unwrap()).unwrap();
                    }
                    let mut gradients = Gradients::take(&mut sum.backward().unwrap(), &parameters);
                    gradients.scale(0.7);
                    if let Some(cell) = cell.as_ref().map(cuda::StepCellUse::cell) {
                        let norm = gradients.norm_on_gpu(&parameters, device).unwrap();
                        let known = gradients.norm().unwrap();
                        assert!((norm.to_scalar::<f64>().unwrap() - known).abs() < 1e-6 * known);
                        optimizer.announce_on_gpu(cell, gradients.factor(), clip).unwrap();
                        optimizer.apply_on_gpu(&gradients, cell, &norm).unwrap();
                    } else {
                        let norm = gradients.norm().unwrap();
                        if let Some(limit) = clip {
                            gradients.clip_norm(norm, limit);
                        }
                        optimizer.step(&gradients).unwrap();
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
    let cell = cuda::StepCell::take(&gpu).unwrap();
    optimizer.announce_on_gpu(cell.cell(), 1.0, None).unwrap();
    optimizer.apply_on_gpu(&gradients, cell.cell(), &norm).unwrap();
    assert!(norm.to_scalar::<f64>().unwrap().is_nan());
    assert_eq!(numbers(&var), before);
}

/// Losses with their gradients, by kernels and by Candle's operations on the CPU.
#[test]
fn losses_are_those_of_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let check = |what: &str, terms: &Terms, outputs: &Tensor, expected: &dyn Fn(&Tensor) -> Result<Tensor>| {
        let facts = cuda::Facts::of(&gpu, terms.words().len()).unwrap();
        facts.set(&terms.words()).unwrap();
        let run = |device: &Device, loss: &dyn Fn(&Tensor) -> Result<Tensor>| {
            let outputs = Var::from_tensor(&outputs.to_device(device).unwrap()).unwrap();
            let mean = loss(&outputs).unwrap();
            let gradient = (&mean * 3.0)
                .unwrap()
                .backward()
                .unwrap()
                .get(&outputs)
                .unwrap()
                .clone();
            (mean, gradient)
        };
        let there = run(&gpu, &|outputs| terms.mean_on_gpu(outputs, None, &facts));
        let here = run(&Device::Cpu, expected);
        near(&format!("{what}: loss"), &there.0, &here.0, 1e-5);
        near(&format!("{what}: gradient"), &there.1, &here.1, 1e-5);
    };
    for batch in [1, 5, 300] {
        let problem = Problem::Regression {
            targets: vec!["a".into(), "b".into(), "c".into()],
        };
        let (outputs, truth) = (random(&[batch, 3], 1), random(&[batch, 3], 2));
        let of_examples = random(&[batch, 3], 3).abs().unwrap();
        for text in [
            "kind = \"mse\"",
            "kind = \"mae\"\ntarget_weights = [1.0, 0.0, 3.0]",
            "kind = \"smooth-l1\"\nbeta = 0.4",
            "kind = \"huber\"\ndelta = 0.6",
            "kind = \"ccc\"",
            "kind = \"ccc\"\ntarget_weights = [2.0, 1.0, 0.0]",
        ] {
            let spec: LossSpec = toml::from_str(text).unwrap();
            let loss = Loss::new(&spec, &problem, &Labels::Values(Vec::new()), &[]).unwrap();
            for weights in [None, Some(&of_examples)] {
                let terms = loss.terms(&truth, weights, None).unwrap();
                check(&format!("{text}, {batch}"), &terms, &outputs, &|outputs| {
                    loss.total(outputs, &truth, weights)?.mean()
                });
            }
        }
        let classes: Vec<String> = ["a", "b", "c", "d", "e"].map(String::from).into();
        let problem = Problem::Classification { classes };
        let labels = |seed: u64| -> Vec<u32> {
            let mut generator = Generator::keyed(seed, "cuda test", &[]);
            (0..batch).map(|_| generator.below(5) as u32).collect()
        };
        let (own, other) = (labels(1), labels(2));
        let of_examples = random(&[batch], 3).abs().unwrap();
        // Some logits are far out.
        let outputs = (random(&[batch, 5], 4) * 20.0).unwrap();
        let train: Vec<usize> = (0..batch).collect();
        for text in [
            "kind = \"cross-entropy\"",
            "kind = \"cross-entropy\"\nlabel_smoothing = 0.1\nclass_weights = \"balanced\"",
        ] {
            let spec: LossSpec = toml::from_str(text).unwrap();
            let loss = Loss::new(&spec, &problem, &Labels::Classes(own.clone()), &train).unwrap();
            let [own, other] = [&own, &other].map(|of| Tensor::from_slice(of, batch, &Device::Cpu).unwrap());
            for weights in [None, Some(&of_examples)] {
                let terms = loss.terms(&own, weights, None).unwrap();
                check(&format!("{text}, {batch}"), &terms, &outputs, &|outputs| {
                    loss.total(outputs, &own, weights)?.mean()
                });
                let mixed = Mixed {
                    share: 0.8,
                    targets: other.clone(),
                    weights: weights.cloned(),
                };
                let terms = loss.terms(&own, weights, Some(&mixed)).unwrap();
                check(&format!("{text}, {batch}, mixed"), &terms, &outputs, &|outputs| {
                    let total = loss.total(outputs, &own, weights)?;
                    total.mixed(0.8, &loss.total(outputs, &other, weights)?)?.mean()
                });
            }
        }
    }
}

#[test]
fn losses_of_pairs_are_those_of_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let problem = Problem::Regression {
        targets: vec!["score".into()],
    };
    for (pairs, text) in [
        (1, "kind = \"contrastive\"\ntemperature = 0.5"),
        (6, "kind = \"contrastive\"\ntemperature = 0.5\nscore_weight = 0.0"),
        (
            300,
            "kind = \"contrastive\"\ntemperature = 0.2\nscore_weight = 0.7\nweighting = \"score\"",
        ),
    ] {
        let spec: LossSpec = toml::from_str(text).unwrap();
        let loss = Loss::new(&spec, &problem, &Labels::Values(Vec::new()), &[]).unwrap();
        let mut generator = Generator::keyed(9, "cuda test", &[]);
        let list: Vec<PairOf> = (0..pairs)
            .map(|_| PairOf {
                image: generator.below(pairs) as u32,
                clip: generator.below(pairs) as u32,
            })
            .collect();
        // None of them matches in the last case.
        for lowest in [0.0, 0.3, -2.0] {
            let scores: Vec<f32> = (0..pairs).map(|_| (lowest + generator.uniform()) as f32).collect();
            let target = Tensor::from_slice(&scores, (pairs, 1), &Device::Cpu).unwrap();
            let batch = PairBatch {
                images: Tensor::zeros(0, DType::F32, &Device::Cpu).unwrap(),
                pairs: list.clone(),
                scores,
                emotions: None,
            };
            let run = |device: &Device| {
                let inputs = [random(&[pairs, 4], 1), random(&[pairs, 4], 2), random(&[pairs, 1], 3)];
                let vars = inputs.map(|input| Var::from_tensor(&input.to_device(device).unwrap()).unwrap());
                let outputs = PairOutputs {
                    image: vars[0].as_tensor().clone(),
                    audio: vars[1].as_tensor().clone(),
                    score: vars[2].as_tensor().clone(),
                    emotion: None,
                };
                let mean = if device.is_cpu() {
                    loss.of_pairs(&outputs, &batch, &target).unwrap().mean().unwrap()
                } else {
                    let terms = loss.terms_of_pairs(&batch, &target).unwrap();
                    let facts = cuda::Facts::of(device, terms.words().len()).unwrap();
                    facts.set(&terms.words()).unwrap();
                    terms.mean_on_gpu(&outputs.score, Some(&outputs), &facts).unwrap()
                };
                let gradients = mean.backward().unwrap();
                let of = |var: &Var| gradients.get(var).cloned().unwrap_or_else(|| var.zeros_like().unwrap());
                (mean, vars.map(|var| of(&var)))
            };
            let (there, here) = (run(&gpu), run(&Device::Cpu));
            near(&format!("{text}, {pairs}: loss"), &there.0, &here.0, 1e-5);
            for (there, here) in there.1.iter().zip(&here.1) {
                near(&format!("{text}, {pairs}: gradient"), there, here, 3e-5);
            }
        }
    }
}
