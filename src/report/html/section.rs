//! Facts, results, figures and remarks.

use super::super::table::{Comparison, Rank, Row, shown};
use super::super::{Figure, Hover, RunReport};
use super::{Escaped, push};

/// What a reader wants to know at once, as pairs.
pub(super) fn facts(page: &mut String, report: &RunReport) {
    let mut facts: Vec<(&str, String)> = vec![
        ("started", report.started_at.clone()),
        ("duration", duration(report.seconds)),
        ("seed", report.seed.to_string()),
        ("device", report.device.clone()),
    ];
    if let Some(epochs) = report.metrics.iter().map(|row| row.epoch).max() {
        facts.push(("epochs", epochs.to_string()));
    }
    if let Some(best) = report.best_epoch {
        let by = if report.monitor.is_empty() {
            String::new()
        } else {
            format!(" by {}", report.monitor)
        };
        facts.push(("best epoch", format!("{best}{by}")));
    }
    if let Some(predictions) = &report.predictions {
        let count = |split: &str| predictions.rows.iter().filter(|row| row.split == split).count();
        let counts: Vec<String> = ["train", "val", "test"]
            .into_iter()
            .map(|split| (split, count(split)))
            .filter(|(_, count)| *count > 0)
            .map(|(split, count)| format!("{count} {split}"))
            .collect();
        if !counts.is_empty() {
            facts.push(("predictions", counts.join(", ")));
        }
    }
    page.push_str("<dl class=\"facts\">\n");
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        push(
            page,
            format_args!("<div><dt>{name}</dt><dd>{}</dd></div>\n", Escaped(value)),
        );
    }
    page.push_str("</dl>\n");
}

/// "30 min 34 s".
fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return String::new();
    }
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 {
        format!("{hours} h {minutes} min")
    } else {
        format!("{minutes} min {seconds} s")
    }
}

