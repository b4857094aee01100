//! Symmetric cross-entropy over the pairs of a batch (van den Oord et al. 2018; both ways as in CLIP, Radford et al. 2021).
//!
//! With u and v the embeddings divided by their lengths and S = u vᵀ / temperature, pair i has the loss ½ (−log softmax over row i at
//! i, − log softmax over column i at i): its picture must find its clip among those of the batch, and its clip its picture. Where all pairs of a
//! batch match and share nothing, this is CLIP's loss.
//!
//! Two things are different in a corpus of scored pairs. A pair of a low score is no match: pairs below `min_score` are not asked
//! for; their picture and clip are what others must tell apart. And pictures and clips recur: where the picture of one pair and the clip of another
//! are known to match, that is no mistake, so it is left out of the sums.

use candle_core::{Result, Tensor};

use super::super::pairs::PairBatch;
use super::super::spec::loss::{ContrastiveSpec, PairWeighting};
use super::Total;
use super::terms::{Of, Term, TermKind};
use crate::nn::PairOutputs;
use crate::nn::kernels::product;
use crate::nn::pair::normalized;

/// What is left out of a sum of exponentials.
const LEFT_OUT: f32 = -1e9;

fn is_match(score: f32, spec: &ContrastiveSpec) -> bool {
    f64::from(score) >= spec.min_score
}

/// How much a pair of this score counts; 0 where it is no match.
fn weight(score: f32, spec: &ContrastiveSpec) -> f32 {
    match (is_match(score, spec), spec.weighting) {
        (false, _) => 0.0,
        (true, PairWeighting::None) => 1.0,
        (true, PairWeighting::Score) => score,
    }
}

/// The same loss, as the mean over the pairs, for a kernel.
pub fn term(batch: &PairBatch, spec: &ContrastiveSpec) -> Term {
    let scores = || batch.scores.iter().copied();
    let matches: f64 = scores().map(|score| f64::from(weight(score, spec))).sum();
    let coefficient = |score| match matches > 0.0 {
        true => (f64::from(weight(score, spec)) / matches) as f32,
        false => 0.0,
    };
    let mut facts: Vec<u32> = batch.pairs.iter().map(|pair| pair.image).collect();
    facts.extend(batch.pairs.iter().map(|pair| pair.clip));
    facts.extend(scores().map(|score| u32::from(is_match(score, spec))));
    facts.extend(scores().map(|score| coefficient(score).to_bits()));
    Term {
        kind: TermKind::Contrastive {
            temperature: spec.temperature,
        },
        of: Of::Likeness,
        facts,
    }
}

/// How much each pair of a batch counts, and what is left out of the sums.
#[derive(Debug, Clone, PartialEq)]
struct Roles {
    /// `[batch]`; 0 for a pair that is no match.
    weights: Vec<f32>,
    /// `[batch, batch]`, pictures by clips: 0, or [`LEFT_OUT`].
    mask: Vec<f32>,
}

fn roles(batch: &PairBatch, spec: &ContrastiveSpec) -> Roles {
    let matches = |pair: usize| batch.scores.get(pair).is_some_and(|&score| is_match(score, spec));
    let weights = batch.scores.iter().map(|&score| weight(score, spec));
    let mut mask = vec![0.0; batch.pairs.len() * batch.pairs.len()];
    for (row, image) in batch.pairs.iter().enumerate() {
        for (column, clip) in batch.pairs.iter().enumerate().filter(|(column, _)| *column != row) {
            // The picture of `row` and the clip of `column` are the pair of the one or of the other.
            let known = (image.image == clip.image && matches(column)) || (image.clip == clip.clip && matches(row));
            if known && let Some(cell) = mask.get_mut(row * batch.pairs.len() + column) {
                *cell = LEFT_OUT;
            }
        }
    }
    Roles {
        weights: weights.collect(),
        mask,
    }
}

