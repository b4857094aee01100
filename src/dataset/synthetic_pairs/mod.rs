//! Pairs of music and pictures without a download: both rendered by the program from known valence and arousal.
//!
//! It lets the whole way of matching run anywhere, and gives tests a task whose answer is known. The music is that of
//! [`synthetic`](super::synthetic); a picture carries the same two coordinates in its colour and its texture ([`picture`] names the
//! sources), beside much that says nothing of them. How well a clip and a picture match is a function of the distance between their
//! coordinates, as in IMEMNet, plus what judges disagree about.
//!
//! Songs and pictures are dealt to train, val and test once, and pairs are made within each: nothing of a test pair is ever seen in
//! training. Of the pictures that a clip is paired with, a quarter is among its best matches and the rest is drawn at random, so
//! scores of all sizes are there.

mod corpus;
mod pairs;
pub mod picture;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use corpus::prepare;

use super::imemnet::{ImemnetSpec, MatchingFiles, OfficialOverlap, PairGroup};
use super::{OnError, SplitSpec, SyntheticSpec};

/// Music and pictures rendered by the program from known valence and arousal, and pairs of them, in IMEMNet's layout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SyntheticPairsSpec {
    /// How many songs are rendered.
    #[schemars(range(min = 10, max = 5000))]
    pub songs: usize,
    /// Clips of each song, one after the other.
    #[schemars(range(min = 1, max = 20))]
    pub clips_per_song: usize,
    /// Length of each clip in seconds.
    #[schemars(range(min = 1.0, max = 60.0))]
    pub seconds: f64,
    /// Sample rate of the files in Hz.
    #[schemars(range(min = 8000, max = 48000))]
    pub sample_rate: u32,
    /// How many pictures are drawn.
    #[schemars(range(min = 20, max = 50000))]
    pub images: usize,
    /// Rows and columns of each picture.
    #[schemars(range(min = 16, max = 512))]
    pub image_size: usize,
    /// Pictures that each clip is paired with; at most those of its side.
    #[schemars(range(min = 1, max = 1000))]
    pub pairs_per_clip: usize,
    /// Standard deviation of a score around the truth.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub score_deviation: f64,
    /// The seed of the corpus. Apart from the experiment's, so that repeats with other seeds see the same pairs.
    pub seed: u64,
    /// What must not straddle a split that is drawn anew.
    pub group: PairGroup,
    /// Default: the official split, in which sides share neither songs nor pictures.
    #[schemars(extend("default" = null))]
    pub split: SplitSpec,
}

impl Default for SyntheticPairsSpec {
    fn default() -> Self {
        Self {
            songs: 240,
            clips_per_song: 2,
            seconds: 4.0,
            sample_rate: 22_050,
            images: 480,
            image_size: 64,
            pairs_per_clip: 8,
            score_deviation: 0.03,
            seed: 1,
            group: PairGroup::Song,
            split: SplitSpec::Official,
        }
    }
}

impl SyntheticPairsSpec {
    /// The rendered corpus as IMEMNet's loader reads it.
    pub(super) fn corpus(&self, root: PathBuf) -> ImemnetSpec {
        ImemnetSpec {
            root,
            files: MatchingFiles::Raw,
            min_score: 0.0,
            image_va: Some(corpus::IMAGE_VA.into()),
            music_va: Some(corpus::MUSIC_VA.into()),
            emotic: None,
            image_folder: corpus::IMAGES.into(),
            audio_folder: corpus::AUDIO.into(),
            group: self.group,
            official_overlap: OfficialOverlap::Refuse,
            split: self.split.clone(),
            on_error: OnError::Fail,
        }
    }

    /// The songs, all clips of each in one.
    fn music(&self) -> SyntheticSpec {
        SyntheticSpec {
            songs: self.songs,
            seconds: self.seconds * self.clips_per_song as f64,
            sample_rate: self.sample_rate,
            seed: self.seed,
            ..SyntheticSpec::default()
        }
    }
}
