//! What a run's folder alone says of its figures, and whether those of another run are the same.

use std::path::Path;

use serde_json::Value;

use super::log::{self, Entry};
use super::provenance::Provenance;
use super::rows::{BaselineRow, MetricRow, ResultRow, Status};
use super::{Database, Error, RunDir, RunSummary};
use crate::files;

/// A run, read from log.jsonl and provenance.json.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// `None`: its log has no end.
    pub status: Option<Status>,
    pub provenance: Provenance,
    /// In the order in which they were recorded; what a resumed run did again is there once.
    pub metrics: Vec<MetricRow>,
    pub results: Vec<ResultRow>,
    pub baselines: Vec<BaselineRow>,
    /// What a reader of the results must know.
    pub remarks: Vec<String>,
    /// The best checkpoint: its epoch, 1-based, and the update after which it was made.
    pub best: Option<(u32, u64)>,
}

/// The event that tells all remarks of a run that is done.
pub const REMARKS: &str = "remarks";

/// A figure of one run against that of another.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// "val/loss of epoch 3", "mae of arousal on the test split".
    pub what: String,
    /// `None`: it is not there.
    pub was: Option<f64>,
    pub is: Option<f64>,
}

impl Record {
    /// Reads the record of the run in `dir`.
    ///
    /// # Errors
    /// Files that are missing or cannot be read.
    pub fn read(dir: &RunDir) -> Result<Self, Error> {
        let lines = log::read(&dir.file(log::FILE))?;
        let mut record = Self {
            status: None,
            provenance: Provenance::read(dir)?,
            metrics: Vec::new(),
            results: Vec::new(),
            baselines: Vec::new(),
            remarks: Vec::new(),
            best: None,
        };
        for line in lines {
            match line.entry {
                Entry::Started(start) => {
                    record.status = None;
                    if let Some(step) = start.resumed_after_step {
                        record.metrics.retain(|row| row.step <= step);
                    }
                }
                Entry::Metrics(metrics) => record.metrics.extend(metrics.rows),
                Entry::Results(results) => {
                    record.results = results.results;
                    record.baselines = results.baselines;
                }
                Entry::Finished(finish) => record.status = Some(finish.status),
                // What is known of the data comes before the baselines, the rest when all is done.
                Entry::Other { what, details } if what == REMARKS || what == "data" => {
                    let texts = details.get("remarks").and_then(Value::as_array);
                    let texts = texts.into_iter().flatten().filter_map(Value::as_str);
                    record.remarks = texts.map(str::to_owned).collect();
                }
                Entry::Other { what, details } if what == "trained" => {
                    let number = |key| details.get(key).and_then(Value::as_u64);
                    let epoch = number("best_epoch").and_then(|epoch| u32::try_from(epoch).ok());
                    record.best = epoch.zip(number("best_step"));
                }
                Entry::Tags(_) | Entry::Note(_) | Entry::Other { .. } => {}
            }
        }
        Ok(record)
    }

