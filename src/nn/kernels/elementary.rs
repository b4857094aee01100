//! eˣ, tanh, the logistic and the error function in 32 bits, without branches, so that loops over them become vector instructions.
//!
//! The system's functions are called value by value, and their last bit differs from one C library to the next. These are a few
//! multiplications and additions, the same bits on every machine, within 2 units of the last place of the true value (tested
//! against 64 bits). Ranges and coefficients: Cephes (Moshier 1992), `expf` and `tanhf`.

/// Largest argument for which eˣ is finite, and the least for which it is not 0.
const LARGEST: f32 = 88.722_83;
const LEAST: f32 = -103.972_08;
/// 1.5 · 2²³: adding it leaves the nearest whole number in a float's last bits.
const WHOLE: f32 = 12_582_912.0;
/// ln 2 in two parts, the first of which has few bits: its product with a whole number is exact.
const LN_2: (f32, f32) = (0.693_359_4, -2.121_944_4e-4);

/// e to the power of x. NaN stays NaN.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let clamped = x.clamp(LEAST, LARGEST);
    let shifted = clamped * std::f32::consts::LOG2_E + WHOLE;
    let whole = shifted - WHOLE;
    let rest = clamped - whole * LN_2.0 - whole * LN_2.1;
    let mut sum = 1.987_569_1e-4;
    for coefficient in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1] {
        sum = sum * rest + coefficient;
    }
    let sum = sum * rest * rest + rest + 1.0;
    // 2 to the power of `whole`, in two factors: one alone can be beyond what a float holds.
    let power = (shifted.to_bits() as i32).wrapping_sub(WHOLE.to_bits() as i32);
    let half = power >> 1;
    let factor = |power: i32| f32::from_bits((power.wrapping_add(127) as u32) << 23);
    let value = sum * factor(half) * factor(power.wrapping_sub(half));
    let value = if x > LARGEST { f32::INFINITY } else { value };
    let value = if x < LEAST { 0.0 } else { value };
    if x.is_nan() { x } else { value }
}

/// The hyperbolic tangent. NaN stays NaN.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let size = x.abs();
    let square = x * x;
    let mut sum = -5.704_989e-3;
    for coefficient in [2.063_908_8e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1] {
        sum = sum * square + coefficient;
    }
    let near = sum * square * x + x;
    let far = 1.0 - 2.0 / (exp(2.0 * size) + 1.0);
    let value = if size < 0.625 { near } else { far }.copysign(x);
    if x.is_nan() { x } else { value }
}

/// eˣ − 1, for x up to 0 (beyond, where e^(x/2) is finite). NaN stays NaN.
#[inline(always)]
pub fn exp_m1(x: f32) -> f32 {
    let half = tanh(0.5 * x);
    2.0 * half / (1.0 - half)
}

/// The error function, within 4e-7: an odd rational function, ±1 far out (the coefficients of Eigen's `erf`). NaN stays NaN.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    // From here on it is 1 in 32 bits.
    const ONE: f32 = 3.9;
    let bounded = x.clamp(-ONE, ONE);
    let square = bounded * bounded;
    let mut above = -2.726_142_3e-10;
    for coefficient in [
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_3e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ] {
        above = above * square + coefficient;
    }
    let mut below = -1.456_607_2e-5;
    for coefficient in [-2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2] {
        below = below * square + coefficient;
    }
    let near = bounded * above / below;
    if x.abs() >= ONE { 1.0f32.copysign(x) } else { near }
}

/// 1 / (1 + e⁻ˣ). NaN stays NaN.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest difference from the function in 64 bits, in units of the last place.
    fn worst(function: fn(f32) -> f32, truth: fn(f64) -> f64, from: f32, to: f32) -> f64 {
        const STEPS: usize = 1_000_000;
        let units = |step: usize| {
            let x = from + (to - from) * (step as f32 / STEPS as f32);
            let truth = truth(f64::from(x));
            let near = truth as f32;
            let unit = f64::from(near.abs().next_up() - near.abs()).max(f64::from(f32::MIN_POSITIVE));
            (f64::from(function(x)) - truth).abs() / unit
        };
        (0..=STEPS).map(units).fold(0.0, f64::max)
    }

    #[test]
    fn they_are_near_the_functions_in_64_bits() {
        for (from, to) in [(-87.0, 88.7), (-1.0, 1.0), (-1e-3, 1e-3)] {
            let units = worst(exp, f64::exp, from, to);
            assert!(units < 2.0, "exp from {from} to {to}: {units}");
        }
        for (from, to) in [(-10.0, 10.0), (-0.7, 0.7), (-1e-3, 1e-3)] {
            let units = worst(tanh, f64::tanh, from, to);
            assert!(units < 2.0, "tanh from {from} to {to}: {units}");
        }
        for (from, to) in [(-80.0, 80.0), (-2.0, 2.0)] {
            let units = worst(sigmoid, |x| 1.0 / (1.0 + (-x).exp()), from, to);
            assert!(units < 3.0, "sigmoid from {from} to {to}: {units}");
        }
    }

    #[test]
    fn erf_and_exp_m1_are_near_the_functions_in_64_bits() {
        for (from, to) in [(-20.0, 0.0), (-1e-3, 0.0)] {
            let units = worst(exp_m1, f64::exp_m1, from, to);
            assert!(units < 5.0, "exp_m1 from {from} to {to}: {units}");
        }
        let truth = candle_core::cpu::erf::erf_f64;
        let units = worst(erf, truth, -1e-2, 1e-2);
        assert!(units < 8.0, "erf near 0: {units}");
        for step in -100_000..=100_000i32 {
            let x = step as f32 * 5e-5;
            let apart = (f64::from(erf(x)) - truth(f64::from(x))).abs();
            assert!(apart < 4e-7, "erf({x}) is off by {apart:e}");
        }
    }

    #[test]
    fn far_values_are_the_limits_and_nan_stays() {
        assert_eq!([erf(-1e30), erf(0.0), erf(f32::INFINITY)], [-1.0, 0.0, 1.0]);
        assert_eq!([exp_m1(-1e30), exp_m1(0.0)], [-1.0, 0.0]);
        assert!(erf(f32::NAN).is_nan() && exp_m1(f32::NAN).is_nan());
        assert_eq!([exp(-200.0), exp(0.0), exp(200.0)], [0.0, 1.0, f32::INFINITY]);
        assert_eq!([exp(f32::NEG_INFINITY), exp(f32::INFINITY)], [0.0, f32::INFINITY]);
        assert!(exp(-100.0) > 0.0 && exp(88.7) < f32::INFINITY);
        assert_eq!([tanh(-100.0), tanh(0.0), tanh(100.0)], [-1.0, 0.0, 1.0]);
        assert_eq!([tanh(f32::NEG_INFINITY), tanh(f32::INFINITY)], [-1.0, 1.0]);
        assert!(tanh(-0.0).is_sign_negative());
        assert_eq!([sigmoid(-1e9), sigmoid(0.0), sigmoid(1e9)], [0.0, 0.5, 1.0]);
        assert!(exp(f32::NAN).is_nan() && tanh(f32::NAN).is_nan() && sigmoid(f32::NAN).is_nan());
    }
}
