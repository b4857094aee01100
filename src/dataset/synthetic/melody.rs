//! The melody: a walk along the scale with the rhythm, range and direction that the cues ask for.

use super::emotion::Cues;
use super::harmony::{Chord, nearest_step, semitones};
use super::perform::{Performer, Written};
use super::score::{Clock, Note, Part};
use super::style::Style;
use crate::random::Generator;

/// Share of notes that are left out.
const RESTS: f64 = 0.05;

/// Composes the melody over `chords` (one for each bar).
pub fn compose(
    cues: &Cues,
    style: &Style,
    chords: &[Chord],
    clock: &Clock,
    performer: &Performer,
    generator: &mut Generator,
) -> Vec<Note> {
    let middle = nearest_step(cues.mode, style.tonic, cues.register);
    let reach = (cues.range.round() as i32).max(1);
    let mut walk = Walk {
        low: middle - reach,
        high: middle + reach,
        step: middle + generator.below((2 * reach + 1) as usize) as i32 - reach,
        rising: 0.5 + 0.46 * cues.contour,
    };
    let mut notes = Vec::new();
    for (position, length) in rhythm(cues.density, clock.len(), generator) {
        let Some(chord) = chords.get(position as usize / style.metre) else {
            break;
        };
        walk.advance(generator);
        let on_beat = position.fract() == 0.0;
        if on_beat && !chord.contains(walk.step) && !generator.chance(0.4 + 0.5 * cues.dissonance) {
            walk.settle(chord);
        }
        if generator.chance(RESTS) {
            continue;
        }
        let mut pitch = f64::from(style.tonic + semitones(cues.mode, walk.step));
        if generator.chance(0.25 * cues.dissonance) {
            pitch += if generator.chance(0.5) { 1.0 } else { -1.0 };
        }
        let accent = if on_beat { 1.0 } else { 0.8 };
        notes.push(performer.play(
            Part::Melody,
            Written {
                position,
                length,
                pitch,
                accent,
            },
            clock,
            generator,
        ));
    }
    notes
}

/// Positions and lengths in beats, with `density` notes a beat on average.
fn rhythm(density: f64, beats: usize, generator: &mut Generator) -> Vec<(f64, f64)> {
    let mut notes = Vec::new();
    let mut beat = 0;
    while beat < beats {
        if density < 1.0 {
            // Half notes and quarter notes so mixed that the mean length is 1 / density.
            let long = generator.chance(1.0 / density - 1.0);
            let length = if long { 2 } else { 1 };
            notes.push((beat as f64, f64::from(length)));
            beat += length as usize;
        } else {
            let whole = density.floor();
            let parts = whole + if generator.chance(density - whole) { 1.0 } else { 0.0 };
            let parts = parts.clamp(1.0, 4.0);
            for part in 0..parts as usize {
                notes.push((beat as f64 + part as f64 / parts, 1.0 / parts));
            }
            beat += 1;
        }
    }
    notes
}

/// Steps in one direction until the end of the range, then a leap to the other end: the mean pitch says nothing of the
/// direction.
struct Walk {
    low: i32,
    high: i32,
    step: i32,
    /// Probability of a step up.
    rising: f64,
}

impl Walk {
    fn advance(&mut self, generator: &mut Generator) {
        let size = if generator.chance(0.25) { 2 } else { 1 };
        if generator.chance(self.rising) {
            self.step += size;
            if self.step > self.high {
                self.step = self.low + generator.below(2) as i32;
            }
        } else {
            self.step -= size;
            if self.step < self.low {
                self.step = self.high - generator.below(2) as i32;
            }
        }
    }

    /// To the next tone of the chord, in the direction of the walk.
    fn settle(&mut self, chord: &Chord) {
        let direction = if self.rising >= 0.5 { 1 } else { -1 };
        self.step += if chord.contains(self.step + direction) {
            direction
        } else {
            -direction
        };
    }
}
