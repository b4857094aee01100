//! How fast values are recorded, and what a training step waits for it.
//!
//! One run records many values of one moment at a time, as a training loop does, to log.jsonl, TensorBoard and SQLite. Printed
//! are rows a second until everything is on the disk (the end of the run included), and the time that the recording thread keeps
//! the caller. scripts/compare_mlflow.py runs this beside MLflow.
//!
//!     cargo bench --bench records

use std::path::Path;
use std::time::Instant;

use affect::track::{Circumstances, MetricRow, Provenance, Recorder, RunDir, RunHeader, Status};

/// Moments, and values of each: an epoch of a run with two targets has about as many.
const MOMENTS: u64 = 2_000;
const VALUES: usize = 25;

fn main() {
    let runs = tempfile::tempdir().expect("a temporary folder");
    let names: Vec<String> = (0..VALUES).map(|value| format!("metric-{value:02}")).collect();
    let dir = RunDir::create(runs.path(), "bench").expect("a run's folder");
    let header = RunHeader {
        config_toml: "[optimizer]\nlearning_rate = 0.001\n".to_owned(),
        config_hash: String::new(),
        tags: Vec::new(),
        parent_id: None,
        provenance: Provenance::collect(Circumstances {
            folder: Path::new("/nonexistent"),
            command_line: Vec::new(),
            seed: 1,
            device: "cpu".to_owned(),
            gpu: None,
            threads: 1,
            data_fingerprint: String::new(),
            feature_key: String::new(),
        }),
    };
    let recorder = Recorder::start(dir, runs.path(), header).expect("a recorder");
    let begin = Instant::now();
    let mut waited = std::time::Duration::ZERO;
    for moment in 1..=MOMENTS {
        let row = |name: &String| MetricRow {
            split: "train".to_owned(),
            name: name.clone(),
            epoch: u32::try_from(moment).unwrap_or(u32::MAX),
            step: moment,
            value: 1.0 / moment as f64,
            wall_time: 1.7e9 + moment as f64,
        };
        let rows = names.iter().map(row).collect();
        let call = Instant::now();
        recorder.metrics(rows);
        waited += call.elapsed();
    }
    let finished = recorder.finish(Status::Completed, None).expect("the end of the run");
    let seconds = begin.elapsed().as_secs_f64();
    let rows = MOMENTS as f64 * VALUES as f64;
    println!(
        "{rows:.0} rows in {seconds:.3} s: {:.0} rows a second; a call of {VALUES} rows kept the caller {:.1} µs; {} complaints",
        rows / seconds,
        waited.as_secs_f64() * 1e6 / MOMENTS as f64,
        finished.complaints.len()
    );
}
