//! Which examples are there, and what is true of them?
//!
//! One file per corpus: annotation files in, [`Manifest`] out. Nothing here reads audio: that a file is there is checked, what
//! is in it is not. The split is decided here too ([`split`]), as a pure function of ids, groups, targets, settings and seed.

mod audio_files;
pub mod catalogue;
mod csv_file;
mod deam;
pub mod error;
mod fingerprint;
mod folder;
pub mod imemnet;
pub mod inventory;
mod load;
pub mod manifest;
mod meld;
mod scale;
pub mod spec;
pub mod split;
pub mod synthetic;
pub mod synthetic_pairs;
mod table;

pub use error::{Content, Error, Problems};
pub use imemnet::{ImemnetCImageSpec, ImemnetCMusicSpec, ImemnetSpec, PairCorpus, PairGroup};
pub use load::LoadContext;
pub use manifest::{Details, Example, Fault, Manifest, Media, Source, Target, Task, Window};
pub use spec::{
    DatasetSpec, DeamDynamicSpec, DeamScale, DeamStaticSpec, DeamTarget, IdListPerSplit, IdLists, MeldGroup, MeldLabel,
    MeldSpec, OnError, SyntheticSpec, TableSpec, ValenceArousalSwap, Windows,
};
pub use split::{Split, SplitSpec};
pub use synthetic_pairs::SyntheticPairsSpec;
