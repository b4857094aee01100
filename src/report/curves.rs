//! How training went: which curves are drawn of what was recorded.

use std::collections::BTreeMap;

use super::figure::Figure;
use super::{Error, RunReport, curve_figure, metric};

/// The values of one split by epoch.
pub(super) struct Curve {
    pub split: &'static str,
    pub points: Vec<(u32, f64)>,
}

/// One pair of axes.
pub(super) struct Panel {
    pub title: String,
    pub curves: Vec<Curve>,
}

/// Loss, MAE (or accuracy and UAR) and learning rate: those that were recorded.
pub(super) fn figures(report: &RunReport) -> Result<Vec<Figure>, Error> {
    let mut figures = Vec::new();
    figures.extend(loss(report)?);
    figures.extend(mean_absolute_error(report)?);
    figures.extend(accuracy(report)?);
    Ok(figures)
}

fn loss(report: &RunReport) -> Result<Option<Figure>, Error> {
    let kind = loss_kind(&report.settings_toml);
    let label = match &kind {
        Some(kind) => format!("loss ({})", metric::label(kind)),
        None => "loss".to_owned(),
    };
    let panels = vec![Panel {
        title: String::new(),
        curves: curves(report, "loss"),
    }];
    curve_figure::figure(report, "loss", "Loss by epoch", &label, panels)
}

fn mean_absolute_error(report: &RunReport) -> Result<Option<Figure>, Error> {
    let mut targets: Vec<&str> = Vec::new();
    for row in &report.metrics {
        if let Some(target) = row.name.strip_prefix("mae/")
            && !targets.contains(&target)
        {
            targets.push(target);
        }
    }
    let overall = curves(report, "mae");
    let mut panels = Vec::new();
    if !overall.is_empty() {
        panels.push(Panel {
            title: if targets.len() > 1 {
                "average of the targets".to_owned()
            } else {
                String::new()
            },
            curves: overall,
        });
    }
    if targets.len() > 1 || panels.is_empty() {
        panels.extend(targets.iter().map(|target| Panel {
            title: (*target).to_owned(),
            curves: curves(report, &format!("mae/{target}")),
        }));
    }
    curve_figure::figure(
        report,
        "mae",
        "Mean absolute error by epoch",
        "MAE (units of the target)",
        panels,
    )
}

fn accuracy(report: &RunReport) -> Result<Option<Figure>, Error> {
    let panels = ["accuracy", "uar"]
        .into_iter()
        .map(|name| Panel {
            title: match name {
                "uar" => "UAR (unweighted average recall)".to_owned(),
                other => metric::label(other).to_owned(),
            },
            curves: curves(report, name),
        })
        .collect();
    curve_figure::figure(report, "accuracy", "Accuracy by epoch", "share (0 to 1)", panels)
}

/// `loss.kind` of the settings.
fn loss_kind(settings: &str) -> Option<String> {
    let settings: toml::Table = settings.parse().ok()?;
    let kind = settings.get("loss")?.get("kind")?.as_str()?;
    Some(kind.to_owned())
}

/// What was recorded under `name` for training and validation; where an epoch has several values, its last.
fn curves(report: &RunReport, name: &str) -> Vec<Curve> {
    ["train", "val"]
        .into_iter()
        .filter_map(|split| {
            let points = by_epoch(report, split, name);
            (!points.is_empty()).then_some(Curve { split, points })
        })
        .collect()
}

/// The values of a metric by epoch; where an epoch has several, its last.
pub(super) fn by_epoch(report: &RunReport, split: &str, name: &str) -> Vec<(u32, f64)> {
    let mut latest: BTreeMap<u32, (u64, f64)> = BTreeMap::new();
    for row in report
        .metrics
        .iter()
        .filter(|row| row.split == split && row.name == name)
    {
        let entry = latest.entry(row.epoch).or_insert((row.step, row.value));
        if row.step >= entry.0 {
            *entry = (row.step, row.value);
        }
    }
    latest.into_iter().map(|(epoch, (_, value))| (epoch, value)).collect()
}
