//! What several runs come to beside each other.

use super::super::SeveralReport;
use super::super::compare::Table;
use super::super::table::Rank;
use super::section::copies;
use super::{Escaped, push};

pub(super) fn header(page: &mut String, report: &SeveralReport) {
    let compared = &report.compared;
    let runs = report.members.len();
    push(
        page,
        format_args!(
            "<header>\n<p class=\"id\">{runs} {}</p>\n<h1>{}</h1>\n",
            if runs == 1 { "run" } else { "runs" },
            Escaped(&report.title)
        ),
    );
    if !compared.sentences.is_empty() {
        page.push_str("<div class=\"headline\">\n");
        for sentence in &compared.sentences {
            push(page, format_args!("<p>{}.</p>\n", Escaped(sentence)));
        }
        page.push_str("</div>\n");
    }
    page.push_str("<ul class=\"groups\">\n");
    for line in compared.legend() {
        push(page, format_args!("<li>{}</li>\n", Escaped(&line)));
    }
    page.push_str("</ul>\n</header>\n");
}

/// What differs, results, differences; and the same to copy.
pub(super) fn tables(page: &mut String, report: &SeveralReport) {
    let compared = &report.compared;
    let tables = compared.tables();
    if tables.is_empty() {
        return;
    }
    for table in &tables {
        push(page, format_args!("<section>\n<h2>{}</h2>\n", Escaped(table.title)));
        draw(page, table);
        page.push_str("</section>\n");
    }
    page.push_str("<p class=\"legend\">");
    if tables.iter().any(|table| has(table, Rank::Best)) {
        page.push_str("Bold: the best of a row");
        if tables.iter().any(|table| has(table, Rank::Second)) {
            page.push_str("; underlined: the second");
        }
        page.push_str(". ");
    }
    if compared.groups.iter().any(|group| group.runs.len() > 1) {
        page.push_str("±: standard deviation over the runs (n − 1). ");
    }
    if compared.contrasts.is_empty() {
        page.push_str("</p>\n");
    } else {
        page.push_str(
            "Brackets: 95% intervals; those of differences by the bootstrap over groups of examples. Better in: groups of examples in which it \
             is. p: Wilcoxon\u{2019}s signed-rank test over those groups, corrected after Holm for all tests of one figure. Rank r: rank-biserial \
             correlation; d: Cohen\u{2019}s d of the groups\u{2019} differences.</p>\n",
        );
    }
    copies(
        page,
        &compared.latex(report.width),
        &compared.markdown(),
        &compared.csv(),
    );
}

fn has(table: &Table, rank: Rank) -> bool {
    table.rows.iter().flatten().any(|(_, other)| *other == rank)
}

fn draw(page: &mut String, table: &Table) {
    page.push_str("<div class=\"scroll\"><table class=\"results\">\n<thead><tr>");
    let class = |column: usize| if column < table.left { "" } else { " class=\"number\"" };
    for (column, name) in table.header.iter().enumerate() {
        push(
            page,
            format_args!("<th scope=\"col\"{}>{}</th>", class(column), Escaped(name)),
        );
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    let mut before = "";
    for row in &table.rows {
        let name = row.first().map_or("", |cell| cell.0.as_str());
        // Rows of one metric belong together.
        let again = table.left > 1 && name == before;
        let first = table.left > 1 && !again;
        push(
            page,
            format_args!("<tr{}>", if first { " class=\"first\"" } else { "" }),
        );
        before = name;
        for (column, (text, rank)) in row.iter().enumerate() {
            let text = Escaped(text);
            match (column, rank) {
                (0, _) => push(
                    page,
                    format_args!(
                        "<th scope=\"row\"><span{}>{text}</span></th>",
                        if again { " class=\"again\"" } else { "" }
                    ),
                ),
                (column, Rank::Best) => push(page, format_args!("<td{}><b>{text}</b></td>", class(column))),
                (column, Rank::Second) => push(page, format_args!("<td{}><u>{text}</u></td>", class(column))),
                (column, Rank::Other) => push(page, format_args!("<td{}>{text}</td>", class(column))),
            }
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></div>\n");
}
