//! Sound files, good and bad: what comes out, and what is said. The files are made here; those that need an encoder are
//! made by ffmpeg where it is installed, and MP3 comes from AFFECT_SHARED_DATA or ../shared/data.

#![allow(
    clippy::disallowed_methods,
    reason = "a test reads the environment and writes its own scratch files"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use affect::audio::{Error, ErrorKind, Loaded, ReadWindow, Resampler, load, load_windows, probe};
use tempfile::TempDir;

/// How samples are written into a WAV file.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Coding {
    Int(u16),
    Float(u16),
    /// WAVE_FORMAT_EXTENSIBLE around integers.
    Extensible(u16),
}

fn wav(coding: Coding, channels: u16, rate: u32, frames: &[f64]) -> Vec<u8> {
    let (tag, bits) = match coding {
        Coding::Int(bits) => (1_u16, bits),
        Coding::Float(bits) => (3, bits),
        Coding::Extensible(bits) => (0xfffe, bits),
    };
    let mut data = Vec::new();
    for &value in frames {
        match (coding, bits) {
            (Coding::Float(_), 32) => data.extend((value as f32).to_le_bytes()),
            (Coding::Float(_), _) => data.extend(value.to_le_bytes()),
            (_, 8) => data.push((value * 128.0 + 128.0) as u8),
            _ => {
                let scaled = (value * 2.0_f64.powi(i32::from(bits) - 1)) as i32;
                data.extend(&scaled.to_le_bytes()[..usize::from(bits / 8)]);
            }
        }
    }
    let mut format = Vec::new();
    let align = channels * bits / 8;
    format.extend(tag.to_le_bytes());
    format.extend(channels.to_le_bytes());
    format.extend(rate.to_le_bytes());
    format.extend((rate.wrapping_mul(u32::from(align))).to_le_bytes());
    format.extend(align.to_le_bytes());
    format.extend(bits.to_le_bytes());
    if tag == 0xfffe {
        format.extend(22_u16.to_le_bytes());
        format.extend(bits.to_le_bytes());
        format.extend(((1_u32 << channels) - 1).to_le_bytes());
        format.extend([1, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71]);
    }
    let mut file = b"RIFF".to_vec();
    file.extend((4 + 8 + format.len() as u32 + 8 + data.len() as u32).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend((format.len() as u32).to_le_bytes());
    file.extend(format);
    file.extend(b"data");
    file.extend((data.len() as u32).to_le_bytes());
    file.extend(data);
    file
}

/// Multiples of 1/128 in −1…1: every coding holds them exactly.
fn ramp(samples: usize) -> Vec<f64> {
    (0..samples)
        .map(|i| f64::from((i * 37 % 255) as i32 - 127) / 128.0)
        .collect()
}

fn put(folder: &TempDir, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn whole(path: &Path) -> Result<Loaded, Error> {
    load_windows(path, &[ReadWindow::WHOLE], 44_100, Resampler::SoxrHq)
}

fn shared(name: &str) -> Option<PathBuf> {
    let data = std::env::var_os("AFFECT_SHARED_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let path = data.join(name);
    if path.is_file() {
        return Some(path);
    }
    eprintln!("skipped: `{}` is missing", path.display());
    None
}

fn ffmpeg(folder: &TempDir, name: &str, arguments: &[&str]) -> Option<PathBuf> {
    let path = folder.path().join(name);
    let status = Command::new("ffmpeg")
        .args(["-y", "-v", "error", "-nostdin"])
        .args(arguments)
        .arg(&path)
        .status();
    match status {
        Ok(status) if status.success() => Some(path),
        _ => {
            eprintln!("skipped: ffmpeg is not installed, or cannot write `{name}`");
            None
        }
    }
}

#[test]
fn every_wav_coding_gives_the_same_samples() {
    let folder = tempfile::tempdir().unwrap();
    let frames = ramp(2 * 3_000);
    let expected: Vec<f32> = frames
        .chunks(2)
        .map(|frame| ((frame[0] + frame[1]) / 2.0) as f32)
        .collect();
    for coding in [8, 16, 24, 32]
        .map(Coding::Int)
        .into_iter()
        .chain([32, 64].map(Coding::Float))
        .chain([16, 24].map(Coding::Extensible))
    {
        let path = put(&folder, "a.wav", &wav(coding, 2, 44_100, &frames));
        assert!(whole(&path).unwrap().windows[0] == expected, "{coding:?}");
        let sound = load(&path).unwrap();
        assert_eq!(
            (sound.sample_rate, sound.samples),
            (44_100, expected.clone()),
            "{coding:?}"
        );
    }
    let probed = probe(&folder.path().join("a.wav")).unwrap();
    assert_eq!(
        (probed.container.as_str(), probed.sample_rate, probed.channels),
        ("wave", 44_100, 2)
    );
    assert!((probed.seconds.unwrap() - 3_000.0 / 44_100.0).abs() < 1e-6);
}

#[test]
fn mono_is_the_mean_of_all_channels() {
    let folder = tempfile::tempdir().unwrap();
    let frames: Vec<f64> = (0..600).map(|i| if i % 6 == 3 { 0.75 } else { 0.0 }).collect();
    let loaded = whole(&put(
        &folder,
        "surround.wav",
        &wav(Coding::Extensible(16), 6, 44_100, &frames),
    ))
    .unwrap();
    assert_eq!((loaded.channels, loaded.windows[0].len()), (6, 100));
    assert!(loaded.windows[0].iter().all(|&sample| sample == 0.125));
}

#[test]
fn windows_are_cut_from_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = put(&folder, "a.wav", &wav(Coding::Int(16), 1, 22_050, &ramp(50_000)));
    for rate in [22_050, 16_000, 44_100] {
        for resampler in [Resampler::SoxrHq, Resampler::RubatoFft] {
            let all = load_windows(&path, &[ReadWindow::WHOLE], rate, resampler)
                .unwrap()
                .windows
                .remove(0);
            let windows = [
                (1.0, Some(0.5)),
                (0.0, Some(0.1)),
                (2.0, Some(5.0)),
                (0.9, None),
                (9.0, Some(1.0)),
            ];
            let windows = windows.map(|(start, duration)| ReadWindow { start, duration });
            let got = load_windows(&path, &windows, rate, resampler).unwrap().windows;
            for (window, got) in windows.iter().zip(got) {
                let start = (window.start * f64::from(rate)) as usize;
                let end = window
                    .duration
                    .map_or(all.len(), |length| start + (length * f64::from(rate)) as usize);
                let expected = &all[start.min(all.len())..end.min(all.len())];
                assert!(got == expected, "{window:?} at {rate} Hz by {resampler:?}");
            }
        }
    }
}

#[test]
fn a_part_of_an_mp3_has_the_bits_of_the_whole() {
    let Some(path) = shared("music/Low.mp3") else { return };
    for rate in [44_100, 16_000] {
        let all = load_windows(&path, &[ReadWindow::WHOLE], rate, Resampler::SoxrHq)
            .unwrap()
            .windows
            .remove(0);
        for start in [2.0, 5.25, 6.9] {
            let window = ReadWindow {
                start,
                duration: Some(0.5),
            };
            let part = load_windows(&path, &[window], rate, Resampler::SoxrHq).unwrap();
            let begin = (start * f64::from(rate)) as usize;
            assert!(part.faults.is_empty(), "{:?}", part.faults);
            assert_eq!(
                part.windows[0],
                all[begin..begin + rate as usize / 2],
                "{start} s at {rate} Hz"
            );
        }
    }
}

#[test]
fn wrong_sizes_in_a_wav_header_are_mended() {
    let folder = tempfile::tempdir().unwrap();
    let good = wav(Coding::Int(16), 1, 44_100, &ramp(1_000));
    let patched = |riff: u32, data: u32| {
        let mut file = good.clone();
        file[4..8].copy_from_slice(&riff.to_le_bytes());
        file[40..44].copy_from_slice(&data.to_le_bytes());
        file
    };
    let right = good.len() as u32 - 8;
    for (riff, data) in [
        (u32::MAX, u32::MAX),
        (right, u32::MAX),
        (0, 0),
        (u32::MAX, 0),
        (u32::MAX - 1, u32::MAX - 1),
    ] {
        let loaded = whole(&put(&folder, "a.wav", &patched(riff, data))).unwrap();
        assert_eq!(loaded.windows[0].len(), 1_000, "{riff:x} {data:x}");
    }
    let cut = whole(&put(&folder, "cut.wav", &good[..good.len() - 1_001])).unwrap();
    assert_eq!(cut.windows[0].len(), 499);
    assert_eq!(cut.faults, ["the file ends too early"]);
}

#[test]
fn bad_files_are_named_and_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let good = wav(Coding::Float(32), 1, 44_100, &ramp(1_000));
    let with = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    let noise: Vec<u8> = (0..50_000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let apple = [b"\0\x05\x16\x07\0\x02\0\0Mac OS X        ".to_vec(), vec![0; 200]].concat();
    #[expect(clippy::type_complexity, reason = "a table of a test")]
    let cases: [(&str, Vec<u8>, fn(&Error) -> bool); 12] = [
        ("zero.wav", vec![], |error| matches!(error, Error::ZeroBytes { .. })),
        ("text.mp3", b"not a sound\n".repeat(5_000), |error| {
            matches!(error, Error::UnknownFormat { .. })
        }),
        ("noise.mp3", noise, |error| error.kind() == ErrorKind::NoSound),
        ("._a.wav", apple, |error| matches!(error, Error::UnknownFormat { .. })),
        ("empty.wav", wav(Coding::Int(16), 1, 44_100, &[]), |error| {
            matches!(error, Error::NoSamples { .. })
        }),
        ("header.wav", good[..30].to_vec(), |error| {
            matches!(error, Error::Damaged { .. })
        }),
        (
            "nan.wav",
            with(44 + 4 * 441, &f32::NAN.to_le_bytes()),
            |error| matches!(error, Error::NotFinite { seconds, .. } if (*seconds - 0.01).abs() < 1e-9),
        ),
        ("infinite.wav", with(60, &f32::INFINITY.to_le_bytes()), |error| {
            matches!(error, Error::NotFinite { .. })
        }),
        ("slow.wav", with(24, &1_u32.to_le_bytes()), |error| {
            matches!(error, Error::FileRate { rate: 1, .. })
        }),
        ("fast.wav", with(24, &u32::MAX.to_le_bytes()), |error| {
            matches!(error, Error::FileRate { .. })
        }),
        ("none.mp4", b"\0\0\0\x14ftypisom\0\0\0\0isom".to_vec(), |error| {
            matches!(error, Error::Damaged { .. })
        }),
        (
            "channels.wav",
            wav(Coding::Int(16), 1_000, 44_100, &ramp(5_000)),
            |error| error.kind() == ErrorKind::NoSound,
        ),
    ];
    for (name, content, expected) in cases {
        let path = put(&folder, name, &content);
        let error = whole(&path).unwrap_err();
        assert!(expected(&error), "{name}: {error:?}");
        assert_eq!(error.kind(), ErrorKind::NoSound, "{name}: {error}");
        assert!(error.to_string().contains(name) && error.hint().is_some(), "{error}");
    }
    let missing = whole(&folder.path().join("missing.wav")).unwrap_err();
    assert!(matches!(missing, Error::Missing { .. }) && missing.kind() == ErrorKind::Unreadable);
    let not_a_file = whole(folder.path()).unwrap_err();
    assert!(matches!(not_a_file, Error::NotAFile { .. }) && not_a_file.kind() == ErrorKind::Unreadable);
    let path = put(&folder, "good.wav", &good);
    for window in [
        (f64::NAN, None),
        (-1.0, None),
        (0.0, Some(f64::INFINITY)),
        (0.0, Some(-1.0)),
    ] {
        let window = ReadWindow {
            start: window.0,
            duration: window.1,
        };
        let error = load_windows(&path, &[window], 44_100, Resampler::SoxrHq).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Setting, "{error}");
    }
    assert!(load_windows(&path, &[ReadWindow::WHOLE], 0, Resampler::SoxrHq).is_err());
}

#[test]
fn a_window_behind_the_end_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let path = put(&folder, "a.wav", &wav(Coding::Int(16), 1, 44_100, &ramp(44_100)));
    let behind = ReadWindow {
        start: 5.0,
        duration: Some(1.0),
    };
    for rate in [44_100, 16_000] {
        let loaded = load_windows(&path, &[behind], rate, Resampler::SoxrHq).unwrap();
        assert_eq!(loaded.windows, [Vec::<f32>::new()]);
    }
    assert!(
        load_windows(&path, &[], 16_000, Resampler::SoxrHq)
            .unwrap()
            .windows
            .is_empty()
    );
}

