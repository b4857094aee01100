//! Masks of frames and of bands (Park et al. 2019, section 2, without time warping).

use super::super::spec::augment::{MaskFill, SpecAugmentSpec};
use crate::random::Generator;

/// Masks `[channels, rows, frames]` in place; all channels alike.
pub fn mask(spec: &SpecAugmentSpec, generator: &mut Generator, shape: [usize; 3], values: &mut [f32]) {
    let [_, rows, frames] = shape;
    let fill = match spec.fill {
        MaskFill::Mean => {
            let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
            (sum / values.len().max(1) as f64) as f32
        }
        MaskFill::Zero => 0.0,
        MaskFill::Minimum => super::minimum(values),
    };
    for _ in 0..spec.frequency_masks {
        let (start, width) = place(generator, spec.frequency_width, rows);
        for channel in values.chunks_exact_mut((rows * frames).max(1)) {
            channel[start * frames..(start + width) * frames].fill(fill);
        }
    }
    let widest = spec.time_width.min((spec.time_share * frames as f64) as usize);
    for _ in 0..spec.time_masks {
        let (start, width) = place(generator, widest, frames);
        for row in values.chunks_exact_mut(frames.max(1)) {
            row[start..start + width].fill(fill);
        }
    }
}

/// A start and a width within `size`; the width is uniform in 0 … `widest`.
fn place(generator: &mut Generator, widest: usize, size: usize) -> (usize, usize) {
    let width = generator.below(widest.min(size) + 1);
    (generator.below(size - width + 1), width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_bands_and_stretches_of_at_most_the_width() {
        let spec: SpecAugmentSpec =
            toml::from_str("time_masks = 1\ntime_width = 5\nfrequency_masks = 1\nfrequency_width = 3\nfill = \"zero\"")
                .unwrap();
        let (mut widest_time, mut widest_band) = (0, 0);
        for seed in 0..200 {
            let mut values = vec![1.0f32; 2 * 8 * 20];
            mask(&spec, &mut Generator::keyed(seed, "test", &[]), [2, 8, 20], &mut values);
            assert_eq!(values[..160], values[160..]);
            let at = |row: usize, frame: usize| values[row * 20 + frame] == 0.0;
            let frames = (0..20).filter(|&frame| (0..8).all(|row| at(row, frame))).count();
            let bands = (0..8).filter(|&row| (0..20).all(|frame| at(row, frame))).count();
            let masked = values[..160].iter().filter(|&&value| value == 0.0).count();
            assert_eq!(masked, 8 * frames + 20 * bands - frames * bands);
            widest_time = widest_time.max(frames);
            widest_band = widest_band.max(bands);
        }
        assert_eq!((widest_time, widest_band), (5, 3));
    }

    #[test]
    fn the_share_limits_the_width_and_the_mean_fills() {
        let spec: SpecAugmentSpec = toml::from_str("time_share = 0.25\nfrequency_masks = 0\ntime_masks = 1").unwrap();
        for seed in 0..50 {
            let mut values: Vec<f32> = (0..8).map(|value| value as f32).collect();
            mask(&spec, &mut Generator::keyed(seed, "test", &[]), [1, 1, 8], &mut values);
            assert!(values.iter().filter(|&&value| value == 3.5).count() <= 2);
        }
    }
}
