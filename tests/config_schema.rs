//! The JSON Schema accepts what the program accepts, as a validator of the outside world sees it (Python's `jsonschema`).

mod config_support;

use std::process::Command;

use affect::config::schema;
use affect::files;
use config_support::{Case, sound};

/// Reads TOML files and says for each whether it fits the schema.
const VALIDATOR: &str = "
import json, sys, tomllib, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
for path in sys.argv[2:]:
    print(validator.is_valid(tomllib.load(open(path, 'rb'))))
";

const TABLE: &str = r#"
[dataset]
kind = "table"
root = "data"
file = "labels.csv"
audio = "file"
label = "emotion"
split = { kind = "leave-one-group-out", fold = 2 }
[features]
kind = "mel"
scale = { kind = "log", offset = 1e-5 }
duration = 2
[[model.layers]]
conv2d = { channels = 8, kernel = [3, 5], padding = "valid", activation = "relu", max_pool = [2, 1], dropout = 0.1 }
[[model.layers]]
flatten = {}
[[model.layers]]
dropout = 0.5
[[model.layers]]
linear = { units = 3, activation = "relu" }
[[model.layers]]
linear = "targets"
[loss]
kind = "cross-entropy"
class_weights = "balanced"
[optimizer]
kind = "adamw"
weight_decay = 1e-2
"#;

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "AFFECT_PYTHON says whether there is a Python to ask"
)]
fn a_validator_and_the_program_agree() {
    let mut files: Vec<(String, bool)> = vec![
        (sound(), true),
        (include_str!("../experiments/quickstart.toml").to_owned(), true),
        (TABLE.to_owned(), true),
        (
            sound() + "[features]\nn_mels = 3\nscale = { top_db = 3 }\n[dataset.split]\nstratify = true\n",
            true,
        ),
    ];
    for (from, to) in [
        ("learning_rate", "learning_rat"),
        ("songs", "song"),
        ("songs = 20", "songs = 5"),
        ("\"adam\"", "\"adm\""),
        ("kind = \"adam\"\n", ""),
        ("epochs = 3", "epochs = 3.5"),
        ("epochs = 3", "epochs = \"3\""),
        ("channels = 8", "channels = 8, x = 1"),
        ("channels = 8", "kernel = 3"),
        ("channels = 8", "channels = 8, kernel = [3]"),
        ("channels = 8", "channels = 8, padding = \"sam\""),
        ("linear", "linaer"),
        ("linear = ", "dropout = 0.1\nlinear = "),
        ("\"plateau\"", "\"constant\"\nfactor = 0.5"),
        ("\"mse\"", "\"mse\"\nbeta = 1.0"),
        ("[loss]", "[lass]"),
        ("val/loss", "val/los"),
    ] {
        let text = sound().replace(from, to);
        assert_ne!(text, sound());
        files.push((text, false));
    }
    let mut paths = Vec::new();
    for (index, (text, valid)) in files.iter().enumerate() {
        let name = format!("{index}.toml");
        let loaded = Case::new("schema").file(&name, text).load();
        assert_eq!(loaded.is_ok(), *valid, "{text}\n{:?}", loaded.err());
        paths.push(format!("schema/{name}"));
    }

    let Some(python) = std::env::var_os("AFFECT_PYTHON") else {
        eprintln!("AFFECT_PYTHON is not set: the comparison with Python's jsonschema is skipped");
        return;
    };
    files::write_whole("schema/schema.json".as_ref(), schema().to_string().as_bytes()).unwrap();
    let output = Command::new(python)
        .args(["-c", VALIDATOR, "schema/schema.json"])
        .args(&paths)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    for ((text, valid), line) in files.iter().zip(printed.lines()) {
        assert_eq!(line == "True", *valid, "{text}");
    }
    assert_eq!(printed.lines().count(), files.len());
}
