//! One string that says whether two runs saw the same data.

use std::path::Path;

use super::{Manifest, Media, Target, Task};

impl Manifest {
    /// BLAKE3, in hex, of what was understood from the annotations: the task, and per example, in order, its id, group, target,
    /// window, declared split, the place of its file in the corpus, and whether that file is unusable.
    ///
    /// Where the corpus lies on the disk doesn't matter, nor does the wording of the annotation files. The content of the audio
    /// files is not in it: the features' key stands for that.
    pub fn fingerprint(&self) -> String {
        let mut hasher = Fields(blake3::Hasher::new_derive_key("affect 2026 data fingerprint v1"));
        match &self.task {
            Task::Regression { targets } => {
                hasher.text("regression");
                hasher.texts(targets);
            }
            Task::Classification { label, classes } => {
                hasher.text("classification");
                hasher.text(label);
                hasher.texts(classes);
            }
        }
        let faulty: std::collections::BTreeSet<&Path> = self.faults.iter().map(|fault| fault.path.as_path()).collect();
        hasher.number(self.examples.len() as u64);
        for example in &self.examples {
            hasher.text(&example.id);
            hasher.text(&example.group);
            match &example.target {
                Target::Values(values) => {
                    hasher.number(values.len() as u64);
                    values
                        .iter()
                        .for_each(|value| hasher.number(u64::from(value.to_bits())));
                }
                Target::Class(class) => hasher.number(u64::from(*class)),
            }
            let Media::Audio { path, window } = &example.media;
            hasher.text(&self.place_of(path));
            hasher.number(window.start.to_bits());
            hasher.text(&window.duration.map(|it| it.to_bits().to_string()).unwrap_or_default());
            hasher.text(example.split.map_or("", super::Split::name));
            hasher.number(u64::from(faulty.contains(path.as_path())));
        }
        hasher.0.finalize().to_hex().to_string()
    }

    /// `path` relative to the corpus's folder, with `/` on every system; the file's name alone where it lies elsewhere.
    fn place_of(&self, path: &Path) -> String {
        match path.strip_prefix(&self.root) {
            Ok(relative) => {
                let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
                parts.join("/")
            }
            Err(_) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }
}

/// Fields with their lengths, so that no two lists of fields make the same bytes.
struct Fields(blake3::Hasher);

impl Fields {
    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
    }

    fn texts(&mut self, texts: &[String]) {
        self.number(texts.len() as u64);
        texts.iter().for_each(|text| self.text(text));
    }

    fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Example, Fault, Source, Split, Window};

    fn manifest(root: &str) -> Manifest {
        let example = |id: &str| Example {
            id: id.into(),
            group: "song".into(),
            media: Media::Audio {
                path: Path::new(root).join("wav").join(id),
                window: Window {
                    start: 1.0,
                    duration: None,
                },
            },
            target: Target::Values(vec![0.5, -0.5]),
            deviations: Vec::new(),
            split: None,
            source: Source {
                file: Path::new(root).join("labels.csv").as_path().into(),
                line: Some(2),
            },
        };
        Manifest {
            root: root.into(),
            task: Task::Regression {
                targets: vec!["valence".into(), "arousal".into()],
            },
            examples: vec![example("a"), example("b")],
            annotation_files: Vec::new(),
            faults: Vec::new(),
            remarks: Vec::new(),
        }
    }

    #[test]
    fn it_does_not_depend_on_where_the_corpus_lies() {
        assert_eq!(manifest("/here/corpus").fingerprint(), manifest("there").fingerprint());
    }

    #[test]
    fn every_part_of_an_example_counts() {
        let changes: [fn(&mut Manifest); 10] = [
            |it| {
                it.task = Task::Regression {
                    targets: vec!["valencea".into(), "rousal".into()],
                }
            },
            |it| it.examples[0].id = "c".into(),
            |it| it.examples[0].group = "other".into(),
            |it| it.examples[0].target = Target::Values(vec![0.5, -0.25]),
            |it| it.examples[0].target = Target::Class(3),
            |it| {
                it.examples[0].media = Media::Audio {
                    path: "/c/wav/x".into(),
                    window: Window {
                        start: 1.0,
                        duration: None,
                    },
                }
            },
            |it| {
                it.examples[0].media = Media::Audio {
                    path: "/c/wav/a".into(),
                    window: Window {
                        start: 1.0,
                        duration: Some(2.0),
                    },
                }
            },
            |it| it.examples[0].split = Some(Split::Val),
            |it| it.examples.swap(0, 1),
            |it| {
                it.faults.push(Fault {
                    path: "/c/wav/a".into(),
                    line: None,
                    what: "missing".into(),
                })
            },
        ];
        let mut seen = vec![manifest("/c").fingerprint()];
        for change in changes {
            let mut changed = manifest("/c");
            change(&mut changed);
            seen.push(changed.fingerprint());
        }
        let all = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), all);
    }
}
