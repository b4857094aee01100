//! MELD, the Multimodal EmotionLines Dataset (Poria, Hazarika, Majumder, Naik, Cambria and Mihalcea 2019).
//!
//! Ids restart in every split: an utterance is known by its split, dialogue and number. [`labels`] reads the tables, [`layout`]
//! finds them and the clips, [`ids`] reads lists of utterances.

mod ids;
mod labels;
mod layout;
mod npy_ids;
mod pickle;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use super::audio_files::Inspected;
use super::load::{Recordings, check_root, conclude, remark_on_faults};
use super::{
    Details, Error, Example, Manifest, Media, MeldGroup, MeldLabel, MeldSpec, Split, SplitSpec, Target, Task, Window,
};
use labels::Utterance;
use layout::Clips;

/// An utterance: split, dialogue, number in it.
pub(super) type Key = (Split, u32, u32);

const EMOTIONS: [&str; 7] = ["anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"];
const SENTIMENTS: [&str; 3] = ["negative", "neutral", "positive"];

/// The names of the classes, sorted.
fn classes(label: MeldLabel) -> &'static [&'static str] {
    match label {
        MeldLabel::Emotion => &EMOTIONS,
        MeldLabel::Sentiment => &SENTIMENTS,
    }
}

/// Reads the tables and looks for the clips.
pub(super) fn load(spec: &MeldSpec, recordings: Recordings) -> Result<Manifest, Error> {
    check_root(&spec.root)?;
    let mut utterances = Vec::new();
    let mut problems = Vec::new();
    let mut annotation_files: Vec<PathBuf> = Vec::new();
    for (split, path) in layout::tables(&spec.root)? {
        let (mut read, mut faults) = labels::read(&path, split, spec.label)?;
        utterances.append(&mut read);
        problems.append(&mut faults);
        annotation_files.push(path);
    }
    let mut remarks = Vec::new();
    if let Some(lists) = &spec.ids {
        let (chosen, paths, remark) = choose(utterances, ids::read(&spec.root, lists)?, &mut problems);
        utterances = chosen;
        annotation_files.extend(paths);
        remarks.extend(remark);
    }
    let clips: HashMap<Split, Clips> = (Split::ALL.into_iter())
        .map(|split| Ok((split, Clips::find(&spec.root, split)?)))
        .collect::<Result<_, Error>>()?;
    let litter: usize = clips.values().map(|clips| clips.litter).sum();
    if litter > 0 {
        remarks.push(format!(
            "{litter} AppleDouble files (`._dia…`, macOS's notes about files) are ignored"
        ));
    }
    let examples: Vec<Example> = (utterances.into_iter())
        .filter_map(|utterance| Some(example(clips.get(&utterance.key.0)?, utterance, spec.group)))
        .collect();
    if examples.is_empty() && problems.is_empty() {
        return Err(Error::NoExamples {
            what: "the lists of `dataset.ids` name none of MELD's utterances".into(),
            hint: "ids are numbers of dialogue and utterance, such as `dia0_utt0`, in the split that the file is for",
        });
    }
    let Inspected { examples, faults } = conclude(examples, problems, spec.on_error, recordings)?;
    remarks.extend(remark_on_faults(&faults, &examples, spec.on_error));
    remarks.extend(remark_on_speakers(&examples, spec));
    Ok(Manifest {
        root: spec.root.clone(),
        task: Task::Classification {
            label: match spec.label {
                MeldLabel::Emotion => "emotion".into(),
                MeldLabel::Sentiment => "sentiment".into(),
            },
            classes: classes(spec.label).iter().map(|class| (*class).to_owned()).collect(),
        },
        examples,
        annotation_files,
        faults,
        remarks,
    })
}

fn split_name(split: Split) -> &'static str {
    match split {
        Split::Train => "train",
        Split::Val => "dev",
        Split::Test => "test",
    }
}

fn example(clips: &Clips, utterance: Utterance, group: MeldGroup) -> Example {
    let (split, dialogue, number) = utterance.key;
    let split_name = split_name(split);
    let dialogue_name = format!("{split_name}/dia{dialogue}");
    Example {
        id: format!("{dialogue_name}_utt{number}"),
        group: match group {
            MeldGroup::Dialogue => dialogue_name.clone(),
            MeldGroup::Speaker => utterance.speaker.clone(),
        },
        media: Media::Audio {
            path: clips.file(dialogue, number),
            window: Window::default(),
        },
        target: Target::Class(utterance.class),
        deviations: Vec::new(),
        split: Some(split),
        details: Some(Box::new(Details {
            speaker: Some(utterance.speaker),
            dialogue: Some((dialogue_name, number)),
            text: Some(utterance.text),
            time: utterance.time,
        })),
        source: utterance.source,
    }
}

/// The utterances that `lists` name, in their order; the lists' files; and what of them names no utterance.
fn choose(
    utterances: Vec<Utterance>,
    lists: ids::Lists,
    problems: &mut Vec<super::Fault>,
) -> (Vec<Utterance>, Vec<PathBuf>, Vec<String>) {
    let all = utterances.len();
    let mut by_key: BTreeMap<Key, Utterance> = utterances.into_iter().map(|it| (it.key, it)).collect();
    let mut chosen = Vec::new();
    let mut unknown = 0;
    let mut seen = BTreeSet::new();
    for (key, source) in lists.keys {
        if !seen.insert(key) {
            problems.push(super::Fault {
                path: source.file.to_path_buf(),
                line: source.line,
                what: format!("dia{}_utt{} of {} is named twice", key.1, key.2, split_name(key.0)),
            });
        } else if let Some(utterance) = by_key.remove(&key) {
            chosen.push(utterance);
        } else {
            unknown += 1;
        }
    }
    let mut remarks = vec![format!(
        "{} of {all} utterances used, those that `ids` names, in its order",
        chosen.len()
    )];
    if unknown > 0 {
        remarks.push(format!(
            "{unknown} entries of `ids` name utterances that MELD's tables lack; they are ignored"
        ));
    }
    (chosen, lists.paths, remarks)
}

/// Who trains and tests on the same voices should know it.
fn remark_on_speakers(examples: &[Example], spec: &MeldSpec) -> Option<String> {
    if spec.group == MeldGroup::Speaker || spec.split != SplitSpec::Official {
        return None;
    }
    let speakers = |split: Split| -> BTreeSet<&str> {
        let of_split = examples.iter().filter(|example| example.split == Some(split));
        of_split
            .filter_map(|example| example.details.as_ref()?.speaker.as_deref())
            .collect()
    };
    let (train, test) = (speakers(Split::Train), speakers(Split::Test));
    let common = train.intersection(&test).count();
    (common > 0).then(|| {
        format!(
            "the official split divides dialogues, not speakers: {common} of the {} speakers in test speak in train too",
            test.len()
        )
    })
}
