//! The flash that the measured programs run on.

#[cfg(feature = "microbit")]
pub use self::nvmc::*;
#[cfg(not(feature = "microbit"))]
pub use self::ram::*;

/// Bytes of a sector.
pub const SECTOR: u32 = 4096;

/// The flash controller of the nRF51822.
#[cfg(feature = "microbit")]
mod nvmc {
    /// The driver: four pages of 1 KiB are one sector.
    pub type Flash = evenkeel_firmware_kit::nvmc::Nvmc<4096>;
    /// How many sectors there are.
    pub const SECTORS: u32 = 16;

    /// The flash, to be called once.
    pub fn flash() -> Flash {
        // SAFETY: called once by each program, which fits what is left of the flash by its memory map.
        unsafe { Flash::new() }
    }

    /// The flash as it was left, for systems that do not give it back: not used by two at once.
    pub fn again() -> Flash {
        // SAFETY: the driver that was given away before is not used any more.
        unsafe { Flash::new() }
    }
}

/// Memory that behaves as a NOR flash.
#[cfg(not(feature = "microbit"))]
mod ram {
    /// The driver.
    pub type Flash = evenkeel_firmware_kit::ram_nor::RamNor<'static>;
    /// How many sectors there are: as many as the smallest machine has memory for.
    pub const SECTORS: u32 = if cfg!(feature = "mps2") { 16 } else { 8 };
    const BYTES: usize = (SECTORS * super::SECTOR) as usize;

    static mut MEMORY: [u8; BYTES] = [0; BYTES];

    /// The flash, to be called once.
    pub fn flash() -> Flash {
        // SAFETY: called once by each program, which has one thread.
        let memory: &'static mut [u8; BYTES] = unsafe { &mut *(&raw mut MEMORY) };
        memory.fill(0xFF);
        Flash::new(memory)
    }

    /// The flash as it was left, for systems that do not give it back: not used by two at once.
    pub fn again() -> Flash {
        // SAFETY: the driver that was given away before is not used any more.
        Flash::new(unsafe { &mut *(&raw mut MEMORY) })
    }
}
