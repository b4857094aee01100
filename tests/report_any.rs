//! A report comes out of any rows, however odd, and nothing of them is taken for markup.

mod report;

use affect::report::{Medium, Member, Output, RunReport, Width, headline, html, plots, table::Comparison};
use affect::track::{BaselineRow, MetricRow, Outcome, PredictionRow, Predictions, ResultRow, Status};
use proptest::prelude::*;

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -2.0..2.0,
        1 => any::<f64>(),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1e-310, 1e300, 5.0]),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{0,8}",
        any::<String>(),
        prop::sample::select(vec![
            String::new(),
            "valence".to_owned(),
            "arousal".to_owned(),
            "<script>x</script>".to_owned(),
            "]]> & \"quoted\" '\u{0}\u{fffe}".to_owned(),
            "很长的名字 🎵 مرحبا".to_owned(),
            "very_long_name_".repeat(400),
        ]),
    ]
}

fn split() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["train", "val", "test", "", "other"]).prop_map(str::to_owned)
}

fn metric() -> impl Strategy<Value = MetricRow> {
    let names = vec![
        "loss",
        "mae",
        "mae/valence",
        "mae/<b>",
        "accuracy",
        "uar",
        "learning_rate",
    ];
    let epoch = prop_oneof![9 => 0_u32..40, 1 => any::<u32>()];
    (split(), prop::sample::select(names), epoch, any::<u64>(), value()).prop_map(
        |(split, name, epoch, step, value)| MetricRow {
            split,
            name: name.to_owned(),
            epoch,
            step,
            value,
            wall_time: 0.0,
        },
    )
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec!["ccc", "rmse", "mae", "r2", "uar", "accuracy", "macro-f1"]).prop_map(str::to_owned),
        text(),
    ]
}

fn result() -> impl Strategy<Value = ResultRow> {
    (split(), name(), text(), value(), prop::option::of((value(), value()))).prop_map(
        |(split, name, target, value, ci)| ResultRow {
            split,
            name,
            target,
            value,
            ci,
        },
    )
}

fn baseline() -> impl Strategy<Value = BaselineRow> {
    (split(), text(), name(), text(), value()).prop_map(|(split, baseline, name, target, value)| BaselineRow {
        split,
        baseline,
        name,
        target,
        value,
    })
}

fn predictions() -> impl Strategy<Value = Predictions> {
    let outcome = (any::<bool>(), prop::collection::vec(text(), 0..5)).prop_map(|(regression, names)| {
        if regression {
            Outcome::Regression { targets: names }
        } else {
            Outcome::Classification { classes: names }
        }
    });
    let values = || prop::collection::vec(prop_oneof![Just(0.0), Just(1.0), value()], 0..5);
    let row =
        (split(), text(), text(), values(), values()).prop_map(|(split, id, group, truth, predicted)| PredictionRow {
            split,
            id,
            group,
            truth: truth.into_iter().map(|value| value as f32).collect(),
            predicted: predicted.into_iter().map(|value| value as f32).collect(),
        });
    (outcome, prop::collection::vec(row, 0..60)).prop_map(|(kind, rows)| Predictions { kind, rows })
}

prop_compose! {
    fn member()(
        texts in prop::collection::vec(text(), 4),
        status in prop::sample::select(Status::ALL.to_vec()),
        best_epoch in prop::option::of(any::<u32>()),
        metrics in prop::collection::vec(metric(), 0..40),
        results in prop::collection::vec(result(), 0..6),
    ) -> Member {
        Member {
            id: texts[0].clone(),
            name: texts[1].clone(),
            status,
            best_epoch,
            metrics,
            results,
            link: Some(texts[2].clone()),
            error: Some(texts[3].clone()).filter(|error| !error.is_empty()),
        }
    }
}

