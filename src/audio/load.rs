//! Windows of a sound file, at the rate that is asked for.
//!
//! The promise: each window holds what `librosa.load(path, sr = sample_rate)` gives, cut at whole samples, whatever
//! other windows are asked for, while no more is decoded, kept and resampled than the windows need. Or, on demand, what
//! `librosa.load(path, sr = sample_rate, offset = start, duration = duration)` gives, which is not the same ([`Cut`]).

use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

use super::decode::Decoder;
use super::mel::check_samples;
use super::open::{Opened, Rounding};
use super::resample::{Length, Plan, resample};
use super::{Cut, Error, Resampler};

/// Samples that are held in memory for one file: 2 GiB, or 3 hours at 44.1 kHz.
const MAX_HELD: u64 = 1 << 29;

/// A mono sound (the mean of all channels) at its own sample rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Sound {
    pub samples: Vec<f32>,
    /// Hz.
    pub sample_rate: u32,
}

/// A part of a file, in seconds. Without a duration it runs to the file's end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReadWindow {
    pub start: f64,
    pub duration: Option<f64>,
}

impl ReadWindow {
    /// The whole file.
    pub const WHOLE: Self = Self {
        start: 0.0,
        duration: None,
    };

    /// From `start · rate` on, `duration · rate` samples, both made whole by `whole`.
    fn samples(self, rate: u32, whole: fn(f64) -> f64) -> Result<Range<u64>, Error> {
        let rate = f64::from(rate);
        let length = self.duration.unwrap_or(0.0);
        for (name, value) in [("start", self.start), ("duration", length)] {
            if !(0.0..=1e9).contains(&value) {
                return Err(Error::Setting {
                    name,
                    value: format!("{value} s"),
                    expected: "0 s to 1000000000 s".into(),
                });
            }
        }
        let start = whole(self.start * rate) as u64;
        Ok(match self.duration {
            Some(length) => start..start + whole(length * rate) as u64,
            None => start..u64::MAX,
        })
    }
}

/// What [`load_windows`] gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// For each window its mono samples; shorter where the file ends earlier, empty behind its end.
    pub windows: Vec<Vec<f32>>,
    /// What was wrong with the part of the file that was read, in words. The samples can be used all the same.
    pub faults: Vec<String>,
    /// The file's own sample rate in Hz.
    pub source_rate: u32,
    /// The file's channels, whose mean the samples are.
    pub channels: usize,
}

/// What is known about a sound file before it is decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// Such as `mp3`, `wave`, `isomp4`.
    pub container: String,
    /// Such as `mp3`, `aac`, `pcm_s16le`. For files that go through ffmpeg: what ffmpeg turns them into.
    pub codec: String,
    /// Hz.
    pub sample_rate: u32,
    pub channels: usize,
    /// By the file's headers, where they say it. For MP3 without such a header it is an estimate.
    pub seconds: Option<f64>,
}

/// Reads a file's headers.
///
/// # Errors
/// As [`load_windows`], for what the headers can show.
pub fn probe(path: &Path) -> Result<Probe, Error> {
    contained(path, || {
        let opened = Opened::new(path)?;
        Ok(Probe {
            container: opened.reader.format_info().short_name.to_owned(),
            codec: opened.decoder.codec_info().short_name.to_owned(),
            sample_rate: opened.rate,
            channels: opened.channels,
            seconds: opened.seconds,
        })
    })
}

/// Decodes a whole file at its own rate.
///
/// # Errors
/// As [`load_windows`].
pub fn load(path: &Path) -> Result<Sound, Error> {
    let (decoded, rate) = with_fallback(path, |decoder| {
        let rate = decoder.opened().rate;
        Ok((decode(decoder, std::iter::once(0..u64::MAX))?, rate))
    })?;
    let samples = decoded.kept.into_iter().flat_map(|part| part.samples).collect();
    Ok(Sound {
        samples,
        sample_rate: rate,
    })
}

/// Reads `windows` of a file, in any order, at `sample_rate` Hz, in one pass; cut from the resampled sound.
///
/// # Errors
/// [`Error::kind`] says whether the file holds no usable sound, could not be read, or a setting is wrong.
pub fn load_windows(
    path: &Path,
    windows: &[ReadWindow],
    sample_rate: u32,
    resampler: Resampler,
) -> Result<Loaded, Error> {
    load_windows_cut(path, windows, sample_rate, resampler, Cut::AfterResampling)
}

