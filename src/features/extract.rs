//! From a manifest to a feature set: what the cache holds is used, the rest is computed on all cores.
//!
//! Memory does not grow with the corpus but for about 200 bytes an example (names, keys, places): the songs that are decoded
//! at a time are bounded by `ahead`, and records go to the file as they come.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::content::{CHANGED, ContentHashes, Stamp};
use super::feature_set::{Arrays, FeatureSet, Row};
use super::media::MediaExtractor;
use super::ordered::ordered;
use super::small_pages::SmallPages;
use super::store::{self, Key, Store};
use super::timings::{Clocks, Stage};
use super::writer::Writer;
use super::{Error, Normalize, Progress};
use crate::audio::{ReadWindow, Scratch};
use crate::dataset::{Fault, Manifest, OnError};
use crate::files;

/// All examples of one media file.
struct Group<'a> {
    path: &'a Path,
    examples: Vec<usize>,
    windows: Vec<ReadWindow>,
}

/// A group whose file was hashed.
struct Hashed<'a> {
    group: Group<'a>,
    stamp: Stamp,
    keys: Vec<Key>,
}

/// Features of every example of `manifest`. Files that fail are handled together, as `on_error` says: with
/// [`OnError::Fail`] everything else is computed (and cached) first, then the error names them all.
pub fn extract(
    extractor: &MediaExtractor,
    manifest: &Manifest,
    on_error: OnError,
    cache: &Path,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<FeatureSet, Error> {
    let _small = SmallPages::begin();
    let identity = extractor.identity();
    let clocks = Clocks::default();
    let mut store = Store::open(cache, &identity, extractor.shape().iter().product())?;

    let hashes = ContentHashes::open(cache);
    let (hashed, mut faults) = hash(groups(manifest, extractor), &hashes, &clocks, progress);
    hashes.save();
    let keys: Vec<Key> = hashed.iter().flat_map(|hashed| hashed.keys.iter().copied()).collect();
    let mut computed = 0;
    if !clocks.time(Stage::Verifying, || store.verify(&keys)) {
        let _lock = store.lock(|| progress(Progress::Waiting))?;
        store.refresh()?;
        clocks.time(Stage::Verifying, || store.verify(&keys));
        let missing: Vec<&Hashed> = hashed
            .iter()
            .filter(|hashed| hashed.keys.iter().any(|key| store.row(key).is_none()))
            .collect();
        let work = Work {
            extractor,
            store: &store,
            clocks: &clocks,
        };
        let (count, failed) = work.compute(&missing, progress)?;
        computed = count;
        faults.extend(failed);
        store.refresh()?;
        clocks.time(Stage::Verifying, || store.verify(&keys));
    }

    let (rows, content) = place(manifest, on_error, &store, &hashed);
    faults.sort_by(|a, b| a.path.cmp(&b.path));
    let mut damaged = damaged(&store, &hashed);
    for faults in [&mut faults, &mut damaged] {
        say_who_names_them(faults, manifest);
    }
    if on_error == OnError::Fail && !faults.is_empty() {
        return Err(Error::Faults(faults));
    }
    super::some_are_left(&rows, &faults)?;
    Ok(FeatureSet {
        shape: extractor.shape(),
        key: Store::name(&identity),
        content,
        rows,
        damaged,
        arrays: Arrays::Cache(store),
        normalize: Normalize::None,
        statistics: None,
        faults,
        computed,
        timings: clocks.read(),
    })
}

/// The row of each example, and the fingerprint of all.
fn place(manifest: &Manifest, on_error: OnError, store: &Store, hashed: &[Hashed]) -> (Vec<Row>, String) {
    let mut rows = vec![Row::without_array(on_error); manifest.examples.len()];
    let mut contents: Vec<Key> = vec![Key::default(); manifest.examples.len()];
    for hashed in hashed {
        for (&example, key) in hashed.group.examples.iter().zip(&hashed.keys) {
            if let Some(row) = store.row(key) {
                rows[example] = Row::Stored(row);
                contents[example] = *key;
            }
        }
    }
    let mut content = blake3::Hasher::new();
    for key in &contents {
        content.update(key);
    }
    (rows, content.finalize().to_hex().to_string())
}

/// Files whose arrays are used although something in them was wrong.
fn damaged(store: &Store, hashed: &[Hashed]) -> Vec<Fault> {
    let of_file = |hashed: &Hashed| {
        let note = hashed.keys.iter().find_map(|key| store.note(key))?;
        Some(fault(hashed.group.path, note.to_owned()))
    };
    hashed.iter().filter_map(of_file).collect()
}

/// Adds the annotation file and line to what is wrong with a media file.
fn say_who_names_them(faults: &mut [Fault], manifest: &Manifest) {
    if faults.is_empty() {
        return;
    }
    let mut sources = HashMap::new();
    for example in &manifest.examples {
        sources.entry(example.media.path()).or_insert(&example.source);
    }
    for fault in faults {
        if let Some(source) = sources.get(fault.path.as_path()) {
            fault.what.push_str(&format!(" (named in {source})"));
        }
    }
}

/// Examples by file, in the order of the manifest.
fn groups<'a>(manifest: &'a Manifest, extractor: &MediaExtractor) -> Vec<Group<'a>> {
    let mut groups: Vec<Group> = Vec::new();
    let mut by_path: HashMap<&Path, usize> = HashMap::new();
    for (index, example) in manifest.examples.iter().enumerate() {
        let path = example.media.path();
        let group = *by_path.entry(path).or_insert_with(|| {
            groups.push(Group {
                path,
                examples: Vec::new(),
                windows: Vec::new(),
            });
            groups.len() - 1
        });
        groups[group].examples.push(index);
        groups[group].windows.push(extractor.read_window(&example.media));
    }
    groups
}

