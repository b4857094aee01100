use proptest::prelude::*;

use super::*;
use crate::random::Generator;

/// `[examples]` rows of four features, and a truth that the first two decide, up to noise.
fn regression_split(examples: usize, key: u64) -> (Vec<Vec<f64>>, Vec<f32>) {
    let mut generator = Generator::keyed(9, "test", &[key]);
    let rows: Vec<Vec<f64>> = (0..examples)
        .map(|_| (0..4).map(|_| generator.normal()).collect())
        .collect();
    let truth = rows
        .iter()
        .flat_map(|row| {
            let noise = 0.1 * generator.normal();
            [(row[0] + noise) as f32, (10.0 - 5.0 * row[1] + noise) as f32]
        })
        .collect();
    (rows, truth)
}

fn two_targets() -> Problem {
    Problem::Regression {
        targets: vec!["valence".into(), "arousal".into()],
    }
}

fn two_classes() -> Problem {
    Problem::Classification {
        classes: vec!["anger".into(), "joy".into()],
    }
}

fn mean_squared_error(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>() / a.len() as f32
}

#[test]
fn ridge_beats_the_mean_where_features_tell() {
    let (train, train_truth) = regression_split(80, 1);
    let (validation, validation_truth) = regression_split(30, 2);
    let (test, test_truth) = regression_split(30, 3);
    let fit = |baseline| {
        fit_and_predict(
            baseline,
            &two_targets(),
            Examples {
                features: &train,
                truth: Truth::Values(&train_truth),
            },
            Examples {
                features: &validation,
                truth: Truth::Values(&validation_truth),
            },
            &test,
            1,
        )
        .unwrap()
    };
    let (mean, ridge) = (fit(Baseline::Mean), fit(Baseline::Ridge));
    assert_eq!(mean.test.len(), 60);
    assert!(mean.chosen.is_empty());
    assert!(mean.train.chunks(2).all(|row| row == &mean.test[..2]));
    assert!(mean_squared_error(&ridge.test, &test_truth) < 0.05 * mean_squared_error(&mean.test, &test_truth));
    assert_eq!(ridge.train.len(), 160);
    assert_eq!(ridge.chosen.len(), 2);
    assert!(ridge.remark.contains("for valence") && ridge.remark.contains("chosen on the validation split"));

    // The choice is the best of the grid.
    let matrix_of = |rows: &[Vec<f64>]| matrix(rows, 4).unwrap();
    let truth = DMatrix::from_row_iterator(80, 2, train_truth.iter().map(|&v| f64::from(v)));
    let error = |alpha| {
        let fitted = Ridge::fit(&matrix_of(&train), &truth, alpha).unwrap();
        let predicted = fitted.predict(&matrix_of(&validation)).unwrap();
        (0..30)
            .map(|row| (predicted[(row, 0)] - f64::from(validation_truth[2 * row])).powi(2))
            .sum::<f64>()
    };
    let least = GRID.iter().map(|&alpha| error(alpha)).fold(f64::INFINITY, f64::min);
    assert_eq!(error(ridge.chosen[0].value), least);
}

#[test]
fn logistic_beats_the_majority_where_features_tell() {
    let split = |examples, key| {
        let (rows, values) = regression_split(examples, key);
        let truth: Vec<u32> = values.chunks(2).map(|row| u32::from(row[0] > -0.5)).collect();
        (rows, truth)
    };
    let ((train, train_truth), (validation, validation_truth), (test, test_truth)) =
        (split(80, 1), split(30, 2), split(30, 3));
    let fit = |baseline| {
        fit_and_predict(
            baseline,
            &two_classes(),
            Examples {
                features: &train,
                truth: Truth::Classes(&train_truth),
            },
            Examples {
                features: &validation,
                truth: Truth::Classes(&validation_truth),
            },
            &test,
            1,
        )
        .unwrap()
    };
    let uar = |output: &BaselineOutput| {
        let scores = super::super::score(&two_classes(), Truth::Classes(&test_truth), &output.test).unwrap();
        scores.iter().find(|score| score.name == "uar").unwrap().value
    };
    let (majority, logistic) = (fit(Baseline::Majority), fit(Baseline::Logistic));
    assert_eq!(uar(&majority), 0.5);
    assert!(majority.remark.starts_with("always `joy`"), "{}", majority.remark);
    assert!(uar(&logistic) > 0.9);
    assert_eq!(logistic.chosen.len(), 1);
}

#[test]
fn without_validation_the_default_is_said() {
    let (train, truth) = regression_split(20, 1);
    let output = fit_and_predict(
        Baseline::Ridge,
        &two_targets(),
        Examples {
            features: &train,
            truth: Truth::Values(&truth),
        },
        Examples {
            features: &[],
            truth: Truth::Values(&[]),
        },
        &train,
        1,
    )
    .unwrap();
    assert_eq!(
        output.remark,
        "alpha 1 for valence, alpha 1 for arousal (there is no validation split to choose it on)"
    );
    assert_eq!(output.train, output.test);
    assert!(output.validation.is_empty());
}

