//! The settings as rows: nested tables become dotted keys, so that a query can ask for one of them.

use serde_json::Value;

use super::Error;
use super::rows::ParamRow;

/// Settings that change no result, and so are none by which runs differ.
const OF_NO_EFFECT: &str = "record";

/// Flattens resolved settings (TOML) in their own order. Tables and lists of tables are entered
/// (`model.layers.0.conv2d.channels`); any other list is one value. What `[record]` says is left out: it changes no result.
pub fn flatten(config_toml: &str) -> Result<Vec<ParamRow>, Error> {
    let mut table: toml::Table = toml::from_str(config_toml).map_err(settings)?;
    table.remove(OF_NO_EFFECT);
    let mut rows = Vec::new();
    enter("", &serde_json::to_value(table).map_err(settings)?, &mut rows);
    Ok(rows)
}

fn settings(error: impl std::fmt::Display) -> Error {
    Error::Settings {
        message: error.to_string(),
    }
}

fn enter(key: &str, value: &Value, rows: &mut Vec<ParamRow>) {
    let below = |name: &str| {
        if key.is_empty() {
            name.to_string()
        } else {
            format!("{key}.{name}")
        }
    };
    match value {
        Value::Object(table) => table.iter().for_each(|(name, value)| enter(&below(name), value, rows)),
        Value::Array(list) if list.iter().any(Value::is_object) => {
            for (index, value) in list.iter().enumerate() {
                enter(&below(&index.to_string()), value, rows);
            }
        }
        _ => rows.push(ParamRow {
            key: key.to_string(),
            value: value.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_settings_become_dotted_keys() {
        let rows = flatten(
            "[optimizer]\nkind = 'adam'\nlearning_rate = 1e-3\n[dataset]\ntargets = ['valence', 'arousal']\n\
             [[model.layers]]\nconv2d = { channels = 16, batch_norm = true }\n[[model.layers]]\nlinear = 'targets'\n\
             [record]\nexamples = 2",
        )
        .unwrap();
        let rows: Vec<(&str, String)> = rows
            .iter()
            .map(|row| (row.key.as_str(), row.value.to_string()))
            .collect();
        assert_eq!(
            rows,
            [
                ("optimizer.kind", "\"adam\"".to_string()),
                ("optimizer.learning_rate", "0.001".to_string()),
                ("dataset.targets", "[\"valence\",\"arousal\"]".to_string()),
                ("model.layers.0.conv2d.channels", "16".to_string()),
                ("model.layers.0.conv2d.batch_norm", "true".to_string()),
                ("model.layers.1.linear", "\"targets\"".to_string()),
            ]
        );
    }

    #[test]
    fn what_is_no_toml_is_an_error() {
        assert!(matches!(flatten("a = "), Err(Error::Settings { .. })));
    }
}
