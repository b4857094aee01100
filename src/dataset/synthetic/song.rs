//! One song: drawn, composed, performed, recorded and rated.

use super::accompaniment;
use super::annotate::{Ratings, rate};
use super::emotion::{Affect, Cues, Strengths};
use super::harmony::Chord;
use super::melody;
use super::perform::Performer;
use super::recording::record;
use super::score::{Clock, Part, Score};
use super::style::Style;
use super::timbre::Instrument;
use super::voices::{Kit, add_note};
use crate::dataset::spec::SyntheticSpec;
use crate::random::Generator;

/// What is decided about a song before a note of it is composed.
#[derive(Debug, Clone, PartialEq)]
pub struct Song {
    /// 1-based; also its name.
    pub id: u64,
    pub truth: Affect,
    pub strengths: Strengths,
    pub cues: Cues,
    pub style: Style,
    pub ratings: Ratings,
}

impl Song {
    /// Draws song `id` of the corpus. Every song has generators of its own, so that none depends on another.
    pub fn draw(spec: &SyntheticSpec, id: u64) -> Self {
        let generator = |purpose| Generator::keyed(spec.seed, purpose, &[id]);
        let truth = Affect::draw(&mut generator("synthetic truth"));
        let strengths = Strengths::draw(truth, &mut generator("synthetic cues"));
        let cues = Cues::new(&strengths);
        let style = Style::draw(cues.mode, &mut generator("synthetic style"));
        let ratings = rate(
            truth,
            spec.annotators,
            spec.annotator_deviation,
            &mut generator("synthetic ratings"),
        );
        Self {
            id,
            truth,
            strengths,
            cues,
            style,
            ratings,
        }
    }

    /// Composes and performs `seconds` of it.
    pub fn score(&self, seed: u64, seconds: f64) -> Score {
        let mut generator = Generator::keyed(seed, "synthetic score", &[self.id]);
        let (cues, style) = (&self.cues, &self.style);
        let clock = Clock::new(cues.tempo, cues.irregularity, seconds, &mut generator);
        let bars = clock.len().div_ceil(style.metre);
        let chords: Vec<Chord> = (0..bars)
            .map(|bar| Chord::draw(style, bar, cues.dissonance, &mut generator))
            .collect();
        let performer = Performer::new(cues);
        let mut notes = melody::compose(cues, style, &chords, &clock, &performer, &mut generator);
        notes.extend(accompaniment::compose(
            cues,
            style,
            &chords,
            &clock,
            &performer,
            &mut generator,
        ));
        let hits = accompaniment::drums(style, &clock, &performer, &mut generator);
        Score { notes, hits }
    }

    /// Renders `seconds` of it at `rate` Hz: one channel in −1..1.
    pub fn render(&self, seed: u64, seconds: f64, rate: u32) -> Vec<f32> {
        let score = self.score(seed, seconds);
        let mut generator = Generator::keyed(seed, "synthetic sound", &[self.id]);
        let style = &self.style;
        let mut samples = vec![0f32; samples(seconds, rate)];
        let [chords, bass, drums] = style.mix;
        let players = [
            (Part::Melody, style.melody, 1.0),
            (Part::Chords, style.chords, chords),
            (Part::Bass, style.bass, bass),
        ];
        for (part, family, level) in players {
            let mut instrument = Instrument::new(family, &self.cues, rate, &mut generator);
            for note in score.notes.iter().filter(|note| note.part == part) {
                let mut note = note.clone();
                note.level *= level;
                add_note(&mut samples, rate, &note, &mut instrument);
            }
        }
        let kit = Kit::new(rate, &mut generator);
        for hit in &score.hits {
            let mut hit = hit.clone();
            hit.level *= drums;
            kit.add(&mut samples, rate, &hit);
        }
        record(&mut samples, rate, &self.cues, &style.recording, &mut generator);
        samples
    }
}

/// The number of samples in `seconds`.
pub fn samples(seconds: f64, rate: u32) -> usize {
    (seconds * f64::from(rate)).round() as usize
}
