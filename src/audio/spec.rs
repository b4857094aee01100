//! The settings of the front end. Names, defaults and definitions are librosa's.

use std::fmt::Display;
use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Error, MAX_FILE_RATE, MIN_FILE_RATE};

/// How the sample rate is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Resampler {
    /// Follows librosa's default (soxr's high-quality recipe) to less than 0.01 dB in a mel spectrogram for the usual
    /// rates.
    #[default]
    SoxrHq,
    /// rubato's synchronous FFT resampler. Another roll-off: mels near the Nyquist frequency differ by 11 dB and more.
    RubatoFft,
}

/// Whether a part of a file is taken before or after its sample rate is changed. Near the ends of the part the filter
/// then sees silence, or the sound around it: up to 3 dB in the last two frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cut {
    /// As `librosa.load(path)`, then slicing.
    #[default]
    AfterResampling,
    /// As `librosa.load(path, offset=…, duration=…)`.
    BeforeResampling,
}

/// The window of the short-time Fourier transform (periodic, as librosa's `fftbins=True`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WindowFunction {
    #[default]
    Hann,
    Hamming,
    Blackman,
    /// No window: all ones.
    Boxcar,
}

/// What stands before the first and after the last sample when frames are centred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PadMode {
    /// Zeros.
    #[default]
    Constant,
    /// The signal mirrored at its edge, the edge sample not repeated.
    Reflect,
}

/// What the filterbank sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Power {
    /// |X|
    Magnitude,
    /// |X|²
    #[default]
    Power,
}

/// The formula of the mel scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MelScale {
    /// Linear below 1 kHz, logarithmic above (Slaney's Auditory Toolbox; librosa's default).
    #[default]
    Slaney,
    /// 2595 · log10(1 + f / 700).
    Htk,
}

/// How each mel filter is scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MelNorm {
    /// Equal area: 2 / (upper − lower edge in Hz).
    #[default]
    Slaney,
    /// Peak 1.
    None,
}

/// How mel power becomes a feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Scale {
    /// As summed.
    Power,
    /// 10 · log10(max(amin, power) / reference), cut at `top_db` below the maximum (librosa's `power_to_db`; for
    /// magnitudes `amplitude_to_db`: 20 · log10, with `amin` in the units of the magnitude).
    Db {
        #[serde(default)]
        reference: DbReference,
        /// `None` (write 0): no floor.
        #[serde(default = "default_top_db")]
        #[schemars(range(min = 0.0))]
        top_db: f64,
        #[serde(default = "default_amin")]
        #[schemars(range(min = 1e-30))]
        amin: f64,
    },
    /// ln(power + offset).
    Log {
        #[serde(default = "default_offset")]
        #[schemars(range(min = 1e-30))]
        offset: f64,
    },
}

impl Default for Scale {
    fn default() -> Self {
        Self::Db {
            reference: DbReference::default(),
            top_db: default_top_db(),
            amin: default_amin(),
        }
    }
}

fn default_top_db() -> f64 {
    80.0
}

fn default_amin() -> f64 {
    1e-10
}

fn default_offset() -> f64 {
    1e-6
}

/// What 0 dB is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DbReference {
    /// The largest value of the example.
    #[default]
    Max,
    /// 1.0.
    One,
}

/// Everything from samples to a mel spectrogram `[n_mels, frames]`, checked and complete.
#[derive(Debug, Clone, PartialEq)]
pub struct MelSpec {
    /// Hz.
    pub sample_rate: u32,
    /// Samples; at least 16, even.
    pub n_fft: usize,
    /// Samples; at least 1.
    pub hop_length: usize,
    /// Samples; `1..=n_fft`.
    pub win_length: usize,
    pub window: WindowFunction,
    pub center: bool,
    pub pad_mode: PadMode,
    pub power: Power,
    pub n_mels: usize,
    /// Hz.
    pub fmin: f64,
    /// Hz; above `fmin`, at most half of the sample rate.
    pub fmax: f64,
    pub mel_scale: MelScale,
    pub mel_norm: MelNorm,
    pub scale: Scale,
}

/// Longest Fourier transform, in samples.
pub const MAX_N_FFT: usize = 1 << 16;
/// Most mel bands.
pub const MAX_N_MELS: usize = 1 << 12;

impl MelSpec {
    /// Says which setting cannot be used, if any.
    ///
    /// # Errors
    /// [`Error::Setting`]
    pub fn check(&self) -> Result<(), Error> {
        let nyquist = f64::from(self.sample_rate) / 2.0;
        range("sample_rate", self.sample_rate, MIN_FILE_RATE..=MAX_FILE_RATE, " Hz")?;
        range("n_fft", self.n_fft, 16..=MAX_N_FFT, " samples")?;
        if !self.n_fft.is_multiple_of(2) {
            return Err(refused("n_fft", self.n_fft, "an even number".into()));
        }
        range("hop_length", self.hop_length, 1..=MAX_N_FFT, " samples")?;
        range(
            "win_length",
            self.win_length,
            1..=self.n_fft,
            " samples (at most n_fft)",
        )?;
        range("n_mels", self.n_mels, 1..=MAX_N_MELS, " bands")?;
        if !(0.0..nyquist).contains(&self.fmin) {
            return Err(refused(
                "fmin",
                self.fmin,
                format!("0 to below {nyquist} Hz (half of sample_rate)"),
            ));
        }
        if !(self.fmax > self.fmin && self.fmax <= nyquist) {
            let expected = format!(
                "above fmin ({}) and at most {nyquist} Hz (half of sample_rate)",
                self.fmin
            );
            return Err(refused("fmax", self.fmax, expected));
        }
        match self.scale {
            Scale::Power => {}
            Scale::Db { top_db, amin, .. } => {
                if !(top_db >= 0.0 && top_db.is_finite()) {
                    return Err(refused(
                        "scale.top_db",
                        top_db,
                        "0 (no floor) or a number of decibels above 0".into(),
                    ));
                }
                offset("scale.amin", amin)?;
            }
            Scale::Log { offset: value } => offset("scale.offset", value)?,
        }
        Ok(())
    }
}

fn offset(name: &'static str, value: f64) -> Result<(), Error> {
    if (1e-30..=1e30).contains(&value) {
        Ok(())
    } else {
        Err(refused(name, value, "1e-30 to 1e30".into()))
    }
}

fn range<T: PartialOrd + Display>(
    name: &'static str,
    value: T,
    allowed: RangeInclusive<T>,
    unit: &str,
) -> Result<(), Error> {
    if allowed.contains(&value) {
        return Ok(());
    }
    let expected = format!("{} to {}{unit}", allowed.start(), allowed.end());
    Err(refused(name, value, expected))
}

fn refused(name: &'static str, value: impl Display, expected: String) -> Error {
    Error::Setting {
        name,
        value: value.to_string(),
        expected,
    }
}
