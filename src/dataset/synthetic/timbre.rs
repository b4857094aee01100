//! Instruments: families of spectra and envelopes, as wavetables.

use std::sync::LazyLock;

use super::emotion::Cues;
use crate::random::Generator;

/// Samples in one period of a wavetable; a power of two.
pub const PERIOD: usize = 2048;
/// Harmonics stay below this share of the sample rate.
const HIGHEST: f64 = 0.45;
/// More harmonics than this are not heard under the rest.
const MOST_HARMONICS: usize = 48;
/// Wavetables are shared by the notes of half an octave.
const ZONE: f64 = 6.0;

static SINE: LazyLock<Vec<f32>> = LazyLock::new(|| {
    (0..PERIOD)
        .map(|index| (std::f64::consts::TAU * index as f64 / PERIOD as f64).sin() as f32)
        .collect()
});

/// A sine by table, `turns` in periods.
pub fn sine(turns: f64) -> f32 {
    let index = ((turns - turns.floor()) * PERIOD as f64) as usize;
    SINE[index % PERIOD]
}

/// Instruments that sound alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Guitar, harp.
    Plucked,
    Piano,
    /// Marimba, vibraphone.
    Mallet,
    /// Organ, flute.
    Organ,
    Strings,
    /// Clarinet: odd harmonics.
    Reed,
    Brass,
}

impl Family {
    pub const ALL: [Self; 7] = [
        Self::Plucked,
        Self::Piano,
        Self::Mallet,
        Self::Organ,
        Self::Strings,
        Self::Reed,
        Self::Brass,
    ];

    /// How the spectrum falls, in dB per octave.
    fn slope(self) -> f64 {
        match self {
            Self::Plucked => -7.5,
            Self::Piano => -9.0,
            Self::Mallet => -11.0,
            Self::Organ => -10.0,
            Self::Strings => -6.5,
            Self::Reed => -7.0,
            Self::Brass => -6.0,
        }
    }

    /// The instrument's own weight of a harmonic (1 is the fundamental at `frequency` Hz), linear.
    fn weight(self, harmonic: usize, frequency: f64) -> f64 {
        match self {
            Self::Reed if harmonic.is_multiple_of(2) => 0.12,
            Self::Organ if !harmonic.is_power_of_two() => 0.35,
            Self::Mallet if !matches!(harmonic, 1 | 4 | 10) => 0.06,
            // A formant near 1.2 kHz.
            Self::Brass => 0.5 + 1.0 / (1.0 + (harmonic as f64 * frequency / 1200.0 - 1.0).powi(2) * 4.0),
            _ => 1.0,
        }
    }

    /// Seconds until a note has risen to 63 per cent.
    fn attack(self) -> f64 {
        match self {
            Self::Plucked | Self::Mallet => 0.004,
            Self::Piano => 0.006,
            Self::Organ => 0.018,
            Self::Reed => 0.025,
            Self::Brass => 0.03,
            Self::Strings => 0.045,
        }
    }

    /// Seconds until a held note of 220 Hz has fallen to 37 per cent.
    fn decay(self) -> f64 {
        match self {
            Self::Plucked => 0.6,
            Self::Piano => 1.0,
            Self::Mallet => 0.35,
            Self::Organ | Self::Reed => 30.0,
            Self::Strings | Self::Brass => 6.0,
        }
    }

    /// Seconds until a released note has fallen to 37 per cent.
    fn release(self) -> f64 {
        match self {
            Self::Plucked | Self::Reed | Self::Brass => 0.02,
            Self::Piano | Self::Mallet | Self::Organ => 0.025,
            Self::Strings => 0.04,
        }
    }

    /// Whether players of it use vibrato.
    fn sustains(self) -> bool {
        matches!(self, Self::Organ | Self::Strings | Self::Reed | Self::Brass)
    }
}

/// Two spectra of one pitch range: as struck, and after the highs have died.
pub struct Waves {
    pub bright: Vec<f32>,
    pub dark: Vec<f32>,
}

/// One player's instrument in one song.
pub struct Instrument {
    family: Family,
    /// dB per octave.
    slope: f64,
    /// Starting phase of each harmonic, in samples of the wavetable.
    phases: Vec<usize>,
    /// Seconds.
    pub attack: f64,
    /// Vibrato depth in semitones and rate in Hz, for notes long enough.
    pub vibrato: Option<(f64, f64)>,
    rate: f64,
    /// Wavetables by zone of pitch, made when first needed.
    zones: Vec<Option<Waves>>,
}

/// Playing louder also brightens the sound: dB per octave for each dB.
const BRIGHTER_WHEN_LOUDER: f64 = 0.12;

impl Instrument {
    pub fn new(family: Family, cues: &Cues, rate: u32, generator: &mut Generator) -> Self {
        Self {
            family,
            slope: family.slope() + 0.8 * generator.normal() + cues.brightness + BRIGHTER_WHEN_LOUDER * cues.dynamics,
            phases: (0..MOST_HARMONICS).map(|_| generator.below(PERIOD)).collect(),
            attack: (family.attack() * cues.attack).clamp(0.002, 0.15),
            vibrato: family.sustains().then_some((cues.vibrato_depth, cues.vibrato_rate)),
            rate: f64::from(rate),
            zones: Vec::new(),
        }
    }

    /// Seconds until a held note has fallen to 37 per cent; high notes fall sooner.
    pub fn decay(&self, frequency: f64) -> f64 {
        self.family.decay() * (220.0 / frequency).sqrt()
    }

    /// Seconds until a released note has fallen to 37 per cent.
    pub fn release(&self) -> f64 {
        self.family.release()
    }

    /// Seconds until half-way from the bright to the dark spectrum.
    pub fn darkening(&self) -> f64 {
        if self.family.sustains() { 0.5 } else { 0.12 }
    }

    /// The wavetables for a MIDI note.
    pub fn waves(&mut self, pitch: f64) -> &Waves {
        let zone = (pitch.clamp(0.0, 127.0) / ZONE) as usize;
        if self.zones.len() <= zone {
            self.zones.resize_with(zone + 1, || None);
        }
        // The highest note of the zone decides how many harmonics fit, mistuning included.
        let highest = frequency(ZONE * (zone + 1) as f64 + 1.0);
        let made = self.zones[zone].take().unwrap_or_else(|| Waves {
            bright: self.wave(highest, self.slope),
            dark: self.wave(highest, self.slope - 5.0),
        });
        self.zones[zone].insert(made)
    }

    /// One period and its first sample again, at root mean square 1/√2.
    fn wave(&self, highest: f64, slope: f64) -> Vec<f32> {
        let harmonics = ((HIGHEST * self.rate / highest) as usize).clamp(1, MOST_HARMONICS);
        let mut wave = vec![0f32; PERIOD];
        let mut power = 0.0;
        for harmonic in 1..=harmonics {
            let octaves = (harmonic as f64).log2();
            let amplitude = self.family.weight(harmonic, highest) * 10f64.powf(slope * octaves / 20.0);
            if amplitude < 1e-4 {
                continue;
            }
            power += amplitude * amplitude;
            let mut index = self.phases[harmonic - 1];
            for sample in &mut wave {
                *sample += amplitude as f32 * SINE[index & (PERIOD - 1)];
                index += harmonic;
            }
        }
        let scale = (1.0 / power.sqrt()) as f32;
        for sample in &mut wave {
            *sample *= scale;
        }
        wave.push(wave[0]);
        wave
    }
}

/// Hz of a MIDI note.
pub fn frequency(pitch: f64) -> f64 {
    440.0 * ((pitch - 69.0) / 12.0).exp2()
}
