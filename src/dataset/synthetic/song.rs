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

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> SyntheticSpec {
        SyntheticSpec::default()
    }

    #[test]
    fn a_song_depends_on_seed_and_id_alone() {
        let song = Song::draw(&spec(), 3);
        assert_eq!(song, Song::draw(&SyntheticSpec { songs: 10, ..spec() }, 3));
        assert_ne!(song, Song::draw(&spec(), 4));
        assert_ne!(song, Song::draw(&SyntheticSpec { seed: 2, ..spec() }, 3));
        assert_eq!(song.render(1, 1.0, 8000), song.render(1, 1.0, 8000));
    }

    #[test]
    fn songs_are_heard_undistorted_and_without_offset_at_every_rate() {
        for (id, rate) in (1..=12).zip([8000, 22_050, 48_000].into_iter().cycle()) {
            let samples = Song::draw(&spec(), id).render(1, 1.5, rate);
            assert_eq!(samples.len(), (1.5 * f64::from(rate)) as usize);
            let peak = samples.iter().fold(0f32, |peak, sample| peak.max(sample.abs()));
            let mean = samples.iter().sum::<f32>() / samples.len() as f32;
            assert!((0.01..1.0).contains(&peak), "song {id}: peak {peak}");
            assert!(mean.abs() < 0.01, "song {id}: offset {mean}");
        }
    }

    /// The score of a song with some cues changed.
    fn score(change: impl Fn(&mut Cues)) -> Score {
        let mut song = Song::draw(&spec(), 7);
        song.cues = Cues {
            density: 2.0,
            tempo: 100.0,
            contour: 0.0,
            dissonance: 0.0,
            irregularity: 0.0,
            articulation: 0.8,
            range: 5.0,
            ..song.cues
        };
        change(&mut song.cues);
        song.score(1, 30.0)
    }

    fn melody(score: &Score) -> Vec<&crate::dataset::synthetic::score::Note> {
        score.notes.iter().filter(|note| note.part == Part::Melody).collect()
    }

    #[test]
    fn contour_turns_the_steps_of_the_melody_round() {
        let share_rising = |contour| {
            let score = score(|cues| cues.contour = contour);
            let melody = melody(&score);
            let rising = melody.windows(2).filter(|pair| pair[1].pitch > pair[0].pitch).count();
            rising as f64 / melody.len() as f64
        };
        assert!(share_rising(0.95) > 0.7 && share_rising(-0.95) < 0.35);
    }

    #[test]
    fn tempo_and_density_set_the_number_of_notes() {
        let notes = |tempo, density| {
            melody(&score(|cues| {
                cues.tempo = tempo;
                cues.density = density;
            }))
            .len() as f64
        };
        // 30 s, some notes left out as rests.
        assert!((notes(60.0, 1.0) / 30.0 - 0.95).abs() < 0.15);
        assert!((notes(120.0, 1.0) / 60.0 - 0.95).abs() < 0.15);
        assert!((notes(120.0, 2.5) / 150.0 - 0.95).abs() < 0.15);
        assert!((notes(120.0, 0.6) / 36.0 - 0.95).abs() < 0.25);
    }

    #[test]
    fn articulation_sets_the_sounding_share() {
        let mean_length = |articulation| {
            let score = score(|cues| cues.articulation = articulation);
            let melody = melody(&score);
            melody.iter().map(|note| note.duration).sum::<f64>() / melody.len() as f64
        };
        assert!((mean_length(1.0) / mean_length(0.4) - 2.5).abs() < 0.2);
    }

    #[test]
    fn dissonance_brings_clashing_notes_and_beats() {
        let with = |dissonance| score(|cues| cues.dissonance = dissonance);
        let (consonant, dissonant) = (with(0.0), with(1.0));
        assert!(dissonant.notes.len() > consonant.notes.len() + 20);
        assert!(consonant.notes.iter().all(|note| note.second.is_none()));
        assert!(melody(&dissonant).iter().all(|note| note.second.is_some()));
    }
}
