//! How the learning rate changes.
//!
//! Every schedule but the plateau is a function of the number of updates done, so it has nothing to remember; the plateau's memory is
//! [`Memory`], which a checkpoint holds.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use super::spec::schedule::{Curve, OneCycleSpec, PlateauSpec};
use super::spec::{Pace, ScheduleSpec};

/// A change of the plateau's rate smaller than this is none (PyTorch's `eps`).
const SMALLEST_CHANGE: f64 = 1e-8;

/// What a plateau remembers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Memory {
    #[serde(with = "super::exact")]
    best: Option<f64>,
    without_improvement: usize,
    cooldown: usize,
    /// The rate, once it has changed.
    #[serde(with = "super::exact")]
    rate: Option<f64>,
}

/// How long training lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    pub epochs: u64,
    pub updates_per_epoch: u64,
}

/// A schedule for one training.
#[derive(Debug, Clone)]
pub struct Schedule {
    spec: ScheduleSpec,
    /// The optimiser's learning rate.
    base: f64,
    length: Length,
    /// Updates of the warm-up.
    warmup: u64,
    pub memory: Memory,
}

impl Schedule {
    pub fn new(spec: &ScheduleSpec, base: f64, length: Length) -> Self {
        let warmup = spec.warmup().map_or(0, |warmup| {
            (warmup.epochs * length.updates_per_epoch as f64).round() as u64 + warmup.steps
        });
        Self {
            spec: spec.clone(),
            base,
            length,
            warmup,
            memory: Memory::default(),
        }
    }

    /// The rate of the next update, after `updates` of them.
    pub fn rate(&self, updates: u64) -> f64 {
        match updates.checked_sub(self.warmup) {
            Some(since) => self.course(since),
            None => {
                let from = self.spec.warmup().map_or(1.0, |warmup| warmup.from);
                self.base * (from + (1.0 - from) * updates as f64 / self.warmup as f64)
            }
        }
    }

    /// `since`: updates since the warm-up.
    fn course(&self, since: u64) -> f64 {
        let per_epoch = self.length.updates_per_epoch.max(1);
        let epoch = since / per_epoch;
        let updates = (self.length.epochs * per_epoch).saturating_sub(self.warmup);
        match &self.spec {
            ScheduleSpec::Constant(_) => self.base,
            ScheduleSpec::Plateau(_) => self.memory.rate.unwrap_or(self.base),
            ScheduleSpec::Step(spec) => self.base * power(spec.factor, epoch / spec.every.max(1)),
            ScheduleSpec::Exponential(spec) => self.base * power(spec.factor, epoch),
            ScheduleSpec::Cosine(spec) => {
                let (done, all) = match spec.pace {
                    Pace::Update => (since, updates),
                    Pace::Epoch => (epoch, updates.div_ceil(per_epoch)),
                };
                let share = (done as f64 / all.max(1) as f64).min(1.0);
                let low = spec.min_learning_rate.min(self.base);
                low + (self.base - low) * 0.5 * (1.0 + (PI * share).cos())
            }
            ScheduleSpec::OneCycle(spec) => one_cycle(spec, self.base, since, updates),
        }
    }

    /// After a validation whose monitored value was `value` (`maximize`: larger is better), and `updates` in all.
    ///
    /// Plateau follows PyTorch's `ReduceLROnPlateau` with a relative threshold: a better value resets the count; more than
    /// `patience` validations without one multiply the rate by `factor`. NaN is never better. Those within the warm-up don't count.
    pub fn validated(&mut self, updates: u64, value: f64, maximize: bool) {
        if let ScheduleSpec::Plateau(spec) = &self.spec
            && updates > self.warmup
        {
            self.memory.judge(spec, self.base, value, maximize);
        }
    }
}

