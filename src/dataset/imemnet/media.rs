//! The files behind the pairs: each picture and each clip once, however many pairs it is in.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::matching::{self, Matching};
use super::spec::{ImemnetSpec, OfficialOverlap, PairGroup};
use super::{image_stem, song_of};
use crate::dataset::audio_files::{self, Inspected};
use crate::dataset::folder::files_under;
use crate::dataset::{
    Content, Error, Example, Fault, Manifest, Media, OnError, Problems, Source, Split, SplitSpec, Target, Task, Window,
};

const PICTURES: [&str; 4] = ["jpg", "jpeg", "png", "npy"];
const SOUNDS: [&str; 5] = ["wav", "mp3", "flac", "m4a", "ogg"];

/// Pairs with their files.
#[derive(Debug, Clone)]
pub struct PairCorpus {
    pub matching: Matching,
    /// One example for each of [`Matching::images`], in their order; the targets are valence and arousal from 0 to 1 where they
    /// are known, and NaN where they are not.
    pub images: Manifest,
    /// One example for each of [`Matching::clips`], likewise; the group is the song.
    pub clips: Manifest,
    pub(super) group: PairGroup,
    pub(super) overlap: OfficialOverlap,
    split: SplitSpec,
    on_error: OnError,
}

impl PairCorpus {
    /// What happens to pairs whose files cannot be used.
    pub fn on_error(&self) -> OnError {
        self.on_error
    }

    /// The split that is asked for.
    pub fn split(&self) -> &SplitSpec {
        &self.split
    }

    /// What must not straddle it.
    pub fn group(&self) -> PairGroup {
        self.group
    }

