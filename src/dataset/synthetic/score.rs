//! Notes in time: what composing hands to rendering.

use crate::random::Generator;

/// Who plays a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Melody,
    Chords,
    Bass,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    pub part: Part,
    /// Seconds.
    pub start: f64,
    /// Seconds until it is released.
    pub duration: f64,
    /// MIDI note number; fractions are mistuning.
    pub pitch: f64,
    /// Linear.
    pub level: f64,
    /// Where two play it, out of tune with each other.
    pub second: Option<Second>,
}

/// The second player of a note.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Second {
    /// Semitones away from the first.
    pub detuning: f64,
    /// Level against the first's, 0 to 1.
    pub share: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drum {
    Kick,
    Snare,
    Hat,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    pub drum: Drum,
    /// Seconds.
    pub start: f64,
    /// Linear.
    pub level: f64,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Score {
    pub notes: Vec<Note>,
    pub hits: Vec<Hit>,
}

/// When beats fall. Irregular performers stretch and shorten them.
pub struct Clock {
    /// Seconds at which whole beats fall; at least two.
    beats: Vec<f64>,
}

/// The standard deviation of a beat's length, as a share of it, at irregularity 1.
const RUBATO: f64 = 0.2;

impl Clock {
    /// Beats from just after 0 until past `seconds`.
    pub fn new(tempo: f64, irregularity: f64, seconds: f64, generator: &mut Generator) -> Self {
        let beat = 60.0 / tempo;
        let mut now = generator.range(0.02, 0.15);
        let mut beats = vec![now];
        while now < seconds || beats.len() < 2 {
            now += beat * (1.0 + RUBATO * irregularity * generator.normal()).clamp(0.6, 1.6);
            beats.push(now);
        }
        Self { beats }
    }

    /// The number of whole beats.
    pub fn len(&self) -> usize {
        self.beats.len() - 1
    }

    /// Seconds at which `position` (in beats, fractions between them) falls.
    pub fn at(&self, position: f64) -> f64 {
        let beat = (position.max(0.0) as usize).min(self.len() - 1);
        let (from, to) = (self.beats[beat], self.beats[beat + 1]);
        from + (position - beat as f64) * (to - from)
    }
}
