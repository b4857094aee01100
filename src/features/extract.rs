//! From a manifest to a feature set: what the cache holds is used, the rest is computed on all cores.

use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc;

use rayon::prelude::*;

use super::content::{ContentHashes, Stamp};
use super::extractor::Extractor;
use super::feature_set::{FeatureSet, Row};
use super::store::{self, Key, Store, Writer};
use super::{Error, Recipe};
use crate::audio::{ReadWindow, Scratch};
use crate::dataset::{Fault, Manifest, Media, OnError};
use crate::files;

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Another process computes the same features.
    Waiting,
    /// Files looked at, of all.
    Checking { done: usize, total: usize },
    /// Files decoded, of those that the cache did not hold.
    Computing { done: usize, total: usize },
}

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
    recipe: &Recipe,
    manifest: &Manifest,
    on_error: OnError,
    cache: &Path,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<FeatureSet, Error> {
    let extractor = Extractor::new(recipe, manifest)?;
    files::create_folder(cache)?;
    let identity = extractor.identity();
    let mut store = Store::open(cache, &identity, extractor.shape().iter().product())?;

    let hashes = ContentHashes::open(cache);
    let (hashed, mut faults) = hash(&groups(manifest, &extractor), &hashes, progress);
    let keys: Vec<Key> = hashed.iter().flat_map(|hashed| hashed.keys.iter().copied()).collect();
    let mut computed = 0;
    if store.verify(&keys).contains(&false) {
        let _lock = store.lock(|| progress(Progress::Waiting))?;
        store.refresh()?;
        store.verify(&keys);
        let missing: Vec<&Hashed> = hashed
            .iter()
            .filter(|hashed| hashed.keys.iter().any(|key| store.row(key).is_none()))
            .collect();
        let (count, failed) = compute(&extractor, &missing, &store, progress)?;
        computed = count;
        faults.extend(failed);
        store.refresh()?;
        store.verify(&keys);
    }
    hashes.save()?;
    finish(
        manifest, on_error, store, &extractor, &identity, &hashed, faults, computed,
    )
}

#[allow(clippy::too_many_arguments)] // the pieces of one struct
fn finish(
    manifest: &Manifest,
    on_error: OnError,
    store: Store,
    extractor: &Extractor,
    identity: &str,
    hashed: &[Hashed],
    mut faults: Vec<Fault>,
    computed: usize,
) -> Result<FeatureSet, Error> {
    let mut rows = vec![
        match on_error {
            OnError::Zeros => Row::Zeros,
            OnError::Fail | OnError::Skip => Row::Missing,
        };
        manifest.examples.len()
    ];
    let mut contents: Vec<Option<Key>> = vec![None; manifest.examples.len()];
    for hashed in hashed {
        for (&example, key) in hashed.group.examples.iter().zip(&hashed.keys) {
            if let Some(row) = store.row(key) {
                rows[example] = Row::Stored(row);
                contents[example] = Some(*key);
            }
        }
    }
    faults.sort_by(|a, b| a.path.cmp(&b.path));
    say_who_names_them(&mut faults, manifest);
    if on_error == OnError::Fail && !faults.is_empty() {
        return Err(Error::Faults(faults));
    }
    if !rows.iter().any(|row| matches!(row, Row::Stored(_)))
        && let Some(first) = faults.first()
    {
        return Err(Error::NothingLeft {
            examples: rows.len(),
            first: Box::new(first.clone()),
        });
    }
    let mut content = blake3::Hasher::new();
    for key in contents {
        content.update(&key.unwrap_or_default());
    }
    Ok(FeatureSet {
        content: content.finalize().to_hex().to_string(),
        shape: extractor.shape(),
        key: Store::name(identity),
        rows,
        store,
        statistics: None,
        faults,
        computed,
    })
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
fn groups<'a>(manifest: &'a Manifest, extractor: &Extractor) -> Vec<Group<'a>> {
    let mut groups: Vec<Group> = Vec::new();
    let mut by_path: HashMap<&Path, usize> = HashMap::new();
    for (index, example) in manifest.examples.iter().enumerate() {
        let Media::Audio { path, window } = &example.media;
        let group = *by_path.entry(path).or_insert_with(|| {
            groups.push(Group {
                path,
                examples: Vec::new(),
                windows: Vec::new(),
            });
            groups.len() - 1
        });
        groups[group].examples.push(index);
        groups[group].windows.push(extractor.read_window(*window));
    }
    groups
}

