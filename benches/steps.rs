//! Whole training steps, for `scripts/compare_torch_steps.py`, which runs PyTorch's beside them.
//!
//! `cargo bench --bench steps -- CASE FOLDER` writes the case's parameters, inputs and targets to `FOLDER/start.safetensors`. Then for each
//! line `N` on standard input it runs N steps and answers with a line of JSON: each one's loss and milliseconds, and the
//! process's greatest memory so far. `cargo bench --bench steps` alone runs every case for a few steps and prints the medians.

use std::collections::HashMap;
use std::io::BufRead;
use std::time::Instant;

use affect::nn::{Mode, Network, NetworkSpec, Plan};
use affect::random::Generator;
use affect::train::gradients::Gradients;
use affect::train::optimizer::Optimizer;
use candle_core::{D, Device, Tensor};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 32;

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
}

impl Case {
    fn new(layers: &str, shape: [usize; 3], outputs: usize) -> Self {
        let spec: NetworkSpec = toml::from_str(&format!("layers = [{}]", layers.replace('\n', " "))).expect("layers");
        let plan = Plan::new(&spec, &shape, outputs).expect("a plan");
        let network = Network::new(&spec, &plan, 7, &Device::Cpu).expect("a network");
        let spec = toml::from_str("kind = \"adamw\"\nlearning_rate = 1e-4\nweight_decay = 0.01").expect("an optimiser");
        let optimizer = Optimizer::new(&spec, network.parameters()).expect("an optimiser");
        let mut generator = Generator::keyed(3, "bench", &[]);
        let values = (0..BATCH * shape.iter().product::<usize>()).map(|_| generator.normal() as f32);
        let input = Tensor::from_vec(values.collect(), (BATCH, shape[0], shape[1], shape[2]), &Device::Cpu);
        let target: Vec<u32> = (0..BATCH).map(|example| (example % outputs) as u32).collect();
        Self {
            network,
            optimizer,
            input: input.expect("a tensor"),
            target: Tensor::from_vec(target, BATCH, &Device::Cpu).expect("a tensor"),
            steps: 0,
        }
    }

    /// The loss.
    fn step(&mut self) -> candle_core::Result<f32> {
        self.steps += 1;
        let mode = Mode::Train {
            seed: 1,
            step: self.steps,
        };
        let output = self.network.forward(&self.input, mode)?;
        let likelihood = candle_nn::ops::log_softmax(&output, D::Minus1)?;
        let loss = candle_nn::loss::nll(&likelihood, &self.target)?;
        let value = loss.to_scalar::<f32>()?;
        let gradients = Gradients::take(&mut loss.backward()?, self.network.parameters());
        self.optimizer.step(&gradients)?;
        Ok(value)
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
        [name, folder] => {
            let (_, layers, shape, outputs) = CASES.iter().find(|case| case.0 == name).expect("a case");
            let mut case = Case::new(layers, *shape, *outputs);
            case.save(folder).expect("to write");
            for line in std::io::stdin().lock().lines() {
                let steps: usize = line.expect("a line").trim().parse().expect("a number of steps");
                let (mut losses, mut times) = (Vec::new(), Vec::new());
                for _ in 0..steps {
                    let begin = Instant::now();
                    losses.push(case.step().expect("a step"));
                    times.push(begin.elapsed().as_secs_f64() * 1e3);
                }
                println!("{{\"losses\": {losses:?}, \"ms\": {times:?}, \"peak_kb\": {}}}", peak());
            }
        }
        _ => {
            for (name, layers, shape, outputs) in CASES {
                let mut case = Case::new(layers, shape, outputs);
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
