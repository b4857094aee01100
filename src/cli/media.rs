//! What examples sound and look like: recorded with a run, shown for those on which the model errs most.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use super::failure::Failure;
use crate::audio::{self, ReadWindow, Resampler};
use crate::dataset::{Manifest, Media};
use crate::files;
use crate::report::{self, Medium, RunReport};
use crate::track::RunDir;

/// The file in a run's folder: where each example's content is.
const FILE: &str = "media.csv";
/// Embedded sounds are mono, of this rate (Hz), and no longer than so many seconds: ten of them are 1.3 MB.
const RATE: u32 = 16_000;
const LONGEST: f64 = 4.0;
/// Seconds read beyond that, to see whether there is more.
const MORE: f64 = 0.05;
/// A picture of more bytes is not embedded.
const LARGEST: u64 = 200_000;

/// Records where the content of every example is.
pub fn write(dir: &RunDir, manifest: &Manifest) -> Result<(), Failure> {
    let examples = manifest.examples.iter();
    write_all(dir, examples.map(|example| (example.id.clone(), &example.media)))
}

/// As [`write()`], by name; of a pair both parts, one after the other.
pub fn write_all<'a>(dir: &RunDir, media: impl Iterator<Item = (String, &'a Media)>) -> Result<(), Failure> {
    let path = dir.file(FILE);
    files::write_whole_with(&path, |writer| {
        let mut writer = csv::Writer::from_writer(writer);
        writer.write_record(["id", "kind", "file", "start", "duration"])?;
        for (id, media) in media {
            let kind = match media {
                Media::Audio { .. } => "audio",
                Media::Image { .. } => "image",
            };
            let file = media.path();
            let file = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf());
            let window = media.window();
            let duration = window.duration.map_or_else(String::new, |seconds| seconds.to_string());
            writer.write_record([&id, kind, &file.to_string_lossy(), &window.start.to_string(), &duration])?;
        }
        writer.flush()
    })?;
    Ok(())
}

/// Puts sounds and pictures of the worst examples into the report, as far as they are still where they were. `runs`: the folders of the
/// runs that predicted them.
pub fn add_to(report: &mut RunReport, runs: &[PathBuf], page: &Path) {
    let Some(worst) = report::worst(report) else {
        return;
    };
    let wanted: HashSet<&str> = worst.rows.iter().map(|(id, _)| id.as_str()).collect();
    let mut media: BTreeMap<String, Medium> = BTreeMap::new();
    for run in runs {
        let known: HashSet<String> = media.keys().cloned().collect();
        // A run without the file is older than it; the page is whole without sounds.
        let Ok(mut reader) = csv::Reader::from_path(run.join(FILE)) else {
            continue;
        };
        for record in reader.records().map_while(Result::ok) {
            let field = |column| record.get(column).unwrap_or_default();
            // Of a pair there are two rows.
            if wanted.contains(field(0)) && !known.contains(field(0)) {
                let most = LONGEST + MORE;
                let window = ReadWindow {
                    start: field(3).parse().unwrap_or(0.0),
                    duration: Some(field(4).parse().unwrap_or(most).min(most)),
                };
                let path = Path::new(field(2));
                let (embedded, is_cut) = match field(1) {
                    "audio" => sound(path, window).unzip(),
                    _ => (picture(path), None),
                };
                let medium = Medium {
                    embedded,
                    beginning: is_cut.unwrap_or(false).then_some(LONGEST),
                    link: path.exists().then(|| report::relative(page, path)).flatten(),
                    also: None,
                };
                match media.entry(field(0).to_owned()) {
                    Entry::Vacant(place) => drop(place.insert(medium)),
                    Entry::Occupied(mut first) => first.get_mut().also = Some(Box::new(medium)),
                }
            }
        }
        if media.len() == wanted.len() {
            break;
        }
    }
    report.media = media;
}

/// As a WAV file, and whether its end was cut off.
fn sound(path: &Path, window: ReadWindow) -> Option<((&'static str, Vec<u8>), bool)> {
    let loaded = audio::load_windows(path, &[window], RATE, Resampler::default()).ok()?;
    let mut samples = loaded
        .windows
        .into_iter()
        .next()
        .filter(|samples| !samples.is_empty())?;
    let longest = (LONGEST * f64::from(RATE)) as usize;
    let is_cut = samples.len() > longest;
    samples.truncate(longest);
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).ok()?;
    for sample in samples {
        let sample = (32767.0 * sample.clamp(-1.0, 1.0)).round() as i16;
        writer.write_sample(sample).ok()?;
    }
    writer.finalize().ok()?;
    Some((("audio/wav", bytes.into_inner()), is_cut))
}

fn picture(path: &Path) -> Option<(&'static str, Vec<u8>)> {
    let kind = match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        _ => return None,
    };
    let is_small = std::fs::metadata(path).is_ok_and(|data| data.len() <= LARGEST);
    is_small
        .then(|| std::fs::read(path).ok())
        .flatten()
        .map(|bytes| (kind, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_sound_is_cut_and_that_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: RATE,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        for (seconds, kept, expected) in [(3, 3, false), (4, 4, false), (6, 4, true)] {
            let mut writer = hound::WavWriter::create(&path, spec).unwrap();
            (0..seconds * RATE).for_each(|sample| writer.write_sample((sample % 100) as i16).unwrap());
            writer.finalize().unwrap();
            let window = ReadWindow {
                start: 0.0,
                duration: Some(LONGEST + MORE),
            };
            let ((_, bytes), is_cut) = sound(&path, window).unwrap();
            let samples = hound::WavReader::new(bytes.as_slice()).unwrap().duration();
            assert_eq!((samples, is_cut), (kept * RATE, expected), "{seconds} s");
        }
    }
}
