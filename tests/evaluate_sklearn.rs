//! Metrics and baselines give what scikit-learn and SciPy give.
//!
//! The stored cases were made by scripts/reference/evaluate.py. With AFFECT_PYTHON, an interpreter that has the
//! packages of scripts/reference/requirements.txt, fresh random cases are put to them too.

mod reference_support;

use affect::evaluate::baselines::{ClassWeight, Logistic, Neighbours, Ridge};
use affect::evaluate::{Confusion, RETRIEVAL_METRICS, answer, pool, regression};
use affect::random::Generator;
use nalgebra::DMatrix;
use reference_support::answers;
use serde_json::{Value, json};

const METRICS: f64 = 1e-10;
const RIDGE: f64 = 1e-6;
const PROBABILITIES: f64 = 1e-4;

#[test]
fn stored_cases_agree() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/evaluate/cases.json");
    let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    for kind in [
        "regression",
        "classification",
        "ridge",
        "logistic",
        "pooling",
        "neighbours",
    ] {
        let of_kind: Vec<&Value> = cases.iter().filter(|case| case["kind"] == kind).collect();
        assert!(of_kind.len() >= 3, "{kind}: {} cases", of_kind.len());
        let worst = of_kind.iter().map(|case| check(case)).fold(0.0, f64::max);
        println!("{kind}: {} cases, largest difference {worst:.1e}", of_kind.len());
    }
}

#[test]
fn ranks_and_ndcg_of_retrieval_agree() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/evaluate/retrieval.json");
    let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert!(cases.len() >= 20);
    let mut compared = 0;
    for case in &cases {
        let predicted: Vec<f32> = serde_json::from_value(case["predicted"].clone()).unwrap();
        let known: Vec<(usize, f32)> = serde_json::from_value(case["known"].clone()).unwrap();
        let figures = answer(&predicted, &known, 0.5).unwrap().figures();
        for (name, figure) in RETRIEVAL_METRICS.iter().zip(figures) {
            if let Some(want) = case["want"][name].as_f64() {
                compared += 1;
                assert!(
                    (figure - want).abs() < METRICS,
                    "{}: {name} {figure}, not {want}",
                    case["name"]
                );
            }
        }
    }
    assert!(compared > 80, "{compared}");
}

#[test]
fn fresh_cases_agree() {
    let Some(cases) = answers("evaluate.py", questions) else {
        return;
    };
    assert_eq!(cases.len(), 110);
    for kind in ["regression", "classification", "ridge", "logistic"] {
        let of_kind = cases.iter().filter(|case| case["kind"] == kind);
        println!(
            "{kind}: largest difference {:.1e}",
            of_kind.map(check).fold(0.0, f64::max)
        );
    }
}

/// Questions in the form of the stored cases, without the answers.
fn questions(seed: u64) -> Vec<Value> {
    let mut cases = Vec::new();
    for case in 0..40 {
        let mut generator = Generator::keyed(seed, "regression", &[case]);
        let rows = 2 + generator.below(200);
        let (offset, slope, noise) = (
            generator.range(-9.0, 9.0),
            generator.range(-2.0, 2.0),
            generator.uniform(),
        );
        let truth: Vec<f32> = (0..rows).map(|_| (offset + generator.normal()) as f32).collect();
        let predicted: Vec<f32> = (truth
            .iter()
            .map(|&t| t * slope as f32 + (noise * generator.normal()) as f32))
        .collect();
        cases.push(json!({"kind": "regression", "name": case, "truth": exact(&truth), "predicted": exact(&predicted)}));
    }
    for case in 0..40 {
        let mut generator = Generator::keyed(seed, "classification", &[case]);
        let (rows, classes) = (1 + generator.below(60), 2 + generator.below(8));
        let mut draw = || (0..rows).map(|_| generator.below(classes)).collect::<Vec<_>>();
        cases.push(json!({
            "kind": "classification", "name": case, "classes": classes, "truth": draw(), "predicted": draw(),
        }));
    }
    for case in 0..30 {
        let mut generator = Generator::keyed(seed, "features", &[case]);
        let (rows, columns) = (10 + generator.below(60), 1 + generator.below(60));
        let strength = 10f64.powf(generator.range(-3.0, 3.0));
        let scales: Vec<f64> = (0..columns).map(|_| 10f64.powf(generator.range(-2.0, 2.0))).collect();
        let mut features = |rows: usize| -> Vec<Vec<f64>> {
            (0..rows)
                .map(|_| scales.iter().map(|scale| scale * (3.0 + generator.normal())).collect())
                .collect()
        };
        let (x, new) = (features(rows), features(9));
        if case % 2 == 0 {
            let y: Vec<[f64; 2]> = x.iter().map(|row| [row[0] / scales[0], generator.normal()]).collect();
            cases.push(json!({"kind": "ridge", "name": case, "x": x, "y": y, "new": new, "alpha": strength}));
        } else {
            let classes = 2 + generator.below(5);
            let y: Vec<usize> = (0..rows)
                .map(|row| if row < classes { row } else { generator.below(classes) })
                .collect();
            cases.push(json!({
                "kind": "logistic", "name": case, "x": x, "y": y, "new": new, "classes": classes, "c": strength,
                "balanced": generator.chance(0.5),
            }));
        }
    }
    cases
}

