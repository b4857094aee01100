//! Loudness over time: the root of the mean square of each frame, as `librosa.feature.rms(y=…)`.

use super::mel::{check_samples, padded};
use super::spec::MAX_N_FFT;
use super::{Error, PadMode};

/// Frames of the signal.
#[derive(Debug, Clone, PartialEq)]
pub struct RmsSpec {
    /// Samples.
    pub frame_length: usize,
    /// Samples; at least 1.
    pub hop_length: usize,
    /// Whether frame `t` is centred on sample `t · hop_length`, or begins there.
    pub center: bool,
    pub pad_mode: PadMode,
}

/// One value per frame. With `pad = frame_length / 2` (0 where not centred) there are
/// `1 + (samples + 2 · pad − frame_length) / hop_length` frames.
///
/// # Errors
/// [`Error::Setting`] for lengths outside `1..=65536`, [`Error::TooShort`] where there is not one frame,
/// [`Error::SampleValue`] for samples that are not finite or huge.
pub fn rms(samples: &[f32], spec: &RmsSpec) -> Result<Vec<f32>, Error> {
    for (name, value) in [("frame_length", spec.frame_length), ("hop_length", spec.hop_length)] {
        if !(1..=MAX_N_FFT).contains(&value) {
            return Err(Error::Setting {
                name,
                value: value.to_string(),
                expected: format!("1 to {MAX_N_FFT} samples"),
            });
        }
    }
    let pad = if spec.center { spec.frame_length / 2 } else { 0 };
    let needed = spec.frame_length.saturating_sub(2 * pad).max(1);
    let Some(uncovered) = samples.len().checked_sub(needed) else {
        return Err(Error::TooShort {
            samples: samples.len(),
            needed,
        });
    };
    check_samples(samples)?;
    // An even frame that is centred needs no sample of its own: its padding suffices.
    let uncovered = uncovered + needed + 2 * pad - spec.frame_length;
    let mut edge = vec![0.0; spec.frame_length];
    Ok((0..=uncovered / spec.hop_length)
        .map(|frame| {
            let begin = (frame * spec.hop_length) as i64 - pad as i64;
            let inside = usize::try_from(begin)
                .ok()
                .and_then(|begin| samples.get(begin..begin + spec.frame_length));
            let frame = inside.unwrap_or_else(|| {
                for (i, value) in edge.iter_mut().enumerate() {
                    *value = padded(samples, begin + i as i64, spec.pad_mode);
                }
                &edge
            });
            (squares(frame) / spec.frame_length as f64).sqrt() as f32
        })
        .collect())
}

/// The sum of squares, in a form that compilers turn into vector instructions.
fn squares(samples: &[f32]) -> f64 {
    let (chunks, rest) = samples.as_chunks::<8>();
    let mut sums = [0.0_f64; 8];
    for chunk in chunks {
        for (sum, &sample) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(sample) * f64::from(sample);
        }
    }
    let rest: f64 = rest.iter().map(|&sample| f64::from(sample) * f64::from(sample)).sum();
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: RmsSpec = RmsSpec {
        frame_length: 4,
        hop_length: 2,
        center: true,
        pad_mode: PadMode::Constant,
    };

    #[test]
    fn values_are_librosas() {
        let samples = [1.0, 2.0, 3.0, 4.0, 5.0];
        // librosa.feature.rms(y=…, frame_length=4, hop_length=2, center=…, pad_mode=…)[0]
        let uncentred = RmsSpec { center: false, ..SPEC };
        let reflected = RmsSpec {
            pad_mode: PadMode::Reflect,
            ..SPEC
        };
        for (spec, expected) in [
            (SPEC, &[1.118_034, 2.738_612_8, 3.535_534][..]),
            (uncentred, &[2.738_612_8][..]),
            (reflected, &[2.121_320_3, 2.738_612_8, 4.062_019_3][..]),
        ] {
            let got = rms(&samples, &spec).unwrap();
            assert_eq!(got.len(), expected.len());
            for (got, expected) in got.iter().zip(expected) {
                assert!((got - expected).abs() < 1e-6, "{got} for {expected}: {spec:?}");
            }
        }
        assert_eq!(rms(&[0.0; 9], &SPEC).unwrap(), [0.0; 5]);
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        for wrong in [
            RmsSpec {
                frame_length: 0,
                ..SPEC
            },
            RmsSpec { hop_length: 0, ..SPEC },
        ] {
            assert!(matches!(rms(&[0.0; 9], &wrong), Err(Error::Setting { .. })));
        }
        let uncentred = RmsSpec { center: false, ..SPEC };
        assert!(matches!(
            rms(&[0.0; 3], &uncentred),
            Err(Error::TooShort { needed: 4, .. })
        ));
        assert!(matches!(rms(&[], &SPEC), Err(Error::TooShort { needed: 1, .. })));
        assert!(matches!(
            rms(&[0.0, f32::NAN], &SPEC),
            Err(Error::SampleValue { index: 1 })
        ));
    }
}
