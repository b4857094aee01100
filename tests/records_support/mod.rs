//! Finished runs that nothing was trained for.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::Path;

use affect::track::{
    Circumstances, MetricRow, Outcome, PredictionRow, Predictions, Provenance, Recorder, ResultRow, RunDir, RunHeader,
    Status,
};

/// What is told of a run.
pub struct Made<'a> {
    pub experiment: &'a str,
    pub seed: u64,
    pub learning_rate: f64,
    /// More settings, as TOML tables.
    pub settings: &'a str,
    pub tags: &'a [&'a str],
    pub parent: Option<&'a str>,
    pub data: &'a str,
    pub status: Status,
    /// RMSE of the test split.
    pub rmse: Option<f64>,
    /// Split, id, group, truth and prediction of one target, `valence`.
    pub predictions: Vec<(&'a str, String, String, f32, f32)>,
}

impl Default for Made<'_> {
    fn default() -> Self {
        Self {
            experiment: "a",
            seed: 1,
            learning_rate: 0.001,
            settings: "",
            tags: &[],
            parent: None,
            data: "d",
            status: Status::Completed,
            rmse: Some(0.25),
            predictions: Vec::new(),
        }
    }
}

/// Records the run; its id. Runs come a few milliseconds after each other, so that their order is known.
pub fn make(runs: &Path, made: Made) -> String {
    std::thread::sleep(std::time::Duration::from_millis(3));
    let dir = RunDir::create(runs, made.experiment).unwrap();
    let config_toml = format!(
        "[experiment]\nname = {:?}\nseed = {}\n[optimizer]\nkind = 'adam'\nlearning_rate = {:?}\n{}",
        made.experiment,
        made.seed.min(9),
        made.learning_rate,
        made.settings
    );
    let provenance = Provenance::collect(Circumstances {
        folder: Path::new("/nonexistent"),
        command_line: Vec::new(),
        seed: made.seed,
        device: "cpu".to_owned(),
        gpu: None,
        threads: 1,
        data_fingerprint: made.data.to_owned(),
        feature_key: "f".to_owned(),
    });
    let header = RunHeader {
        config_hash: "c".to_owned(),
        config_toml,
        tags: made.tags.iter().map(|tag| (*tag).to_owned()).collect(),
        parent_id: made.parent.map(String::from),
        provenance,
    };
    let recorder = Recorder::start(dir.clone(), runs, header).unwrap();
    let metric = |epoch: u32, value| MetricRow {
        split: "val".to_owned(),
        name: "loss".to_owned(),
        epoch,
        step: u64::from(epoch),
        value,
        wall_time: 0.0,
    };
    recorder.metrics(vec![metric(1, 0.9), metric(2, 0.5)]);
    if let Some(value) = made.rmse {
        let figure = |name: &str, target: &str, value| ResultRow {
            split: "test".to_owned(),
            name: name.to_owned(),
            target: target.to_owned(),
            value,
            ci: None,
        };
        recorder.results(
            vec![
                figure("rmse", "", value),
                figure("rmse", "valence", value),
                figure("ccc", "", 1.0 - value),
            ],
            Vec::new(),
        );
    }
    if !made.predictions.is_empty() {
        let rows = made
            .predictions
            .into_iter()
            .map(|(split, id, group, truth, predicted)| PredictionRow {
                split: split.to_owned(),
                id,
                group,
                truth: vec![truth],
                predicted: vec![predicted],
            });
        let predictions = Predictions {
            kind: Outcome::Regression {
                targets: vec!["valence".to_owned()],
            },
            rows: rows.collect(),
        };
        predictions.write(&dir.file("predictions.csv")).unwrap();
    }
    let error = (made.status == Status::Failed).then(|| "the loss is not a number".to_owned());
    assert_eq!(
        recorder.finish(made.status, error).unwrap().complaints,
        Vec::<String>::new()
    );
    dir.id().to_owned()
}
