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
/// A period in the units of a phase accumulator, which wraps round.
const PERIOD_OF_PHASE: f64 = 4_294_967_296.0;

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

    let share = note.second.map_or(0.0, |second| second.share as f32);
    let apart = note.second.map_or(0.0, |second| second.detuning / 12.0).exp2();
    let mut phase = 0u32;
    let mut second_phase = 0u32;
    let mut colour = 1.0f32;
    let mut risen = 0.0f32;
    let mut level = (note.level / (1.0 + f64::from(share * share)).sqrt()) as f32;
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
        let turns = hertz * bend / rate;
        let increment = (turns * PERIOD_OF_PHASE) as u32;
        let second_increment = (turns * apart * PERIOD_OF_PHASE) as u32;
        for (offset, sample) in block.iter_mut().enumerate() {
            risen += rise * (1.0 - risen);
            level *= if position + offset < held { decay } else { release };
            let mut value = read(waves, phase, colour);
            if share > 0.0 {
                value += share * read(waves, second_phase, colour);
            }
            *sample += level * risen * value;
            phase = phase.wrapping_add(increment);
            second_phase = second_phase.wrapping_add(second_increment);
        }
        colour *= darker;
    }
}

/// The factor for each sample of what falls to 37 per cent in `seconds`.
fn per_sample(seconds: f64, rate: f64) -> f32 {
    (-1.0 / (seconds * rate)).exp() as f32
}

/// Both wavetables at `phase` ([`PERIOD_OF_PHASE`] is a period), mixed by `colour` (1 is bright), interpolated linearly.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::spec::SyntheticSpec;
    use crate::dataset::synthetic::score::{Part, Second};
    use crate::dataset::synthetic::song::Song;
    use crate::dataset::synthetic::timbre::Family;

    const RATE: u32 = 22_050;

    fn organ() -> Instrument {
        let mut cues = Song::draw(&SyntheticSpec::default(), 1).cues;
        cues.vibrato_depth = 0.0;
        Instrument::new(Family::Organ, &cues, RATE, &mut Generator::keyed(1, "test", &[]))
    }

    fn note(start: f64, second: Option<Second>) -> Note {
        Note {
            part: Part::Melody,
            start,
            duration: 1.5,
            pitch: 69.0,
            level: 1.0,
            second,
        }
    }

    /// Power at `hertz`, by correlation with a complex exponential.
    fn power_at(samples: &[f32], hertz: f64) -> f64 {
        let (mut re, mut im) = (0.0, 0.0);
        for (index, &sample) in samples.iter().enumerate() {
            let turns = hertz * index as f64 / f64::from(RATE);
            let (sin, cos) = (std::f64::consts::TAU * turns).sin_cos();
            re += f64::from(sample) * cos;
            im += f64::from(sample) * sin;
        }
        (re * re + im * im) / (samples.len() as f64).powi(2)
    }

    #[test]
    fn a_note_has_its_pitch() {
        let mut out = vec![0f32; 22_050];
        add_note(&mut out, RATE, &note(0.0, None), &mut organ());
        assert!(power_at(&out, 440.0) > 100.0 * power_at(&out, 452.0).max(power_at(&out, 660.0)));
    }

    #[test]
    fn a_second_player_beats() {
        let second = Some(Second {
            detuning: 0.2,
            share: 1.0,
        });
        let loudness = |second| {
            let mut out = vec![0f32; 22_050];
            add_note(&mut out, RATE, &note(0.0, second), &mut organ());
            let levels: Vec<f64> = out[4410..].chunks(1470).map(|chunk| power_at(chunk, 442.0)).collect();
            let (low, high) = levels
                .iter()
                .fold((f64::MAX, 0f64), |(low, high), &x| (low.min(x), high.max(x)));
            high / low
        };
        assert!(
            loudness(second) > 4.0 && loudness(None) < 1.5,
            "{} {}",
            loudness(second),
            loudness(None)
        );
    }

    #[test]
    fn what_lies_past_the_end_is_cut() {
        let mut out = vec![0f32; 1000];
        add_note(&mut out, RATE, &note(5.0, None), &mut organ());
        assert!(out.iter().all(|&sample| sample == 0.0));
        let kit = Kit::new(RATE, &mut Generator::keyed(1, "test", &[]));
        for start in [0.03, 5.0] {
            kit.add(
                &mut out,
                RATE,
                &Hit {
                    drum: Drum::Snare,
                    start,
                    level: 1.0,
                },
            );
        }
        assert!(out[..600].iter().all(|&sample| sample == 0.0) && out[700] != 0.0);
    }
}
