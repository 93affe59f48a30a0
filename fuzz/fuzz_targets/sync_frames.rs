//! What is heard by a source or a sink, with checks that fit where the input says so.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    evenkeel_tests::fuzzing::sync_frames(input);
});
