//! Where each corpus comes from, under which terms, what it looks like on the disk and how much of it there is.

use std::path::Path;

use serde::Serialize;

use super::imemnet::{ImemnetCImageSpec, ImemnetCMusicSpec, ImemnetSpec, Repeated};
use super::{DatasetSpec, DeamDynamicSpec, DeamStaticSpec, MeldSpec, OnError, Split, ValenceArousalSwap};

/// A corpus, in words.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Corpus {
    /// The word that `dataset.kind` has for it.
    pub kind: &'static str,
    pub name: &'static str,
    /// What is predicted from what.
    pub task: &'static str,
    /// Pages to get it from.
    pub source: &'static [&'static str],
    /// As stated at the source.
    pub licence: &'static str,
    pub citation: &'static str,
    /// The expected tree under `dataset.root`.
    pub tree: &'static str,
    /// Rows of the annotations, by what they are of: counted in the published files. Empty where those could not be counted.
    pub counts: &'static [Count],
    /// What is odd about it, and what the program does about that.
    pub notes: &'static [&'static str],
    /// Experiments in experiments/ that use it.
    pub experiments: &'static [&'static str],
}

/// How many rows there are of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Count {
    pub of: &'static str,
    pub rows: usize,
}

const fn count(of: &'static str, rows: usize) -> Count {
    Count { of, rows }
}

const DEAM_SOURCE: &[&str] = &["https://cvml.unige.ch/databases/DEAM/"];
const DEAM_LICENCE: &str = "non-commercial research; the songs are under Creative Commons licences of their own";
const DEAM_CITATION: &str = "Aljanaki, Yang and Soleymani (2017): Developing a benchmark for emotional analysis of music. PLoS ONE 12(3), \
                             e0173392";

