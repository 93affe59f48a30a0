//! Any bytes as the content of the flash: mounted, read, written to, mounted again.
#![no_main]

use evenkeel_tests::fuzzing::{CONSTANT_BYTES, mount_image};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let cost = mount_image(input);
    assert!(cost.mount_bytes <= 2 * cost.region + CONSTANT_BYTES, "mounting reads too much: {cost:?}");
});
