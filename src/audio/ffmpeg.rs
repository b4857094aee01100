//! ffmpeg as a child process, for what no built-in decoder reads: Opus, AC-3, rare kinds of AAC.

use std::ffi::OsString;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use symphonia::core::io::MediaSource;

use super::Error;

/// How much of ffmpeg's last words is kept.
const MESSAGE: usize = 2_000;

/// A running ffmpeg; it is killed when this is dropped.
pub(super) struct Ffmpeg {
    child: Child,
    messages: Arc<Mutex<String>>,
    listener: Option<JoinHandle<()>>,
}

/// What it writes.
pub(super) struct Output(Mutex<ChildStdout>);

/// Starts decoding the sound of `path` to 16-bit WAV (librosa reads the same numbers of bits from ffmpeg), all
/// channels.
///
/// # Errors
/// [`Error::NoDecoder`] with `coding` where ffmpeg is not installed.
pub(super) fn start(path: &Path, coding: &str) -> Result<(Ffmpeg, Output), Error> {
    // With the protocol written out, no path is taken for an option or another protocol.
    let mut input = OsString::from("file:");
    input.push(path);
    let mut child = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-v", "error", "-i"])
        .arg(input)
        .args(["-vn", "-sn", "-dn", "-c:a", "pcm_s16le", "-f", "wav", "-"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::NoDecoder {
                path: path.to_path_buf(),
                coding: coding.to_owned(),
            },
            _ => Error::Ffmpeg {
                path: path.to_path_buf(),
                message: error.to_string(),
            },
        })?;
    let messages = Arc::new(Mutex::new(String::new()));
    let listener = child.stderr.take().map(|mut errors| {
        let messages = Arc::clone(&messages);
        // ffmpeg would stall on a full pipe.
        std::thread::spawn(move || {
            let mut buffer = [0; 1024];
            while let Ok(count @ 1..) = errors.read(&mut buffer) {
                let mut messages = messages.lock().unwrap_or_else(PoisonError::into_inner);
                messages.push_str(&String::from_utf8_lossy(&buffer[..count]));
                if let Some((cut, _)) = messages.char_indices().rev().nth(MESSAGE) {
                    messages.drain(..cut);
                }
            }
        })
    });
    match child.stdout.take() {
        Some(output) => {
            let ffmpeg = Ffmpeg {
                child,
                messages,
                listener,
            };
            Ok((ffmpeg, Output(Mutex::new(output))))
        }
        None => Err(Error::Ffmpeg {
            path: path.to_path_buf(),
            message: "it has no output".into(),
        }),
    }
}

impl Ffmpeg {
    /// Ends the process, and gives the last line that it wrote on standard error.
    pub fn last_words(mut self) -> String {
        let _ = self.child.kill();
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
        let messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        let last = messages.lines().map(str::trim).rfind(|line| !line.is_empty());
        last.unwrap_or("no reason given").to_owned()
    }
}

impl Drop for Ffmpeg {
    fn drop(&mut self) {
        // It may have ended by itself; either way it must be waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Read for Output {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).read(buffer)
    }
}

impl Seek for Output {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

impl MediaSource for Output {
    fn is_seekable(&self) -> bool {
        false
    }

    fn byte_len(&self) -> Option<u64> {
        None
    }
}