/// As [`load_windows`], cut where `cut` says.
///
/// # Errors
/// As [`load_windows`].
pub fn load_windows_cut(
    path: &Path,
    windows: &[ReadWindow],
    sample_rate: u32,
    resampler: Resampler,
    cut: Cut,
) -> Result<Loaded, Error> {
    read_windows(path, windows, sample_rate, resampler, cut)?.resample()
}

/// The first half of [`load_windows_cut`]: decodes what the windows need, and leaves it at the file's own rate.
///
/// # Errors
/// As [`load_windows`].
pub fn read_windows(
    path: &Path,
    windows: &[ReadWindow],
    sample_rate: u32,
    resampler: Resampler,
    cut: Cut,
) -> Result<Read, Error> {
    let ranges = |rate: u32, whole: fn(f64) -> f64| -> Result<Vec<Range<u64>>, Error> {
        windows.iter().map(|window| window.samples(rate, whole)).collect()
    };
    // Settings are looked at before the file.
    let wanted = ranges(sample_rate, f64::round_ties_even)?;
    with_fallback(path, |decoder| {
        let opened = decoder.opened();
        let (source_rate, channels) = (opened.rate, opened.channels);
        let plan = Plan::new(source_rate, sample_rate, resampler)?;
        // What librosa reads through ffmpeg it cuts at the nearest sample, other files at the one before.
        let whole = match opened.habits.rounding {
            Rounding::Sixteen => f64::round_ties_even,
            Rounding::None => f64::trunc,
        };
        let (wanted, needed) = match cut {
            Cut::AfterResampling => {
                let needed = wanted.iter().map(|window| plan.source_range(window.clone()));
                (wanted.clone(), needed.collect())
            }
            Cut::BeforeResampling => {
                let wanted = ranges(source_rate, whole)?;
                (wanted.clone(), wanted)
            }
        };
        Ok(Read {
            path: path.to_path_buf(),
            decoded: decode(decoder, merged(needed))?,
            wanted,
            cut,
            plan,
            resampler,
            sample_rate,
            source_rate,
            channels,
        })
    })
}

/// Windows of a file that were decoded, at the file's own rate.
pub struct Read {
    path: PathBuf,
    decoded: Decoded,
    /// In samples: where `cut` is [`Cut::AfterResampling`] at `sample_rate`, else at `source_rate`.
    wanted: Vec<Range<u64>>,
    cut: Cut,
    plan: Plan,
    resampler: Resampler,
    sample_rate: u32,
    source_rate: u32,
    channels: usize,
}

impl Read {
    /// The second half of [`load_windows_cut`].
    ///
    /// # Errors
    /// [`Error::TooLong`] where the result does not fit into memory.
    pub fn resample(self) -> Result<Loaded, Error> {
        let decoded = &self.decoded;
        let windows = match self.cut {
            Cut::AfterResampling => {
                let length = decoded
                    .length
                    .map(|samples| Length::of(samples, self.source_rate, self.sample_rate));
                let render = |window: &Range<u64>| decoded.render(&self.path, &self.plan, window.clone(), length);
                self.wanted.iter().map(render).collect::<Result<_, _>>()?
            }
            Cut::BeforeResampling => {
                let resample = |window| {
                    let part = decoded.part(window);
                    resample(part, self.source_rate, self.sample_rate, self.resampler)
                };
                self.wanted.iter().map(resample).collect::<Result<_, _>>()?
            }
        };
        Ok(Loaded {
            windows,
            faults: self.decoded.faults,
            source_rate: self.source_rate,
            channels: self.channels,
        })
    }
}

/// Runs `work` with the built-in decoder, and again with ffmpeg where the sound turns out to need it.
fn with_fallback<T>(path: &Path, work: impl Fn(Decoder) -> Result<T, Error>) -> Result<T, Error> {
    contained(path, || {
        let opened = Opened::new(path)?;
        let builtin = opened.ffmpeg.is_none();
        match work(Decoder::new(opened)) {
            Err(Error::NoDecoder { coding, .. }) if builtin => work(Decoder::new(Opened::by_ffmpeg(path, &coding)?)),
            result => result,
        }
    })
}

/// Runs `work`; a panic in a decoder of others is the file's fault, and one file must not end a run over thousands.
/// (Fuzzing found such panics where arithmetic is checked for overflow, as in a debug build.) Nothing that `work` leaves
/// behind is used afterwards.
fn contained<T>(path: &Path, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    crate::contained::contained(AssertUnwindSafe(work)).unwrap_or_else(|| {
        Err(Error::Damaged {
            path: path.to_path_buf(),
            reason: "its decoder broke down".into(),
        })
    })
}

