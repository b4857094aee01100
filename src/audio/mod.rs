//! How does a sound file become a spectrogram?
//!
//! Decoding ([`load_windows`]), resampling ([`resample`]), the short-time Fourier transform and mel filters
//! ([`MelExtractor`]). The numbers are those that librosa gives for the same file and settings. Knows nothing of
//! datasets.

mod decode;
mod error;
mod ffmpeg;
mod filterbank;
mod load;
mod mel;
mod mp4;
mod open;
mod resample;
mod scale;
mod source;
pub mod spec;
mod window;

pub use error::{Error, ErrorKind};
pub use filterbank::{hz_to_mel, mel_to_hz};
pub use load::{Loaded, Probe, ReadWindow, Sound, load, load_windows, probe};
pub use mel::{MelExtractor, Scratch};
pub use resample::resample;
pub use spec::{DbReference, MelNorm, MelScale, MelSpec, PadMode, Power, Resampler, Scale, WindowFunction};

/// Sample rates that can be read, in Hz.
pub const MIN_FILE_RATE: u32 = 1_000;
/// Sample rates that can be read, in Hz.
pub const MAX_FILE_RATE: u32 = 384_000;
/// Most channels that are mixed down.
pub const MAX_CHANNELS: usize = 64;
