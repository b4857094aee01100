//! Where on the axis of epochs a value of training lies.

use std::collections::{BTreeMap, HashMap};

use crate::track::MetricRow;

/// Positions of one run's values, in epochs trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Timeline {
    /// One validation at most in an epoch: whole numbers.
    Epochs,
    /// Several in some epoch, which has so many updates.
    Updates { in_epoch: f64 },
}

impl Timeline {
    /// An epoch `e` ends with update `e` times the updates in an epoch. So there are at least `step / epoch` in one, and as many
    /// where a run validates at the end of an epoch.
    pub fn of(metrics: &[MetricRow]) -> Self {
        let mut steps: HashMap<(&str, &str, u32), u64> = HashMap::new();
        let mut several = false;
        for row in metrics {
            let known = steps.entry((&row.split, &row.name, row.epoch)).or_insert(row.step);
            several |= *known != row.step;
        }
        let in_epoch = metrics
            .iter()
            .filter(|row| row.epoch > 0)
            .map(|row| row.step as f64 / f64::from(row.epoch))
            .fold(0.0, f64::max);
        match several && in_epoch > 0.0 {
            true => Self::Updates { in_epoch },
            false => Self::Epochs,
        }
    }

    /// Epochs trained after the update `step` in `epoch`, from 0 on.
    pub fn at(self, epoch: u32, step: u64) -> f64 {
        match self {
            Self::Epochs => f64::from(epoch),
            Self::Updates { in_epoch } => step as f64 / in_epoch,
        }
    }

    /// The values of a metric in the order of training; of several at one place the last.
    pub fn points(self, metrics: &[MetricRow], split: &str, name: &str) -> Vec<(f64, f64)> {
        let mut points: BTreeMap<(u32, u64), f64> = BTreeMap::new();
        let of_metric = |row: &&MetricRow| row.split == split && row.name == name;
        for row in metrics.iter().filter(of_metric) {
            let place = match self {
                Self::Epochs => (row.epoch, 0),
                Self::Updates { .. } => (0, row.step),
            };
            points.insert(place, row.value);
        }
        points
            .into_iter()
            .map(|((epoch, step), value)| (self.at(epoch, step), value))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, epoch: u32, step: u64, value: f64) -> MetricRow {
        MetricRow {
            split: "val".to_owned(),
            name: name.to_owned(),
            epoch,
            step,
            value,
            wall_time: 0.0,
        }
    }

    #[test]
    fn one_validation_an_epoch_lies_on_the_epoch() {
        let rows = [
            row("loss", 2, 20, 0.5),
            row("mae", 1, 10, 9.0),
            row("loss", 1, 10, 0.7),
            row("loss", 2, 20, 0.4),
        ];
        let timeline = Timeline::of(&rows);
        assert_eq!(timeline, Timeline::Epochs);
        assert_eq!(timeline.points(&rows, "val", "loss"), [(1.0, 0.7), (2.0, 0.4)]);
    }

    #[test]
    fn several_validations_lie_between_the_epochs() {
        // Ten updates an epoch, a validation at every fourth and at each epoch's end.
        let steps = [(1, 4), (1, 8), (1, 10), (2, 14), (2, 18), (2, 20)];
        let rows = steps.map(|(epoch, step)| row("loss", epoch, step, step as f64));
        let timeline = Timeline::of(&rows);
        assert_eq!(timeline, Timeline::Updates { in_epoch: 10.0 });
        let places: Vec<f64> = timeline
            .points(&rows, "val", "loss")
            .iter()
            .map(|point| point.0)
            .collect();
        assert_eq!(places, [0.4, 0.8, 1.0, 1.4, 1.8, 2.0]);
    }
}
