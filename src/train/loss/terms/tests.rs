//! The terms, summed in plain arithmetic, against the losses that Candle's operations compute.

use candle_core::{DType, Device};

use super::*;
use crate::evaluate::Problem;
use crate::nn::PairOutputs;
use crate::nn::pair::normalized;
use crate::random::Generator;
use crate::train::batches::Labels;
use crate::train::pairs::PairOf;
use crate::train::spec::LossSpec;

const BATCH: usize = 7;

fn random(count: usize, seed: u64) -> Vec<f64> {
    let mut generator = Generator::keyed(seed, "test", &[]);
    (0..count).map(|_| generator.normal()).collect()
}

fn float(word: u32) -> f64 {
    f64::from(f32::from_bits(word))
}

/// What a kernel gives.
fn summed(term: &Term, outputs: &[f64], width: usize) -> f64 {
    let parts = |sizes: &[usize]| -> Vec<Vec<u32>> {
        assert_eq!(sizes.iter().sum::<usize>(), term.facts.len());
        let mut rest = term.facts.as_slice();
        sizes
            .iter()
            .map(|&size| {
                let (part, others) = rest.split_at(size);
                rest = others;
                part.to_vec()
            })
            .collect()
    };
    let (count, batch) = (outputs.len(), outputs.len() / width);
    match term.kind {
        TermKind::Values(distance) => {
            let parts = parts(&[count, count]);
            let values = outputs.iter().zip(&parts[0]).zip(&parts[1]);
            values
                .map(|((said, &truth), &coefficient)| {
                    let x = said - float(truth);
                    let apart = match distance {
                        Distance::Squared => x * x,
                        Distance::Absolute => x.abs(),
                        Distance::Smooth { beta, scale } if x.abs() < beta => scale * x * x / (2.0 * beta),
                        Distance::Smooth { beta, scale } => scale * (x.abs() - beta / 2.0),
                    };
                    float(coefficient) * apart
                })
                .sum()
        }
        TermKind::Concordance => {
            let parts = parts(&[count, count, width]);
            let of_target = |target: usize| {
                let at = |row: usize| row * width + target;
                let mean = |of: &dyn Fn(usize) -> f64| -> f64 {
                    (0..batch).map(|row| float(parts[1][at(row)]) * of(at(row))).sum()
                };
                let truth = |at: usize| float(parts[0][at]);
                let (x, y) = (mean(&|at| outputs[at]), mean(&truth));
                let covariance = mean(&|at| (outputs[at] - x) * (truth(at) - y));
                let spread = mean(&|at| (outputs[at] - x).powi(2) + (truth(at) - y).powi(2));
                float(parts[2][target]) * (1.0 - 2.0 * covariance / (spread + (x - y).powi(2) + 1e-8))
            };
            (0..width).map(of_target).sum()
        }
        TermKind::Classes => {
            let parts = parts(&[batch, batch, batch, batch, batch, width]);
            (0..batch)
                .map(|row| {
                    let logits = &outputs[row * width..][..width];
                    let normal = logits.iter().map(|x| x.exp()).sum::<f64>().ln();
                    let lost = |class: u32| normal - logits[class as usize];
                    let spread: f64 = (0..width).map(|k| float(parts[5][k]) * lost(k as u32)).sum();
                    float(parts[2][row]) * lost(parts[0][row])
                        + float(parts[3][row]) * lost(parts[1][row])
                        + float(parts[4][row]) * spread
                })
                .sum()
        }
        TermKind::Contrastive { temperature } => {
            let parts = parts(&[batch, batch, batch, batch]);
            let (image, clip, matches) = (&parts[0], &parts[1], &parts[2]);
            let counts = |row: usize, column: usize| {
                let known = (image[row] == image[column] && matches[column] == 1)
                    || (clip[row] == clip[column] && matches[row] == 1);
                row == column || !known
            };
            let logit = |row: usize, column: usize| outputs[row * width + column] / temperature;
            let normal = |along: &dyn Fn(usize) -> (usize, usize)| {
                let cells = (0..batch).map(along).filter(|&(row, column)| counts(row, column));
                cells.map(|(row, column)| logit(row, column).exp()).sum::<f64>().ln()
            };
            (0..batch)
                .map(|own| {
                    let lost = normal(&|other| (own, other)) + normal(&|other| (other, own)) - 2.0 * logit(own, own);
                    0.5 * float(parts[3][own]) * lost
                })
                .sum()
        }
    }
}

