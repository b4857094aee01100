//! Some training examples as pictures for TensorBoard: as they are, and as augmentation changes them in the first epoch.

use super::Work;
use crate::cli::failure::Failure;
use crate::features::Recipe;
use crate::train::augment::Augment;

/// Shown with the first update: a run that begins again before its first checkpoint takes them back.
const STEP: u64 = 1;
/// Wider arrays are thinned out.
const WIDEST: usize = 2_000;
/// Arrays with fewer rows are drawn with several pixels for each.
const LEAST_HEIGHT: usize = 128;
/// Of the values, this share at each end has the colour of its end.
const TAIL: f64 = 0.005;
/// Matplotlib's viridis at 0, 1/8 … 1: equal steps look equal, also without colour.
const VIRIDIS: [[u8; 3]; 9] = [
    [68, 1, 84],
    [71, 44, 122],
    [59, 81, 139],
    [44, 113, 142],
    [33, 144, 141],
    [39, 173, 129],
    [92, 200, 99],
    [170, 220, 50],
    [253, 231, 37],
];

/// How arrays become pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Low rows at the bottom, channels above each other, values as colours.
    Spectrogram,
    /// Three channels are red, green and blue.
    Picture,
}

/// The values that the ends of the colour scale stand for.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Scale {
    low: f32,
    high: f32,
}

impl Work<'_> {
    /// Records them; evenly chosen from the training split.
    pub(super) fn show_examples(&self) -> Result<(), Failure> {
        let train = &self.sides.train;
        let wanted = self.frame.experiment.record.examples.min(train.len());
        let shape = self.features.shape();
        let look = match (&self.frame.experiment.features, shape[0]) {
            (Recipe::Image(_), 3) => Look::Picture,
            _ => Look::Spectrogram,
        };
        let spec = &self.frame.experiment.augment;
        let changes = spec.time_shift.is_some() || spec.gain.is_some() || spec.spec_augment.is_some();
        let mut values = vec![0.0; self.features.array_len()];
        for number in 0..wanted {
            let Some(&example) = train.get(number * train.len() / wanted) else {
                continue;
            };
            let id = self.prepared.ids.get(example).map_or("", String::as_str);
            self.features.read(example, &mut values)?;
            let name = |which: &str| format!("examples/{id}{which}");
            if !changes {
                self.show(&name(""), &values, shape, look, Scale::of(&[&values]));
                continue;
            }
            let augment = Augment {
                spec,
                seed: self.frame.experiment.experiment.seed,
                epoch: 1,
            };
            let mut augmented = values.clone();
            augment.example(example, shape, &mut augmented);
            // One scale for both, so that a change of level shows; in this order on the page, which sorts by name.
            let scale = Scale::of(&[&values, &augmented]);
            self.show(&name(": as it is"), &values, shape, look, scale);
            self.show(&name(": augmented, epoch 1"), &augmented, shape, look, scale);
        }
        Ok(())
    }

    fn show(&self, name: &str, values: &[f32], shape: [usize; 3], look: Look, scale: Scale) {
        if let Some((size, rgb)) = picture(values, shape, look, scale) {
            self.frame.recorder.image(name, STEP, size, rgb);
        }
    }
}

impl Scale {
    fn of(arrays: &[&[f32]]) -> Self {
        let values = arrays.iter().flat_map(|values| values.iter().copied());
        let mut sorted: Vec<f32> = values.filter(|value| value.is_finite()).collect();
        sorted.sort_by(f32::total_cmp);
        let last = sorted.len().saturating_sub(1) as f64;
        let at = |share: f64| sorted.get((share * last).round() as usize).copied().unwrap_or(0.0);
        Self {
            low: at(TAIL),
            high: at(1.0 - TAIL),
        }
    }

    /// 0 … 1; a value that is no number is 0.
    fn place(self, value: f32) -> f32 {
        let width = (self.high - self.low).max(f32::MIN_POSITIVE);
        ((value - self.low) / width).clamp(0.0, 1.0).max(0.0)
    }

