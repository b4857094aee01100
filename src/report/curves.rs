//! How training went: which curves are drawn of what was recorded.

use super::figure::Figure;
use super::timeline::Timeline;
use super::{Error, RunReport, curve_figure, metric};

/// The values of one split.
pub(super) struct Curve {
    pub split: &'static str,
    /// Epochs trained, value.
    pub points: Vec<(f64, f64)>,
}

/// One pair of axes.
pub(super) struct Panel {
    pub title: String,
    pub curves: Vec<Curve>,
}

/// Loss, MAE, or accuracy and UAR: those that were recorded.
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
pub(super) fn loss_kind(settings: &str) -> Option<String> {
    let settings: toml::Table = settings.parse().ok()?;
    let kind = settings.get("loss")?.get("kind")?.as_str()?;
    Some(kind.to_owned())
}

/// What was recorded under `name` for training and validation.
fn curves(report: &RunReport, name: &str) -> Vec<Curve> {
    let timeline = Timeline::of(&report.metrics);
    ["train", "val"]
        .into_iter()
        .filter_map(|split| {
            let points = timeline.points(&report.metrics, split, name);
            (!points.is_empty()).then_some(Curve { split, points })
        })
        .collect()
}