#[test]
fn what_does_not_fit_is_an_error() {
    let (train, truth) = regression_split(6, 1);
    let fit = |baseline, features: &[Vec<f64>], truth: &[f32], test: &[Vec<f64>]| {
        let examples = Examples {
            features,
            truth: Truth::Values(truth),
        };
        fit_and_predict(baseline, &two_targets(), examples, examples, test, 1).unwrap_err()
    };
    insta::assert_snapshot!(
        fit(Baseline::Logistic, &train, &truth, &train),
        @"the baseline `logistic` is for classification, but the task is regression; choose one of: `mean`, `ridge`"
    );
    assert!(matches!(
        fit(Baseline::Mean, &train, &truth[..4], &train),
        EvaluateError::Length { .. }
    ));
    assert_eq!(
        fit(Baseline::Mean, &[], &[], &[]),
        EvaluateError::Empty { what: "examples" }
    );
    assert_eq!(
        fit(Baseline::Ridge, &vec![vec![]; 6], &truth, &[]),
        EvaluateError::NoFeatures
    );
    assert!(matches!(
        fit(Baseline::Ridge, &train, &truth, &[vec![1.0]]),
        EvaluateError::Length { .. }
    ));
    assert!(matches!(
        fit(Baseline::Ridge, &train, &truth, &[vec![1.0, 2.0, f64::NAN, 0.0]]),
        EvaluateError::NotFinite { .. }
    ));
}

proptest! {
    /// Features of any size, few or many examples, constant columns: predictions are finite, or there is an error.
    #[test]
    fn no_features_are_too_odd(
        rows in prop::collection::vec(
            prop::collection::vec(prop::sample::select(vec![0.0, 1.0, -1.0, 0.1, 1e30, -1e30, 1e-30, 3.4e38, 1e300]), 3),
            1..12,
        ),
        classes in prop::collection::vec(0u32..3, 12),
    ) {
        let truth: Vec<u32> = classes.into_iter().take(rows.len()).collect();
        let values: Vec<f32> = truth.iter().flat_map(|&class| [class as f32, 1e6]).collect();
        let three = Problem::Classification {
            classes: vec!["a".into(), "b".into(), "c".into()],
        };
        for (baseline, problem, truth) in [
            (Baseline::Ridge, two_targets(), Truth::Values(&values)),
            (Baseline::Logistic, three, Truth::Classes(&truth)),
        ] {
            let examples = Examples {
                features: &rows,
                truth,
            };
            match fit_and_predict(baseline, &problem, examples, examples, &rows, 1) {
                Ok(output) => {
                    prop_assert!(output.test.iter().all(|value| value.is_finite()), "{output:?}");
                    prop_assert!(!output.remark.contains("converge"), "{}", output.remark);
                }
                Err(error) => prop_assert!(rows.iter().flatten().any(|&value| value == 1e300), "{error}"),
            }
        }
    }
}

#[test]
fn neighbours_beat_the_mean_where_features_tell_and_choose_their_number() {
    let (train, train_truth) = regression_split(80, 1);
    let (validation, validation_truth) = regression_split(30, 2);
    let (test, test_truth) = regression_split(30, 3);
    let examples = |features, truth| Examples {
        features,
        truth: Truth::Values(truth),
    };
    let fit = |baseline, validation| {
        let train = examples(&train, &train_truth);
        fit_and_predict(baseline, &two_targets(), train, validation, &test, 1).unwrap()
    };
    let validation = examples(&validation, &validation_truth);
    let (mean, knn) = (fit(Baseline::Mean, validation), fit(Baseline::Knn, validation));
    assert!(mean_squared_error(&knn.test, &test_truth) < 0.7 * mean_squared_error(&mean.test, &test_truth));
    assert!(
        knn.remark.contains("for arousal (chosen on the validation split"),
        "{}",
        knn.remark
    );
    assert!(knn.chosen.iter().all(|choice| choice.value > 1.0), "{:?}", knn.chosen);
    let default = fit(Baseline::Knn, examples(&[], &[]));
    assert_eq!(default.chosen[0].value, 5.0);
    assert!(default.remark.contains("no validation split"), "{}", default.remark);
    assert!(
        fit(Baseline::Median, validation)
            .test
            .chunks(2)
            .all(|row| row.len() == 2)
    );
}

#[test]
fn guesses_and_neighbours_of_classes() {
    let (train, values) = regression_split(80, 1);
    let truth: Vec<u32> = values.chunks(2).map(|row| u32::from(row[0] > 0.3)).collect();
    let examples = Examples {
        features: &train,
        truth: Truth::Classes(&truth),
    };
    let fit = |baseline, seed| fit_and_predict(baseline, &two_classes(), examples, examples, &train, seed).unwrap();
    let knn = fit(Baseline::Knn, 1);
    // Each example is its own nearest neighbour.
    assert_eq!(knn.chosen[0].value, 1.0);
    assert!(
        knn.test
            .chunks(2)
            .zip(&truth)
            .all(|(row, &class)| row[class as usize] == 1.0)
    );
    let guesses = fit(Baseline::Stratified, 1);
    assert!(guesses.test.chunks(2).all(|row| row == [0.0, 1.0] || row == [1.0, 0.0]));
    assert_eq!(guesses, fit(Baseline::Stratified, 1));
    assert_ne!(guesses, fit(Baseline::Stratified, 2));
}
