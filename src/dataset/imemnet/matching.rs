//! The matching files: a line per pair, clip, picture and score, separated by spaces.
//!
//! The train file has more than a million lines, so pairs are kept as 16 bytes each, and ids once. Files are read line by
//! line. Measured with 1.2 million lines of 24,000 clips and 24,000 pictures: `affect check` reads them in 1.0 s (without the compiler's
//! full optimisation, two cores) and takes 115 MB at most, most of it for the sets that find repeated pairs and shared ones.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use super::arrays::ArrayNames;
use super::spec::{ImemnetSpec, MatchingFiles};
use super::{song_of, va};
use crate::dataset::folder::names_in;
use crate::dataset::load::check_root;
use crate::dataset::{
    Error, Example, Fault, Manifest, Media, Problems, Source, Split, SplitSpec, Target, Task, Window, split,
};
use crate::files;

/// How well a clip and a picture match.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// Index into [`Matching::clips`].
    pub clip: u32,
    /// Index into [`Matching::images`].
    pub image: u32,
    /// From 0 to 1.
    pub score: f32,
    /// The file that it is from.
    pub split: Split,
}

/// All pairs.
#[derive(Debug, Clone)]
pub struct Matching {
    /// In the order of the files, train, val, test; no pair stands twice in one file.
    pub pairs: Vec<Pair>,
    /// Ids of clips, in the order of their first pairs.
    pub clips: Vec<String>,
    /// Ids of pictures (names of arrays for cleaned files), in the order of their first pairs.
    pub images: Vec<String>,
    /// Valence and arousal of each clip, from 0 to 1, where a table of IMEMNet-C was joined and has it.
    pub clip_va: Vec<Option<[f32; 2]>>,
    /// Valence and arousal of each picture, likewise.
    pub image_va: Vec<Option<[f32; 2]>>,
    /// What was read.
    pub files: Vec<(Split, PathBuf)>,
    /// Decisions about the data that a reader of the results must know.
    pub remarks: Vec<String>,
}

/// What two official splits share.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Leak {
    pub splits: [Split; 2],
    /// Songs of each of the two, and of both.
    pub songs: [usize; 3],
    pub clips: [usize; 3],
    pub images: [usize; 3],
    pub pairs: [usize; 3],
}

/// Reads the files that `spec` describes.
///
/// # Errors
/// No file is there, or lines that are no pairs.
pub fn load(spec: &ImemnetSpec) -> Result<Matching, Error> {
    check_root(&spec.root)?;
    let files = find(&spec.root, spec.files)?;
    let mut matching = read(&files, spec.min_score)?;
    if matching.pairs.is_empty() {
        return Err(Error::NoExamples {
            what: format!("no pair has a score of {} or more", spec.min_score),
            hint: "lower `dataset.min_score`",
        });
    }
    if spec.min_score > 0.0 {
        matching
            .remarks
            .push(format!("pairs with a score below {} are left out", spec.min_score));
    }
    for split in Split::ALL {
        if !files.iter().any(|(of_file, _)| *of_file == split) {
            matching
                .remarks
                .push(format!("there is no file of the split {}", split.name()));
        }
    }
    if let Some(path) = &spec.music_va {
        let table = va::read(&spec.root.join(path), va::Of::Music)?.by_id()?;
        matching.clip_va = matching
            .clips
            .iter()
            .map(|clip| table.get(clip.as_str()).copied())
            .collect();
    }
    if let Some(path) = &spec.image_va {
        let table = va::read(&spec.root.join(path), va::Of::Image)?.by_id()?;
        let names = match (&spec.emotic, spec.files) {
            (Some(folder), MatchingFiles::Cleaned) => Some(ArrayNames::read(&spec.root.join(folder))?.into_pictures()),
            (None, MatchingFiles::Cleaned) => {
                return Err(Error::Setting {
                    problem: "cleaned files name arrays; which pictures these are is not known".into(),
                    hint: "set `dataset.emotic` to the folder that holds `annots_arrs/`, or `dataset.files = \"raw\"`",
                });
            }
            (_, MatchingFiles::Raw) => None,
        };
        let of_image = |image: &String| {
            let picture = match &names {
                Some(names) => names.get(image.as_str())?.as_str(),
                None => image,
            };
            table.get(super::image_stem(picture)).copied()
        };
        matching.image_va = matching.images.iter().map(of_image).collect();
    }
    if spec.music_va.is_some() || spec.image_va.is_some() {
        let count = |of_pair: &dyn Fn(&Pair) -> bool| matching.pairs.iter().filter(|pair| of_pair(pair)).count();
        let clip = |pair: &Pair| matches!(matching.clip_va.get(pair.clip as usize), Some(Some(_)));
        let image = |pair: &Pair| matches!(matching.image_va.get(pair.image as usize), Some(Some(_)));
        matching.remarks.push(format!(
            "valence and arousal joined: {} pairs have the clip's, {} the picture's, {} both",
            count(&clip),
            count(&image),
            count(&|pair| clip(pair) && image(pair))
        ));
    }
    Ok(matching)
}

