//! Where the time goes between a sound file and its features, on one thread: decoding, resampling, Fourier transform
//! with mel filters, decibels.
//!
//! ```text
//! cargo bench --bench audio [-- SECONDS]
//! ```
//!
//! Reads music/*.mp3 and emodb/wav/*.wav in AFFECT_SHARED_DATA or ../shared/data. Each stage is repeated for SECONDS
//! (default 1); the median of the thread's own time counts. Times are for 30 s of sound, as times of real time, and in
//! relation to decoding.

#![allow(
    clippy::disallowed_methods,
    reason = "a measurement reads the environment and the folders of its corpus"
)]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use affect::audio::{
    MelExtractor, MelNorm, MelScale, MelSpec, PadMode, Power, Resampler, Scale, Scratch, Sound, WindowFunction, load,
    resample,
};

/// Seconds of sound to which short recordings are repeated, and that times are given for.
const LENGTH: f64 = 30.0;

struct Recipe {
    name: &'static str,
    sample_rate: u32,
    n_mels: usize,
    fmax: f64,
}

const RECIPES: [Recipe; 3] = [
    Recipe {
        name: "deam-dynamic",
        sample_rate: 44_100,
        n_mels: 128,
        fmax: 8_000.0,
    },
    Recipe {
        name: "music2emotion",
        sample_rate: 22_050,
        n_mels: 64,
        fmax: 11_025.0,
    },
    Recipe {
        name: "meld-128",
        sample_rate: 16_000,
        n_mels: 128,
        fmax: 8_000.0,
    },
];

fn main() {
    let seconds = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(1.0);
    let data = std::env::var_os("AFFECT_SHARED_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    for (folder, extension, most) in [("music", "mp3", 3), ("emodb/wav", "wav", 40)] {
        let files = files(&data.join(folder), extension, most);
        if files.is_empty() {
            println!("skipped: no .{extension} in `{}`", data.join(folder).display());
            continue;
        }
        println!("{} files of .{extension}; ms for {LENGTH} s of sound", files.len());
        measure(&files, Duration::from_secs_f64(seconds));
    }
}

fn files(folder: &Path, extension: &str, most: usize) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files.truncate(most);
    files
}

fn measure(files: &[PathBuf], time: Duration) {
    let sounds: Vec<Sound> = files
        .iter()
        .map(|path| load(path).unwrap_or_else(|error| panic!("{error}")))
        .collect();
    let duration: f64 = sounds
        .iter()
        .map(|sound| sound.samples.len() as f64 / f64::from(sound.sample_rate))
        .sum();
    let decode = median(time, || {
        for path in files {
            std::hint::black_box(load(path).map_or(0, |sound| sound.samples.len()));
        }
    }) * LENGTH
        / duration;
    println!(
        "  {:<14} decode {decode:6.2} ({:.0}× real time)",
        "",
        1e3 * LENGTH / decode
    );
    for recipe in RECIPES {
        // One of them is enough: the numbers do not depend on the sound.
        let Some(sound) = sounds.first() else { return };
        let length = (LENGTH * f64::from(sound.sample_rate)) as usize;
        let long: Vec<f32> = sound.samples.iter().copied().cycle().take(length).collect();
        let convert = || resample(&long, sound.sample_rate, recipe.sample_rate, Resampler::SoxrHq).unwrap_or_default();
        let resampling = median(time, || {
            std::hint::black_box(convert().len());
        });
        let samples = convert();
        let [filters, all] = [Scale::Power, Scale::default()].map(|scale| {
            let extractor = MelExtractor::new(&spec(&recipe, scale)).unwrap_or_else(|error| panic!("{error}"));
            let mut out = vec![0.0; extractor.frames(samples.len()) * extractor.n_mels()];
            let mut scratch = Scratch::default();
            median(time, || {
                let done = extractor.extract(&mut scratch, &samples, &mut out);
                assert!(std::hint::black_box(done).is_ok());
            })
        });
        println!(
            "  {:<14} resample {resampling:5.2}   FFT and mel {filters:5.2} ({} frames)   dB {:5.2}   all after \
             decoding {:5.2}, {:.0} % of decoding",
            recipe.name,
            samples.len() / 512 + 1,
            all - filters,
            resampling + all,
            100.0 * (resampling + all) / decode,
        );
    }
}

fn spec(recipe: &Recipe, scale: Scale) -> MelSpec {
    MelSpec {
        sample_rate: recipe.sample_rate,
        n_fft: 2048,
        hop_length: 512,
        win_length: 2048,
        window: WindowFunction::Hann,
        center: true,
        pad_mode: PadMode::Constant,
        power: Power::Power,
        n_mels: recipe.n_mels,
        fmin: 0.0,
        fmax: recipe.fmax,
        mel_scale: MelScale::Slaney,
        mel_norm: MelNorm::Slaney,
        scale,
    }
}

/// The time of `work` in ms: the median of batches of about 20 ms, as many as fit into `time`, and five at least.
fn median(time: Duration, mut work: impl FnMut()) -> f64 {
    work();
    let (begin, mut times) = (Instant::now(), Vec::new());
    while times.len() < 5 || begin.elapsed() < time {
        let (start, mut runs) = (busy(), 0.0);
        while runs == 0.0 || busy() - start < 20.0 {
            work();
            runs += 1.0;
        }
        times.push((busy() - start) / runs);
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Milliseconds for which this thread has been at work, so that others on the machine do not count; where the system does
/// not tell, milliseconds since the first call.
fn busy() -> f64 {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let worked = std::fs::read_to_string("/proc/thread-self/schedstat");
    let nanoseconds = worked.ok().and_then(|line| line.split(' ').next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(|| BEGIN.elapsed().as_secs_f64() * 1e3, |time| time / 1e6)
}
