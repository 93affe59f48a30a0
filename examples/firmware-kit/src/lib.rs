//! What the example firmware shares: drivers of flash controllers, a console over semihosting, the stack's paint, and marks
//! at which the emulator counts instructions or cuts the power.
//!
//! Nothing here can panic, so that firmware built on it shows whether Evenkeel can.
#![no_std]

pub mod cold_chain;
pub mod console;
mod impossible;
pub mod marks;
#[cfg(feature = "microbit")]
pub mod nvmc;
pub mod ram_nor;
#[cfg(feature = "ast1030")]
pub mod spi_nor;
pub mod stack;

/// Ends the emulator with exit status 0, or 1 if not `ok`.
pub fn exit(ok: bool) -> ! {
    marks::firmware_ends();
    console::end_emulator(ok)
}
