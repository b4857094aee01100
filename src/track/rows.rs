//! The rows that runs leave behind: in SQLite, in predictions.csv and in the report.

use serde::{Deserialize, Serialize};

/// One value at one moment of training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricRow {
    /// "train", "val", "test"; "" for what belongs to no split (the learning rate).
    pub split: String,
    /// "loss", "mae", "learning_rate", or with a target: "mae/valence".
    pub name: String,
    /// 1-based; 0: before training.
    pub epoch: u32,
    /// Optimiser steps done so far.
    pub step: u64,
    pub value: f64,
    /// Seconds since 1970.
    pub wall_time: f64,
}

/// A final figure of the best checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultRow {
    pub split: String,
    /// "mse", "rmse", "mae", "r2", "pearson", "ccc"; "accuracy", "uar", "macro-f1", "weighted-f1".
    pub name: String,
    /// The target or class, or "" for the average or the whole.
    pub target: String,
    pub value: f64,
    /// Ends of the 95 % confidence interval.
    pub ci: Option<(f64, f64)>,
}

/// A figure of a baseline on the same split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BaselineRow {
    pub split: String,
    /// "mean", "ridge", "majority", "logistic".
    pub baseline: String,
    pub name: String,
    pub target: String,
    pub value: f64,
}

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    Queued,
    Running,
    Completed,
    StoppedEarly,
    Failed,
    Interrupted,
}

impl Status {
    pub const ALL: [Self; 6] = [
        Self::Queued,
        Self::Running,
        Self::Completed,
        Self::StoppedEarly,
        Self::Failed,
        Self::Interrupted,
    ];

    /// As stored: "stopped-early".
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::StoppedEarly => "stopped-early",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// The predictions of the best checkpoint, for every example of every split.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    pub kind: Outcome,
    pub rows: Vec<PredictionRow>,
}

/// What a prediction is made of.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// `truth` and `predicted` hold one number per target, in the units of the data.
    Regression { targets: Vec<String> },
    /// `truth` holds the index of the class, `predicted` one probability per class.
    Classification { classes: Vec<String> },
}

/// One example.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictionRow {
    pub split: String,
    pub id: String,
    pub group: String,
    pub truth: Vec<f32>,
    pub predicted: Vec<f32>,
}
