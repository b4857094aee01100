//! From what the players sound like to what is on the tape: balance, room, level, noise.

use super::emotion::Cues;
use super::style::Recording;
use super::voices::noise;
use crate::random::Generator;

/// Root mean square of a song of average dynamics and gain, in dB of full scale.
const REFERENCE: f64 = -24.0;
/// Where the tilt turns, in Hz.
const TILT_FREQUENCY: f64 = 800.0;
/// Above this level the peaks are rounded off.
const KNEE: f32 = 0.8;
/// Seconds of fading at both ends, against clicks.
const FADE: f64 = 0.01;

/// Records `dry` (one channel at `rate` Hz): in −1..1.
pub fn record(dry: &mut [f32], rate: u32, cues: &Cues, recording: &Recording, generator: &mut Generator) {
    reverberate(dry, f64::from(rate), recording);
    tilt(dry, f64::from(rate), recording.tilt);
    let level = root_mean_square(dry);
    let wanted = REFERENCE + cues.dynamics + recording.gain;
    let gain = if level > 0.0 {
        (10f64.powf(wanted / 20.0) / level) as f32
    } else {
        0.0
    };
    let hiss = hiss(dry.len(), recording, generator);
    for (sample, hiss) in dry.iter_mut().zip(hiss) {
        *sample = limit(gain * *sample + hiss);
    }
    fade(dry, (FADE * f64::from(rate)) as usize);
}

fn root_mean_square(samples: &[f32]) -> f64 {
    let power: f64 = samples
        .iter()
        .map(|&sample| f64::from(sample) * f64::from(sample))
        .sum();
    (power / samples.len().max(1) as f64).sqrt()
}

/// Schroeder's reverberator (1962): parallel combs, then an all-pass.
fn reverberate(samples: &mut [f32], rate: f64, recording: &Recording) {
    const COMBS: [f64; 4] = [0.0297, 0.0371, 0.0411, 0.0437];
    const ALL_PASS: f64 = 0.005;
    let mut tail = vec![0f32; samples.len()];
    for delay in COMBS {
        let length = ((delay * rate) as usize).max(1);
        let feedback = 10f64.powf(-3.0 * delay / recording.reverberation) as f32;
        let mut line = vec![0f32; length];
        let mut at = 0;
        for (tail, &sample) in tail.iter_mut().zip(samples.iter()) {
            let out = line[at];
            line[at] = sample + feedback * out;
            *tail += out;
            at = if at + 1 == length { 0 } else { at + 1 };
        }
    }
    let length = ((ALL_PASS * rate) as usize).max(1);
    let mut line = vec![0f32; length];
    let mut at = 0;
    let wet = recording.wet as f32 * 0.5;
    for (sample, tail) in samples.iter_mut().zip(tail) {
        let out = line[at];
        let into = tail + 0.6 * out;
        line[at] = into;
        *sample += wet * (out - 0.6 * into);
        at = if at + 1 == length { 0 } else { at + 1 };
    }
}

/// A shelf: `decibels` more below [`TILT_FREQUENCY`], as many less above.
fn tilt(samples: &mut [f32], rate: f64, decibels: f64) {
    let follow = (1.0 - (-std::f64::consts::TAU * TILT_FREQUENCY / rate).exp()) as f32;
    let (low, high) = (10f64.powf(decibels / 20.0) as f32, 10f64.powf(-decibels / 20.0) as f32);
    let mut slow = 0f32;
    for sample in samples {
        slow += follow * (*sample - slow);
        *sample = low * slow + high * (*sample - slow);
    }
}

fn hiss(length: usize, recording: &Recording, generator: &mut Generator) -> Vec<f32> {
    let mut samples = noise(length, generator);
    let colour = recording.noise_colour as f32;
    let mut slow = 0f32;
    for sample in &mut samples {
        slow += (1.0 - colour) * (*sample - slow);
        *sample = slow;
    }
    let scale = 10f64.powf(recording.noise / 20.0) / root_mean_square(&samples).max(1e-9);
    for sample in &mut samples {
        *sample *= scale as f32;
    }
    samples
}

/// Leaves what is below the knee alone and brings the rest smoothly below 1.
fn limit(sample: f32) -> f32 {
    let over = sample.abs() - KNEE;
    if over <= 0.0 {
        return sample;
    }
    let room = 1.0 - KNEE;
    (KNEE + room * over / (over + room)).copysign(sample)
}

fn fade(samples: &mut [f32], length: usize) {
    let length = length.min(samples.len() / 2).max(1);
    let ends = samples.len().saturating_sub(length);
    for (index, sample) in samples.iter_mut().take(length).enumerate() {
        *sample *= index as f32 / length as f32;
    }
    for (index, sample) in samples.iter_mut().skip(ends).enumerate() {
        *sample *= 1.0 - (index + 1) as f32 / length as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limiter_leaves_the_quiet_alone_and_never_reaches_one() {
        assert_eq!((limit(0.5), limit(-0.8)), (0.5, -0.8));
        let limited: Vec<f32> = (0..200).map(|step| limit(step as f32 * 0.05)).collect();
        assert!(limited.windows(2).all(|pair| pair[0] < pair[1]) && limited.iter().all(|&sample| sample < 1.0));
    }

    #[test]
    fn fading_begins_and_ends_in_silence() {
        for length in [0, 1, 2, 5, 100] {
            let mut samples = vec![1f32; length];
            fade(&mut samples, 10);
            assert!(samples.first().is_none_or(|&first| first == 0.0));
            assert!(samples.last().is_none_or(|&last| last == 0.0));
        }
    }
}