/// The comparison with the baselines, and the same as Markdown and LaTeX to copy.
pub(super) fn results(page: &mut String, report: &RunReport) {
    let table = Comparison::of_reported_split(&report.results, &report.baselines);
    if table.rows.is_empty() {
        return;
    }
    push(
        page,
        format_args!("<section>\n<h2>Results on the {} split</h2>\n", Escaped(&table.split)),
    );
    page.push_str("<div class=\"scroll\"><table class=\"results\">\n<thead><tr><th scope=\"col\">metric</th>");
    if table.has_targets() {
        page.push_str("<th scope=\"col\">target</th>");
    }
    page.push_str("<th scope=\"col\" class=\"number\">model</th>");
    for name in &table.baselines {
        push(
            page,
            format_args!("<th scope=\"col\" class=\"number\">{}</th>", Escaped(name)),
        );
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    let mut before: Option<&str> = None;
    for row in &table.rows {
        let first = before != Some(row.metric.as_str());
        before = Some(&row.metric);
        result_row(page, &table, row, first);
    }
    page.push_str("</tbody></table></div>\n<p class=\"legend\">Bold: the best of a row");
    if table.rows.iter().any(|row| row.ranks().contains(&Rank::Second)) {
        page.push_str("; underlined: the second");
    }
    if table.rows.iter().any(|row| row.interval().is_some()) {
        page.push_str(". Brackets: 95% confidence interval of the model");
    }
    page.push_str(".</p>\n");
    let caption = format!("Results of {} on the {} split.", report.experiment, table.split);
    let label = format!("tab:{}", report.experiment);
    for (name, text) in [
        ("LaTeX", table.latex(&caption, &label)),
        ("Markdown", table.markdown()),
        ("CSV", table.csv()),
    ] {
        push(
            page,
            format_args!(
                "<details class=\"copy\"><summary>{name}</summary><pre>{}</pre></details>\n",
                Escaped(&text)
            ),
        );
    }
    page.push_str("</section>\n");
}

fn result_row(page: &mut String, table: &Comparison, row: &Row, first: bool) {
    push(
        page,
        format_args!(
            "<tr{}>",
            if first && table.has_targets() {
                " class=\"first\""
            } else {
                ""
            }
        ),
    );
    // The name is repeated for screen readers and hidden from sight, where the rule above the group shows it.
    let hidden = if first || !table.has_targets() {
        ""
    } else {
        " class=\"again\""
    };
    push(
        page,
        format_args!(
            "<th scope=\"row\"><span{hidden}>{}</span></th>",
            Escaped(row.metric_label())
        ),
    );
    if table.has_targets() {
        push(page, format_args!("<td>{}</td>", Escaped(&row.target)));
    }
    for (index, (value, rank)) in row.values().into_iter().zip(row.ranks()).enumerate() {
        let text = shown(value);
        let text = match rank {
            Rank::Best => format!("<b>{text}</b>"),
            Rank::Second => format!("<u>{text}</u>"),
            Rank::Other => text,
        };
        let interval = match row.interval() {
            Some(interval) if index == 0 => format!(" <span class=\"interval\">{interval}</span>"),
            _ => String::new(),
        };
        push(page, format_args!("<td class=\"number\">{text}{interval}</td>"));
    }
    page.push_str("</tr>\n");
}

/// The figures, each with its caption.
pub(super) fn figures(page: &mut String, figures: &[Figure]) {
    if figures.is_empty() {
        return;
    }
    page.push_str("<section>\n<h2>Figures</h2>\n<div class=\"figures\">\n");
    for figure in figures {
        let class = if figure.width > 560 { "wide" } else { "narrow" };
        let hover = if figure.hover.is_empty() {
            String::new()
        } else {
            format!(" data-hover=\"{}\"", Escaped(&hover_data(&figure.hover)))
        };
        let label = format!("<svg role=\"img\" aria-label=\"{}\" ", Escaped(&figure.title));
        push(
            page,
            format_args!(
                "<figure class=\"{class}\" id=\"{0}\"{hover}>\n<div class=\"sheet\"><div class=\"inner\" style=\"max-width:{3}px\">{1}</div></div>\n<figcaption>{2}</figcaption>\n</figure>\n",
                Escaped(&figure.name),
                figure.svg.replacen("<svg ", &label, 1),
                Escaped(&figure.caption),
                // A third larger than in print.
                figure.width.saturating_mul(4) / 3
            ),
        );
    }
    page.push_str("</div>\n</section>\n");
}

/// The curves as JSON; what is not finite becomes null.
fn hover_data(panels: &[Hover]) -> String {
    let panels: Vec<serde_json::Value> = panels
        .iter()
        .map(|panel| {
            let curves: Vec<serde_json::Value> = panel
                .curves
                .iter()
                .map(|(name, points)| serde_json::json!({ "name": name, "points": points }))
                .collect();
            serde_json::json!({ "rect": panel.rect, "epochs": panel.epochs, "curves": curves })
        })
        .collect();
    serde_json::Value::Array(panels).to_string()
}

/// What a reader must know about the data.
pub(super) fn remarks(page: &mut String, report: &RunReport) {
    if report.remarks.is_empty() {
        return;
    }
    page.push_str("<section>\n<h2>About the data</h2>\n<ul>\n");
    for remark in &report.remarks {
        push(page, format_args!("<li>{}</li>\n", Escaped(remark)));
    }
    page.push_str("</ul>\n</section>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_at_a_glance() {
        assert_eq!(duration(7.26), "7.3 s");
        assert_eq!(duration(59.99), "1 min 0 s");
        assert_eq!(duration(1834.2), "30 min 34 s");
        assert_eq!(duration(7300.0), "2 h 1 min");
        assert_eq!(duration(f64::NAN), "");
    }

    #[test]
    fn values_that_are_not_finite_become_null() {
        let panel = Hover {
            rect: [0.0; 4],
            epochs: [1.0, 2.0],
            curves: vec![("training".to_owned(), vec![(1, 0.5), (2, f64::NAN)])],
        };
        assert!(hover_data(&[panel]).contains("[[1,0.5],[2,null]]"));
    }
}
