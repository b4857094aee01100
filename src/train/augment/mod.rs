//! Changes of training examples, drawn anew in every epoch.
//!
//! Every draw is keyed by the seed, a purpose, the epoch, and the example (or the batch, for mixup). So what an example looks like in
//! an epoch depends neither on the batches nor on what was drawn before, and a resumed run sees what the uninterrupted one
//! would have seen. Nothing is to be saved.

mod mixup;
mod spec_augment;

pub use mixup::{Pairing, pairing};

use super::spec::augment::{GainSpec, ShiftFill, TimeShiftSpec};
use super::spec::{AugmentSpec, LossSpec};
use crate::random::Generator;

/// What training batches of one epoch undergo.
#[derive(Debug, Clone, Copy)]
pub struct Augment<'a> {
    pub spec: &'a AugmentSpec,
    pub seed: u64,
    /// 1-based.
    pub epoch: u32,
}

impl Augment<'_> {
    /// Changes one example, `[channels, rows, frames]`, in place.
    pub fn example(&self, example: usize, shape: [usize; 3], values: &mut [f32]) {
        let frames = shape[2];
        if values.is_empty() || frames == 0 {
            return;
        }
        let generator = |purpose: &str| Generator::keyed(self.seed, purpose, &[u64::from(self.epoch), example as u64]);
        if let Some(spec) = &self.spec.time_shift {
            time_shift(spec, &mut generator("augment: time shift"), frames, values);
        }
        if let Some(spec) = &self.spec.gain {
            gain(spec, &mut generator("augment: gain"), values);
        }
        if let Some(spec) = &self.spec.spec_augment {
            spec_augment::mask(spec, &mut generator("augment: spec augment"), shape, values);
        }
    }
}

fn time_shift(spec: &TimeShiftSpec, generator: &mut Generator, frames: usize, values: &mut [f32]) {
    let shift = generator.below(2 * spec.frames + 1) as i64 - spec.frames as i64;
    let silence = minimum(values);
    for row in values.chunks_exact_mut(frames) {
        match spec.fill {
            ShiftFill::Wrap => row.rotate_right(shift.rem_euclid(frames as i64) as usize),
            ShiftFill::Minimum => {
                let distance = (shift.unsigned_abs() as usize).min(frames);
                if shift >= 0 {
                    row.rotate_right(distance);
                    row[..distance].fill(silence);
                } else {
                    row.rotate_left(distance);
                    row[frames - distance..].fill(silence);
                }
            }
        }
    }
}

fn gain(spec: &GainSpec, generator: &mut Generator, values: &mut [f32]) {
    let gain = generator.range(spec.low, spec.high) as f32;
    for value in values {
        *value += gain;
    }
}

fn minimum(values: &[f32]) -> f32 {
    values.iter().copied().fold(f32::INFINITY, f32::min)
}

/// A setting of `[augment]` that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Below `augment`: `["gain", "low"]`.
    pub path: Vec<&'static str>,
    pub message: String,
    pub label: String,
}

impl AugmentSpec {
    /// What single settings cannot say.
    pub fn misfits(&self, loss: Option<&LossSpec>) -> Vec<Misfit> {
        let mut found = Vec::new();
        if let Some(gain) = &self.gain
            && gain.low > gain.high
        {
            found.push(Misfit {
                path: vec!["gain", "low"],
                message: format!("no gain lies between {} and {}", gain.low, gain.high),
                label: "must be at most `high`".into(),
            });
        }
        if let (Some(_), Some(LossSpec::Ccc(_))) = (&self.mixup, loss) {
            found.push(Misfit {
                path: vec!["mixup"],
                message: "mixup draws the targets together, which the loss \"ccc\" judges by their spread".into(),
                label: "not with the loss \"ccc\"".into(),
            });
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(toml: &str) -> AugmentSpec {
        toml::from_str(toml).unwrap()
    }

    fn augmented(spec: &AugmentSpec, epoch: u32, example: usize) -> Vec<f32> {
        let mut values: Vec<f32> = (0..24).map(|value| value as f32).collect();
        let augment = Augment { spec, seed: 1, epoch };
        augment.example(example, [1, 4, 6], &mut values);
        values
    }

    #[test]
    fn equal_keys_change_alike_and_others_do_not() {
        for toml in [
            "time_shift = { frames = 5 }",
            "gain = { low = -6.0, high = 6.0 }",
            "spec_augment = { time_width = 4, frequency_width = 3 }",
        ] {
            let spec = spec(toml);
            assert_eq!(augmented(&spec, 3, 7), augmented(&spec, 3, 7));
            let draws: Vec<_> = (1..9).map(|epoch| augmented(&spec, epoch, 7)).collect();
            assert!(draws.iter().any(|draw| *draw != draws[0]), "{toml}");
            let draws: Vec<_> = (1..9).map(|example| augmented(&spec, 3, example)).collect();
            assert!(draws.iter().any(|draw| *draw != draws[0]), "{toml}");
        }
        assert_eq!(
            augmented(&AugmentSpec::default(), 1, 1),
            (0..24).map(|v| v as f32).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_shift_moves_all_rows_alike_and_never_farther_than_asked() {
        let spec = spec("time_shift = { frames = 2, fill = \"minimum\" }");
        let mut seen = std::collections::BTreeSet::new();
        for example in 0..60 {
            let values = augmented(&spec, 1, example);
            let shift = (-2i64..=2)
                .find(|shift| {
                    (0..4).all(|row| {
                        (0..6).all(|frame: i64| {
                            let from = frame - shift;
                            let expected = if (0..6).contains(&from) {
                                (row * 6 + from) as f32
                            } else {
                                0.0
                            };
                            values[(row * 6 + frame) as usize] == expected
                        })
                    })
                })
                .expect("a shift of at most two");
            seen.insert(shift);
        }
        assert_eq!(seen.len(), 5);
        let wrapped = augmented(&self::spec("time_shift = { frames = 100 }"), 1, 1);
        assert_eq!(wrapped[..6].iter().sum::<f32>(), 15.0);
    }

    #[test]
    fn gains_lie_in_their_range() {
        let spec = spec("gain = { low = 2.0, high = 3.0 }");
        for example in 0..20 {
            let values = augmented(&spec, 1, example);
            assert!((2.0..=3.0).contains(&values[0]));
            assert!(
                values
                    .iter()
                    .enumerate()
                    .all(|(i, value)| (value - values[0] - i as f32).abs() < 1e-5)
            );
        }
    }

    #[test]
    fn nothing_fails_on_tiny_arrays() {
        let spec = spec(
            "time_shift = { frames = 9 }\nspec_augment = { time_width = 99, frequency_width = 99 }\ngain = { low = 0, high = 0 }",
        );
        let augment = Augment {
            spec: &spec,
            seed: 1,
            epoch: 1,
        };
        for shape in [[1, 1, 1], [0, 0, 0], [2, 1, 3]] {
            augment.example(0, shape, &mut vec![1.0; shape.iter().product()]);
        }
    }
}