/// The contrastive loss and `score_weight` times the squared error of the score, both as means, times the pairs.
pub fn total(outputs: &PairOutputs, batch: &PairBatch, targets: &Tensor, spec: &ContrastiveSpec) -> Result<Total> {
    let pairs = batch.pairs.len();
    let Roles { weights, mask } = roles(batch, spec);
    let device = outputs.image.device();
    let mut sum = Tensor::zeros((), outputs.image.dtype(), device)?;
    let matches: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
    if matches > 0.0 {
        let similarity = product(&normalized(&outputs.image)?, &normalized(&outputs.audio)?.t()?)?;
        let dtype = similarity.dtype();
        let mask = Tensor::from_vec(mask, (pairs, pairs), device)?.to_dtype(dtype)?;
        let logits = (similarity.affine(1.0 / spec.temperature, 0.0)? + mask)?;
        let own = Tensor::eye(pairs, dtype, device)?;
        let weights = Tensor::from_vec(weights, pairs, device)?.to_dtype(dtype)?;
        let one_way = |dimension: usize| -> Result<Tensor> {
            let likelihood = candle_nn::ops::log_softmax(&logits, dimension)?;
            // Only the diagonal; a masked cell times 0 must stay 0, and it is finite.
            let own = (likelihood * &own)?.sum(dimension)?;
            (own * &weights)?.sum_all()
        };
        let both = (one_way(1)? + one_way(0)?)?;
        sum = (sum + both.affine(-0.5 * pairs as f64 / matches, 0.0)?)?;
    }
    if spec.score_weight > 0.0 {
        let squares = (&outputs.score - targets)?.sqr()?.sum_all()?;
        sum = (sum + squares.affine(spec.score_weight, 0.0)?)?;
    }
    Ok(Total {
        sum,
        weight: pairs as f64,
    })
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Var};

    use super::*;
    use crate::train::pairs::PairOf;

    fn batch(pairs: &[(u32, u32)], scores: &[f32]) -> PairBatch {
        PairBatch {
            images: Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap(),
            pairs: pairs.iter().map(|&(image, clip)| PairOf { image, clip }).collect(),
            scores: scores.to_vec(),
            emotions: None,
        }
    }

    fn outputs(image: &Tensor, audio: &Tensor) -> PairOutputs {
        PairOutputs {
            score: Tensor::zeros((image.dim(0).unwrap(), 1), DType::F64, &Device::Cpu).unwrap(),
            image: image.clone(),
            audio: audio.clone(),
            emotion: None,
        }
    }

    fn spec() -> ContrastiveSpec {
        ContrastiveSpec {
            temperature: 0.5,
            score_weight: 0.0,
            ..ContrastiveSpec::default()
        }
    }

    fn loss(image: &Tensor, audio: &Tensor, batch: &PairBatch, spec: &ContrastiveSpec) -> f64 {
        let targets = Tensor::zeros((batch.pairs.len(), 1), DType::F64, &Device::Cpu).unwrap();
        let total = total(&outputs(image, audio), batch, &targets, spec).unwrap();
        total.mean().unwrap().to_scalar::<f64>().unwrap()
    }

    #[test]
    fn of_two_pairs_it_is_what_is_worked_out_by_hand() {
        let image = Tensor::new(&[[2.0f64, 0.0], [0.0, 3.0]], &Device::Cpu).unwrap();
        let audio = Tensor::new(&[[1.0f64, 0.0], [0.0, 1.0]], &Device::Cpu).unwrap();
        // Both ways, e² / (e² + 1) for each pair.
        let expected = (1.0 + (-2.0f64).exp()).ln();
        let found = loss(&image, &audio, &batch(&[(1, 1), (2, 2)], &[1.0, 1.0]), &spec());
        assert!((found - expected).abs() < 1e-9, "{found} {expected}");
    }

    #[test]
    fn known_matches_are_left_out_and_known_mismatches_are_not() {
        let roles = |pairs: &[(u32, u32)], scores: &[f32]| roles(&batch(pairs, scores), &spec());
        // One picture with two clips, both matching; a third pair apart.
        let found = roles(&[(1, 1), (1, 2), (3, 3)], &[0.9, 0.8, 0.7]);
        assert_eq!(found.weights, [1.0, 1.0, 1.0]);
        let left_out: Vec<usize> = (0..9).filter(|&cell| found.mask[cell] < 0.0).collect();
        assert_eq!(left_out, [1, 3]);
        // The second of them is no match: the first must tell it apart.
        let found = roles(&[(1, 1), (1, 2)], &[0.9, 0.2]);
        assert_eq!(
            (found.weights, found.mask),
            (vec![1.0, 0.0], vec![0.0, 0.0, LEFT_OUT, 0.0])
        );
        // One clip with two pictures.
        let found = roles(&[(1, 1), (2, 1)], &[0.9, 0.2]);
        assert_eq!(found.mask, [0.0, LEFT_OUT, 0.0, 0.0]);
    }

    #[test]
    fn a_batch_without_a_match_gives_no_gradient_and_no_trouble() {
        let image = Var::new(&[[1.0f64, 0.5], [0.3, 1.0]], &Device::Cpu).unwrap();
        let found = loss(&image, &image, &batch(&[(1, 1), (2, 2)], &[0.1, 0.2]), &spec());
        assert_eq!(found, 0.0);
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let start = [[0.4f64, -0.8, 0.3], [0.9, 0.2, -0.5], [-0.6, 0.7, 0.1], [0.2, 0.3, 0.9]];
        let audio = Tensor::new(
            &[
                [0.5f64, -0.1, 0.3],
                [0.1, 0.8, -0.4],
                [-0.7, 0.2, 0.6],
                [0.3, -0.9, 0.2],
            ],
            &Device::Cpu,
        )
        .unwrap();
        let batch = batch(&[(1, 1), (1, 2), (3, 2), (4, 4)], &[0.9, 0.6, 0.3, 0.8]);
        let spec = ContrastiveSpec {
            weighting: PairWeighting::Score,
            ..spec()
        };
        let image = Var::new(&start, &Device::Cpu).unwrap();
        let targets = Tensor::zeros((4, 1), DType::F64, &Device::Cpu).unwrap();
        let mean = total(&outputs(&image, &audio), &batch, &targets, &spec)
            .unwrap()
            .mean()
            .unwrap();
        let gradient = mean.backward().unwrap().get(&image).unwrap().to_vec2::<f64>().unwrap();
        for row in 0..4 {
            for column in 0..3 {
                let at = |step: f64| {
                    let mut moved = start;
                    moved[row][column] += step;
                    loss(&Tensor::new(&moved, &Device::Cpu).unwrap(), &audio, &batch, &spec)
                };
                let expected = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((gradient[row][column] - expected).abs() < 1e-7, "{row} {column}");
            }
        }
    }

    #[test]
    fn loss_and_gradients_are_pytorchs() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/train/contrastive.json");
        let cases: Vec<serde_json::Value> = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        assert_eq!(cases.len(), 5);
        for case in cases {
            let numbers = |key: &str| -> Vec<f64> { serde_json::from_value(case[key].clone()).unwrap() };
            let pairs: Vec<(u32, u32)> = serde_json::from_value(case["pairs"].clone()).unwrap();
            let scores: Vec<f32> = serde_json::from_value(case["scores"].clone()).unwrap();
            let tensor = |key: &str| {
                let values = numbers(key);
                let shape = (pairs.len(), values.len() / pairs.len());
                Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu).unwrap()).unwrap()
            };
            let (image, audio) = (tensor("image"), tensor("audio"));
            let spec = ContrastiveSpec {
                temperature: case["temperature"].as_f64().unwrap(),
                min_score: case["min_score"].as_f64().unwrap(),
                weighting: match case["by_score"].as_bool().unwrap() {
                    true => PairWeighting::Score,
                    false => PairWeighting::None,
                },
                score_weight: 0.0,
            };
            let targets = Tensor::zeros((pairs.len(), 1), DType::F64, &Device::Cpu).unwrap();
            let batch = batch(&pairs, &scores);
            let mean = total(&outputs(&image, &audio), &batch, &targets, &spec)
                .unwrap()
                .mean()
                .unwrap();
            let found = mean.to_scalar::<f64>().unwrap();
            // Scores are of 32 bits here.
            assert!(
                (found - case["loss"].as_f64().unwrap()).abs() < 1e-6,
                "{}: {found}",
                case["name"]
            );
            let gradients = mean.backward().unwrap();
            for (var, key) in [(&image, "image_gradient"), (&audio, "audio_gradient")] {
                let found = gradients
                    .get(var)
                    .unwrap()
                    .flatten_all()
                    .unwrap()
                    .to_vec1::<f64>()
                    .unwrap();
                for (found, want) in found.into_iter().zip(numbers(key)) {
                    assert!((found - want).abs() < 1e-6, "{}: {found} {want}", case["name"]);
                }
            }
        }
    }
}
