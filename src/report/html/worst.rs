//! The worst examples, to be heard where their sound is there.

use super::super::metric::split_word;
use super::super::{Medium, RunReport, worst};
use super::{Escaped, push};

pub(super) fn section(page: &mut String, report: &RunReport) {
    let Some(worst) = worst(report) else {
        return;
    };
    push(
        page,
        format_args!(
            "<section>\n<h2>Worst examples of the {} split</h2>\n<p class=\"legend\">{}</p>\n<div class=\"scroll\"><table class=\"worst\">\n<thead><tr>",
            split_word(worst.split),
            Escaped(&worst.order)
        ),
    );
    let with_media = worst.rows.iter().any(|(id, _)| report.media.contains_key(id));
    let is_picture = |medium: &Medium| {
        medium
            .embedded
            .as_ref()
            .is_some_and(|(kind, _)| kind.starts_with("image/"))
    };
    let media = with_media.then_some(match report.media.values().any(is_picture) {
        true => "look",
        false => "listen",
    });
    for name in worst.header.iter().map(String::as_str).chain(media) {
        push(page, format_args!("<th scope=\"col\">{}</th>", Escaped(name)));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for (id, cells) in &worst.rows {
        page.push_str("<tr>");
        for cell in cells {
            push(page, format_args!("<td>{}</td>", Escaped(cell)));
        }
        if with_media {
            page.push_str("<td class=\"media\">");
            if let Some(medium) = report.media.get(id) {
                draw(page, medium, id);
            }
            page.push_str("</td>");
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></div>\n</section>\n");
}

fn draw(page: &mut String, medium: &Medium, id: &str) {
    use base64::Engine as _;
    if let Some((kind, bytes)) = &medium.embedded {
        let data = base64::engine::general_purpose::STANDARD.encode(bytes);
        let (kind, id) = (Escaped(kind), Escaped(id));
        match kind.0.starts_with("image/") {
            true => push(
                page,
                format_args!("<img alt=\"{id}\" src=\"data:{kind};base64,{data}\">"),
            ),
            false => push(
                page,
                format_args!(
                    "<audio controls preload=\"metadata\" aria-label=\"{id}\" src=\"data:{kind};base64,{data}\"></audio>"
                ),
            ),
        }
    }
    if let Some(seconds) = medium.beginning {
        push(page, format_args!(" <span class=\"cut\">the first {seconds} s</span>"));
    }
    if let Some(link) = &medium.link {
        push(page, format_args!(" <a href=\"{}\">file</a>", Escaped(link)));
    }
    if let Some(also) = &medium.also {
        page.push_str("<br>");
        draw(page, also, id);
    }
}
