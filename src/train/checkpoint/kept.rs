//! Which checkpoints a run keeps, and which of them is taken.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};

use super::{Content, Files, Loaded, MANIFEST, State, bad};
use crate::features::feature_set::Statistics;
use crate::files;
use crate::nn::Network;
use crate::train::Error;

const LAST: &str = "last";
const BEST: &str = "best";

/// The checkpoints of a run.
pub struct Checkpoints<'a> {
    pub folder: &'a Path,
    /// How many are kept beside the best one, at least 1.
    pub keep_last: usize,
}

impl Checkpoints<'_> {
    /// The folder of the last one.
    pub fn last(&self) -> PathBuf {
        self.folder.join(LAST)
    }

    /// Writes the best one in place of the one before.
    pub fn save_best(&self, content: &Content) -> Result<(), Error> {
        self.replace(BEST, content)
    }

    /// Writes the last one; those before it move up.
    pub fn save_last(&self, content: &Content) -> Result<(), Error> {
        let Some(oldest) = self.keep_last.checked_sub(1).filter(|oldest| *oldest > 0) else {
            return self.replace(LAST, content);
        };
        let fresh = self.folder.join("last.new");
        content.write(&fresh)?;
        let place = |age: usize| match age {
            0 => self.last(),
            age => self.folder.join(format!("{LAST}-{age}")),
        };
        files::remove_folder(&place(oldest))?;
        for age in (1..oldest).rev().filter(|&age| place(age).exists()) {
            files::rename(&place(age), &place(age + 1))?;
        }
        files::replace_folder(&fresh, &place(0), &place(1), files::Old::Kept)?;
        Ok(())
    }

    fn replace(&self, name: &str, content: &Content) -> Result<(), Error> {
        let fresh = self.folder.join(format!("{name}.new"));
        content.write(&fresh)?;
        let old = self.folder.join(format!("{name}.old"));
        files::replace_folder(&fresh, &self.folder.join(name), &old, files::Old::Removed)?;
        Ok(())
    }

    /// Ends what a crash left half done: a complete checkpoint gets its place, and what is left over is removed.
    pub fn tidy(&self) -> Result<(), Error> {
        for name in [LAST, BEST] {
            let target = self.folder.join(name);
            let [fresh, old] = ["new", "old"].map(|suffix| self.folder.join(format!("{name}.{suffix}")));
            let is_sound = |path: &Path| Files::open(path).and_then(|files| files.verify()).is_ok();
            if !target.exists() {
                match is_sound(&fresh) {
                    true => files::rename(&fresh, &target)?,
                    false if old.exists() => files::rename(&old, &target)?,
                    false => {}
                }
            }
            files::remove_folder(&fresh)?;
            files::remove_folder(&old)?;
        }
        Ok(())
    }

    /// Loads the sound checkpoint in which most is done.
    pub fn load_to_go_on(&self, network: &Network) -> Result<Loaded, Error> {
        first_sound(self.folder, |_| true, |files| files.load(network))
    }

    /// Loads the parameters and buffers of the best network, which was validated after `step` updates.
    pub fn load_best(&self, network: &Network, step: u64) -> Result<(), Error> {
        let is_best = |state: &State| state.updates == step && state.validated == step;
        first_sound(self.folder, is_best, |files| files.load(network).map(drop))
    }
}

/// Puts the parameters and buffers into `network` that a finished run was tested with: the best, or the last where the best are not
/// restored. Of an unfinished run, those that would be tested if it ended here. Gives the figures that features are normalised with.
///
/// # Errors
/// [`Error::Checkpoint`] where no checkpoint is sound.
pub fn load_tested(folder: &Path, network: &Network, restore_best: bool) -> Result<Option<Statistics>, Error> {
    let newest = first_sound(folder, |_| true, |files| files.state())?;
    let best = newest.early_stopping.best_step.filter(|_| restore_best);
    let step = best.unwrap_or(newest.updates);
    let is_wanted = |state: &State| state.updates == step && (best.is_none() || state.validated == step);
    first_sound(folder, is_wanted, |files| {
        files.load(network)?;
        files.statistics()
    })
}

