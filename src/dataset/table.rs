//! `kind = "table"`: any CSV file with a column of audio paths, and targets or a label.

mod columns;
mod row;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::audio_files::Inspected;
use super::csv_file::CsvFile;
use super::load::{Recordings, check_root, conclude, remark_on_faults};
use super::{Error, Example, Fault, Manifest, Media, SplitSpec, TableSpec, Target, Task};
use columns::Columns;
use row::{Draft, Truth};

/// Reads the table that `spec` describes.
pub(super) fn load(spec: &TableSpec, recordings: Recordings) -> Result<Manifest, Error> {
    check_settings(spec)?;
    check_root(&spec.root)?;
    let file = CsvFile::read(&spec.root.join(&spec.file))?;
    let mut problems = file.faults.clone();
    let columns = Columns::find(&file, spec, &mut problems);
    let drafts: Vec<Draft> = file
        .rows
        .iter()
        .filter_map(|row| row::read(&file, row, &columns, &mut problems))
        .collect();
    check_ids(&file, spec, &drafts, &mut problems);

    let classes = columns.label.as_ref().map(|_| Classes::of(&drafts));
    if let Some(classes) = &classes {
        classes.check(&file, spec, &mut problems);
    }
    problems.sort_by_key(|problem| problem.line);
    let audio_root = spec.root.join(&spec.audio_root);
    let examples = drafts.into_iter().map(|draft| {
        let target = match draft.truth {
            Truth::Values(values) => Target::Values(values),
            Truth::Label(label) => Target::Class(classes.as_ref().map_or(0, |classes| classes.index(&label))),
        };
        Example {
            id: draft.id,
            group: draft.group,
            media: Media::Audio {
                path: audio_root.join(&draft.audio),
                window: draft.window,
            },
            target,
            deviations: Vec::new(),
            split: draft.split,
            source: draft.source,
        }
    });
    let Inspected { examples, faults } = conclude(examples.collect(), problems, spec.on_error, recordings)?;

    let mut remarks = Vec::new();
    remarks.extend(remark_on_faults(faults.len(), examples.len(), spec.on_error));
    let task = match classes {
        Some(classes) => {
            classes.check_after_skipping(&file, &examples, &faults)?;
            remarks.extend(classes.remarks());
            Task::Classification {
                label: spec.label.clone().unwrap_or_default(),
                classes: classes.names,
            }
        }
        None => Task::Regression {
            targets: spec.targets.clone(),
        },
    };
    Ok(Manifest {
        root: spec.root.clone(),
        task,
        examples,
        annotation_files: vec![file.path.to_path_buf()],
        faults,
        remarks,
    })
}

/// What can be said before the file is opened.
fn check_settings(spec: &TableSpec) -> Result<(), Error> {
    let setting = |problem: String, hint| Err(Error::Setting { problem, hint });
    match (&spec.label, spec.targets.as_slice()) {
        (None, []) => {
            return setting(
                "the table has neither `dataset.targets` nor `dataset.label`: nothing to predict".into(),
                "write `targets = [\"valence\", \"arousal\"]` for numbers, or `label = \"emotion\"` for classes",
            );
        }
        (Some(_), [_, ..]) => {
            return setting(
                "the table has both `dataset.targets` and `dataset.label`: numbers and classes cannot be predicted at once"
                    .into(),
                "keep one of the two",
            );
        }
        _ => {}
    }
    if let Some(twice) = first_repeated(&spec.targets) {
        return setting(
            format!("`dataset.targets` names `{twice}` twice"),
            "name each target once",
        );
    }
    if spec.split == SplitSpec::Column && spec.split_column.is_none() {
        return setting(
            "`dataset.split.kind` is \"column\", but `dataset.split_column` is not set".into(),
            "name the column that says `train`, `val` or `test`",
        );
    }
    Ok(())
}

/// The first item that an earlier one equals.
pub(super) fn first_repeated<T: PartialEq>(items: &[T]) -> Option<&T> {
    items
        .iter()
        .enumerate()
        .find_map(|(position, item)| items.get(..position)?.contains(item).then_some(item))
}

