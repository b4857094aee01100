//! `affect predict` and `affect export` of networks: what the run predicted itself must come out again, from its checkpoint, from ONNX models, and as
//! parameters.

#![allow(
    clippy::disallowed_methods,
    reason = "tests write and damage what they like in their own folder"
)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{EXAMPLES, Lab, write_tone_of};

/// By the file's name, the columns after the third.
type Table = BTreeMap<String, Vec<f64>>;

fn table(text: &str, first: usize) -> Table {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let rows = reader.records().map(|row| {
        let row = row.unwrap();
        let name = Path::new(&row[0]).file_name().unwrap().to_str().unwrap().to_owned();
        (
            name,
            row.iter().skip(first).map(|field| field.parse().unwrap()).collect(),
        )
    });
    rows.collect()
}

/// What the run predicted when it was tested, of `predictions.csv`: the columns whose names `wanted` takes.
fn tested(run: &Path, wanted: impl Fn(&str) -> bool) -> Table {
    let mut reader = csv::Reader::from_path(run.join("predictions.csv")).unwrap();
    let columns: Vec<usize> = (reader.headers().unwrap().iter().enumerate())
        .filter(|(_, name)| wanted(name))
        .map(|(index, _)| index)
        .collect();
    let media: BTreeMap<String, String> = csv::Reader::from_path(run.join("media.csv"))
        .unwrap()
        .records()
        .map(|row| row.unwrap())
        .map(|row| {
            (
                row[0].to_owned(),
                Path::new(&row[2]).file_name().unwrap().to_str().unwrap().to_owned(),
            )
        })
        .collect();
    let rows = reader.records().map(|row| {
        let row = row.unwrap();
        let values = columns.iter().map(|&column| row[column].parse().unwrap()).collect();
        (media[&row[1]].clone(), values)
    });
    rows.collect()
}

fn apart(got: &Table, want: &Table) -> f64 {
    assert_eq!(got.keys().collect::<Vec<_>>(), want.keys().collect::<Vec<_>>());
    let pairs = got.values().flatten().zip(want.values().flatten());
    pairs.fold(0.0, |worst: f64, (got, want)| worst.max((got - want).abs()))
}

#[test]
fn a_run_predicts_what_it_was_tested_with() {
    let lab = Lab::new();
    // The last network is another than the best one.
    lab.edit(
        "cls.toml",
        "epochs = 2",
        "epochs = 2\nearly_stopping = { monitor = \"val/loss\", restore_best = false }",
    );
    for (experiment, first) in [("reg", 3), ("cls", 4)] {
        let (run, _) = lab.run_anew(experiment, &[]);
        let tested = tested(&run, |name| name.ends_with("_predicted") || name.starts_with("p_"));
        assert_eq!(tested.len(), EXAMPLES);
        let run = run.to_str().unwrap();
        let predicted = lab.succeed(&["predict", run, "data/audio", "--csv"]);
        assert_eq!(predicted.stdout.lines().count(), EXAMPLES + 1, "{}", predicted.stdout);
        assert_eq!(apart(&table(&predicted.stdout, first), &tested), 0.0);
        // Another number of threads, a pattern in place of the folder, and lines of JSON.
        let lines = lab
            .succeed(&["predict", run, "data/*/*.wav", "--json", "--threads", "1"])
            .stdout;
        let from_json: Table = lines
            .lines()
            .map(|line| {
                let object: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!(
                    (object["start"].as_f64(), object["end"].as_f64()),
                    (Some(0.0), Some(0.3))
                );
                let values = object.get("probabilities").unwrap_or(&object).as_object().unwrap();
                let values = values
                    .iter()
                    .filter(|(key, _)| !["file", "start", "end"].contains(&key.as_str()));
                let name = Path::new(object["file"].as_str().unwrap()).file_name().unwrap();
                (
                    name.to_str().unwrap().to_owned(),
                    values.map(|(_, value)| value.as_f64().unwrap()).collect(),
                )
            })
            .collect();
        assert_eq!(apart(&from_json, &tested), 0.0);
        let shown = lab.succeed(&["predict", run, "data/audio/07.wav"]).stdout;
        assert!(shown.contains("07.wav"), "{shown}");

        for (file, options, tolerance) in [
            ("features.onnx", &[][..], 1e-4),
            ("samples.onnx", &["--with-frontend"], 1e-3),
        ] {
            let written = lab.succeed(&[&["export", run, "--onnx", file], options].concat());
            assert!(written.stdout.contains(file), "{}", written.stdout);
            let predicted = lab.succeed(&["predict", file, "data/audio", "--csv"]).stdout;
            let apart = apart(&table(&predicted, first), &tested);
            assert!(apart <= tolerance, "{experiment}, {file}: {apart:e}");
        }
    }
}

