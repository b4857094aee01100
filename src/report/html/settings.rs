//! What it takes to do it again: commands, settings, provenance.

use super::super::Again;
use super::{Escaped, push};

pub(super) fn commands(page: &mut String, commands: &[Again]) {
    if commands.is_empty() {
        return;
    }
    page.push_str("<section>\n<h2>Do it again</h2>\n<dl class=\"commands\">\n");
    for again in commands {
        push(
            page,
            format_args!(
                "<dt>{}</dt><dd><pre class=\"command\">{}</pre></dd>\n",
                Escaped(&again.what),
                Escaped(&again.command)
            ),
        );
    }
    page.push_str("</dl>\n</section>\n");
}

pub(super) fn settings(page: &mut String, what: &str, settings: &str) {
    if settings.is_empty() {
        return;
    }
    push(
        page,
        format_args!(
            "<section>\n<h2>Settings</h2>\n<details open><summary>{}</summary><pre>{}</pre></details>\n</section>\n",
            Escaped(what),
            Escaped(settings)
        ),
    );
}

pub(super) fn provenance(page: &mut String, provenance: &serde_json::Value) {
    let mut rows = Vec::new();
    flatten(provenance, "", 0, &mut rows);
    if rows.is_empty() {
        return;
    }
    page.push_str("<section>\n<h2>Provenance</h2>\n<details open><summary>provenance.json</summary><div class=\"scroll\"><table class=\"provenance\"><tbody>\n");
    for (key, value) in rows {
        push(
            page,
            format_args!(
                "<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n",
                Escaped(&key),
                Escaped(&value)
            ),
        );
    }
    page.push_str("</tbody></table></div></details>\n</section>\n");
}

/// One row a leaf: "program.version" → "0.1.0". Lists stay on one line; what lies deeper than eight levels stays JSON.
fn flatten(value: &serde_json::Value, key: &str, depth: usize, rows: &mut Vec<(String, String)>) {
    match value {
        serde_json::Value::Object(fields) if depth < 8 => {
            for (name, value) in fields {
                let key = if key.is_empty() {
                    name.clone()
                } else {
                    format!("{key}.{name}")
                };
                flatten(value, &key, depth + 1, rows);
            }
        }
        serde_json::Value::Null => {}
        serde_json::Value::String(text) => rows.push((key.to_owned(), text.clone())),
        other => rows.push((key.to_owned(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provenance_is_one_row_a_leaf() {
        let value = serde_json::json!({ "a": { "b": 1, "c": null }, "d": ["x", 2], "e": "text" });
        let mut rows = Vec::new();
        flatten(&value, "", 0, &mut rows);
        let rows: Vec<(&str, &str)> = rows.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(rows, [("a.b", "1"), ("d", "[\"x\",2]"), ("e", "text")]);
    }
}
