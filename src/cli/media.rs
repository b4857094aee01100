//! What examples sound and look like: recorded with a run, shown for those on which the model errs most.

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
/// A picture of more bytes is not embedded.
const LARGEST: u64 = 200_000;

/// Records where the content of every example is.
pub fn write(dir: &RunDir, manifest: &Manifest) -> Result<(), Failure> {
    let path = dir.file(FILE);
    files::write_whole_with(&path, |writer| {
        let mut writer = csv::Writer::from_writer(writer);
        writer.write_record(["id", "kind", "file", "start", "duration"])?;
        for example in &manifest.examples {
            let kind = match &example.media {
                Media::Audio { .. } => "audio",
                Media::Image { .. } => "image",
            };
            let file = example.media.path();
            let file = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf());
            let window = example.media.window();
            let duration = window.duration.map_or_else(String::new, |seconds| seconds.to_string());
            writer.write_record([
                &example.id,
                kind,
                &file.to_string_lossy(),
                &window.start.to_string(),
                &duration,
            ])?;
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
    let mut wanted: HashSet<&str> = worst.rows.iter().map(|(id, _)| id.as_str()).collect();
    let mut media = BTreeMap::new();
    for run in runs {
        // A run without the file is older than it; the page is whole without sounds.
        let Ok(mut reader) = csv::Reader::from_path(run.join(FILE)) else {
            continue;
        };
        for record in reader.records().map_while(Result::ok) {
            let field = |column| record.get(column).unwrap_or_default();
            if wanted.remove(field(0)) {
                let window = ReadWindow {
                    start: field(3).parse().unwrap_or(0.0),
                    duration: Some(field(4).parse().unwrap_or(LONGEST).min(LONGEST)),
                };
                let path = Path::new(field(2));
                let medium = Medium {
                    embedded: match field(1) {
                        "audio" => sound(path, window),
                        _ => picture(path),
                    },
                    link: path.exists().then(|| report::relative(page, path)).flatten(),
                };
                media.insert(field(0).to_owned(), medium);
            }
        }
        if wanted.is_empty() {
            break;
        }
    }
    report.media = media;
}

/// As a WAV file.
fn sound(path: &Path, window: ReadWindow) -> Option<(&'static str, Vec<u8>)> {
    let loaded = audio::load_windows(path, &[window], RATE, Resampler::default()).ok()?;
    let samples = loaded
        .windows
        .into_iter()
        .next()
        .filter(|samples| !samples.is_empty())?;
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
    Some(("audio/wav", bytes.into_inner()))
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
