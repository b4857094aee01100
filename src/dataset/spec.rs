//! The `[dataset]` table of an experiment file.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SplitSpec;
use super::imemnet::{ImemnetCImageSpec, ImemnetCMusicSpec, ImemnetSpec};
use super::synthetic_pairs::SyntheticPairsSpec;

/// Where the examples come from. `kind` decides which keys there are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum DatasetSpec {
    Table(TableSpec),
    DeamStatic(DeamStaticSpec),
    DeamDynamic(DeamDynamicSpec),
    Meld(MeldSpec),
    Imemnet(ImemnetSpec),
    ImemnetCImage(ImemnetCImageSpec),
    ImemnetCMusic(ImemnetCMusicSpec),
    Synthetic(SyntheticSpec),
    SyntheticPairs(SyntheticPairsSpec),
}

impl DatasetSpec {
    /// The word that `kind` has in an experiment file.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Table(_) => "table",
            Self::DeamStatic(_) => "deam-static",
            Self::DeamDynamic(_) => "deam-dynamic",
            Self::Meld(_) => "meld",
            Self::Imemnet(_) => "imemnet",
            Self::ImemnetCImage(_) => "imemnet-c-image",
            Self::ImemnetCMusic(_) => "imemnet-c-music",
            Self::Synthetic(_) => "synthetic",
            Self::SyntheticPairs(_) => "synthetic-pairs",
        }
    }

    /// The split that is asked for.
    pub fn split(&self) -> &SplitSpec {
        match self {
            Self::Table(spec) => &spec.split,
            Self::DeamStatic(spec) => &spec.split,
            Self::DeamDynamic(spec) => &spec.split,
            Self::Meld(spec) => &spec.split,
            Self::Imemnet(spec) => &spec.split,
            Self::ImemnetCImage(spec) => &spec.split,
            Self::ImemnetCMusic(spec) => &spec.split,
            Self::Synthetic(spec) => &spec.split,
            Self::SyntheticPairs(spec) => &spec.split,
        }
    }

    /// Whether it is made of pairs of a picture and a clip of music, and not of examples.
    pub fn is_pairs(&self) -> bool {
        matches!(self, Self::Imemnet(_) | Self::SyntheticPairs(_))
    }

    /// The same with another [`on_error`](Self::on_error), where the kind has a choice.
    pub fn with_on_error(&self, on_error: OnError) -> Self {
        let mut spec = self.clone();
        match &mut spec {
            Self::Table(spec) => spec.on_error = on_error,
            Self::DeamStatic(spec) => spec.on_error = on_error,
            Self::DeamDynamic(spec) => spec.on_error = on_error,
            Self::Meld(spec) => spec.on_error = on_error,
            Self::ImemnetCImage(spec) => spec.on_error = on_error,
            Self::ImemnetCMusic(spec) => spec.on_error = on_error,
            Self::Imemnet(spec) => spec.on_error = on_error,
            Self::Synthetic(_) | Self::SyntheticPairs(_) => {}
        }
        spec
    }

    /// What happens to examples whose file is missing or damaged.
    pub fn on_error(&self) -> OnError {
        match self {
            Self::Table(spec) => spec.on_error,
            Self::DeamStatic(spec) => spec.on_error,
            Self::DeamDynamic(spec) => spec.on_error,
            Self::Meld(spec) => spec.on_error,
            Self::ImemnetCImage(spec) => spec.on_error,
            Self::ImemnetCMusic(spec) => spec.on_error,
            Self::Imemnet(spec) => spec.on_error,
            Self::Synthetic(_) | Self::SyntheticPairs(_) => OnError::Fail,
        }
    }
}

/// What happens to an example whose file is missing or damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnError {
    /// All such files are reported together and the run does not start.
    #[default]
    Fail,
    /// The example is left out; the run records how many.
    Skip,
    /// The example keeps its place with features of zeros; the run records how many.
    Zeros,
}