fn check_ids(file: &CsvFile, spec: &TableSpec, drafts: &[Draft], problems: &mut Vec<Fault>) {
    let mut lines: BTreeMap<&str, u64> = BTreeMap::new();
    for draft in drafts {
        match lines.entry(&draft.id) {
            Entry::Vacant(free) => {
                free.insert(draft.line);
            }
            Entry::Occupied(first) => {
                let advice = match (&spec.id, &spec.start) {
                    (Some(_), _) => "ids must be unique",
                    (None, Some(_)) => "give each row a unique id, in a column that `dataset.id` names",
                    (None, None) => {
                        "rows that share a file need a unique id (`dataset.id`), or windows (`dataset.start`)"
                    }
                };
                let what = format!("id `{}` is already on line {}; {advice}", draft.id, first.get());
                problems.push(file.fault(draft.line, what));
            }
        }
    }
}

/// The values of the label column.
struct Classes {
    /// Sorted.
    names: Vec<String>,
    /// Per class: examples, and the line of the first.
    counts: Vec<(usize, u64)>,
}

impl Classes {
    fn of(drafts: &[Draft]) -> Self {
        let mut found: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
        for draft in drafts {
            if let Truth::Label(label) = &draft.truth {
                found.entry(label).or_insert((0, draft.line)).0 += 1;
            }
        }
        let (names, counts) = found.into_iter().map(|(name, count)| (name.to_owned(), count)).unzip();
        Self { names, counts }
    }

    fn index(&self, name: &str) -> u32 {
        let position = self
            .names
            .binary_search_by(|it| it.as_str().cmp(name))
            .unwrap_or_default();
        u32::try_from(position).unwrap_or(u32::MAX)
    }

    fn check(&self, file: &CsvFile, spec: &TableSpec, problems: &mut Vec<Fault>) {
        let label = spec.label.as_deref().unwrap_or_default();
        if let ([only], [(count, line)]) = (self.names.as_slice(), self.counts.as_slice())
            && *count > 1
        {
            let what = format!("every row has the class `{only}` ({label}); at least two classes are needed");
            problems.push(file.fault(*line, what));
        }
        for (name, (count, line)) in self.names.iter().zip(&self.counts) {
            if *count == 1 {
                let what = format!(
                    "class `{name}` ({label}) has this one example only; a class needs examples to learn from and others to \
                     test on: correct the label, merge the class, or remove the row"
                );
                problems.push(file.fault(*line, what));
            }
        }
    }

    /// A class whose files are all missing must not pass unnoticed either.
    fn check_after_skipping(&self, file: &CsvFile, examples: &[Example], faults: &[Fault]) -> Result<(), Error> {
        let mut left = vec![0usize; self.names.len()];
        for example in examples {
            if let Target::Class(class) = example.target
                && let Some(count) = left.get_mut(class as usize)
            {
                *count += 1;
            }
        }
        let rows: Vec<Fault> = (self.names.iter().zip(&self.counts).zip(&left))
            .filter(|(_, left)| **left < 2)
            .map(|((name, (count, line)), left)| {
                let what = format!(
                    "class `{name}` has {left} of its {count} examples left after those without usable audio were skipped; at \
                     least 2 are needed"
                );
                file.fault(*line, what)
            })
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        Err(Box::new(super::Problems {
            rows,
            media: super::audio_files::by_file(faults),
            examples: examples.len() + faults.len(),
            examples_without_media: faults.len(),
        })
        .into())
    }

    fn remarks(&self) -> Vec<String> {
        let mut spellings: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for name in &self.names {
            spellings.entry(name.to_lowercase()).or_default().push(name);
        }
        spellings
            .into_values()
            .filter(|names| names.len() > 1)
            .map(|names| {
                format!(
                    "{} are different classes, though only their case differs",
                    super::error::quoted(&names, 5)
                )
            })
            .collect()
    }
}
