//! Reading floats from a place in a file, straight into the memory that they are wanted in.
//!
//! Not through a memory map: one copy is needed in any case, from the system's page cache into a batch, and a read does it at
//! the same speed. But pages of a map count as the process's own memory once touched (after one epoch all of the file), and a
//! file that another program shortens would end the process without a word, where a read says what happened.

use std::fs::File;
use std::io;

/// Fills `out` with the little-endian floats from byte `offset` on.
pub fn floats(file: &File, offset: u64, out: &mut [f32]) -> io::Result<()> {
    exactly(file, offset, bytemuck::cast_slice_mut(out))?;
    if cfg!(target_endian = "big") {
        for value in out {
            *value = f32::from_bits(value.to_bits().swap_bytes());
        }
    }
    Ok(())
}

/// Fills `out` with the little-endian doubles from byte `offset` on, rounded to floats.
pub fn doubles(file: &File, offset: u64, out: &mut [f32]) -> io::Result<()> {
    let mut bytes = vec![0; out.len() * 8];
    exactly(file, offset, &mut bytes)?;
    for (value, bytes) in out.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *value = f64::from_le_bytes(*bytes) as f32;
    }
    Ok(())
}

/// Fills `out` with the bytes from `offset` on.
#[cfg(unix)]
pub fn exactly(file: &File, offset: u64, out: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, out, offset)
}

/// Fills `out` with the bytes from `offset` on.
#[cfg(windows)]
pub fn exactly(file: &File, mut offset: u64, mut out: &mut [u8]) -> io::Result<()> {
    while !out.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, out, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                out = &mut out[count..];
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
