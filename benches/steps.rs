//! Whole training steps, for `scripts/compare_torch_steps.py`, which runs PyTorch's beside them.
//!
//! `cargo bench --bench steps -- CASE FOLDER` writes the case's parameters, inputs and targets to `FOLDER/start.safetensors`. Then for each
//! line `N` on standard input it runs N steps and answers with a line of JSON: each one's loss and milliseconds, and the
//! process's greatest memory so far. A number as a third word is the learning rate. `device=cuda:0`, `batch=256`, `precision=tf32`,
//! `deterministic=false` and `cuda_graph=on` are as in an experiment file; on a GPU the clock is read once for all N steps (each one's share is given), as
//! nothing waits for a step there. With `candle` in its place the same network runs on Candle's own operators and candle-nn's layers and
//! AdamW (the gradient of its max pooling is wrong: for the clock only). `cargo bench --bench steps` alone runs every case for a few steps and prints the
//! medians.

use std::collections::HashMap;
use std::io::BufRead;
use std::time::Instant;

use affect::nn::{Mode, Network, NetworkSpec, Plan, Step};
use affect::random::Generator;
use affect::train::gradients::Gradients;
use affect::train::optimizer::Optimizer;
use affect::train::spec::DeviceSpec;
use affect::train::{TrainSpec, device};
use candle_core::{D, DType, Device, Tensor};
use candle_nn::rnn::{GRU, GRUConfig, RNN};
use candle_nn::{BatchNorm, Module, ModuleT, Optimizer as _, VarBuilder, VarMap};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 32;
const LEARNING_RATE: f64 = 1e-4;

/// How a case runs.
struct How {
    rate: f64,
    batch: usize,
    train: TrainSpec,
}

impl How {
    /// From words such as `1e-5` and `device=cuda`.
    fn read(words: &[String]) -> Self {
        let mut how = Self {
            rate: LEARNING_RATE,
            batch: BATCH,
            train: TrainSpec {
                device: DeviceSpec::Cpu,
                ..TrainSpec::default()
            },
        };
        for word in words {
            match word.split_once('=') {
                Some(("batch", size)) => how.batch = size.parse().expect("a size"),
                Some((key @ ("device" | "precision" | "deterministic" | "cuda_graph"), value)) => {
                    let mut table = toml::Table::try_from(&how.train).expect("a table");
                    let value = value.parse().map_or_else(|_| value.into(), toml::Value::Boolean);
                    table.insert(key.into(), value);
                    how.train = table.try_into().expect("a setting");
                }
                _ => how.rate = word.parse().unwrap_or(how.rate),
            }
        }
        how
    }
}

/// Layers, shape of an example, outputs. Without dropout, so that the losses can be compared.
const CASES: [(&str, &str, [usize; 3], usize); 4] = [
    (
        "blocks-16-32",
        r#"{ conv2d = { channels = 16, batch_norm = true, activation = "relu", max_pool = 2 } },
           { conv2d = { channels = 32, batch_norm = true, activation = "relu", max_pool = 2 } },
           { adaptive_avg_pool2d = 1 }, { linear = "targets" }"#,
        [1, 128, 216],
        4,
    ),
    (
        "blocks-32-64-128",
        r#"{ conv2d = { channels = 32, batch_norm = true, activation = "relu", max_pool = 2 } },
           { conv2d = { channels = 64, batch_norm = true, activation = "relu", max_pool = 2 } },
           { conv2d = { channels = 128, batch_norm = true, activation = "relu", max_pool = 2 } },
           { adaptive_avg_pool2d = 1 }, { linear = "targets" }"#,
        [1, 64, 1292],
        4,
    ),
    (
        "meld-cnn",
        r#"{ conv2d = { channels = 32, activation = "relu" } }, { batch_norm = {} }, { max_pool2d = 2 },
           { conv2d = { channels = 64, activation = "relu" } }, { batch_norm = {} }, { max_pool2d = 2 },
           { conv2d = { channels = 128, activation = "relu" } }, { batch_norm = {} }, { max_pool2d = 2 },
           { conv2d = { channels = 256, activation = "relu" } }, { batch_norm = {} }, { max_pool2d = 2 },
           { flatten = {} }, { linear = { units = 256, activation = "relu" } }, { linear = { units = 128, activation = "relu" } },
           { linear = "targets" }"#,
        [1, 128, 128],
        7,
    ),
    (
        "crnn",
        r#"{ conv2d = { channels = 8, batch_norm = true, activation = "relu" } }, { linear = { units = 8, per_frame = true } },
           { gru = { units = 8, bidirectional = true } }, { global_pool = { statistics = ["mean"] } }, { linear = "targets" }"#,
        [1, 64, 432],
        4,
    ),
];

