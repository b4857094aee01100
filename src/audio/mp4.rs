//! The edit lists of MP4 files.
//!
//! An AAC encoder puts 1024 samples or so before the sound, and the file's edit list says to skip them. symphonia
//! leaves them in; ffmpeg, through which librosa reads MP4, does not. This reads the few boxes that say how much to
//! skip (ISO/IEC 14496-12, 8.6.6).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// Boxes looked at on one level; real files have a few dozen.
const MAX_BOXES: usize = 10_000;
/// Entries of an edit list looked at; real ones have one or two.
const MAX_EDITS: u32 = 1_000;

/// What a track's boxes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Track {
    pub id: u32,
    /// Whether it is declared to be sound.
    pub sound: bool,
    /// Where its sound begins, in units of `timescale`.
    pub skip: u64,
    /// Units per second.
    pub timescale: u32,
}

/// The tracks of an MP4 file; nothing where the file is of another kind, or damaged.
pub(super) fn tracks(file: &mut File) -> Vec<Track> {
    let Ok(length) = file.seek(SeekFrom::End(0)) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for movie in boxes(file, 0..length, *b"moov") {
        for track in boxes(file, movie, *b"trak") {
            if let Ok(Some(track)) = read_track(file, track) {
                found.push(track);
            }
        }
    }
    found
}

type Span = std::ops::Range<u64>;

fn read_track(file: &mut File, span: Span) -> io::Result<Option<Track>> {
    let (Some(header), Some(media)) = (first(file, span.clone(), *b"tkhd"), first(file, span.clone(), *b"mdia")) else {
        return Ok(None);
    };
    let (Some(timing), Some(handler)) = (first(file, media.clone(), *b"mdhd"), first(file, media, *b"hdlr")) else {
        return Ok(None);
    };
    let mut kind = [0; 4];
    read_at(file, handler.start + 8, &mut kind)?;
    Ok(Some(Track {
        id: after_dates(file, header.start)?,
        sound: kind == *b"soun",
        skip: skip(file, span)?,
        timescale: after_dates(file, timing.start)?,
    }))
}

/// The number behind the two dates with which `tkhd` and `mdhd` begin: 32 bits each in version 0, 64 later.
fn after_dates(file: &mut File, start: u64) -> io::Result<u32> {
    let dates = if at(file, start)? == 0 { 8 } else { 16 };
    number(file, start + 4 + dates)
}

/// The media time of a track's first edit that is not empty, 0 without an edit list.
fn skip(file: &mut File, track: Span) -> io::Result<u64> {
    let Some(list) = first(file, track, *b"edts").and_then(|edits| first(file, edits, *b"elst")) else {
        return Ok(0);
    };
    let long = at(file, list.start)? != 0;
    let entries = number(file, list.start + 4)?.min(MAX_EDITS);
    for entry in 0..u64::from(entries) {
        let media_time = if long {
            let high = number(file, list.start + 8 + 20 * entry + 8)?;
            let low = number(file, list.start + 8 + 20 * entry + 12)?;
            (i64::from(high as i32) << 32) | i64::from(low)
        } else {
            i64::from(number(file, list.start + 8 + 12 * entry + 4)? as i32)
        };
        // −1 is an empty edit: a pause before the sound, which raw output leaves out.
        if let Ok(skip) = u64::try_from(media_time) {
            return Ok(skip);
        }
    }
    Ok(0)
}

fn first(file: &mut File, span: Span, kind: [u8; 4]) -> Option<Span> {
    boxes(file, span, kind).into_iter().next()
}

/// The bodies of all boxes of a kind in `span`.
fn boxes(file: &mut File, span: Span, kind: [u8; 4]) -> Vec<Span> {
    let mut found = Vec::new();
    let mut position = span.start;
    for _ in 0..MAX_BOXES {
        let mut head = [0; 8];
        if position + 8 > span.end || read_at(file, position, &mut head).is_err() {
            break;
        }
        let [a, b, c, d, name @ ..] = head;
        let (header, size) = match u32::from_be_bytes([a, b, c, d]) {
            0 => (8, span.end - position),
            1 => {
                let mut size = [0; 8];
                if read_at(file, position + 8, &mut size).is_err() {
                    break;
                }
                (16, u64::from_be_bytes(size))
            }
            size => (8, u64::from(size)),
        };
        let Some(end) = position
            .checked_add(size)
            .filter(|&end| size >= header && end <= span.end)
        else {
            break;
        };
        if name == kind {
            found.push(position + header..end);
        }
        position = end;
    }
    found
}

fn at(file: &mut File, position: u64) -> io::Result<u8> {
    let mut byte = [0];
    read_at(file, position, &mut byte)?;
    Ok(byte[0])
}

fn number(file: &mut File, position: u64) -> io::Result<u32> {
    let mut bytes = [0; 4];
    read_at(file, position, &mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

fn read_at(file: &mut File, position: u64, bytes: &mut [u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(position))?;
    file.read_exact(bytes)
}
