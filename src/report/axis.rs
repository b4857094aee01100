//! Axes whose ticks are ours: few, round and never overlapping, for any data.
//!
//! plotters draws them; it asks for positions and labels only. Every constructor gives a range of positive width with
//! finite ends, whatever it is given, so that nothing behind it has to check again.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use super::font;

/// Values beyond this are treated as missing: a run that diverged that far has nothing more to show.
const HUGE: f64 = 1e100;

/// Can `value` be drawn?
pub(super) fn drawable(value: f64) -> bool {
    value.abs() <= HUGE
}

/// How values are spread over the axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    Linear,
    Logarithmic,
}

impl Scale {
    /// Logarithmic where the values are all above zero and span more than `factor`.
    pub fn suited(values: impl IntoIterator<Item = f64>, factor: f64) -> Self {
        let (low, high) = values
            .into_iter()
            .filter(|&value| drawable(value))
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        if low > 1e-100 && high / low > factor {
            Self::Logarithmic
        } else {
            Self::Linear
        }
    }
}

/// A labelled position.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    pub at: f64,
    pub label: String,
}

/// One axis: its range, its ticks.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    scale: Scale,
    ticks: Vec<Tick>,
}

impl Axis {
    /// A linear axis around `values` with 5 % of air on both sides and at most `ticks` ticks.
    pub fn around(values: impl IntoIterator<Item = f64>, ticks: usize) -> Self {
        let (low, high) = extent(values);
        let air = 0.05 * (high - low);
        Self::linear(low - air, high + air, ticks)
    }

    /// A linear axis from `low` to `high`.
    pub fn linear(low: f64, high: f64, ticks: usize) -> Self {
        let (low, high) = extent([low, high]);
        Self {
            low,
            high,
            scale: Scale::Linear,
            ticks: linear_ticks(low, high, ticks, f64::MIN_POSITIVE),
        }
    }

    /// An axis of whole numbers, with half a step of air at the ends.
    pub fn whole(first: u32, last: u32, ticks: usize) -> Self {
        let (first, last) = (f64::from(first.min(last)), f64::from(first.max(last)));
        let air = (0.03 * (last - first)).max(0.5);
        let (low, high) = (first - air, last + air);
        let mut ticks = linear_ticks(low, high, ticks, 1.0);
        ticks.retain(|tick| tick.at >= first && tick.at <= last);
        Self {
            low,
            high,
            scale: Scale::Linear,
            ticks,
        }
    }

    /// A logarithmic axis around those of `values` that are above zero.
    pub fn logarithmic(values: impl IntoIterator<Item = f64>, ticks: usize) -> Self {
        let (low, high) = values
            .into_iter()
            .filter(|value| (1e-100..=HUGE).contains(value))
            .fold((f64::INFINITY, 0.0_f64), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        let (low, high) = if low > high { (0.1, 10.0) } else { (low, high) };
        let air = (high / low).powf(0.05).max(1.25);
        let (low, high) = (low / air, high * air);
        Self {
            low,
            high,
            scale: Scale::Logarithmic,
            ticks: logarithmic_ticks(low, high, ticks),
        }
    }

    /// Logarithmic or linear, as `scale` says.
    pub fn scaled(scale: Scale, values: impl IntoIterator<Item = f64>, ticks: usize) -> Self {
        match scale {
            Scale::Linear => Self::around(values, ticks),
            Scale::Logarithmic => Self::logarithmic(values, ticks),
        }
    }

    /// Positions 0, 1, … `count` − 1 without ticks, from −0.5 to `count` − 0.5.
    pub fn places(count: usize) -> Self {
        Self {
            low: -0.5,
            high: count.max(1) as f64 - 0.5,
            scale: Scale::Linear,
            ticks: Vec::new(),
        }
    }

    pub fn is_logarithmic(&self) -> bool {
        self.scale == Scale::Logarithmic
    }

    pub fn low(&self) -> f64 {
        self.low
    }

    pub fn high(&self) -> f64 {
        self.high
    }

    /// Where `value` lies: 0 at the low end, 1 at the high end; values outside are put on the end.
    pub fn position(&self, value: f64) -> f64 {
        let position = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Logarithmic => (value / self.low).ln() / (self.high / self.low).ln(),
        };
        if position.is_nan() {
            0.0
        } else {
            position.clamp(0.0, 1.0)
        }
    }

