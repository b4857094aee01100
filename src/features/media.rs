//! What becomes of a media file: the part of an extraction that knows what is in it.
//!
//! The rest ([`extract`](super::extract)) is the same for sound and pictures: which files are new, the cache, the order, what
//! is done about files that cannot be used.

use std::path::Path;

use super::extractor::{Extracted, Extractor};
use super::image::Pictures;
use super::timings::Clocks;
use super::waveform::Waveforms;
use crate::audio::{ReadWindow, Scratch};
use crate::dataset::Media;

/// Sound or pictures.
pub enum MediaExtractor {
    Sound(Box<Extractor>),
    Pictures(Pictures),
    /// Sound as it is.
    Waveforms(Waveforms),
}

impl MediaExtractor {
    /// Of every array.
    pub fn shape(&self) -> [usize; 3] {
        match self {
            Self::Sound(extractor) => extractor.shape(),
            Self::Pictures(pictures) => pictures.shape(),
            Self::Waveforms(waveforms) => waveforms.shape(),
        }
    }

    /// What decides the values, for the cache's key.
    pub fn identity(&self) -> String {
        let text = match self {
            Self::Sound(extractor) => serde_json::to_string(&extractor.identity()),
            Self::Pictures(pictures) => serde_json::to_string(&pictures.identity()),
            Self::Waveforms(waveforms) => serde_json::to_string(&waveforms.identity()),
        };
        text.unwrap_or_default()
    }

    /// The stretch of the file that is needed.
    pub fn read_window(&self, media: &Media) -> ReadWindow {
        match self {
            Self::Sound(extractor) => extractor.read_window(media.window()),
            Self::Waveforms(waveforms) => waveforms.read_window(media.window()),
            Self::Pictures(_) => ReadWindow {
                start: 0.0,
                duration: None,
            },
        }
    }

    /// The arrays of several windows of one file, in their order; for a window that holds nothing, what is wrong with it.
    ///
    /// # Errors
    /// The file cannot be used, in words that can stand behind its name.
    pub fn extract(
        &self,
        scratch: &mut Scratch,
        path: &Path,
        windows: &[ReadWindow],
        clocks: &Clocks,
    ) -> Result<Extracted, String> {
        match self {
            Self::Sound(extractor) => {
                (extractor.extract(scratch, path, windows, clocks)).map_err(|error| error.reason())
            }
            Self::Waveforms(waveforms) => (waveforms.extract(path, windows, clocks)).map_err(|error| error.reason()),
            Self::Pictures(pictures) => Ok(Extracted {
                arrays: vec![Ok(pictures.array(path, clocks)?); windows.len()],
                faults: Vec::new(),
            }),
        }
    }
}
