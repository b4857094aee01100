use super::*;
use crate::nn::kernels::gradient_check::{check_gradients, random};
use crate::train::spec::Weighting;

fn loss(toml: &str, problem: &Problem) -> Loss {
    let spec: LossSpec = toml::from_str(toml).unwrap();
    let labels = Labels::Classes(vec![0, 0, 0, 1, 2]);
    Loss::new(&spec, problem, &labels, &[0, 1, 2, 3, 4]).unwrap()
}

fn regression(toml: &str) -> Loss {
    let targets = vec!["a".into(), "b".into(), "c".into()];
    loss(toml, &Problem::Regression { targets })
}

fn classification(toml: &str) -> Loss {
    let classes = vec!["x".into(), "y".into(), "z".into()];
    loss(
        &format!("kind = \"cross-entropy\"\n{toml}"),
        &Problem::Classification { classes },
    )
}

fn mean(loss: &Loss, predicted: &Tensor, target: &Tensor) -> f64 {
    let mean = loss.total(predicted, target, None).unwrap().mean().unwrap();
    mean.to_dtype(DType::F64).unwrap().to_scalar::<f64>().unwrap()
}

const REGRESSION: [&str; 6] = [
    "kind = \"mse\"",
    "kind = \"mae\"",
    "kind = \"smooth-l1\"\nbeta = 0.7",
    "kind = \"huber\"\ndelta = 0.7",
    "kind = \"ccc\"",
    "kind = \"ccc\"\ntarget_weights = [1, 2, 0.5]",
];

#[test]
fn values_by_hand() {
    let device = &Device::Cpu;
    let predicted = Tensor::new(&[[1.0f32, 2.0, 0.0], [0.0, -3.0, 0.0]], device).unwrap();
    let target = Tensor::new(&[[1.5f32, 2.0, 0.0], [2.0, -3.0, 0.0]], device).unwrap();
    let value = |toml: &str| mean(&regression(toml), &predicted, &target);
    assert!((value("kind = \"mse\"") - 4.25 / 6.0).abs() < 1e-6);
    assert!((value("kind = \"mae\"") - 2.5 / 6.0).abs() < 1e-6);
    // |0.5| < 1: 0.125; |2| ≥ 1: 1.5
    assert!((value("kind = \"smooth-l1\"") - 1.625 / 6.0).abs() < 1e-6);
    // delta = 2: 0.125 and 2
    assert!((value("kind = \"huber\"\ndelta = 2.0") - 2.125 / 6.0).abs() < 1e-6);
    // Only the first target differs.
    let weighted = value("kind = \"mse\"\ntarget_weights = [2, 1, 1]");
    assert!((weighted - 4.25 * 2.0 / 8.0).abs() < 1e-6);
    let classes = Tensor::new(&[1u32, 0], device).unwrap();
    let log_softmax = |chosen: f64, others: [f64; 2]| chosen - (chosen.exp() + others[0].exp() + others[1].exp()).ln();
    let (first, second) = (-log_softmax(2.0, [1.0, 0.0]), -log_softmax(0.0, [-3.0, 0.0]));
    let loss = classification("class_weights = { x = 3.0 }");
    assert!((mean(&loss, &predicted, &classes) - (first + 3.0 * second) / 4.0).abs() < 1e-6);
}

#[test]
fn gradients_agree_with_finite_differences() {
    let target = random(&[5, 3], 8);
    let weights = random(&[5, 3], 9).abs().unwrap();
    for toml in REGRESSION {
        let loss = regression(toml);
        for weights in [None, Some(&weights)] {
            check_gradients(&[random(&[5, 3], 1)], |inputs| {
                loss.total(&inputs[0], &target, weights)?.mean()
            });
        }
    }
    let classes = Tensor::new(&[0u32, 2, 1, 2, 2], &Device::Cpu).unwrap();
    let weights = random(&[5], 9).abs().unwrap();
    for toml in [
        "class_weights = { y = 0.5, z = 2 }",
        "class_weights = \"balanced\"\nlabel_smoothing = 0.1",
    ] {
        let loss = classification(toml);
        check_gradients(&[random(&[5, 3], 1)], |inputs| {
            loss.total(&inputs[0], &classes, Some(&weights))?.mean()
        });
    }
}

