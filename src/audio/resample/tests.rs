use proptest::prelude::*;

use super::*;

fn sine(frequency: f64, rate: u32, samples: usize) -> Vec<f32> {
    (0..samples)
        .map(|i| (std::f64::consts::TAU * frequency * i as f64 / f64::from(rate)).sin() as f32)
        .collect()
}

#[test]
fn a_tone_keeps_its_phase_and_level() {
    for (from, to) in [
        (44_100, 22_050),
        (44_100, 16_000),
        (22_050, 44_100),
        (48_000, 44_100),
        (8_000, 44_100),
        (192_000, 1_000),
        (44_100, 44_101),
        (96_000, 22_051),
    ] {
        let seconds = 1.0;
        let source = sine(100.0, from, (f64::from(from) * seconds) as usize);
        let result = resample(&source, from, to, Resampler::SoxrHq).unwrap();
        let expected = sine(100.0, to, result.len());
        // Away from the ends, where the filter sees the silence outside.
        let edge = (120.0 * f64::max(1.0, f64::from(to) / f64::from(from))) as usize;
        let worst = (edge..result.len().saturating_sub(edge))
            .map(|i| (result[i] - expected[i]).abs())
            .fold(0.0, f32::max);
        assert!(worst < 2e-5, "{from} to {to}: {worst}");
    }
}

#[test]
fn what_the_lower_rate_cannot_hold_is_removed() {
    let source = sine(12_000.0, 44_100, 44_100);
    let result = resample(&source, 44_100, 22_050, Resampler::SoxrHq).unwrap();
    let loudest = result[200..result.len() - 200]
        .iter()
        .fold(0.0_f32, |a, b| a.max(b.abs()));
    assert!(loudest < 1e-6, "{loudest}");
}

#[test]
fn rubato_has_no_delay_either() {
    let source = sine(440.0, 44_100, 44_100);
    let result = resample(&source, 44_100, 16_000, Resampler::RubatoFft).unwrap();
    let expected = sine(440.0, 16_000, 16_000);
    assert_eq!(result.len(), 16_000);
    let worst = (400..15_600)
        .map(|i| (result[i] - expected[i]).abs())
        .fold(0.0, f32::max);
    assert!(worst < 1e-3, "{worst}");
}

#[test]
fn lengths_are_those_of_soxr_and_librosa() {
    // Lengths of soxr.resample and of librosa.resample.
    for (samples, from, to, rendered, padded) in [
        (441, 44_100, 16_000, 160, 160),
        (1, 44_100, 22_050, 1, 1),
        (4, 44_100, 16_000, 1, 2),
        (3, 44_100, 22_050, 2, 2),
        (100_003, 48_000, 44_100, 91_878, 91_878),
    ] {
        assert_eq!(
            Length::of(samples, from, to),
            Length { rendered, padded },
            "{samples} {from} {to}"
        );
    }
}

#[test]
fn absurd_rates_are_refused() {
    assert!(matches!(
        resample(&[0.0], 0, 44_100, Resampler::SoxrHq),
        Err(Error::Setting { .. })
    ));
    assert!(matches!(
        resample(&[0.0], 44_100, u32::MAX, Resampler::SoxrHq),
        Err(Error::Setting { .. })
    ));
}

#[test]
fn nothing_and_almost_nothing() {
    assert!(resample(&[], 44_100, 16_000, Resampler::SoxrHq).unwrap().is_empty());
    for resampler in [Resampler::SoxrHq, Resampler::RubatoFft] {
        assert_eq!(resample(&[0.5], 44_100, 48_000, resampler).unwrap().len(), 2);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Any part, computed from the source samples that it asks for, has the bits of the whole.
    #[test]
    fn a_part_has_the_bits_of_the_whole(
        rates in prop::sample::select(vec![(44_100, 22_050), (44_100, 16_000), (16_000, 22_050), (48_000, 44_100), (8_000, 8_001)]),
        resampler in prop::sample::select(vec![Resampler::SoxrHq, Resampler::RubatoFft]),
        samples in 1_usize..30_000, start in 0.0_f64..1.0, share in 0.0_f64..1.0,
    ) {
        let (from, to) = rates;
        let source: Vec<f32> = (0..samples).map(|i| ((i * 7919) % 1009) as f32 / 504.5 - 1.0).collect();
        let whole = resample(&source, from, to, resampler).unwrap();
        let rendered = Length::of(samples as u64, from, to).rendered as usize;
        let begin = (start * rendered as f64) as usize;
        let count = (share * (rendered - begin) as f64) as usize;
        let plan = Plan::new(from, to, resampler).unwrap();
        let needed = plan.source_range(begin as u64..(begin + count) as u64);
        let needed = (needed.start as usize).min(samples)..(needed.end as usize).min(samples);
        let mut part = vec![0.0; count];
        plan.render(&source[needed.clone()], needed.start as u64, begin as u64, &mut part).unwrap();
        prop_assert_eq!(part, &whole[begin..begin + count]);
    }
}
