//! The frequency response of soxr's "HQ" recipe.
//!
//! soxr converts in up to three steps: halvings, one sharp filter, and for ratios that are not small integers an
//! interpolation with a filter of its own, whose slight droop is part of the result. Seen from outside all of that is
//! one linear-phase filter per pair of rates. Its shape was measured from soxr 1.1.0 (Python) impulse responses, and is
//! described here by the product of two Kaiser-windowed sincs; for the usual rates between 8 and 96 kHz the description
//! is within 0.01 dB of the measurement wherever the filter passes more than −50 dB.
//!
//! Frequencies are in units of the lower of the two Nyquist frequencies, times in samples of the lower rate.

use std::f64::consts::PI;

/// Cut-off (−6 dB) of the sharp filter.
const CUTOFF: f64 = 0.956_871_75;
/// Where its pass band ends.
const PASS: f64 = 1.0 - 2.0 * (1.0 - CUTOFF);
/// Shape of the sharp filter's window where it is the only step …
const BETA: f64 = 13.04;
/// … and how much that grows per decibel of additional attenuation.
const BETA_PER_DB: f64 = 0.6717 / 6.0206;
/// Taps per unit of ratio of the sharp filter (its length before rounding), by the number that divides its ripple.
const TAPS: [f64; 8] = [193.0, 202.4, 208.8, 212.8, 215.6, 218.2, 220.7, 222.5];
/// Shape of the interpolation filter's window.
const INTERPOLATION_BETA: f64 = 14.15;
/// Its half length times its half transition band, before its length is rounded up.
const INTERPOLATION_TAPS: f64 = 4.48;
/// Its level at the end of the pass band, before its length is rounded up.
const DROOP_DB: f64 = -0.0088;
/// Its half length is a whole number of the samples that it reads, and this.
const INTERPOLATION_REST: f64 = 0.03;
/// The interpolation filter of all conversions upwards: cut-off, and half length in units of the lower rate.
const UPWARDS: (f64, f64) = (1.8178, 3.756);
/// Points of a table of a response between 0 and the Nyquist frequency.
const TABLE: usize = 1024;

/// A filter for a pair of rates.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Design {
    beta: f64,
    /// Samples of the lower rate from the centre to the end of the filter.
    pub half_length: f64,
    pub interpolation: Option<Interpolation>,
}

/// The step between samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Interpolation {
    pub filter: Sinc,
    /// Samples that it reads per sample of the lower rate.
    pub density: f64,
    /// Whether it is the last step, right after the sharp filter.
    pub place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    AfterTheFilter,
    Elsewhere,
}

/// A sinc with a Kaiser window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sinc {
    cutoff: f64,
    beta: f64,
    pub half_length: f64,
}

impl Design {
    pub fn new(from: u32, to: u32) -> Self {
        let common = greatest_common_divisor(from, to);
        let (mut up, mut down) = (u64::from(to / common), u64::from(from / common));
        let mut steps = 1;
        // Halvings, down to a ratio below 4; and a last fourfold step upwards, for ratios above 4 other than 5.
        while down >= 4 * up {
            (up, down) = reduced(2 * up, down);
            steps += 1;
        }
        if up > 4 * down && (up, down) != (5, 1) {
            (up, down) = reduced(up, 4 * down);
            steps += 1;
        }
        let ratio = down as f64 / up as f64;
        let small = up.max(down) < 5 || up * down < 6;
        // Length of the sharp filter; samples that the interpolation reads per sample of the lower rate; where it must
        // stop.
        let (width, interpolation) = match ratio {
            _ if small => (up.max(down) as f64, None),
            ratio if ratio < 1.0 => (2.0, Some((2.0, None))),
            ratio if ratio < 1.5 => (2.0 * ratio, Some((2.0 * ratio, Some(4.0 * ratio - 1.0)))),
            ratio if ratio < 2.0 => (2.0, Some((ratio, Some(3.0)))),
            ratio => (ratio, Some((ratio, Some(2.0 * ratio - 1.0)))),
        };
        let place = if steps == 1 && !(1.5..2.0).contains(&ratio) {
            Place::AfterTheFilter
        } else {
            Place::Elsewhere
        };
        let shares = steps * if small { 1 } else { 2 };
        let beta = BETA + BETA_PER_DB * 20.0 * f64::from(shares).log10();
        let mut taps = TAPS[(shares as usize - 1).min(TAPS.len() - 1)];
        if shares == 1 && up > down {
            taps += 0.15;
        }
        // soxr's lengths are odd, one more than a multiple of four.
        let order = 4.0 * (((taps * width + 1.0).ceil() + 2.0) / 4.0).floor();
        Self {
            beta,
            half_length: (order / 2.0 + 0.5) / width,
            interpolation: interpolation.map(|(density, stop)| Interpolation {
                filter: stop.map_or(Sinc::UPWARDS, |stop| interpolation_filter(stop, density)),
                density,
                place,
            }),
        }
    }