#[test]
fn equal_predictions_have_no_gradient() {
    for toml in REGRESSION {
        let target = random(&[4, 3], 1);
        let predicted = candle_core::Var::from_tensor(&target).unwrap();
        let total = regression(toml)
            .total(&predicted, &target, None)
            .unwrap()
            .mean()
            .unwrap();
        let store = total.backward().unwrap();
        let gradient = store
            .get(&predicted)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f64>()
            .unwrap();
        assert!(gradient.iter().all(|value| value.abs() < 1e-7), "{toml}: {gradient:?}");
    }
}

#[test]
fn constant_batches_give_finite_losses() {
    let ones = Tensor::ones((3, 3), DType::F32, &Device::Cpu).unwrap();
    for toml in REGRESSION {
        let value = mean(&regression(toml), &ones, &ones);
        let expected = if toml.contains("ccc") { 1.0 } else { 0.0 };
        assert_eq!(value, expected, "{toml}");
    }
}

#[test]
fn cross_entropy_stands_extreme_logits() {
    let logits = Tensor::new(&[[1000.0f32, -1000.0, -1000.0]], &Device::Cpu).unwrap();
    let classes = Tensor::new(&[1u32], &Device::Cpu).unwrap();
    assert_eq!(mean(&classification(""), &logits, &classes), 2000.0);
}

#[test]
fn balanced_weights_are_those_of_scikit_learn_and_can_be_capped() {
    let labels = Labels::Classes(vec![0, 0, 0, 1, 2]);
    assert_eq!(
        weights::balanced(3, &labels, &[0, 1, 2, 3]),
        [4.0 / 9.0, 4.0 / 3.0, 0.0]
    );
    let spec: LossSpec =
        toml::from_str("kind = \"cross-entropy\"\nclass_weights = \"balanced\"\nclass_weight_cap = 1.5").unwrap();
    let LossSpec::CrossEntropy(spec) = spec else { panic!() };
    let classes = ["x", "y", "z"].map(String::from);
    let capped = weights::of_classes(&spec, &classes, &labels, &[0, 1, 2, 3, 4]).unwrap();
    assert_eq!(capped, [5.0 / 9.0, 1.5, 1.5]);
}

#[test]
fn weights_that_do_not_fit_are_errors() {
    let problem = Problem::Regression {
        targets: vec!["a".into()],
    };
    let labels = Labels::Values(vec![1.0]);
    let error = |toml: &str| {
        let spec: LossSpec = toml::from_str(toml).unwrap();
        Loss::new(&spec, &problem, &labels, &[0]).err().unwrap().to_string()
    };
    insta::assert_snapshot!(error("kind = \"mse\"\ntarget_weights = [1, 2]"), @"`loss.target_weights` needs a weight for each target (1), not all of them 0; it has 2");
    insta::assert_snapshot!(error("kind = \"cross-entropy\""), @r#"the loss "cross-entropy" does not fit a regression task"#);
}

#[test]
fn examples_count_by_the_agreement_of_their_annotators() {
    let deviations = [0.5f32, 1.0, 1.0, 1.0, 2.0, f32::NAN];
    let new = |agreement, width| ExampleWeights::new(Weighting::Agreement, agreement, width, &[0, 1]);
    assert!(matches!(new(None, 2), Err(Error::NoAgreement)));
    let weights = new(Some(Agreement::Deviations(&deviations)), 2).unwrap().unwrap();
    // Target 0 over the training examples 0 and 1: median 0.75; target 1: 1.
    let raw = [1.0 / (0.25 + 0.5625), 1.0 / (1.0 + 0.5625), 1.0 / (4.0 + 0.5625f32)];
    let mean = (raw[0] + raw[1]) / 2.0;
    let expected = [raw[0] / mean, 1.0, raw[1] / mean, 1.0, raw[2] / mean, 1.0];
    for (got, expected) in weights.select(&[0, 1, 2]).iter().zip(expected) {
        assert!((got - expected).abs() < 1e-6, "{got} {expected}");
    }
    let shares = new(Some(Agreement::Weights(&[0.5, 1.5, 3.0])), 1).unwrap().unwrap();
    assert_eq!(shares.select(&[2, 0]), [3.0, 0.5]);
    let none = ExampleWeights::new(Weighting::None, None, 1, &[0]).unwrap();
    assert!(none.is_none());
}