#[test]
fn windows_slide_over_a_recording_and_are_drawn() {
    let lab = Lab::new();
    let (run, _) = lab.run_anew("reg", &[]);
    let run = run.to_str().unwrap();
    write_tone_of(&lab.path("long/one.wav"), 440.0, 0.2, 2.0);
    write_tone_of(&lab.path("long/deep/one.wav"), 220.0, 0.2, 0.1);
    let slid = lab.succeed(&["predict", run, "long", "--every", "0.25", "--csv"]);
    let rows: Vec<Vec<String>> = csv::Reader::from_reader(slid.stdout.as_bytes())
        .records()
        .map(|row| row.unwrap().iter().map(String::from).collect())
        .collect();
    // 0.3 s fit at 0, 0.25 … 1.5 s of two seconds; the short file has one window.
    let starts: Vec<&str> = rows.iter().map(|row| row[1].as_str()).collect();
    assert_eq!(starts, ["0", "0", "0.25", "0.5", "0.75", "1", "1.25", "1.5"]);
    assert_eq!(rows[0][2], "0.1");
    assert_eq!(rows[7][2], "1.8");
    let beginning = lab.succeed(&["predict", run, "long/one.wav", "--csv"]).stdout;
    assert_eq!(beginning.lines().nth(1), slid.stdout.lines().nth(2));
    let figures: Vec<_> = ["one", "one-2"]
        .iter()
        .flat_map(|stem| ["trajectory", "trajectory-plane"].map(|figure| format!("predictions/{stem}-{figure}")))
        .collect();
    for figure in figures {
        assert!(lab.read(&format!("{figure}.svg")).starts_with("<svg"), "{figure}");
        let png = std::fs::read(lab.path(&format!("{figure}.png"))).unwrap();
        assert!(png.starts_with(b"\x89PNG"), "{figure}");
    }
}

