//! Rows and headers for the tests of `track`.
#![allow(dead_code)]

use std::path::Path;

use affect::track::{BaselineRow, Circumstances, MetricRow, Provenance, ResultRow, RunHeader};

pub fn header() -> RunHeader {
    RunHeader {
        config_toml: "[optimizer]\nlearning_rate = 0.001\nkind = 'a|b'\n".to_string(),
        config_hash: "c".to_string(),
        tags: vec!["b".to_string(), "a".to_string()],
        parent_id: None,
        provenance: Provenance::collect(Circumstances {
            folder: Path::new("/nonexistent"),
            command_line: Vec::new(),
            seed: u64::MAX,
            device: "cpu".to_string(),
            gpu: None,
            threads: 1,
            data_fingerprint: "d".to_string(),
            feature_key: "f".to_string(),
        }),
    }
}

/// The loss of an epoch of one step.
pub fn row(split: &str, step: u64, value: f64) -> MetricRow {
    MetricRow {
        split: split.to_string(),
        name: "loss".to_string(),
        epoch: u32::try_from(step).unwrap(),
        step,
        value,
        wall_time: 1_700_000_000.0 + step as f64,
    }
}

pub fn result(split: &str, target: &str) -> ResultRow {
    ResultRow {
        split: split.to_string(),
        name: "rmse".to_string(),
        target: target.to_string(),
        value: 0.25,
        ci: Some((0.2, 0.3)),
    }
}

pub fn baseline(name: &str) -> BaselineRow {
    BaselineRow {
        split: "test".to_string(),
        baseline: name.to_string(),
        name: "rmse".to_string(),
        target: String::new(),
        value: 0.5,
    }
}

/// Every row of every table, as text.
pub fn dump(runs: &Path) -> String {
    let connection = rusqlite::Connection::open(runs.join("affect.sqlite")).unwrap();
    let mut text = String::new();
    for table in [
        "runs",
        "params",
        "metrics",
        "results",
        "baselines",
        "artifacts",
        "tags",
        "notes",
    ] {
        let mut query = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = query.column_count();
        let mut rows = query.query([]).unwrap();
        let mut lines = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            let values =
                (0..columns).map(|column| format!("{:?}", row.get::<_, rusqlite::types::Value>(column).unwrap()));
            lines.push(format!("{table}: {}\n", values.collect::<Vec<_>>().join(" ")));
        }
        lines.sort();
        text.extend(lines);
    }
    text
}
