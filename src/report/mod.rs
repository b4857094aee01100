//! How does it look?
//!
//! Plots, tables and a page that stand alone, made from a run's rows and from nothing else. Whatever the rows hold (one
//! epoch, values that are not finite, no validation split, ids with markup in them), a report comes out: gaps stay gaps,
//! and text is escaped. Figures are colour-blind-safe, told apart without colour, and need no fonts.

mod axis;
mod canvas;
pub mod compare;
mod comparison;
mod confusion;
mod curve_figure;
mod curves;
mod figure;
mod font;
mod grid;
mod headline;
mod hexagons;
mod html;
mod learning_rate;
mod legend;
mod metric;
mod plane;
mod scatter;
mod style;
pub mod table;

pub use figure::{Figure, Hover};
pub use headline::sentence as headline;
pub use html::html;

use crate::track::{BaselineRow, MetricRow, Predictions, ResultRow, Status};

/// A report could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A fault of this program: please report it with the run folder.
    #[error("cannot draw the figure `{figure}`: {reason}; this is a fault of the program, please report it")]
    Draw { figure: String, reason: String },
    /// The width is out of range.
    #[error("a picture cannot be {width} pixels wide: ask for 1 to 10000")]
    Size { width: u32 },
    /// A file could not be written.
    #[error(transparent)]
    File(#[from] crate::files::Error),
}

/// All that a report says about a run.
#[derive(Debug, Clone)]
pub struct RunReport {
    pub id: String,
    /// The experiment's name.
    pub experiment: String,
    pub description: String,
    pub status: Status,
    /// As it is to be shown: "2026-11-21 10:15:30 UTC".
    pub started_at: String,
    /// How long the run took.
    pub seconds: f64,
    pub seed: u64,
    pub device: String,
    /// 1-based.
    pub best_epoch: Option<u32>,
    /// What decided on the best epoch: "val/loss".
    pub monitor: String,
    pub metrics: Vec<MetricRow>,
    pub results: Vec<ResultRow>,
    pub baselines: Vec<BaselineRow>,
    pub predictions: Option<Predictions>,
    /// The resolved experiment file.
    pub settings_toml: String,
    pub provenance: serde_json::Value,
    /// Decisions about the data, and counts of faults.
    pub remarks: Vec<String>,
    /// The command that repeats the run.
    pub reproduce: String,
}

/// The figures that fit the run, in the order that a reader wants them.
///
/// # Errors
/// [`Error::Draw`], which no data should cause.
pub fn plots(report: &RunReport) -> Result<Vec<Figure>, Error> {
    let mut figures = Vec::new();
    figures.extend(comparison::figure(report)?);
    figures.extend(scatter::figure(report)?);
    figures.extend(plane::figure(report)?);
    figures.extend(confusion::figure(report)?);
    figures.extend(curves::figures(report)?);
    figures.extend(learning_rate::figure(report)?);
    Ok(figures)
}