struct Case {
    network: Network,
    optimizer: Optimizer,
    input: Tensor,
    target: Tensor,
    steps: u64,
    #[cfg(feature = "cuda")]
    on_gpu: Option<OnGpu>,
}

/// What training on a GPU takes besides.
#[cfg(feature = "cuda")]
struct OnGpu {
    steps: affect::train::gpu::Steps,
    terms: affect::train::loss::Terms,
}

#[cfg(feature = "cuda")]
impl OnGpu {
    fn new(target: &[u32], outputs: usize, device: &Device, how: &How) -> Self {
        let classes = (0..outputs).map(|class| class.to_string()).collect();
        let problem = affect::evaluate::Problem::Classification { classes };
        let spec = toml::from_str("kind = \"cross-entropy\"").expect("a loss");
        let labels = affect::train::Labels::Classes(target.to_vec());
        let loss = affect::train::loss::Loss::new(&spec, &problem, &labels, &[]).expect("a loss");
        let known = Tensor::from_slice(target, target.len(), &Device::Cpu).expect("a tensor");
        Self {
            steps: affect::train::gpu::Steps::on(device, how.train.cuda_graph).expect("steps"),
            terms: loss.terms(&known, None, None).expect("terms"),
        }
    }
}

impl Case {
    fn new(layers: &str, shape: [usize; 3], outputs: usize, how: &How) -> Self {
        let (rate, batch) = (how.rate, how.batch);
        let device = device::open(&how.train).expect("the device");
        let spec: NetworkSpec = toml::from_str(&format!("layers = [{}]", layers.replace('\n', " "))).expect("layers");
        let plan = Plan::new(&spec, &shape, outputs).expect("a plan");
        let network = Network::new(&spec, &plan, 7, &device).expect("a network");
        let spec = format!("kind = \"adamw\"\nlearning_rate = {rate:e}\nweight_decay = 0.01");
        let spec = toml::from_str(&spec).expect("an optimiser");
        let optimizer = Optimizer::new(&spec, network.parameters()).expect("an optimiser");
        let mut generator = Generator::keyed(3, "bench", &[]);
        let values = (0..batch * shape.iter().product::<usize>()).map(|_| generator.normal() as f32);
        let input = Tensor::from_vec(values.collect(), (batch, shape[0], shape[1], shape[2]), &device);
        let target: Vec<u32> = (0..batch).map(|example| (example % outputs) as u32).collect();
        Self {
            #[cfg(feature = "cuda")]
            on_gpu: device.is_cuda().then(|| OnGpu::new(&target, outputs, &device, how)),
            network,
            optimizer,
            input: input.expect("a tensor"),
            target: Tensor::from_vec(target, batch, &device).expect("a tensor"),
            steps: 0,
        }
    }

    /// The losses, and the milliseconds of each.
    fn run(&mut self, steps: usize) -> candle_core::Result<(Vec<f32>, Vec<f64>)> {
        let clock = |begin: Instant| begin.elapsed().as_secs_f64() * 1e3;
        if self.network.device().is_cpu() {
            let run = (0..steps).map(|_| {
                let begin = Instant::now();
                Ok((self.step()?.to_scalar::<f32>()?, clock(begin)))
            });
            return run
                .collect::<candle_core::Result<Vec<_>>>()
                .map(|run| run.into_iter().unzip());
        }
        self.network.device().synchronize()?;
        let begin = Instant::now();
        let losses = (0..steps)
            .map(|_| self.step())
            .collect::<candle_core::Result<Vec<_>>>()?;
        let losses = match losses.is_empty() {
            true => Vec::new(),
            false => Tensor::stack(&losses, 0)?.to_vec1::<f32>()?,
        };
        self.network.device().synchronize()?;
        #[cfg(feature = "cuda")]
        if let Some(on_gpu) = &mut self.on_gpu {
            on_gpu.steps.waited(begin.elapsed());
        }
        let each = clock(begin) / steps.max(1) as f64;
        Ok((losses, vec![each; steps]))
    }

