//! From a path to a track that can be decoded: which container, which track, which decoder, and what librosa's
//! libraries do with such a file that has to be done here too.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use symphonia::core::audio::AudioSpec;
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_AAC, CODEC_ID_AC3, CODEC_ID_EAC3, CODEC_ID_FLAC, CODEC_ID_MP3, CODEC_ID_OPUS, CODEC_ID_VORBIS,
};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::well_known::{
    FORMAT_ID_ADTS, FORMAT_ID_FLAC, FORMAT_ID_ISOMP4, FORMAT_ID_OGG, FORMAT_ID_WAVE,
};
use symphonia::core::formats::{FormatOptions, FormatReader, Track};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;

use super::aac::AacDecoder;
use super::ffmpeg::{self, Ffmpeg};
use super::mp3::Mp3Decoder;
use super::{Error, MAX_CHANNELS, MAX_FILE_RATE, MIN_FILE_RATE, mp4, source};

/// A sound file, opened: everything that decoding needs.
pub(super) struct Opened {
    pub path: PathBuf,
    pub reader: Box<dyn FormatReader>,
    /// Packets that were read already; they come before the reader's next.
    pub read_ahead: VecDeque<Packet>,
    pub decoder: Box<dyn AudioDecoder>,
    pub track: Track,
    pub parameters: AudioCodecParameters,
    pub rate: u32,
    pub channels: usize,
    /// Length by the headers, in seconds.
    pub seconds: Option<f64>,
    pub habits: Habits,
    /// What the headers showed to be wrong.
    pub faults: Vec<String>,
    /// The process that the samples come from, where there is one.
    pub ffmpeg: Option<Ffmpeg>,
}

