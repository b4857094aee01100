//! How does a sound file become a spectrogram?
//!
//! Decoding ([`load_windows`]), resampling ([`resample`]), the short-time Fourier transform and mel filters
//! ([`MelExtractor`]); beyond that cepstral coefficients ([`mfcc`]), their slopes ([`delta`]) and loudness ([`rms`]). The
//! numbers are those that librosa gives for the same file and settings. Knows nothing of
//! datasets.

mod aac;
mod decode;
mod delta;
mod error;
mod ffmpeg;
mod filterbank;
mod load;
mod mel;
mod mfcc;
mod mp3;
mod mp4;
mod open;
mod resample;
mod rms;
mod scale;
mod source;
pub mod spec;
mod window;

pub use crate::contained::panics_are_contained;
pub use delta::delta;
pub use error::{Error, ErrorKind};
pub use filterbank::{hz_to_mel, mel_to_hz};
pub use load::{Loaded, Probe, Read, ReadWindow, Sound, load, load_windows, load_windows_cut, probe, read_windows};
pub use mel::{MelExtractor, Scratch, analysis_window, mel_weights};
pub use mfcc::{MfccNorm, MfccSpec, mfcc};
pub use resample::resample;
pub use rms::{RmsSpec, rms};
pub use spec::{Cut, DbReference, MelNorm, MelScale, MelSpec, PadMode, Power, Resampler, Scale, WindowFunction};

/// Sample rates that can be read, in Hz.
pub const MIN_FILE_RATE: u32 = 1_000;
/// Sample rates that can be read, in Hz.
pub const MAX_FILE_RATE: u32 = 384_000;
/// Most channels that are mixed down.
pub const MAX_CHANNELS: usize = 64;
