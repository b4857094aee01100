//! Which runs a repeated experiment is made of.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cli::failure::Failure;
use crate::files;
use crate::track::RunDir;

/// The file in a parent's folder.
const FILE: &str = "plan.json";

/// The runs of a parent, in the order in which they begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub runs: Vec<Variation>,
}

/// What one of the runs has of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variation {
    pub seed: u64,
    /// The fold that tests; `None` where the folds are not repeated.
    pub fold: Option<usize>,
}

impl Plan {
    /// `seeds` seeds from `first` on; of each, all of so many folds.
    pub fn new(first: u64, seeds: u64, folds: Option<usize>) -> Self {
        let folds: Vec<Option<usize>> = match folds {
            Some(folds) => (0..folds).map(Some).collect(),
            None => vec![None],
        };
        let of_seed = |number| {
            let seed = first.wrapping_add(number);
            folds.iter().map(move |&fold| Variation { seed, fold })
        };
        Self {
            runs: (0..seeds).flat_map(of_seed).collect(),
        }
    }

    pub fn seeds(&self) -> Vec<u64> {
        let mut seeds: Vec<u64> = Vec::new();
        for run in &self.runs {
            if !seeds.contains(&run.seed) {
                seeds.push(run.seed);
            }
        }
        seeds
    }

    pub fn has_folds(&self) -> bool {
        self.runs.iter().any(|run| run.fold.is_some())
    }

    /// "5 seeds", "10 folds", "3 seeds of 10 folds".
    pub fn describe(&self) -> String {
        let seeds = self.seeds().len();
        let folds = self.runs.len() / seeds.max(1);
        match (self.has_folds(), seeds) {
            (false, seeds) => crate::cli::output::count(seeds, "seed"),
            (true, 1) => crate::cli::output::count(folds, "fold"),
            (true, seeds) => format!("{seeds} seeds of {folds} folds"),
        }
    }

    pub fn write(&self, dir: &RunDir) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(self).unwrap_or_default() + "\n";
        Ok(files::write_whole(&dir.file(FILE), text.as_bytes())?)
    }

    /// The plan of a parent's folder; `None` where the run is no parent.
    pub fn read(folder: &Path) -> Result<Option<Self>, Failure> {
        let path = folder.join(FILE);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(files::Error::at("read", &path)(error).into()),
        };
        let plan = serde_json::from_slice::<Self>(&text).map_err(|error| {
            Failure::request(
                format!("`{}` is damaged: {error}", path.display()),
                "begin the repeats anew with `affect run`; the finished runs stay as they are".to_owned(),
            )
        })?;
        Ok(Some(plan))
    }
}

impl Variation {
    /// "seed 43, fold 1".
    pub fn describe(&self) -> String {
        match self.fold {
            Some(fold) => format!("seed {}, fold {fold}", self.seed),
            None => format!("seed {}", self.seed),
        }
    }

    /// The settings that make it.
    pub fn overrides(&self) -> Vec<String> {
        let seed = format!("experiment.seed={}", self.seed);
        let fold = self.fold.map(|fold| format!("dataset.split.fold={fold}"));
        std::iter::once(seed).chain(fold).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_has_every_fold() {
        let plan = Plan::new(7, 2, Some(3));
        let runs: Vec<_> = plan.runs.iter().map(|run| (run.seed, run.fold)).collect();
        assert_eq!(
            runs,
            [
                (7, Some(0)),
                (7, Some(1)),
                (7, Some(2)),
                (8, Some(0)),
                (8, Some(1)),
                (8, Some(2))
            ]
        );
        assert_eq!(plan.describe(), "2 seeds of 3 folds");
        assert_eq!(Plan::new(u64::MAX, 2, None).seeds(), [u64::MAX, 0]);
        assert_eq!(Plan::new(1, 5, None).describe(), "5 seeds");
    }

    #[test]
    fn a_plan_comes_back_and_a_damaged_one_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::create(folder.path(), "x").unwrap();
        assert_eq!(Plan::read(dir.path()).unwrap(), None);
        let plan = Plan::new(1, 2, Some(3));
        plan.write(&dir).unwrap();
        assert_eq!(Plan::read(dir.path()).unwrap(), Some(plan));
        files::write_whole(&dir.file(FILE), b"{\"runs\": [{}]}").unwrap();
        assert!(Plan::read(dir.path()).is_err());
    }
}