#[test]
fn a_damaged_mp3_keeps_what_is_whole() {
    let Some(path) = shared("music/Low.mp3") else { return };
    let folder = tempfile::tempdir().unwrap();
    let good = std::fs::read(&path).unwrap();
    let all = whole(&path).unwrap().windows.remove(0);
    let cut = whole(&put(&folder, "cut.mp3", &good[..good.len() / 2])).unwrap();
    let length = cut.windows[0].len();
    assert!(length > all.len() / 3 && cut.windows[0][..length - 2_304] == all[..length - 2_304]);

    // Side information of single frames destroyed, headers whole: silence stands in, and what follows is in its place.
    let mut damaged = good.clone();
    let begin = good.len() / 2;
    let frame = (begin..).find(|&at| good[at] == 0xff && good[at + 1] == 0xfb).unwrap();
    damaged[frame + 4..frame + 36].fill(0xff);
    let loaded = whole(&put(&folder, "damaged.mp3", &damaged)).unwrap();
    assert_eq!(loaded.windows[0].len(), all.len());
    assert!(loaded.windows[0][all.len() - 40_000..] == all[all.len() - 40_000..]);
    assert_eq!(loaded.faults.len(), 1, "{:?}", loaded.faults);
}

#[test]
fn mutated_files_neither_panic_nor_hang() {
    let folder = tempfile::tempdir().unwrap();
    let mut originals = vec![("wav", wav(Coding::Extensible(24), 2, 44_100, &ramp(4_000)))];
    if let Some(path) = shared("music/High.mp3") {
        originals.push(("mp3", std::fs::read(path).unwrap()[..20_000].to_vec()));
    }
    let tone = ["-f", "lavfi", "-i", "sine=frequency=440:duration=0.3", "-ac", "2"];
    for (kind, name) in [("m4a", "a.m4a"), ("flac", "a.flac"), ("ogg", "a.ogg")] {
        if let Some(path) = ffmpeg(&folder, name, &tone) {
            originals.push((kind, std::fs::read(path).unwrap()));
        }
    }
    let mut state = 1_u32;
    let mut random = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    for (kind, original) in originals {
        for round in 0..60 {
            let mut file = original.clone();
            // Mostly headers.
            let reach = if round % 2 == 0 {
                file.len().min(600)
            } else {
                file.len()
            };
            for _ in 0..=random(8) {
                file[random(reach)] = [0, 0xff, 0x80, random(256) as u8][random(4)];
            }
            if round % 5 == 0 {
                file.truncate(random(original.len()) + 1);
            }
            let path = put(&folder, &format!("mutated.{kind}"), &file);
            if let Ok(loaded) = load_windows(
                &path,
                &[ReadWindow {
                    start: 0.01,
                    duration: Some(0.2),
                }],
                16_000,
                Resampler::SoxrHq,
            ) {
                assert!(loaded.windows[0].len() <= 3_200 && loaded.windows[0].iter().all(|sample| sample.is_finite()));
            }
        }
    }
}

