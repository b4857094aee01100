//! The windows of the short-time Fourier transform, as `scipy.signal.get_window(…, fftbins=True)` gives them.

use std::f64::consts::TAU;

use super::WindowFunction;

/// A periodic window of `length` samples: sums of cosines at multiples of `2π · i / length`.
pub(super) fn window(function: WindowFunction, length: usize) -> Vec<f64> {
    let coefficients: &[f64] = match function {
        WindowFunction::Hann => &[0.5, 0.5],
        WindowFunction::Hamming => &[0.54, 0.46],
        WindowFunction::Blackman => &[0.42, 0.5, 0.08],
        WindowFunction::Boxcar => &[1.0],
    };
    (0..length)
        .map(|i| {
            let angle = TAU * i as f64 / length as f64;
            let mut value = 0.0;
            let mut sign = 1.0;
            for (harmonic, coefficient) in coefficients.iter().enumerate() {
                value += sign * coefficient * (harmonic as f64 * angle).cos();
                sign = -sign;
            }
            value
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_periodic() {
        assert_eq!(window(WindowFunction::Boxcar, 3), [1.0; 3]);
        let expected = [
            // scipy.signal.get_window(name, 4)
            (WindowFunction::Hann, [0.0, 0.5, 1.0, 0.5]),
            (WindowFunction::Hamming, [0.08, 0.54, 1.0, 0.54]),
            (WindowFunction::Blackman, [0.0, 0.34, 1.0, 0.34]),
        ];
        for (function, expected) in expected {
            for (got, expected) in window(function, 4).iter().zip(expected) {
                assert!((got - expected).abs() < 1e-15, "{function:?}: {got} for {expected}");
            }
        }
    }
}
