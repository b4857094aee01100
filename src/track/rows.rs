//! The rows that runs leave behind: in SQLite, in predictions.csv and in the report.

use jiff::Timestamp;
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
    #[serde(with = "number")]
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
    #[serde(with = "number")]
    pub value: f64,
    /// Ends of the 95 % confidence interval, finite.
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
    #[serde(with = "number")]
    pub value: f64,
}

/// One setting, flattened: `optimizer.learning_rate`, `model.layers.0.conv2d.channels`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParamRow {
    pub key: String,
    /// A number, a text or a truth value; a list is a JSON array.
    pub value: serde_json::Value,
}

/// A file of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactRow {
    /// Relative to the run's folder, with `/` on every system.
    pub path: String,
    /// Lower-case hexadecimal.
    pub sha256: String,
    pub bytes: u64,
}

/// What somebody wrote about a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteRow {
    pub at: Timestamp,
    pub text: String,
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

    /// The inverse of [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Whether nothing more will come.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

/// Values in JSON, which has neither NaN nor infinities: NaN is null (as in SQLite), infinities are texts.
mod number {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    // The signature is serde's.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if value.is_nan() {
            serializer.serialize_none()
        } else if value.is_infinite() {
            serializer.serialize_str(if *value > 0.0 { "inf" } else { "-inf" })
        } else {
            serializer.serialize_f64(*value)
        }
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(f64),
        Text(String),
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        match Option::<Written>::deserialize(deserializer)? {
            None => Ok(f64::NAN),
            Some(Written::Number(value)) => Ok(value),
            Some(Written::Text(text)) => text.parse().map_err(D::Error::custom),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_survives_json() {
        for value in [0.1, -0.0, 5e-324, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            let row = MetricRow {
                split: "train".to_string(),
                name: "loss".to_string(),
                epoch: 1,
                step: 2,
                value,
                wall_time: 1.5,
            };
            let text = serde_json::to_string(&row).unwrap();
            let back: MetricRow = serde_json::from_str(&text).unwrap();
            assert!(
                back.value.to_bits() == value.to_bits() || (back.value.is_nan() && value.is_nan()),
                "{text}"
            );
        }
    }

    #[test]
    fn statuses_have_one_name_everywhere() {
        for status in Status::ALL {
            assert_eq!(Status::from_name(status.name()), Some(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.name());
        }
    }
}
