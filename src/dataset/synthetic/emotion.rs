//! From valence and arousal to what a performer does.
//!
//! The mapping is a lens model (Brunswik; Juslin 2000): every cue is a noisy, linear sign of valence and arousal, the
//! cues' noises are independent, and the cues add up. Eerola, Friberg & Bresin (2013) find just that for listeners: cue
//! levels act linearly and without interactions, and a linear model of the cues explains 77 to 89 per cent of the
//! variance of the ratings. The noise is set so that a linear model of all cues here lies in that range.
//!
//! Where the directions and the order of the weights come from:
//!
//! | cue | source |
//! | --- | --- |
//! | tempo | arousal up, and more happy than sad: Gabrielsson & Lindström (2010), Juslin & Laukka (2003, 2004), Schubert (2004), Eerola et al. (2013: second of six cues) |
//! | event density | arousal up, as for tempo: Gabrielsson & Lindström (2010, rhythm and tempo) |
//! | dynamics | arousal up, dominant in Schubert (2004) and shown to be causal by Dean, Bailes & Schubert (2011); slightly more pleasant: Ilie & Thompson (2006) |
//! | mode | major for positive valence; the first of six cues in Eerola et al. (2013); Gabrielsson & Lindström (2010) |
//! | register | small: high is happier in Eerola et al. (2013), less pleasant in Ilie & Thompson (2006); high goes with the active emotions in Juslin & Laukka (2003) |
//! | articulation | staccato for happiness, anger and fear, legato for sadness and tenderness: Juslin & Laukka (2003, 2004) |
//! | attack | sharp for anger and happiness, soft for sadness and tenderness: Juslin & Laukka (2003) |
//! | brightness | arousal up (high-frequency energy): Juslin & Laukka (2003); last of six cues in Eerola et al. (2013) |
//! | dissonance | unpleasant, tense: Gabrielsson & Lindström (2010, harmony); what is unpleasant in it is beating and lack of harmonicity (McDermott, Lehr & Oxenham 2010), so clashing notes and parts that beat |
//! | contour | rising for happiness, falling for sadness: Gabrielsson & Lindström (2010), Juslin & Laukka (2003, 2004); positive with valence but not conclusive in Schubert (2004) |
//! | range | wide for joy and excitement, narrow for sadness: Gabrielsson & Lindström (2010) |
//! | regularity | regular timing for happiness and tenderness, irregular for sadness, anger and fear: Juslin & Laukka (2003, microstructural regularity of pitch, level and duration) |
//! | vibrato | slow and narrow for sadness, wider and faster for the active emotions: Juslin & Laukka (2003) |
//!
//! The sources give directions and an order of importance for different sets of cues; the weights themselves are ours.
//!
//! - Dean, R. T., Bailes, F. & Schubert, E. (2011). Acoustic intensity causes perceived changes in arousal levels in music. PLoS ONE 6(4).
//! - Eerola, T., Friberg, A. & Bresin, R. (2013). Emotional expression in music: contribution, linearity, and additivity of primary musical cues. Frontiers in Psychology 4:487.
//! - Gabrielsson, A. & Lindström, E. (2010). The role of structure in the musical expression of emotions. In Handbook of Music and Emotion, OUP.
//! - Ilie, G. & Thompson, W. F. (2006). A comparison of acoustic cues in music and speech for three dimensions of affect. Music Perception 23(4).
//! - Juslin, P. N. (2000). Cue utilization in communication of emotion in music performance. J. Exp. Psychology: HPP 26(6).
//! - Juslin, P. N. & Laukka, P. (2003). Communication of emotions in vocal expression and music performance: different channels, same code? Psychological Bulletin 129(5).
//! - Juslin, P. N. & Laukka, P. (2004). Expression, perception, and induction of musical emotions. J. New Music Research 33(3).
//! - McDermott, J. H., Lehr, A. J. & Oxenham, A. J. (2010). Individual differences reveal the basis of consonance. Current Biology 20(11).
//! - Schubert, E. (2004). Modeling perceived emotion with continuous musical features. Music Perception 21(4).

use crate::random::Generator;

