//! log.jsonl: what happened in a run, one JSON object a line, in order.
//!
//! This file is the record; the database is an index made from it. Everything that the writer puts into the database is
//! first an [`Entry`] here, and [`store::replay`](super::store::replay) makes the same rows from the lines again. A line
//! is handed to the system as soon as it is made, so a killed process loses nothing that it recorded. The last line may
//! be torn; readers pass over lines that they cannot read.

use std::io::{BufRead, BufReader, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::process::Process;
use super::rows::{ArtifactRow, BaselineRow, MetricRow, ResultRow, Status};
use super::time;
use crate::files;

/// The file's name in the run's folder.
pub(super) const FILE: &str = "log.jsonl";

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Entry {
    /// The run began, or goes on after an interruption.
    Started(Box<Start>),
    Metrics(Metrics),
    Results(Results),
    Finished(Finish),
    /// Somebody changed the run's tags.
    Tags(Tags),
    /// Somebody wrote about the run.
    Note(Note),
    /// Something for people, with a name that none of the others uses.
    Other {
        what: String,
        details: Value,
    },
}

/// What is known when a run starts. The settings are in experiment.toml.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Start {
    pub id: String,
    pub experiment: String,
    pub seed: u64,
    pub device: String,
    pub created_at: Timestamp,
    /// The run goes on after this optimiser step: what was recorded of later steps is done again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_after_step: Option<u64>,
    pub process: Process,
    pub git_commit: Option<String>,
    pub config_hash: String,
    pub data_fingerprint: String,
    pub feature_key: String,
    pub parent_id: Option<String>,
    pub tags: Vec<String>,
    /// The content of experiment.toml, which stands in its own file.
    #[serde(skip)]
    pub config_toml: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Metrics {
    pub rows: Vec<MetricRow>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Results {
    pub results: Vec<ResultRow>,
    pub baselines: Vec<BaselineRow>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Finish {
    pub status: Status,
    pub error: Option<String>,
    pub artifacts: Vec<ArtifactRow>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tags {
    pub added: Vec<String>,
    pub removed: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    pub text: String,
}

/// An entry and its moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub at: Timestamp,
    pub entry: Entry,
}

const STARTED: &str = "started";
const METRICS: &str = "metrics";
const RESULTS: &str = "results";
const FINISHED: &str = "finished";
const TAGS: &str = "tags";
const NOTE: &str = "note";

impl Line {
    pub fn now(entry: Entry) -> Self {
        Self { at: time::now(), entry }
    }

    /// The line with its line feed.
    pub fn to_json(&self) -> Vec<u8> {
        let (event, details) = match &self.entry {
            Entry::Started(start) => (STARTED, serde_json::to_value(start)),
            Entry::Metrics(metrics) => (METRICS, serde_json::to_value(metrics)),
            Entry::Results(results) => (RESULTS, serde_json::to_value(results)),
            Entry::Finished(finish) => (FINISHED, serde_json::to_value(finish)),
            Entry::Tags(tags) => (TAGS, serde_json::to_value(tags)),
            Entry::Note(note) => (NOTE, serde_json::to_value(note)),
            Entry::Other { what, details } => (what.as_str(), Ok(details.clone())),
        };
        let mut object = Map::new();
        object.insert("at".to_string(), time::text(self.at).into());
        object.insert("event".to_string(), event.into());
        match details {
            Ok(Value::Object(details)) => {
                object.extend(details.into_iter().filter(|(key, _)| key != "at" && key != "event"))
            }
            Ok(Value::Null) => {}
            Ok(other) => drop(object.insert("details".to_string(), other)),
            Err(error) => drop(object.insert("fault".to_string(), error.to_string().into())),
        }
        let mut line = Value::Object(object).to_string().into_bytes();
        line.push(b'\n');
        line
    }

    /// `None` for a line that is torn or not ours.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let mut object: Map<String, Value> = serde_json::from_slice(line).ok()?;
        let at = object.remove("at")?.as_str()?.parse().ok()?;
        let event = object.remove("event")?.as_str()?.to_string();
        let details = Value::Object(object);
        let entry = match event.as_str() {
            STARTED => Entry::Started(Box::new(serde_json::from_value(details).ok()?)),
            METRICS => Entry::Metrics(serde_json::from_value(details).ok()?),
            RESULTS => Entry::Results(serde_json::from_value(details).ok()?),
            FINISHED => Entry::Finished(serde_json::from_value(details).ok()?),
            TAGS => Entry::Tags(serde_json::from_value(details).ok()?),
            NOTE => Entry::Note(serde_json::from_value(details).ok()?),
            _ => Entry::Other { what: event, details },
        };
        Some(Self { at, entry })
    }
}

/// What must stand before the next line of the log: a line feed where the last line is torn, as a power cut or a kill may leave it.
pub(super) fn gap(path: &Path) -> Result<&'static [u8], files::Error> {
    let at = || files::Error::at("read", path);
    let mut file = match std::fs::File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(b""),
        opened => opened.map_err(at())?,
    };
    let length = file.metadata().map_err(at())?.len();
    if length == 0 {
        return Ok(b"");
    }
    let mut last = [0];
    file.seek(SeekFrom::Start(length - 1)).map_err(at())?;
    file.read_exact(&mut last).map_err(at())?;
    Ok(if last == *b"\n" { b"" } else { b"\n" })
}

