//! Rows as runs leave them behind.

use affect::random::Generator;
use affect::report::RunReport;
use affect::track::{BaselineRow, MetricRow, Outcome, PredictionRow, Predictions, ResultRow, Status};

fn shell() -> RunReport {
    RunReport {
        id: "20261121-101530-k3f9".to_owned(),
        experiment: "deam-dynamic-cnn".to_owned(),
        description: "Frame-level valence and arousal of DEAM from mel spectrograms".to_owned(),
        status: Status::StoppedEarly,
        started_at: "2026-11-21 10:15:30 UTC".to_owned(),
        seconds: 1834.2,
        seed: 42,
        device: "cpu (2 threads)".to_owned(),
        best_epoch: None,
        best_step: None,
        monitor: "val/loss".to_owned(),
        metrics: Vec::new(),
        results: Vec::new(),
        baselines: Vec::new(),
        baseline_intervals: Vec::new(),
        predictions: None,
        prediction_seeds: Vec::new(),
        repeats: String::new(),
        members: Vec::new(),
        settings_toml: "[experiment]\nname = \"deam-dynamic-cnn\"\nseed = 42\n\n[dataset]\nkind = \"deam-dynamic\"\nroot = \"data/deam\"\ntargets = [\"valence\", \"arousal\"]\n\n[features]\nkind = \"mel\"\nsample_rate = 44100\nn_fft = 2048\nhop_length = 512\nn_mels = 128\nfmax = 8000.0\n\n[[model.layers]]\nconv2d = { channels = 16, kernel = 3, padding = \"same\", batch_norm = true, activation = \"relu\", max_pool = 2 }\n\n[[model.layers]]\nlinear = \"targets\"\n\n[loss]\nkind = \"mse\"\n\n[optimizer]\nkind = \"adamw\"\nlearning_rate = 1e-3\n".to_owned(),
        provenance: serde_json::json!({
            "program": { "version": "0.1.0", "git_commit": "9eec7a9c0ffee", "dirty": false },
            "seed": 42, "device": "cpu", "threads": 2, "cpu": "x86-64 with AVX-512", "host": "lab-3",
            "data_fingerprint": "b3:7d865e959b2466918c9863afca942d0fb89d7c9ac0c99bafc3749504ded97730",
            "feature_key": "mel-44100-2048-512-128-8000",
            "crates": { "candle-core": "0.11.1", "symphonia": "0.6.1" }
        }),
        remarks: vec![
            "ratings on the scale 1 to 9 were mapped to −1 to 1".to_owned(),
            "2 of 1802 recordings could not be read and were skipped".to_owned(),
        ],
        media: Default::default(),
        commands: vec![affect::report::Again {
            what: "All".to_owned(),
            command: "affect reproduce 20261121-101530-k3f9".to_owned(),
        }],
        width: Default::default(),
    }
}

fn metric(split: &str, name: &str, epoch: u32, value: f64) -> MetricRow {
    MetricRow {
        split: split.to_owned(),
        name: name.to_owned(),
        epoch,
        step: u64::from(epoch) * 40,
        value,
        wall_time: 1.8e9 + f64::from(epoch),
    }
}

/// Training that overfits after two thirds of `epochs`.
pub fn regression(examples: usize, targets: &[&str], epochs: u32) -> RunReport {
    let mut report = shell();
    let mut noise = Generator::keyed(1, "report test", &[]);
    let best = (2 * epochs / 3).max(1);
    report.best_epoch = Some(best);
    for epoch in 1..=epochs {
        let time = f64::from(epoch);
        let overfit = (time - f64::from(best)).max(0.0) * 0.0006;
        let train = 0.025 + 0.09 * (-time / 5.0).exp() + 0.0015 * noise.normal();
        let val = 0.036 + 0.08 * (-time / 4.0).exp() + overfit + 0.002 * noise.normal();
        report.metrics.push(metric("train", "loss", epoch, train));
        report.metrics.push(metric("val", "loss", epoch, val));
        for (split, loss) in [("train", train), ("val", val)] {
            report
                .metrics
                .push(metric(split, "mae", epoch, loss.abs().sqrt() * 0.8));
            for (index, target) in targets.iter().enumerate() {
                let value = loss.abs().sqrt() * (0.75 + 0.1 * index as f64);
                report
                    .metrics
                    .push(metric(split, &format!("mae/{target}"), epoch, value));
            }
        }
        let rate = 1e-3 * 0.5_f64.powi((epoch / 8).min(12) as i32);
        report.metrics.push(metric("", "learning_rate", epoch, rate));
    }
    let figures = [
        ("mse", 0.042, 0.068, 0.051),
        ("rmse", 0.205, 0.262, 0.226),
        ("mae", 0.161, 0.21, 0.178),
        ("r2", 0.41, -0.004, 0.29),
        ("pearson", 0.66, f64::NAN, 0.56),
        ("ccc", 0.583, 0.0, 0.447),
    ];
    for (name, model, mean, ridge) in figures {
        for (index, target) in targets.iter().copied().chain([""]).enumerate() {
            let shift = 0.01 * (index % 5) as f64;
            report.results.push(ResultRow {
                split: "test".to_owned(),
                name: name.to_owned(),
                target: target.to_owned(),
                value: model + shift,
                ci: Some((model + shift - 0.11 * model, model + shift + 0.09 * model)),
            });
            for (baseline, value) in [("mean", mean), ("ridge", ridge)] {
                report.baselines.push(BaselineRow {
                    split: "test".to_owned(),
                    baseline: baseline.to_owned(),
                    name: name.to_owned(),
                    target: target.to_owned(),
                    value: value + shift,
                });
            }
        }
    }
    let rows = (0..examples)
        .map(|index| {
            let truth: Vec<f32> = targets
                .iter()
                .map(|_| (0.38 * noise.normal()).clamp(-1.0, 1.0) as f32)
                .collect();
            let predicted = truth
                .iter()
                .map(|truth| 0.55 * truth + (0.14 * noise.normal()) as f32 + 0.03)
                .collect();
            PredictionRow {
                split: "test".to_owned(),
                id: format!("song-{index:04}@15.0"),
                group: format!("song-{index:04}"),
                truth,
                predicted,
            }
        })
        .collect();
    report.predictions = Some(Predictions {
        kind: Outcome::Regression {
            targets: targets.iter().map(|target| (*target).to_owned()).collect(),
        },
        rows,
    });
    report
}

