//! From mel power to what the network sees: decibels or logarithms, in place, finite for silence.

use super::{DbReference, Power, Scale};

/// Applies `scale` to a whole spectrogram. `power` says what the values are.
#[inline(always)]
pub(super) fn apply(values: &mut [f32], scale: &Scale, power: Power) {
    match *scale {
        Scale::Power => {}
        Scale::Log { offset } => {
            let offset = offset as f32;
            for value in values {
                *value = ln(*value + offset);
            }
        }
        Scale::Db {
            reference,
            top_db,
            amin,
        } => {
            let factor = match power {
                Power::Power => 10.0,
                Power::Magnitude => 20.0,
            };
            to_db(values, reference, top_db, amin, factor);
        }
    }
}

/// librosa's `power_to_db` and `amplitude_to_db`.
#[inline(always)]
fn to_db(values: &mut [f32], reference: DbReference, top_db: f64, amin: f64, factor: f32) {
    let amin = (amin as f32).max(f32::MIN_POSITIVE);
    let maximum = largest(values);
    let reference = match reference {
        DbReference::Max => maximum,
        DbReference::One => 1.0,
    };
    let db = |value: f32| factor * std::f32::consts::LOG10_2 * log2(value.max(amin));
    let zero = db(reference);
    let floor = if top_db > 0.0 {
        db(maximum) - zero - top_db as f32
    } else {
        f32::NEG_INFINITY
    };
    for value in values {
        *value = (db(*value) - zero).max(floor);
    }
}

/// The largest absolute value; 0 of nothing. In lanes, because compilers do not reorder a maximum of floating-point
/// numbers.
#[inline(always)]
pub(super) fn largest(values: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let (chunks, rest) = values.as_chunks::<16>();
    let mut lanes = [0.0_f32; 16];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = larger(value.abs(), *lane);
        }
    }
    lanes
        .iter()
        .chain(rest)
        .fold(0.0, |largest, value| larger(value.abs(), largest))
}

#[inline(always)]
fn ln(value: f32) -> f32 {
    std::f32::consts::LN_2 * log2(value.max(f32::MIN_POSITIVE))
}

/// Base-2 logarithm of a normal positive number, to about 2e-7 absolutely or relatively, in a form that compilers turn
/// into vector instructions: the exponent, plus `2 · atanh((m − 1) / (m + 1))` for the mantissa `m` in √½…√2, as a
/// series.
#[inline(always)]
pub(super) fn log2(value: f32) -> f32 {
    const SQRT_HALF: u32 = 0x3f35_04f3;
    let bits = value.to_bits().wrapping_sub(SQRT_HALF);
    let exponent = (bits as i32) >> 23;
    let mantissa = f32::from_bits((bits & 0x007f_ffff).wrapping_add(SQRT_HALF));
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let series = 1.0 + square * (1.0 / 3.0 + square * (1.0 / 5.0 + square * (1.0 / 7.0 + square * (1.0 / 9.0))));
    exponent as f32 + s * series * (2.0 * std::f32::consts::LOG2_E)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decibels_have_a_reference_and_a_floor() {
        // librosa.power_to_db(np.float32([1, 10, 100, 1e-12, 0]), ref=np.max)
        let mut values = [1.0, 10.0, 100.0, 1e-12, 0.0];
        apply(&mut values, &Scale::default(), Power::Power);
        for (got, expected) in values.iter().zip([-20.0, -10.0, 0.0, -80.0, -80.0]) {
            assert!((got - expected).abs() < 1e-5, "{values:?}");
        }
        // librosa.power_to_db(…, ref=1.0, top_db=None)
        let mut values = [1.0, 1e-12, 0.0];
        let scale = Scale::Db {
            reference: DbReference::One,
            top_db: 0.0,
            amin: 1e-10,
        };
        apply(&mut values, &scale, Power::Power);
        for (got, expected) in values.iter().zip([0.0, -100.0, -100.0]) {
            assert!((got - expected).abs() < 1e-4, "{values:?}");
        }
        // librosa.amplitude_to_db(np.float32([1, 0.1]), ref=1.0, amin=1e-5)
        let mut values = [1.0, 0.1];
        let scale = Scale::Db {
            reference: DbReference::One,
            top_db: 80.0,
            amin: 1e-5,
        };
        apply(&mut values, &scale, Power::Magnitude);
        assert!((values[1] + 20.0).abs() < 1e-5, "{values:?}");
    }

    #[test]
    fn the_largest_is_found_wherever_it_is() {
        assert_eq!(largest(&[]), 0.0);
        for place in 0..40 {
            let mut values = [0.25; 40];
            values[place] = -3.5;
            assert_eq!(largest(&values), 3.5, "{place}");
        }
    }

    #[test]
    fn silence_is_finite() {
        for scale in [Scale::Power, Scale::default(), Scale::Log { offset: 1e-6 }] {
            let mut values = [0.0; 4];
            apply(&mut values, &scale, Power::Power);
            assert!(
                values.iter().all(|value| value.is_finite() && *value == values[0]),
                "{scale:?}: {values:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn the_fast_logarithm_is_right(bits in f32::MIN_POSITIVE.to_bits()..f32::MAX.to_bits()) {
            let value = f32::from_bits(bits);
            let exact = f64::from(value).log2();
            let error = (f64::from(log2(value)) - exact).abs();
            prop_assert!(error <= 2e-7 * exact.abs().max(1.0), "{value}: off by {error}");
        }
    }
}