    /// The axis with so few ticks that labels written side by side over `length` pixels don't touch.
    pub fn thinned(mut self, length: f64, size: f64) -> Self {
        while self.ticks.len() > 1 {
            let gap = 0.8 * size;
            let boxes = self.ticks.iter().map(|tick| {
                let half = font::width(&tick.label, size, font::Weight::Regular) / 2.0;
                let centre = self.position(tick.at) * length;
                (centre - half, centre + half)
            });
            let touching = boxes
                .scan(f64::NEG_INFINITY, |end, (left, right)| {
                    let touches = left < *end + gap;
                    *end = right;
                    Some(touches)
                })
                .any(|touches| touches);
            if !touching {
                break;
            }
            let mut index = 0;
            self.ticks.retain(|_| {
                index += 1;
                index % 2 == 1
            });
        }
        self
    }

    /// The width of the widest label in pixels.
    pub fn widest_label(&self, size: f64) -> f64 {
        self.ticks
            .iter()
            .map(|tick| font::width(&tick.label, size, font::Weight::Regular))
            .fold(0.0, f64::max)
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let length = f64::from(limit.1) - f64::from(limit.0);
        (f64::from(limit.0) + self.position(*value) * length).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            Vec::new()
        } else {
            self.ticks.iter().map(|tick| tick.at).collect()
        }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        self.ticks
            .iter()
            .find(|tick| tick.at.total_cmp(value).is_eq())
            .map(|tick| tick.label.clone())
            .unwrap_or_default()
    }
}

/// The least and the greatest drawable value, made a range of positive width.
pub(super) fn extent(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .into_iter()
        .filter(|&value| drawable(value))
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
    if low > high {
        return (0.0, 1.0);
    }
    let magnitude = low.abs().max(high.abs());
    if magnitude < 1e-100 {
        return (-0.5, 0.5);
    }
    if high - low <= 1e-9 * magnitude {
        let half = if magnitude < 1.0 {
            0.1 * magnitude
        } else {
            0.05 * magnitude
        };
        return (low - half, high + half);
    }
    (low, high)
}

/// Multiples of 1, 2 or 5 times a power of ten, at most `count` (at least two) of them.
fn linear_ticks(low: f64, high: f64, count: usize, least_step: f64) -> Vec<Tick> {
    let count = count.max(2);
    let rough = ((high - low) / count as f64).max(least_step);
    let power = rough.log10().floor().clamp(-290.0, 290.0) as i32;
    let unit = 10_f64.powi(power);
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * unit)
        .into_iter()
        .find(|&step| step >= rough * (1.0 - 1e-9))
        .unwrap_or(10.0 * unit);
    let first = (low / step).ceil();
    let mut ticks: Vec<Tick> = (0..=count)
        .map(|index| {
            let at = (first + index as f64) * step;
            // −0 and rounding noise around zero.
            if at.abs() < step * 1e-9 { 0.0 } else { at }
        })
        .filter(|&at| at >= low && at <= high)
        .map(|at| Tick {
            at,
            label: tick_label(at, step, low.abs().max(high.abs())),
        })
        .collect();
    ticks.dedup_by(|b, a| a.at >= b.at || a.label == b.label);
    ticks
}

/// Powers of ten, or 1, 2, 5 of each where the range is short.
fn logarithmic_ticks(low: f64, high: f64, count: usize) -> Vec<Tick> {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let within = |at: &f64| *at >= low && *at <= high;
    let tens: Vec<f64> = (first..=last).map(|power| 10_f64.powi(power)).filter(within).collect();
    let chosen: Vec<f64> = if tens.len() >= 3 {
        let stride = tens.len().div_ceil(count.max(2));
        tens.into_iter().step_by(stride).collect()
    } else {
        let factors: &[f64] = if high / low > 8.0 {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0]
        };
        (first..=last)
            .flat_map(|power| factors.iter().map(move |factor| factor * 10_f64.powi(power)))
            .filter(within)
            .collect()
    };
    chosen.into_iter().map(|at| Tick { at, label: plain(at) }).collect()
}

