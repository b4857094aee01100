//! Who is mixed with whom, and how much (Zhang et al. 2018).

use super::super::spec::augment::MixupSpec;
use crate::random::Generator;

/// How a batch is mixed with itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Pairing {
    /// λ, the share of the example itself: ½ … 1.
    pub share: f64,
    /// For every place of the batch the place of the other one.
    pub partner: Vec<usize>,
}

/// The pairing of a batch (0-based within its epoch).
///
/// λ and 1 − λ are equally likely under Beta(α, α) and the partners are drawn at random, so taking the larger one for the example itself
/// changes nothing but the names; it makes the scores of training mean something.
pub fn pairing(spec: &MixupSpec, seed: u64, epoch: u32, batch: usize, examples: usize) -> Pairing {
    let mut generator = Generator::keyed(seed, "augment: mixup", &[u64::from(epoch), batch as u64]);
    let share = generator.beta(spec.alpha, spec.alpha);
    let mut partner: Vec<usize> = (0..examples).collect();
    generator.shuffle(&mut partner);
    Pairing {
        share: share.max(1.0 - share),
        partner,
    }
}

impl Pairing {
    /// Mixes rows of equal length in place: `[examples, …]`.
    pub fn mix(&self, values: &mut [f32]) {
        let width = values.len().checked_div(self.partner.len()).unwrap_or(0);
        let own = self.share as f32;
        let others = (1.0 - self.share) as f32;
        let before = values.to_vec();
        for (row, &partner) in values.chunks_exact_mut(width.max(1)).zip(&self.partner) {
            for (value, other) in row.iter_mut().zip(before.iter().skip(partner * width)) {
                *value = own * *value + others * other;
            }
        }
    }

    /// What the partners have: rows of `values` `[examples, …]` in the partners' order.
    pub fn partners<T: Copy>(&self, values: &[T]) -> Vec<T> {
        let width = values.len().checked_div(self.partner.len()).unwrap_or(0);
        let of = |&partner: &usize| values.iter().skip(partner * width).take(width).copied();
        self.partner.iter().flat_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mixture_keeps_the_mean_and_the_key_decides_it() {
        let spec = MixupSpec { alpha: 0.4 };
        let pairing = pairing(&spec, 1, 2, 3, 5);
        assert_eq!(pairing, super::pairing(&spec, 1, 2, 3, 5));
        assert_ne!(pairing, super::pairing(&spec, 1, 2, 4, 5));
        assert!((0.5..=1.0).contains(&pairing.share));
        let mut values: Vec<f32> = (0..10).map(|value| value as f32).collect();
        let partners = pairing.partners(&values);
        let before = values.clone();
        pairing.mix(&mut values);
        for ((mixed, own), other) in values.iter().zip(&before).zip(&partners) {
            let expected = pairing.share * f64::from(*own) + (1.0 - pairing.share) * f64::from(*other);
            assert!((f64::from(*mixed) - expected).abs() < 1e-5);
        }
        assert!((values.iter().sum::<f32>() - 45.0).abs() < 1e-4);
    }
}
