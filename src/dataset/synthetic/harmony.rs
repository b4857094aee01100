//! Scales, chords and their voicing.

use super::emotion::Mode;
use super::style::Style;
use crate::random::Generator;

/// Semitones of the scale's seven steps above the tonic (minor: natural).
fn scale(mode: Mode) -> [i32; 7] {
    match mode {
        Mode::Major => [0, 2, 4, 5, 7, 9, 11],
        Mode::Minor => [0, 2, 3, 5, 7, 8, 10],
    }
}

/// Semitones of `step` of the scale above the tonic; steps go on beyond the octave in both directions.
pub fn semitones(mode: Mode, step: i32) -> i32 {
    12 * step.div_euclid(7) + scale(mode)[step.rem_euclid(7) as usize]
}

/// The step of the scale whose pitch, with `tonic` as its pitch class, is nearest to the MIDI note `pitch`.
pub fn nearest_step(mode: Mode, tonic: i32, pitch: f64) -> i32 {
    let guess = ((pitch - f64::from(tonic)) * 7.0 / 12.0).round() as i32;
    (guess - 2..=guess + 2)
        .min_by(|&a, &b| {
            let distance = |step| (f64::from(tonic + semitones(mode, step)) - pitch).abs();
            distance(a).total_cmp(&distance(b))
        })
        .unwrap_or(guess)
}

/// A chord as it is played, in MIDI notes.
#[derive(Debug, Clone, PartialEq)]
pub struct Voicing {
    /// Lowest first.
    pub triad: [f64; 3],
    pub clash: Option<f64>,
}

/// A triad on a step of the scale, with a note that clashes where the harmony is dissonant.
#[derive(Debug, Clone, PartialEq)]
pub struct Chord {
    /// The step it is built on.
    pub root: i32,
    /// A semitone above this tone of the triad (0 root, 1 third, 2 fifth) another one sounds.
    pub clash: Option<usize>,
}

impl Chord {
    /// The chord of bar `bar`.
    pub fn draw(style: &Style, bar: usize, dissonance: f64, generator: &mut Generator) -> Self {
        let root = style.progression[(bar + style.first_bar) % style.progression.len()];
        let clash = generator.chance(dissonance).then(|| generator.below(3));
        Self { root, clash }
    }

    /// Whether `step` of the scale belongs to the triad.
    pub fn contains(&self, step: i32) -> bool {
        matches!((step - self.root).rem_euclid(7), 0 | 2 | 4)
    }

    /// Close position around the MIDI note `middle`.
    pub fn voicing(&self, mode: Mode, tonic: i32, middle: f64) -> Voicing {
        let mut triad = [0, 2, 4].map(|third| {
            let pitch = f64::from(tonic + semitones(mode, self.root + third));
            pitch + 12.0 * ((middle - pitch) / 12.0).round()
        });
        let clash = self.clash.map(|tone| triad[tone] + 1.0);
        triad.sort_by(f64::total_cmp);
        Voicing { triad, clash }
    }

    /// The root as a MIDI note in the octave from `lowest`.
    pub fn bass(&self, mode: Mode, tonic: i32, lowest: f64) -> f64 {
        let pitch = f64::from(tonic + semitones(mode, self.root));
        pitch + 12.0 * ((lowest - pitch) / 12.0).ceil()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tonic_triads_are_major_and_minor() {
        let triad = |mode| Chord { root: 0, clash: None }.voicing(mode, 0, 64.0).triad;
        assert_eq!(triad(Mode::Major), [60.0, 64.0, 67.0]);
        assert_eq!(triad(Mode::Minor), [60.0, 63.0, 67.0]);
        assert_eq!(semitones(Mode::Major, -1), -1);
        assert_eq!(semitones(Mode::Minor, 9), 15);
    }

    proptest! {
        #[test]
        fn voicings_lie_around_the_middle(root in -7..14i32, tonic in 0..12i32, middle in 40f64..90.0, clash in 0..3usize) {
            let voicing = Chord { root, clash: Some(clash) }.voicing(Mode::Minor, tonic, middle);
            prop_assert!(voicing.triad.iter().all(|pitch| (pitch - middle).abs() <= 6.0));
            prop_assert!(voicing.triad.iter().any(|pitch| voicing.clash == Some(pitch + 1.0)));
        }

        #[test]
        fn the_nearest_step_is_within_a_whole_tone(tonic in 0..12i32, pitch in 30f64..100.0) {
            let step = nearest_step(Mode::Major, tonic, pitch);
            prop_assert!((f64::from(tonic + semitones(Mode::Major, step)) - pitch).abs() <= 1.0);
        }
    }
}