fn tensor(values: &[f64], width: usize) -> Tensor {
    Tensor::from_slice(values, (values.len() / width, width), &Device::Cpu).unwrap()
}

#[test]
fn terms_of_numbers_sum_up_to_the_loss() {
    let problem = Problem::Regression {
        targets: vec!["a".into(), "b".into(), "c".into()],
    };
    for text in [
        "kind = \"mse\"",
        "kind = \"mae\"\ntarget_weights = [1.0, 0.0, 3.0]",
        "kind = \"smooth-l1\"\nbeta = 0.4",
        "kind = \"huber\"\ndelta = 0.6\ntarget_weights = [2.0, 1.0, 1.0]",
        "kind = \"ccc\"",
        "kind = \"ccc\"\ntarget_weights = [2.0, 1.0, 0.0]",
    ] {
        let spec: LossSpec = toml::from_str(text).unwrap();
        let loss = Loss::new(&spec, &problem, &Labels::Values(Vec::new()), &[]).unwrap();
        let (outputs, truth) = (random(BATCH * 3, 1), tensor(&random(BATCH * 3, 2), 3));
        let truth = truth.to_dtype(DType::F32).unwrap();
        let of_examples = tensor(&random(BATCH * 3, 3), 3)
            .abs()
            .unwrap()
            .to_dtype(DType::F32)
            .unwrap();
        for weights in [None, Some(&of_examples)] {
            let said = tensor(&outputs, 3);
            let expected = loss
                .total(&said, &truth.to_dtype(DType::F64).unwrap(), weights)
                .unwrap();
            let terms = loss.terms(&truth, weights, None).unwrap();
            assert!((terms.weight - expected.weight).abs() < 1e-5, "{text}");
            let (mean, found) = (
                expected.mean().unwrap().to_scalar::<f64>().unwrap(),
                terms.terms.iter().map(|term| summed(term, &outputs, 3)).sum::<f64>(),
            );
            assert!((mean - found).abs() < 1e-6, "{text}: {found}, not {mean}");
        }
    }
}

#[test]
fn terms_of_classes_sum_up_to_the_loss() {
    let classes: Vec<String> = ["a", "b", "c", "d"].map(String::from).into();
    let problem = Problem::Classification { classes };
    let labels = [0u32, 1, 2, 3, 1, 1, 0];
    let others = [1u32, 1, 0, 2, 3, 0, 2];
    let train: Vec<usize> = (0..BATCH).collect();
    let targets = |labels: &[u32]| Tensor::from_slice(labels, labels.len(), &Device::Cpu).unwrap();
    let weights = |seed| {
        let values: Vec<f32> = random(BATCH, seed).iter().map(|value| value.abs() as f32).collect();
        Tensor::from_vec(values, BATCH, &Device::Cpu).unwrap()
    };
    for text in [
        "kind = \"cross-entropy\"",
        "kind = \"cross-entropy\"\nlabel_smoothing = 0.2",
        "kind = \"cross-entropy\"\nlabel_smoothing = 0.1\nclass_weights = \"balanced\"",
        "kind = \"cross-entropy\"\nclass_weights = { a = 3.0, b = 0.0 }",
    ] {
        let spec: LossSpec = toml::from_str(text).unwrap();
        let loss = Loss::new(&spec, &problem, &Labels::Classes(labels.to_vec()), &train).unwrap();
        let outputs = random(BATCH * 4, 4);
        let said = tensor(&outputs, 4);
        for is_weighted in [false, true] {
            let (own, other) = match is_weighted {
                true => (Some(weights(5)), Some(weights(6))),
                false => (None, None),
            };
            for is_mixed in [false, true] {
                let mixed = is_mixed.then(|| Mixed {
                    share: 0.7,
                    targets: targets(&others),
                    weights: other.clone(),
                });
                let mut expected = loss.total(&said, &targets(&labels), own.as_ref()).unwrap();
                if let Some(mixed) = &mixed {
                    let other = loss.total(&said, &mixed.targets, mixed.weights.as_ref()).unwrap();
                    expected = expected.mixed(mixed.share, &other).unwrap();
                }
                let terms = loss.terms(&targets(&labels), own.as_ref(), mixed.as_ref()).unwrap();
                assert!((terms.weight - expected.weight).abs() < 1e-5, "{text}");
                let mean = expected.mean().unwrap().to_scalar::<f64>().unwrap();
                let found = summed(&terms.terms[0], &outputs, 4);
                assert!((mean - found).abs() < 1e-5, "{text}: {found}, not {mean}");
            }
        }
    }
}