    /// How many figures there are.
    pub fn len(&self) -> usize {
        self.figures().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every figure with what it is of, in the order in which they came to be.
    fn figures(&self) -> Vec<(String, f64)> {
        let of = |target: &str| match target {
            "" => String::new(),
            target => format!(" of {target}"),
        };
        let metrics = self.metrics.iter().map(|row| {
            let split = match row.split.as_str() {
                "" => String::new(),
                split => format!("{split}/"),
            };
            (
                format!("{split}{} of epoch {} (step {})", row.name, row.epoch, row.step),
                row.value,
            )
        });
        let baselines = self.baselines.iter().map(|row| {
            let what = format!(
                "{}{} of the baseline {} on the {} split",
                row.name,
                of(&row.target),
                row.baseline,
                row.split
            );
            (what, row.value)
        });
        let results = self.results.iter().flat_map(|row| {
            let what = format!("{}{} on the {} split", row.name, of(&row.target), row.split);
            let ends = row.ci.map(|(low, high)| {
                [
                    (format!("lower end of the interval of {what}"), low),
                    (format!("upper end of the interval of {what}"), high),
                ]
            });
            std::iter::once((what, row.value))
                .chain(ends.into_iter().flatten())
                .collect::<Vec<_>>()
        });
        // Baselines come before training.
        baselines.chain(metrics).chain(results).collect()
    }

    /// Where `other` is not the same bit for bit, in the order of this run. NaN equals NaN.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let (ours, theirs) = (self.figures(), other.figures());
        let find = |figures: &[(String, f64)], what: &str| {
            figures.iter().rev().find(|(it, _)| it == what).map(|(_, value)| *value)
        };
        let same = |a: f64, b: f64| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        let mut differences = Vec::new();
        for (index, (what, was)) in ours.iter().enumerate() {
            // Nearly always they stand at the same place.
            let is = match theirs.get(index) {
                Some((it, value)) if it == what => Some(*value),
                _ => find(&theirs, what),
            };
            if !is.is_some_and(|is| same(*was, is)) {
                differences.push(Difference {
                    what: what.clone(),
                    was: Some(*was),
                    is,
                });
            }
        }
        for (index, (what, is)) in theirs.iter().enumerate() {
            let is_there = ours.get(index).is_some_and(|(it, _)| it == what) || find(&ours, what).is_some();
            if !is_there {
                differences.push(Difference {
                    what: what.clone(),
                    was: None,
                    is: Some(*is),
                });
            }
        }
        differences
    }
}

impl Provenance {
    /// What was another then: "program.version: 0.1.0, now 0.2.0". When and with which words a run was started is no part of it.
    pub fn changes(&self, now: &Self) -> Vec<String> {
        let value = |provenance: &Self| serde_json::to_value(provenance).unwrap_or_default();
        let mut changes = Vec::new();
        compare("", &value(self), &value(now), &mut changes);
        changes.retain(|change| !change.starts_with("started_at:") && !change.starts_with("command_line:"));
        changes
    }
}

fn compare(path: &str, was: &Value, is: &Value, changes: &mut Vec<String>) {
    let nothing = Value::Object(serde_json::Map::new());
    // What is not there has none of the other's keys.
    let (was, is) = match (was, is) {
        (Value::Null, Value::Object(_)) => (&nothing, is),
        (Value::Object(_), Value::Null) => (was, &nothing),
        both => both,
    };
    match (was, is) {
        (Value::Object(was), Value::Object(is)) => {
            let mut keys: Vec<&String> = was.keys().collect();
            keys.extend(is.keys().filter(|key| !was.contains_key(*key)));
            for key in keys {
                let path = match path {
                    "" => key.clone(),
                    path => format!("{path}.{key}"),
                };
                compare(
                    &path,
                    was.get(key).unwrap_or(&Value::Null),
                    is.get(key).unwrap_or(&Value::Null),
                    changes,
                );
            }
        }
        (Value::Array(was), Value::Array(is)) if was != is => {
            let only = |these: &[Value], those: &[Value]| {
                let texts: Vec<String> = these.iter().filter(|it| !those.contains(it)).map(text).collect();
                match texts.is_empty() {
                    true => "none".to_owned(),
                    false => texts.join(", "),
                }
            };
            changes.push(format!(
                "{path}: {} then only, {} now only",
                only(was, is),
                only(is, was)
            ));
        }
        (was, is) if was != is => changes.push(format!("{path}: {}, now {}", text(was), text(is))),
        _ => {}
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "nothing".to_owned(),
        other => other.to_string(),
    }
}

