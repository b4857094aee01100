//! Chords, bass and drums under the melody.

use super::emotion::Cues;
use super::harmony::{Chord, Voicing};
use super::perform::{Performer, Written};
use super::score::{Clock, Drum, Hit, Note, Part};
use super::style::{Drums, Pattern, Style};
use crate::random::Generator;

/// Lowest note of the bass (MIDI).
const BASS: f64 = 36.0;

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
        let voicing = chord.voicing(cues.mode, style.tonic, middle);
        let root = chord.bass(cues.mode, style.tonic, BASS);
        let played = figure(style, &voicing, beat, upward)
            .into_iter()
            .map(|written| (Part::Chords, written))
            .chain(bass(style, root, beat).map(|written| (Part::Bass, written)));
        for (part, written) in played {
            notes.push(performer.play(part, written, clock, generator));
        }
    }
    notes
}

/// What the chord instrument plays on one beat.
fn figure(style: &Style, voicing: &Voicing, beat: usize, upward: bool) -> Vec<Written> {
    let in_bar = beat % style.metre;
    let position = beat as f64;
    let accent = if in_bar == 0 { 1.0 } else { 0.85 };
    let tones: Vec<f64> = voicing.triad.into_iter().chain(voicing.clash).collect();
    let whole = |offset: f64, length: f64, accent: f64| {
        let accent = accent / (tones.len() as f64).sqrt();
        let at = move |&pitch| Written {
            position: position + offset,
            length,
            pitch,
            accent,
        };
        tones.iter().map(at).collect::<Vec<_>>()
    };
    match style.pattern {
        Pattern::Block => whole(0.0, 1.0, accent),
        Pattern::Pulse => [whole(0.0, 0.5, accent), whole(0.5, 0.5, 0.75 * accent)].concat(),
        Pattern::OffBeat => whole(0.5, 0.5, accent),
        Pattern::Arpeggio | Pattern::Alberti => {
            let tone = |half: usize| {
                let count = 2 * in_bar + half;
                let tone = match style.pattern {
                    Pattern::Alberti => [0, 2, 1, 2][count % 4],
                    _ => count % 3,
                };
                let pitch = voicing.triad[if upward { tone } else { 2 - tone }];
                Written {
                    position: position + 0.5 * half as f64,
                    length: 0.5,
                    pitch,
                    accent: 0.9 * accent,
                }
            };
            // One tone at a time has nothing to clash with: its neighbour sounds along.
            let clash = voicing.clash.map(|_| Written {
                pitch: tone(0).pitch + 1.0,
                accent: 0.8 * accent,
                ..tone(0)
            });
            [tone(0), tone(1)].into_iter().chain(clash).collect()
        }
    }
}

/// What the bass plays on one beat, if it plays.
fn bass(style: &Style, root: f64, beat: usize) -> impl Iterator<Item = Written> {
    let in_bar = beat % style.metre;
    let every_beat = matches!(style.pattern, Pattern::OffBeat | Pattern::Pulse);
    let length = if every_beat {
        1.0
    } else {
        2f64.min((style.metre - in_bar) as f64)
    };
    let accent = if in_bar == 0 { 1.0 } else { 0.85 };
    (every_beat || in_bar.is_multiple_of(2))
        .then_some(Written {
            position: beat as f64,
            length,
            pitch: root,
            accent,
        })
        .into_iter()
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
                if in_bar.is_multiple_of(2) && in_bar + 1 < style.metre {
                    hit(Drum::Kick, position, 1.0);
                } else {
                    hit(Drum::Snare, position, 0.8);
                }
            }
        }
    }
    hits
}