impl Memory {
    fn judge(&mut self, spec: &PlateauSpec, base: f64, value: f64, maximize: bool) {
        let better = match self.best {
            None => !value.is_nan(),
            Some(best) if maximize => value > best * (1.0 + spec.threshold),
            Some(best) => value < best * (1.0 - spec.threshold),
        };
        if better {
            self.best = Some(value);
            self.without_improvement = 0;
        } else {
            self.without_improvement += 1;
        }
        if self.cooldown > 0 {
            self.cooldown -= 1;
            self.without_improvement = 0;
        }
        if self.without_improvement > spec.patience {
            self.without_improvement = 0;
            self.cooldown = spec.cooldown;
            let old = self.rate.unwrap_or(base);
            let new = (old * spec.factor).max(spec.min_learning_rate);
            if old - new > SMALLEST_CHANGE {
                self.rate = Some(new);
            }
        }
    }
}

fn power(factor: f64, times: u64) -> f64 {
    factor.powi(i32::try_from(times).unwrap_or(i32::MAX))
}

/// PyTorch's `OneCycleLR` with two phases: up to `highest` over `rising · updates − 1` updates, then down until the last one.
fn one_cycle(spec: &OneCycleSpec, highest: f64, since: u64, updates: u64) -> f64 {
    let first = highest / spec.start_divisor;
    let last = first / spec.end_divisor;
    let top = spec.rising * updates as f64 - 1.0;
    let end = updates as f64 - 1.0;
    let at = (since as f64).min(end);
    let along = |from: f64, to: f64, share: f64| match spec.curve {
        Curve::Cosine => to + (from - to) / 2.0 * (1.0 + (PI * share).cos()),
        Curve::Linear => from + (to - from) * share,
    };
    if at <= top {
        along(first, highest, if top > 0.0 { at / top } else { 1.0 })
    } else {
        along(highest, last, if end > top { (at - top) / (end - top) } else { 1.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Length = Length {
        epochs: 4,
        updates_per_epoch: 5,
    };

    fn schedule(toml: &str) -> Schedule {
        Schedule::new(&toml::from_str(toml).unwrap(), 1.0, LENGTH)
    }

    #[test]
    fn the_rate_falls_after_more_than_patience_without_improvement() {
        let mut schedule = schedule("kind = \"plateau\"\nfactor = 0.5\npatience = 1\nmin_learning_rate = 0.2");
        let rates: Vec<f64> = [1.0, f64::NAN, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5]
            .iter()
            .map(|&loss| {
                schedule.validated(1, loss, false);
                schedule.rate(1)
            })
            .collect();
        assert_eq!(rates, [1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.2]);
    }

    #[test]
    fn a_first_value_that_is_nan_is_not_the_best() {
        let mut schedule = schedule("kind = \"plateau\"\npatience = 1");
        for value in [f64::NAN, 1.0, 0.5, 0.2, 0.1] {
            schedule.validated(1, value, false);
        }
        assert_eq!(schedule.rate(1), 1.0);
    }

    #[test]
    fn every_kind_warms_up_first_and_stays_finite() {
        for kind in ["constant", "plateau", "step", "exponential", "cosine", "one-cycle"] {
            let warm = schedule(&format!("kind = \"{kind}\"\nwarmup = {{ steps = 4, from = 0.2 }}"));
            let rates: Vec<f64> = (0..4).map(|update| warm.rate(update)).collect();
            for (rate, expected) in rates.iter().zip([0.2, 0.4, 0.6, 0.8]) {
                assert!((rate - expected).abs() < 1e-12, "{kind}: {rates:?}");
            }
            let plain = schedule(&format!("kind = \"{kind}\""));
            assert!(
                (0..25).all(|update| (0.0..=1.0).contains(&plain.rate(update))),
                "{kind}"
            );
            let endless = schedule(&format!("kind = \"{kind}\"\nwarmup = {{ epochs = 9.5 }}"));
            assert!(
                (0..60).all(|update| (0.0..=1.0).contains(&endless.rate(update))),
                "{kind}"
            );
        }
    }
}
