//! The operators of the networks one by one: milliseconds, arithmetic and bytes a second, and their share of what this machine
//! can do, measured first. Beside them Candle's own operators where there are some.
//!
//!     cargo bench --bench kernels [-- NAME-PART]...
//!
//! The arithmetic is that of the definition (a multiply-add counts twice). The bytes are the fewest that must move: every input read once,
//! every output written once, for the backward pass also what it needs of the forward pass. RAYON_NUM_THREADS sets the threads.

use std::hint::black_box;
use std::time::Instant;

use affect::nn::kernels::{
    self, Block, Cells, Direction, Function, Geometry, Norm, Order, Rectifier, Windows, conv_block,
    normalized_conv_block,
};
use affect::random::Generator;
use candle_core::{DType, Device, Result, Tensor, Var};
use rayon::prelude::*;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Seconds that each measurement takes about.
const PATIENCE: f64 = 0.6;

/// What the machine can do with all threads: multiply-adds of `f32` on vectors, counted twice, and bytes read and written, a second.
struct Ceiling {
    operations: f64,
    bytes: f64,
}

struct Chains;

impl pulp::WithSimd for Chains {
    type Output = f64;

    /// Operations a second of 10 chains of multiply-adds, which hide the latency of each other.
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, simd: S) -> f64 {
        const TURNS: usize = 20_000_000;
        let factor = simd.splat_f32s(black_box(0.999));
        let mut sums = [simd.splat_f32s(black_box(1.0)); 10];
        let begin = Instant::now();
        for _ in 0..TURNS {
            for sum in &mut sums {
                *sum = simd.mul_add_f32s(*sum, factor, factor);
            }
        }
        let seconds = begin.elapsed().as_secs_f64();
        black_box(sums);
        let lanes = size_of::<S::f32s>() / size_of::<f32>();
        (2 * lanes * sums.len() * TURNS) as f64 / seconds
    }
}

impl Ceiling {
    fn measure() -> Self {
        let operations = rayon::broadcast(|_| pulp::Arch::new().dispatch(Chains))
            .into_iter()
            .sum();
        let mut target = vec![0.0f32; 1 << 26];
        let source = vec![1.0f32; 1 << 26];
        let part = target.len() / rayon::current_num_threads();
        let seconds = median(5, || {
            target
                .par_chunks_mut(part)
                .zip(source.par_chunks(part))
                .for_each(|(target, source)| target.copy_from_slice(source));
        });
        Self {
            operations,
            bytes: (2 * size_of_val(target.as_slice())) as f64 / seconds,
        }
    }
}

fn median(least: usize, mut work: impl FnMut()) -> f64 {
    let mut times = Vec::new();
    let begin = Instant::now();
    while times.len() < least || begin.elapsed().as_secs_f64() < PATIENCE {
        let begin = Instant::now();
        work();
        times.push(begin.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

struct Bench {
    ceiling: Ceiling,
    only: Vec<String>,
}

/// Of one pass.
#[derive(Clone, Copy)]
struct Work {
    operations: usize,
    values: usize,
}

impl Bench {
    fn line(&self, name: &str, seconds: f64, work: Work) {
        let (operations, bytes) = (work.operations as f64, (4 * work.values) as f64);
        println!(
            "{name:<46} {:9.3} ms {:8.1} GFLOP/s {:4.0} % {:8.1} GB/s {:4.0} %",
            seconds * 1e3,
            operations / seconds / 1e9,
            100.0 * operations / seconds / self.ceiling.operations,
            bytes / seconds / 1e9,
            100.0 * bytes / seconds / self.ceiling.bytes,
        );
    }

    /// `operator` forward, and forward and backward less the forward pass.
    fn operator(
        &self,
        name: &str,
        inputs: &[&Var],
        forward: Work,
        backward: Work,
        operator: impl Fn() -> Result<Tensor>,
    ) {
        if !self.only.is_empty() && !self.only.iter().any(|part| name.contains(part.as_str())) {
            return;
        }
        let out = operator().expect("a forward pass");
        let weights = Tensor::ones(out.shape(), DType::F32, &Device::Cpu).expect("a tensor");
        let there = median(5, || drop(black_box(operator().expect("a forward pass"))));
        let both = median(5, || {
            let out = operator().expect("a forward pass");
            // The cheapest loss that gives every output a gradient.
            let loss = (out.flatten_all().expect("a row") * weights.flatten_all().expect("a row")).expect("a product");
            let gradients = loss.sum_all().expect("a sum").backward().expect("a backward pass");
            assert!(inputs.iter().all(|input| gradients.get(input).is_some()));
        });
        let loss = median(5, || {
            let out = Var::from_tensor(&out.detach()).expect("a variable");
            let loss = (out.flatten_all().expect("a row") * weights.flatten_all().expect("a row")).expect("a product");
            drop(black_box(
                loss.sum_all().expect("a sum").backward().expect("a backward pass"),
            ));
        });
        self.line(name, there, forward);
        self.line(&format!("{name}, backward"), (both - there - loss).max(1e-9), backward);
    }
}

fn noise(shape: &[usize]) -> Var {
    let mut generator = Generator::keyed(5, "bench", &[shape.iter().sum::<usize>() as u64]);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| generator.normal() as f32).collect();
    Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu).expect("a tensor")).expect("a variable")
}

