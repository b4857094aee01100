//! What happened, kept for good?
//!
//! A run has a folder ([`RunDir`]) that holds everything about it; log.jsonl in it is the record that all else can be
//! made from. [`Recorder`] writes a run: to the log, to TensorBoard's event files, and to the index of all runs,
//! runs/affect.sqlite. [`Database`] reads that index and never calls a run alive whose process is gone. Failing to
//! record never stops a training run: see [`Finished::complaints`].

mod appender;
mod artifacts;
mod connection;
mod database;
mod error;
mod export;
mod liveness;
mod log;
mod manage;
mod params;
mod predictions;
mod process;
mod provenance;
mod query;
mod rebuild;
pub mod record;
mod recorder;
mod resolve;
pub mod rows;
mod run_dir;
mod runs;
mod schema;
pub mod spec;
mod store;
mod tensorboard;
mod time;
mod writer;

pub use artifacts::scan as scan_artifacts;
pub use database::Database;
pub use error::Error;
pub use export::Format;
pub use manage::Removal;
pub use params::flatten as flatten_settings;
pub use provenance::{Circumstances, Git, Machine, Program, Provenance};
pub use query::{Condition, Key};
pub use rebuild::Rebuilt;
pub use recorder::{Finished, Recorder, RunHeader};
pub use rows::{
    ArtifactRow, BaselineRow, MetricRow, NoteRow, Outcome, ParamRow, PredictionRow, Predictions, ResultRow, Status,
};
pub use run_dir::{RunDir, run_folders};
pub use runs::{Family, Order, RunFilter, RunSummary};
pub use spec::RecordSpec;
