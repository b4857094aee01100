//! The folder of a run: `runs/<experiment>/<YYYYMMDD-HHMMSS-xxxx>/`.
//!
//! A folder belongs to one run only: it is made with an exclusive mkdir, and its name is used by no other experiment in
//! the same runs folder. The suffix only tells runs of the same second apart; it is no part of any result, so it comes
//! from the operating system and not from the experiment's seed.

use std::hash::{BuildHasher, Hasher};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::Error;
use crate::files;

/// Without 0, 1, i, l and o: ids are read aloud and typed.
const SUFFIX_ALPHABET: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
/// The suffix begins with a letter, so that a prefix of it is never mistaken for a date.
const SUFFIX_LETTERS: u64 = 23;
const SUFFIX_LENGTH: usize = 4;
const ID_LENGTH: usize = "YYYYMMDD-HHMMSS-".len() + SUFFIX_LENGTH;
const ATTEMPTS: usize = 100;
/// Room for the name in every usual file system (255 bytes), and in a table.
const NAME_LENGTH: usize = 100;

/// The folder of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir {
    experiment: String,
    id: String,
    path: PathBuf,
}

impl RunDir {
    /// Makes the folder of a new run, and the folders above it where they are missing.
    pub fn create(runs: &Path, experiment: &str) -> Result<Self, Error> {
        Self::create_with(runs, experiment, || new_id(Timestamp::now()))
    }

    fn create_with(runs: &Path, experiment: &str, mut new_id: impl FnMut() -> String) -> Result<Self, Error> {
        if !is_experiment_name(experiment) {
            return Err(Error::ExperimentName {
                name: experiment.to_string(),
            });
        }
        let folder = runs.join(experiment);
        files::create_folder(&folder)?;
        for _ in 0..ATTEMPTS {
            let id = new_id();
            let path = folder.join(&id);
            match std::fs::create_dir(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(files::Error::at("create the folder", &path)(error).into()),
            }
            // Looked at after the mkdir: of two experiments that draw the same name at once, at least one sees the other.
            if taken_elsewhere(runs, experiment, &id)? {
                std::fs::remove_dir(&path).map_err(files::Error::at("remove the folder", &path))?;
                continue;
            }
            return Ok(Self {
                experiment: experiment.to_string(),
                id,
                path,
            });
        }
        Err(Error::NoFreeName { path: folder })
    }

    /// The folder of a run that exists. `path` ends in `<experiment>/<id>`.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let not_a_run = || Error::NotARun {
            path: path.to_path_buf(),
        };
        let absolute = path.canonicalize().map_err(files::Error::at("open the folder", path))?;
        let name = |path: Option<&Path>| Some(path?.file_name()?.to_str()?.to_string());
        let id = name(Some(&absolute)).filter(|id| is_run_id(id)).ok_or_else(not_a_run)?;
        let experiment = name(absolute.parent())
            .filter(|name| is_experiment_name(name))
            .ok_or_else(not_a_run)?;
        if !absolute.is_dir() {
            return Err(not_a_run());
        }
        Ok(Self {
            experiment,
            id,
            path: path.to_path_buf(),
        })
    }

    /// `YYYYMMDD-HHMMSS-xxxx`, UTC.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The experiment's name.
    pub fn experiment(&self) -> &str {
        &self.experiment
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in the folder: `file("plots/loss.svg")`.
    pub fn file(&self, relative: &str) -> PathBuf {
        self.path.join(relative)
    }
}

/// Every run folder in `runs`, sorted by experiment and id. Other folders and files are passed over.
pub fn run_folders(runs: &Path) -> Result<Vec<RunDir>, Error> {
    let mut found = Vec::new();
    for experiment in folders(runs)? {
        if !is_experiment_name(&experiment) {
            continue;
        }
        let folder = runs.join(&experiment);
        found.extend(
            folders(&folder)?
                .into_iter()
                .filter(|id| is_run_id(id))
                .map(|id| RunDir {
                    path: folder.join(&id),
                    experiment: experiment.clone(),
                    id,
                }),
        );
    }
    found.sort_by(|a, b| (&a.experiment, &a.id).cmp(&(&b.experiment, &b.id)));
    Ok(found)
}

/// The names of the folders in `parent`.
fn folders(parent: &Path) -> Result<Vec<String>, Error> {
    let at = || files::Error::at("list the folder", parent);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(parent).map_err(at())? {
        let entry = entry.map_err(at())?;
        if let (true, Ok(name)) = (entry.path().is_dir(), entry.file_name().into_string()) {
            names.push(name);
        }
    }
    Ok(names)
}