/// Sorted, without overlaps and empty ranges.
fn merged(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// Decoded parts of a file.
struct Decoded {
    kept: Vec<Part>,
    /// Samples of the whole file, where its end was reached.
    length: Option<u64>,
    faults: Vec<String>,
}

/// Samples from `wanted.start` on.
struct Part {
    wanted: Range<u64>,
    samples: Vec<f32>,
}

/// Decodes up to the end of the last of the `ranges`, which are sorted and apart, and keeps what falls into them.
fn decode(mut decoder: Decoder, ranges: impl IntoIterator<Item = Range<u64>>) -> Result<Decoded, Error> {
    let mut kept: Vec<Part> = ranges
        .into_iter()
        .map(|wanted| Part {
            samples: Vec::with_capacity(decoder.expects(&wanted)),
            wanted,
        })
        .collect();
    let (rate, path) = (decoder.opened().rate, decoder.opened().path.clone());
    let mut held = 0;
    let mut current = 0;
    let mut end = 0;
    let length = loop {
        while kept.get(current).is_some_and(|part| end >= part.wanted.end) {
            current += 1;
        }
        let Some(part) = kept.get(current) else {
            break None;
        };
        let Some(block) = decoder.next_block(part.wanted.start)? else {
            break Some(decoder.length());
        };
        end = block.start + block.samples.len() as u64;
        for part in kept.iter_mut().skip(current).take_while(|part| part.wanted.start < end) {
            let from = part.wanted.start.saturating_sub(block.start) as usize;
            let to = part
                .wanted
                .end
                .saturating_sub(block.start)
                .min(block.samples.len() as u64) as usize;
            let Some(samples) = block.samples.get(from..to) else {
                continue;
            };
            if let Err(index) = usable(samples) {
                return Err(Error::NotFinite {
                    path,
                    seconds: (block.start + (from + index) as u64) as f64 / f64::from(rate),
                });
            }
            held += samples.len() as u64;
            if held > MAX_HELD {
                return Err(Error::TooLong {
                    path,
                    seconds: MAX_HELD as f64 / f64::from(rate),
                });
            }
            part.samples.extend_from_slice(samples);
        }
    };
    if length == Some(0) {
        return Err(Error::NoSamples { path });
    }
    Ok(Decoded {
        kept,
        length,
        faults: decoder.into_faults(),
    })
}

/// The first sample that is no number, or so large that a sum of them would be none.
fn usable(samples: &[f32]) -> Result<(), usize> {
    match check_samples(samples) {
        Err(Error::SampleValue { index }) => Err(index),
        _ => Ok(()),
    }
}

impl Decoded {
    /// What was decoded of `window`, at the file's own rate.
    fn part(&self, window: &Range<u64>) -> &[f32] {
        let holds = |part: &&Part| part.wanted.start <= window.start && window.start < part.wanted.end;
        let Some(part) = self.kept.iter().find(holds) else {
            return &[];
        };
        let index = |place: u64| {
            usize::try_from(place - part.wanted.start).map_or(part.samples.len(), |index| index.min(part.samples.len()))
        };
        part.samples
            .get(index(window.start)..index(window.end))
            .unwrap_or_default()
    }

    /// The samples of `window`, at the rate of `plan`.
    fn render(&self, path: &Path, plan: &Plan, window: Range<u64>, length: Option<Length>) -> Result<Vec<f32>, Error> {
        let (rendered, padded) = match length {
            Some(length) => (window.end.min(length.rendered), window.end.min(length.padded)),
            None => (window.end, window.end),
        };
        let samples = padded.saturating_sub(window.start);
        if samples > MAX_HELD {
            return Err(Error::TooLong {
                path: path.to_path_buf(),
                seconds: MAX_HELD as f64,
            });
        }
        let mut out = vec![0.0; samples as usize];
        let count = rendered.saturating_sub(window.start) as usize;
        let needed = plan.source_range(window.start..rendered.max(window.start));
        let part = self
            .kept
            .iter()
            .find(|part| part.wanted.start <= needed.start && needed.start < part.wanted.end);
        if let (Some(out), Some(part)) = (out.get_mut(..count), part) {
            plan.render(&part.samples, part.wanted.start, window.start, out)?;
        }
        Ok(out)
    }
}
