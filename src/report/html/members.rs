//! The runs that a page is about, one row each, with links to their own pages.

use super::super::Member;
use super::super::metric;
use super::super::table::reported_split;
use super::{Escaped, push};
use crate::evaluate::is_of_the_whole;
use crate::track::Status;

/// Columns of figures: as many as fit beside the rest.
const MOST_FIGURES: usize = 4;
/// What readers look at first.
const FIRST: [&str; 6] = ["ccc", "rmse", "uar", "accuracy", "mae", "macro-f1"];

pub(super) fn section(page: &mut String, title: &str, members: &[Member]) {
    if members.is_empty() {
        return;
    }
    let split = (members.iter().find(|member| !member.results.is_empty()))
        .map_or("test", |member| reported_split(&member.results));
    let value = |member: &Member, name: &str| {
        let mut rows = member.results.iter();
        let row = rows.find(|row| row.split == split && row.name == name && row.target.is_empty())?;
        Some(row.value)
    };
    let mut names: Vec<&str> = Vec::new();
    for row in members.iter().flat_map(|member| &member.results) {
        if row.split == split
            && row.target.is_empty()
            && is_of_the_whole(&row.name)
            && !names.contains(&row.name.as_str())
        {
            names.push(&row.name);
        }
    }
    let place = |name: &str| FIRST.iter().position(|known| *known == name).unwrap_or(FIRST.len());
    names.sort_by_key(|name| (place(name), metric::place(name)));
    names.truncate(MOST_FIGURES);
    push(
        page,
        format_args!(
            "<section>\n<h2>{}</h2>\n<div class=\"scroll\"><table class=\"members\">\n<thead><tr>",
            Escaped(title)
        ),
    );
    page.push_str("<th scope=\"col\">run</th><th scope=\"col\">what</th><th scope=\"col\">status</th><th scope=\"col\" class=\"number\">epochs</th><th scope=\"col\" class=\"number\">best epoch</th>");
    for name in &names {
        push(
            page,
            format_args!(
                "<th scope=\"col\" class=\"number\">{}</th>",
                Escaped(metric::label(name))
            ),
        );
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for member in members {
        row(page, member, names.iter().map(|name| value(member, name)));
    }
    push(
        page,
        format_args!(
            "</tbody></table></div>\n<p class=\"legend\">Figures are those of the {} split.</p>\n</section>\n",
            Escaped(metric::split_word(split))
        ),
    );
}

fn row(page: &mut String, member: &Member, figures: impl Iterator<Item = Option<f64>>) {
    page.push_str("<tr><th scope=\"row\">");
    match &member.link {
        Some(link) => push(
            page,
            format_args!("<a href=\"{}\">{}</a>", Escaped(link), Escaped(&member.id)),
        ),
        None => push(page, format_args!("{}", Escaped(&member.id))),
    }
    let class = match member.status {
        Status::Completed | Status::StoppedEarly => "good",
        Status::Queued | Status::Running => "open",
        Status::Failed | Status::Interrupted => "bad",
    };
    let epochs = member.metrics.iter().map(|row| row.epoch).max();
    let number = |epoch: Option<u32>| epoch.map_or_else(|| "–".to_owned(), |epoch| epoch.to_string());
    push(
        page,
        format_args!(
            "</th><td>{}</td><td class=\"{class}\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>",
            Escaped(&member.name),
            member.status.name().replace('-', " "),
            number(epochs),
            number(member.best_epoch)
        ),
    );
    for value in figures {
        push(
            page,
            format_args!(
                "<td class=\"number\">{}</td>",
                value.map_or_else(|| "–".to_owned(), metric::number)
            ),
        );
    }
    page.push_str("</tr>\n");
    if let Some(error) = &member.error {
        push(
            page,
            format_args!("<tr class=\"why\"><td colspan=\"5\">{}</td></tr>\n", Escaped(error)),
        );
    }
}