/// All corpora that have to be fetched, by kind.
pub const CORPORA: [Corpus; 6] = [
    Corpus {
        kind: "deam-static",
        name: "DEAM, song-level annotations",
        task: "valence and arousal of songs (1 to 9, means over annotators with their deviations)",
        source: DEAM_SOURCE,
        licence: DEAM_LICENCE,
        citation: DEAM_CITATION,
        tree: "\
annotations/annotations averaged per song/song_level/
  static_annotations_averaged_songs_1_2000.csv
  static_annotations_averaged_songs_2000_2058.csv
MEMD_audio/<song id>.mp3",
        counts: &[count("songs", 1802)],
        notes: &[
            "DEAM_Annotations/ and DEAM_audio/, as mirrors have it, are found too",
            "valence and arousal of songs up to 1000 look swapped: see `dataset.valence_arousal_swap`",
            "sample rates are 44.1, 48, 22.05 and 16 kHz; the last 58 songs are whole, the others excerpts of 45 s",
        ],
        experiments: &["deam-static-music2emotion"],
    },
    Corpus {
        kind: "deam-dynamic",
        name: "DEAM, annotations by half seconds",
        task: "valence and arousal of clips of songs (−1 to 1)",
        source: DEAM_SOURCE,
        licence: DEAM_LICENCE,
        citation: DEAM_CITATION,
        tree: "\
annotations/annotations averaged per song/dynamic (per second annotations)/
  valence.csv
  arousal.csv
MEMD_audio/<song id>.mp3",
        counts: &[],
        notes: &[
            "rows end where their song does, and the two files need not have the same songs or columns: what is missing costs its own \
             clips only",
            "annotations begin at 15 s; the authors state 1802 songs",
        ],
        experiments: &["deam-dynamic-cnn"],
    },
    Corpus {
        kind: "meld",
        name: "MELD, the Multimodal EmotionLines Dataset",
        task: "seven emotions or three sentiments of utterances in a television series",
        source: &[
            "https://affective-meld.github.io/",
            "https://github.com/declare-lab/MELD",
        ],
        licence: "GPL-3.0",
        citation: "Poria, Hazarika, Majumder, Naik, Cambria and Mihalcea (2019): MELD: A multimodal multi-party dataset for emotion recognition \
                   in conversations. ACL, 527–536",
        tree: "\
train_sent_emo.csv
dev_sent_emo.csv
test_sent_emo.csv
train_splits/dia<dialogue>_utt<utterance>.mp4
dev_splits_complete/dia<dialogue>_utt<utterance>.mp4
output_repeated_splits_test/dia<dialogue>_utt<utterance>.mp4",
        counts: &[
            count("utterances in train", 9989),
            count("utterances in dev", 1109),
            count("utterances in test", 2610),
        ],
        notes: &[
            "train/train_splits/ and so on, with the tables beside or one level up, are found too; so are .wav files in the clips' place",
            "a few clips are missing or damaged in every copy: they keep their place as zeros (`dataset.on_error`)",
            "`._dia…` files (macOS's notes about files) are ignored and counted",
        ],
        experiments: &["meld-audio-cnn"],
    },
    Corpus {
        kind: "imemnet",
        name: "IMEMNet, pairs of music and pictures",
        task: "how well a clip of music and a picture match (0 to 1)",
        source: &["https://github.com/linkAmy/IMEMNet"],
        licence: "none stated; the pictures and the music are IAPS', NAPS', EMOTIC's and DEAM's, each under its own terms",
        citation: "Zhao, Li, Yao, Nie, Jia, Yang and Keutzer (2020): Emotion-based end-to-end matching between image and music in \
                   valence-arousal space. ACM Multimedia, 2945–2954",
        tree: "\
train_matching.txt
val_matching.txt
test_matching.txt
cleaned/cleaned_{train,val,test}_matching.txt   (written by `affect datasets clean imemnet`)
<picture id>.jpg   (or .JPG, .png, or EMOTIC's arrays for cleaned files; in any folder below, or in `dataset.emotic`)
<song>-<clip>.wav  (or .mp3, .flac; in any folder below)",
        counts: &[count("pairs in val", 8795), count("pairs in test", 26_115)],
        notes: &[
            "all 90 songs of val are in test, and 1175 of its 1278 pictures: the official split is refused unless \
             `dataset.official_overlap` is \"remark\"; `dataset.split` divides anew by song, or by song and picture together (`dataset.group`)",
            "a few rows repeat a pair; the first counts",
        ],
        experiments: &["imemnet-match-contrastive", "imemnet-match-regression"],
    },
    Corpus {
        kind: "imemnet-c-image",
        name: "IMEMNet-C, valence and arousal of pictures",
        task: "valence and arousal of pictures (0 to 1)",
        source: &["https://github.com/schoi828/IMEMNet-C"],
        licence: "that of the sources: IAPS, NAPS and EMOTIC are given on request",
        citation: "Choi, Kim and Kang (2025): MMVA: Multimodal matching based on valence and arousal across images, music, and musical \
                   captions. arXiv:2501.01094",
        tree: "\
image_va.csv
<picture id>.jpg   (or .JPG, .png; in any folder below)
or, with `dataset.pictures = \"arrays\"` and `dataset.folder` for EMOTIC's folder:
<folder>/annots_arrs/annot_arrs_{train,val,test,extra_train}.csv
<folder>/img_arrs/*.npy",
        counts: &[count("rows", 24_758)],
        notes: &[
            "24744 different pictures: eight numbers of IAPS lost their decimals and have several rows with different values; see \
             `dataset.repeated`",
        ],
        experiments: &["imemnet-c-image-va"],
    },
    Corpus {
        kind: "imemnet-c-music",
        name: "IMEMNet-C, valence and arousal of music",
        task: "valence and arousal of clips of music (0 to 1), with captions",
        source: &[
            "https://github.com/schoi828/IMEMNet-C",
            "https://github.com/linkAmy/IMEMNet (the clips)",
        ],
        licence: "that of the sources; the music is DEAM's",
        citation: "Choi, Kim and Kang (2025): MMVA: Multimodal matching based on valence and arousal across images, music, and musical \
                   captions. arXiv:2501.01094",
        tree: "\
music_va.csv
<song>-<clip>.wav   (or .WAV; in any folder below)",
        counts: &[],
        notes: &["clips of one song are one group; the authors state 25,944 clips"],
        experiments: &["imemnet-c-music-va"],
    },
];

impl Corpus {
    /// The corpus of this kind.
    pub fn of_kind(kind: &str) -> Option<&'static Self> {
        CORPORA.iter().find(|corpus| corpus.kind == kind)
    }

    /// Settings that read all of the corpus at `root` and keep what is missing in view.
    pub fn spec(&self, root: &Path) -> Option<DatasetSpec> {
        // By way of the defaults that an experiment file has.
        let table = |kind: &str| {
            let mut table = serde_json::Map::new();
            table.insert("kind".into(), kind.into());
            table.insert("root".into(), root.to_str()?.into());
            serde_json::from_value::<DatasetSpec>(table.into()).ok()
        };
        let all = |spec: DatasetSpec| match spec {
            DatasetSpec::DeamStatic(spec) => DatasetSpec::DeamStatic(DeamStaticSpec {
                valence_arousal_swap: ValenceArousalSwap::Check,
                on_error: OnError::Zeros,
                ..spec
            }),
            DatasetSpec::DeamDynamic(spec) => DatasetSpec::DeamDynamic(DeamDynamicSpec {
                on_error: OnError::Zeros,
                ..spec
            }),
            DatasetSpec::Meld(spec) => DatasetSpec::Meld(MeldSpec {
                on_error: OnError::Zeros,
                ..spec
            }),
            DatasetSpec::ImemnetCImage(spec) => DatasetSpec::ImemnetCImage(ImemnetCImageSpec {
                repeated: Repeated::Keep,
                on_error: OnError::Zeros,
                ..spec
            }),
            DatasetSpec::ImemnetCMusic(spec) => DatasetSpec::ImemnetCMusic(ImemnetCMusicSpec {
                repeated: Repeated::Keep,
                on_error: OnError::Zeros,
                ..spec
            }),
            other => other,
        };
        table(self.kind).map(all)
    }

    /// The rows that were found, in the order of [`Self::counts`].
    pub fn found(&self, manifest: &super::Manifest) -> Vec<usize> {
        let of_split = |split: Split| manifest.examples.iter().filter(|it| it.split == Some(split)).count();
        match self.kind {
            "meld" => Split::ALL.map(of_split).into(),
            _ => vec![manifest.examples.len()],
        }
    }

    /// As [`Self::found`], for pairs.
    pub fn found_pairs(&self, spec: &ImemnetSpec) -> Result<Vec<usize>, super::Error> {
        let lines = super::imemnet::matching::count_lines(spec)?;
        Ok([Split::Val, Split::Test]
            .map(|split| lines.get(&split).copied().unwrap_or(0))
            .into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_corpus_can_be_asked_for_by_its_kind() {
        for corpus in &CORPORA {
            let spec = corpus.spec(Path::new("data")).unwrap();
            assert_eq!(spec.kind(), corpus.kind);
            assert_eq!(Corpus::of_kind(corpus.kind), Some(corpus));
        }
        assert_eq!(Corpus::of_kind("table"), None);
    }
}