/// Found by fuzzing: the steps of an ADPCM block grow without bound, and its decoder panics where overflow is checked.
#[test]
fn adpcm_that_overflows_does_not_panic() {
    let folder = tempfile::tempdir().unwrap();
    let mut format = Vec::new();
    format.extend([2_u16.to_le_bytes(), 1_u16.to_le_bytes()].concat());
    format.extend([8_000_u32.to_le_bytes(), 4_096_u32.to_le_bytes()].concat());
    // Bytes per block, bits, bytes that follow, samples per block, and the seven standard pairs of coefficients.
    for number in [
        1_024_i16, 4, 32, 2_036, 7, 256, 0, 512, -256, 0, 0, 192, 64, 240, 0, 460, -208, 392, -232,
    ] {
        format.extend(number.to_le_bytes());
    }
    // Predictor 0, the largest step, two samples; then codes that make the step grow.
    let mut block = vec![0x77; 1_024];
    block[..7].copy_from_slice(&[0, 0xff, 0x7f, 0xff, 0x7f, 0xff, 0x7f]);
    let chunks = [
        (b"fmt ", format),
        (b"fact", 2_036_u32.to_le_bytes().to_vec()),
        (b"data", block),
    ];
    let mut file = b"RIFF\0\0\0\0WAVE".to_vec();
    for (name, content) in chunks {
        file.extend(name);
        file.extend((content.len() as u32).to_le_bytes());
        file.extend(content);
    }
    let size = file.len() as u32 - 8;
    file[4..8].copy_from_slice(&size.to_le_bytes());
    match whole(&put(&folder, "steps.wav", &file)) {
        Ok(loaded) => assert!(loaded.windows[0].iter().all(|sample| sample.is_finite())),
        Err(error) => assert_eq!(error.kind(), ErrorKind::NoSound, "{error}"),
    }
}

