//! How deep the stack gets: what is free of it is painted, and later it is looked at how much of the paint is gone.

use core::arch::asm;

const PAINT: u32 = 0xC0DE_57AC;
/// Room for `paint` itself.
const OWN_BYTES: usize = 64;

unsafe extern "C" {
    /// The lowest address that the stack may reach, by the linker script of cortex-m-rt.
    static mut _stack_end: u32;
}

#[inline(always)]
fn stack_pointer() -> usize {
    let pointer: usize;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack)) };
    pointer
}

/// Paints everything below the caller's frame.
#[inline(never)]
pub fn paint() {
    let top = stack_pointer().wrapping_sub(OWN_BYTES) as *mut u32;
    let mut place = &raw mut _stack_end;
    while place < top {
        // SAFETY: between the end of the static data and the stack in use nothing lives.
        unsafe { place.write_volatile(PAINT) };
        place = place.wrapping_add(1);
    }
}

/// Bytes of the stack below the caller's frame that were used since `paint`.
#[inline(never)]
#[must_use]
pub fn used() -> u32 {
    let top = stack_pointer();
    let mut place = (&raw const _stack_end).cast_mut();
    // SAFETY: as in `paint`.
    while (place as usize) < top && unsafe { place.read_volatile() } == PAINT {
        place = place.wrapping_add(1);
    }
    top.wrapping_sub(place as usize) as u32
}