#[test]
fn terms_of_pairs_sum_up_to_the_loss() {
    let problem = Problem::Regression {
        targets: vec!["score".into()],
    };
    let spec = "kind = \"contrastive\"\ntemperature = 0.5\nscore_weight = 0.3\nweighting = \"score\"";
    let spec: LossSpec = toml::from_str(spec).unwrap();
    let loss = Loss::new(&spec, &problem, &Labels::Values(Vec::new()), &[]).unwrap();
    // Two pairs share a picture, two a clip; one is no match.
    let list = [(1, 1), (1, 2), (3, 2), (4, 4), (5, 5)];
    let scores = vec![0.9f32, 0.6, 0.7, 0.2, 0.8];
    let batch = PairBatch {
        images: Tensor::zeros(0, DType::F32, &Device::Cpu).unwrap(),
        pairs: list.map(|(image, clip)| PairOf { image, clip }).into(),
        scores: scores.clone(),
        emotions: None,
    };
    let target = Tensor::from_vec(scores, (5, 1), &Device::Cpu).unwrap();
    let outputs = PairOutputs {
        score: tensor(&random(5, 1), 1),
        image: tensor(&random(15, 2), 3),
        audio: tensor(&random(15, 3), 3),
        emotion: None,
    };
    let wide = target.to_dtype(DType::F64).unwrap();
    let expected = loss.of_pairs(&outputs, &batch, &wide).unwrap();
    let terms = loss.terms_of_pairs(&batch, &target).unwrap();
    assert_eq!(terms.weight, expected.weight);
    let likeness = normalized(&outputs.image)
        .unwrap()
        .matmul(&normalized(&outputs.audio).unwrap().t().unwrap())
        .unwrap();
    let found: f64 = (terms.terms.iter())
        .map(|term| {
            let (of, width) = match term.of {
                Of::Likeness => (&likeness, 5),
                Of::Outputs => (&outputs.score, 1),
                Of::Emotion => panic!("nobody asked for emotions"),
            };
            summed(term, &of.flatten_all().unwrap().to_vec1::<f64>().unwrap(), width)
        })
        .sum();
    let mean = expected.mean().unwrap().to_scalar::<f64>().unwrap();
    assert!((mean - found).abs() < 1e-6, "{found}, not {mean}");
}

#[test]
fn a_batch_of_no_weight_has_a_loss_of_nothing() {
    let problem = Problem::Regression {
        targets: vec!["a".into()],
    };
    let spec: LossSpec = toml::from_str("kind = \"mse\"").unwrap();
    let loss = Loss::new(&spec, &problem, &Labels::Values(Vec::new()), &[]).unwrap();
    let (truth, none) = (
        Tensor::ones((2, 1), DType::F32, &Device::Cpu).unwrap(),
        Tensor::zeros((2, 1), DType::F32, &Device::Cpu).unwrap(),
    );
    let terms = loss.terms(&truth, Some(&none), None).unwrap();
    assert_eq!(summed(&terms.terms[0], &[5.0, 6.0], 1), 0.0);
    assert_eq!(terms.weight, 0.0);
}
