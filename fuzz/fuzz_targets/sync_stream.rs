//! A stream of bytes, and a packet after it that must be found.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    evenkeel_tests::fuzzing::sync_stream(input);
});
