//! Pages that stand alone in one file: of a run, of a run with repeats, of several runs.
//!
//! No request leaves a page (a content security policy forbids them), reading it takes no JavaScript (a few lines show values under
//! the pointer), and every text of a run is escaped, since ids and names come from anyone's CSV.

mod compared;
mod members;
mod section;
mod settings;
mod worst;

use std::fmt::{Display, Write};

use super::{Figure, RunReport, SeveralReport, headline};
use crate::track::Status;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// The page of a run, with `figures` (those of [`super::plots`]) drawn into it.
pub fn html(report: &RunReport, figures: &[Figure]) -> String {
    let mut body = String::with_capacity(64 * 1024);
    header(&mut body, report);
    section::results(&mut body, report);
    section::figures(&mut body, figures);
    members::section(&mut body, "Runs", &report.members);
    worst::section(&mut body, report);
    section::remarks(&mut body, "About the data and the run", &report.remarks);
    settings::commands(&mut body, &report.commands);
    settings::settings(&mut body, "experiment.toml, resolved", &report.settings_toml);
    settings::provenance(&mut body, &report.provenance);
    document(&format!("{}, {}", report.experiment, report.id), &body)
}

/// The page of several runs, with `figures` (those of [`super::plots_of_several`]) drawn into it.
pub fn html_of_several(report: &SeveralReport, figures: &[Figure]) -> String {
    let mut body = String::with_capacity(64 * 1024);
    compared::header(&mut body, report);
    compared::tables(&mut body, report);
    section::figures(&mut body, figures);
    members::section(&mut body, "Runs", &report.members);
    section::remarks(&mut body, "To be taken with care", &report.compared.warnings);
    settings::commands(&mut body, &report.commands);
    settings::settings(
        &mut body,
        "of the first run; what differs stands above",
        &report.settings_toml,
    );
    document(&report.title, &body)
}

/// A whole document around `body`, which is HTML.
fn document(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
         img-src data:; media-src data:\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n\
         <script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        Escaped(title)
    )
}

fn header(page: &mut String, report: &RunReport) {
    let (class, note) = match report.status {
        Status::Completed | Status::StoppedEarly => ("good", ""),
        Status::Queued | Status::Running => (
            "open",
            "This run has not finished: the page shows what was recorded so far.",
        ),
        Status::Failed | Status::Interrupted => (
            "bad",
            "This run did not finish: the page shows what was recorded before it ended.",
        ),
    };
    push(
        page,
        format_args!(
            "<header>\n<p class=\"id\">{} <span class=\"status {class}\">{}</span></p>\n<h1>{}</h1>\n",
            Escaped(&report.id),
            report.status.name().replace('-', " "),
            Escaped(&report.experiment)
        ),
    );
    if !report.description.is_empty() {
        push(
            page,
            format_args!("<p class=\"description\">{}</p>\n", Escaped(&report.description)),
        );
    }
    if !note.is_empty() {
        push(page, format_args!("<p class=\"note\">{note}</p>\n"));
    }
    push(
        page,
        format_args!("<p class=\"headline\">{}</p>\n", Escaped(&headline::sentence(report))),
    );
    section::facts(page, report);
    page.push_str("</header>\n");
}

/// Appends; writing to a string does not fail.
fn push(page: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = page.write_fmt(text);
}

/// Text that shows as itself, in an element or in a quoted attribute.
struct Escaped<'t>(&'t str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => f.write_char(character)?,
                character if character.is_control() => f.write_char('\u{fffd}')?,
                character => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_text_is_shown_not_obeyed() {
        let text = Escaped("<script>alert('x')</script> & \"y\"\u{0}").to_string();
        assert_eq!(
            text,
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;y&quot;\u{fffd}"
        );
    }

    #[test]
    fn printed_tables_break_no_words_and_headings_stay_with_what_they_head() {
        let (_, print) = STYLE.split_once("@media print {").unwrap();
        for rule in print.lines().filter(|rule| rule.contains("td")) {
            assert!(!rule.contains("anywhere"), "{rule}");
        }
        let kept = print.lines().find(|rule| rule.contains("break-after: avoid")).unwrap();
        for heading in ["h2", "summary", "dt", "thead"] {
            assert!(kept.contains(heading), "{heading}");
        }
    }

    #[test]
    fn a_tap_shows_what_the_pointer_shows() {
        for listened in ["\"pointermove\", show", "\"pointerdown\", show"] {
            assert!(SCRIPT.contains(listened), "{listened}");
        }
        // What leaves with the finger would never be seen.
        assert!(!SCRIPT.contains("\"pointerleave\", hide"));
    }

    #[test]
    fn style_and_script_ask_for_nothing_outside() {
        for text in [STYLE, SCRIPT] {
            for outside in ["http", "//cdn", "@import", "url(", "fetch(", "XMLHttp", "</s"] {
                assert!(!text.contains(outside), "{outside}");
            }
        }
    }
}