/// The files that are there, in the order train, val, test; at least one.
pub(super) fn find(root: &Path, files: MatchingFiles) -> Result<Vec<(Split, PathBuf)>, Error> {
    let (folders, prefix) = match files {
        MatchingFiles::Raw => (["", "IMEMNet_matchings", "matchings"], ""),
        MatchingFiles::Cleaned => (["cleaned", "", "IMEMNet_matchings"], "cleaned_"),
    };
    let mut looked_in = Vec::new();
    for folder in folders.map(|folder| root.join(folder)) {
        let names = names_in(&folder)?;
        let found: Vec<(Split, PathBuf)> = (Split::ALL.into_iter())
            .filter_map(|split| {
                let wanted = format!("{prefix}{}_matching.txt", split.name());
                names.contains(&wanted).then(|| (split, folder.join(wanted)))
            })
            .collect();
        if !found.is_empty() {
            return Ok(found);
        }
        looked_in.push(folder);
    }
    Err(Error::NoAnnotations {
        corpus: "IMEMNet's matching files",
        wanted: format!("{prefix}train_matching.txt"),
        root: root.into(),
        looked_in,
    })
}

/// The lines of each file.
///
/// # Errors
/// As [`load`].
pub fn count_lines(spec: &ImemnetSpec) -> Result<BTreeMap<Split, usize>, Error> {
    let mut counts = BTreeMap::new();
    for (split, path) in find(&spec.root, spec.files)? {
        let mut count = 0;
        each_line(&path, |_| count += 1)?;
        counts.insert(split, count);
    }
    Ok(counts)
}

/// One line.
pub(super) struct Line<'a> {
    pub clip: &'a str,
    pub image: &'a str,
    /// As it is written.
    pub score_text: &'a str,
    pub score: f64,
}

/// Goes through a file line by line; empty lines are passed over. Lines that are no pairs are faults.
pub(super) fn each_line(path: &Path, mut use_line: impl FnMut(Line)) -> Result<Vec<Fault>, Error> {
    let file = File::open(path).map_err(files::Error::at("read", path))?;
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut faults = Vec::new();
    let mut buffer = Vec::new();
    let mut number = 0;
    loop {
        buffer.clear();
        let count = reader
            .read_until(b'\n', &mut buffer)
            .map_err(files::Error::at("read", path))?;
        if count == 0 {
            return Ok(faults);
        }
        number += 1;
        let content = buffer
            .strip_prefix(b"\xEF\xBB\xBF")
            .filter(|_| number == 1)
            .unwrap_or(&buffer);
        let parsed = match std::str::from_utf8(content) {
            Ok(text) => parse(text),
            Err(_) => Err("it is not UTF-8".into()),
        };
        match parsed {
            Ok(Some(line)) => use_line(line),
            Ok(None) => {}
            Err(what) => faults.push(Fault {
                path: path.into(),
                line: Some(number),
                what,
            }),
        }
    }
}

