//! Facts, results, figures and remarks.

use super::super::metric::split_word;
use super::super::predicted::Count;
use super::super::table::{Comparison, ENSEMBLE, OUT_OF_FOLD, Rank, Row, interval, shown};
use super::super::{Figure, RunReport, Values};
use super::{Escaped, push};

/// What a reader wants to know at once, as pairs.
pub(super) fn facts(page: &mut String, report: &RunReport) {
    let mut facts: Vec<(&str, String)> = vec![
        ("started", report.started_at.clone()),
        ("duration", duration(report.seconds)),
        ("repeats", report.repeats.clone()),
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
        let count = |split: &str| Count::of(predictions.rows.iter().filter(|row| row.split == split));
        let counts: Vec<String> = ["train", "val", "test", OUT_OF_FOLD]
            .into_iter()
            .map(|split| (split, count(split)))
            .filter(|(_, count)| count.predictions > 0)
            .map(|(split, count)| match count.is_repeated() {
                false => format!("{} {}", count.predictions, split_word(split)),
                true => format!(
                    "{} {}, of {} examples",
                    count.predictions,
                    split_word(split),
                    count.examples
                ),
            })
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

/// The comparison with the baselines, and the same as Markdown and LaTeX to copy. Of repeats also their mean, where it is not what is
/// compared.
pub(super) fn results(page: &mut String, report: &RunReport) {
    let table = Comparison::of_reported_split(&report.results, &report.baselines);
    let table = table.with_intervals(&report.baseline_intervals);
    let repeats = &report.repeats;
    if table.split == OUT_OF_FOLD {
        comparison(page, report, &table, "Results of all test folds together", OVER_GROUPS);
        let means = Comparison::of(&report.results, &report.baselines, "test").of_the_whole();
        let title = format!("Results, mean over {repeats}");
        comparison(page, report, &means, &title, OVER_RUNS);
    } else if report.members.is_empty() {
        let title = format!("Results on the {} split", table.split);
        comparison(page, report, &table, &title, OVER_GROUPS);
    } else {
        let title = format!("Results on the {} split, mean over {repeats}", table.split);
        comparison(page, report, &table, &title, OVER_RUNS);
    }
    let ensemble = Comparison::of(&report.results, &report.baselines, ENSEMBLE).of_the_whole();
    comparison(
        page,
        report,
        &ensemble,
        "Results of the mean prediction over the seeds",
        OVER_GROUPS,
    );
}

const OVER_GROUPS: &str = "95% confidence intervals, by the bootstrap over groups of examples";

const OVER_RUNS: &str =
    "95% confidence interval of the mean over the runs, after Student. ±: standard deviation over the runs (n − 1)";

fn comparison(page: &mut String, report: &RunReport, table: &Comparison, title: &str, intervals: &str) {
    if table.rows.is_empty() {
        return;
    }
    push(page, format_args!("<section>\n<h2>{}</h2>\n", Escaped(title)));
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
        result_row(page, table, row, first);
    }
    page.push_str("</tbody></table></div>\n<p class=\"legend\">Bold: the best of a row");
    if table.rows.iter().any(|row| row.ranks().contains(&Rank::Second)) {
        page.push_str("; underlined: the second");
    }
    if table
        .rows
        .iter()
        .any(|row| row.cis().into_iter().any(|ci| interval(ci).is_some()))
    {
        push(page, format_args!(". Brackets: {intervals}"));
    }
    page.push_str(".</p>\n");
    let caption = format!("{title}, {}.", report.experiment);
    let label = format!("tab:{}-{}", report.experiment, table.split);
    copies(
        page,
        &table.latex(&caption, &label, report.width),
        &table.markdown(),
        &table.csv(),
    );
    page.push_str("</section>\n");
}

/// A table to be copied.
pub(super) fn copies(page: &mut String, latex: &str, markdown: &str, csv: &str) {
    for (name, text) in [("LaTeX", latex), ("Markdown", markdown), ("CSV", csv)] {
        push(
            page,
            format_args!(
                "<details class=\"copy\"><summary>{name}</summary><pre>{}</pre></details>\n",
                Escaped(text)
            ),
        );
    }
}

fn result_row(page: &mut String, table: &Comparison, row: &Row, first: bool) {
    let is_group = first && table.has_targets();
    push(
        page,
        format_args!("<tr{}>", if is_group { " class=\"first\"" } else { "" }),
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
    let cells = row.values().into_iter().zip(row.ranks()).zip(row.cis());
    for (index, ((value, rank), ci)) in cells.enumerate() {
        let text = if index == 0 { row.shown_model() } else { shown(value) };
        let text = match rank {
            Rank::Best => format!("<b>{text}</b>"),
            Rank::Second => format!("<u>{text}</u>"),
            Rank::Other => text,
        };
        let interval = interval(ci).map_or_else(String::new, |text| format!(" <span class=\"interval\">{text}</span>"));
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
        let hover = if figure.values == Values::default() {
            String::new()
        } else {
            format!(" data-hover=\"{}\"", Escaped(&hover_data(&figure.values)))
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

/// Curves and marks as JSON; what is not finite becomes null.
fn hover_data(values: &Values) -> String {
    // More digits than can be seen would only make the file large.
    let pixel = |length: f64| (length * 10.0).round() / 10.0;
    let figures = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
        let short = |value: f64| format!("{value:.6e}").parse().unwrap_or(value);
        points.iter().map(|&(at, value)| (short(at), short(value))).collect()
    };
    let panels = values.curves.iter().map(|panel| {
        let curves = panel.curves.iter();
        let curves: Vec<_> = curves
            .map(|(name, points)| serde_json::json!({ "name": name, "points": figures(points) }))
            .collect();
        serde_json::json!({ "rect": panel.rect, "epochs": panel.epochs, "curves": curves })
    });
    let spots = values.spots.iter().map(|spot| {
        let text: String = spot.text.chars().take(LONGEST_HOVER).collect();
        serde_json::json!([pixel(spot.at.0), pixel(spot.at.1), pixel(spot.reach), text])
    });
    serde_json::json!({ "panels": panels.collect::<Vec<_>>(), "spots": spots.collect::<Vec<_>>() }).to_string()
}

/// Characters that the pointer shows of one mark.
const LONGEST_HOVER: usize = 200;

/// What a reader must know.
pub(super) fn remarks(page: &mut String, title: &str, remarks: &[String]) {
    if remarks.is_empty() {
        return;
    }
    push(page, format_args!("<section>\n<h2>{}</h2>\n<ul>\n", Escaped(title)));
    for remark in remarks {
        push(page, format_args!("<li>{}</li>\n", Escaped(remark)));
    }
    page.push_str("</ul>\n</section>\n");
}

#[cfg(test)]
mod tests {
    use super::super::super::Curves;
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
        let panel = Curves {
            rect: [0.0; 4],
            epochs: [1.0, 2.0],
            curves: vec![("training".to_owned(), vec![(1.0, 0.5), (2.5, f64::NAN)])],
        };
        let values = Values::from(vec![panel]);
        assert!(hover_data(&values).contains("[[1.0,0.5],[2.5,null]]"));
    }
}
