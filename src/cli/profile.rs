//! Where the time of a run went (`--profile`): a table on stderr, `profile.json` in the run's folder and a line in its log.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::output;
use crate::track::{Recorder, RunDir};
use crate::train::{Phase, Profile};

/// The parts of a run, in their order.
pub struct Parts {
    parts: Vec<Part>,
    last: Instant,
    /// What else there is to say.
    remarks: Vec<String>,
}

#[derive(Serialize)]
struct Part {
    name: &'static str,
    seconds: f64,
    /// Of the whole run, 0 … 1.
    share: f64,
    /// What it is made of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    of: Vec<Part>,
}

impl Part {
    fn new(name: &'static str, time: Duration) -> Self {
        Self {
            name,
            seconds: time.as_secs_f64(),
            share: 0.0,
            of: Vec::new(),
        }
    }

    fn share_of(&mut self, whole: f64) {
        self.share = self.seconds / whole.max(f64::MIN_POSITIVE);
        self.of.iter_mut().for_each(|part| part.share_of(whole));
    }
}

impl Parts {
    /// `started`: when the run did; what was done since then is the preparation.
    pub fn since(started: Instant) -> Self {
        let mut parts = Self {
            parts: Vec::new(),
            last: started,
            remarks: Vec::new(),
        };
        parts.add("preparation", None);
        parts
    }

    /// The time since the last part was this one; `profile` says what it is made of.
    pub fn add(&mut self, name: &'static str, profile: Option<&Profile>) {
        let now = Instant::now();
        let mut part = Part::new(name, now - self.last);
        if let Some(profile) = profile {
            part.of = Phase::ALL
                .iter()
                .map(|&phase| Part::new(phase.name(), profile.get(phase)))
                .collect();
        }
        self.parts.push(part);
        self.last = now;
    }

    /// What is told behind the table.
    pub fn remark(&mut self, remark: Option<String>) {
        self.remarks.extend(remark);
    }

    /// Tells the user and the record. What cannot be written is no reason for a run to fail.
    pub fn tell(mut self, dir: &RunDir, recorder: &Recorder) {
        let whole: f64 = self.parts.iter().map(|part| part.seconds).sum();
        self.parts.iter_mut().for_each(|part| part.share_of(whole));
        let mut table = output::table(&["where the time went", "seconds", "share"], 1..3, 0);
        let row =
            |name: String, seconds: f64, share: f64| [name, format!("{seconds:.3}"), format!("{:.1} %", 100.0 * share)];
        for part in &self.parts {
            table.add_row(row(part.name.to_owned(), part.seconds, part.share));
            for inner in &part.of {
                table.add_row(row(format!("  {}", inner.name), inner.seconds, inner.share));
            }
        }
        table.add_row(row("all".to_owned(), whole, 1.0));
        output::note(&table.to_string());
        self.remarks.iter().for_each(|remark| output::note(remark));
        let details = serde_json::json!({ "seconds": whole, "parts": self.parts, "remarks": self.remarks });
        let text = serde_json::to_vec_pretty(&details).unwrap_or_default();
        if let Err(error) = crate::files::write_whole(&dir.file("profile.json"), &text) {
            output::warning(&error.to_string());
        }
        recorder.event("profile", details);
    }
}