/// A classifier that is right about two thirds of the time.
pub fn classification(classes: usize, examples: usize, epochs: u32) -> RunReport {
    const NAMES: [&str; 7] = ["anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness"];
    let names: Vec<String> = (0..classes)
        .map(|index| {
            NAMES
                .get(index)
                .map_or_else(|| format!("another_class_{index}"), |name| (*name).to_owned())
        })
        .collect();
    let mut report = shell();
    report.experiment = "emodb-cnn".to_owned();
    report.description = "Seven emotions in acted German speech, speakers never heard in training".to_owned();
    report.settings_toml = report.settings_toml.replace("\"mse\"", "\"cross-entropy\"");
    report.remarks.clear();
    let mut noise = Generator::keyed(2, "report test", &[]);
    report.best_epoch = Some((2 * epochs / 3).max(1));
    for epoch in 1..=epochs {
        let time = f64::from(epoch);
        let train = 0.05 + 1.9 * (-time / 6.0).exp();
        let val = 0.9 + 1.0 * (-time / 5.0).exp() + 0.03 * noise.normal();
        report.metrics.push(metric("train", "loss", epoch, train));
        report.metrics.push(metric("val", "loss", epoch, val));
        for (split, loss) in [("train", train), ("val", val)] {
            report
                .metrics
                .push(metric(split, "accuracy", epoch, (-0.5 * loss).exp()));
            report.metrics.push(metric(split, "uar", epoch, (-0.55 * loss).exp()));
        }
        report.metrics.push(metric("", "learning_rate", epoch, 1e-3));
    }
    for (name, model, majority, logistic) in [
        ("accuracy", 0.671, 0.235, 0.562),
        ("uar", 0.648, 0.143, 0.541),
        ("macro-f1", 0.64, 0.054, 0.533),
        ("weighted-f1", 0.66, 0.09, 0.557),
    ] {
        report.results.push(ResultRow {
            split: "test".to_owned(),
            name: name.to_owned(),
            target: String::new(),
            value: model,
            ci: Some((model - 0.06, model + 0.055)),
        });
        for (baseline, value) in [("majority", majority), ("logistic", logistic)] {
            report.baselines.push(BaselineRow {
                split: "test".to_owned(),
                baseline: baseline.to_owned(),
                name: name.to_owned(),
                target: String::new(),
                value,
            });
        }
    }
    let rows = (0..examples)
        .map(|index| {
            let truth = noise.below(classes).min(noise.below(classes + 1)) as u32;
            let mut predicted: Vec<f32> = (0..classes).map(|_| noise.uniform() as f32).collect();
            let towards = if noise.chance(0.62) {
                truth as usize
            } else {
                (truth as usize + 1) % classes
            };
            predicted[towards] += 1.5;
            let sum: f32 = predicted.iter().sum();
            PredictionRow {
                split: "test".to_owned(),
                id: format!("03a{index:03}Fc.wav"),
                group: format!("speaker {:02}", index % 4),
                truth: vec![truth as f32],
                predicted: predicted.iter().map(|value| value / sum).collect(),
            }
        })
        .collect();
    report.predictions = Some(Predictions {
        kind: Outcome::Classification { classes: names },
        rows,
    });
    report
}