fn taken_elsewhere(runs: &Path, experiment: &str, id: &str) -> Result<bool, Error> {
    Ok(folders(runs)?
        .iter()
        .any(|other| other != experiment && runs.join(other).join(id).exists()))
}

/// Letters, digits, `-`, `_`, `.`; begins with a letter or a digit.
fn is_experiment_name(name: &str) -> bool {
    name.len() <= NAME_LENGTH
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// Whether `name` has the form of a run's id.
fn is_run_id(name: &str) -> bool {
    let mut parts = name.split('-');
    let digits = |part: Option<&str>, length| {
        part.is_some_and(|part| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    name.len() == ID_LENGTH
        && digits(parts.next(), 8)
        && digits(parts.next(), 6)
        && parts
            .next()
            .is_some_and(|suffix| suffix.len() == SUFFIX_LENGTH && suffix.bytes().all(|b| b.is_ascii_alphanumeric()))
        && parts.next().is_none()
}

/// The random part of an id: "k3f9".
pub(super) fn suffix(id: &str) -> &str {
    id.rsplit('-').next().unwrap_or(id)
}

fn new_id(now: Timestamp) -> String {
    let mut id = now.strftime("%Y%m%d-%H%M%S-").to_string();
    let mut entropy = entropy();
    let mut draw = |bound: u64| {
        let drawn = entropy % bound;
        entropy /= bound;
        char::from(SUFFIX_ALPHABET[drawn as usize])
    };
    id.push(draw(SUFFIX_LETTERS));
    for _ in 1..SUFFIX_LENGTH {
        id.push(draw(SUFFIX_ALPHABET.len() as u64));
    }
    id
}

/// 64 bits that differ from call to call and from process to process: the standard library keys its hash maps with the
/// system's random source, and a fresh key hashes the time.
fn entropy() -> u64 {
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_i128(Timestamp::now().as_nanosecond());
    hasher.write_u32(std::process::id());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_run_has_a_folder_of_its_own() {
        let runs = tempfile::tempdir().unwrap();
        let first = RunDir::create(&runs.path().join("deep/runs"), "deam-cnn").unwrap();
        let second = RunDir::create(&runs.path().join("deep/runs"), "deam-cnn").unwrap();
        assert_ne!(first.id(), second.id());
        assert!(is_run_id(first.id()), "{}", first.id());
        assert!(suffix(first.id()).starts_with(|c: char| c.is_ascii_alphabetic()));
        assert!(first.path().is_dir());
        assert_eq!(
            first.file("plots/loss.svg"),
            first.path().join("plots").join("loss.svg")
        );
        assert_eq!(RunDir::open(first.path()).unwrap(), first);
    }

    #[test]
    fn a_name_in_use_is_not_given_again_in_any_experiment() {
        let runs = tempfile::tempdir().unwrap();
        let mut names = ["20261121-101530-aaaa", "20261121-101530-aaaa", "20261121-101530-bbbb"].into_iter();
        let mut create =
            |experiment| RunDir::create_with(runs.path(), experiment, || names.next().unwrap().to_string());
        assert_eq!(create("one").unwrap().id(), "20261121-101530-aaaa");
        assert_eq!(create("two").unwrap().id(), "20261121-101530-bbbb");
        assert!(!runs.path().join("two/20261121-101530-aaaa").exists());
        let always = RunDir::create_with(runs.path(), "two", || "20261121-101530-bbbb".to_string());
        assert!(matches!(always, Err(Error::NoFreeName { .. })));
        assert_eq!(run_folders(runs.path()).unwrap().len(), 2);
    }

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        let runs = tempfile::tempdir().unwrap();
        for name in ["", "..", "../x", "a/b", ".hidden", "a b", &"x".repeat(101)] {
            let error = RunDir::create(runs.path(), name).unwrap_err();
            assert!(matches!(error, Error::ExperimentName { .. }), "{name}");
        }
        assert_eq!(std::fs::read_dir(runs.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_runs_folder_that_cannot_be_made_is_named_with_a_hint() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = RunDir::create(&file.path().join("runs"), "x").unwrap_err();
        assert!(
            error.to_string().contains(&file.path().display().to_string()),
            "{error}"
        );
        assert!(error.hint().is_some());
    }

    #[test]
    fn only_run_folders_open() {
        let runs = tempfile::tempdir().unwrap();
        std::fs::create_dir(runs.path().join("notes")).unwrap();
        assert!(matches!(
            RunDir::open(&runs.path().join("notes")),
            Err(Error::NotARun { .. })
        ));
        assert!(matches!(
            RunDir::open(&runs.path().join("missing")),
            Err(Error::Files(_))
        ));
    }
}