fn hash<'a>(
    groups: &[Group<'a>],
    hashes: &ContentHashes,
    progress: &(dyn Fn(Progress) + Sync),
) -> (Vec<Hashed<'a>>, Vec<Fault>) {
    let done = std::sync::atomic::AtomicUsize::new(0);
    let results: Vec<_> = groups
        .par_iter()
        .map(|group| {
            let result = hashes.hash(group.path);
            progress(Progress::Checking {
                done: done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1,
                total: groups.len(),
            });
            result
        })
        .collect();
    let mut hashed = Vec::new();
    let mut faults = Vec::new();
    for (group, result) in groups.iter().zip(results) {
        match result {
            Ok((stamp, content)) => hashed.push(Hashed {
                group: Group {
                    path: group.path,
                    examples: group.examples.clone(),
                    windows: group.windows.clone(),
                },
                stamp,
                keys: group
                    .windows
                    .iter()
                    .map(|window| store::key(&content, window.start, window.duration))
                    .collect(),
            }),
            Err(error) => faults.push(fault(group.path, describe(&error))),
        }
    }
    (hashed, faults)
}

fn describe(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "missing".into(),
        _ => error.to_string(),
    }
}

fn fault(path: &Path, what: String) -> Fault {
    Fault {
        path: path.to_path_buf(),
        line: None,
        what,
    }
}

type Arrays = Vec<(Key, Vec<f32>)>;

/// Files that are decoded before their arrays are handed to the writer: enough to keep all cores busy, few enough to keep
/// memory bounded whatever the corpus.
fn chunk_len() -> usize {
    4 * rayon::current_num_threads()
}

/// Computes the arrays of `missing` and appends them in order, so that an interrupted extraction that goes on leaves the
/// same bytes as one that was not. Writing runs beside computing.
fn compute(
    extractor: &Extractor,
    missing: &[&Hashed],
    store: &Store,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<(usize, Vec<Fault>), Error> {
    let writer = store.writer()?;
    let mut faults = Vec::new();
    let done = std::sync::atomic::AtomicUsize::new(0);
    let computed = std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel::<Arrays>(2 * chunk_len());
        let writing = scope.spawn(move || write(writer, &receiver));
        'chunks: for chunk in missing.chunks(chunk_len()) {
            let results: Vec<Result<Arrays, Fault>> = chunk
                .par_iter()
                .map_init(Scratch::default, |scratch, hashed| {
                    let arrays = one(extractor, scratch, hashed, store);
                    progress(Progress::Computing {
                        done: done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1,
                        total: missing.len(),
                    });
                    arrays
                })
                .collect();
            for result in results {
                match result {
                    Ok(arrays) => {
                        if sender.send(arrays).is_err() {
                            break 'chunks; // the writer failed and says why
                        }
                    }
                    Err(fault) => faults.push(fault),
                }
            }
        }
        drop(sender);
        writing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    Ok((computed, faults))
}

fn one(extractor: &Extractor, scratch: &mut Scratch, hashed: &Hashed, store: &Store) -> Result<Arrays, Fault> {
    let path = hashed.group.path;
    let wanted: Vec<usize> = (0..hashed.keys.len())
        .filter(|&index| store.row(&hashed.keys[index]).is_none())
        .collect();
    let windows: Vec<ReadWindow> = wanted.iter().map(|&index| hashed.group.windows[index]).collect();
    let arrays = extractor
        .extract(scratch, path, &windows)
        .map_err(|error| fault(path, error.reason()))?;
    match Stamp::of(path) {
        Ok(stamp) if stamp == hashed.stamp => {}
        _ => return Err(fault(path, "the file changed while it was read; run again".into())),
    }
    Ok(wanted.iter().map(|&index| hashed.keys[index]).zip(arrays).collect())
}

fn write(mut writer: Writer, receiver: &mpsc::Receiver<Arrays>) -> Result<usize, files::Error> {
    let mut written = 0;
    let mut synced = std::time::Instant::now();
    for arrays in receiver {
        for (key, values) in &arrays {
            writer.append(key, values)?;
            written += 1;
        }
        if synced.elapsed().as_secs() >= 2 {
            writer.sync()?;
            synced = std::time::Instant::now();
        }
    }
    writer.sync()?;
    Ok(written)
}