    /// The loss, where the device may still be at it.
    fn step(&mut self) -> candle_core::Result<Tensor> {
        self.steps += 1;
        #[cfg(feature = "cuda")]
        if let Some(OnGpu { steps, terms }) = &mut self.on_gpu {
            let (network, input) = (&self.network, &self.input);
            let mut work = affect::train::gpu::Work {
                network,
                optimizer: &mut self.optimizer,
                clip_norm: None,
                clip_value: None,
                seed: 1,
                step: self.steps,
                inputs: &[input],
                terms,
            };
            let said = |mode| {
                Ok(affect::train::gpu::Said {
                    outputs: network.forward(input, mode)?,
                    pair: None,
                })
            };
            return Ok(steps.step(&mut work, &said, None)?.mean);
        }
        let mode = Mode::Train {
            seed: 1,
            step: Step::Known(self.steps),
        };
        let output = self.network.forward(&self.input, mode)?;
        let likelihood = candle_nn::ops::log_softmax(&output, D::Minus1)?;
        let loss = candle_nn::loss::nll(&likelihood, &self.target)?;
        let gradients = Gradients::take(&mut loss.backward()?, self.network.parameters());
        self.optimizer.step(&gradients)?;
        Ok(loss.detach())
    }

    fn save(&self, folder: &str) -> candle_core::Result<()> {
        let mut tensors: HashMap<String, Tensor> = self
            .network
            .parameters()
            .iter()
            .map(|(name, var)| (name.clone(), var.as_tensor().clone()))
            .collect();
        tensors.insert("input".into(), self.input.clone());
        tensors.insert("target".into(), self.target.clone());
        candle_core::safetensors::save(&tensors, format!("{folder}/start.safetensors"))
    }
}

/// The same networks of Candle's own parts.
struct Stock {
    blocks: Vec<(candle_nn::Conv2d, BatchNorm)>,
    order: Order,
    frame: Option<(candle_nn::Linear, [GRU; 2])>,
    dense: Vec<candle_nn::Linear>,
    optimizer: candle_nn::AdamW,
}

#[derive(PartialEq)]
enum Order {
    NormFirst,
    ReluFirst,
}

impl Stock {
    fn new(name: &str) -> candle_core::Result<Self> {
        let parameters = VarMap::new();
        let make = VarBuilder::from_varmap(&parameters, DType::F32, &Device::Cpu);
        let (channels, dense): (&[usize], &[usize]) = match name {
            "blocks-16-32" => (&[16, 32], &[32, 4]),
            "blocks-32-64-128" => (&[32, 64, 128], &[128, 4]),
            "meld-cnn" => (&[32, 64, 128, 256], &[256 * 64, 256, 128, 7]),
            _ => (&[8], &[16, 4]),
        };
        let mut blocks = Vec::new();
        for (index, &filters) in channels.iter().enumerate() {
            let before = if index == 0 { 1 } else { channels[index - 1] };
            let config = candle_nn::Conv2dConfig {
                padding: 1,
                ..Default::default()
            };
            blocks.push((
                candle_nn::conv2d(before, filters, 3, config, make.pp(format!("conv{index}")))?,
                candle_nn::batch_norm(filters, 1e-5, make.pp(format!("norm{index}")))?,
            ));
        }
        let gru = |name: &str| candle_nn::gru(8, 8, GRUConfig::default(), make.pp(name));
        let frame = match name {
            "crnn" => Some((
                candle_nn::linear(8 * 64, 8, make.pp("frame"))?,
                [gru("forward")?, gru("backward")?],
            )),
            _ => None,
        };
        let dense = (dense.windows(2).enumerate())
            .map(|(index, sizes)| candle_nn::linear(sizes[0], sizes[1], make.pp(format!("dense{index}"))))
            .collect::<candle_core::Result<_>>()?;
        let rates = candle_nn::ParamsAdamW {
            lr: LEARNING_RATE,
            ..Default::default()
        };
        Ok(Self {
            blocks,
            order: if name == "meld-cnn" {
                Order::ReluFirst
            } else {
                Order::NormFirst
            },
            frame,
            dense,
            optimizer: candle_nn::AdamW::new(parameters.all_vars(), rates)?,
        })
    }