    /// The sharp filter.
    pub fn sharp(&self) -> Sinc {
        Sinc {
            cutoff: CUTOFF,
            beta: self.beta,
            half_length: self.half_length,
        }
    }

    /// Gains at `0, 1/count, 2/count …` of the lower Nyquist frequency, `count` of them; 1 at frequency 0.
    pub fn response(&self, count: usize) -> Vec<f64> {
        let sharp = Sinc {
            cutoff: CUTOFF,
            beta: self.beta,
            half_length: self.half_length,
        };
        let mut gains = spectrum(sharp, count);
        if let Some(interpolation) = self.interpolation {
            let droop: Vec<f64> = (0..=TABLE)
                .map(|i| interpolation.filter.gain(i as f64 / TABLE as f64))
                .collect();
            for (index, gain) in gains.iter_mut().enumerate() {
                let place = index as f64 / count as f64 * TABLE as f64;
                let below = (place as usize).min(TABLE - 1);
                let (low, high) = (droop[below], droop[below + 1]);
                *gain *= low + (high - low) * (place - below as f64);
            }
        }
        gains
    }
}

/// The interpolation filter that stops at `stop`, has the droop that is allowed, and a whole number of taps.
fn interpolation_filter(stop: f64, density: f64) -> Sinc {
    let make = |cutoff: f64| Sinc {
        cutoff,
        beta: INTERPOLATION_BETA,
        half_length: INTERPOLATION_TAPS / (stop - cutoff),
    };
    let wanted = 10.0_f64.powf(DROOP_DB / 20.0);
    let (mut low, mut high) = (PASS / 2.0, stop - 0.1);
    for _ in 0..50 {
        let middle = f64::midpoint(low, high);
        if make(middle).gain(PASS) < wanted {
            low = middle;
        } else {
            high = middle;
        }
    }
    let filter = make(high);
    let taps = (filter.half_length * density - 2.0 * INTERPOLATION_REST).ceil() + INTERPOLATION_REST;
    Sinc {
        half_length: taps / density,
        ..filter
    }
}

impl Sinc {
    const UPWARDS: Self = Self {
        cutoff: UPWARDS.0,
        beta: INTERPOLATION_BETA,
        half_length: UPWARDS.1,
    };

    /// The integral of the impulse response.
    pub fn area(&self) -> f64 {
        const PER_SAMPLE: f64 = 64.0;
        let half: f64 = (1..=(self.half_length * PER_SAMPLE) as usize)
            .map(|index| self.at(index as f64 / PER_SAMPLE))
            .sum();
        (2.0 * half + 1.0) / PER_SAMPLE
    }

    /// The impulse response at time `t`, up to a factor.
    pub fn at(&self, t: f64) -> f64 {
        sinc(self.cutoff * t) * kaiser(t / self.half_length, self.beta)
    }