fn hash<'a>(
    groups: Vec<Group<'a>>,
    hashes: &ContentHashes,
    clocks: &Clocks,
    progress: &(dyn Fn(Progress) + Sync),
) -> (Vec<Hashed<'a>>, Vec<Fault>) {
    let done = AtomicUsize::new(0);
    let total = groups.len();
    let results: Vec<_> = groups
        .par_iter()
        .map(|group| {
            let result = clocks.time(Stage::Hashing, || hashes.hash(group.path));
            progress(Progress::Checking {
                done: done.fetch_add(1, Ordering::Relaxed) + 1,
                total,
            });
            result
        })
        .collect();
    let mut hashed = Vec::with_capacity(total);
    let mut faults = Vec::new();
    for (group, result) in groups.into_iter().zip(results) {
        match result {
            Ok((stamp, content)) => hashed.push(Hashed {
                keys: group
                    .windows
                    .iter()
                    .map(|window| store::key(&content, window.start, window.duration))
                    .collect(),
                stamp,
                group,
            }),
            Err(error) => faults.push(fault(group.path, super::describe(&error))),
        }
    }
    (hashed, faults)
}

fn fault(path: &Path, what: String) -> Fault {
    Fault {
        path: path.to_path_buf(),
        line: None,
        what,
    }
}

/// Files that may be decoded before the one that is written next: enough to keep all cores busy beside a long one, few
/// enough to keep memory bounded whatever the corpus.
fn ahead() -> usize {
    4 * rayon::current_num_threads()
}

/// Written data is synced, and so counts after a crash, at least this often.
const SYNC_EVERY: Duration = Duration::from_secs(2);

/// What a file gave.
struct Computed {
    arrays: Vec<(Key, Vec<f32>)>,
    /// What was wrong with it though it could be used.
    note: Option<String>,
    /// What could not be used.
    faults: Vec<Fault>,
}

struct Work<'a> {
    extractor: &'a MediaExtractor,
    store: &'a Store,
    clocks: &'a Clocks,
}

impl Work<'_> {
    /// Computes the arrays of `missing` and appends them in order, so that an interrupted extraction that goes on leaves the
    /// same bytes as one that was not. Writing runs beside computing.
    fn compute(
        &self,
        missing: &[&Hashed],
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<(usize, Vec<Fault>), files::Error> {
        let mut writer = self.store.writer()?;
        let mut faults = Vec::new();
        let mut written = 0;
        let mut synced = Instant::now();
        let done = AtomicUsize::new(0);
        let work = |scratch: &mut Scratch, index: usize| {
            let computed = self.one(scratch, missing[index]);
            progress(Progress::Computing {
                done: done.fetch_add(1, Ordering::Relaxed) + 1,
                total: missing.len(),
            });
            computed
        };
        ordered(missing.len(), ahead(), Scratch::default, work, |computed: Computed| {
            faults.extend(computed.faults);
            self.clocks.time(Stage::Writing, || {
                for (key, values) in &computed.arrays {
                    writer.append(key, values, computed.note.as_deref())?;
                    written += 1;
                }
                if synced.elapsed() >= SYNC_EVERY {
                    writer.sync()?;
                    synced = Instant::now();
                }
                Ok(())
            })
        })?;
        self.clocks.time(Stage::Writing, || Writer::sync(&mut writer))?;
        Ok((written, faults))
    }

    fn one(&self, scratch: &mut Scratch, hashed: &Hashed) -> Computed {
        let path = hashed.group.path;
        let nothing = |what: String| Computed {
            arrays: Vec::new(),
            note: None,
            faults: vec![fault(path, what)],
        };
        let wanted: Vec<usize> = (0..hashed.keys.len())
            .filter(|&index| self.store.row(&hashed.keys[index]).is_none())
            .collect();
        let windows: Vec<ReadWindow> = wanted.iter().map(|&index| hashed.group.windows[index]).collect();
        let extracted = match self.extractor.extract(scratch, path, &windows, self.clocks) {
            Ok(extracted) => extracted,
            Err(what) => return nothing(what),
        };
        match Stamp::of(path) {
            Ok(stamp) if stamp == hashed.stamp => {}
            _ => return nothing(CHANGED.into()),
        }
        let mut computed = Computed {
            arrays: Vec::with_capacity(wanted.len()),
            note: (!extracted.faults.is_empty()).then(|| extracted.faults.join("; ")),
            faults: Vec::new(),
        };
        for (index, array) in wanted.into_iter().zip(extracted.arrays) {
            match array {
                Ok(values) => computed.arrays.push((hashed.keys[index], values)),
                Err(what) => computed.faults.push(fault(path, what)),
            }
        }
        computed
    }
}
