//! Notes and drum hits to samples.

use super::score::{Drum, Hit, Note};
use super::timbre::{Instrument, PERIOD, Waves, frequency, sine};
use crate::random::Generator;

/// Samples between updates of what changes slowly: vibrato and colour.
const BLOCK: usize = 64;
/// A voice that has fallen below this (−70 dB) ends.
const INAUDIBLE: f32 = 3e-4;
/// Vibrato grows over this many seconds.
const VIBRATO_ONSET: f64 = 0.35;

/// Adds `note` to `out`, both at `rate` Hz; what lies past the end is cut.
pub fn add_note(out: &mut [f32], rate: u32, note: &Note, instrument: &mut Instrument) {
    let rate = f64::from(rate);
    let start = (note.start * rate) as usize;
    let Some(out) = out.get_mut(start..) else {
        return;
    };
    let held = (note.duration * rate) as usize;
    let hertz = frequency(note.pitch);
    let vibrato = instrument.vibrato.filter(|_| note.duration > 0.2);
    let decay = per_sample(instrument.decay(hertz), rate);
    let release = per_sample(instrument.release(), rate);
    let rise = 1.0 - per_sample(instrument.attack, rate);
    let darker = (-(BLOCK as f64) / (instrument.darkening() * rate)).exp() as f32;
    let waves = instrument.waves(note.pitch);

    let mut phase = 0u32;
    let mut colour = 1.0f32;
    let mut risen = 0.0f32;
    let mut level = note.level as f32;
    for (index, block) in out.chunks_mut(BLOCK).enumerate() {
        let position = index * BLOCK;
        if level < INAUDIBLE {
            break;
        }
        let bend = vibrato.map_or(1.0, |(depth, speed)| {
            let seconds = position as f64 / rate;
            let depth = depth * (seconds / VIBRATO_ONSET).min(1.0);
            (depth / 12.0 * f64::from(sine(speed * seconds))).exp2()
        });
        let increment = (hertz * bend / rate * 4_294_967_296.0) as u32;
        for (offset, sample) in block.iter_mut().enumerate() {
            risen += rise * (1.0 - risen);
            level *= if position + offset < held { decay } else { release };
            *sample += level * risen * read(waves, phase, colour);
            phase = phase.wrapping_add(increment);
        }
        colour *= darker;
    }
}

/// The factor for each sample of what falls to 37 per cent in `seconds`.
fn per_sample(seconds: f64, rate: f64) -> f32 {
    (-1.0 / (seconds * rate)).exp() as f32
}

/// Both wavetables at `phase` (2³² is a period), mixed by `colour` (1 is bright), interpolated linearly.
#[inline]
fn read(waves: &Waves, phase: u32, colour: f32) -> f32 {
    const SHIFT: u32 = u32::BITS - PERIOD.trailing_zeros();
    let index = (phase >> SHIFT) as usize;
    let fraction = (phase & ((1 << SHIFT) - 1)) as f32 * (1.0 / (1u32 << SHIFT) as f32);
    let at = |wave: &[f32]| wave[index] + fraction * (wave[index + 1] - wave[index]);
    let dark = at(&waves.dark);
    dark + colour * (at(&waves.bright) - dark)
}

/// The sounds of a drum kit, made once per song.
pub struct Kit {
    kick: Vec<f32>,
    snare: Vec<f32>,
    hat: Vec<f32>,
}

impl Kit {
    pub fn new(rate: u32, generator: &mut Generator) -> Self {
        let rate = f64::from(rate);
        let length = |seconds: f64| (seconds * rate) as usize;
        let mut turns = 0.0;
        let kick = (0..length(0.25))
            .map(|index| {
                let seconds = index as f64 / rate;
                turns += (48.0 + 90.0 * (-seconds / 0.03).exp()) / rate;
                sine(turns) * (-seconds / 0.07).exp() as f32
            })
            .collect();
        let (tone, snare_decay, hat_decay) = (
            generator.range(160.0, 220.0),
            generator.range(0.04, 0.09),
            generator.range(0.015, 0.05),
        );
        let snare = noise(length(0.3), generator)
            .into_iter()
            .enumerate()
            .map(|(index, noise)| {
                let seconds = index as f64 / rate;
                (0.6 * noise + 0.4 * sine(tone * seconds)) * (-seconds / snare_decay).exp() as f32
            })
            .collect();
        let mut before = 0.0;
        let hat = noise(length(0.15), generator)
            .into_iter()
            .enumerate()
            .map(|(index, noise)| {
                let high = noise - before;
                before = noise;
                0.6 * high * (-(index as f64) / (hat_decay * rate)).exp() as f32
            })
            .collect();
        Self { kick, snare, hat }
    }

    /// Adds `hit` to `out`.
    pub fn add(&self, out: &mut [f32], rate: u32, hit: &Hit) {
        let sound = match hit.drum {
            Drum::Kick => &self.kick,
            Drum::Snare => &self.snare,
            Drum::Hat => &self.hat,
        };
        let start = (hit.start * f64::from(rate)) as usize;
        for (sample, value) in out.iter_mut().skip(start).zip(sound) {
            *sample += hit.level as f32 * value;
        }
    }
}

/// White noise, uniform in −1..1.
pub fn noise(length: usize, generator: &mut Generator) -> Vec<f32> {
    let mut samples = Vec::with_capacity(length + 3);
    while samples.len() < length {
        let bits = generator.bits();
        samples.extend((0..4).map(|part| f32::from((bits >> (16 * part)) as u16) / 32_767.5 - 1.0));
    }
    samples.truncate(length);
    samples
}