fn tick_label(at: f64, step: f64, magnitude: f64) -> String {
    let decimals = (-step.log10()).ceil().max(0.0) as usize;
    let text = if at == 0.0 {
        "0".to_owned()
    } else if !(5e-3..1e6).contains(&magnitude) || decimals > 5 {
        let digits = (magnitude / step).log10().ceil().clamp(0.0, 6.0) as usize;
        let text = format!("{at:.digits$e}");
        match text.split_once('e') {
            Some((mantissa, power)) if mantissa.contains('.') => {
                format!("{}e{power}", mantissa.trim_end_matches('0').trim_end_matches('.'))
            }
            _ => text,
        }
    } else {
        format!("{at:.decimals$}")
    };
    text.replace('-', "−")
}

/// A round number in the shortest form: "0.05", "1e−5".
fn plain(value: f64) -> String {
    if (1e-3..1e5).contains(&value) {
        let decimals = (1.0 - value.log10()).ceil().max(0.0) as usize;
        let text = format!("{value:.decimals$}");
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        }
    } else {
        let text = format!("{value:.1e}").replace(".0e", "e");
        text.replace('-', "−")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(labels(&Axis::linear(-1.0, 1.0, 5)), ["−1.0", "−0.5", "0", "0.5", "1.0"]);
        assert_eq!(labels(&Axis::linear(0.0, 0.06, 4)), ["0", "0.02", "0.04", "0.06"]);
        assert_eq!(
            labels(&Axis::linear(9e-4, 1.1e-3, 4)),
            ["9e−4", "9.5e−4", "1e−3", "1.05e−3", "1.1e−3"]
        );
        assert_eq!(labels(&Axis::whole(1, 30, 7)), ["5", "10", "15", "20", "25", "30"]);
        assert_eq!(labels(&Axis::whole(1, 1, 6)), ["1"]);
        assert_eq!(labels(&Axis::whole(1, 4, 6)), ["1", "2", "3", "4"]);
        assert_eq!(labels(&Axis::logarithmic([1e-5, 1e-3], 5)), ["1e−5", "1e−4", "0.001"]);
        assert_eq!(labels(&Axis::logarithmic([1e-3, 1e-3], 5)), ["0.001"]);
    }

    #[test]
    fn constant_values_get_a_range() {
        for value in [0.0, 1.0, -3.5, 1e30, 1e-30, -1e99] {
            let axis = Axis::around([value, value], 5);
            assert!(axis.low() < value && value < axis.high(), "{value}: {axis:?}");
        }
    }

    #[test]
    fn labels_side_by_side_do_not_touch() {
        let axis = Axis::linear(1000.0, 90000.0, 10).thinned(60.0, 10.0);
        assert!(axis.ticks.len() <= 2, "{axis:?}");
    }

    proptest! {
        #[test]
        fn any_values_give_a_sane_axis(values in prop::collection::vec(any::<f64>(), 0..5), count in 0_usize..12) {
            let suited = Scale::suited(values.clone(), 30.0);
            for scale in [Scale::Linear, Scale::Logarithmic, suited] {
                let axis = Axis::scaled(scale, values.clone(), count);
                prop_assert!(axis.low().is_finite() && axis.high().is_finite() && axis.low() < axis.high(), "{axis:?}");
                prop_assert!(axis.ticks.len() <= 14, "{axis:?}");
                prop_assert!(axis.ticks.windows(2).all(|pair| pair[0].at < pair[1].at), "{axis:?}");
                for value in &values {
                    prop_assert!((0.0..=1.0).contains(&axis.position(*value)));
                }
            }
        }
    }
}
