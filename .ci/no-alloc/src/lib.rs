//! The crates for the device in a library that has neither the standard library nor an allocator. If any of them, or any crate
//! below them, so much as names `alloc`, this cannot be built: there is no global allocator. It needs no cross toolchain.
#![no_std]

pub use evenkeel_core as core_crate;
pub use evenkeel_flash_store as flash_store;
pub use evenkeel_sync as sync;

#[cfg(feature = "control")]
extern crate alloc;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
