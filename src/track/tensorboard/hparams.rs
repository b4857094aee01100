//! The messages of TensorBoard's hparams page: what the settings of a run were, and how it ended.
//!
//! They carry their content in the metadata of a value, which itself is empty. No `Experiment` message is written: of
//! several, TensorBoard takes any one and shows no settings but those that it names. Without one it collects the settings and
//! metrics of all runs itself.

use std::collections::HashMap;

use protobuf::Message;
use protobuf::well_known_types::Value;
use serde_json::Value as Json;
use tensorboard_proto::api::Status as SessionStatus;
use tensorboard_proto::plugin_hparams::{HParamsPluginData, SessionEndInfo, SessionStartInfo};
use tensorboard_proto::summary::Summary;
use tensorboard_proto::types::DataType;

use super::summary;
use crate::track::rows::ParamRow;

const PLUGIN: &str = "hparams";
const START: &str = "_hparams_/session_start_info";
const END: &str = "_hparams_/session_end_info";
/// Whole numbers beyond this are not exact in the page's floating-point numbers.
const LARGEST_EXACT: u64 = 1 << 53;

/// Settings that are about the run and no part of what is compared.
const ABOUT: [&str; 2] = ["experiment.description", "experiment.tags"];

/// The settings of a run that began at `wall_time`, seconds since 1970.
pub(super) fn start(settings: &[ParamRow], wall_time: f64) -> Summary {
    let values: HashMap<String, Value> = settings
        .iter()
        .filter(|row| !ABOUT.contains(&row.key.as_str()))
        .map(|row| (row.key.clone(), value(&row.value)))
        .collect();
    let mut info = SessionStartInfo::new();
    info.set_hparams(values);
    info.set_start_time_secs(wall_time);
    let mut data = HParamsPluginData::new();
    data.set_session_start_info(info);
    carried(START, &data)
}

/// How the run ended.
pub(super) fn end(status: SessionStatus, wall_time: f64) -> Summary {
    let mut info = SessionEndInfo::new();
    info.set_status(status);
    info.set_end_time_secs(wall_time);
    let mut data = HParamsPluginData::new();
    data.set_session_end_info(info);
    carried(END, &data)
}

/// The page knows numbers, truth values and texts.
fn value(json: &Json) -> Value {
    let mut value = Value::new();
    match json {
        Json::Bool(truth) => value.set_bool_value(*truth),
        Json::Number(number) if number.as_u64().is_none_or(|whole| whole <= LARGEST_EXACT) => {
            value.set_number_value(number.as_f64().unwrap_or(f64::NAN));
        }
        Json::String(text) => value.set_string_value(text.clone()),
        other => value.set_string_value(other.to_string()),
    }
    value
}

fn carried(tag: &str, data: &HParamsPluginData) -> Summary {
    // Writing to memory cannot fail.
    let content = data.write_to_bytes().unwrap_or_default();
    let nothing = summary::tensor(DataType::DT_FLOAT, 0);
    summary::of_plugin(PLUGIN, content, tag, nothing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_keeps_all_of_its_digits() {
        assert_eq!(
            value(&serde_json::json!(u64::MAX)).get_string_value(),
            "18446744073709551615"
        );
        assert_eq!(value(&serde_json::json!(42)).get_number_value(), 42.0);
        assert_eq!(value(&serde_json::json!(["a", 1])).get_string_value(), "[\"a\",1]");
    }
}
