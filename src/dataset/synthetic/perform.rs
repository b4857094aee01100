//! From the written note to the played one: timing, length, tuning and loudness.

use super::emotion::Cues;
use super::score::{Clock, Note, Part, Second};
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
    /// Standard deviation of lengths and levels, as a share of them.
    unevenness: f64,
    /// Standard deviation of the intonation in semitones.
    mistuning: f64,
    /// Level of a second, detuned player.
    doubling: f64,
}

/// Below this share a second player is not heard.
const INAUDIBLE_SHARE: f64 = 0.08;

impl Performer {
    pub fn new(cues: &Cues) -> Self {
        Self {
            articulation: cues.articulation,
            waver: 0.003 + 0.07 * cues.irregularity,
            unevenness: 0.06 + 0.4 * cues.irregularity,
            mistuning: 0.03 + 0.2 * cues.dissonance,
            doubling: 0.9 * cues.dissonance,
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
            duration: (time * self.articulation * (1.0 + self.unevenness * generator.normal()).max(0.2)).max(SHORTEST),
            pitch: written.pitch + self.mistuning * generator.normal(),
            level: written.accent * (1.0 + self.unevenness * generator.normal()).max(0.15),
            second: self.second(part, generator),
        }
    }

    /// Beats of a few Hz, for melody and chords.
    fn second(&self, part: Part, generator: &mut Generator) -> Option<Second> {
        let detuning = generator.range(0.08, 0.24);
        (part != Part::Bass && self.doubling > INAUDIBLE_SHARE).then_some(Second {
            detuning,
            share: self.doubling,
        })
    }
}
