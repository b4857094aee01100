//! Bytes behind the first box of an MP4 file: tracks, edit lists, sizes that are mended.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(init: affect_fuzz::prepare(), |bytes: &[u8]| {
    affect_fuzz::read(&[&b"\0\0\0\x1cftypM4A \0\0\x02\0M4A isomiso2"[..], bytes].concat());
});
