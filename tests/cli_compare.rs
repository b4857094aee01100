//! `affect compare`: what differs between runs, and whether that is more than chance.

mod common;
mod records_support;

use affect::random::Generator;
use affect::track::Status;
use common::Lab;
use insta::assert_snapshot;
use records_support::{Made, make};

const SPEAKERS: usize = 8;

/// Eight speakers with five examples each; the errors of the predictions are `scale` times a fixed noise, and a bit of the seed's.
fn predictions(scale: f64, seed: u64) -> Vec<(&'static str, String, String, f32, f32)> {
    let mut noise = Generator::keyed(1, "noise", &[]);
    let mut own = Generator::keyed(seed, "own", &[]);
    (0..SPEAKERS * 5)
        .map(|example| {
            let truth = noise.normal();
            let predicted = truth + scale * noise.normal() + 0.02 * own.normal();
            (
                "test",
                format!("e{example:02}"),
                format!("s{}", example / 5),
                truth as f32,
                predicted as f32,
            )
        })
        .collect()
}

fn rmse(predictions: &[(&str, String, String, f32, f32)]) -> f64 {
    let squares = predictions.iter().map(|row| f64::from(row.3 - row.4).powi(2));
    (squares.sum::<f64>() / predictions.len() as f64).sqrt()
}

/// Three seeds of a good network and three of a bad one.
struct Compared {
    lab: Lab,
    good: Vec<String>,
    bad: Vec<String>,
}

fn of(lab: &Lab, experiment: &str, scale: f64, seed: u64, more: Made) -> String {
    let predictions = predictions(scale, seed);
    let settings = "[dataset]\ngroup = 'speaker'\n";
    make(
        &lab.path("runs"),
        Made {
            experiment,
            seed,
            rmse: Some(rmse(&predictions)),
            predictions,
            settings,
            ..more
        },
    )
}

impl Compared {
    fn new() -> Self {
        let lab = Lab::new();
        let seeds = |experiment, scale, learning_rate| -> Vec<String> {
            let more = || Made {
                learning_rate,
                ..Made::default()
            };
            (1..=3).map(|seed| of(&lab, experiment, scale, seed, more())).collect()
        };
        let good = seeds("good", 0.3, 0.001);
        let bad = seeds("bad", 0.6, 0.01);
        Self { good, bad, lab }
    }

    /// The output with the ids' random parts replaced.
    fn shown(&self, more: &[&str]) -> String {
        let outcome = self.lab.succeed(&[&["compare"], more].concat());
        let mut text = outcome.stdout;
        for (name, ids) in [("good", &self.good), ("bad", &self.bad)] {
            for (seed, id) in ids.iter().enumerate() {
                let suffix = id.rsplit('-').next().unwrap();
                text = text
                    .replace(id, &format!("<{name} {seed}>"))
                    .replace(suffix, &format!("<{}{seed}>", &name[..1]));
            }
        }
        text
    }
}

