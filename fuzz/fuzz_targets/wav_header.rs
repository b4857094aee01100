//! Bytes behind a RIFF, RF64 or BW64 header: the sizes that are mended, and the chunks around them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(init: affect_fuzz::prepare(), |bytes: &[u8]| {
    let Some((kind, rest)) = bytes.split_first() else { return };
    let kind = [b"RIFF", b"RF64", b"BW64"][usize::from(kind % 3)];
    // The first four bytes are the stated size.
    let (size, rest) = rest.split_at(rest.len().min(4));
    affect_fuzz::read(&[&kind[..], size, b"WAVE", rest].concat());
});