    /// One string that says whether two runs saw the same pairs: BLAKE3, in hex, of every pair with its score and official split, and of
    /// the two manifests' fingerprints.
    pub fn fingerprint(&self) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("affect 2026 pair fingerprint v1");
        hasher.update(self.images.fingerprint().as_bytes());
        hasher.update(self.clips.fingerprint().as_bytes());
        for pair in &self.matching.pairs {
            hasher.update(&pair.clip.to_le_bytes());
            hasher.update(&pair.image.to_le_bytes());
            hasher.update(&pair.score.to_bits().to_le_bytes());
            hasher.update(pair.split.name().as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    /// The clip and the picture of a pair, as in the matching files.
    pub fn id(&self, pair: &matching::Pair) -> String {
        let name = |names: &[String], number: u32| names.get(number as usize).cloned().unwrap_or_default();
        format!(
            "{} {}",
            name(&self.matching.clips, pair.clip),
            name(&self.matching.images, pair.image)
        )
    }

    /// The song of a pair.
    pub fn song(&self, pair: &matching::Pair) -> &str {
        self.matching
            .clips
            .get(pair.clip as usize)
            .map_or("", |clip| song_of(clip))
    }
}

/// Reads the pairs and looks for their pictures and clips.
///
/// # Errors
/// As [`matching::load`]; with [`OnError::Fail`] also files that are missing or empty, all of them in one message.
pub fn load(spec: &ImemnetSpec) -> Result<PairCorpus, Error> {
    let mut matching = matching::load(spec)?;
    let folders = picture_folders(spec);
    let pictures = Files::find(&folders, &PICTURES)?;
    let sounds = Files::find(&[spec.root.join(&spec.audio_folder)], &SOUNDS)?;
    let images = matching.images.iter().enumerate().map(|(number, id)| Example {
        media: Media::Image {
            path: pictures.of_picture(id),
        },
        ..example(id, id, known(&matching.image_va, number), &spec.root)
    });
    let clips = matching.clips.iter().enumerate().map(|(number, id)| Example {
        media: Media::Audio {
            path: sounds.of_clip(id),
            window: Window::default(),
        },
        ..example(id, song_of(id), known(&matching.clip_va, number), &spec.root)
    });
    let annotation_files: Vec<PathBuf> = matching.files.iter().map(|(_, path)| path.clone()).collect();
    let (images, image_faults) = inspected(images.collect());
    let (clips, clip_faults) = inspected(clips.collect());
    let faults = image_faults.len() + clip_faults.len();
    let total = images.len() + clips.len();
    if spec.on_error == OnError::Fail && faults > 0 {
        let content = match (image_faults.is_empty(), clip_faults.is_empty()) {
            (true, _) => Content::Sound,
            (_, true) => Content::Pictures,
            _ => Content::Both,
        };
        let all: Vec<Fault> = image_faults.into_iter().chain(clip_faults).collect();
        return Err(Box::new(Problems {
            rows: Vec::new(),
            media: audio_files::by_file(&all),
            examples: total,
            examples_without_media: faults,
            content,
        })
        .into());
    }
    if image_faults.len() == images.len() || clip_faults.len() == clips.len() {
        let (content, faults) = match image_faults.len() == images.len() {
            true => (Content::Pictures, image_faults),
            false => (Content::Sound, clip_faults),
        };
        return Err(Error::NothingLeft { content, faults });
    }
    if faults > 0 {
        let how = match spec.on_error {
            OnError::Zeros => "kept as zeros",
            OnError::Fail | OnError::Skip => "left out with their pairs",
        };
        matching.remarks.push(format!(
            "{} of {} pictures and {} of {} clips are missing or empty: {how}",
            image_faults.len(),
            images.len(),
            clip_faults.len(),
            clips.len()
        ));
    }
    let manifest = |examples, faults| Manifest {
        root: spec.root.clone(),
        task: Task::Regression {
            targets: vec!["valence".into(), "arousal".into()],
        },
        examples,
        annotation_files: annotation_files.clone(),
        faults,
        remarks: Vec::new(),
    };
    Ok(PairCorpus {
        images: manifest(images, image_faults),
        clips: manifest(clips, clip_faults),
        matching,
        group: spec.group,
        overlap: spec.official_overlap,
        split: spec.split.clone(),
        on_error: spec.on_error,
    })
}

/// EMOTIC's folder may lie elsewhere.
fn picture_folders(spec: &ImemnetSpec) -> Vec<PathBuf> {
    let mut folders = vec![spec.root.join(&spec.image_folder)];
    if let Some(emotic) = &spec.emotic {
        let emotic = spec.root.join(emotic);
        if !emotic.starts_with(&spec.root) || !spec.image_folder.as_os_str().is_empty() {
            folders.push(emotic);
        }
    }
    folders
}

fn known(values: &[Option<[f32; 2]>], number: usize) -> [f32; 2] {
    values.get(number).copied().flatten().unwrap_or([f32::NAN; 2])
}

fn example(id: &str, group: &str, values: [f32; 2], root: &Path) -> Example {
    Example {
        id: id.to_owned(),
        group: group.to_owned(),
        media: Media::Image { path: PathBuf::new() },
        target: Target::Values(values.to_vec()),
        deviations: Vec::new(),
        split: None::<Split>,
        details: None,
        source: Source {
            file: root.into(),
            line: None,
        },
    }
}

/// All stay, so that their numbers are those of the pairs; what is wrong is told apart.
fn inspected(examples: Vec<Example>) -> (Vec<Example>, Vec<Fault>) {
    let Inspected { examples, mut faults } = audio_files::inspect(examples, OnError::Zeros);
    for fault in &mut faults {
        // The matching files name ids, in many lines each.
        if let Some((what, _)) = fault.what.split_once(" (named in") {
            fault.what = what.to_owned();
        }
    }
    (examples, faults)
}

/// Files by their names without extension, and by their whole names.
struct Files {
    folder: PathBuf,
    by_stem: HashMap<String, PathBuf>,
    arrays: HashMap<String, PathBuf>,
}

impl Files {
    fn find(folders: &[PathBuf], extensions: &[&str]) -> Result<Self, Error> {
        let mut files = Self {
            folder: folders.first().cloned().unwrap_or_default(),
            by_stem: HashMap::new(),
            arrays: HashMap::new(),
        };
        for folder in folders {
            for path in files_under(folder, extensions)? {
                let name = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
                let is_array = path.extension().is_some_and(|it| it.eq_ignore_ascii_case("npy"));
                // Sorted by path, so the same one wins on every system.
                match is_array {
                    true => files.arrays.entry(name(path.file_name())).or_insert(path),
                    false => files.by_stem.entry(name(path.file_stem())).or_insert(path),
                };
            }
        }
        Ok(files)
    }

    /// Where it should be, when it is missing.
    fn of_picture(&self, id: &str) -> PathBuf {
        let found = match id.ends_with(".npy") {
            true => self.arrays.get(id),
            false => self.by_stem.get(image_stem(id)),
        };
        found.cloned().unwrap_or_else(|| match id.ends_with(".npy") {
            true => self.folder.join(id),
            false => self.folder.join(format!("{}.jpg", image_stem(id))),
        })
    }

    fn of_clip(&self, id: &str) -> PathBuf {
        let found = self.by_stem.get(id).cloned();
        found.unwrap_or_else(|| self.folder.join(format!("{id}.wav")))
    }
}
