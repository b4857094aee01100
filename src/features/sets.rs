//! What is in the cache, and making room in it.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::extractor::{Identity, VERSION};
use super::image::{self, ImageIdentity};
use super::store::{DATA, INDEX, RECIPE, count, sets_folder};
use super::usage::{self, Access, IN_USE};
use crate::audio::Scale;
use crate::files;

/// One feature set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CachedSet {
    /// The name of its folder.
    pub key: String,
    /// Its recipe in short; says so where that cannot be read or where another version of the program computed it.
    pub recipe: String,
    /// `[channels, rows, frames]`.
    pub shape: Option<[usize; 3]>,
    /// Arrays.
    pub examples: usize,
    /// On disk.
    pub bytes: u64,
    /// Seconds since 1970.
    pub last_used: u64,
    #[serde(skip)]
    folder: PathBuf,
}

/// What pruning did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pruned {
    pub removed: Vec<CachedSet>,
    /// Would have gone, but a process uses them.
    pub kept_in_use: Vec<CachedSet>,
    /// What the cache's feature sets take now.
    pub bytes_left: u64,
}

/// All feature sets, the one used last first.
///
/// # Errors
/// The cache cannot be read. A cache that is not there is empty.
pub fn list(cache: &Path) -> Result<Vec<CachedSet>, files::Error> {
    let folder = sets_folder(cache);
    let at = || files::Error::at("read", &folder);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at()(error)),
    };
    let mut sets = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| at()(error))?.path();
        if path.is_dir() {
            sets.push(describe(path));
        }
    }
    sets.sort_by(|a, b| (b.last_used, &a.key).cmp(&(a.last_used, &b.key)));
    Ok(sets)
}

fn describe(folder: PathBuf) -> CachedSet {
    let text = std::fs::read_to_string(folder.join(RECIPE)).unwrap_or_default();
    let sound: Option<Identity> = serde_json::from_str(&text).ok();
    let pictures: Option<ImageIdentity> = serde_json::from_str(&text).ok();
    let known = match (&sound, &pictures) {
        (Some(sound), _) => Some((summary(sound), sound.version == VERSION)),
        (None, Some(pictures)) => Some((summary_of_pictures(pictures), pictures.version == image::VERSION)),
        (None, None) => None,
    };
    let recipe = match known {
        Some((recipe, true)) => recipe,
        Some((recipe, false)) => format!("{recipe} (of another version of this program)"),
        None => "unknown (of another version of this program)".into(),
    };
    let last_used = [folder.join(IN_USE), folder.join(DATA), folder.clone()]
        .iter()
        .find_map(|path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok())
        .unwrap_or(UNIX_EPOCH);
    CachedSet {
        key: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        recipe,
        shape: sound
            .map(|sound| sound.shape)
            .or(pictures.map(|pictures| pictures.shape)),
        examples: count(&std::fs::read(folder.join(INDEX)).unwrap_or_default()),
        bytes: size(&folder),
        last_used: seconds(last_used),
        folder,
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.metadata().ok())
        .filter(std::fs::Metadata::is_file)
        .map(|metadata| metadata.len())
        .sum()
}

fn summary_of_pictures(identity: &ImageIdentity) -> String {
    let size = identity.image.size;
    format!("pictures of {size}×{size}")
}

fn summary(identity: &Identity) -> String {
    let mel = &identity.mel;
    let kilohertz = |hertz: f64| format!("{} kHz", (hertz / 100.0).round() / 10.0);
    let band = match mel.fmax {
        Some(fmax) => format!(" up to {}", kilohertz(fmax)),
        None => String::new(),
    };
    let scale = match mel.scale {
        Scale::Power => "power",
        Scale::Db { .. } => "dB",
        Scale::Log { .. } => "log",
    };
    format!(
        "{} mels{band} at {}, n_fft {}, hop {}, {scale}",
        mel.n_mels,
        kilohertz(f64::from(mel.sample_rate)),
        mel.n_fft,
        mel.hop_length
    )
}

/// Removes the feature sets that were not used for longest until the others take `at_most` bytes together. Sets that a process
/// uses stay.
///
/// # Errors
/// A set cannot be removed; those before it are gone.
pub fn prune(cache: &Path, at_most: u64) -> Result<Pruned, files::Error> {
    let sets = sets_folder(cache);
    let mut pruned = Pruned {
        removed: Vec::new(),
        kept_in_use: Vec::new(),
        bytes_left: 0,
    };
    if !sets.is_dir() {
        return Ok(pruned);
    }
    let _nobody_begins = usage::lock_all(&sets, Access::Exclusive)?;
    let listed = list(cache)?;
    pruned.bytes_left = listed.iter().map(|set| set.bytes).sum();
    for set in listed.into_iter().rev() {
        if pruned.bytes_left <= at_most {
            break;
        }
        match usage::try_exclusive(&set.folder)? {
            Some(_lock) => {
                files::remove_folder(&set.folder)?;
                pruned.bytes_left -= set.bytes.min(pruned.bytes_left);
                pruned.removed.push(set);
            }
            None => pruned.kept_in_use.push(set),
        }
    }
    Ok(pruned)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::store::Store;
    use super::super::usage::InUse;
    use super::*;

    fn set(cache: &Path, name: &str, age: u64, records: usize) -> String {
        let store = Store::open(cache, name, 250).unwrap();
        let mut writer = store.writer().unwrap();
        for record in 0..records {
            let key = super::super::store::key(&record.to_string(), 0.0, None);
            writer.append(&key, &[1.0; 250], None).unwrap();
        }
        writer.sync().unwrap();
        let key = Store::name(name);
        let used = files::open_in_place(&sets_folder(cache).join(&key).join(IN_USE)).unwrap();
        used.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        key
    }

    #[test]
    fn the_least_recently_used_go_first_and_those_in_use_stay() {
        let cache = tempfile::tempdir().unwrap();
        assert_eq!(list(cache.path()).unwrap(), []);
        assert_eq!(prune(cache.path(), 0).unwrap().removed, []);
        let old = set(cache.path(), "old", 1000, 8);
        let recent = set(cache.path(), "recent", 10, 2);
        let used = set(cache.path(), "used", 2000, 4);
        let listed = list(cache.path()).unwrap();
        let keys: Vec<&str> = listed.iter().map(|set| set.key.as_str()).collect();
        assert_eq!(keys, [&recent, &old, &used]);
        assert_eq!(listed.iter().map(|set| set.examples).collect::<Vec<_>>(), [2, 8, 4]);
        assert!(listed[1].bytes > 8000 && listed[1].bytes < 9500);

        let in_use = InUse::begin(&sets_folder(cache.path()), &used).unwrap();
        let lock = files::open_in_place(&sets_folder(cache.path()).join(&used).join(IN_USE)).unwrap();
        lock.set_modified(SystemTime::now() - Duration::from_secs(2000))
            .unwrap();
        let pruned = prune(cache.path(), 8000).unwrap();
        let keys = |sets: &[CachedSet]| sets.iter().map(|set| set.key.clone()).collect::<Vec<_>>();
        assert_eq!(
            (keys(&pruned.removed), keys(&pruned.kept_in_use)),
            (vec![old], vec![used.clone()])
        );
        drop(in_use);
        let pruned = prune(cache.path(), 0).unwrap();
        assert_eq!((keys(&pruned.removed), pruned.bytes_left), (vec![used, recent], 0));
        assert_eq!(list(cache.path()).unwrap(), []);
    }
}