#[test]
fn what_cannot_be_used_is_told_of_and_the_rest_is_done() {
    let lab = Lab::new();
    let (run, _) = lab.run_anew("reg", &[]);
    let run = run.to_str().unwrap();
    lab.write("bad/empty.wav", "");
    lab.write("bad/text.mp3", "no sound");
    let outcome = lab.affect(&["predict", run, "bad", "none.wav", "data/audio/03.wav", "--csv"]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert_eq!(outcome.stdout.lines().count(), 2, "{}", outcome.stdout);
    for told in [
        "bad/empty.wav",
        "bad/text.mp3",
        "none.wav: there is no such file",
        "3 recordings could not be used",
    ] {
        assert!(outcome.stderr.contains(told), "{told}: {}", outcome.stderr);
    }
    for (arguments, status, told) in [
        (&["predict", "nothing", "bad"][..], 2, "nothing"),
        (&["predict", "none.onnx", "bad"], 2, "none.onnx"),
        (&["predict", "data/labels.csv", "bad"], 2, "no ONNX model"),
        (&["predict", run, "bad", "--every", "0"], 2, "0.001"),
        (&["predict", run, "bad", "--plots", "x"], 2, "--every"),
        (&["export", run], 2, "--onnx"),
        (&["export", "--onnx", "x.onnx"], 2, "RUN"),
        (&["export", run, run, "--onnx", "x.onnx"], 2, "one run"),
        (&["export", run, "--with-frontend", "--csv", "x"], 2, "--onnx"),
        (&["export", run, "--onnx", "data"], 2, "data"),
    ] {
        let outcome = lab.affect(arguments);
        assert_eq!(outcome.code, Some(status), "{arguments:?}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(told), "{arguments:?}: {}", outcome.stderr);
    }
}

#[test]
fn runs_with_repeats_and_runs_from_before() {
    let lab = Lab::new();
    lab.succeed(&["run", "reg.toml", "--seeds", "2"]);
    let parent: String = lab.query("SELECT id FROM runs WHERE parent_id IS NULL");
    let child: String = lab.query("SELECT id FROM runs WHERE parent_id IS NOT NULL");
    let complaint = lab.complaint(2, &["predict", &parent, "data/audio"]);
    assert!(
        complaint.contains("has repeats") && complaint.contains(&child),
        "{complaint}"
    );
    // Without its file, what the network takes is worked out from the data.
    let before = lab.succeed(&["predict", &child, "data/audio", "--csv"]).stdout;
    let interface = lab.path("runs/reg").join(&child).join("interface.json");
    let text = std::fs::read_to_string(&interface).unwrap();
    std::fs::remove_file(&interface).unwrap();
    let without = lab.succeed(&["predict", &child, "data/audio", "--csv"]);
    assert_eq!(without.stdout, before);
    assert!(without.stderr.contains("interface.json"), "{}", without.stderr);
    std::fs::write(&interface, text.replace("\"format\": 1", "\"format\": 2")).unwrap();
    assert!(
        lab.complaint(2, &["predict", &child, "data/audio"])
            .contains("later version")
    );
    std::fs::write(&interface, &text).unwrap();
    for checkpoint in std::fs::read_dir(interface.with_file_name("checkpoints")).unwrap() {
        let model = checkpoint.unwrap().path().join("model.safetensors");
        let mut bytes = std::fs::read(&model).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&model, bytes).unwrap();
    }
    let outcome = lab.affect(&["predict", &child, "data/audio"]);
    assert!(
        outcome.code != Some(0) && outcome.stderr.contains("damaged"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn parameters_come_out_under_the_names_of_the_checkpoint() {
    let lab = Lab::new();
    let (run, _) = lab.run_anew("reg", &["--set", "features.normalize=train-statistics"]);
    let name = run.to_str().unwrap();
    lab.succeed(&[
        "export",
        name,
        "--safetensors",
        "m.safetensors",
        "--pytorch-state",
        "m.pt",
    ]);
    let device = candle_core::Device::Cpu;
    let load = |path: &Path| candle_core::safetensors::load(path, &device).unwrap();
    let checkpoint = load(&run.join("checkpoints/best/model.safetensors"));
    assert!(checkpoint.contains_key("features.mean") && checkpoint.contains_key("layers.0.weight"));
    let safe = load(&lab.path("m.safetensors"));
    let state: std::collections::HashMap<String, _> = candle_core::pickle::read_all(lab.path("m.pt"))
        .unwrap()
        .into_iter()
        .collect();
    for exported in [&safe, &state] {
        assert_eq!(exported.len(), checkpoint.len());
        for (name, tensor) in &checkpoint {
            let got = &exported[name];
            assert_eq!(got.dims(), tensor.dims(), "{name}");
            let values = |tensor: &candle_core::Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(values(got), values(tensor), "{name}");
        }
    }
    let bytes = |file: &str| std::fs::read(lab.path(file)).unwrap();
    let before = [bytes("m.safetensors"), bytes("m.pt")];
    lab.succeed(&[
        "export",
        name,
        "--safetensors",
        "m.safetensors",
        "--pytorch-state",
        "m.pt",
    ]);
    assert_eq!(before, [bytes("m.safetensors"), bytes("m.pt")]);
}
