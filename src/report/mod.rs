//! How does it look?
//!
//! Plots, tables and a page that stand alone, made from a run's rows and from nothing else. Whatever the rows hold (one
//! epoch, values that are not finite, no validation split, ids with markup in them), a report comes out: gaps stay gaps,
//! and text is escaped. Figures are colour-blind-safe, told apart without colour, and need no fonts.

mod axis;
mod canvas;
mod cloud;
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
mod intervals;
mod learning_rate;
mod legend;
mod links;
mod metric;
mod output;
mod overlay;
mod plane;
pub mod pooled;
mod predicted;
mod read;
mod residuals;
mod scatter;
mod several;
mod style;
pub mod table;
mod timeline;
mod trajectory;
mod worst;

pub use figure::{Curves, Figure, Spot, Values};
pub use grid::Width;
pub use headline::sentence as headline;
pub use html::{html, html_of_several};
pub use intervals::{baseline_predictions, of_baselines as baseline_intervals};
pub use links::relative;
pub use output::{Output, PAGE};
pub use overlay::Series;
pub use read::{PageAt, commands, moment, read};
pub use several::{SeveralReport, plots_of_several};
pub use trajectory::{Trajectory, trajectory};
pub use worst::{Worst, worst};

use std::collections::BTreeMap;

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
    /// The update after which the best checkpoint was made.
    pub best_step: Option<u64>,
    /// What decided on the best epoch: "val/loss".
    pub monitor: String,
    pub metrics: Vec<MetricRow>,
    pub results: Vec<ResultRow>,
    pub baselines: Vec<BaselineRow>,
    pub baseline_intervals: Vec<BaselineInterval>,
    /// Of a run with repeats, those of all of them.
    pub predictions: Option<Predictions>,
    /// Where runs of several seeds predict, the seed behind each of the predictions.
    pub prediction_seeds: Vec<u64>,
    /// Of a run with repeats, what they are: "10 folds".
    pub repeats: String,
    /// The repeats.
    pub members: Vec<Member>,
    /// The resolved experiment file.
    pub settings_toml: String,
    pub provenance: serde_json::Value,
    /// Decisions about the data, and counts of faults.
    pub remarks: Vec<String>,
    /// Of examples on which the model errs, by id.
    pub media: BTreeMap<String, Medium>,
    pub commands: Vec<Again>,
    pub width: Width,
}

/// How sure a figure of a baseline is.
#[derive(Debug, Clone, PartialEq)]
pub struct BaselineInterval {
    pub split: String,
    pub baseline: String,
    pub name: String,
    pub target: String,
    /// Ends of the 95 % confidence interval, finite.
    pub ci: (f64, f64),
}

/// One of several runs that a page is about.
#[derive(Debug, Clone)]
pub struct Member {
    pub id: String,
    /// What it is among the others: "seed 43, fold 1".
    pub name: String,
    pub status: Status,
    /// 1-based.
    pub best_epoch: Option<u32>,
    pub metrics: Vec<MetricRow>,
    pub results: Vec<ResultRow>,
    /// Its own page, relative to the folder of this one.
    pub link: Option<String>,
    /// Why it ended badly.
    pub error: Option<String>,
}

/// What an example sounds or looks like.
#[derive(Debug, Clone, PartialEq)]
pub struct Medium {
    /// A part of it to be played (or seen) in the page: its type ("audio/wav") and its bytes.
    pub embedded: Option<(&'static str, Vec<u8>)>,
    /// Where that is the beginning of a sound only, its seconds.
    pub beginning: Option<f64>,
    /// The file, relative to the folder of the page.
    pub link: Option<String>,
    /// Of a pair, the other part of it.
    pub also: Option<Box<Medium>>,
}

/// A command, and what it does again.
#[derive(Debug, Clone, PartialEq)]
pub struct Again {
    pub what: String,
    pub command: String,
}

/// The figures that fit the run, in the order that a reader wants them.
///
/// # Errors
/// [`Error::Draw`], which no data should cause.
pub fn plots(report: &RunReport) -> Result<Vec<Figure>, Error> {
    let mut figures = Vec::new();
    figures.extend(comparison::figure(report)?);
    figures.extend(scatter::figure(report)?);
    figures.extend(residuals::figure(report)?);
    figures.extend(plane::figure(report)?);
    figures.extend(confusion::figure(report)?);
    if report.members.is_empty() {
        figures.extend(curves::figures(report)?);
        figures.extend(learning_rate::figure(report)?);
    } else {
        figures.extend(overlay::of_repeats(report)?);
    }
    Ok(figures)
}
