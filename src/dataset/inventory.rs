//! What of a corpus is there: `affect datasets verify`.
//!
//! Files are compared with what the annotations name. Whether those that are there can be decoded is for the caller to find out:
//! nothing here reads sound or pictures.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::catalogue::Corpus;
use super::folder::names_in;
use super::load::remark_on_faults;
use super::{DatasetSpec, Error, Fault, LoadContext, Media, OnError, Split};

/// What of a corpus is there.
#[derive(Debug, Clone, Serialize)]
pub struct Inventory {
    pub kind: &'static str,
    pub root: PathBuf,
    pub counts: Vec<Counted>,
    /// Files that the annotations name and that are there and not empty, sorted.
    #[serde(skip)]
    pub found: Vec<PathBuf>,
    /// Whether they are pictures.
    #[serde(skip)]
    pub pictures: bool,
    /// Files that the annotations name and that are not there, sorted.
    pub missing: Vec<PathBuf>,
    /// Files that are there and cannot be used, as far as the file system can tell.
    pub damaged: Vec<Damaged>,
    /// Files beside those that were found that no annotation names, sorted.
    pub unexpected: Vec<PathBuf>,
    /// Of those, hidden files and AppleDouble's; they do no harm.
    pub litter: usize,
    /// What the loader has to say.
    pub remarks: Vec<String>,
}

/// Rows of the annotations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counted {
    pub of: &'static str,
    pub found: usize,
    pub expected: usize,
}

/// A file that cannot be used.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Damaged {
    pub path: PathBuf,
    pub what: String,
}

impl Inventory {
    /// Compares the corpus at `root` with its annotations.
    ///
    /// # Errors
    /// The annotations are missing or wrong.
    pub fn take(corpus: &Corpus, root: &Path) -> Result<Self, Error> {
        let Some(spec) = corpus.spec(root) else {
            return Err(Error::Setting {
                problem: format!(
                    "`{}` cannot be a corpus's folder: its name is not UTF-8",
                    root.display()
                ),
                hint: "rename it, or make a link with another name",
            });
        };
        let counted = |found: Vec<usize>| {
            let counts = corpus.counts.iter().zip(found);
            counts
                .map(|(count, found)| Counted {
                    of: count.of,
                    found,
                    expected: count.rows,
                })
                .collect()
        };
        let mut inventory = Self {
            kind: corpus.kind,
            root: root.into(),
            counts: Vec::new(),
            found: Vec::new(),
            pictures: false,
            missing: Vec::new(),
            damaged: Vec::new(),
            unexpected: Vec::new(),
            litter: 0,
            remarks: Vec::new(),
        };
        if let DatasetSpec::Imemnet(spec) = &spec {
            let pairs = super::imemnet::matching::load(spec)?;
            inventory.counts = counted(corpus.found_pairs(spec)?);
            inventory.remarks = pairs.remarks;
            let folder = pairs.files.first().and_then(|(_, path)| path.parent()).unwrap_or(root);
            let lacking = Split::ALL
                .into_iter()
                .filter(|split| !pairs.files.iter().any(|(it, _)| it == split));
            inventory.missing = lacking
                .map(|split| folder.join(format!("{}_matching.txt", split.name())))
                .collect();
            return Ok(inventory);
        }
        let manifest = spec.load(&LoadContext {
            cache: Path::new("cache"),
            progress: &|_, _| {},
        })?;
        inventory.counts = counted(corpus.found(&manifest));
        inventory.pictures = manifest
            .examples
            .iter()
            .any(|it| matches!(it.media, Media::Image { .. }));
        inventory.sort(&manifest.examples, &manifest.faults);
        inventory.look_beside(&manifest.annotation_files)?;
        // That faulty files were handled is said by the lists of them.
        let handled = remark_on_faults(&manifest.faults, &manifest.examples, OnError::Zeros);
        inventory.remarks = manifest.remarks;
        inventory.remarks.retain(|remark| Some(remark) != handled.as_ref());
        Ok(inventory)
    }

    fn sort(&mut self, examples: &[super::Example], faults: &[Fault]) {
        let mut bad: BTreeSet<&Path> = BTreeSet::new();
        for fault in faults {
            if !bad.insert(&fault.path) {
                continue;
            }
            match !fault.path.exists() {
                true => self.missing.push(fault.path.clone()),
                false => self.damaged.push(Damaged {
                    path: fault.path.clone(),
                    what: fault.what.split(" (named in").next().unwrap_or_default().to_owned(),
                }),
            }
        }
        let all: BTreeSet<&Path> = examples.iter().map(|example| example.media.path()).collect();
        self.found = all.difference(&bad).map(|path| path.to_path_buf()).collect();
        self.missing.sort();
        self.damaged.sort_by(|a, b| a.path.cmp(&b.path));
    }

    /// Everything in the folders of the files that nobody asked for.
    fn look_beside(&mut self, annotation_files: &[PathBuf]) -> Result<(), Error> {
        let known: BTreeSet<&Path> = (self.found.iter().chain(annotation_files))
            .chain(self.damaged.iter().map(|damaged| &damaged.path))
            .map(PathBuf::as_path)
            .collect();
        let folders: BTreeSet<&Path> = self.found.iter().filter_map(|path| path.parent()).collect();
        let mut unexpected = Vec::new();
        for folder in folders {
            for name in names_in(folder)? {
                let path = folder.join(&name);
                if known.contains(path.as_path()) || path.is_dir() {
                    continue;
                }
                self.litter += usize::from(name.starts_with('.'));
                unexpected.push(path);
            }
        }
        self.unexpected = unexpected;
        Ok(())
    }

    /// Whether all is there that the published annotations have, and nothing that was looked at is damaged.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
            && self.damaged.is_empty()
            && self.counts.iter().all(|count| count.found == count.expected)
    }
}
