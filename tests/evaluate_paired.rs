//! Tests of differences give what SciPy and statsmodels give.
//!
//! The stored cases were made by scripts/reference/paired.py. With AFFECT_PYTHON, an interpreter that has the packages of
//! scripts/reference/requirements.txt, fresh random cases are put to them too.

mod reference_support;

use affect::evaluate::paired::wilcoxon::wilcoxon_by;
use affect::evaluate::paired::{Method, holm, paired_t_test, wilcoxon};
use affect::evaluate::spread;
use affect::random::Generator;
use reference_support::answers;
use serde_json::{Value, json};

/// Relative, for figures that are computed in the same way; p-values of far tails are as exact as the distribution functions are.
const FIGURES: f64 = 1e-10;
const P_VALUES: f64 = 1e-8;

#[test]
fn stored_cases_agree() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/evaluate/paired.json");
    let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(cases.len(), 24);
    check_all(&cases);
}

#[test]
fn fresh_cases_agree() {
    let Some(cases) = answers("paired.py", questions) else {
        return;
    };
    assert_eq!(cases.len(), 90);
    check_all(&cases);
}

fn questions(seed: u64) -> Vec<Value> {
    let mut cases = Vec::new();
    for case in 0..30 {
        let mut generator = Generator::keyed(seed, "differences", &[case]);
        let count = 2 + generator.below(if case % 3 == 0 { 10 } else { 80 });
        let shift = generator.range(-1.0, 1.0);
        let mut values: Vec<f64> = (0..count).map(|_| shift + generator.normal()).collect();
        cases.push(json!({"kind": "t_test", "name": case, "values": values}));
        if case % 3 == 0 {
            // Whole numbers from 1: ties, and none that is left out.
            values
                .iter_mut()
                .for_each(|value| *value = value.signum() * (value.abs() * 2.0).ceil());
        }
        cases.push(json!({"kind": "wilcoxon", "name": case, "values": values}));
        let p: Vec<f64> = (0..1 + generator.below(20))
            .map(|_| generator.uniform().powi(3))
            .collect();
        cases.push(json!({"kind": "holm", "name": case, "values": p}));
    }
    cases
}

fn check_all(cases: &[Value]) {
    let mut worst = 0.0f64;
    for case in cases {
        for (what, got, want, tolerance) in compare(case) {
            let difference = (got - want).abs() / want.abs().max(1e-300);
            assert!(
                difference <= tolerance,
                "{} {}, {what}: {got} and not {want}",
                case["kind"],
                case["name"]
            );
            worst = worst.max(difference);
        }
    }
    println!("{} cases, largest relative difference {worst:.1e}", cases.len());
}

/// Name, ours, theirs, and how far they may be apart.
fn compare(case: &Value) -> Vec<(String, f64, f64, f64)> {
    let values: Vec<f64> = case["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|value| value.as_f64().unwrap())
        .collect();
    let want = |name: &str| case["want"][name].as_f64().unwrap();
    match case["kind"].as_str().unwrap() {
        "wilcoxon" => {
            let test = wilcoxon(&values).unwrap();
            let normal = wilcoxon_by(&values, Method::Normal).unwrap();
            let mut compared = vec![
                ("positive".to_owned(), test.positive, want("positive"), 0.0),
                ("negative".to_owned(), test.negative, want("negative"), 0.0),
                ("normal p".to_owned(), normal.p, want("normal"), P_VALUES),
            ];
            if let Some(exact) = case["want"]["exact"].as_f64() {
                assert_eq!(test.method, Method::Exact);
                compared.push(("exact p".to_owned(), test.p, exact, P_VALUES));
            }
            compared
        }
        "t_test" => {
            let (test, spread) = (paired_t_test(&values).unwrap(), spread(&values).unwrap());
            let (low, high) = spread.ci.unwrap();
            vec![
                ("t".to_owned(), test.t, want("t"), FIGURES),
                ("p".to_owned(), test.p, want("p"), P_VALUES),
                (
                    "deviation".to_owned(),
                    spread.deviation.unwrap(),
                    want("deviation"),
                    FIGURES,
                ),
                // The ends may be near 0: held against the interval's width.
                ("low".to_owned(), 1.0 + (low - want("low")) / (high - low), 1.0, FIGURES),
                (
                    "high".to_owned(),
                    1.0 + (high - want("high")) / (high - low),
                    1.0,
                    FIGURES,
                ),
            ]
        }
        "holm" => {
            let theirs = case["want"]["corrected"].as_array().unwrap();
            let both = holm(&values).into_iter().zip(theirs);
            both.map(|(ours, theirs)| ("p".to_owned(), ours, theirs.as_f64().unwrap(), FIGURES))
                .collect()
        }
        other => panic!("{other}"),
    }
}