fn ours(bench: &Bench) {
    // Images, filters, kernel, window: blocks of the networks in benches/steps.rs, and other forms.
    for (shape, filters, kernel, window) in [
        ([32, 1, 128, 216], 16, 3, 2),
        ([32, 16, 64, 108], 32, 3, 2),
        ([32, 64, 16, 323], 128, 3, 2),
        ([32, 64, 32, 32], 128, 3, 2),
        ([32, 64, 32, 32], 128, 1, 1),
        ([32, 32, 64, 64], 32, 5, 1),
    ] {
        let [batch, channels, rows, columns] = shape;
        let (input, weight) = (noise(&shape), noise(&[filters, channels, kernel, kernel]));
        let (bias, gamma, beta) = (noise(&[filters]), noise(&[filters]), noise(&[filters]));
        let geometry = Geometry {
            padding: (kernel / 2, kernel / 2),
            ..Geometry::default()
        };
        let (images, sums) = (batch * channels * rows * columns, batch * filters * rows * columns);
        let products = 2 * sums * channels * kernel * kernel;
        let out = sums / window / window;
        let what = format!("{channels}→{filters} {kernel}×{kernel} on {rows}×{columns}");
        let plain = Block::plain(geometry);
        let work = |operations, values| Work { operations, values };
        bench.operator(
            &format!("conv2d {what}"),
            &[&input, &weight, &bias],
            work(products, images + sums),
            work(2 * products, 2 * images + sums),
            || conv_block(&input, &weight, &bias, plain),
        );
        for (name, order) in [("norm, relu", Order::NormFirst), ("relu, norm", Order::RectifierFirst)] {
            let block = Block {
                norm: Some(Norm::Batch { epsilon: 1e-5 }),
                rectifier: Rectifier::Relu,
                order,
                window: (window, window),
                ..plain
            };
            let pool = if window > 1 {
                format!(", pool {window}")
            } else {
                String::new()
            };
            bench.operator(
                &format!("conv2d {what}, {name}{pool}"),
                &[&input, &weight, &gamma, &beta],
                // The sums are written, for their statistics, and read again.
                work(products, images + 2 * sums + out),
                work(2 * products, 2 * images + sums + out),
                || Ok(normalized_conv_block(&input, &weight, &bias, (&gamma, &beta), block)?.0),
            );
        }
    }

    let image = noise(&[32, 32, 64, 108]);
    let values = image.elem_count();
    let channel = noise(&[32]);
    let elementwise = |operations| Work {
        operations: operations * values,
        values: 2 * values,
    };
    let with_input = |operations| Work {
        operations: operations * values,
        values: 3 * values,
    };
    bench.operator(
        "batch_norm",
        &[&image],
        Work {
            operations: 6 * values,
            values: 3 * values,
        },
        Work {
            operations: 8 * values,
            values: 5 * values,
        },
        || Ok(kernels::batch_norm(&image, &channel, &channel, 1e-5)?.0),
    );
    for (name, function) in [
        ("relu", Function::Relu),
        ("tanh", Function::Tanh),
        ("sigmoid", Function::Sigmoid),
        ("gelu", Function::Gelu),
    ] {
        bench.operator(name, &[&image], elementwise(1), with_input(1), || {
            kernels::activation(&image, function)
        });
    }
    let (gain, offset) = (noise(&[108]), noise(&[108]));
    let rows = image.as_tensor().reshape(((), 108)).expect("rows");
    bench.operator("layer_norm", &[&image], elementwise(6), with_input(8), || {
        kernels::layer_norm(&rows, &gain, &offset, 1e-5)
    });
    for (name, cells) in [
        ("windows 2×2", Cells::Windows(Windows::tiling((2, 2)))),
        ("grid 4×4", Cells::Grid(4, 4)),
    ] {
        let out = kernels::avg_pool2d(&image, cells).expect("a pooling").elem_count();
        let work = Work {
            operations: values,
            values: values + out,
        };
        bench.operator(&format!("max_pool2d {name}"), &[&image], work, work, || {
            kernels::max_pool2d(&image, cells)
        });
        bench.operator(&format!("avg_pool2d {name}"), &[&image], work, work, || {
            kernels::avg_pool2d(&image, cells)
        });
    }
    for (units, frames) in [(8, 432), (64, 200), (256, 100)] {
        let numbers = 8 * 64;
        let frames_of = noise(&[32, 8, 64, frames]);
        let (weight, bias) = (noise(&[3 * units, numbers]), noise(&[3 * units]));
        let gates = 32 * frames * 3 * units;
        let work = |operations, values| Work { operations, values };
        bench.operator(
            &format!("linear_of_frames {numbers}→{} of {frames}", 3 * units),
            &[&frames_of, &weight, &bias],
            work(2 * gates * numbers, frames_of.elem_count() + gates),
            work(4 * gates * numbers, 2 * frames_of.elem_count() + gates),
            || kernels::linear_of_frames(&frames_of, &weight, &bias),
        );
        let (inputs, weight) = (noise(&[32, frames, 3 * units]), noise(&[3 * units, units]));
        bench.operator(
            &format!("gru of {units} units over {frames} frames"),
            &[&inputs, &weight, &bias],
            work(2 * gates * units, gates + gates / 3),
            work(4 * gates * units, 2 * gates + 2 * gates / 3),
            || kernels::gru(&inputs, &weight, &bias, Direction::Forward),
        );
    }
}

