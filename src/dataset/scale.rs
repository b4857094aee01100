//! From the scale of the annotations to the one that is asked for.

use crate::dataset::DeamScale;

/// A linear map: `factor · value + offset`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rescaling {
    from: DeamScale,
    to: DeamScale,
}

impl Rescaling {
    pub fn new(from: DeamScale, to: DeamScale) -> Self {
        Self { from, to }
    }

    /// An annotation.
    pub fn value(self, value: f64) -> f32 {
        if self.from == self.to {
            return value as f32;
        }
        let (low, high) = ends(self.from);
        let (to_low, to_high) = ends(self.to);
        // By way of the middle, which is exact in all of them.
        let middle = (low + high) / 2.0;
        let to_middle = (to_low + to_high) / 2.0;
        (to_middle + (value - middle) * (to_high - to_low) / (high - low)) as f32
    }

    /// A distance between annotations.
    pub fn distance(self, distance: f64) -> f32 {
        let (low, high) = ends(self.from);
        let (to_low, to_high) = ends(self.to);
        (distance * (to_high - to_low) / (high - low)) as f32
    }

    /// What a reader of the results must know.
    pub fn remark(self, what: &str) -> String {
        let (from, to) = (words(self.from), words(self.to));
        if self.from == self.to {
            return format!("{what} as annotated, {from}");
        }
        format!("{what} {from} mapped linearly to {to}")
    }
}

fn ends(scale: DeamScale) -> (f64, f64) {
    match scale {
        DeamScale::Nine => (1.0, 9.0),
        DeamScale::Unit => (0.0, 1.0),
        DeamScale::Symmetric => (-1.0, 1.0),
    }
}

fn words(scale: DeamScale) -> &'static str {
    match scale {
        DeamScale::Nine => "1 to 9",
        DeamScale::Unit => "0 to 1",
        DeamScale::Symmetric => "−1 to 1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_and_middles_map_to_each_other() {
        let scales = [DeamScale::Nine, DeamScale::Unit, DeamScale::Symmetric];
        for from in scales {
            for to in scales {
                let map = Rescaling::new(from, to);
                let ((low, high), (to_low, to_high)) = (ends(from), ends(to));
                let mapped = [low, (low + high) / 2.0, high].map(|value| f64::from(map.value(value)));
                assert_eq!(mapped, [to_low, (to_low + to_high) / 2.0, to_high]);
                assert_eq!(f64::from(map.distance(high - low)), to_high - to_low);
            }
        }
    }
}
