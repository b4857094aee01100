//! Mel filters, by the definitions of `librosa.filters.mel`.
//!
//! Weights are computed in 64-bit floating point, rounded to 32 bits, then normalised, in the order in which librosa
//! does it. Each filter covers few bins of the spectrum, so only those are kept.

use std::ops::Range;

use super::{MelNorm, MelScale, MelSpec};

/// Hz to mel.
pub fn hz_to_mel(hz: f64, scale: MelScale) -> f64 {
    match scale {
        MelScale::Htk => 2595.0 * (1.0 + hz / 700.0).log10(),
        MelScale::Slaney if hz >= LOG_FROM_HZ => LOG_FROM_HZ / LINEAR_STEP + (hz / LOG_FROM_HZ).ln() / log_step(),
        MelScale::Slaney => hz / LINEAR_STEP,
    }
}

/// Mel to Hz.
pub fn mel_to_hz(mel: f64, scale: MelScale) -> f64 {
    let log_from_mel = LOG_FROM_HZ / LINEAR_STEP;
    match scale {
        MelScale::Htk => 700.0 * (10.0_f64.powf(mel / 2595.0) - 1.0),
        MelScale::Slaney if mel >= log_from_mel => LOG_FROM_HZ * (log_step() * (mel - log_from_mel)).exp(),
        MelScale::Slaney => LINEAR_STEP * mel,
    }
}

/// Slaney: Hz per mel in the linear part …
const LINEAR_STEP: f64 = 200.0 / 3.0;
/// … which ends here; then 27 mels to a factor of 6.4.
const LOG_FROM_HZ: f64 = 1000.0;

fn log_step() -> f64 {
    6.4_f64.ln() / 27.0
}

/// A bank of triangular filters over the bins of a spectrum.
#[derive(Debug, Clone)]
pub(super) struct Filterbank {
    filters: Vec<Filter>,
    weights: Vec<f32>,
    bins: Range<usize>,
}

#[derive(Debug, Clone)]
struct Filter {
    first_bin: usize,
    weights: Range<usize>,
}

impl Filterbank {
    /// Takes `sample_rate`, `n_fft`, `n_mels`, `fmin`, `fmax`, `mel_scale` and `mel_norm` of a checked `spec`.
    pub fn new(spec: &MelSpec) -> Self {
        let edges = edges(spec);
        let bins = spec.n_fft / 2 + 1;
        // numpy.fft.rfftfreq(n_fft, 1 / sample_rate)
        let bin_width = 1.0 / (spec.n_fft as f64 * (1.0 / f64::from(spec.sample_rate)));
        let mut filters = Vec::with_capacity(spec.n_mels);
        let mut weights = Vec::new();
        for edge in edges.windows(3) {
            let &[lower, centre, upper] = edge else { continue };
            let norm = match spec.mel_norm {
                MelNorm::Slaney => 2.0 / (upper - lower),
                MelNorm::None => 1.0,
            };
            let mut first_bin = 0;
            let begin = weights.len();
            for bin in 0..bins {
                let hz = bin as f64 * bin_width;
                let rising = (hz - lower) / (centre - lower);
                let falling = (upper - hz) / (upper - centre);
                let weight = f64::from(rising.min(falling).max(0.0) as f32);
                let weight = (weight * norm) as f32;
                if weight > 0.0 {
                    if weights.len() == begin {
                        first_bin = bin;
                    }
                    weights.push(weight);
                }
            }
            filters.push(Filter {
                first_bin,
                weights: begin..weights.len(),
            });
        }
        let used = filters.iter().filter(|filter| !filter.weights.is_empty());
        let first = used.clone().map(|filter| filter.first_bin).min().unwrap_or(0);
        let last = used
            .map(|filter| filter.first_bin + filter.weights.len())
            .max()
            .unwrap_or(0);
        Self {
            filters,
            weights,
            bins: first..last,
        }
    }

    /// The bins that any filter looks at.
    pub fn bins(&self) -> Range<usize> {
        self.bins.clone()
    }

    /// Filters that cover no bin, because they are narrower than the bins are apart.
    pub fn empty_filters(&self) -> usize {
        self.filters.iter().filter(|filter| filter.weights.is_empty()).count()
    }

    /// Each filter's first bin and its weights from there on.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &[f32])> {
        self.filters
            .iter()
            .map(|filter| (filter.first_bin, &self.weights[filter.weights.clone()]))
    }
}

/// The filters' edges in Hz: filter `i` rises from `i` to `i + 1` and falls to `i + 2`.
fn edges(spec: &MelSpec) -> Vec<f64> {
    let low = hz_to_mel(spec.fmin, spec.mel_scale);
    let high = hz_to_mel(spec.fmax, spec.mel_scale);
    let steps = spec.n_mels + 1;
    let step = (high - low) / steps as f64;
    (0..=steps)
        .map(|i| if i == steps { high } else { i as f64 * step + low })
        .map(|mel| mel_to_hz(mel, spec.mel_scale))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scales_are_librosas() {
        // librosa.hz_to_mel(60) = 0.9, (440) = 6.6, (4000) = 35.163760314616646; htk=True: 4000 -> 2146.0645275061906
        for (hz, scale, mel) in [
            (60.0, MelScale::Slaney, 0.9),
            (440.0, MelScale::Slaney, 6.6),
            (4000.0, MelScale::Slaney, 35.163_760_314_616_646),
            (4000.0, MelScale::Htk, 2_146.064_527_506_190_6),
        ] {
            assert!((hz_to_mel(hz, scale) - mel).abs() < 1e-9, "{hz} Hz");
            assert!((mel_to_hz(mel, scale) - hz).abs() < 1e-9, "{mel} mel");
        }
    }
}
