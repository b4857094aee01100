//! What the fuzz targets share: the sound part of the program, and a file that holds the bytes under test.
//!
//! The program reads files, not memory, and part of what is tested is how it seeks in them. So the bytes are written to
//! a file in memory first.

#![allow(
    clippy::disallowed_methods,
    reason = "the bytes under test have to become a file"
)]

#[path = "../../src/audio/mod.rs"]
pub mod audio;

use std::path::{Path, PathBuf};

use audio::{Error, ErrorKind, ReadWindow, Resampler};

/// Seconds of sound that are asked for.
const LONGEST: f64 = 8.0;

/// Takes ffmpeg away, so that results depend on the bytes only, and lets decoders of others panic, which
/// [`audio::load_windows`] makes an error of (arithmetic is checked for overflow here; as shipped it wraps around, and so it
/// does not there). To be called before anything else.
pub fn prepare() {
    let abort = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let ours = info.location().is_none_or(|place| !place.file().contains("/registry/"));
        if ours || !audio::panics_are_contained() {
            abort(info);
        }
    }));
    // SAFETY: libFuzzer calls this before it starts a thread.
    unsafe { std::env::set_var("PATH", "") };
}

/// Reads `bytes` as a sound file in all the ways that the program does, and checks what comes back.
pub fn read(bytes: &[u8]) {
    let path = scratch();
    std::fs::write(&path, bytes).expect("/dev/shm can be written");
    let probed = audio::probe(&path);
    let windows = [(0.05, Some(0.2)), (0.0, Some(LONGEST))].map(|(start, duration)| ReadWindow { start, duration });
    // A rate that needs resampling for nearly every file.
    for rate in [44_100, 16_000] {
        let loaded = audio::load_windows(&path, &windows, rate, Resampler::SoxrHq);
        match loaded {
            Ok(loaded) => {
                let probed = probed.as_ref().expect("what can be decoded can be probed");
                assert_eq!(probed.sample_rate, loaded.source_rate);
                assert!((1..=audio::MAX_CHANNELS).contains(&loaded.channels));
                for (window, samples) in windows.iter().zip(&loaded.windows) {
                    let longest = window.duration.unwrap_or(0.0) * f64::from(rate);
                    assert!(samples.len() <= longest.round() as usize);
                    assert!(samples.iter().all(|sample| sample.is_finite()));
                }
                if rate == loaded.source_rate {
                    let (part, whole) = (&loaded.windows[0], &loaded.windows[1]);
                    let begin = (0.05 * f64::from(rate)).round_ties_even() as usize;
                    assert_eq!(part[..], whole[begin.min(whole.len())..][..part.len()]);
                }
            }
            Err(error) => explained(&error),
        }
    }
    if let Err(error) = probed {
        explained(&error);
    }
}

/// Every error names the file, and says what to do.
fn explained(error: &Error) {
    assert_ne!(error.kind(), ErrorKind::Unreadable, "{error}");
    assert!(error.hint().is_some(), "{error}");
    assert!(!error.to_string().is_empty());
}

fn scratch() -> PathBuf {
    let folder = Path::new("/dev/shm");
    let folder = if folder.is_dir() { folder.to_path_buf() } else { std::env::temp_dir() };
    folder.join(format!("affect-fuzz-{}", std::process::id()))
}