    /// Gain at a frequency, relative to frequency 0; for short filters.
    fn gain(&self, frequency: f64) -> f64 {
        const PER_SAMPLE: f64 = 64.0;
        let (mut sum, mut all) = (0.0, 0.0);
        for index in 0..=(self.half_length * PER_SAMPLE) as usize {
            let t = index as f64 / PER_SAMPLE;
            let value = self.at(t) * if index == 0 { 1.0 } else { 2.0 };
            sum += value * (PI * frequency * t).cos();
            all += value;
        }
        sum / all
    }
}

/// The spectrum of `filter` at `count` frequencies from 0 to below the Nyquist frequency.
fn spectrum(filter: Sinc, count: usize) -> Vec<f64> {
    // Sampled at twice the lower rate, so that what the filter leaves above the Nyquist frequency does not fold back.
    let length = 4 * count;
    let mut impulse = vec![0.0_f64; length];
    let last = (2.0 * filter.half_length).floor() as usize;
    for index in 0..=last.min(length / 2) {
        let value = filter.at(index as f64 / 2.0);
        impulse[index] = value;
        impulse[(length - index) % length] = value;
    }
    let sum: f64 = impulse.iter().sum();
    let transform = realfft::RealFftPlanner::<f64>::new().plan_fft_forward(length);
    let mut spectrum = transform.make_output_vec();
    // The lengths are the plan's own.
    let _ = transform.process(&mut impulse, &mut spectrum);
    spectrum.iter().take(count).map(|bin| bin.re / sum).collect()
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

/// Kaiser window at `x` (0 the centre, 1 the end).
fn kaiser(x: f64, beta: f64) -> f64 {
    if x.abs() > 1.0 {
        return 0.0;
    }
    bessel_i0(beta * (1.0 - x * x).sqrt()) / bessel_i0(beta)
}

/// Modified Bessel function of the first kind, order 0, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut sum, mut term, mut k) = (1.0, 1.0, 1.0);
    while term > sum * f64::EPSILON {
        term *= quarter / (k * k);
        sum += term;
        k += 1.0;
    }
    sum
}

fn reduced(up: u64, down: u64) -> (u64, u64) {
    let (mut a, mut b) = (up, down);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    (up / a, down / a)
}

pub(super) fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gains measured from soxr at 0.8, 0.92, 0.94, 0.97 and 0.98 of the lower Nyquist frequency.
    #[test]
    fn responses_are_those_measured() {
        for (from, to, gains) in [
            (44_100, 22_050, [1.0, 0.999_812, 0.925_439, 0.132_830, 0.021_761]),
            (48_000, 16_000, [1.0, 0.999_795, 0.924_526, 0.133_882, 0.022_258]),
            (44_100, 16_000, [0.999_630, 0.998_755, 0.928_382, 0.127_681, 0.019_651]),
            (48_000, 44_100, [0.999_806, 0.998_810, 0.929_229, 0.126_594, 0.019_182]),
            (44_100, 48_000, [0.999_856, 0.998_779, 0.929_221, 0.126_470, 0.019_135]),
            (16_000, 22_050, [0.999_857, 0.998_784, 0.929_227, 0.126_472, 0.019_136]),
        ] {
            let response = Design::new(from, to).response(100);
            for (percent, expected) in [80, 92, 94, 97, 98].into_iter().zip(gains) {
                let difference = 20.0 * (response[percent] / expected).log10();
                assert!(
                    difference.abs() < 0.005,
                    "{from} to {to} Hz at {percent} %: {difference} dB"
                );
            }
        }
    }

    #[test]
    fn every_pair_of_rates_has_a_filter() {
        for (from, to) in [
            (1_000, 384_000),
            (384_000, 1_000),
            (44_100, 44_101),
            (1_000, 5_000),
            (5_000, 1_000),
        ] {
            let response = Design::new(from, to).response(64);
            assert!(
                (response[0] - 1.0).abs() < 1e-9 && response[63] < 0.01,
                "{from} to {to}: {response:?}"
            );
            assert!((response[50] - 1.0).abs() < 1e-3, "{from} to {to}: {}", response[50]);
        }
    }
}
