//! How does a sound file become a spectrogram?
//!
//! Decoding, resampling, the short-time Fourier transform and mel filters. Knows nothing of datasets.

pub mod spec;

pub use spec::{DbReference, MelNorm, MelScale, MelSpec, PadMode, Power, Resampler, Scale, WindowFunction};
