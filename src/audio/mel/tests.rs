use super::*;
use crate::audio::{DbReference, MelNorm, MelScale, Scale, WindowFunction};

fn spec() -> MelSpec {
    MelSpec {
        sample_rate: 16_000,
        n_fft: 512,
        hop_length: 160,
        win_length: 512,
        window: WindowFunction::Hann,
        center: true,
        pad_mode: PadMode::Constant,
        power: Power::Power,
        n_mels: 40,
        fmin: 0.0,
        fmax: 8_000.0,
        mel_scale: MelScale::Slaney,
        mel_norm: MelNorm::Slaney,
        scale: Scale::Power,
    }
}

fn extract(spec: &MelSpec, samples: &[f32]) -> Vec<f32> {
    let extractor = MelExtractor::new(spec).unwrap();
    let mut out = vec![f32::NAN; extractor.frames(samples.len()) * extractor.n_mels()];
    extractor.extract(&mut Scratch::default(), samples, &mut out).unwrap();
    out
}

fn noise(samples: usize) -> Vec<f32> {
    let mut state = 7_u32;
    (0..samples)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// The definition, written out: a transform of every frame by its sum, in 64 bits.
fn plain(spec: &MelSpec, samples: &[f32]) -> Vec<f64> {
    let window = window(spec.window, spec.win_length);
    let bank = Filterbank::new(spec);
    let frames = MelExtractor::new(spec).unwrap().frames(samples.len());
    let mut out = vec![0.0; frames * spec.n_mels];
    let n = spec.n_fft as i64;
    for frame in 0..frames {
        let begin = (frame * spec.hop_length) as i64 - if spec.center { n / 2 } else { 0 };
        let lead = (n - spec.win_length as i64) / 2;
        let power: Vec<f64> = (0..=n / 2)
            .map(|bin| {
                let (mut re, mut im) = (0.0, 0.0);
                for (i, w) in (lead..).zip(&window) {
                    let x = f64::from(padded(samples, begin + i, spec.pad_mode)) * w;
                    let angle = -std::f64::consts::TAU * (bin * i % n) as f64 / n as f64;
                    re += x * angle.cos();
                    im += x * angle.sin();
                }
                let power = re * re + im * im;
                if spec.power == Power::Magnitude {
                    power.sqrt()
                } else {
                    power
                }
            })
            .collect();
        for (mel, (first, weights)) in bank.iter().enumerate() {
            let sum = weights
                .iter()
                .zip(&power[first..])
                .map(|(w, p)| f64::from(*w) * p)
                .sum();
            out[mel * frames + frame] = sum;
        }
    }
    out
}

#[test]
fn it_is_the_definition() {
    for (spec, samples) in [
        (spec(), 1_000),
        (
            MelSpec {
                center: false,
                ..spec()
            },
            1_000,
        ),
        (
            MelSpec {
                pad_mode: PadMode::Reflect,
                ..spec()
            },
            100,
        ),
        (
            MelSpec {
                win_length: 301,
                power: Power::Magnitude,
                ..spec()
            },
            999,
        ),
        (
            MelSpec {
                n_fft: 30,
                win_length: 30,
                hop_length: 200,
                n_mels: 5,
                ..spec()
            },
            6_500,
        ),
        (
            MelSpec {
                fmin: 1_000.0,
                fmax: 2_000.0,
                n_mels: 7,
                ..spec()
            },
            700,
        ),
    ] {
        let samples = noise(samples);
        let got = extract(&spec, &samples);
        let expected = plain(&spec, &samples);
        assert_eq!(got.len(), expected.len());
        let largest = expected.iter().copied().fold(0.0, f64::max);
        for (got, expected) in got.iter().zip(expected) {
            let error = (f64::from(*got) - expected).abs();
            assert!(
                error <= 1e-5 * expected + 1e-10 * largest,
                "{got} for {expected}: {spec:?}"
            );
        }
    }
}

#[test]
fn a_quiet_frame_beside_a_loud_one_keeps_its_precision() {
    let spec = MelSpec {
        hop_length: 512,
        center: false,
        ..spec()
    };
    let quiet: Vec<f32> = noise(512).iter().map(|sample| sample * 1e-6).collect();
    let alone = extract(&spec, &quiet);
    let together = extract(&spec, &[noise(512), quiet].concat());
    for (mel, alone) in alone.iter().enumerate() {
        let beside = together[2 * mel + 1];
        assert!((beside - alone).abs() <= 1e-5 * alone, "{beside} for {alone}");
    }
}

#[test]
fn silence_is_finite_and_even() {
    for scale in [Scale::Power, Scale::default(), Scale::Log { offset: 1e-6 }] {
        let out = extract(&MelSpec { scale, ..spec() }, &[0.0; 4_000]);
        assert!(out.iter().all(|value| value.is_finite() && *value == out[0]));
    }
}

#[test]
fn the_bits_depend_on_nothing_but_the_samples() {
    let spec = MelSpec {
        scale: Scale::default(),
        ..spec()
    };
    let extractor = MelExtractor::new(&spec).unwrap();
    let samples = noise(20_000);
    let expected = extract(&spec, &samples);
    let mut used = Scratch::default();
    let other = MelExtractor::new(&MelSpec {
        n_fft: 2048,
        win_length: 2048,
        ..spec.clone()
    })
    .unwrap();
    let mut out = vec![0.0; other.frames(20_000) * other.n_mels()];
    other.extract(&mut used, &samples, &mut out).unwrap();
    std::thread::scope(|scope| {
        for scratch in [used, Scratch::default()] {
            let (extractor, samples, expected) = (&extractor, &samples, &expected);
            scope.spawn(move || {
                let mut scratch = scratch;
                let mut out = vec![0.0; expected.len()];
                extractor.extract(&mut scratch, samples, &mut out).unwrap();
                assert_eq!(&out, expected);
            });
        }
    });
}

#[test]
fn what_cannot_be_done_is_said() {
    let extractor = MelExtractor::new(&MelSpec {
        center: false,
        ..spec()
    })
    .unwrap();
    let scratch = &mut Scratch::default();
    assert_eq!((extractor.frames(511), extractor.frames(512)), (0, 1));
    assert!(matches!(
        extractor.extract(scratch, &[0.0; 511], &mut []),
        Err(Error::TooShort { needed: 512, .. })
    ));
    assert!(matches!(
        extractor.extract(scratch, &[0.0; 512], &mut [0.0]),
        Err(Error::Shape { expected: 40, .. })
    ));
    for wrong in [f32::NAN, f32::INFINITY, 1e30] {
        let mut samples = [0.0; 512];
        samples[9] = wrong;
        let result = extractor.extract(scratch, &samples, &mut [0.0; 40]);
        assert!(matches!(result, Err(Error::SampleValue { index: 9 })), "{wrong}");
    }
    let db = Scale::Db {
        reference: DbReference::Max,
        top_db: f64::NAN,
        amin: 1e-10,
    };
    for (name, wrong) in [
        ("n_fft", MelSpec { n_fft: 511, ..spec() }),
        ("n_fft", MelSpec { n_fft: 0, ..spec() }),
        (
            "hop_length",
            MelSpec {
                hop_length: 0,
                ..spec()
            },
        ),
        (
            "win_length",
            MelSpec {
                win_length: 513,
                ..spec()
            },
        ),
        ("n_mels", MelSpec { n_mels: 0, ..spec() }),
        (
            "fmin",
            MelSpec {
                fmin: f64::NAN,
                ..spec()
            },
        ),
        (
            "fmax",
            MelSpec {
                fmax: 8_001.0,
                ..spec()
            },
        ),
        ("scale.top_db", MelSpec { scale: db, ..spec() }),
    ] {
        let error = MelExtractor::new(&wrong).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn too_many_bands_are_counted() {
    let extractor = MelExtractor::new(&MelSpec { n_mels: 400, ..spec() }).unwrap();
    assert!(extractor.empty_bands() > 0);
    assert_eq!(MelExtractor::new(&spec()).unwrap().empty_bands(), 0);
}
