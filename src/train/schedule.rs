//! How the learning rate changes.

use serde::{Deserialize, Serialize};

use super::spec::ScheduleSpec;

/// The schedule's memory.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Schedule {
    best: Option<f64>,
    bad_epochs: usize,
}

impl Schedule {
    /// The learning rate for the next epoch, after one whose monitored value was `value` (`maximize`: larger is better).
    ///
    /// Plateau follows PyTorch's `ReduceLROnPlateau` with a relative threshold and no cool-down: a better value resets the
    /// count; more than `patience` epochs without one multiply the rate by `factor`.
    pub fn next(&mut self, spec: &ScheduleSpec, learning_rate: f64, value: f64, maximize: bool) -> f64 {
        let ScheduleSpec::Plateau {
            factor,
            patience,
            threshold,
            min_learning_rate,
        } = *spec
        else {
            return learning_rate;
        };
        let better = match self.best {
            None => true,
            Some(best) if maximize => value > best * (1.0 + threshold),
            Some(best) => value < best * (1.0 - threshold),
        };
        if better {
            self.best = Some(value);
            self.bad_epochs = 0;
        } else {
            self.bad_epochs += 1;
        }
        if self.bad_epochs > patience {
            self.bad_epochs = 0;
            return (learning_rate * factor).max(min_learning_rate).min(learning_rate);
        }
        learning_rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_falls_after_more_than_patience_bad_epochs() {
        let spec = ScheduleSpec::Plateau {
            factor: 0.5,
            patience: 1,
            threshold: 1e-4,
            min_learning_rate: 0.2,
        };
        let mut schedule = Schedule::default();
        let mut rate = 1.0;
        let rates: Vec<f64> = [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5]
            .iter()
            .map(|&loss| {
                rate = schedule.next(&spec, rate, loss, false);
                rate
            })
            .collect();
        assert_eq!(rates, [1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.2]);
    }
}
