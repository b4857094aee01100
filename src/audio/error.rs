//! What can go wrong between a sound file and its spectrogram.
//!
//! Three kinds, because callers treat them differently: a file without usable sound (skip it, count it), a file that
//! could not be read (the disk, the permissions, the wrong folder), and a setting that asks for the impossible.

use std::io;
use std::path::PathBuf;

/// What an [`Error`] says about the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The file was read, and holds no sound that can be used.
    NoSound,
    /// The file is not there, or the system would not give its content.
    Unreadable,
    /// The file may be fine; what was asked for is not.
    Setting,
}

/// A sound file or a setting that cannot be used: what, where and, by [`Error::hint`], what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no such sound file: `{}`", path.display())]
    Missing { path: PathBuf },
    #[error("cannot read `{}`: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("`{}` is not a file", path.display())]
    NotAFile { path: PathBuf },
    #[error("`{}` has zero bytes", path.display())]
    ZeroBytes { path: PathBuf },
    #[error("`{}` is not a sound file in a known format", path.display())]
    UnknownFormat { path: PathBuf },
    #[error("`{}` has no audio stream", path.display())]
    NoAudioStream { path: PathBuf },
    #[error("`{}` is damaged: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error("`{}` holds sound in a coding that is not built in: {coding}", path.display())]
    NoDecoder { path: PathBuf, coding: String },
    #[error("ffmpeg could not decode `{}`: {message}", path.display())]
    Ffmpeg { path: PathBuf, message: String },
    #[error("`{}` holds not a single sample", path.display())]
    NoSamples { path: PathBuf },
    #[error("`{}` holds a value that is no number, or a huge one, {seconds:.3} s from its start", path.display())]
    NotFinite { path: PathBuf, seconds: f64 },
    #[error("`{}` has a sample rate of {rate} Hz; from {min} to {max} Hz can be used", path.display(),
        min = super::MIN_FILE_RATE, max = super::MAX_FILE_RATE)]
    FileRate { path: PathBuf, rate: u32 },
    #[error("`{}` has {channels} channels; from 1 to {max} can be used", path.display(), max = super::MAX_CHANNELS)]
    Channels { path: PathBuf, channels: usize },
    #[error("`{}` is too long to be held in memory: more than {seconds:.0} s were asked for", path.display())]
    TooLong { path: PathBuf, seconds: f64 },
    #[error("`{name}` is {value}; expected {expected}")]
    Setting {
        name: &'static str,
        value: String,
        expected: String,
    },
    #[error("{samples} samples are too few for a spectrogram; at least {needed} are needed")]
    TooShort { samples: usize, needed: usize },
    #[error("{frames} frames are too few for a slope over {needed}")]
    TooFewFrames { frames: usize, needed: usize },
    #[error("sample {index} is not a finite number, or too large for a spectrogram")]
    SampleValue { index: usize },
    #[error("an array of {got} values was given where {expected} were expected")]
    Shape { got: usize, expected: usize },
}

impl Error {
    /// What this says about the file.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing { .. } | Self::Unreadable { .. } | Self::NotAFile { .. } => ErrorKind::Unreadable,
            Self::Setting { .. } | Self::Shape { .. } => ErrorKind::Setting,
            Self::NoDecoder { .. } | Self::Ffmpeg { .. } | Self::TooLong { .. } => ErrorKind::Setting,
            _ => ErrorKind::NoSound,
        }
    }

    /// What is wrong, for a message that names the file itself.
    pub fn reason(&self) -> String {
        match self {
            Self::Missing { .. } => "missing".into(),
            Self::Unreadable { source, .. } => format!("cannot be read: {source}"),
            Self::NotAFile { .. } => "not a file".into(),
            Self::ZeroBytes { .. } => "empty (0 bytes)".into(),
            Self::UnknownFormat { .. } => "not a sound file in a known format".into(),
            Self::NoAudioStream { .. } => "no audio stream".into(),
            Self::Damaged { reason, .. } => format!("damaged: {reason}"),
            Self::NoDecoder { coding, .. } => format!("sound in a coding that is not built in: {coding}"),
            Self::Ffmpeg { message, .. } => format!("ffmpeg could not decode it: {message}"),
            Self::NoSamples { .. } => "not a single sample in it".into(),
            Self::NotFinite { seconds, .. } => {
                format!("a value that is no number, or a huge one, {seconds:.3} s from its start")
            }
            Self::FileRate { rate, .. } => format!("a sample rate of {rate} Hz, which cannot be used"),
            Self::Channels { channels, .. } => format!("{channels} channels, which cannot be used"),
            Self::TooLong { seconds, .. } => format!("more than {seconds:.0} s of it do not fit into memory"),
            Self::Setting { .. }
            | Self::TooShort { .. }
            | Self::TooFewFrames { .. }
            | Self::SampleValue { .. }
            | Self::Shape { .. } => self.to_string(),
        }
    }

    /// What to do about it, where that can be said.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Missing { .. } => "check the path and the dataset's root folder",
            Self::Unreadable { .. } => "check the permissions and the disk, then try again",
            Self::NotAFile { .. } => "name the sound file itself",
            Self::ZeroBytes { .. } => "the copy or download was cut off: fetch the file again",
            Self::UnknownFormat { .. } => {
                "WAV, FLAC, OGG Vorbis, MP3, MP4/M4A, AAC and AIFF are read: convert the file"
            }
            Self::NoAudioStream { .. } => "the file holds pictures or text only: use another copy, or leave it out",
            Self::Damaged { .. } => "fetch the file again, or leave it out",
            Self::NoDecoder { .. } => {
                "install ffmpeg, which is then used for this file, or convert the file to WAV or FLAC"
            }
            Self::Ffmpeg { .. } => "fetch the file again, convert it to WAV or FLAC, or leave it out",
            Self::NoSamples { .. } => "the file holds a header and no sound: fetch it again, or leave it out",
            Self::NotFinite { .. } => "the program that wrote the file is at fault: write it again, or leave it out",
            Self::FileRate { .. } | Self::Channels { .. } => "the header is wrong, or the file needs converting",
            Self::TooLong { .. } => "ask for shorter windows",
            Self::TooShort { .. } => "pad the sound with zeros, or leave it out",
            Self::TooFewFrames { .. } => "choose a smaller width, or pad the sound with zeros",
            Self::SampleValue { .. } => "scale the samples to −1…1",
            Self::Setting { .. } | Self::Shape { .. } => return None,
        })
    }
}