/// A point of the plane of core affect. Both coordinates lie in `[-LIMIT, LIMIT]`; 1 would be the end of the rating scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affect {
    /// Unpleasant to pleasant.
    pub valence: f64,
    /// Calm to excited.
    pub arousal: f64,
}

/// Truths beyond it are drawn again, so that annotators have room on both sides.
pub const LIMIT: f64 = 0.95;
/// Standard deviation of either coordinate before that cut.
const SPREAD: f64 = 0.46;
/// Correlation of the two before that cut. In DEAM's song-level means it is positive, too.
const CORRELATION: f64 = 0.45;

impl Affect {
    /// Draws one from a bivariate normal distribution cut at [`LIMIT`].
    pub fn draw(generator: &mut Generator) -> Self {
        let rest = (1.0 - CORRELATION * CORRELATION).sqrt();
        loop {
            let first = generator.normal();
            let second = generator.normal();
            let affect = Self {
                valence: SPREAD * first,
                arousal: SPREAD * (CORRELATION * first + rest * second),
            };
            if affect.valence.abs() <= LIMIT && affect.arousal.abs() <= LIMIT {
                return affect;
            }
        }
    }

    /// A coordinate in −1..1 as a rating on the scale 1 to 9.
    pub fn to_scale(coordinate: f64) -> f64 {
        5.0 + 4.0 * coordinate
    }
}

/// What carries emotion: the names of the strengths' columns in truth.csv.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cue {
    Tempo,
    Density,
    Dynamics,
    Mode,
    Register,
    Articulation,
    Attack,
    Brightness,
    Dissonance,
    Contour,
    Range,
    Regularity,
    Vibrato,
}

impl Cue {
    /// All cues, in the order of the columns of truth.csv.
    pub const ALL: [Self; 13] = [
        Self::Tempo,
        Self::Density,
        Self::Dynamics,
        Self::Mode,
        Self::Register,
        Self::Articulation,
        Self::Attack,
        Self::Brightness,
        Self::Dissonance,
        Self::Contour,
        Self::Range,
        Self::Regularity,
        Self::Vibrato,
    ];

    /// Position in [`Cue::ALL`].
    fn index(self) -> usize {
        self as usize
    }

    /// The share of the cue's standard deviation that one standard deviation of valence and of arousal move.
    fn weights(self) -> Affect {
        let (valence, arousal) = match self {
            Self::Tempo => (0.30, 0.60),
            Self::Density => (0.15, 0.55),
            Self::Dynamics => (0.05, 0.60),
            Self::Mode => (0.75, 0.0),
            Self::Register => (0.20, 0.20),
            Self::Articulation => (0.40, 0.45),
            Self::Attack => (0.0, 0.50),
            Self::Brightness => (0.0, 0.45),
            Self::Dissonance => (-0.70, 0.15),
            Self::Contour => (0.55, 0.10),
            Self::Range => (0.15, 0.30),
            Self::Regularity => (0.60, -0.05),
            Self::Vibrato => (0.0, 0.30),
        };
        Affect { valence, arousal }
    }
}

/// How inconsistent performers are: the noise of a cue has this share of the variance that valence and arousal leave.
const INCONSISTENCY: f64 = 0.26;
/// Strengths stay within this many standard deviations.
const STRONGEST: f64 = 2.2;

/// How strongly each cue is used: 0 is average, 1 one standard deviation more, at most ±2.2.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Strengths([f64; Cue::ALL.len()]);

impl Strengths {
    /// What one performer makes of `affect`.
    pub fn draw(affect: Affect, generator: &mut Generator) -> Self {
        let valence = affect.valence / SPREAD;
        let arousal = affect.arousal / SPREAD;
        Self(Cue::ALL.map(|cue| {
            let weights = cue.weights();
            let explained = weights.valence * weights.valence
                + weights.arousal * weights.arousal
                + 2.0 * CORRELATION * weights.valence * weights.arousal;
            let noise = (INCONSISTENCY * (1.0 - explained)).sqrt();
            (weights.valence * valence + weights.arousal * arousal + noise * generator.normal())
                .clamp(-STRONGEST, STRONGEST)
        }))
    }

    /// The strength of one cue.
    pub fn of(&self, cue: Cue) -> f64 {
        self.0[cue.index()]
    }
}