#[test]
fn encoded_files_have_the_length_that_was_encoded() {
    let folder = tempfile::tempdir().unwrap();
    let tone = [
        "-f",
        "lavfi",
        "-i",
        "sine=frequency=440:duration=1:sample_rate=44100",
        "-ac",
        "2",
    ];
    for (name, codec, samples) in [
        ("a.flac", "flac", 44_100..=44_100),
        ("a.ogg", "libvorbis", 44_100..=44_100),
        ("a.mp3", "libmp3lame", 44_100..=44_100),
        // AAC ends with its last frame of 1024 samples.
        ("a.m4a", "aac", 44_100..=46_148),
        ("a.aac", "aac", 45_056..=47_104),
    ] {
        let Some(path) = ffmpeg(&folder, name, &[&tone[..], &["-c:a", codec]].concat()) else {
            continue;
        };
        let loaded = whole(&path).unwrap();
        assert!(loaded.faults.is_empty(), "{name}: {:?}", loaded.faults);
        assert!(
            samples.contains(&loaded.windows[0].len()),
            "{name}: {}",
            loaded.windows[0].len()
        );
    }
}

/// Compares what is decoded here with what ffmpeg makes of the same file, rounded to 16 bits as librosa gets it: no sample may
/// differ by more than `steps` of the 16 bits.
fn as_by_ffmpeg(folder: &TempDir, path: &Path, steps: f32) {
    let Some(wav) = ffmpeg(
        folder,
        "decoded.wav",
        &["-i", path.to_str().unwrap(), "-c:a", "pcm_s16le"],
    ) else {
        return;
    };
    let (here, there) = (load(path).unwrap(), load(&wav).unwrap());
    assert_eq!(here.sample_rate, there.sample_rate);
    assert!(here.samples.len().abs_diff(there.samples.len()) <= 2048, "{path:?}");
    assert!(there.samples.iter().any(|sample| sample.abs() > 0.05));
    let differences = here.samples.iter().zip(&there.samples).map(|(a, b)| (a - b).abs());
    let largest = differences.fold(0.0, f32::max);
    assert!(largest <= steps / 32_768.0, "{path:?}: {largest}");
}