/// What differs from one kind of file to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Habits {
    /// Samples at the start that are the encoder's delay, not sound.
    pub delay: u64,
    /// Samples of sound, where the file says so and its end is padded.
    pub length: Option<u64>,
    /// librosa gets these samples rounded to 16 bits.
    pub rounding: Rounding,
    /// What must be decoded before a packet so that the packet comes out right; `None` where that is everything.
    pub warm_up: Option<u64>,
    /// What a packet's time stamp is good for.
    pub stamps: Stamps,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rounding {
    None,
    Sixteen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stamps {
    /// It only counts the packets before.
    Counted,
    /// It is written in the packet: a jump means that sound is missing.
    Written,
}

/// Frames of MP3 decoded ahead: a frame may borrow 511 bytes from earlier ones (some twenty of the shortest), and
/// overlaps.
const MP3_WARM_UP: u64 = 32;

/// HE-AAC's core has at most this rate in Hz; the first packets need not show that it is HE-AAC.
const HIGHEST_CORE_RATE: u32 = 24_000;

/// Packets in which one of sound that can be decoded is looked for.
const LOOK_AT: usize = 64;

impl Opened {
    pub fn new(path: &Path) -> Result<Self, Error> {
        let file = open_file(path)?;
        let sound_track = file
            .try_clone()
            .map(|mut file| mp4::tracks(&mut file))
            .map_err(unreadable(path))?;
        let source = source::Source::new(file).map_err(unreadable(path))?;
        let cut_short = source.is_cut_short();
        let mut reader = read_container(path, Box::new(source))?;
        let Some(track) = best_track(reader.as_ref()) else {
            if sound_track.iter().any(|track| track.sound) {
                return Self::by_ffmpeg(path, "an unknown one");
            }
            return Err(Error::NoAudioStream {
                path: path.to_path_buf(),
            });
        };
        let Some(CodecParameters::Audio(parameters)) = track.codec_params.clone() else {
            return Err(Error::NoAudioStream {
                path: path.to_path_buf(),
            });
        };
        match choose_decoder(reader.as_mut(), &track, &parameters) {
            Ok(chosen) => {
                let start = sound_track.iter().find(|start| start.id == track.id).copied();
                let mut opened = Self::assemble(path, reader, chosen, track, parameters, start)?;
                if cut_short {
                    opened.faults.push("the file ends too early".into());
                }
                Ok(opened)
            }
            Err(_) => {
                let mut opened = Self::by_ffmpeg(path, &coding(&parameters))?;
                opened.seconds = stated_seconds(&track);
                Ok(opened)
            }
        }
    }

    /// Opens `path` through ffmpeg.
    pub fn by_ffmpeg(path: &Path, coding: &str) -> Result<Self, Error> {
        let (ffmpeg, output) = ffmpeg::start(path, coding)?;
        let failed = |ffmpeg: Ffmpeg| Error::Ffmpeg {
            path: path.to_path_buf(),
            message: ffmpeg.last_words(),
        };
        let Ok(reader) = read_container(path, Box::new(output)) else {
            return Err(failed(ffmpeg));
        };
        let Some(track) = best_track(reader.as_ref()) else {
            return Err(failed(ffmpeg));
        };
        let Some(CodecParameters::Audio(parameters)) = track.codec_params.clone() else {
            return Err(failed(ffmpeg));
        };
        let Ok(decoder) = make_decoder(&parameters) else {
            return Err(failed(ffmpeg));
        };
        let chosen = Chosen {
            decoder,
            read_ahead: VecDeque::new(),
            spec: None,
        };
        let mut opened = Self::assemble(path, reader, chosen, track, parameters, None)?;
        opened.ffmpeg = Some(ffmpeg);
        Ok(opened)
    }

    fn assemble(
        path: &Path,
        reader: Box<dyn FormatReader>,
        chosen: Chosen,
        track: Track,
        parameters: AudioCodecParameters,
        mp4: Option<mp4::Track>,
    ) -> Result<Self, Error> {
        let Chosen {
            decoder,
            read_ahead,
            spec,
        } = chosen;
        let known = decoder.codec_params();
        let rate = known.sample_rate.or(parameters.sample_rate);
        let rate = spec.as_ref().map(AudioSpec::rate).or(rate).unwrap_or(0);
        if !(MIN_FILE_RATE..=MAX_FILE_RATE).contains(&rate) {
            return Err(Error::FileRate {
                path: path.to_path_buf(),
                rate,
            });
        }
        let channels = known.channels.as_ref().or(parameters.channels.as_ref());
        let channels = spec.as_ref().map(AudioSpec::channels).or(channels);
        let channels = channels.map_or(1, |channels| channels.count());
        if !(1..=MAX_CHANNELS).contains(&channels) {
            return Err(Error::Channels {
                path: path.to_path_buf(),
                channels,
            });
        }
        let habits = habits(reader.as_ref(), &track, &parameters, rate, mp4);
        Ok(Self {
            path: path.to_path_buf(),
            reader,
            read_ahead,
            decoder,
            parameters,
            rate,
            channels,
            seconds: match habits.length {
                Some(length) => Some(length as f64 / f64::from(rate)),
                None => stated_seconds(&track).map(|all| (all - habits.delay as f64 / f64::from(rate)).max(0.0)),
            },
            track,
            habits,
            faults: Vec::new(),
            ffmpeg: None,
        })
    }
}

fn open_file(path: &Path) -> Result<File, Error> {
    let file = File::open(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::Missing {
            path: path.to_path_buf(),
        },
        _ => unreadable(path)(source),
    })?;
    let metadata = file.metadata().map_err(unreadable(path))?;
    if !metadata.is_file() {
        return Err(Error::NotAFile {
            path: path.to_path_buf(),
        });
    }
    if metadata.len() == 0 {
        return Err(Error::ZeroBytes {
            path: path.to_path_buf(),
        });
    }
    Ok(file)
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_path_buf();
    |source| Error::Unreadable { path, source }
}

fn read_container(path: &Path, source: Box<dyn MediaSource>) -> Result<Box<dyn FormatReader>, Error> {
    use symphonia::core::errors::Error as Symphonia;
    let stream = MediaSourceStream::new(source, Default::default());
    symphonia::default::get_probe()
        .probe(
            &Hint::new(),
            stream,
            FormatOptions::default(),
            MetadataOptions::default(),
        )
        .map_err(|error| {
            let path = path.to_path_buf();
            match error {
                Symphonia::IoError(source) if source.kind() != io::ErrorKind::UnexpectedEof => {
                    Error::Unreadable { path, source }
                }
                Symphonia::IoError(_) => Error::Damaged {
                    path,
                    reason: "it ends in the middle of its header".into(),
                },
                Symphonia::Unsupported(reason) if reason.starts_with("core") => Error::UnknownFormat { path },
                Symphonia::LimitError(_) => Error::UnknownFormat { path },
                other => Error::Damaged {
                    path,
                    reason: other.to_string(),
                },
            }
        })
}

/// The sound track with the most channels, the first of equals: what ffmpeg takes.
fn best_track(reader: &dyn FormatReader) -> Option<Track> {
    let mut best: Option<(usize, &Track)> = None;
    for track in reader.tracks() {
        if let Some(CodecParameters::Audio(parameters)) = &track.codec_params {
            let channels = parameters.channels.as_ref().map_or(0, |channels| channels.count());
            if best.is_none_or(|(most, _)| channels > most) {
                best = Some((channels, track));
            }
        }
    }
    best.map(|(_, track)| track.clone())
}