/// Major or minor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Major,
    Minor,
}

/// What the performer does, in physical and musical units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cues {
    /// Beats per minute, 50 to 186.
    pub tempo: f64,
    /// Melody notes per beat, 0.55 to 3.5.
    pub density: f64,
    /// dB around a normal playing level, ±8.8.
    pub dynamics: f64,
    pub mode: Mode,
    /// The middle of the melody as a MIDI note number (69 is 440 Hz), 62 to 82.
    pub register: f64,
    /// Sounding share of a note's time: 0.28 (staccato) to 1.07 (notes overlap).
    pub articulation: f64,
    /// Factor on the instrument's own attack time: 0.2 (sharp) to 5 (soft).
    pub attack: f64,
    /// dB per octave that the spectrum is flatter than normal, ±4.
    pub brightness: f64,
    /// 0 (consonant) to 1 (every chord has a clashing note, parts beat, intonation is spread).
    pub dissonance: f64,
    /// −1 (the melody falls in steps and leaps back up) to 1 (rises in steps, leaps back down).
    pub contour: f64,
    /// Scale steps on each side of the melody's middle, 2.4 to 9.
    pub range: f64,
    /// 0 (even) to 1 (beats vary in length by a fifth, voices don't fall together, tones are uneven).
    pub irregularity: f64,
    /// Depth of the vibrato in semitones, 0.05 to 0.75.
    pub vibrato_depth: f64,
    /// Rate of the vibrato in Hz, 4.3 to 6.9.
    pub vibrato_rate: f64,
}

