//! MELD, with 32 utterances.

use std::path::{Path, PathBuf};

use affect::dataset::Split;

use super::{ffmpeg, write};

pub const EMOTIONS: [&str; 7] = ["anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"];

/// Which folders the archives were unpacked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nesting {
    /// `train_splits/dia0_utt0.mp4`, tables at the root.
    Flat,
    /// `train/train_splits/dia0_utt0.wav`, tables in `train/`.
    Nested,
}

impl Nesting {
    pub fn table(self, split: Split) -> PathBuf {
        let name = name(split);
        match self {
            Self::Flat => format!("{name}_sent_emo.csv").into(),
            Self::Nested => format!("{name}/{name}_sent_emo.csv").into(),
        }
    }

    pub fn folder(self, split: Split) -> PathBuf {
        let inner = match split {
            Split::Train => "train_splits",
            Split::Val => "dev_splits_complete",
            Split::Test => "output_repeated_splits_test",
        };
        match self {
            Self::Flat => inner.into(),
            Self::Nested => Path::new(name(split)).join(inner),
        }
    }
}

fn name(split: Split) -> &'static str {
    match split {
        Split::Train => "train",
        Split::Val => "dev",
        Split::Test => "test",
    }
}

/// Dialogue and number of every utterance of a split. Dialogue 1 lacks number 2, as some of the real ones do.
pub fn utterances(split: Split) -> Vec<(u32, u32)> {
    let dialogues = if split == Split::Train { 4 } else { 2 };
    let all = (0..dialogues).flat_map(|dialogue| (0..5).map(move |number| (dialogue, number)));
    all.filter(|key| *key != (1, 2)).collect()
}

/// The emotion of an utterance.
pub fn emotion(split: Split, dialogue: u32, number: u32) -> &'static str {
    let start = if split == Split::Train { 0 } else { 3 };
    EMOTIONS[(start + dialogue * 5 + number) as usize % 7]
}

fn sentiment(emotion: &str) -> &'static str {
    match emotion {
        "joy" => "positive",
        "neutral" => "neutral",
        _ => "negative",
    }
}

/// The tables alone.
pub fn tables(root: &Path, nesting: Nesting) {
    for split in Split::ALL {
        let mut text = String::from(
            "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\r\n",
        );
        for (index, (dialogue, number)) in utterances(split).into_iter().enumerate() {
            let emotion = emotion(split, dialogue, number);
            let speaker = ["Phoebe", "The Interviewer", "Joey"][(dialogue + number) as usize % 3];
            text.push_str(&format!(
                "{},\"Oh my God, it’s {number}.\",{speaker},{emotion},{},{dialogue},{number},8,21,\"00:16:1{number},059\",\"00:16:1{number},959\"\r\n",
                index + 1,
                sentiment(emotion),
            ));
        }
        write(&root.join(nesting.table(split)), text);
    }
}

/// Clips whose file is missing, empty or damaged.
pub const FAULTY: [(Split, u32, u32, &str); 3] = [
    (Split::Train, 0, 1, "missing"),
    (Split::Train, 2, 3, "empty"),
    (Split::Val, 1, 1, "damaged"),
];

/// Writes the whole corpus: MP4 with moving pictures and AAC in six channels, or WAV.
pub fn generate(root: &Path, nesting: Nesting) {
    tables(root, nesting);
    for split in Split::ALL {
        let folder = root.join(nesting.folder(split));
        for (dialogue, number) in utterances(split) {
            let class = EMOTIONS
                .iter()
                .position(|it| *it == emotion(split, dialogue, number))
                .unwrap();
            let extension = if nesting == Nesting::Flat { "mp4" } else { "wav" };
            let path = folder.join(format!("dia{dialogue}_utt{number}.{extension}"));
            let fault = FAULTY.iter().find(|it| (it.0, it.1, it.2) == (split, dialogue, number));
            match fault.map(|it| it.3) {
                Some("missing") => {}
                Some("empty") => write(&path, ""),
                Some(_) => write(&path, "not a clip".repeat(50)),
                None => clip(&path, 250.0 * (class + 1) as f64, 0.6 + 0.3 * f64::from(number)),
            }
        }
        // Litter, and what belongs to nobody.
        write(&folder.join("._dia0_utt0.mp4"), b"\0\x05\x16\x07");
        write(&folder.join("dia77_utt0.mp4"), "x");
        write(&folder.join("final_videos_testdia0_utt0.mp4"), "x");
    }
}

fn clip(path: &Path, frequency: f64, seconds: f64) {
    let sound = format!("sine=f={frequency}:d={seconds}");
    let path = path.to_str().unwrap();
    if path.ends_with(".wav") {
        return ffmpeg(&["-f", "lavfi", "-i", &sound, "-ar", "16000", path]);
    }
    let picture = format!("color=c=gray:s=64x48:r=12:d={seconds}");
    ffmpeg(&[
        "-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &sound, "-c:v", "mpeg4", "-c:a", "aac", "-ac", "6", "-ar",
        "48000", path,
    ]);
}
