//! From the written note to the played one: timing, length, tuning and loudness.

use super::emotion::Cues;
use super::score::{Clock, Note, Part};
use crate::random::Generator;

/// Seconds that the shortest note lasts.
const SHORTEST: f64 = 0.03;

/// What stands on the page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Written {
    /// Beats.
    pub position: f64,
    /// Beats.
    pub length: f64,
    /// MIDI note number.
    pub pitch: f64,
    /// Linear.
    pub accent: f64,
}

/// Plays notes as the cues ask.
pub struct Performer {
    articulation: f64,
    /// Standard deviation of an onset in seconds.
    waver: f64,
    /// Standard deviation of the intonation in semitones.
    mistuning: f64,
}

impl Performer {
    pub fn new(cues: &Cues) -> Self {
        Self {
            articulation: cues.articulation,
            waver: 0.003 + 0.045 * cues.irregularity,
            mistuning: 0.03 + 0.22 * cues.dissonance,
        }
    }

    /// When what is written at `position` (in beats) is played, in seconds, at least 0.
    pub fn onset(&self, clock: &Clock, position: f64, generator: &mut Generator) -> f64 {
        (clock.at(position) + self.waver * generator.normal()).max(0.0)
    }

    /// Plays a note.
    pub fn play(&self, part: Part, written: Written, clock: &Clock, generator: &mut Generator) -> Note {
        let time = clock.at(written.position + written.length) - clock.at(written.position);
        Note {
            part,
            start: self.onset(clock, written.position, generator),
            duration: (time * self.articulation * (1.0 + 0.08 * generator.normal())).max(SHORTEST),
            pitch: written.pitch + self.mistuning * generator.normal(),
            level: written.accent * (1.0 + 0.08 * generator.normal()).max(0.5),
        }
    }
}