/// Any CSV file with a column of audio paths, and targets (numbers) or a label (classes).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableSpec {
    /// The folder that the other paths are relative to.
    pub root: PathBuf,
    /// The CSV file (UTF-8, comma-separated, with a header line), relative to `root`.
    pub file: PathBuf,
    /// The column with the audio file's path, relative to `audio_root`.
    pub audio: String,
    /// The folder that the audio paths are relative to, itself relative to `root`. Default: `root`.
    #[serde(default)]
    pub audio_root: PathBuf,
    /// The columns to predict, for regression: finite numbers. Give either this or `label`.
    #[serde(default)]
    pub targets: Vec<String>,
    /// The column with the class, for classification. Classes are sorted by name. Give either this or `targets`.
    #[serde(default)]
    pub label: Option<String>,
    /// The column with a unique id. Default: the audio path, with `@` and the start where there is a `start` column.
    #[serde(default)]
    pub id: Option<String>,
    /// The column whose value must not straddle a split: speaker, song. Default: rows with the same audio file are a group.
    #[serde(default)]
    pub group: Option<String>,
    /// The column that says `train`, `val` (`valid`, `validation`, `dev`) or `test`, for `split.kind = "column"`.
    #[serde(default)]
    pub split_column: Option<String>,
    /// The column with the start of the window, in seconds. An empty cell: from the beginning.
    #[serde(default)]
    pub start: Option<String>,
    /// The column with the end of the window, in seconds. An empty cell: to the end of the file.
    #[serde(default)]
    pub end: Option<String>,
    #[serde(default)]
    pub split: SplitSpec,
    /// What happens to examples whose audio file is missing or damaged.
    #[serde(default)]
    pub on_error: OnError,
}

/// DEAM's song-level annotations: one valence and one arousal per song.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeamStaticSpec {
    /// The folder that holds `annotations/` and `MEMD_audio/` (or `DEAM_Annotations/` and `DEAM_audio/`).
    pub root: PathBuf,
    /// What is predicted, in this order.
    #[serde(default = "valence_and_arousal")]
    pub targets: Vec<DeamTarget>,
    /// The scale that the ratings (1 to 9) are mapped to.
    #[serde(default)]
    pub scale: DeamScale,
    /// What is done about songs up to 1000, whose valence and arousal look swapped in the published file.
    #[serde(default)]
    pub valence_arousal_swap: ValenceArousalSwap,
    #[serde(default)]
    pub split: SplitSpec,
    /// What happens to examples whose audio file is missing or damaged.
    #[serde(default)]
    pub on_error: OnError,
}

/// In DEAM's song-level file, valence and arousal of the songs 1 to 1000 look swapped: they correlate with the averages of the
/// dynamic annotations the wrong way round (r about 0.9 for 99 songs), those above 1000 the right way. The default takes the file as it is, because published figures were obtained that way, and says in the run's record what the
/// dynamic annotations have to say about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ValenceArousalSwap {
    /// As published, and nothing is compared.
    None,
    /// The two are exchanged for songs up to 1000, their deviations too.
    #[serde(rename = "up-to-1000")]
    UpTo1000,
    /// As published; correlated with the dynamic annotations where those are there, and recorded.
    #[default]
    Check,
}

/// DEAM's annotations by half seconds: clips of a song, each with the mean valence and arousal inside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeamDynamicSpec {
    /// The folder that holds `annotations/` and `MEMD_audio/` (or `DEAM_Annotations/` and `DEAM_audio/`).
    pub root: PathBuf,
    /// What is predicted, in this order.
    #[serde(default = "valence_and_arousal")]
    pub targets: Vec<DeamTarget>,
    /// The scale that the annotations (−1 to 1) are mapped to.
    #[serde(default = "symmetric")]
    pub scale: DeamScale,
    /// Length of a clip in seconds.
    #[serde(default = "five")]
    #[schemars(range(min = 0.5, max = 600.0))]
    pub clip_seconds: f64,
    /// Where the first clip of a song begins, in seconds. The annotations begin at 15 s: listeners need time to settle.
    #[serde(default = "fifteen")]
    #[schemars(range(min = 0.0, max = 3600.0))]
    pub start_seconds: f64,
    /// No clip reaches beyond this many seconds. Default: to the end of a song's annotations. The songs 2001 to 2058 are annotated
    /// for minutes and would outweigh the others, which end at 45 s.
    #[serde(default)]
    #[schemars(range(min = 0.5, max = 3600.0))]
    pub end_seconds: Option<f64>,
    /// How clips follow each other.
    #[serde(default)]
    pub windows: Windows,
    /// Seconds from the start of a clip to the start of the next, for `windows = "sliding"`.
    #[serde(default = "one_second")]
    #[schemars(range(min = 0.1, max = 600.0))]
    pub hop_seconds: f64,
    /// The share of a clip's half seconds that must be annotated; its label is the mean of those that are.
    #[serde(default = "half")]
    #[schemars(range(min = 0.01, max = 1.0))]
    pub min_annotated: f64,
    #[serde(default)]
    pub split: SplitSpec,
    /// What happens to examples whose audio file is missing or damaged.
    #[serde(default)]
    pub on_error: OnError,
}

/// How clips follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Windows {
    /// Each begins where the one before ends.
    #[default]
    Consecutive,
    /// Each begins `hop_seconds` after the one before.
    Sliding,
}

/// The two dimensions that DEAM annotates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeamTarget {
    Valence,
    Arousal,
}