prop_compose! {
    fn run()(
        width in prop::sample::select(vec![Width::Column, Width::Page]),
        members in prop::collection::vec(member(), 0..4),
        best_step in prop::option::of(any::<u64>()),
        metrics in prop::collection::vec(metric(), 0..80),
        results in prop::collection::vec(result(), 0..12),
        baselines in prop::collection::vec(baseline(), 0..12),
        predictions in prop::option::of(predictions()),
        status in prop::sample::select(Status::ALL.to_vec()),
        best_epoch in prop::option::of(0_u32..50),
        seconds in value(),
        texts in prop::collection::vec(text(), 8),
    ) -> RunReport {
        RunReport {
            id: texts[0].clone(),
            experiment: texts[1].clone(),
            description: texts[2].clone(),
            status,
            started_at: texts[3].clone(),
            seconds,
            seed: 1,
            device: texts[4].clone(),
            best_epoch,
            best_step,
            monitor: texts[5].clone(),
            metrics,
            results,
            baselines,
            baseline_intervals: Vec::new(),
            predictions,
            prediction_seeds: Vec::new(),
            repeats: texts[1].clone(),
            members,
            settings_toml: texts[6].clone(),
            provenance: serde_json::json!({ texts[7].clone(): [texts[6].clone(), 1] }),
            remarks: texts.clone(),
            media: Default::default(),
            commands: vec![affect::report::Again {
                what: texts[0].clone(),
                command: texts[1].clone(),
            }],
            width,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn any_rows_give_a_report(report in run()) {
        let figures = plots(&report).unwrap();
        for figure in &figures {
            let (width, height, pixels) = figure.rgb(48).unwrap();
            prop_assert_eq!(pixels.len(), (3 * width * height) as usize);
            prop_assert!(!figure.svg.contains("<text"), "text needs fonts");
        }
        let page = html(&report, &figures);
        prop_assert_eq!(page.matches("<script").count(), 1);
        prop_assert_eq!(page.matches("<svg").count(), figures.len());
        let table = Comparison::of_reported_split(&report.results, &report.baselines);
        prop_assert_eq!(table.csv().is_empty(), false);
        prop_assert!(table.text(Some(60)).chars().all(|character| character == '\n' || !character.is_control()));
        table.markdown();
        for width in [Width::Page, Width::Column] {
            let text = table.latex(&report.experiment, &report.id, width);
            assert_eq!(text.matches("\\begin{table").count(), text.matches("\\end{table").count());
        }
        headline(&report);
        prop_assert!(Output::of_run(&report).unwrap().files().contains(&"report.html".to_owned()));
    }
}

#[test]
fn nothing_of_a_run_becomes_markup_or_leaves_the_page() {
    let mut report = report::regression(30, &["valence", "<img src=x>"], 4);
    let attack = "\"'><img src=http://example.org/x onerror=alert(1)><script>alert(2)</script>";
    for text in [
        &mut report.id,
        &mut report.experiment,
        &mut report.description,
        &mut report.device,
        &mut report.monitor,
        &mut report.settings_toml,
        &mut report.started_at,
    ] {
        *text = attack.to_owned();
    }
    report.remarks = vec![attack.to_owned()];
    report.commands[0].command = attack.to_owned();
    report.commands[0].what = attack.to_owned();
    report.repeats = attack.to_owned();
    report.members = vec![Member {
        id: attack.to_owned(),
        name: attack.to_owned(),
        status: Status::Failed,
        best_epoch: None,
        metrics: report.metrics.clone(),
        results: report.results.clone(),
        link: Some(attack.to_owned()),
        error: Some(attack.to_owned()),
    }];
    let medium = Medium {
        embedded: Some(("audio/wav", vec![0; 5])),
        beginning: Some(4.0),
        link: Some(attack.to_owned()),
        also: None,
    };
    report.media.insert(attack.to_owned(), medium);
    report.provenance = serde_json::json!({ attack: attack });
    report
        .baselines
        .iter_mut()
        .for_each(|row| row.baseline = attack.to_owned());
    for row in &mut report.predictions.as_mut().unwrap().rows {
        row.id = attack.to_owned();
        row.group = attack.to_owned();
    }
    let figures = plots(&report).unwrap();
    let page = html(&report, &figures);
    assert!(!page.contains("<img"), "an element came through");
    assert_eq!(page.matches("<script").count(), 1);
    // The only addresses are the name of the SVG namespace and the text of the attack.
    let page = page
        .replace("http://www.w3.org/2000/svg", "")
        .replace("http://example.org/x", "")
        .replace("http:example.org", "");
    assert!(!page.contains("http:"));
    let sources: Vec<&str> = page.split(" src=\"").skip(1).collect();
    assert!(
        sources
            .iter()
            .all(|source| source.starts_with("data:audio/wav;base64,AAAAAAA=\""))
    );
    assert!(!page.contains("https:") && !page.contains("href=\"h"));
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    let report = report::classification(5, 60, 6);
    let draw = || -> Vec<String> { plots(&report).unwrap().into_iter().map(|figure| figure.svg).collect() };
    assert_eq!(draw(), draw());
    let figure = plots(&report).unwrap().swap_remove(0);
    let (folder, again) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    figure.write(folder.path()).unwrap();
    figure.write(again.path()).unwrap();
    for name in ["baselines.svg", "baselines.png"] {
        assert_eq!(
            std::fs::read(folder.path().join(name)).unwrap(),
            std::fs::read(again.path().join(name)).unwrap()
        );
    }
    assert!(figure.rgb(0).is_err() && figure.rgb(1_000_000).is_err());
}

#[test]
fn a_failed_run_says_so() {
    let mut report = report::regression(0, &["valence"], 2);
    report.status = Status::Failed;
    report.results.clear();
    report.baselines.clear();
    let page = html(&report, &plots(&report).unwrap());
    assert!(page.contains("did not finish") && page.contains("No results were recorded"));
}

#[test]
fn one_repeat_and_repeats_without_anything_have_pages() {
    let run = report::regression(30, &["valence", "arousal"], 5);
    let member = |metrics: &[affect::track::MetricRow]| Member {
        id: "20261121-101530-aaaa".to_owned(),
        name: "seed 1".to_owned(),
        status: Status::Completed,
        best_epoch: Some(3),
        metrics: metrics.to_vec(),
        results: run.results.clone(),
        link: None,
        error: None,
    };
    for (members, has_curves) in [
        (vec![member(&run.metrics)], true),
        (vec![member(&[])], false),
        (vec![member(&run.metrics), member(&[]), member(&run.metrics)], true),
    ] {
        let report = RunReport {
            members,
            repeats: "3 seeds".to_owned(),
            ..run.clone()
        };
        let output = Output::of_run(&report).unwrap();
        let names: Vec<&str> = output.figures.iter().map(|figure| figure.name.as_str()).collect();
        assert_eq!(names.contains(&"loss"), has_curves, "{names:?}");
        assert!(output.page.contains("mean over 3 seeds"));
    }
}
