//! A comparison in plain words.

use super::contrast::{Contrast, PairedFigure};
use crate::report::metric;

/// The figures that are put into words, as far as they were recorded.
const SAID: [&str; 4] = ["ccc", "rmse", "uar", "accuracy"];

pub(super) fn of(contrasts: &[Contrast], unit: &str) -> Vec<String> {
    let figures = |contrast: &Contrast| {
        let said = contrast.figures.iter().filter(|figure| figure.target.is_empty());
        let mut said: Vec<&PairedFigure> = said.filter(|figure| SAID.contains(&figure.metric.as_str())).collect();
        said.sort_by_key(|figure| SAID.iter().position(|name| *name == figure.metric));
        said.into_iter()
            .map(|figure| one(contrast, figure, unit, contrasts.len()))
            .collect::<Vec<_>>()
    };
    contrasts.iter().flat_map(figures).collect()
}

/// "a's CCC is higher than b's by 0.040 [0.010, 0.070]; better for 12 of 14 speakers (Wilcoxon p = 0.002)".
fn one(contrast: &Contrast, figure: &PairedFigure, unit: &str, contrasts: usize) -> String {
    let label = metric::label(&figure.metric);
    if figure.difference.is_nan() {
        return format!(
            "{label} of {} and {} cannot be compared: it is undefined",
            contrast.name, contrast.reference
        );
    }
    if figure.difference == 0.0 {
        return format!("{label} of {} and {} is the same", contrast.name, contrast.reference);
    }
    // The better one is spoken of.
    let is_better = (figure.difference > 0.0) == figure.higher_is_better;
    let (better, worse, wins) = match is_better {
        true => (&contrast.name, &contrast.reference, figure.better_in),
        false => (&contrast.reference, &contrast.name, figure.worse_in),
    };
    let direction = if figure.higher_is_better { "higher" } else { "lower" };
    let mut text = format!(
        "{better}'s {label} is {direction} than {worse}'s by {}",
        metric::number(figure.difference.abs())
    );
    let mut may_be_chance = false;
    if let Some((low, high)) = figure.ci {
        let (low, high) = match figure.difference > 0.0 {
            true => (low, high),
            false => (-high, -low),
        };
        may_be_chance = low <= 0.0;
        text.push_str(&format!(" [{}, {}]", metric::number(low), metric::number(high)));
    }
    if may_be_chance {
        text.push_str(", which may be chance");
    }
    if figure.groups > 1 {
        text.push_str(&format!("; better for {wins} of {} {unit}", figure.groups));
    }
    if let Some(test) = &figure.wilcoxon {
        let corrected = if contrasts > 1 { ", Holm" } else { "" };
        text.push_str(&format!(" (Wilcoxon{corrected}: p {})", p_value(test.p_holm)));
    }
    text
}

/// "= 0.034", "< 0.001".
pub(super) fn p_value(p: f64) -> String {
    match p {
        p if p < 0.001 => "< 0.001".to_owned(),
        p if p > 0.9995 => "= 1".to_owned(),
        p => format!("= {p:.3}"),
    }
}
