//! Functions that do nothing, under names that a debugger or an emulator's plugin can find.
//!
//! Each has a body of its own, so that no linker makes two of them one.

use core::arch::asm;

/// Called before each operation that changes the flash, if the feature `cuts` is on.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn flash_operation() {
    // SAFETY: copies a register to itself, twice: room for a debugger to step over.
    unsafe { asm!("mov r8, r8", "mov r8, r8", options(nomem, nostack, preserves_flags)) }
}

/// Called when the firmware is about to end the emulator.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn firmware_ends() {
    // SAFETY: copies a register to itself.
    unsafe { asm!("mov r9, r9", options(nomem, nostack, preserves_flags)) }
}

/// The span in which instructions are counted begins.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn span_begin() {
    // SAFETY: copies a register to itself.
    unsafe { asm!("mov r10, r10", options(nomem, nostack, preserves_flags)) }
}

/// The span in which instructions are counted ends.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn span_end() {
    // SAFETY: copies a register to itself.
    unsafe { asm!("mov r11, r11", options(nomem, nostack, preserves_flags)) }
}

/// Runs `work` between the marks of a span.
#[inline(always)]
pub fn span<T>(work: impl FnOnce() -> T) -> T {
    span_begin();
    let answer = work();
    span_end();
    answer
}

#[cfg(any(feature = "microbit", feature = "ast1030"))]
#[inline(always)]
pub(crate) fn before_operation() {
    if cfg!(feature = "cuts") {
        flash_operation();
    }
}