fn exact(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// Compares one case; gives the largest difference, relative for what has no range of its own.
fn check(case: &Value) -> f64 {
    let want = &case["want"];
    let (got, want, tolerance) = match case["kind"].as_str().unwrap() {
        "regression" => {
            let metrics = regression(&floats(&case["truth"]), &floats(&case["predicted"])).unwrap();
            let got = vec![
                metrics.mse,
                metrics.rmse,
                metrics.mae,
                metrics.r2,
                metrics.pearson,
                metrics.ccc,
            ];
            let names = ["mse", "rmse", "mae", "r2", "pearson", "ccc"];
            (got, names.map(|name| number(&want[name])).to_vec(), METRICS)
        }
        "classification" => classification(case),
        "ridge" => {
            let ridge = Ridge::fit(&matrix(&case["x"]), &matrix(&case["y"]), number(&case["alpha"])).unwrap();
            let predicted = ridge.predict(&matrix(&case["new"])).unwrap();
            (in_rows(&predicted), in_rows(&matrix(&want["predicted"])), RIDGE)
        }
        "logistic" => {
            let weight = match case["balanced"].as_bool().unwrap() {
                true => ClassWeight::Balanced,
                false => ClassWeight::None,
            };
            let classes = case["classes"].as_u64().unwrap() as usize;
            let logistic = Logistic::fit(
                &matrix(&case["x"]),
                &indices(&case["y"]),
                classes,
                number(&case["c"]),
                weight,
            )
            .unwrap();
            assert!(logistic.converged, "{}", case["name"]);
            let probabilities = logistic.predict(&matrix(&case["new"])).unwrap();
            (
                in_rows(&probabilities),
                in_rows(&matrix(&want["probabilities"])),
                PROBABILITIES,
            )
        }
        "neighbours" => {
            let neighbours = Neighbours::fit(&matrix(&case["x"]), &matrix(&case["y"])).unwrap();
            let k = case["k"].as_u64().unwrap() as usize;
            let predicted = neighbours.predict(&matrix(&case["new"]), &[k]).unwrap();
            (in_rows(&predicted[0]), in_rows(&matrix(&want["predicted"])), METRICS)
        }
        "pooling" => {
            let shape: Vec<usize> = indices(&case["shape"]).into_iter().map(|axis| axis as usize).collect();
            (
                pool(&floats(&case["features"]), &shape).unwrap(),
                numbers(&want["pooled"]),
                METRICS,
            )
        }
        other => panic!("unknown kind {other}"),
    };
    assert_eq!(got.len(), want.len(), "{}", case["name"]);
    let mut worst: f64 = 0.0;
    for (got_one, want_one) in got.iter().zip(&want) {
        assert_eq!(
            got_one.is_nan(),
            want_one.is_nan(),
            "{}: {got:?} {want:?}",
            case["name"]
        );
        if !got_one.is_nan() && got_one != want_one {
            let scale = if tolerance == PROBABILITIES {
                1.0
            } else {
                want_one.abs().max(got_one.abs())
            };
            let difference = (got_one - want_one).abs() / scale;
            assert!(difference <= tolerance, "{}: {got_one} {want_one}", case["name"]);
            worst = worst.max(difference);
        }
    }
    worst
}

fn classification(case: &Value) -> (Vec<f64>, Vec<f64>, f64) {
    let want = &case["want"];
    let classes = case["classes"].as_u64().unwrap() as usize;
    let confusion = Confusion::of(&indices(&case["truth"]), &indices(&case["predicted"]), classes).unwrap();
    assert_eq!(json!(confusion.counts), want["confusion"], "{}", case["name"]);
    let metrics = confusion.metrics();
    let mut got = vec![metrics.accuracy, metrics.uar, metrics.macro_f1, metrics.weighted_f1];
    let mut wanted = ["accuracy", "uar", "macro_f1", "weighted_f1"]
        .map(|name| number(&want[name]))
        .to_vec();
    for (index, class) in metrics.per_class.iter().enumerate() {
        got.extend([class.precision, class.recall, class.f1, class.support as f64]);
        wanted.extend(["precision", "recall", "f1", "support"].map(|name| number(&want[name][index])));
    }
    (got, wanted, METRICS)
}

fn number(value: &Value) -> f64 {
    assert!(value.is_number() || value.is_null(), "{value}");
    value.as_f64().unwrap_or(f64::NAN)
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn floats(value: &Value) -> Vec<f32> {
    numbers(value).into_iter().map(|value| value as f32).collect()
}

fn indices(value: &Value) -> Vec<u32> {
    (value.as_array().unwrap().iter())
        .map(|index| u32::try_from(index.as_u64().unwrap()).unwrap())
        .collect()
}

fn matrix(value: &Value) -> DMatrix<f64> {
    let rows: Vec<Vec<f64>> = value.as_array().unwrap().iter().map(numbers).collect();
    DMatrix::from_row_iterator(rows.len(), rows[0].len(), rows.into_iter().flatten())
}

fn in_rows(values: &DMatrix<f64>) -> Vec<f64> {
    values.transpose().as_slice().to_vec()
}
