//! Mel-frequency cepstral coefficients: the cosine transform of a mel spectrogram in decibels, band by band.
//!
//! The numbers are those of `librosa.feature.mfcc(S=…, dct_type=2)`.

use std::f64::consts::PI;

use super::Error;

/// How the cosine transform is scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MfccNorm {
    /// An orthonormal transform (`norm="ortho"`, librosa's default).
    #[default]
    Ortho,
    /// Twice the sum (`norm=None`).
    None,
}

/// Which coefficients are computed.
#[derive(Debug, Clone, PartialEq)]
pub struct MfccSpec {
    /// Coefficients; `1..=n_mels`.
    pub n_mfcc: usize,
    pub norm: MfccNorm,
    /// Coefficient `n` (from 0) is multiplied with `1 + lifter / 2 · sin(π (n + 1) / lifter)`; 0: not at all.
    pub lifter: f64,
}

/// From a spectrogram `[n_mels, frames]` in decibels (librosa: `power_to_db` with reference 1) to coefficients
/// `[n_mfcc, frames]`.
///
/// The transform is the DCT-II: coefficient `k` is `2 · Σ x[n] · cos(π k (2n + 1) / 2N)`, scaled with `√(1/4N)` for `k = 0`
/// and `√(1/2N)` otherwise where it is to be orthonormal (scipy.fft.dct).
///
/// # Errors
/// [`Error::Setting`] for `n_mfcc` or `lifter` outside their ranges, [`Error::Shape`] where the array is not a multiple of
/// `n_mels` long.
pub fn mfcc(decibels: &[f32], n_mels: usize, spec: &MfccSpec) -> Result<Vec<f32>, Error> {
    if !(1..=n_mels).contains(&spec.n_mfcc) {
        return Err(Error::Setting {
            name: "n_mfcc",
            value: spec.n_mfcc.to_string(),
            expected: format!("1 to {n_mels} (n_mels)"),
        });
    }
    if !(spec.lifter >= 0.0 && spec.lifter.is_finite()) {
        return Err(Error::Setting {
            name: "lifter",
            value: spec.lifter.to_string(),
            expected: "0 (none) or a number above 0".into(),
        });
    }
    let frames = decibels.len() / n_mels;
    if frames * n_mels != decibels.len() {
        return Err(Error::Shape {
            got: decibels.len(),
            expected: frames * n_mels,
        });
    }
    let mut sums = vec![0.0_f64; frames];
    let mut out = Vec::with_capacity(spec.n_mfcc * frames);
    for k in 0..spec.n_mfcc {
        sums.fill(0.0);
        for (n, row) in decibels.chunks_exact(frames.max(1)).enumerate() {
            let weight = (PI * k as f64 * (2 * n + 1) as f64 / (2 * n_mels) as f64).cos();
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += weight * f64::from(value);
            }
        }
        let scale = scale(k, n_mels, spec);
        out.extend(sums.iter().map(|sum| (sum * scale) as f32));
    }
    Ok(out)
}

fn scale(k: usize, n_mels: usize, spec: &MfccSpec) -> f64 {
    let transform = match (spec.norm, k) {
        (MfccNorm::None, _) => 2.0,
        (MfccNorm::Ortho, 0) => (1.0 / n_mels as f64).sqrt(),
        (MfccNorm::Ortho, _) => (2.0 / n_mels as f64).sqrt(),
    };
    if spec.lifter > 0.0 {
        transform * (1.0 + spec.lifter / 2.0 * (PI * (k + 1) as f64 / spec.lifter).sin())
    } else {
        transform
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: MfccSpec = MfccSpec {
        n_mfcc: 3,
        norm: MfccNorm::Ortho,
        lifter: 0.0,
    };

    #[test]
    fn coefficients_are_scipys() {
        // scipy.fft.dct([[1, 5], [2, 6], [3, 7], [4, 9]], axis=0, norm="ortho")[:3]
        let decibels = [1.0, 5.0, 2.0, 6.0, 3.0, 7.0, 4.0, 9.0];
        let expected = [5.0, 13.5, -2.230_442_5, -2.883_724, 0.0, 0.5];
        for (got, expected) in mfcc(&decibels, 4, &PLAIN).unwrap().iter().zip(expected) {
            assert!((got - expected).abs() < 1e-5, "{got} for {expected}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        for (wrong, name) in [
            (MfccSpec { n_mfcc: 0, ..PLAIN }, "n_mfcc"),
            (MfccSpec { n_mfcc: 5, ..PLAIN }, "n_mfcc"),
            (
                MfccSpec {
                    lifter: f64::NAN,
                    ..PLAIN
                },
                "lifter",
            ),
        ] {
            let error = mfcc(&[0.0; 8], 4, &wrong).unwrap_err();
            assert!(
                matches!(error, Error::Setting { name: said, .. } if said == name),
                "{error}"
            );
        }
        assert!(matches!(mfcc(&[0.0; 9], 4, &PLAIN), Err(Error::Shape { .. })));
        assert!(mfcc(&[], 4, &PLAIN).unwrap().is_empty());
    }
}
