//! Which runs a command is about, and how they are taken together.

use std::collections::HashSet;

use super::failure::Failure;
use super::output;
use crate::report::compare::{self, Baselines, Group, Grouping, Models, Pairs, RunRecord};
use crate::track::{Database, Order, RunFilter, RunSummary, Status};

#[derive(Debug, Clone, clap::Args)]
pub struct Selection {
    /// Ids, unique beginnings of them, or `latest`; a parent stands for its children.
    #[arg(value_name = "RUN")]
    pub run: Vec<String>,
    /// All finished runs of this experiment; can be given several times.
    #[arg(long, value_name = "NAME")]
    pub experiment: Vec<String>,
    /// Take runs with the same value of this KEY together, whatever else differs; can be given several times.
    #[arg(long, value_name = "KEY")]
    pub group_by: Vec<String>,
}

impl Selection {
    /// `command`: what is typed for it.
    pub fn refuse_nothing(&self, command: &str) -> Result<(), Failure> {
        if self.run.is_empty() && self.experiment.is_empty() {
            return Err(Failure::request(
                "no runs are named",
                format!("name them (`affect {command} k3f9 latest`), or experiments (`--experiment a --experiment b`)"),
            ));
        }
        Ok(())
    }

    /// The run, where only one is named and nothing else asked for. It need not be finished, and may have repeats.
    pub fn only(&self, database: &Database) -> Result<Option<RunSummary>, Failure> {
        match (
            self.run.as_slice(),
            self.experiment.is_empty(),
            self.group_by.is_empty(),
        ) {
            ([reference], true, true) => Ok(Some(database.resolve(reference)?)),
            _ => Ok(None),
        }
    }

    /// As it was typed.
    pub fn typed(&self) -> String {
        let options = |name: &'static str, values: &[String]| -> Vec<String> {
            values
                .iter()
                .flat_map(|value| [name.to_owned(), quoted(value)])
                .collect()
        };
        let mut words: Vec<String> = self.run.iter().map(|run| quoted(run)).collect();
        words.extend(options("--experiment", &self.experiment));
        words.extend(options("--group-by", &self.group_by));
        words.join(" ")
    }

    /// The finished runs that are meant, each once, in the order of the request.
    pub fn finished(&self, database: &Database) -> Result<Vec<RunSummary>, Failure> {
        let mut named = Vec::new();
        for reference in &self.run {
            let run = database.resolve(reference)?;
            match run.children {
                0 => named.push(run),
                _ => named.extend(database.children(&run.id)?.into_iter().rev()),
            }
        }
        for name in &self.experiment {
            let of_experiment = database.runs(&RunFilter {
                experiment: Some(name.clone()),
                order: Order::OldestFirst,
                ..RunFilter::default()
            })?;
            if of_experiment.is_empty() {
                return Err(Failure::request(
                    format!("there are no runs of the experiment `{name}`"),
                    "list the runs with `affect ls`".to_owned(),
                ));
            }
            // A parent's figures are its children's.
            named.extend(of_experiment.into_iter().filter(|run| run.children == 0));
        }
        let mut seen = HashSet::new();
        named.retain(|run| seen.insert(run.id.clone()));
        let is_done = |run: &RunSummary| matches!(run.status, Status::Completed | Status::StoppedEarly);
        for run in named.iter().filter(|run| !is_done(run)) {
            output::warning(&format!("{} is left out: it is {}", run.id, run.status.name()));
        }
        named.retain(is_done);
        if named.is_empty() {
            return Err(Failure::request(
                "none of the runs is finished",
                "list the runs with `affect ls`".to_owned(),
            ));
        }
        Ok(named)
    }

    /// The runs with their figures, taken together.
    pub fn groups(&self, database: &Database, runs: Vec<RunSummary>) -> Result<Vec<Group>, Failure> {
        let grouping = self.grouping(database, &runs)?;
        let records = runs.into_iter().map(|run| RunRecord::read(database, run));
        Ok(compare::group(records.collect::<Result<_, _>>()?, &grouping))
    }

    fn grouping(&self, database: &Database, runs: &[RunSummary]) -> Result<Grouping, Failure> {
        if self.group_by.is_empty() {
            return Ok(Grouping::Settings);
        }
        let mut values = vec![Vec::new(); runs.len()];
        for name in &self.group_by {
            let key = database.key(name.trim())?;
            let of_key = database.values(&key, runs)?;
            values
                .iter_mut()
                .zip(of_key)
                .for_each(|(values, value)| values.push(value));
        }
        Ok(Grouping::Values(values))
    }
}

/// For a shell.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=:".contains(letter);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// What is tested against what.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct PairsArgs {
    /// Hold every group against every other one, not only against the first.
    #[arg(long)]
    all_pairs: bool,
    /// Hold every group also against each of its baselines.
    #[arg(long)]
    pub baselines: bool,
}

impl PairsArgs {
    /// As it was typed, with a blank before each option.
    pub fn typed(self) -> String {
        let options = [(self.all_pairs, " --all-pairs"), (self.baselines, " --baselines")];
        options
            .iter()
            .filter(|(is_set, _)| *is_set)
            .map(|(_, option)| *option)
            .collect()
    }

    pub fn pairs(self) -> Pairs {
        Pairs {
            models: if self.all_pairs {
                Models::EachOther
            } else {
                Models::TheFirst
            },
            baselines: if self.baselines { Baselines::Too } else { Baselines::Not },
        }
    }
}
