//! Files whose headers state wrong sizes.
//!
//! Programs that write to a pipe leave the sizes of a WAV file at 0 or 0xFFFFFFFF, an interrupted recording or download
//! leaves them too large, and RF64 (over 4 GB) keeps them elsewhere. libsndfile and ffmpeg read all of those; the
//! readers used here do not. So the file is presented with sizes that are true: those of the bytes that are there.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use symphonia::core::io::MediaSource;

const UNKNOWN: u32 = u32::MAX;
/// Chunks looked at before the sound data; real files have a handful.
const MAX_CHUNKS: usize = 1000;

/// Bytes that replace those of a file from a place on.
type Patch = (u64, [u8; 4]);

/// A file, with a few bytes replaced as it is read.
pub(super) struct Source {
    file: File,
    length: u64,
    position: u64,
    patches: Vec<Patch>,
    cut_short: bool,
}

impl Source {
    /// Wraps `file`; the sizes of WAV and MP4 files are mended, any other file is passed on as it is.
    pub fn new(mut file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let (patches, cut_short) = match mended(&mut file, length) {
            Ok(mended) => mended,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Default::default(),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(0))?;
        Ok(Self {
            file,
            length,
            position: 0,
            patches,
            cut_short,
        })
    }

    /// Whether the header promises more bytes than there are (leaving out the sizes that stand for "unknown").
    pub fn is_cut_short(&self) -> bool {
        self.cut_short
    }
}

fn mended(file: &mut File, length: u64) -> io::Result<(Vec<Patch>, bool)> {
    let mut head = [0; 12];
    file.seek(SeekFrom::Start(0))?;
    file.read_exact(&mut head)?;
    if &head[4..8] == b"ftyp" {
        return mended_mp4(file, length);
    }
    let [riff, size, form] = [&head[..4], &head[4..8], &head[8..]];
    if form != b"WAVE" || !matches!(riff, b"RIFF" | b"RF64" | b"BW64") {
        return Ok(Default::default());
    }
    let stated = u64::from(u32::from_le_bytes([size[0], size[1], size[2], size[3]])) + 8;
    let unfinished = stated == 8 || stated > length;
    let mut cut_short = false;
    let mut patches = vec![(0, *b"RIFF"), (4, UNKNOWN.to_le_bytes())];
    let mut position = 12;
    for _ in 0..MAX_CHUNKS {
        let mut chunk = [0; 8];
        file.seek(SeekFrom::Start(position))?;
        file.read_exact(&mut chunk)?;
        let size = u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]);
        if chunk.starts_with(b"data") {
            let there = length.saturating_sub(position + 8);
            cut_short = u64::from(size) > there && size != UNKNOWN;
            if u64::from(size) > there || (size == 0 && unfinished) {
                let size = u32::try_from(there).unwrap_or(UNKNOWN);
                patches.push((position + 4, size.to_le_bytes()));
            }
            break;
        }
        position += 8 + u64::from(size) + u64::from(size & 1);
    }
    Ok((patches, cut_short))
}

/// A last box that is longer than the file is said to go to the file's end.
fn mended_mp4(file: &mut File, length: u64) -> io::Result<(Vec<Patch>, bool)> {
    let mut position = 0_u64;
    for _ in 0..MAX_CHUNKS {
        let mut head = [0; 16];
        file.seek(SeekFrom::Start(position))?;
        file.read_exact(&mut head)?;
        let [a, b, c, d, .., e, f, g, h] = head;
        let size = match u32::from_be_bytes([a, b, c, d]) {
            0 => break,
            1 => {
                u64::from(u32::from_be_bytes([head[8], head[9], head[10], head[11]])) << 32
                    | u64::from(u32::from_be_bytes([e, f, g, h]))
            }
            size => u64::from(size),
        };
        match position.checked_add(size.max(8)) {
            Some(end) if end <= length => position = end,
            _ if head[4..].starts_with(b"mdat") => return Ok((vec![(position, [0; 4])], true)),
            _ => break,
        }
    }
    Ok(Default::default())
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        for (at, bytes) in &self.patches {
            for (offset, byte) in (*at..).zip(bytes) {
                if let Some(index) = offset.checked_sub(self.position)
                    && index < count as u64
                    && let Some(target) = buffer.get_mut(index as usize)
                {
                    *target = *byte;
                }
            }
        }
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = self.file.seek(to)?;
        Ok(self.position)
    }
}

impl MediaSource for Source {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.length)
    }
}