/// The lines of a log that can be read, in order.
pub(super) fn read(path: &Path) -> Result<Vec<Line>, files::Error> {
    let at = || files::Error::at("read", path);
    let mut reader = BufReader::with_capacity(1 << 16, std::fs::File::open(path).map_err(at())?);
    let mut lines = Vec::new();
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes).map_err(at())? > 0 {
        lines.extend(Line::parse(&bytes));
        bytes.clear();
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(value: f64) -> Entry {
        Entry::Metrics(Metrics {
            rows: vec![MetricRow {
                split: "val".to_string(),
                name: "loss".to_string(),
                epoch: 1,
                step: 10,
                value,
                wall_time: 1.25,
            }],
        })
    }

    #[test]
    fn lines_survive_the_file_and_a_torn_end_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let finish = Entry::Finished(Finish {
            status: Status::StoppedEarly,
            error: None,
            artifacts: Vec::new(),
        });
        let other = Entry::Other {
            what: "epoch".to_string(),
            details: serde_json::json!({"epoch": 1, "seconds": 0.5}),
        };
        let lines: Vec<Line> = [metrics(0.1), other, finish].into_iter().map(Line::now).collect();
        let mut bytes: Vec<u8> = lines.iter().flat_map(Line::to_json).collect();
        bytes.extend_from_slice(b"{\"at\":\"2026-11-21T10:15:30.123Z\",\"event\":\"metr");
        files::write_whole(&path, &bytes).unwrap();
        assert_eq!(read(&path).unwrap(), lines);
    }

    #[test]
    fn only_a_torn_line_is_ended_before_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        assert_eq!(gap(&path).unwrap(), b"");
        for (content, expected) in [("", ""), ("{}\n", ""), ("{}\n{\"at", "\n"), ("{", "\n")] {
            files::write_whole(&path, content.as_bytes()).unwrap();
            assert_eq!(gap(&path).unwrap(), expected.as_bytes(), "{content:?}");
        }
    }

    #[test]
    fn details_that_are_no_object_are_kept_and_reserved_keys_are_not_overwritten() {
        let line = |details| {
            let entry = Entry::Other {
                what: "note".to_string(),
                details,
            };
            let bytes = Line::now(entry).to_json();
            serde_json::from_slice::<Value>(&bytes).unwrap()
        };
        assert_eq!(line("text".into())["details"], "text");
        assert_eq!(line(serde_json::json!({"event": "finished"}))["event"], "note");
    }
}
