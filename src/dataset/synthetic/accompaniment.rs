//! Chords, bass and drums under the melody.

use super::emotion::Cues;
use super::harmony::Chord;
use super::perform::{Performer, Written};
use super::score::{Clock, Drum, Hit, Note, Part};
use super::style::{Drums, Pattern, Style};
use crate::random::Generator;

/// Composes chords and bass over `chords` (one for each bar).
pub fn compose(
    cues: &Cues,
    style: &Style,
    chords: &[Chord],
    clock: &Clock,
    performer: &Performer,
    generator: &mut Generator,
) -> Vec<Note> {
    // Chords follow the melody's register at half its distance, below it.
    let middle = 62.0 + 0.5 * (cues.register - 72.0);
    let upward = generator.chance(0.5 + 0.45 * cues.contour);
    let mut notes = Vec::new();
    for beat in 0..clock.len() {
        let Some(chord) = chords.get(beat / style.metre) else {
            break;
        };
        let in_bar = beat % style.metre;
        let position = beat as f64;
        let accent = if in_bar == 0 { 1.0 } else { 0.85 };
        let tones = chord.voicing(cues.mode, style.tonic, middle);
        let mut all = |position, length, accent, generator: &mut Generator| {
            for &tone in &tones {
                let level = accent / (tones.len() as f64).sqrt();
                notes.push(performer.play(
                    Part::Chords,
                    Written {
                        position,
                        length,
                        pitch: tone,
                        accent: level,
                    },
                    clock,
                    generator,
                ));
            }
        };
        match style.pattern {
            Pattern::Block => all(position, 1.0, accent, generator),
            Pattern::Pulse => {
                all(position, 0.5, accent, generator);
                all(position + 0.5, 0.5, 0.75 * accent, generator);
            }
            Pattern::OffBeat => all(position + 0.5, 0.5, accent, generator),
            Pattern::Arpeggio | Pattern::Alberti => {
                for half in 0..2 {
                    let count = 2 * in_bar + half;
                    let tone = figure(style.pattern, count, tones.len(), upward);
                    let position = position + 0.5 * half as f64;
                    let pitch = tones[tone];
                    notes.push(performer.play(
                        Part::Chords,
                        Written {
                            position,
                            length: 0.5,
                            pitch,
                            accent: 0.9 * accent,
                        },
                        clock,
                        generator,
                    ));
                    if half == 0 && chord.clash.is_some() {
                        let pitch = pitch + 1.0;
                        notes.push(performer.play(
                            Part::Chords,
                            Written {
                                position,
                                length: 0.5,
                                pitch,
                                accent: 0.8 * accent,
                            },
                            clock,
                            generator,
                        ));
                    }
                }
            }
        }
        let every_beat = matches!(style.pattern, Pattern::OffBeat | Pattern::Pulse);
        if every_beat || in_bar % 2 == 0 {
            let length = if every_beat {
                1.0
            } else {
                2.0f64.min((style.metre - in_bar) as f64)
            };
            let pitch = chord.bass(cues.mode, style.tonic, 36.0);
            notes.push(performer.play(
                Part::Bass,
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
    }
    notes
}

/// Which chord tone the `count`-th half beat of a bar has, of `tones`.
fn figure(pattern: Pattern, count: usize, tones: usize, upward: bool) -> usize {
    let step = match pattern {
        Pattern::Alberti => [0, 2, 1, 2][count % 4],
        _ => count % tones.min(3),
    };
    let last = tones.min(3) - 1;
    if upward { step.min(last) } else { last - step.min(last) }
}

/// Composes the drums.
pub fn drums(style: &Style, clock: &Clock, performer: &Performer, generator: &mut Generator) -> Vec<Hit> {
    let mut hits = Vec::new();
    for beat in 0..clock.len() {
        let in_bar = beat % style.metre;
        let mut hit = |drum, position, level| {
            hits.push(Hit {
                drum,
                start: performer.onset(clock, position, generator),
                level,
            });
        };
        let position = beat as f64;
        match style.drums {
            Drums::None => {}
            Drums::Pulse => hit(Drum::Hat, position, if in_bar == 0 { 1.0 } else { 0.7 }),
            Drums::Kit => {
                hit(Drum::Hat, position, 0.6);
                hit(Drum::Hat, position + 0.5, 0.4);
                if in_bar % 2 == 0 && in_bar + 1 < style.metre {
                    hit(Drum::Kick, position, 1.0);
                } else {
                    hit(Drum::Snare, position, 0.8);
                }
            }
        }
    }
    hits
}
