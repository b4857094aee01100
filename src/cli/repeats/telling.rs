//! What the user sees of the children.

use super::Job;
use super::processes::{Ended, Watcher, Words};
use crate::cli::output;
use crate::cli::progress::Stage;

/// Shows the user what the children do.
pub struct Telling<'a> {
    jobs: &'a [Job],
    /// Of the whole plan.
    runs: usize,
    pub ended: usize,
    pub failed: usize,
    pub interrupted: usize,
    /// Where the children's own words are not shown.
    pub stage: Option<Stage>,
    header_is_shown: bool,
    /// The metric that is told of a child that is done.
    monitor: &'a str,
}

impl<'a> Telling<'a> {
    /// `runs`: how many the plan has, those done before included.
    pub fn new(jobs: &'a [Job], runs: usize, words: Words, monitor: &'a str) -> Self {
        Self {
            jobs,
            runs,
            ended: 0,
            failed: 0,
            interrupted: 0,
            stage: (words == Words::Watched).then(|| Stage::start("runs")),
            header_is_shown: false,
            monitor,
        }
    }

    fn line(&self, heading: &str, text: &str) {
        match &self.stage {
            Some(stage) => stage.line(heading, text),
            None => output::item(heading, text),
        }
    }

    /// "3/10  seed 42, fold 2".
    fn name(&self, job: usize) -> String {
        let Some(job) = self.jobs.get(job) else {
            return String::new();
        };
        format!("{}/{}  {}", job.number, self.runs, job.variation.describe())
    }
}

impl Watcher for Telling<'_> {
    fn begun(&mut self, job: usize) {
        if self.stage.is_none() {
            output::note("");
            output::item("run", &self.name(job));
        }
    }

    fn said(&mut self, job: usize, line: &str) {
        let (heading, text) = line.split_at_checked(12).unwrap_or((line, ""));
        let heading = heading.trim();
        if heading.starts_with(|first: char| first.is_ascii_digit()) && heading.contains('/') {
            let which = self.jobs.get(job).map(|job| job.variation.describe());
            self.line(heading, &format!("{text}  {}", which.unwrap_or_default()));
        } else if ["epoch", "update"].contains(&heading) {
            // The columns' names, once for all.
            if !std::mem::replace(&mut self.header_is_shown, true) {
                self.line(heading, text);
            }
        } else if line.starts_with("warning: ") {
            self.line("", &format!("{}: {line}", self.name(job)));
        }
    }

    fn ended(&mut self, job: usize, ended: &Ended) {
        self.ended += 1;
        let name = self.name(job);
        match ended {
            Ended::Done(output) => {
                let said = headline(output, self.monitor).unwrap_or_default();
                self.line("done", &format!("{name}{said}"));
            }
            Ended::Interrupted => {
                self.interrupted += 1;
                self.line("stopped", &name);
            }
            Ended::Failed { how, last_words } => {
                self.failed += 1;
                self.line("failed", &format!("{name} {how}"));
                last_words.iter().for_each(|line| self.line("", line));
            }
        }
        if let Some(stage) = &self.stage {
            stage.count("runs done", self.ended, self.jobs.len());
        }
    }
}

/// A child's result in a few words, out of its JSON: ": rmse 0.2190 on the test split, 20260101-101010-abcd".
fn headline(json: &[u8], monitor: &str) -> Option<String> {
    let said: serde_json::Value = serde_json::from_slice(json).ok()?;
    let rows = said.get("results")?.as_array()?;
    let is = |row: &&serde_json::Value, name: &str| {
        row.get("split").is_some_and(|split| split == "test")
            && row.get("target").is_some_and(|target| target == "")
            && row.get("name").is_some_and(|it| it == name)
    };
    let (name, row) = [monitor, "rmse", "uar"]
        .into_iter()
        .find_map(|name| Some((name, rows.iter().find(|row| is(row, name))?)))?;
    let value = output::figure(row.get("value")?.as_f64()?);
    Some(format!(
        ": {name} {value} on the test split, {}",
        said.get("run")?.as_str()?
    ))
}