/// `1967-11 COCO_train2014_000000318807 0.8757995366765425`; `None` for an empty line.
fn parse(text: &str) -> Result<Option<Line<'_>>, String> {
    let mut words = text.split_ascii_whitespace();
    let Some(clip) = words.next() else { return Ok(None) };
    match (words.next(), words.next(), words.next()) {
        (Some(image), Some(score_text), None) => match score_text.parse::<f64>() {
            Ok(score) if (0.0..=1.0).contains(&score) => Ok(Some(Line {
                clip,
                image,
                score_text,
                score,
            })),
            _ => Err(format!("the score is \"{score_text}\", not a number from 0 to 1")),
        },
        _ => Err("it is not clip, picture and score, separated by spaces".into()),
    }
}

/// Names as numbers, in the order of their first use.
#[derive(Default)]
pub(super) struct Names {
    numbers: HashMap<Box<str>, u32>,
}

impl Names {
    pub fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        self.numbers.insert(name.into(), number);
        number
    }

    /// The names in the order of their numbers.
    pub fn into_list(self) -> Vec<String> {
        let mut names: Vec<(u32, Box<str>)> = self.numbers.into_iter().map(|(name, number)| (number, name)).collect();
        names.sort_unstable_by_key(|(number, _)| *number);
        names.into_iter().map(|(_, name)| name.into()).collect()
    }
}

pub(super) fn read(files: &[(Split, PathBuf)], min_score: f64) -> Result<Matching, Error> {
    let (mut clips, mut images) = (Names::default(), Names::default());
    let mut pairs: Vec<Pair> = Vec::new();
    let mut problems = Vec::new();
    let mut remarks = Vec::new();
    for (split, path) in files {
        let mut seen: HashSet<(u32, u32)> = HashSet::new();
        let mut repeated = 0;
        problems.extend(each_line(path, |line| {
            if line.score < min_score {
                return;
            }
            let (clip, image) = (clips.number(line.clip), images.number(line.image));
            if seen.insert((clip, image)) {
                pairs.push(Pair {
                    clip,
                    image,
                    score: line.score as f32,
                    split: *split,
                });
            } else {
                repeated += 1;
            }
        })?);
        if repeated > 0 {
            remarks.push(format!(
                "{}: {repeated} rows repeat a pair; the first counts",
                split.name()
            ));
        }
    }
    if !problems.is_empty() {
        return Err(Box::new(Problems {
            rows: problems,
            ..Problems::default()
        })
        .into());
    }
    pairs.shrink_to_fit();
    Ok(Matching {
        pairs,
        clips: clips.into_list(),
        images: images.into_list(),
        clip_va: Vec::new(),
        image_va: Vec::new(),
        files: files.to_vec(),
        remarks,
    })
}

impl Matching {
    /// The songs, sorted, and the song of each clip.
    pub fn songs(&self) -> (Vec<&str>, Vec<u32>) {
        let sorted: BTreeSet<&str> = self.clips.iter().map(|clip| song_of(clip)).collect();
        let numbers: BTreeMap<&str, u32> = sorted.iter().zip(0..).map(|(song, number)| (*song, number)).collect();
        let of_clips = self
            .clips
            .iter()
            .map(|clip| numbers.get(song_of(clip)).copied().unwrap_or(0));
        let of_clips = of_clips.collect();
        (sorted.into_iter().collect(), of_clips)
    }

    /// What the official splits share, for each two of them that share a song or a picture.
    pub fn leaks(&self) -> Vec<Leak> {
        let (_, song_of_clip) = self.songs();
        let sets = Split::ALL.map(|split| {
            let mut sets: [HashSet<u64>; 4] = Default::default();
            for pair in self.pairs.iter().filter(|pair| pair.split == split) {
                let song = song_of_clip.get(pair.clip as usize).copied().unwrap_or_default();
                let both = u64::from(pair.clip) << 32 | u64::from(pair.image);
                for (set, id) in sets
                    .iter_mut()
                    .zip([song.into(), pair.clip.into(), pair.image.into(), both])
                {
                    set.insert(id);
                }
            }
            (split, sets)
        });
        let [train, val, test] = &sets;
        [(train, val), (train, test), (val, test)]
            .into_iter()
            .filter_map(|(a, b)| {
                let count = |kind: usize| {
                    let (a, b) = (&a.1[kind], &b.1[kind]);
                    [a.len(), b.len(), a.intersection(b).count()]
                };
                let leak = Leak {
                    splits: [a.0, b.0],
                    songs: count(0),
                    clips: count(1),
                    images: count(2),
                    pairs: count(3),
                };
                (leak.songs[2] > 0 || leak.images[2] > 0).then_some(leak)
            })
            .collect()
    }