/// Candle's own, for the same work.
fn candles(bench: &Bench) {
    for (shape, filters) in [
        ([32, 1, 128, 216], 16),
        ([32, 16, 64, 108], 32),
        ([32, 64, 32, 32], 128),
    ] {
        let [batch, channels, rows, columns] = shape;
        let (input, weight) = (noise(&shape), noise(&[filters, channels, 3, 3]));
        let (images, sums) = (batch * channels * rows * columns, batch * filters * rows * columns);
        let products = 2 * sums * channels * 9;
        bench.operator(
            &format!("Candle: conv2d {channels}→{filters} 3×3 on {rows}×{columns}"),
            &[&input, &weight],
            Work {
                operations: products,
                values: images + sums,
            },
            Work {
                operations: 2 * products,
                values: 2 * images + sums,
            },
            || input.conv2d(&weight, 1, 1, 1, 1),
        );
    }
    let image = noise(&[32, 32, 64, 108]);
    let values = image.elem_count();
    let work = Work {
        operations: values,
        values: 2 * values,
    };
    bench.operator("Candle: relu", &[&image], work, work, || image.relu());
    bench.operator("Candle: tanh", &[&image], work, work, || image.tanh());
    bench.operator("Candle: max_pool2d 2×2", &[&image], work, work, || image.max_pool2d(2));
}

fn main() {
    let only = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    let ceiling = Ceiling::measure();
    println!(
        "{} threads: {:.0} GFLOP/s of multiply-adds in registers, {:.1} GB/s copied\n",
        rayon::current_num_threads(),
        ceiling.operations / 1e9,
        ceiling.bytes / 1e9
    );
    let bench = Bench { ceiling, only };
    ours(&bench);
    println!();
    candles(&bench);
}
