//! What says nothing about emotion here: key, metre, instruments, accompaniment, mix and recording.
//!
//! Drawn apart from valence and arousal, so that a model has to find the cues under different keys, sounds and rooms.

use super::emotion::Mode;
use super::timbre::Family;
use crate::random::Generator;

/// How chords are played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// The whole chord on every beat.
    Block,
    /// The whole chord twice a beat.
    Pulse,
    /// Bass on the beat, chord after it.
    OffBeat,
    /// One chord tone after the other, two a beat.
    Arpeggio,
    /// Lowest, highest, middle, highest: two a beat.
    Alberti,
}

/// What the drums play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drums {
    None,
    /// A closed hi-hat or shaker on every beat.
    Pulse,
    /// Kick, snare and hi-hat.
    Kit,
}

/// Everything that varies freely.
#[derive(Debug, Clone, PartialEq)]
pub struct Style {
    /// Pitch class of the tonic: 0 is C, 11 is B.
    pub tonic: i32,
    /// Beats in a bar.
    pub metre: usize,
    /// The chords, as steps of the scale above the tonic (0 is the tonic chord); one for each bar, repeated.
    pub progression: [i32; 4],
    /// Where in the progression the excerpt begins.
    pub first_bar: usize,
    pub pattern: Pattern,
    pub drums: Drums,
    pub melody: Family,
    pub chords: Family,
    pub bass: Family,
    /// Levels of chords, bass and drums against the melody, linear.
    pub mix: [f64; 3],
    pub recording: Recording,
}

/// The room, the microphone and the engineer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recording {
    /// dB on top of everything.
    pub gain: f64,
    /// dB that the lows below about 800 Hz gain and the highs lose.
    pub tilt: f64,
    /// Seconds until the reverberation has fallen by 60 dB.
    pub reverberation: f64,
    /// Level of the reverberation against the direct sound, linear.
    pub wet: f64,
    /// Root mean square of the noise in dB of full scale.
    pub noise: f64,
    /// One-pole low-pass coefficient of the noise in 0..1: 0 is white, near 1 is dark.
    pub noise_colour: f64,
}

const MAJOR_PROGRESSIONS: [[i32; 4]; 5] = [[0, 3, 4, 0], [0, 4, 0, 3], [0, 3, 0, 4], [0, 0, 3, 4], [0, 5, 3, 4]];
const MINOR_PROGRESSIONS: [[i32; 4]; 5] = [[0, 3, 4, 0], [0, 4, 0, 3], [0, 3, 0, 4], [0, 0, 3, 4], [0, 5, 3, 0]];

impl Style {
    pub fn draw(mode: Mode, generator: &mut Generator) -> Self {
        let progressions = match mode {
            Mode::Major => MAJOR_PROGRESSIONS,
            Mode::Minor => MINOR_PROGRESSIONS,
        };
        Self {
            tonic: generator.below(12) as i32,
            metre: *pick(&[4, 4, 3], generator),
            progression: *pick(&progressions, generator),
            first_bar: generator.below(4),
            pattern: *pick(
                &[
                    Pattern::Block,
                    Pattern::Pulse,
                    Pattern::OffBeat,
                    Pattern::Arpeggio,
                    Pattern::Alberti,
                ],
                generator,
            ),
            drums: *pick(&[Drums::None, Drums::None, Drums::Pulse, Drums::Kit], generator),
            melody: *pick(&Family::ALL, generator),
            chords: *pick(&Family::ALL, generator),
            bass: *pick(
                &[Family::Plucked, Family::Piano, Family::Organ, Family::Strings],
                generator,
            ),
            mix: [
                decibels(generator, -9.0, 2.5),
                decibels(generator, -7.0, 2.5),
                decibels(generator, -9.0, 3.0),
            ],
            recording: Recording {
                gain: (5.0 * generator.normal()).clamp(-10.0, 10.0),
                tilt: 3.0 * generator.normal().clamp(-2.0, 2.0),
                reverberation: generator.range(0.2, 1.3),
                wet: generator.range(0.0, 0.35),
                noise: generator.range(-75.0, -48.0),
                noise_colour: generator.range(0.0, 0.9),
            },
        }
    }
}

/// One of `items`, which is never empty here.
fn pick<'a, T>(items: &'a [T], generator: &mut Generator) -> &'a T {
    &items[generator.below(items.len())]
}

/// Normal in dB, as a linear factor.
fn decibels(generator: &mut Generator, mean: f64, deviation: f64) -> f64 {
    10f64.powf((mean + deviation * generator.normal()) / 20.0)
}
