//! Operations and power cuts, held against a list of what must be there.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| evenkeel_tests::fuzzing::operations(input));
