//! `affect check`, and the commands that say what the program is and can do.

#![allow(clippy::disallowed_methods)] // tests damage and move files

mod common;

use common::Lab;
use insta::assert_snapshot;

#[test]
fn check_prints_the_plan_and_does_no_work() {
    let lab = Lab::new();
    let outcome = lab.succeed(&["check", "reg.toml"]);
    assert_snapshot!(outcome.stdout, @r#"
reg is sound

train    12 examples in 12 groups
val      6 examples in 6 groups
test     6 examples in 6 groups
features 1 × 16 × 19 float32 per example, 29.2 kB in the cache

───────────────────────────────────────────────────────────────────────────────────────────────────────
 layer                                                    output        parameters    FLOPs     memory 
───────────────────────────────────────────────────────────────────────────────────────────────────────
 input                                                    1 × 16 × 19                           1.2 kB 
 0 conv2d: 4 of 3 × 3, batch norm, relu, max pool 2 × 2   4 × 8 × 9             44   26.7 k    15.7 kB 
 1 conv2d: 8 of 3 × 3, relu                               8 × 8 × 9            296   42.0 k     4.6 kB 
 2 adaptive_avg_pool2d: 1 × 1                             8 × 1 × 1              0      576   32 bytes 
 3 dropout: 0.1                                           8 × 1 × 1              0        8   64 bytes 
 4 linear: 8 → 2                                          2                     18       32    8 bytes 
 all                                                                           358   69.4 k    21.7 kB 
───────────────────────────────────────────────────────────────────────────────────────────────────────
FLOPs of a forward pass and memory of a training step, both for one example;
a batch of 4 needs 86.7 kB
"#);
    assert!(!lab.path("runs").exists() && !lab.path("cache/features").exists());
}

#[test]
fn check_counts_the_groups_of_classes() {
    let lab = Lab::new();
    let plan = lab.succeed(&["check", "cls.toml", "--json"]).json();
    assert_eq!(plan["experiment"], "cls");
    assert_eq!(plan["feature_shape"], serde_json::json!([1, 16, 19]));
    let sizes = plan["splits"].as_array().unwrap();
    let groups: u64 = sizes.iter().map(|side| side[1]["groups"].as_u64().unwrap()).sum();
    assert_eq!(groups, 6);
    assert_eq!(plan["layers"].as_array().unwrap().len(), 5);
}

#[test]
fn a_layer_that_does_not_fit_is_shown_with_the_network_so_far() {
    let lab = Lab::new();
    lab.edit(
        "reg.toml",
        "channels = 8, kernel = 3",
        "channels = 8, kernel = 11, padding = 0",
    );
    assert_snapshot!(lab.complaint(2, &["check", "reg.toml"]), @r#"
error: layer 1 does not fit: a kernel of 11 × 11 is larger than the input of 8 × 9 with its
  │ padding
    ╭─[reg.toml:29:1]
 28 │ conv2d = { channels = 4, kernel = 3, batch_norm = true, activation = "relu", max_pool = 2 }
 29 │ [[model.layers]]
    · ────────────────
 30 │ conv2d = { channels = 8, kernel = 11, padding = 0, activation = "relu" }
    ╰────
  help: the network so far:
        input                        1 × 16 × 19
        0 conv2d                     4 × 8 × 9
"#);
}

#[test]
fn features_are_computed_once() {
    let lab = Lab::new();
    let first = lab.succeed(&["features", "reg.toml", "--json"]).json();
    assert_eq!((&first["computed"], &first["examples"]), (&24.into(), &24.into()));
    assert!(lab.path(first["folder"].as_str().unwrap()).join("data.f32").is_file());
    // Another task on the same sound needs the same features.
    let second = lab.succeed(&["features", "cls.toml", "--json"]).json();
    assert_eq!((&second["computed"], &second["key"]), (&0.into(), &first["key"]));
    let text = lab.succeed(&["features", "reg.toml"]).stdout;
    assert!(
        text.starts_with("24 examples of 1 × 16 × 19 float32 (29.2 kB) in cache/features/"),
        "{text}"
    );
}

/// Every command, with the flags that its help must speak of.
const COMMANDS: [(&str, &[&str]); 20] = [
    (
        "run",
        &[
            "<EXPERIMENT>...",
            "--set",
            "--seed",
            "--seeds",
            "--folds",
            "--jobs",
            "--device",
            "--threads",
            "--runs",
            "--cache",
            "--profile",
            "--json",
            "--color",
        ],
    ),
    (
        "resume",
        &[
            "<RUN>",
            "--device",
            "--threads",
            "--jobs",
            "--cache",
            "--runs",
            "--profile",
            "--json",
        ],
    ),
    ("reproduce", &["<RUN>", "--threads", "--cache", "--runs", "--json"]),
    (
        "check",
        &[
            "<EXPERIMENT>",
            "--set",
            "--seed",
            "--device",
            "--threads",
            "--cache",
            "--export-split",
            "--json",
            "--color",
        ],
    ),
    (
        "features",
        &[
            "[EXPERIMENT]",
            "--set",
            "--export",
            "--list",
            "--prune",
            "--threads",
            "--cache",
            "--json",
        ],
    ),
    ("datasets", &["list", "show", "verify", "clean"]),
    (
        "ls",
        &[
            "--experiment",
            "--status",
            "--tag",
            "--since",
            "--where",
            "--sort",
            "--reverse",
            "--limit",
            "--columns",
            "--all",
            "--rebuild",
            "--runs",
            "--json",
            "--csv",
        ],
    ),
    ("show", &["<RUN>", "--runs", "--json"]),
    (
        "compare",
        &[
            "[RUN]",
            "--experiment",
            "--group-by",
            "--all-pairs",
            "--baselines",
            "--format",
            "--runs",
            "--json",
        ],
    ),
    (
        "report",
        &[
            "[RUN]...",
            "--experiment",
            "--group-by",
            "--all-pairs",
            "--baselines",
            "--out",
            "--width",
            "--runs",
        ],
    ),
    ("tag", &["<RUN>", "<TAG>...", "--remove", "--runs"]),
    ("note", &["<RUN>", "<TEXT>...", "--runs"]),
    ("rm", &["<RUN>...", "--purge", "--runs"]),
    ("restore", &["[RUN]...", "--runs"]),
    (
        "predict",
        &[
            "<RUN|MODEL.onnx>",
            "<AUDIO>...",
            "--every",
            "--plots",
            "--csv",
            "--json",
            "--threads",
            "--runs",
        ],
    ),
    (
        "export",
        &[
            "[RUN]...",
            "--onnx",
            "--with-frontend",
            "--safetensors",
            "--pytorch-state",
            "--csv",
            "--parquet",
            "--runs",
        ],
    ),
    ("tensorboard", &["[RUN]...", "--port", "--runs"]),
    ("schema", &["--color"]),
    ("completions", &["<SHELL>", "bash", "zsh", "fish"]),
    ("doctor", &["--runs", "--cache", "--json"]),
];

#[test]
fn every_command_explains_itself() {
    let lab = Lab::new();
    let all = lab.succeed(&["--help"]).stdout;
    let listed: Vec<&str> = all
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        // A description that goes on in another line is indented further.
        .filter(|line| line.strip_prefix("  ").is_some_and(|rest| !rest.starts_with(' ')))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert_eq!(listed, COMMANDS.map(|(name, _)| name), "a command without a test");
    for (name, flags) in COMMANDS {
        for help in [
            lab.succeed(&[name, "--help"]),
            lab.succeed(&[name, "-h"]),
            lab.succeed(&["help", name]),
        ] {
            assert!(
                help.stdout.contains(&format!("Usage: affect {name}")),
                "{}",
                help.stdout
            );
            for flag in flags {
                assert!(help.stdout.contains(flag), "{name} {flag}: {}", help.stdout);
            }
            // Not one flag without a word on what it does, beside it or under it.
            let lines: Vec<&str> = help.stdout.lines().collect();
            for (line, next) in lines.iter().zip(lines.iter().skip(1)) {
                let flag = line.trim_start();
                let explained = flag.contains("  ") || next.starts_with("          ");
                assert!(!flag.starts_with("--") || explained, "{name}: {line}");
            }
            assert_eq!(help.stderr, "");
        }
    }
}

#[test]
fn wrong_commands_are_refused_with_the_usage() {
    let lab = Lab::new();
    let nothing = lab.affect::<&str>(&[]);
    assert_eq!((nothing.code, nothing.stdout.as_str()), (Some(2), ""));
    assert!(nothing.stderr.contains("Usage: affect"), "{}", nothing.stderr);
    assert_snapshot!(lab.complaint(2, &["rnu", "reg.toml"]), @r#"
error: unrecognized subcommand 'rnu'

Usage: affect [OPTIONS] <COMMAND>

For more information, try '--help'.
"#);
    assert_snapshot!(lab.complaint(2, &["run"]), @r#"
error: the following required arguments were not provided:
  <EXPERIMENT>...

Usage: affect run <EXPERIMENT>...

For more information, try '--help'.
"#);
    assert_snapshot!(lab.complaint(2, &["ls", "--jsno"]), @r#"
error: unexpected argument '--jsno' found

  tip: a similar argument exists: '--json'

Usage: affect ls --json

For more information, try '--help'.
"#);
    let version = lab.succeed(&["--version"]).stdout;
    assert_eq!(version, format!("affect {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_schema_is_json_and_knows_the_tables() {
    let lab = Lab::new();
    let schema = lab.succeed(&["schema"]).json();
    for table in [
        "experiment",
        "dataset",
        "features",
        "model",
        "loss",
        "optimizer",
        "schedule",
        "train",
        "evaluate",
        "record",
    ] {
        assert!(schema["properties"][table].is_object(), "{table}");
    }
}

#[test]
fn completions_are_there_for_every_shell() {
    let lab = Lab::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = lab.succeed(&["completions", shell]).stdout;
        assert!(script.contains("affect") && script.contains("completions"), "{shell}");
    }
    let script = lab.succeed(&["completions", "bash"]).stdout;
    lab.write("affect.bash", &script);
    if let Ok(checked) = std::process::Command::new("bash")
        .arg("-n")
        .arg(lab.path("affect.bash"))
        .output()
    {
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}

#[test]
fn the_doctor_looks_and_leaves_nothing_behind() {
    let lab = Lab::new();
    let text = lab.succeed(&["doctor"]).stdout;
    for part in ["processor", "threads", "CUDA", "ffmpeg", "`runs` is not there yet"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let report = lab.succeed(&["doctor", "--json", "--runs", "reg.toml/runs"]).json();
    assert!(report["program"]["version"] == env!("CARGO_PKG_VERSION"));
    assert!(
        report["runs"]
            .as_str()
            .unwrap()
            .starts_with("cannot write into `reg.toml`"),
        "{report}"
    );
    assert!(!lab.path("runs").exists() && !lab.path("cache").exists());
}
