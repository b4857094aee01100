//! Any bytes: container and codec are found by their content, as for every file of a dataset.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(init: affect_fuzz::prepare(), |bytes: &[u8]| affect_fuzz::read(bytes));