/// Where training stands by the checkpoint that [`Checkpoints::load_to_go_on`] loads; `None` where there was never a whole one.
///
/// # Errors
/// [`Error::Checkpoint`] where there are checkpoints, but none is sound.
pub fn state_to_go_on(folder: &Path) -> Result<Option<State>, Error> {
    // Its manifest is written last: without one, and with no other beside it, it is the first, which a killed process began to write.
    let is_begun = |path: &PathBuf| path.extension().is_some_and(|end| end == "new") && !path.join(MANIFEST).exists();
    if candidates(folder).iter().all(is_begun) {
        return Ok(None);
    }
    first_sound(
        folder,
        |_| true,
        |files| {
            files.verify()?;
            files.state().map(Some)
        },
    )
}

/// Folders that may be checkpoints: those in place first.
fn candidates(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort_by_key(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let waiting = name.ends_with(".new") || name.ends_with(".old");
        (waiting, !name.starts_with(LAST), name.len(), name)
    });
    folders
}

/// What `read` makes of the first sound checkpoint among those that are `wanted`, beginning with the one in which most is done. Where
/// there is none: the problem of the first.
fn first_sound<T>(
    folder: &Path,
    wanted: impl Fn(&State) -> bool,
    read: impl Fn(&Files) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut first_problem = None;
    let mut found = Vec::new();
    let candidates = candidates(folder);
    for candidate in &candidates {
        match Files::open(candidate).and_then(|files| Ok((files.state()?, files))) {
            Ok((state, files)) if wanted(&state) => found.push((state, files)),
            Ok(_) => {}
            Err(problem) => drop(first_problem.get_or_insert(problem)),
        }
    }
    // Stable: of equals, those in place come first.
    found.sort_by_key(|(state, _)| Reverse((state.updates, state.validated)));
    for (_, files) in found {
        match read(&files) {
            Ok(value) => return Ok(value),
            Err(problem) => drop(first_problem.get_or_insert(problem)),
        }
    }
    Err(first_problem.unwrap_or_else(|| bad(folder, "there is no such checkpoint any more")))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::nn::{NetworkSpec, Plan};
    use crate::train::checkpoint::MODEL;

    fn network(seed: u64) -> Network {
        let spec: NetworkSpec =
            toml::from_str(r#"layers = [{ conv2d = { channels = 2, batch_norm = true } }, { linear = "targets" }]"#)
                .unwrap();
        let plan = Plan::new(&spec, &[1, 3, 4], 2).unwrap();
        Network::new(&spec, &plan, seed, &Device::Cpu).unwrap()
    }

    fn state(updates: u64) -> State {
        State {
            updates,
            validated: updates,
            ..State::new(1, 1)
        }
    }

    fn content(network: &Network, updates: u64) -> Content<'_> {
        Content {
            network,
            statistics: None,
            optimizer: Vec::new(),
            running: Vec::new(),
            state: state(updates),
        }
    }

    fn weights(network: &Network) -> Vec<Vec<f32>> {
        network
            .parameters()
            .iter()
            .map(|(_, var)| var.flatten_all().unwrap().to_vec1().unwrap())
            .collect()
    }

    fn names(folder: &Path) -> Vec<String> {
        let names = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn spoil(checkpoint: &Path) {
        let model = checkpoint.join(MODEL);
        let mut bytes = std::fs::read(&model).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&model, bytes).unwrap();
    }

    #[test]
    fn so_many_are_kept_and_the_last_one_comes_back() {
        for (keep_last, kept) in [(1, &["best", "last"][..]), (3, &["best", "last", "last-1", "last-2"])] {
            let folder = tempfile::tempdir().unwrap();
            let checkpoints = Checkpoints {
                folder: folder.path(),
                keep_last,
            };
            assert_eq!(state_to_go_on(folder.path()).unwrap(), None);
            for updates in 1..=5 {
                let network = network(updates);
                if updates <= 2 {
                    checkpoints.save_best(&content(&network, updates)).unwrap();
                }
                checkpoints.save_last(&content(&network, updates)).unwrap();
            }
            assert_eq!(names(folder.path()), kept);
            assert_eq!(state_to_go_on(folder.path()).unwrap(), Some(state(5)));
            let loaded = network(9);
            assert_eq!(checkpoints.load_to_go_on(&loaded).unwrap().state, state(5));
            assert_eq!(weights(&loaded), weights(&network(5)));
            checkpoints.load_best(&loaded, 2).unwrap();
            assert_eq!(weights(&loaded), weights(&network(2)));
        }
    }

    #[test]
    fn damaged_ones_are_found_and_the_one_before_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints {
            folder: folder.path(),
            keep_last: 3,
        };
        for updates in 1..=4 {
            let network = network(updates);
            if updates == 1 {
                checkpoints.save_best(&content(&network, updates)).unwrap();
            }
            checkpoints.save_last(&content(&network, updates)).unwrap();
        }
        for (damaged, expected) in [("last", 3), ("last-1", 2), ("last-2", 1)] {
            spoil(&folder.path().join(damaged));
            let loaded = network(9);
            assert_eq!(checkpoints.load_to_go_on(&loaded).unwrap().state, state(expected));
            assert_eq!(weights(&loaded), weights(&network(expected)));
            assert_eq!(state_to_go_on(folder.path()).unwrap(), Some(state(expected)));
        }
        spoil(&folder.path().join("best"));
        let loaded = network(9);
        let error = checkpoints.load_to_go_on(&loaded).err().unwrap();
        assert!(error.to_string().contains("model.safetensors is damaged"), "{error}");
        assert!(error.to_string().contains("last`"), "{error}");
        assert!(state_to_go_on(folder.path()).is_err());
        assert_eq!(weights(&loaded), weights(&network(9)));
    }

    #[test]
    fn a_crash_within_the_first_checkpoint_is_as_if_there_was_none() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints {
            folder: folder.path(),
            keep_last: 1,
        };
        checkpoints.save_best(&content(&network(1), 1)).unwrap();
        let begun = folder.path().join("best.new");
        std::fs::rename(folder.path().join("best"), &begun).unwrap();
        std::fs::remove_file(begun.join(MANIFEST)).unwrap();
        assert_eq!(state_to_go_on(folder.path()).unwrap(), None);
        checkpoints.save_best(&content(&network(2), 2)).unwrap();
        assert_eq!(names(folder.path()), ["best"]);
        assert_eq!(state_to_go_on(folder.path()).unwrap(), Some(state(2)));
        // In place it was whole once: that its manifest is gone is no reason to begin anew without a word.
        std::fs::remove_file(folder.path().join("best").join(MANIFEST)).unwrap();
        assert!(state_to_go_on(folder.path()).is_err());
    }

    #[test]
    fn a_crash_between_two_renames_loses_nothing() {
        for (moved, tidied) in [("last.old", "last"), ("last.new", "last"), ("last-1", "last-1")] {
            let folder = tempfile::tempdir().unwrap();
            let checkpoints = Checkpoints {
                folder: folder.path(),
                keep_last: 1,
            };
            checkpoints.save_last(&content(&network(1), 1)).unwrap();
            std::fs::rename(checkpoints.last(), folder.path().join(moved)).unwrap();
            let loaded = network(9);
            assert_eq!(checkpoints.load_to_go_on(&loaded).unwrap().state, state(1));
            checkpoints.tidy().unwrap();
            assert_eq!(names(folder.path()), [tidied]);
            assert_eq!(checkpoints.load_to_go_on(&loaded).unwrap().state, state(1));
        }
    }
}