/// The scale of the targets. Whatever the annotations' own scale is (1 to 9 for songs, −1 to 1 for half seconds), it is mapped
/// linearly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum DeamScale {
    /// 1 to 9.
    #[default]
    #[serde(rename = "1..9")]
    Nine,
    /// 0 to 1.
    #[serde(rename = "0..1")]
    Unit,
    /// −1 to 1.
    #[serde(rename = "-1..1")]
    Symmetric,
}

fn symmetric() -> DeamScale {
    DeamScale::Symmetric
}

fn five() -> f64 {
    5.0
}

fn fifteen() -> f64 {
    15.0
}

fn one_second() -> f64 {
    1.0
}

fn half() -> f64 {
    0.5
}

pub(super) fn valence_and_arousal() -> Vec<DeamTarget> {
    vec![DeamTarget::Valence, DeamTarget::Arousal]
}

/// MELD, the Multimodal EmotionLines Dataset: utterances of a television series, by dialogue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MeldSpec {
    /// The folder that holds the tables `train_sent_emo.csv`, … and the folders with the clips.
    pub root: PathBuf,
    /// What is predicted.
    #[serde(default)]
    pub label: MeldLabel,
    /// What must not straddle a split.
    #[serde(default)]
    pub group: MeldGroup,
    /// The utterances that are used, and their order. Default: all, in the order of the tables.
    #[serde(default)]
    pub ids: Option<IdLists>,
    /// Default: the official split.
    // The schema's default would become that of every `[dataset.split]` without a `kind`.
    #[serde(default = "official")]
    #[schemars(extend("default" = null))]
    pub split: SplitSpec,
    /// What happens to utterances whose clip is missing or damaged. By default they keep their place with features of zeros, so
    /// that arrays stay aligned with those of other tools.
    #[serde(default = "zeros")]
    pub on_error: OnError,
}

/// What MELD's utterances are labelled with. Classes are sorted by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MeldLabel {
    /// anger, disgust, fear, joy, neutral, sadness, surprise.
    #[default]
    Emotion,
    /// negative, neutral, positive.
    Sentiment,
}

/// What of MELD must not straddle a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MeldGroup {
    #[default]
    Dialogue,
    /// The series' main characters speak in all three official splits, so this needs another split than the official one.
    Speaker,
}

/// Files that list ids, relative to `root`: CSV, `.npy`, or the pickle `text_emotion.pkl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum IdLists {
    /// One file for all three splits: a CSV file with the columns `split`, `dialogue` and `utterance` (or `id`, as in
    /// `train/dia0_utt0`), an array of such ids, or the pickle.
    One(PathBuf),
    /// A file for each split: CSV files with `dialogue` and `utterance` (or `id`, as in `dia0_utt0`), or arrays of such ids or
    /// of pairs of numbers. A split without a file has no utterances.
    Each(IdListPerSplit),
}

/// A file for each split.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IdListPerSplit {
    pub train: Option<PathBuf>,
    pub val: Option<PathBuf>,
    pub test: Option<PathBuf>,
}

pub(super) fn official() -> SplitSpec {
    SplitSpec::Official
}

fn zeros() -> OnError {
    OnError::Zeros
}

/// Music rendered by the program from known valence and arousal, in DEAM's layout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SyntheticSpec {
    /// How many songs are rendered.
    #[schemars(range(min = 10, max = 5000))]
    pub songs: usize,
    /// Length of each song in seconds.
    #[schemars(range(min = 1.0, max = 60.0))]
    pub seconds: f64,
    /// Sample rate of the files in Hz.
    #[schemars(range(min = 8000, max = 48000))]
    pub sample_rate: u32,
    /// How many annotators rate each song; the target is their mean.
    #[schemars(range(min = 1, max = 100))]
    pub annotators: usize,
    /// Standard deviation of one annotator's rating around the truth, on the scale 1 to 9.
    #[schemars(range(min = 0.0, max = 4.0))]
    pub annotator_deviation: f64,
    /// The seed of the corpus. Apart from the experiment's, so that repeats with other seeds see the same songs.
    pub seed: u64,
    /// What is predicted, in this order.
    pub targets: Vec<DeamTarget>,
    /// The scale that the ratings (1 to 9) are mapped to.
    pub scale: DeamScale,
    pub split: SplitSpec,
}

impl Default for SyntheticSpec {
    fn default() -> Self {
        Self {
            songs: 400,
            seconds: 6.0,
            sample_rate: 22_050,
            annotators: 10,
            annotator_deviation: 1.0,
            seed: 1,
            targets: valence_and_arousal(),
            scale: DeamScale::Symmetric,
            split: SplitSpec::default(),
        }
    }
}
