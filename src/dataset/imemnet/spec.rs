//! The `[dataset]` tables of IMEMNet and IMEMNet-C.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dataset::spec::valence_and_arousal;
use crate::dataset::{DeamScale, DeamTarget, OnError, SplitSpec};

/// IMEMNet: pairs of a clip of music and a picture, with a score for how well they match.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImemnetSpec {
    /// The folder with `train_matching.txt`, `val_matching.txt` and `test_matching.txt`, or with `cleaned_train_matching.txt` and so
    /// on in it or in `cleaned/`.
    pub root: PathBuf,
    /// Which of the two are read.
    #[serde(default)]
    pub files: MatchingFiles,
    /// Pairs with a lower score are left out. The scores are from 0 to 1; the field takes 0.5.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_score: f64,
    /// `image_va.csv` of IMEMNet-C, relative to `root`: valence and arousal are joined to the pictures.
    #[serde(default)]
    pub image_va: Option<PathBuf>,
    /// `music_va.csv` of IMEMNet-C, relative to `root`: valence and arousal are joined to the clips.
    #[serde(default)]
    pub music_va: Option<PathBuf>,
    /// EMOTIC's folder with `annots_arrs/`, relative to `root`: tells which picture an array of the cleaned files is.
    #[serde(default)]
    pub emotic: Option<PathBuf>,
    /// Where the pictures lie, relative to `root`, in any folders below: JPEG and PNG files by the name of the id, or `.npy` arrays
    /// with the names that the cleaned files have. EMOTIC's arrays are also found by `emotic`.
    #[serde(default)]
    pub image_folder: PathBuf,
    /// Where the clips lie, relative to `root`, in any folders below.
    #[serde(default)]
    pub audio_folder: PathBuf,
    /// What must not straddle a split.
    #[serde(default)]
    pub group: PairGroup,
    /// What is done about songs and pictures that the official files share.
    #[serde(default)]
    pub official_overlap: OfficialOverlap,
    /// Default: the official split, which is refused because all songs of val are in test (see `official_overlap`). `kind = "random"`
    /// (or `"k-fold"`, `"leave-one-group-out"`) divides anew, by `group`.
    #[serde(default = "crate::dataset::spec::official")]
    #[schemars(extend("default" = null))]
    pub split: SplitSpec,
    /// What happens to pairs whose picture or clip is missing or damaged.
    #[serde(default)]
    pub on_error: OnError,
}

/// What of the pairs must not straddle a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PairGroup {
    /// All clips of a song are on one side; a picture may be on several, beside other music.
    #[default]
    Song,
    /// Songs are dealt to the sides, and so are pictures. Only pairs whose song and picture are on one side stay, so nothing of a
    /// test pair was seen in training. Of random shares a, b, c about a² + b² + c² of the pairs are left.
    SongAndImage,
}

/// What is done about songs and pictures that IMEMNet's official files share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OfficialOverlap {
    /// Shared songs are an error.
    #[default]
    Refuse,
    /// The split is taken as it was published. What is shared stands among the remarks of the run and its report.
    Remark,
}

/// Which matching files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MatchingFiles {
    /// As published: pictures by their own ids, all scores.
    #[default]
    Raw,
    /// `affect datasets clean imemnet` writes them: EMOTIC's arrays, scores of 0.5 and more.
    Cleaned,
}

/// IMEMNet-C's pictures, with the valence and arousal that they express.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImemnetCImageSpec {
    /// The folder that the other paths are relative to.
    pub root: PathBuf,
    /// The table, relative to `root`.
    #[serde(default = "image_va")]
    pub file: PathBuf,
    /// What is predicted, in this order.
    #[serde(default = "valence_and_arousal")]
    pub targets: Vec<DeamTarget>,
    /// The scale that the values (0 to 1) are mapped to.
    #[serde(default = "unit")]
    pub scale: DeamScale,
    /// Files, or EMOTIC's arrays.
    #[serde(default)]
    pub pictures: Pictures,
    /// Where the pictures lie, relative to `root`: files at any depth, or the folder that holds EMOTIC's `annots_arrs/` and `img_arrs/`.
    #[serde(default)]
    pub folder: PathBuf,
    /// What is done about pictures that the table has several times.
    #[serde(default)]
    pub repeated: Repeated,
    /// The folder with IMEMNet's raw matching files, relative to `root`. Pictures that no pair names are left out, and the official
    /// split is that of the pairs.
    #[serde(default)]
    pub matching: Option<PathBuf>,
    #[serde(default)]
    pub split: SplitSpec,
    /// What happens to examples whose picture is missing or damaged.
    #[serde(default)]
    pub on_error: OnError,
}

/// Where IMEMNet-C's pictures come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pictures {
    /// JPEG and PNG files, by the name of the id.
    #[default]
    Files,
    /// EMOTIC's arrays. Pictures that are not EMOTIC's are missing.
    Arrays,
}

/// What is done about ids that a table has several times, with other values each time. In `image_va.csv` these are eight numbers of IAPS that lost their decimals: 2352 stands for 2352.1 and 2352.2, one of them pleasant,
/// the other one not. Which row belongs to the file of that name can't be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Repeated {
    /// All of their rows are left out.
    #[default]
    Drop,
    /// All of their rows are examples, in one group.
    Keep,
    /// One example with the mean.
    Mean,
}

/// IMEMNet-C's clips of music, with the valence and arousal that they express, and captions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImemnetCMusicSpec {
    /// The folder that the other paths are relative to.
    pub root: PathBuf,
    /// The table, relative to `root`.
    #[serde(default = "music_va")]
    pub file: PathBuf,
    /// What is predicted, in this order.
    #[serde(default = "valence_and_arousal")]
    pub targets: Vec<DeamTarget>,
    /// The scale that the values (0 to 1) are mapped to.
    #[serde(default = "unit")]
    pub scale: DeamScale,
    /// Where the clips lie, at any depth, relative to `root`.
    #[serde(default)]
    pub folder: PathBuf,
    /// What is done about clips that the table has several times.
    #[serde(default)]
    pub repeated: Repeated,
    /// The folder with IMEMNet's matching files, relative to `root`. Clips that no pair names are left out, and the official split is
    /// that of the pairs.
    #[serde(default)]
    pub matching: Option<PathBuf>,
    #[serde(default)]
    pub split: SplitSpec,
    /// What happens to examples whose clip is missing or damaged.
    #[serde(default)]
    pub on_error: OnError,
}

fn image_va() -> PathBuf {
    "image_va.csv".into()
}

fn music_va() -> PathBuf {
    "music_va.csv".into()
}

fn unit() -> DeamScale {
    DeamScale::Unit
}