fn stated_seconds(track: &Track) -> Option<f64> {
    let time = track.time_base?.calc_duration(track.duration?)?;
    Some(time.as_secs_f64()).filter(|seconds| *seconds > 0.0)
}

/// A decoder, and what was read to choose it.
struct Chosen {
    decoder: Box<dyn AudioDecoder>,
    read_ahead: VecDeque<Packet>,
    /// How packets come out, where that had to be tried.
    spec: Option<AudioSpec>,
}

/// The decoder for a track. For AAC-LC in mono and stereo that is symphonia's, which takes a fifth less time than syom.
fn choose_decoder(
    reader: &mut dyn FormatReader,
    track: &Track,
    parameters: &AudioCodecParameters,
) -> symphonia::core::errors::Result<Chosen> {
    let is_aac = parameters.codec == CODEC_ID_AAC;
    let may_be_he = is_aac && parameters.sample_rate.is_none_or(|rate| rate <= HIGHEST_CORE_RATE);
    let mut chosen = Chosen {
        decoder: match make_decoder(parameters) {
            Ok(decoder) if !may_be_he => {
                return Ok(Chosen {
                    decoder,
                    read_ahead: VecDeque::new(),
                    spec: None,
                });
            }
            Err(error) if !is_aac => return Err(error),
            _ => Box::new(AacDecoder::new(parameters)?),
        },
        read_ahead: VecDeque::new(),
        spec: None,
    };
    while chosen.spec.is_none()
        && chosen.read_ahead.len() < LOOK_AT
        && let Ok(Some(packet)) = reader.next_packet()
    {
        if packet.track_id == track.id {
            chosen.spec = chosen.decoder.decode(&packet).ok().map(|buffer| buffer.spec().clone());
        }
        chosen.read_ahead.push_back(packet);
    }
    chosen.decoder.reset();
    Ok(chosen)
}

fn make_decoder(parameters: &AudioCodecParameters) -> symphonia::core::errors::Result<Box<dyn AudioDecoder>> {
    if parameters.codec == CODEC_ID_MP3 {
        return Ok(Box::new(Mp3Decoder::new(parameters)));
    }
    symphonia::default::get_codecs().make_audio_decoder(parameters, &AudioDecoderOptions::default())
}

fn habits(
    reader: &dyn FormatReader,
    track: &Track,
    parameters: &AudioCodecParameters,
    rate: u32,
    mp4: Option<mp4::Track>,
) -> Habits {
    let format = reader.format_info().format;
    let mut habits = Habits {
        delay: 0,
        length: None,
        rounding: Rounding::None,
        warm_up: None,
        stamps: Stamps::Counted,
    };
    if parameters.codec == CODEC_ID_MP3 {
        habits.warm_up = Some(MP3_WARM_UP);
    }
    if parameters.codec == CODEC_ID_MP3 && format != FORMAT_ID_ISOMP4 && track.padding.is_some() {
        habits.delay = u64::from(track.delay.unwrap_or(0));
        habits.length = track.num_frames;
    } else if format == FORMAT_ID_ISOMP4 {
        habits.rounding = Rounding::Sixteen;
        if let Some(start) = mp4 {
            let samples = u128::from(start.skip) * u128::from(rate) / u128::from(start.timescale.max(1));
            habits.delay = u64::try_from(samples).unwrap_or(u64::MAX);
        }
    } else if format == FORMAT_ID_ADTS {
        habits.rounding = Rounding::Sixteen;
    } else if format == FORMAT_ID_WAVE && parameters.bits_per_sample.is_some() {
        habits.warm_up = Some(0);
    } else if format == FORMAT_ID_FLAC && parameters.codec == CODEC_ID_FLAC {
        habits.warm_up = Some(0);
        habits.stamps = Stamps::Written;
    } else if format == FORMAT_ID_OGG && parameters.codec == CODEC_ID_VORBIS {
        habits.stamps = Stamps::Written;
    }
    habits
}

/// A coding in words, for what cannot be decoded here.
fn coding(parameters: &AudioCodecParameters) -> String {
    let channels = parameters.channels.as_ref().map_or(0, |channels| channels.count());
    match parameters.codec {
        CODEC_ID_AAC => format!("AAC of a rare kind with {channels} channels"),
        CODEC_ID_OPUS => "Opus".into(),
        CODEC_ID_AC3 | CODEC_ID_EAC3 => "AC-3".into(),
        other => format!("number {other}"),
    }
}
