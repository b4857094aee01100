//! Pictures whose colour and texture carry valence and arousal.
//!
//! | cue | source |
//! | --- | --- |
//! | brightness | pleasure up, arousal a little down: Valdez and Mehrabian (1994) |
//! | saturation | arousal up, pleasure a little up: the same |
//! | shape | round shapes are liked better than angular ones: Bar and Neta (2006) |
//! | number and size of shapes | many small ones are more complex, and complexity arouses: Berlyne (1971) |
//! | contrast between shapes and ground | arousal up: Berlyne's intensity |
//!
//! What says nothing: the hue, where shapes lie, a gradient of light, noise. The sources give directions; the weights are ours. Each cue
//! is used inconsistently, so no single one suffices.
//!
//! - Valdez, P. and Mehrabian, A. (1994). Effects of color on emotions. Journal of Experimental Psychology: General 123(4).
//! - Bar, M. and Neta, M. (2006). Humans prefer curved visual objects. Psychological Science 17(8).
//! - Berlyne, D. E. (1971). Aesthetics and Psychobiology.

use image::{Rgb, RgbImage};

use crate::dataset::synthetic::emotion::Affect;
use crate::random::Generator;

/// How far a cue may be off, in the units of valence and arousal.
const INCONSISTENCY: f64 = 0.15;

/// A shape: its middle, its reach and its turn, in shares of the picture's side and radians.
struct Figure {
    x: f64,
    y: f64,
    reach: f64,
    turn: f64,
    is_round: bool,
    color: [f64; 3],
}

/// Draws a picture of `size` × `size` pixels.
pub fn draw(affect: Affect, size: u32, generator: &mut Generator) -> RgbImage {
    let mut cue = |weight_of_valence: f64, weight_of_arousal: f64| {
        let meant = weight_of_valence * affect.valence + weight_of_arousal * affect.arousal;
        meant + INCONSISTENCY * generator.normal()
    };
    let brightness = (0.55 + 0.25 * cue(0.9, -0.25)).clamp(0.15, 0.95);
    let saturation = (0.45 + 0.35 * cue(0.25, 0.9)).clamp(0.05, 1.0);
    let roundness = logistic(4.0 * cue(1.0, 0.0));
    let complexity = cue(0.0, 1.0);
    let contrast = (0.28 + 0.2 * cue(0.0, 1.0)).clamp(0.06, 0.6);
    let count = (9.0 * (1.1 * complexity).exp()).round().clamp(2.0, 40.0) as usize;
    let reach = 0.30 / (count as f64).sqrt();
    let hue = generator.uniform();
    let ground = color(hue, saturation, brightness);
    let figures: Vec<Figure> = (0..count)
        .map(|_| {
            let lighter = if generator.chance(0.5) { contrast } else { -contrast };
            Figure {
                x: generator.uniform(),
                y: generator.uniform(),
                reach: reach * generator.range(0.7, 1.4),
                turn: generator.range(0.0, std::f64::consts::TAU),
                is_round: generator.chance(roundness),
                color: color(
                    hue + generator.range(-0.12, 0.12),
                    saturation,
                    (brightness + lighter).clamp(0.02, 1.0),
                ),
            }
        })
        .collect();
    let light = (generator.range(-0.08, 0.08), generator.range(-0.08, 0.08));
    RgbImage::from_fn(size, size, |column, row| {
        let (x, y) = (
            (f64::from(column) + 0.5) / f64::from(size),
            (f64::from(row) + 0.5) / f64::from(size),
        );
        let figure = figures.iter().rev().find(|figure| figure.holds(x, y));
        let color = figure.map_or(ground, |figure| figure.color);
        let light = light.0 * (x - 0.5) + light.1 * (y - 0.5);
        let noise = 0.02 * generator.normal();
        Rgb(color.map(|part| (255.0 * (part + light + noise).clamp(0.0, 1.0)).round() as u8))
    })
}

impl Figure {
    fn holds(&self, x: f64, y: f64) -> bool {
        let (dx, dy) = (x - self.x, y - self.y);
        if self.is_round {
            return dx * dx + dy * dy < self.reach * self.reach;
        }
        // A triangle of about the same area: inside of three lines.
        (0..3).all(|side| {
            let angle = self.turn + f64::from(side) * std::f64::consts::TAU / 3.0;
            dx * angle.cos() + dy * angle.sin() < 0.78 * self.reach
        })
    }
}

/// Hue, saturation and value (from 0 to 1; the hue goes round) as red, green, blue.
fn color(hue: f64, saturation: f64, value: f64) -> [f64; 3] {
    [5.0, 3.0, 1.0].map(|offset| {
        let place = (offset + 6.0 * hue.rem_euclid(1.0)) % 6.0;
        value - value * saturation * place.min(4.0 - place).clamp(0.0, 1.0)
    })
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(valence: f64, arousal: f64) -> (f64, f64) {
        let (mut brightness, mut saturation) = (0.0, 0.0);
        for number in 0..30 {
            let picture = draw(
                Affect { valence, arousal },
                16,
                &mut Generator::keyed(1, "test", &[number]),
            );
            for pixel in picture.pixels() {
                let (low, high) = (
                    f64::from(pixel.0.into_iter().min().unwrap()),
                    f64::from(pixel.0.into_iter().max().unwrap()),
                );
                brightness += high / (30.0 * 256.0 * 255.0);
                saturation += (high - low) / high.max(1.0) / (30.0 * 256.0);
            }
        }
        (brightness, saturation)
    }

    #[test]
    fn colours_are_those_of_the_colour_wheel() {
        for (hue, expected) in [
            (0.0, [1.0, 0.0, 0.0]),
            (1.0 / 3.0, [0.0, 1.0, 0.0]),
            (2.0 / 3.0, [0.0, 0.0, 1.0]),
        ] {
            for (got, want) in color(hue, 1.0, 1.0).into_iter().zip(expected) {
                assert!((got - want).abs() < 1e-9, "{hue}");
            }
        }
        assert_eq!(color(0.3, 0.0, 0.5), [0.5; 3]);
    }

    #[test]
    fn valence_brightens_and_arousal_saturates() {
        let (sad, happy) = (figures(-0.8, 0.0), figures(0.8, 0.0));
        let (calm, excited) = (figures(0.0, -0.8), figures(0.0, 0.8));
        assert!(happy.0 > sad.0 + 0.15, "{happy:?} {sad:?}");
        assert!(excited.1 > calm.1 + 0.15, "{excited:?} {calm:?}");
    }

    #[test]
    fn equal_draws_make_equal_pictures() {
        let affect = Affect {
            valence: 0.2,
            arousal: 0.4,
        };
        let picture = |number| draw(affect, 32, &mut Generator::keyed(1, "test", &[number])).into_raw();
        assert_eq!(picture(1), picture(1));
        assert_ne!(picture(1), picture(2));
    }
}