/// The results of a run and those of its baselines, in the order in which they were recorded: that of the targets in the experiment
/// file, or of the classes. The index, which is asked where the log cannot be read, has an order of its own.
///
/// # Errors
/// An index that cannot be read.
pub fn final_figures(database: &Database, run: &RunSummary) -> Result<(Vec<ResultRow>, Vec<BaselineRow>), Error> {
    match RunDir::open(&run.path).and_then(|dir| Record::read(&dir)) {
        Ok(record) if !record.results.is_empty() => Ok((record.results, record.baselines)),
        _ => Ok((database.results(&run.id)?, database.baselines(&run.id)?)),
    }
}

/// Whether the run in the folder `a` left the file `name` with the same bytes as the run in `b`.
///
/// # Errors
/// A file that cannot be read.
pub fn same_file(a: &RunDir, b: &RunDir, name: &str) -> Result<bool, Error> {
    let read = |path: &Path| std::fs::read(path).map_err(files::Error::at("read", path));
    Ok(read(&a.file(name))? == read(&b.file(name))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(values: &[(&str, u32, f64)]) -> Record {
        Record {
            status: None,
            provenance: provenance(),
            metrics: values
                .iter()
                .map(|&(name, epoch, value)| MetricRow {
                    split: "val".to_owned(),
                    name: name.to_owned(),
                    epoch,
                    step: u64::from(epoch),
                    value,
                    wall_time: 0.0,
                })
                .collect(),
            results: Vec::new(),
            baselines: Vec::new(),
            remarks: Vec::new(),
            best: None,
        }
    }

    fn provenance() -> Provenance {
        serde_json::from_value(serde_json::json!({
            "started_at": "2026-01-01T00:00:00Z", "command_line": ["affect"], "git": null, "seed": 1, "device": "cpu", "threads": 2,
            "program": {"version": "0.1.0", "profile": "release", "target": "t", "rustc": "r", "crates": ["a 1", "b 1"]},
            "machine": {"host": "h", "os": "o", "kernel": null, "architecture": "x", "cpu": null, "cores": 2, "cpu_features": ["avx2"]},
            "data_fingerprint": "d", "feature_key": "f",
        }))
        .unwrap()
    }

    #[test]
    fn the_first_difference_is_the_first_in_time() {
        let was = record(&[("loss", 1, 0.5), ("loss", 2, 0.25), ("mae", 2, f64::NAN)]);
        assert_eq!(was.differences(&was.clone()), []);
        let is = record(&[("loss", 1, 0.5), ("loss", 2, 0.25 + f64::EPSILON), ("uar", 2, 1.0)]);
        let found: Vec<String> = was.differences(&is).into_iter().map(|it| it.what).collect();
        assert_eq!(
            found,
            [
                "val/loss of epoch 2 (step 2)",
                "val/mae of epoch 2 (step 2)",
                "val/uar of epoch 2 (step 2)"
            ]
        );
    }

    #[test]
    fn what_has_changed_around_a_run_is_named() {
        let mut now = provenance();
        now.command_line = vec!["other".to_owned()];
        assert_eq!(provenance().changes(&now), Vec::<String>::new());
        now.threads = 4;
        now.program.crates = vec!["a 1".to_owned(), "b 2".to_owned()];
        now.machine.cpu = Some("c".to_owned());
        now.gpu = serde_json::from_value(serde_json::json!({
            "name": "g", "compute_capability": "9.0", "driver": null, "driver_cuda": "13.0", "built_with": "13.0", "built_for": "7.5",
            "bindings": "b", "cublas": "1", "cudnn": "2",
        }))
        .unwrap();
        let mut changes = provenance().changes(&now);
        let of_gpu: Vec<String> = changes.extract_if(.., |change| change.starts_with("gpu.")).collect();
        assert!(of_gpu.contains(&"gpu.cudnn: nothing, now 2".to_owned()), "{of_gpu:?}");
        assert_eq!(
            changes,
            [
                "program.crates: b 1 then only, b 2 now only",
                "threads: 2, now 4",
                "machine.cpu: nothing, now c"
            ]
        );
    }
}