impl Cues {
    /// What a performer does who uses the cues so strongly.
    pub fn new(strengths: &Strengths) -> Self {
        let of = |cue| strengths.of(cue);
        Self {
            tempo: 96.0 * (0.30 * of(Cue::Tempo)).exp(),
            density: 1.4 * (0.42 * of(Cue::Density)).exp(),
            dynamics: 4.0 * of(Cue::Dynamics),
            mode: if of(Cue::Mode) >= 0.0 { Mode::Major } else { Mode::Minor },
            register: 72.0 + 4.5 * of(Cue::Register),
            articulation: 0.25 + 0.85 * logistic(-1.5 * of(Cue::Articulation)),
            attack: (-0.75 * of(Cue::Attack)).exp(),
            brightness: 1.8 * of(Cue::Brightness),
            dissonance: logistic(1.8 * of(Cue::Dissonance) - 0.6),
            contour: (of(Cue::Contour) / 0.8).tanh(),
            range: 4.6 * (0.3 * of(Cue::Range)).exp(),
            irregularity: logistic(-1.8 * of(Cue::Regularity) - 0.6),
            vibrato_depth: 0.2 * (0.6 * of(Cue::Vibrato)).exp(),
            vibrato_rate: 5.6 + 0.6 * of(Cue::Vibrato),
        }
    }
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` songs: truth and strengths.
    fn draws(count: u64) -> Vec<(Affect, Strengths)> {
        (0..count)
            .map(|song| {
                let affect = Affect::draw(&mut Generator::keyed(3, "truth", &[song]));
                (
                    affect,
                    Strengths::draw(affect, &mut Generator::keyed(3, "cues", &[song])),
                )
            })
            .collect()
    }

    fn mean(values: impl Iterator<Item = f64>, count: usize) -> f64 {
        values.sum::<f64>() / count as f64
    }

    #[test]
    fn the_plane_is_covered_evenly_around_its_middle() {
        let draws = draws(2000);
        let (valence, arousal): (Vec<f64>, Vec<f64>) = draws.iter().map(|(a, _)| (a.valence, a.arousal)).unzip();
        let moment = |a: &[f64], b: &[f64]| mean(a.iter().zip(b).map(|(a, b)| a * b), a.len());
        let (vv, aa, va) = (
            moment(&valence, &valence),
            moment(&arousal, &arousal),
            moment(&valence, &arousal),
        );
        assert!(mean(valence.iter().copied(), 2000).abs() < 0.05 && mean(arousal.iter().copied(), 2000).abs() < 0.05);
        assert!(
            (0.35..0.45).contains(&vv.sqrt()) && (0.35..0.45).contains(&aa.sqrt()),
            "{vv} {aa}"
        );
        assert!(
            (0.3..0.5).contains(&(va / (vv * aa).sqrt())),
            "{}",
            va / (vv * aa).sqrt()
        );
        assert!(valence.iter().chain(&arousal).all(|x| x.abs() <= LIMIT));
    }

    /// Coefficients of `values` on standardised valence and arousal, by least squares.
    fn effects(songs: &[(Affect, Strengths)], values: &[f64]) -> (f64, f64) {
        let rows = songs
            .iter()
            .map(|(affect, _)| [1.0, affect.valence / SPREAD, affect.arousal / SPREAD]);
        let x = nalgebra::DMatrix::from_row_iterator(songs.len(), 3, rows.flatten());
        let y = nalgebra::DVector::from_column_slice(values);
        let solution = (x.transpose() * &x).cholesky().unwrap().solve(&(x.transpose() * y));
        (solution[1], solution[2])
    }

    #[test]
    fn cues_point_where_the_literature_says() {
        // +1 or -1 where the sources give a direction, 0 where they don't (or disagree): valence, arousal.
        type Unit = fn(&Cues) -> f64;
        let expected: [(&str, Unit, i32, i32); 13] = [
            ("tempo", |cues| cues.tempo, 1, 1),
            ("density", |cues| cues.density, 0, 1),
            ("dynamics", |cues| cues.dynamics, 0, 1),
            ("major", |cues| f64::from(u8::from(cues.mode == Mode::Major)), 1, 0),
            ("register", |cues| cues.register, 0, 1),
            ("sounding share", |cues| cues.articulation, -1, -1),
            ("attack time", |cues| cues.attack, 0, -1),
            ("brightness", |cues| cues.brightness, 0, 1),
            ("dissonance", |cues| cues.dissonance, -1, 0),
            ("contour", |cues| cues.contour, 1, 0),
            ("range", |cues| cues.range, 0, 1),
            ("irregularity", |cues| cues.irregularity, -1, 0),
            ("vibrato", |cues| cues.vibrato_depth, 0, 1),
        ];
        let songs = draws(600);
        let cues: Vec<Cues> = songs.iter().map(|(_, strengths)| Cues::new(strengths)).collect();
        for (name, unit, valence, arousal) in expected {
            let values: Vec<f64> = cues.iter().map(unit).collect();
            let middle = mean(values.iter().copied(), values.len());
            let spread = mean(values.iter().map(|value| (value - middle).powi(2)), values.len()).sqrt();
            let effects = effects(&songs, &values);
            for (sign, effect) in [(valence, effects.0), (arousal, effects.1)] {
                let effect = effect / spread;
                assert!(sign == 0 || f64::from(sign) * effect > 0.15, "{name}: {effect}");
            }
        }
    }

    #[test]
    fn all_cues_together_explain_the_ratings_as_well_as_in_listening_experiments() {
        // Eerola, Friberg & Bresin (2013): 77 to 89 per cent, linear and additive.
        let songs = draws(2000);
        let width = Cue::ALL.len() + 1;
        let rows = songs
            .iter()
            .flat_map(|(_, strengths)| std::iter::once(1.0).chain(Cue::ALL.map(|cue| strengths.of(cue))));
        let x = nalgebra::DMatrix::from_row_iterator(songs.len(), width, rows);
        let solver = (x.transpose() * &x).cholesky().unwrap();
        let ratings: Vec<_> = songs
            .iter()
            .zip(0..)
            .map(|((affect, _), song)| {
                crate::dataset::synthetic::annotate::rate(
                    *affect,
                    10,
                    1.0,
                    &mut Generator::keyed(3, "ratings", &[song]),
                )
            })
            .collect();
        for target in [
            ratings.iter().map(|rating| rating.valence.mean).collect::<Vec<_>>(),
            ratings.iter().map(|rating| rating.arousal.mean).collect(),
        ] {
            let y = nalgebra::DVector::from_vec(target);
            let rest = &y - &x * solver.solve(&(x.transpose() * &y));
            let explained = 1.0 - rest.norm_squared() / y.add_scalar(-y.mean()).norm_squared();
            assert!((0.77..0.89).contains(&explained), "{explained}");
        }
    }
}