#[test]
fn surround_aac_is_read_without_ffmpeg() {
    let folder = tempfile::tempdir().unwrap();
    let six = "sine=330[a];sine=440[b];sine=550[c];sine=60[d];sine=660[e];anoisesrc=a=0.2[f];\
               [a][b][c][d][e][f]join=inputs=6:channel_layout=5.1";
    let sound = ["-f", "lavfi", "-i", six, "-t", "1.5", "-ar", "48000"];
    for (name, codec) in [("surround.mp4", "aac"), ("surround.aac", "aac")] {
        let Some(path) = ffmpeg(&folder, name, &[&sound[..], &["-c:a", codec, "-b:a", "384k"]].concat()) else {
            return;
        };
        let loaded = whole(&path).unwrap();
        assert_eq!((loaded.channels, loaded.source_rate), (6, 48_000));
        assert_eq!(loaded.faults, Vec::<String>::new());
        // A half may be rounded either way.
        as_by_ffmpeg(&folder, &path, 1.0);
    }
}

#[test]
fn he_aac_that_does_not_say_so_has_its_whole_spectrum() {
    let folder = tempfile::tempdir().unwrap();
    let side = |seed: u32| -> Vec<f32> {
        let mut noise = seed;
        let sample = |index: u32| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            0.3 * (index as f32 * 0.05).sin() + 0.3 * (noise as f32 / u32::MAX as f32 - 0.5)
        };
        (0..66_150).map(sample).collect()
    };
    let options = syom::EncodeOptions::adts().with_bitrate_bps(48_000);
    for (name, options) in [
        ("v1.aac", options.clone().with_he(true)),
        ("v2.aac", options.with_he_v2(true).with_bitrate_bps(32_000)),
    ] {
        let bytes = syom::encode_with(&[side(1), side(2)], 44_100, &options).unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        let loaded = whole(&path).unwrap();
        assert_eq!((loaded.channels, loaded.source_rate), (2, 44_100), "{name}");
        // The high half of the spectrum is made of the low one and noise; decoders differ in its details.
        as_by_ffmpeg(&folder, &path, 64.0);
    }
}

#[test]
fn huge_samples_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.wav");
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 48_000,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::create(&path, spec).unwrap();
    for index in 0..10_000 {
        writer
            .write_sample(if index == 4_800 { 1e30_f32 } else { 0.1 })
            .unwrap();
    }
    writer.finalize().unwrap();
    let error = whole(&path).unwrap_err();
    assert!(
        matches!(error, Error::NotFinite { seconds, .. } if (seconds - 0.1).abs() < 1e-6),
        "{error}"
    );
}

#[test]
fn a_film_without_sound_is_said_to_be_silent() {
    let folder = tempfile::tempdir().unwrap();
    let picture = ["-f", "lavfi", "-i", "color=duration=0.2:size=16x16", "-c:v", "mpeg4"];
    let Some(path) = ffmpeg(&folder, "film.mp4", &picture) else {
        return;
    };
    assert!(matches!(whole(&path), Err(Error::NoAudioStream { .. })));
}