#[test]
fn seeds_are_taken_together_and_tested_over_speakers() {
    let compared = Compared::new();
    assert_snapshot!(compared.shown(&["--experiment", "bad", "--experiment", "good"]), @r"
bad: 3 runs (<b0>, <b1>, <b2>), seeds 1, 2, 3
good: 3 runs (<g0>, <g1>, <g2>), seeds 1, 2, 3

Settings that differ
──────────────────────────────────────────
 setting                     bad     good
──────────────────────────────────────────
 optimizer.learning_rate   0.01    0.001
──────────────────────────────────────────

Results
──────────────────────────────────────────────────────────────────────────────────
 metric   target                              bad                            good
──────────────────────────────────────────────────────────────────────────────────
 RMSE     valence   0.658 ± 0.002 [0.653, 0.662]    0.329 ± 0.002 [0.325, 0.334]*
 CCC      average   0.342 ± 0.002 [0.338, 0.347]    0.671 ± 0.002 [0.666, 0.675]*
──────────────────────────────────────────────────────────────────────────────────

Differences from the first, on the same test examples
───────────────────────────────────────────────────────────────────────────────────────────────────────────
 metric      target    group   difference              95% CI   better in   p (Wilcoxon)   rank r        d
───────────────────────────────────────────────────────────────────────────────────────────────────────────
 MSE         valence   good       −0.324    [−0.446, −0.218]         8/8          0.008    −1.00    −1.80
 RMSE        valence   good       −0.328    [−0.386, −0.269]         8/8          0.008    −1.00    −3.28
 MAE         valence   good       −0.260    [−0.312, −0.212]         8/8          0.008    −1.00    −3.25
 R²          valence   good        0.396      [0.223, 0.889]         8/8          0.008     1.00     0.72
 Pearson r   valence   good        0.128      [0.072, 0.231]         8/8          0.008     1.00     1.00
 CCC         valence   good        0.148      [0.092, 0.269]         8/8          0.008     1.00     1.70
───────────────────────────────────────────────────────────────────────────────────────────────────────────

good's CCC is higher than bad's by 0.148 [0.092, 0.269]; better for 8 of 8 speakers (Wilcoxon: p = 0.008)
good's RMSE is lower than bad's by 0.328 [0.269, 0.386]; better for 8 of 8 speakers (Wilcoxon: p = 0.008)
");

    let both = [&compared.bad[..], &compared.good[..]].concat();
    let arguments: Vec<&str> = std::iter::once("compare")
        .chain(both.iter().map(String::as_str))
        .chain(["--json"])
        .collect();
    let json = compared.lab.succeed(&arguments).json();
    assert_eq!(json["groups"][1]["seeds"], serde_json::json!([1, 2, 3]));
    let figures = json["contrasts"][0]["figures"].as_array().unwrap();
    let mae = figures
        .iter()
        .find(|figure| figure["metric"] == "mae" && figure["target"] == "")
        .unwrap();
    assert_eq!((mae["groups"].as_u64(), mae["better_in"].as_u64()), (Some(8), Some(8)));
    assert_eq!(mae["wilcoxon"]["p"], 2.0 / 256.0);
    assert!(mae["difference"].as_f64().unwrap() < 0.0 && mae["ci"][1].as_f64().unwrap() < 0.0);
    let rmse = figures
        .iter()
        .find(|figure| figure["metric"] == "rmse" && figure["target"] == "")
        .unwrap();
    assert_eq!(rmse["seeds"]["seeds"], 3);
    assert_eq!(json["results"][0]["metric"], "rmse");
}

#[test]
fn tables_for_other_programs() {
    let compared = Compared::new();
    let names = ["--experiment", "bad", "--experiment", "good", "--format"];
    let shown = |format: &str| compared.shown(&[&names[..], &[format]].concat());
    assert_snapshot!(shown("markdown"), @r"
- bad: 3 runs (<b0>, <b1>, <b2>), seeds 1, 2, 3
- good: 3 runs (<g0>, <g1>, <g2>), seeds 1, 2, 3

**Settings that differ**

| setting | bad | good |
| :--- | ---: | ---: |
| optimizer.learning\_rate | 0.01 | 0.001 |

**Results**

| metric | target | bad | good |
| :--- | :--- | ---: | ---: |
| RMSE | valence | 0.658 ± 0.002 \[0.653, 0.662\] | **0.329 ± 0.002 \[0.325, 0.334\]** |
| CCC | average | 0.342 ± 0.002 \[0.338, 0.347\] | **0.671 ± 0.002 \[0.666, 0.675\]** |

**Differences from the first, on the same test examples**

| metric | target | group | difference | 95% CI | better in | p (Wilcoxon) | rank r | d |
| :--- | :--- | :--- | ---: | ---: | ---: | ---: | ---: | ---: |
| MSE | valence | good | −0.324 | \[−0.446, −0.218\] | 8/8 | 0.008 | −1.00 | −1.80 |
| RMSE | valence | good | −0.328 | \[−0.386, −0.269\] | 8/8 | 0.008 | −1.00 | −3.28 |
| MAE | valence | good | −0.260 | \[−0.312, −0.212\] | 8/8 | 0.008 | −1.00 | −3.25 |
| R² | valence | good | 0.396 | \[0.223, 0.889\] | 8/8 | 0.008 | 1.00 | 0.72 |
| Pearson r | valence | good | 0.128 | \[0.072, 0.231\] | 8/8 | 0.008 | 1.00 | 1.00 |
| CCC | valence | good | 0.148 | \[0.092, 0.269\] | 8/8 | 0.008 | 1.00 | 1.70 |

- good's CCC is higher than bad's by 0.148 \[0.092, 0.269\]; better for 8 of 8 speakers (Wilcoxon: p = 0.008)
- good's RMSE is lower than bad's by 0.328 \[0.269, 0.386\]; better for 8 of 8 speakers (Wilcoxon: p = 0.008)
");
    let latex = shown("latex");
    assert_eq!(latex.matches("\\begin{table}").count(), 3, "{latex}");
    assert!(
        latex.contains("\\toprule") && latex.contains("\\textbf{") && latex.contains("$\\pm$"),
        "{latex}"
    );
    let csv = shown("csv");
    let lines: Vec<&str> = csv.lines().collect();
    assert!(
        lines[0].starts_with("split,metric,target,group,n,mean,deviation,ci_low,ci_high,reference,difference"),
        "{csv}"
    );
    assert!(lines.iter().all(|line| line.split(',').count() == 20), "{csv}");
    assert!(
        lines.iter().any(|line| line.starts_with("test,rmse,valence,good,3,")),
        "{csv}"
    );
}

#[test]
fn what_cannot_be_compared_is_named() {
    let compared = Compared::new();
    let lab = &compared.lab;
    let runs = lab.path("runs");
    let mut fewer = predictions(0.3, 1);
    fewer.truncate(30);
    let other_split = make(
        &runs,
        Made {
            experiment: "fewer",
            predictions: fewer,
            ..Made::default()
        },
    );
    let mut changed = predictions(0.3, 1);
    changed[0].3 = 9.0;
    let other_truth = make(
        &runs,
        Made {
            experiment: "changed",
            predictions: changed,
            ..Made::default()
        },
    );
    let other_data = of(
        lab,
        "data",
        0.3,
        1,
        Made {
            data: "e",
            ..Made::default()
        },
    );
    let without = make(
        &runs,
        Made {
            experiment: "without",
            ..Made::default()
        },
    );
    let failed = make(
        &runs,
        Made {
            experiment: "failed",
            status: Status::Failed,
            ..Made::default()
        },
    );

    let complaint = |others: &[&str]| {
        let outcome = lab.succeed(&[&["compare", compared.good[0].as_str()], others].concat());
        outcome.stderr
    };
    assert_snapshot!(complaint(&[&other_split]), @"warning: fewer is not tested against good: they were tested on other examples: 40 and 30, of which 30 are the same");
    assert_snapshot!(complaint(&[&other_truth]), @"warning: changed is not tested against good: they have other truths for 1 of 40 test examples");
    assert_snapshot!(complaint(&[&other_data]), @"warning: good and data were trained on other data (its fingerprint differs)");
    let missing = complaint(&[&without]);
    assert!(
        missing.contains("without is not tested against good: the predictions of") && missing.contains("is missing"),
        "{missing}"
    );
    let left_out = complaint(&[&compared.bad[0], &failed]);
    assert_eq!(left_out, format!("warning: {failed} is left out: it is failed\n"));

    assert_snapshot!(lab.complaint(2, &["compare"]), @r"
error: no runs are named
 help: name them (`affect compare k3f9 latest`), or experiments (`--experiment a --experiment b`)
");
    let alone = lab.complaint(2, &["compare", &without]);
    assert!(
        alone.contains(&format!("error: there is only one run to compare: {without}")),
        "{alone}"
    );
    assert_snapshot!(lab.complaint(2, &["compare", "--experiment", "nothing"]), @r"
error: there are no runs of the experiment `nothing`
 help: list the runs with `affect ls`
");
    let unfinished = lab.complaint(2, &["compare", &failed]);
    assert!(
        unfinished.contains("error: none of the runs is finished"),
        "{unfinished}"
    );
}

#[test]
fn groups_by_a_setting_and_many_against_the_first() {
    let compared = Compared::new();
    of(
        &compared.lab,
        "third",
        0.5,
        1,
        Made {
            learning_rate: 0.1,
            ..Made::default()
        },
    );
    let names = ["--experiment", "bad", "--experiment", "good", "--experiment", "third"];
    let by_rate = [
        &["compare"],
        &names[..],
        &["--group-by", "optimizer.learning_rate", "--json"],
    ]
    .concat();
    let json = compared.lab.succeed(&by_rate).json();
    let groups: Vec<&str> = json["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["name"].as_str().unwrap())
        .collect();
    assert_eq!(groups, ["0.01", "0.001", "0.1"]);
    // Two tests in each figure: the smaller p-value is doubled.
    let test = |contrast: usize| {
        let figures = json["contrasts"][contrast]["figures"].as_array().unwrap();
        let mae = figures
            .iter()
            .find(|figure| figure["metric"] == "mae" && figure["target"] == "")
            .unwrap();
        (
            mae["wilcoxon"]["p"].as_f64().unwrap(),
            mae["wilcoxon"]["p_holm"].as_f64().unwrap(),
        )
    };
    let (first, second) = (test(0), test(1));
    assert_eq!(first.0.min(second.0) * 2.0, first.1.min(second.1));
    assert!(first.1 >= first.0 && second.1 >= second.0);
}

#[test]
fn a_parent_stands_for_its_folds() {
    let lab = Lab::new();
    let runs = lab.path("runs");
    let mut parents = Vec::new();
    for (experiment, scale) in [("good", 0.3), ("bad", 0.6)] {
        let parent = make(
            &runs,
            Made {
                experiment,
                ..Made::default()
            },
        );
        for fold in 0..2 {
            let all = predictions(scale, 1);
            let predictions: Vec<_> = all.into_iter().skip(20 * fold).take(20).collect();
            let settings = format!("[dataset]\ngroup = 'speaker'\nsplit.fold = {fold}\n");
            let rmse = Some(rmse(&predictions));
            let learning_rate = scale;
            let parent = Some(parent.as_str());
            make(
                &runs,
                Made {
                    experiment,
                    learning_rate,
                    parent,
                    predictions,
                    rmse,
                    settings: &settings,
                    ..Made::default()
                },
            );
        }
        parents.push(parent);
    }
    let json = lab.succeed(&["compare", &parents[1], &parents[0], "--json"]).json();
    assert_eq!(json["warnings"], serde_json::json!([]));
    assert_eq!(json["groups"][0]["runs"].as_array().unwrap().len(), 2);
    assert_eq!(json["contrasts"][0]["examples"], 40);
    let settings = json["settings"].as_array().unwrap();
    assert_eq!(
        (settings.len(), settings[0]["key"].as_str()),
        (1, Some("optimizer.learning_rate"))
    );
}

#[test]
fn a_model_is_tested_against_its_baselines() {
    let lab = Lab::new();
    lab.succeed(&["run", "reg.toml"]);
    let json = lab.succeed(&["compare", "latest", "--baselines", "--json"]).json();
    let contrasts = json["contrasts"].as_array().unwrap();
    let references: Vec<&str> = contrasts.iter().map(|it| it["reference"].as_str().unwrap()).collect();
    assert_eq!(references[0], "mean");
    assert!(references.contains(&"ridge"), "{references:?}");
    // The figures are those of the record.
    let run: String = lab.query("SELECT id FROM runs");
    let recorded = |table: &str, more: &str| -> f64 {
        lab.query(&format!(
            "SELECT value FROM {table} WHERE run_id = '{run}' AND split = 'test' AND name = 'mae' AND target = '' {more}"
        ))
    };
    let mae = contrasts[0]["figures"].as_array().unwrap().iter();
    let mae = mae
        .clone()
        .find(|it| it["metric"] == "mae" && it["target"] == "")
        .unwrap();
    let near = |a: &serde_json::Value, b: f64| (a.as_f64().unwrap() - b).abs() < 1e-9;
    assert!(near(&mae["value"], recorded("results", "")), "{mae}");
    assert!(
        near(&mae["reference"], recorded("baselines", "AND baseline = 'mean'")),
        "{mae}"
    );
    let text = lab.succeed(&["compare", "latest", "--baselines"]).stdout;
    assert!(text.contains("against") && text.contains("Holm"), "{text}");

    std::fs::remove_dir_all(lab.run("reg").join("baselines")).unwrap();
    let outcome = lab.succeed(&["compare", "latest", "--baselines"]);
    assert!(
        outcome.stderr.contains("keep no predictions of baselines"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn all_pairs_are_corrected_together() {
    let compared = Compared::new();
    for (name, scale, learning_rate) in [("third", 0.5, 0.1), ("fourth", 0.45, 0.2)] {
        let more = Made {
            learning_rate,
            ..Made::default()
        };
        of(&compared.lab, name, scale, 1, more);
    }
    let names = ["bad", "good", "third", "fourth"];
    let mut arguments = vec!["compare", "--all-pairs", "--json"];
    arguments.extend(names.iter().flat_map(|name| ["--experiment", name]));
    let json = compared.lab.succeed(&arguments).json();
    let contrasts = json["contrasts"].as_array().unwrap();
    let pairs: Vec<(&str, &str)> = (contrasts.iter())
        .map(|it| (it["reference"].as_str().unwrap(), it["name"].as_str().unwrap()))
        .collect();
    assert_eq!(
        pairs,
        [
            ("bad", "good"),
            ("bad", "third"),
            ("bad", "fourth"),
            ("good", "third"),
            ("good", "fourth"),
            ("third", "fourth")
        ]
    );
    let tests: Vec<(f64, f64)> = (contrasts.iter())
        .map(|contrast| {
            let mut figures = contrast["figures"].as_array().unwrap().iter();
            let mae = figures.find(|it| it["metric"] == "mae" && it["target"] == "").unwrap();
            let value = |key: &str| mae["wilcoxon"][key].as_f64().unwrap();
            (value("p"), value("p_holm"))
        })
        .collect();
    let p: Vec<f64> = tests.iter().map(|test| test.0).collect();
    let corrected: Vec<f64> = tests.iter().map(|test| test.1).collect();
    assert_eq!(affect::evaluate::paired::holm(&p), corrected);
    arguments[2] = "--format=csv";
    let csv = compared.lab.succeed(&arguments).stdout;
    let of = |line: &&str| line.starts_with("test,rmse,valence,fourth,");
    assert_eq!(csv.lines().filter(of).count(), 3, "{csv}");
}