    fn output(&self, input: &Tensor) -> candle_core::Result<Tensor> {
        let mut value = input.clone();
        for (conv, norm) in &self.blocks {
            value = conv.forward(&value)?;
            value = match self.order {
                Order::NormFirst => norm.forward_t(&value, true)?.relu()?,
                Order::ReluFirst => norm.forward_t(&value.relu()?, true)?,
            };
            if self.frame.is_none() {
                value = value.max_pool2d(2)?;
            }
        }
        value = match &self.frame {
            Some((frame, [forward, backward])) => {
                let frames = frame.forward(&value.flatten(1, 2)?.transpose(1, 2)?.contiguous()?)?;
                let of = |gru: &GRU, frames: &Tensor| {
                    gru.states_to_tensor(&gru.seq(frames)?)?
                        .reshape((BATCH, (), 8))?
                        .mean(1)
                };
                Tensor::cat(&[of(forward, &frames)?, of(backward, &frames.flip(&[1])?)?], 1)?
            }
            None if self.order == Order::ReluFirst => value.flatten_from(1)?,
            None => value.mean((2, 3))?,
        };
        for (index, dense) in self.dense.iter().enumerate() {
            value = dense.forward(&value)?;
            if index + 1 < self.dense.len() {
                value = value.relu()?;
            }
        }
        Ok(value)
    }

    /// The loss.
    fn step(&mut self, input: &Tensor, target: &Tensor) -> candle_core::Result<f32> {
        let loss = candle_nn::loss::cross_entropy(&self.output(input)?, target)?;
        self.optimizer.backward_step(&loss)?;
        loss.to_scalar()
    }
}

/// The most memory that the process has held, in kB; 0 where that is not known.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|text| text.trim().trim_end_matches(" kB").trim().parse().ok())
        .unwrap_or(0)
}

fn main() {
    // As src/main.rs does.
    // SAFETY: takes two numbers; no other thread runs yet.
    unsafe { libmimalloc_sys::mi_option_set(15, 10_000) };
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    match words.as_slice() {
        [name, folder, rest @ ..] => {
            let (_, layers, shape, outputs) = CASES.iter().find(|case| case.0 == name).expect("a case");
            let mut case = Case::new(layers, *shape, *outputs, &How::read(rest));
            let mut stock = match rest.first().map(String::as_str) {
                Some("candle") => Some(Stock::new(name).expect("a network")),
                _ => {
                    case.save(folder).expect("to write");
                    None
                }
            };
            for line in std::io::stdin().lock().lines() {
                let steps: usize = line.expect("a line").trim().parse().expect("a number of steps");
                let (losses, times) = match &mut stock {
                    None => case.run(steps).expect("steps"),
                    Some(stock) => (0..steps)
                        .map(|_| {
                            let begin = Instant::now();
                            let loss = stock.step(&case.input, &case.target).expect("a step");
                            (loss, begin.elapsed().as_secs_f64() * 1e3)
                        })
                        .unzip(),
                };
                println!("{{\"losses\": {losses:?}, \"ms\": {times:?}, \"peak_kb\": {}}}", peak());
            }
        }
        _ => {
            for (name, layers, shape, outputs) in CASES {
                let mut case = Case::new(layers, shape, outputs, &How::read(&[]));
                let mut times: Vec<f64> = (0..12)
                    .map(|_| {
                        let begin = Instant::now();
                        case.step().expect("a step");
                        begin.elapsed().as_secs_f64() * 1e3
                    })
                    .collect();
                times.sort_by(f64::total_cmp);
                println!(
                    "{name:>18}  median {:7.1} ms  least {:7.1} ms",
                    times[times.len() / 2],
                    times[0]
                );
            }
        }
    }
}