    /// The side of each pair: that of its clip's song. Official splits that share songs are refused. Where the pairs are divided
    /// anew, the shares are of clips.
    ///
    /// # Errors
    /// As [`split::assign`].
    pub fn assign(&self, spec: &SplitSpec, seed: u64) -> Result<Vec<Split>, split::Error> {
        if *spec == SplitSpec::Official {
            let (songs, song_of_clip) = self.songs();
            let mut sides: Vec<BTreeSet<Split>> = vec![BTreeSet::new(); songs.len()];
            for pair in &self.pairs {
                let song = song_of_clip.get(pair.clip as usize).copied().unwrap_or_default();
                if let Some(sides) = sides.get_mut(song as usize) {
                    sides.insert(pair.split);
                }
            }
            split::no_leaks(songs.iter().zip(&sides).map(|(song, sides)| (*song, sides)))?;
            let sides: Vec<Split> = self.pairs.iter().map(|pair| pair.split).collect();
            return match Split::ALL.into_iter().find(|side| !sides.contains(side)) {
                Some(side) => Err(split::Error::EmptySide { side, left_out: 0 }),
                None => Ok(sides),
            };
        }
        let of_clips = split::assign(&self.clip_manifest(), spec, seed)?;
        let side = |pair: &Pair| of_clips.get(pair.clip as usize).copied().unwrap_or(Split::Train);
        Ok(self.pairs.iter().map(side).collect())
    }

    /// A manifest of the clips, for the splits that are drawn; without targets.
    fn clip_manifest(&self) -> Manifest {
        let source = Source {
            file: Path::new("").into(),
            line: None,
        };
        let examples = self.clips.iter().map(|clip| Example {
            id: clip.clone(),
            group: song_of(clip).to_owned(),
            media: Media::Audio {
                path: PathBuf::new(),
                window: Window::default(),
            },
            target: Target::Values(Vec::new()),
            deviations: Vec::new(),
            split: None,
            details: None,
            source: source.clone(),
        });
        Manifest {
            root: PathBuf::new(),
            task: Task::Regression { targets: Vec::new() },
            examples: examples.collect(),
            annotation_files: Vec::new(),
            faults: Vec::new(),
            remarks: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_with_any_end_and_complaints_are_precise() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("val_matching.txt");
        let text = "1967-11 COCO_1 0.875\r\n\n1967-11 COCO_1 0.875\n238-12  a 0.2\n1 2\n1-1 b 1.5\n1-1 b c d\n";
        files::write_whole(&path, text.as_bytes()).unwrap();
        let error = read(&[(Split::Val, path.clone())], 0.0).unwrap_err().to_string();
        for what in [":5: it is not clip", ":6: the score is \"1.5\"", ":7: it is not clip"] {
            assert!(error.contains(what), "{error}");
        }
        files::write_whole(&path, text.lines().take(4).collect::<Vec<_>>().join("\r\n").as_bytes()).unwrap();
        let matching = read(&[(Split::Val, path)], 0.0).unwrap();
        assert_eq!(
            (matching.pairs.len(), matching.clips, matching.images),
            (
                2,
                vec!["1967-11".to_owned(), "238-12".into()],
                vec!["COCO_1".to_owned(), "a".into()]
            )
        );
        assert_eq!(matching.remarks, ["val: 1 rows repeat a pair; the first counts"]);
        assert_eq!(std::mem::size_of::<Pair>(), 16);
    }
}
