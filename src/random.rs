//! Random draws that are the same on every machine, in every order, on any number of threads.
//!
//! Every draw comes from a generator keyed by the experiment's seed, a purpose and a position (epoch, step, example …).
//! Nothing is shared between two keys, so the order in which work happens to run cannot change a result, and a resumed
//! run draws what the uninterrupted one would have drawn. The stream is ChaCha8 with a key made by BLAKE3; the
//! distributions are defined here, not taken from a crate, so that an upgrade cannot move them.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A generator for one purpose at one position.
#[derive(Clone)]
pub struct Generator {
    stream: ChaCha8Rng,
}

impl Generator {
    /// The generator for `purpose` at `position` under `seed`. Equal arguments give equal draws, always.
    pub fn keyed(seed: u64, purpose: &str, position: &[u64]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("affect 2026 keyed random generator v1");
        hasher.update(&seed.to_le_bytes());
        hasher.update(&(purpose.len() as u64).to_le_bytes());
        hasher.update(purpose.as_bytes());
        for key in position {
            hasher.update(&key.to_le_bytes());
        }
        Self {
            stream: ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()),
        }
    }

    /// The stream of this number under the same key, from its beginning: as far from all others as a key of its own, and cheaper to come
    /// by. What is drawn in every step takes the step's number here, so that a GPU need not be told a new key each time.
    pub fn at(mut self, stream: u64) -> Self {
        self.stream.set_stream(stream);
        self
    }

    /// The key, which with the number of the stream and its position says all that will be drawn.
    pub fn key(&self) -> [u8; 32] {
        self.stream.get_seed()
    }

    /// 64 uniform bits.
    pub fn bits(&mut self) -> u64 {
        self.stream.next_u64()
    }

    /// Uniform in `[0, 1)`, 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in `[low, high)`.
    pub fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Uniform in `0..bound`, without bias (rejection). `0` for a bound of 0 or 1.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        if bound <= 1 {
            return 0;
        }
        let limit = u64::MAX - (u64::MAX % bound + 1) % bound;
        loop {
            let draw = self.bits();
            if draw <= limit {
                return (draw % bound) as usize;
            }
        }
    }

    /// Standard normal (Box–Muller, one value of the pair).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Gamma with the given shape and scale 1 (Marsaglia and Tsang 2000; shapes below 1 by their section 8). `shape` above 0.
    pub fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let boost = (1.0 - self.uniform()).powf(1.0 / shape);
            return self.gamma(shape + 1.0) * boost;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && (1.0 - self.uniform()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }

    /// Beta in `[0, 1]`, both parameters above 0.
    pub fn beta(&mut self, a: f64, b: f64) -> f64 {
        let (x, y) = (self.gamma(a), self.gamma(b));
        // Both may vanish where the parameters are tiny.
        if x + y > 0.0 {
            x / (x + y)
        } else {
            f64::from(u8::from(self.chance(a / (a + b))))
        }
    }

    /// `true` with the given probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// Fisher–Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_keys_draw_alike_and_others_do_not() {
        let draws = |purpose, position: &[u64]| -> Vec<u64> {
            let mut generator = Generator::keyed(42, purpose, position);
            (0..4).map(|_| generator.bits()).collect()
        };
        assert_eq!(draws("shuffle", &[3]), draws("shuffle", &[3]));
        assert_ne!(draws("shuffle", &[3]), draws("shuffle", &[4]));
        assert_ne!(draws("shuffle", &[3]), draws("dropout", &[3]));
    }

    #[test]
    fn the_stream_is_pinned() {
        let mut generator = Generator::keyed(1, "test", &[]);
        let first = generator.bits();
        let again = Generator::keyed(1, "test", &[]).bits();
        assert_eq!(first, again);
        assert!(
            (0..10_000)
                .map(|_| generator.uniform())
                .all(|u| (0.0..1.0).contains(&u))
        );
    }

    #[test]
    fn below_is_unbiased_and_in_range() {
        let mut generator = Generator::keyed(7, "test", &[]);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[generator.below(7)] += 1;
        }
        assert!(
            counts.iter().all(|&count| (9_500..10_500).contains(&count)),
            "{counts:?}"
        );
    }

    #[test]
    fn normal_has_mean_zero_and_variance_one() {
        let mut generator = Generator::keyed(7, "normal", &[]);
        let draws: Vec<f64> = (0..100_000).map(|_| generator.normal()).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }

    #[test]
    fn beta_has_its_mean_and_variance() {
        for (a, b) in [(0.2, 0.2), (0.4, 0.4), (1.0, 1.0), (2.0, 5.0)] {
            let mut generator = Generator::keyed(7, "beta", &[]);
            let draws: Vec<f64> = (0..50_000).map(|_| generator.beta(a, b)).collect();
            let mean = draws.iter().sum::<f64>() / draws.len() as f64;
            let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws.len() as f64;
            let expected = a * b / ((a + b).powi(2) * (a + b + 1.0));
            assert!(
                (mean - a / (a + b)).abs() < 0.01 && (variance - expected).abs() < 0.005,
                "{a} {b}"
            );
        }
    }
}