    fn colour(self, value: f32) -> [u8; 3] {
        let place = self.place(value) * (VIRIDIS.len() - 1) as f32;
        let (step, rest) = (place as usize, place.fract());
        let end = |step: usize| VIRIDIS.get(step).or(VIRIDIS.last()).copied().unwrap_or_default();
        let (from, to) = (end(step), end(step + 1));
        std::array::from_fn(|part| {
            let (from, to) = (f32::from(from[part]), f32::from(to[part]));
            (from + (to - from) * rest).round() as u8
        })
    }
}

/// Width, height and interleaved RGB of `[channels, rows, frames]`; `None` where there is nothing to draw.
fn picture(
    values: &[f32],
    [channels, rows, frames]: [usize; 3],
    look: Look,
    scale: Scale,
) -> Option<((u32, u32), Vec<u8>)> {
    let drawn = match look {
        Look::Spectrogram => channels * rows,
        Look::Picture => rows,
    };
    if values.is_empty() || values.len() != channels * rows * frames {
        return None;
    }
    let zoom = LEAST_HEIGHT.div_ceil(drawn);
    let (width, height) = (frames.min(WIDEST), drawn * zoom);
    let at = |channel: usize, row: usize, frame: usize| {
        let value = values.get((channel * rows + row) * frames + frame);
        value.copied().unwrap_or(f32::NAN)
    };
    let mut rgb = Vec::with_capacity(3 * width * height);
    for y in 0..height {
        let line = y / zoom;
        for x in 0..width {
            let frame = x * frames / width;
            rgb.extend(match look {
                Look::Spectrogram => scale.colour(at(line / rows, rows - 1 - line % rows, frame)),
                Look::Picture => {
                    std::array::from_fn(|channel| (255.0 * scale.place(at(channel, line, frame))).round() as u8)
                }
            });
        }
    }
    Some(((u32::try_from(width).ok()?, u32::try_from(height).ok()?), rgb))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALE: Scale = Scale { low: 0.0, high: 1.0 };

    #[test]
    fn low_rows_of_a_spectrogram_are_at_the_bottom_and_the_ends_of_the_scale_have_its_colours() {
        let ((width, height), rgb) =
            picture(&[0.0, 0.0, 0.0, 1.0, 2.0, 1.0], [1, 2, 3], Look::Spectrogram, SCALE).unwrap();
        assert_eq!((width, height), (3, 128));
        assert_eq!(rgb.len(), 3 * 3 * 128);
        assert_eq!(rgb.first_chunk(), Some(&VIRIDIS[8]));
        assert_eq!(rgb.last_chunk(), Some(&VIRIDIS[0]));
        assert_eq!(SCALE.colour(f32::NAN), VIRIDIS[0]);
        assert_eq!(SCALE.colour(0.5), VIRIDIS[4]);
    }

    #[test]
    fn pictures_keep_their_colours_and_wide_arrays_are_thinned_out() {
        let (_, rgb) = picture(&[1.0, 0.0, 0.5], [3, 1, 1], Look::Picture, SCALE).unwrap();
        assert_eq!(rgb.first_chunk(), Some(&[255, 0, 128]));
        let wide = vec![0.0; 5_000];
        let ((width, _), _) = picture(&wide, [1, 1, 5_000], Look::Spectrogram, SCALE).unwrap();
        assert_eq!(width as usize, WIDEST);
        assert_eq!(picture(&[], [1, 0, 5], Look::Spectrogram, SCALE), None);
    }

    #[test]
    fn the_scale_leaves_out_the_outermost_values() {
        let mut values = vec![0.5; 1_000];
        (values[0], values[1], values[999]) = (-100.0, f32::NAN, 100.0);
        assert_eq!(Scale::of(&[&values]), Scale { low: 0.5, high: 0.5 });
        assert_eq!(Scale::of(&[&[]]), Scale { low: 0.0, high: 0.0 });
    }
}
